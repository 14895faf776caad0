// What the plot says in words: of a point under the pointer, of a chosen one, and of all that it shows.

class PlotWords {
  constructor(plot, records) {
    this.plot = plot;
    this.records = records;
  }

  familyName({ point }) {
    return this.plot.families.get(point.family).name;
  }

  layerName({ point }) {
    return this.plot.layers.get(point.layer).name;
  }

  valueWords(name, { value, bar }) {
    const { form } = this.plot.axis(name);
    const write = FORMS[form];
    return bar ? `${write(value)} [${write(bar[0])}, ${write(bar[1])}]` : write(value);
  }

  // What is known of a point: pairs of a name and plain text.
  told(one) {
    const rows = [["Family", this.familyName(one)], ["Kind", this.layerName(one)]];
    for (const name of ["y", "x"]) {
      rows.push([this.plot.axis(name).title, this.valueWords(name, one[name])]);
      if (one[name].conditions) rows.push(["", one[name].conditions]);
      const measured = this.records.summary(one[name].records);
      if (measured) rows.push(["", measured]);
    }
    return [...rows, ...one.point.facts];
  }

  hover(one) {
    const most = this.plot.chart.clientWidth < NARROW ? 36 : 64;
    const lines = [`<b>${plotSafe(shortened(one.point.label, most))}</b>`];
    for (const [name, words] of this.told(one)) {
      const line = shortened(name ? `${name}: ${words}` : words, 4 * most);
      lines.push(...wrapped(line, most).map((part) => (name ? "" : "   ") + plotSafe(part)));
    }
    return lines.join("<br>");
  }

  tell(shown, missing, fronts) {
    const notes = [`${shown.length} point${shown.length === 1 ? "" : "s"} shown.`];
    if (missing) notes.push(`${missing} without a value on one of these axes.`);
    if (shown.length > MOST_BARS) {
      notes.push(`Beyond ${MOST_BARS} points no intervals are drawn, beyond ${MOST_LINES} lines no lines.`);
    }
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

  offer(shown) {
    const select = document.getElementById("point");
    const options = shown.map((one) => element("option", shortened(this.name(one), 90), { value: one.place }));
    select.replaceChildren(element("option", "(none)", { value: "" }), ...options);
    select.value = shown.some((one) => one.place === this.plot.chosen) ? this.plot.chosen : "";
  }

  name(one) {
    const layer = one.point.layer === "measured" ? "" : ` (${this.layerName(one)})`;
    return `${one.point.label}${layer}: ${this.valueWords("y", one.y)} at ${this.valueWords("x", one.x)}`;
  }

  // Built when it is opened: a table of thousands of points takes a moment.
  listPoints() {
    const place = document.getElementById("points-table");
    place.querySelector(".data-table")?.remove();
    if (!place.open) return;
    const titles = ["y", "x"].map((name) => [this.plot.axis(name).title, "n"]);
    const heads = [["Point", ""], ["Family", ""], ["Kind", ""], ...titles];
    const head = element("tr");
    for (const [title, kind] of heads) {
      const cell = element("th", undefined, { scope: "col", "aria-sort": "none", class: kind });
      cell.append(element("button", title, { type: "button" }));
      head.append(cell);
    }
    const body = element("tbody");
    for (const one of this.plot.drawn) {
      const row = element("tr");
      row.append(
        element("th", one.point.label, { scope: "row" }),
        element("td", this.familyName(one)), element("td", this.layerName(one)),
        ...["y", "x"].map((name) => element("td", this.valueWords(name, one[name]), { class: "n" })),
      );
      body.append(row);
    }
    const [table, top] = [element("table"), element("thead")];
    top.append(head);
    table.append(top, body);
    const named = { class: "table-box", tabindex: "0", role: "group", "aria-label": "Points" };
    const scroll = element("div", undefined, named);
    scroll.append(table);
    const box = element("div", undefined, { class: "data-table" });
    box.append(scroll, element("div", undefined, { class: "records", role: "status", hidden: "" }));
    place.append(box);
    const unsorted = [null, "", null];
    const entries = this.plot.drawn.map(({ x, y }) => [
      unsorted, unsorted, unsorted, [y.value, y.records, null], [x.value, x.records, null],
    ]);
    new DataTable(box, this.records, entries);
  }
}
