// The plot: points along two chosen axes, with families and kinds of numbers to show or hide.

const MOST_BARS = 300; // points; with more, bars would hide them
const MOST_LINES = 60; // with more, none is told from another
const MOST_NAMES = 14; // points that are named on the plot
const MOST_ROWS = 12; // of the table of the front
const CROWDED = 150; // points; with more, those on no front are small and light
const TAIL = 0.03; // of a crowd, the least accurate, are outside the part that is shown first
const NARROW = 560; // px: below, the plot says less
const HEIGHT = 520; // px
const RINGS = { paper: "-dot", timm: "-open-dot" }; // published points are told from measured ones in grey too
const THEMES = {
  light: { ink: "#1d1f23", muted: "#595e66", grid: "#d9dce1", paper: "#ffffff", raised: "#ffffff" },
  dark: { ink: "#e6e8eb", muted: "#a9afb8", grid: "#363b44", paper: "#16181d", raised: "#23272e" },
};
const LINES = { vit: "solid", hierarchical: "longdash", hybrid: "dashdot", cnn: "dash" };

const sameName = (one, other) => one.layer === other.layer && one.family === other.family;

class Plot {
  constructor(data, records) {
    this.points = pointsOf(data);
    this.strata = data.strata;
    this.note = data.note;
    this.words = new PlotWords(this, records);
    this.axes = new Map(data.axes.map((axis) => [axis.key, axis]));
    this.families = new Map(data.families.map((family) => [family.key, family]));
    this.layers = new Map(data.layers.map((layer) => [layer.key, layer]));
    this.chart = document.getElementById("chart");
    this.chosen = null;
    this.theme = window.matchMedia("(prefers-color-scheme: dark)");
    this.isPrinted = false;
    this.listen();
    this.axisChanged("x");
    this.axisChanged("y");
    this.draw();
    this.chart.on("plotly_relayout", () => this.retick());
    this.chart.on("plotly_legendclick", ({ curveNumber }) => this.toggle(this.chart.data[curveNumber].meta));
    this.chart.on("plotly_click", (event) => {
      const place = event.points[0]?.customdata;
      if (place !== undefined) this.choose(place);
    });
  }

  listen() {
    const on = (id, event, then) => document.getElementById(id).addEventListener(event, then);
    for (const name of ["x", "y"]) {
      on(`axis-${name}`, "change", () => { this.axisChanged(name); this.draw(); });
      on(`log-${name}`, "change", () => this.draw());
    }
    for (const input of document.querySelectorAll("#stratum, #plot-controls fieldset :is(input, select)")) {
      input.addEventListener("change", () => this.draw());
    }
    on("find", "input", () => this.draw());
    on("plot-controls", "submit", (event) => event.preventDefault());
    on("zoom-in", "click", () => this.zoom(0.7));
    on("zoom-out", "click", () => this.zoom(1 / 0.7));
    on("zoom-reset", "click", () => this.draw({ isWhole: true }));
    on("point", "change", (event) => this.choose(event.target.value === "" ? null : Number(event.target.value)));
    on("points-table", "toggle", () => this.words.listPoints());
    this.theme.addEventListener("change", () => this.draw());
    window.addEventListener("beforeprint", () => { this.isPrinted = true; this.draw(); });
    window.addEventListener("afterprint", () => { this.isPrinted = false; this.draw(); });
  }

  axisChanged(name) {
    document.getElementById(`log-${name}`).checked = this.axis(name).isLog;
  }

  axis(name) {
    return this.axes.get(document.getElementById(`axis-${name}`).value);
  }

  isLog(name) {
    return document.getElementById(`log-${name}`).checked;
  }

  unticked(name) {
    const boxes = document.querySelectorAll(`input[name=${name}]:not(:checked)`);
    return new Set([...boxes].map((box) => box.value));
  }

  // Shows or hides a family, as its box does.
  toggle(family) {
    document.querySelector(`input[name=family][value="${CSS.escape(family)}"]`)?.click();
    return false;
  }

  get stratum() {
    return document.getElementById("stratum")?.value ?? "";
  }

  // Points that lie on both axes, in the order of the data; how many do not, and how many are left out for their marks.
  shown() {
    const [x, y] = [this.axis("x").key, this.axis("y").key];
    const [families, layers, marks] = ["family", "layer", "mark"].map((name) => this.unticked(name));
    const { stratum } = this;
    const asked = this.points
      .map((point, place) => ({ point, place, x: valueOn(point, x, y), y: valueOn(point, y, x) }))
      .filter(({ point }) => point.stratum === stratum && !families.has(point.family) && !layers.has(point.layer));
    const wanted = asked.filter(({ point }) => !point.marks.some((mark) => marks.has(mark)));
    const shown = wanted.filter((one) => one.x && one.y
      && (one.point.isMain || liesAlong(one.point, x) || liesAlong(one.point, y))
      && !(this.isLog("x") && one.x.value <= 0) && !(this.isLog("y") && one.y.value <= 0));
    const drawn = new Set(shown);
    const missing = wanted.filter((one) => one.point.isMain && !drawn.has(one)).length;
    return { shown, missing, apart: asked.length - wanted.length };
  }

  palette() {
    return THEMES[this.theme.matches && !this.isPrinted ? "dark" : "light"];
  }

  colour(family) {
    const { light, dark } = this.families.get(family);
    return this.palette() === THEMES.dark ? dark : light;
  }

  draw({ isWhole = false } = {}) {
    const selected = this.shown();
    const { shown } = selected;
    this.drawn = shown;
    const first = isWhole ? shown : this.body(shown);
    this.ranges = { x: this.range(first, "x"), y: this.range(first, "y") };
    const kind = document.getElementById("front").value;
    const [fronts, best, found] = [this.fronts(shown, kind), this.fronts(shown, "all"), this.found(shown)];
    const traces = [
      ...this.lines(shown), ...this.pointTraces(shown, new Set(fronts.flat())), ...this.frontTraces(fronts, kind),
      ...this.rings(found, 13, 1.6), ...this.rings(shown.filter(({ place }) => place === this.chosen), 19, 2.4),
    ];
    const leading = this.leading(best);
    const named = [...new Set([...found, ...(kind ? leading : [])])];
    const config = { responsive: true, displayModeBar: false, displaylogo: false, doubleClick: "reset" };
    Plotly.react(this.chart, traces, { ...this.layout(), annotations: this.names(named) }, config);
    this.words.tell(selected, best, shown.length - first.length);
    this.words.offer(shown, found);
    this.words.listFront(best, leading);
    this.words.listPoints();
  }

  // How the points are drawn. Where some numbers are estimates, these are hollow and lighter and the others strong; in a
  // crowd, other points on no front are small and light.
  looks(shown, onFront) {
    const [isCrowd, hasEstimates] = [shown.length > CROWDED, shown.some(isEstimated)];
    return (one) => {
      const { isFilled } = this.families.get(one.point.family);
      const isMeasured = hasEstimates && !isEstimated(one);
      const isHollow = hasEstimates ? !isMeasured : !isFilled;
      const isSmall = isCrowd && !onFront.has(one) && !isMeasured;
      return { isHollow, size: isSmall ? 6 : 9, opacity: (isSmall ? 0.5 : 1) * (isEstimated(one) ? 0.7 : 1) };
    };
  }

  // A trace for each family, kind of number and look; the light ones lie below, and of a crowd the many.
  pointTraces(shown, onFront) {
    const [groups, look] = [new Map(), this.looks(shown, onFront)];
    for (const one of shown) {
      const kind = { layer: one.point.layer, family: one.point.family, ...look(one) };
      const key = JSON.stringify(kind);
      if (!groups.has(key)) groups.set(key, { kind, own: [] });
      groups.get(key).own.push(one);
    }
    const rank = (family) => [...this.families.keys()].indexOf(family);
    const isCrowd = shown.length > CROWDED;
    const ordered = [...groups.values()].sort((a, b) => a.kind.opacity - b.kind.opacity
      || (isCrowd ? b.own.length - a.own.length : rank(a.kind.family) - rank(b.kind.family)));
    const [isMixed, hasBars] = [this.isMixed(shown), this.hasBars(shown)];
    return ordered.map(({ kind, own }, place) => {
      const [layer, family] = [this.layers.get(kind.layer), this.families.get(kind.family)];
      const colour = this.colour(family.key);
      const name = isMixed ? `${family.name}, ${layer.name}` : family.name;
      const isLast = !ordered.slice(place + 1).some((other) => sameName(other.kind, kind));
      const bar = (axis) => ({
        type: "data", symmetric: false, visible: hasBars, color: colour, thickness: 1.2, width: 0,
        array: own.map(({ [axis]: one }) => (one.bar ? one.bar[1] - one.value : 0)),
        arrayminus: own.map(({ [axis]: one }) => (one.bar ? one.value - one.bar[0] : 0)),
      });
      return {
        type: "scatter", mode: "markers", name: plotSafe(shortened(name, 40)), meta: family.key,
        showlegend: isLast, legendrank: rank(family.key),
        x: own.map((one) => one.x.value), y: own.map((one) => one.y.value),
        error_x: bar("x"), error_y: bar("y"), customdata: own.map((one) => one.place),
        hoverinfo: "text", hovertext: own.map((one) => this.words.hover(one)), opacity: kind.opacity,
        marker: {
          symbol: family.symbol + (RINGS[layer.key] ?? (kind.isHollow ? "-open" : "")),
          size: kind.size, color: colour, line: { width: 1.4, color: colour },
        },
      };
    });
  }

  isMixed(shown) {
    return new Set(shown.map(({ point }) => point.layer)).size > 1;
  }

  // Thin lines between the runs of one model along an axis that they were varied on.
  lines(shown) {
    const lines = new Map();
    for (const axis of ["x", "y"].map((name) => this.axis(name).key)) {
      for (const one of shown.filter(({ point }) => liesAlong(point, axis))) {
        const key = `${axis} ${one.point.layer} ${one.point.along[axis]}`;
        lines.set(key, [...(lines.get(key) ?? []), one]);
      }
    }
    const drawn = [...lines.values()].filter((line) => line.length > 1);
    return (drawn.length > MOST_LINES ? [] : drawn).map((line) => {
      const ordered = [...line].sort((a, b) => a.x.value - b.x.value);
      const { family } = ordered[0].point;
      return {
        type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
        x: ordered.map((one) => one.x.value), y: ordered.map((one) => one.y.value),
        line: { color: this.colour(family), width: 1.1, dash: LINES[family] ?? "dot" }, opacity: 0.7,
      };
    });
  }

  // One front for each kind of number and each set of conditions: what was measured otherwise is not ranked with it,
  // unstable seeds not at all. kind: "all", or "family" for one of each.
  fronts(shown, kind) {
    const [x, y] = [this.axis("x"), this.axis("y")];
    if (!kind || !x.better || !y.better || x === y) return [];
    const groups = new Map();
    for (const one of shown.filter((point) => point.x.rankedWith !== null && point.y.rankedWith !== null)) {
      const { layer, family } = one.point;
      const key = [layer, kind === "family" ? family : "", one.x.rankedWith, one.y.rankedWith].join(" ");
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    return [...groups.values()].filter((group) => group.length > 1).map((group) => frontOf(group, x, y));
  }

  frontTraces(fronts, kind) {
    const isMixed = this.isMixed(fronts.flat());
    return fronts.map((front, place) => {
      const { layer, family } = front[0].point;
      const isOwn = kind === "family";
      const dash = layer === "measured" ? "solid" : "dot";
      return {
        type: "scatter", mode: "lines", hoverinfo: "skip", meta: isOwn ? family : null,
        name: isMixed ? `Pareto front, ${plotSafe(this.layers.get(layer).name)}` : "Pareto front",
        legendgroup: `front ${layer}`,
        showlegend: !isOwn && fronts.findIndex((other) => other[0].point.layer === layer) === place,
        x: front.map((one) => one.x.value), y: front.map((one) => one.y.value),
        line: {
          shape: "hv", color: isOwn ? this.colour(family) : this.palette().muted, width: isOwn ? 1.8 : 1.3,
          dash: isOwn ? (LINES[family] ?? "dot") : dash,
        },
      };
    });
  }

  // The points of the fronts that are named and listed.
  leading(fronts) {
    const spot = (one) => [this.scaled(one, "x"), this.scaled(one, "y")];
    return fronts.flatMap((front) => thinned(front, MOST_ROWS, spot));
  }

  scaled(one, name) {
    return this.isLog(name) ? Math.log10(one[name].value) : one[name].value;
  }

  names(points) {
    if (points.length > MOST_NAMES || this.chart.clientWidth < NARROW) return [];
    const [width, height] = [this.chart.clientWidth - 80, HEIGHT - 90];
    const share = (one, name) => {
      const [low, high] = this.ranges[name];
      return (this.scaled(one, name) - low) / (high - low);
    };
    const spot = (one) => [share(one, "x") * width, (1 - share(one, "y")) * height];
    const inside = points.filter((one) => ["x", "y"].every((name) => share(one, name) >= 0 && share(one, name) <= 1));
    return namePlaces(inside, this.drawn, spot, width, this.hasBars(this.drawn)).map(({ one, text, shift }) => ({
      x: this.scaled(one, "x"), y: this.scaled(one, "y"), xshift: shift[0], yshift: -shift[1],
      text: plotSafe(text), showarrow: false, font: { size: 11, color: this.palette().ink },
    }));
  }

  rings(points, size, width) {
    const color = this.palette().ink;
    return !points.length ? [] : [{
      type: "scatter", mode: "markers", hoverinfo: "skip", showlegend: false,
      x: points.map((one) => one.x.value), y: points.map((one) => one.y.value),
      marker: { symbol: "circle-open", size, color, line: { width, color } },
    }];
  }

  // The points whose names hold every word that is looked for.
  found(points) {
    const words = simplified(document.getElementById("find").value).split(/\s+/).filter(Boolean);
    return words.length ? points.filter(({ point }) => words.every((word) => simplified(point.label).includes(word))) : [];
  }

  hasBars(shown) {
    return document.getElementById("show-bars").checked && shown.length <= MOST_BARS;
  }

  // What is shown first: of a stratum's crowd all but the least accurate, which would flatten the others.
  body(shown) {
    if (!this.stratum || shown.length <= CROWDED || this.axis("y").form !== "percent") return shown;
    const lowest = shown.map((one) => one.y.value).sort((a, b) => a - b)[Math.floor(TAIL * shown.length)];
    return shown.filter((one) => one.y.value >= lowest);
  }

  range(shown, name) {
    const hasBars = this.hasBars(shown);
    const values = shown.flatMap((one) => [one[name].value, ...((hasBars && one[name].bar) || [])]);
    const usable = values.filter((value) => (!this.isLog(name) || value > 0));
    if (!usable.length) return [0, 1];
    const scaled = this.isLog(name) ? usable.map(Math.log10) : usable;
    const [low, high] = [scaled.reduce((a, b) => Math.min(a, b)), scaled.reduce((a, b) => Math.max(a, b))];
    const room = 0.08 * (high - low) || (this.isLog(name) ? 0.1 : Math.abs(high) * 0.05 || 1);
    return [low - room, high + room];
  }

  layout() {
    const { ink, muted, grid, raised } = this.palette();
    const isNarrow = this.chart.clientWidth < NARROW;
    const axis = (name) => ({
      title: { text: plotSafe(shortened(this.axis(name).title, isNarrow ? 48 : 110)), font: { size: isNarrow ? 11 : 13 } },
      type: this.isLog(name) ? "log" : "linear", range: this.ranges[name], gridcolor: grid, linecolor: muted,
      zeroline: false, automargin: true, showline: true, ticks: "outside", tickcolor: muted,
      ...this.ticks(name, this.ranges[name]),
    });
    return {
      xaxis: axis("x"), yaxis: axis("y"), hovermode: "closest", separators: `.${THIN}`,
      dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, family: "system-ui, sans-serif", size: 12 },
      hoverlabel: { bgcolor: raised, bordercolor: muted, font: { color: ink, size: 12 }, align: "left" },
      margin: { l: 50, r: 14, t: 10, b: 44 }, height: isNarrow ? 420 : HEIGHT,
      legend: {
        orientation: "h", traceorder: "normal", y: 1.02, yanchor: "bottom", x: 0, itemclick: false, itemdoubleclick: false,
      },
    };
  }

  ticks(name, range) {
    const { form } = this.axis(name);
    const room = (name === "x" ? this.chart.clientWidth : 420) / (name === "x" ? 70 : 34);
    if (!this.isLog(name)) {
      const values = linearTicks(range[0], range[1], Math.max(3, Math.min(room, 9)));
      const short = form === "percent" ? "number" : form;
      return { tickvals: values, ticktext: values.map((value) => tickText(value, short)) };
    }
    const values = logTicks(10 ** range[0], 10 ** range[1], Math.max(3, Math.min(room, 12)));
    return { tickvals: values, ticktext: values.map((value) => tickText(value, form)) };
  }

  // Numbers along the axes after zooming or after a change of width.
  retick() {
    const update = {};
    for (const name of ["x", "y"]) {
      const { range } = this.chart.layout[`${name}axis`];
      const { tickvals, ticktext } = this.ticks(name, range);
      if (String(tickvals) === String(this.chart.layout[`${name}axis`].tickvals)) continue;
      update[`${name}axis.tickvals`] = tickvals;
      update[`${name}axis.ticktext`] = ticktext;
    }
    if (Object.keys(update).length) Plotly.relayout(this.chart, update);
  }

  zoom(factor) {
    const update = {};
    for (const name of ["x", "y"]) {
      const [low, high] = this.chart.layout[`${name}axis`].range;
      const [middle, half] = [(low + high) / 2, ((high - low) / 2) * factor];
      update[`${name}axis.range`] = [middle - half, middle + half];
    }
    Plotly.relayout(this.chart, update);
  }

  choose(place) {
    this.chosen = place;
    this.draw();
  }
}
