// Tables that can be sorted by their headings, filtered, and asked where their numbers come from.

const TRACEABLE = "[data-r], [data-p]"; // entries that know the records or the publication behind them
const ORDERS = ["ascending", "descending", "none"];
const collator = new Intl.Collator("en", { numeric: true });

// Rows in the wanted order; entries without a value stay at the end, whichever way the others run.
function sortedRows(rows, column, isNumber, order) {
  if (order === "none") return rows;
  const sign = order === "ascending" ? 1 : -1;
  const keyed = rows.map((row, place) => {
    const cell = row.cells[column];
    const text = cell.textContent;
    const key = isNumber ? (cell.dataset.sort === undefined ? null : Number(cell.dataset.sort)) : text;
    return { row, place, key: text === "n/a" || text === "" ? null : key };
  });
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
    return sign * (isNumber ? a.key - b.key : collator.compare(a.key, b.key)) || a.place - b.place;
  });
  return keyed.map((one) => one.row);
}

function simplified(text) {
  return text.toLowerCase().replace(/[\u202f\u00a0]/g, "").replace(/−/g, "-");
}

class DataTable {
  constructor(box, records) {
    this.box = box;
    this.records = records;
    this.table = box.querySelector("table");
    this.body = this.table.tBodies[0];
    this.rows = [...this.body.rows];
    this.heads = [...this.table.tHead.rows[0].cells];
    this.heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => this.sort(column));
    });
    const filter = box.querySelector("input[type=search]");
    filter?.addEventListener("input", () => this.filter(filter.value));
    box.querySelector(".trace")?.addEventListener("change", (event) => this.trace(event.target.checked));
    this.body.addEventListener("click", (event) => {
      const cell = event.target.closest(TRACEABLE);
      if (cell && !event.target.closest("a")) this.show(cell);
    });
  }

  sort(column) {
    const head = this.heads[column];
    const order = ORDERS[(ORDERS.indexOf(head.getAttribute("aria-sort")) + 1) % ORDERS.length];
    for (const other of this.heads) other.setAttribute("aria-sort", other === head ? order : "none");
    this.body.append(...sortedRows(this.rows, column, head.classList.contains("n"), order));
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
    for (const cell of this.body.querySelectorAll(TRACEABLE)) {
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
    const { r: reference = "", p: source } = cell.dataset;
    const told = [this.records.summary(reference), source && `published: ${this.records.sources[source]}`].filter(Boolean);
    place.replaceChildren(element("p", `${row} – ${column}: ${told.join("; ")}`), this.records.list(reference));
    place.hidden = false;
  }
}
