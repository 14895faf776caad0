// Tables that can be sorted by their headings, filtered, and asked where their numbers come from.

const ORDERS = ["ascending", "descending", "none"];
const collator = new Intl.Collator("en", { numeric: true });

// Rows in the wanted order; entries without a value stay at the end, whichever way the others run.
function sortedRows(rows, keyOf, order) {
  if (order === "none") return rows;
  const sign = order === "ascending" ? 1 : -1;
  const keyed = rows.map((row, place) => ({ row, place, key: keyOf(row) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
    const difference = typeof a.key === "number" ? a.key - b.key : collator.compare(a.key, b.key);
    return sign * difference || a.place - b.place;
  });
  return keyed.map((one) => one.row);
}

function simplified(text) {
  return text.toLowerCase().replace(/[\u202f\u00a0]/g, "").replace(/−/g, "-");
}

class DataTable {
  // entries: of each row and column, in the stored order, [number to sort by, reference to records, publication].
  constructor(box, records, entries) {
    this.box = box;
    this.records = records;
    this.table = box.querySelector("table");
    this.body = this.table.tBodies[0];
    this.rows = [...this.body.rows];
    this.entries = new Map(this.rows.map((row, place) => [row, entries[place]]));
    this.heads = [...this.table.tHead.rows[0].cells];
    this.heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => this.sort(column));
    });
    const filter = box.querySelector("input[type=search]");
    filter?.addEventListener("input", () => this.filter(filter.value));
    box.querySelector(".trace")?.addEventListener("change", (event) => this.trace(event.target.checked));
    this.body.addEventListener("click", (event) => {
      const cell = event.target.closest("td, th");
      if (cell && this.isTraceable(cell) && !event.target.closest("a")) this.show(cell);
    });
  }

  entry(cell) {
    return this.entries.get(cell.parentNode)[cell.cellIndex];
  }

  isTraceable(cell) {
    const [, reference, source] = this.entry(cell);
    return reference !== "" || source !== null;
  }

  sort(column) {
    const head = this.heads[column];
    const order = ORDERS[(ORDERS.indexOf(head.getAttribute("aria-sort")) + 1) % ORDERS.length];
    for (const other of this.heads) other.setAttribute("aria-sort", other === head ? order : "none");
    const isNumber = head.classList.contains("n");
    const keyOf = (row) => {
      const text = row.cells[column].textContent;
      return isNumber ? this.entries.get(row)[column][0] : text === "" || text === "n/a" ? null : text;
    };
    this.body.append(...sortedRows(this.rows, keyOf, order));
  }

  // Every word must be somewhere in the row; "8 190" finds 8 190 with its thin space too.
  filter(wanted) {
    const whole = simplified(wanted).trim();
    const words = whole.split(/\s+/);
    let shown = 0;
    for (const row of this.rows) {
      const text = simplified([...row.cells].map((cell) => cell.textContent).join(" "));
      const isFound = words.every((word) => text.includes(word)) || text.includes(whole.replace(/\s/g, ""));
      row.hidden = !isFound;
      shown += isFound;
    }
    this.box.querySelector("output").textContent = `${shown} of ${this.rows.length} rows`;
  }

  // With the box ticked each traceable entry is a button, so that the keyboard reaches it too.
  trace(isOn) {
    this.box.classList.toggle("tracing", isOn);
    for (const cell of this.rows.flatMap((row) => [...row.cells]).filter((one) => this.isTraceable(one))) {
      const button = cell.querySelector("button");
      if (isOn && !button) {
        const made = element("button", undefined, { type: "button" });
        made.append(...[...cell.childNodes].filter((node) => node.nodeName !== "SUP"));
        cell.prepend(made);
      } else if (!isOn && button) button.replaceWith(...button.childNodes);
    }
    if (!isOn) this.box.querySelector(".records").hidden = true;
  }

  show(cell) {
    const place = this.box.querySelector(".records");
    const row = cell.parentNode.cells[0].textContent;
    const column = this.heads[cell.cellIndex].textContent;
    const [, reference, source] = this.entry(cell);
    const published = source === null ? "" : `published: ${this.records.sources[source]}`;
    const told = [this.records.summary(reference), published].filter(Boolean);
    const close = element("button", "Close", { type: "button" });
    close.addEventListener("click", () => { place.hidden = true; });
    const summary = element("p", `${row} – ${column}: ${told.join("; ")}`);
    place.replaceChildren(close, summary, this.records.list(reference));
    place.hidden = false;
  }
}
