// Where a number comes from: references such as "4-6 9" to the records of the page, and publications.

const MOST_RECORDS = 200; // shown at once

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function numbersOf(reference) {
  return reference.split(" ").filter(Boolean).flatMap((part) => {
    const [first, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, step) => first + step);
  });
}

class Records {
  constructor({ ids, kinds }, sources) {
    this.sources = sources; // of published numbers
    this.ids = ids.split(" ");
    this.kinds = new Map(); // number -> task, day, commit and machine of each record
    for (const [task, day, commit, machine, reference] of kinds) {
      for (const number of numbersOf(reference)) {
        this.kinds.set(number, [...(this.kinds.get(number) ?? []), { task, day, commit, machine }]);
      }
    }
  }

  // One entry per record, each once: id, task, day, commit, machine.
  told(reference) {
    const numbers = [...new Set(numbersOf(reference))];
    const kindsOf = (number) => this.kinds.get(number) ?? [];
    return numbers.flatMap((number) => kindsOf(number).map((kind) => ({ id: this.ids[number], ...kind })));
  }

  // "4 records of 2026-11-23, commit 16d728364121"; many of either are counted.
  summary(reference) {
    const told = this.told(reference);
    if (!told.length) return "";
    const days = [...new Set(told.map((one) => one.day))].sort();
    const commits = [...new Set(told.map((one) => one.commit))];
    const when = days.length > 1 ? `${days[0]} to ${days.at(-1)}` : days[0];
    const what = commits.length > 1 ? `${commits.length} commits` : `commit ${commits[0]}`;
    return `${told.length} record${told.length > 1 ? "s" : ""} of ${when}, ${what}`;
  }

  list(reference) {
    const told = this.told(reference);
    const box = element("ul", undefined, { class: "record-list" });
    for (const one of told.slice(0, MOST_RECORDS)) {
      const item = element("li");
      item.append(element("code", one.id), ` ${one.task}, ${one.day}, commit ${one.commit}, machine ${one.machine}`);
      box.append(item);
    }
    if (told.length > MOST_RECORDS) box.append(element("li", `and ${told.length - MOST_RECORDS} more: see the CSV`));
    return box;
  }
}
