// What the plot says in words: of a point under the pointer, of a chosen one, and of all that it shows.

class PlotWords {
  constructor(plot, records) {
    this.plot = plot;
    this.records = records;
    this.hovers = { of: "", texts: new Map() };
  }

  familyName({ point }) {
    return this.plot.families.get(point.family).name;
  }

  layerName({ point }) {
    return this.plot.layers.get(point.layer).name;
  }

  valueWords({ form }, { value, bar, kind }) {
    const write = FORMS[form];
    const words = bar ? `${write(value)} [${write(bar[0])}, ${write(bar[1])}]` : write(value);
    return kind ? `${kind} ${words}` : words;
  }

  // What was trained on, and how else it differs from others of that.
  trainedWords({ point }) {
    return [this.plot.strata[point.stratum], ...point.marks].join("; ");
  }

  // What is known of a point: pairs of a name and plain text.
  told(one) {
    const rows = [["Family", this.familyName(one)], ["Kind", this.layerName(one)]];
    if (one.point.stratum) rows.push(["Trained on", this.trainedWords(one)]);
    for (const name of ["y", "x"]) {
      rows.push([this.plot.axis(name).title, this.valueWords(this.plot.axis(name), one[name])]);
      if (one[name].conditions) rows.push(["", one[name].conditions]);
      const measured = this.records.summary(one[name].records);
      if (measured) rows.push(["", measured]);
    }
    for (const axis of this.otherAxes()) {
      const value = one.point.values[axis.key];
      if (value) rows.push([axis.title, this.valueWords(axis, value)]);
    }
    return [...rows, ...one.point.facts];
  }

  // Those that every point is told of, besides the two that are shown; costs first.
  otherAxes() {
    const shown = ["x", "y"].map((name) => this.plot.axis(name));
    const told = [...this.plot.axes.values()].filter((axis) => axis.isTold && !shown.includes(axis));
    return told.sort((a, b) => (a.form === "percent") - (b.form === "percent"));
  }

  // Kept from one drawing to the next: of a thousand points they take as long as the drawing.
  hover(one) {
    const most = this.plot.chart.clientWidth < NARROW ? 36 : 64;
    const of = [most, ...["x", "y"].map((name) => this.plot.axis(name).key)].join(" ");
    if (this.hovers.of !== of) this.hovers = { of, texts: new Map() };
    const { texts } = this.hovers;
    if (!texts.has(one.place)) texts.set(one.place, this.hoverText(one, most));
    return texts.get(one.place);
  }

  hoverText(one, most) {
    const lines = [`<b>${plotSafe(shortened(one.point.label, most))}</b>`];
    for (const [name, words] of this.told(one)) {
      const line = shortened(name ? `${name}: ${words}` : words, 4 * most);
      lines.push(...wrapped(line, most).map((part) => (name ? "" : "   ") + plotSafe(part)));
    }
    return lines.join("<br>");
  }

  // The marks whose points are not asked for.
  leftOut() {
    return [...this.plot.unticked("mark")];
  }

  // apart: points left out for their marks; missing: those without a value; outside: those outside the first part.
  tell({ shown, missing, apart }, fronts, outside) {
    const notes = [`${grouped(String(shown.length))} point${shown.length === 1 ? "" : "s"} shown.`];
    if (outside) notes.push(`${outside} of them lie outside this part: see the whole plot.`);
    if (apart) notes.push(`${apart} left out: ${this.leftOut().join(" or ")}.`);
    if (missing) notes.push(`${missing} without a value on one of these axes.`);
    if (shown.length > MOST_BARS && shown.some((one) => one.x.bar || one.y.bar)) {
      notes.push(`Beyond ${MOST_BARS} points no intervals are drawn, beyond ${MOST_LINES} lines no lines.`);
    }
    if (this.plot.note) notes.push(this.plot.note);
    if (fronts.length > 1) notes.push("Fronts are apart for what is published and measured, and for other conditions.");
    for (const { title, note } of ["y", "x"].map((name) => this.plot.axis(name))) {
      if (note) notes.push(`${title}: ${note}`);
    }
    document.getElementById("plot-notes").textContent = notes.join(" ");
    this.detail(shown.find(({ place }) => place === this.plot.chosen));
  }

  detail(one) {
    const box = document.getElementById("point-details");
    box.hidden = !one;
    if (!one) return;
    const list = element("dl");
    for (const [name, words] of this.told(one)) {
      if (name) list.append(element("dt", name));
      list.append(element("dd", words));
    }
    const records = element("details");
    records.append(element("summary", "Records"), this.records.list(`${one.y.records} ${one.x.records}`));
    box.replaceChildren(element("p", one.point.label, { class: "point-name" }), list, records);
  }

  // The points to choose from, those that were found if any were looked for.
  offer(shown, found) {
    const select = document.getElementById("point");
    const offered = found.length ? found : shown;
    const options = offered.map((one) => element("option", shortened(this.name(one), 90), { value: one.place }));
    select.replaceChildren(element("option", "(none)", { value: "" }), ...options);
    select.value = offered.some((one) => one.place === this.plot.chosen) ? this.plot.chosen : "";
    document.getElementById("found").textContent = this.foundWords(found);
  }

  foundWords(found) {
    if (!document.getElementById("find").value.trim()) return "";
    const seen = new Set(found.map(({ place }) => place));
    const counts = new Map();
    for (const { point } of this.plot.found(this.plot.points.map((point, place) => ({ point, place })))
      .filter(({ place }) => !seen.has(place))) {
      const where = point.stratum === this.plot.stratum ? "not shown" : this.plot.strata[point.stratum];
      counts.set(where, (counts.get(where) ?? 0) + 1);
    }
    return [`${found.length} found`, ...[...counts].map(([where, count]) => `${count} more: ${where}`)].join("; ");
  }

  name(one) {
    const isPlain = one.point.layer === "measured" || this.plot.layers.size === 1;
    const values = ["y", "x"].map((name) => this.valueWords(this.plot.axis(name), one[name])).join(" at ");
    return `${one.point.label}${isPlain ? "" : ` (${this.layerName(one)})`}: ${values}`;
  }

  // What the front of all shown points holds, for a plot of strata.
  listFront(fronts, leading) {
    const place = document.getElementById("front-table");
    if (!place) return;
    const [y, x] = ["y", "x"].map((name) => this.plot.axis(name).title);
    const all = fronts.flat().length;
    const which = leading.length < all ? `${leading.length} of its ${all} points, spread along it` : `${all} points`;
    const hidden = this.leftOut().join(" or ");
    const among = `${this.plot.strata[this.plot.stratum]}${hidden && `, without those ${hidden}`}`;
    const told = `Pareto front of ${y} and ${x}, ${among}: ${which}`;
    if (!all) place.replaceChildren();
    else place.replaceChildren(element("p", told, { class: "table-title" }), this.pointTable(leading, told, this.otherAxes()));
  }

  // Built when it is opened: a table of thousands of points takes a moment.
  listPoints() {
    const place = document.getElementById("points-table");
    place.querySelector(".data-table")?.remove();
    if (place.open) place.append(this.pointTable(this.plot.drawn, "Points"));
  }

  // A table of points with their values on the shown axes and on others.
  pointTable(points, label, others = []) {
    const plain = [null, "", null];
    const shown = (name) => [this.plot.axis(name), (one) => one[name]];
    const axes = [shown("y"), shown("x"), ...others.map((axis) => [axis, ({ point }) => point.values[axis.key]])];
    const columns = [
      ["Point", (one) => one.point.label], ["Family", (one) => this.familyName(one)],
      ...(this.plot.layers.size > 1 ? [["Kind", (one) => this.layerName(one)]] : []),
    ];
    const head = element("tr");
    for (const [title, kind] of [...columns.map(([title]) => [title, ""]), ...axes.map(([axis]) => [axis.title, "n"])]) {
      const cell = element("th", undefined, { scope: "col", "aria-sort": "none", class: kind });
      cell.append(element("button", title, { type: "button" }));
      head.append(cell);
    }
    const [table, top, body] = [element("table"), element("thead"), element("tbody")];
    for (const one of points) {
      const row = element("tr");
      row.append(...columns.map(([, words], place) => (
        place ? element("td", words(one)) : element("th", words(one), { scope: "row" }))));
      row.append(...axes.map(([axis, valueOf]) => {
        const value = valueOf(one);
        return element("td", value ? this.valueWords(axis, value) : "n/a", { class: "n" });
      }));
      body.append(row);
    }
    top.append(head);
    table.append(top, body);
    const scroll = element("div", undefined, { class: "table-box", tabindex: "0", role: "group", "aria-label": label });
    scroll.append(table);
    const box = element("div", undefined, { class: "data-table" });
    box.append(scroll, element("div", undefined, { class: "records", role: "status", hidden: "" }));
    const entry = (value) => (value ? [value.value, value.records, null] : plain);
    const entries = points.map((one) => [...columns.map(() => plain), ...axes.map(([, valueOf]) => entry(valueOf(one)))]);
    new DataTable(box, this.records, entries);
    return box;
  }
}
