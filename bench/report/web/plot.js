// The plot: points along two chosen axes, with families and kinds of numbers to show or hide.

const MOST_BARS = 300; // points; with more, bars would hide them
const MOST_LINES = 60; // with more, none is told from another
const MOST_NAMES = 14; // points of fronts that are named on the plot
const NARROW = 560; // px: below, the plot says less
const HEIGHT = 520; // px
const RINGS = { paper: "-dot", timm: "-open-dot" }; // published points are told from measured ones in grey too
const THEMES = {
  light: { ink: "#1d1f23", muted: "#595e66", grid: "#d9dce1", paper: "#ffffff", raised: "#ffffff" },
  dark: { ink: "#e6e8eb", muted: "#a9afb8", grid: "#363b44", paper: "#16181d", raised: "#23272e" },
};
const LINES = { vit: "solid", hybrid: "dashdot", cnn: "dash" };

class Plot {
  constructor(data, records) {
    this.points = data.points;
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
    for (const input of document.querySelectorAll("#plot-controls fieldset input")) {
      input.addEventListener("change", () => this.draw());
    }
    on("plot-controls", "submit", (event) => event.preventDefault());
    on("zoom-in", "click", () => this.zoom(0.7));
    on("zoom-out", "click", () => this.zoom(1 / 0.7));
    on("zoom-reset", "click", () => this.draw());
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

  ticked(name) {
    const boxes = document.querySelectorAll(`input[name=${name}]`);
    return new Set([...boxes].filter((box) => box.checked).map((box) => box.value));
  }

  // Points that lie on both axes, in the order of the data, and how many do not.
  shown() {
    const [x, y] = [this.axis("x").key, this.axis("y").key];
    const [families, layers] = [this.ticked("family"), this.ticked("layer")];
    const wanted = this.points
      .map((point, place) => ({ point, place, x: valueOn(point, x, y), y: valueOn(point, y, x) }))
      .filter(({ point }) => families.has(point.family) && layers.has(point.layer));
    const shown = wanted.filter((one) => one.x && one.y
      && (one.point.isMain || liesAlong(one.point, x) || liesAlong(one.point, y))
      && !(this.isLog("x") && one.x.value <= 0) && !(this.isLog("y") && one.y.value <= 0));
    const mains = wanted.filter((one) => one.point.isMain && !shown.includes(one)).length;
    return { shown, missing: mains };
  }

  palette() {
    return THEMES[this.theme.matches && !this.isPrinted ? "dark" : "light"];
  }

  colour(family) {
    const { light, dark } = this.families.get(family);
    return this.palette() === THEMES.dark ? dark : light;
  }

  draw() {
    const { shown, missing } = this.shown();
    this.drawn = shown;
    this.ranges = { x: this.range(shown, "x"), y: this.range(shown, "y") };
    const fronts = this.fronts(shown);
    const traces = [
      ...this.lines(shown), ...this.frontTraces(fronts), ...this.pointTraces(shown),
      ...this.ring(shown),
    ];
    const config = { responsive: true, displayModeBar: false, displaylogo: false, doubleClick: "reset" };
    Plotly.react(this.chart, traces, { ...this.layout(), annotations: this.frontNames(fronts.flat()) }, config);
    this.words.tell(shown, missing, fronts);
    this.words.offer(shown);
    this.words.listPoints();
  }

  pointTraces(shown) {
    const hasBars = this.hasBars(shown);
    const traces = [];
    const isMixed = this.isMixed(shown);
    for (const layer of this.layers.values()) {
      for (const family of this.families.values()) {
        const own = shown.filter(({ point }) => point.layer === layer.key && point.family === family.key);
        if (!own.length) continue;
        const colour = this.colour(family.key);
        const name = isMixed ? `${family.name}, ${layer.name}` : family.name;
        const bar = (axis) => ({
          type: "data", symmetric: false, visible: hasBars, color: colour, thickness: 1.2, width: 0,
          array: own.map(({ [axis]: one }) => (one.bar ? one.bar[1] - one.value : 0)),
          arrayminus: own.map(({ [axis]: one }) => (one.bar ? one.value - one.bar[0] : 0)),
        });
        traces.push({
          type: "scatter", mode: "markers", name: plotSafe(shortened(name, 40)),
          x: own.map((one) => one.x.value), y: own.map((one) => one.y.value),
          error_x: bar("x"), error_y: bar("y"), customdata: own.map((one) => one.place),
          hoverinfo: "text", hovertext: own.map((one) => this.words.hover(one)),
          marker: {
            symbol: family.symbol + (RINGS[layer.key] ?? (family.isFilled ? "" : "-open")),
            size: shown.length > 400 ? 7 : 9, color: colour, line: { width: 1.4, color: colour },
          },
        });
      }
    }
    return traces;
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
  // unstable seeds not at all.
  fronts(shown) {
    const [x, y] = [this.axis("x"), this.axis("y")];
    if (!document.getElementById("show-front").checked || !x.better || !y.better || x === y) return [];
    const groups = new Map();
    for (const one of shown.filter((point) => point.x.rankedWith !== null && point.y.rankedWith !== null)) {
      const key = [one.point.layer, one.x.rankedWith, one.y.rankedWith].join(" ");
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    return [...groups.values()].filter((group) => group.length > 1).map((group) => frontOf(group, x, y));
  }

  frontTraces(fronts) {
    const isMixed = this.isMixed(fronts.flat());
    return fronts.map((front, place) => {
      const layer = this.layers.get(front[0].point.layer);
      return {
        type: "scatter", mode: "lines", hoverinfo: "skip",
        name: isMixed ? `Pareto front, ${plotSafe(layer.name)}` : "Pareto front",
        legendgroup: `front ${layer.key}`,
        showlegend: fronts.findIndex((other) => other[0].point.layer === layer.key) === place,
        x: front.map((one) => one.x.value), y: front.map((one) => one.y.value),
        line: {
          shape: "hv", color: this.palette().muted, width: 1.3, dash: layer.key === "measured" ? "solid" : "dot",
        },
      };
    });
  }

  frontNames(points) {
    if (points.length > MOST_NAMES || this.chart.clientWidth < NARROW) return [];
    const [width, height] = [this.chart.clientWidth - 80, HEIGHT - 90];
    const place = (one, name) => (this.isLog(name) ? Math.log10(one[name].value) : one[name].value);
    const share = (one, name) => {
      const [low, high] = this.ranges[name];
      return (place(one, name) - low) / (high - low);
    };
    const spot = (one) => [share(one, "x") * width, (1 - share(one, "y")) * height];
    return namePlaces(points, this.drawn, spot, width, this.hasBars(this.drawn)).map(({ one, text, shift }) => ({
      x: place(one, "x"), y: place(one, "y"), xshift: shift[0], yshift: -shift[1],
      text: plotSafe(text), showarrow: false, font: { size: 11, color: this.palette().ink },
    }));
  }

  ring(shown) {
    const one = shown.find(({ place }) => place === this.chosen);
    if (!one) return [];
    const color = this.palette().ink;
    return [{
      type: "scatter", mode: "markers", hoverinfo: "skip", showlegend: false, x: [one.x.value], y: [one.y.value],
      marker: { symbol: "circle-open", size: 19, color, line: { width: 2.4, color } },
    }];
  }

  hasBars(shown) {
    return document.getElementById("show-bars").checked && shown.length <= MOST_BARS;
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
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, itemclick: false, itemdoubleclick: false },
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
