// Numbers and texts as the page shows them. Nothing here touches the document.

const THIN = "\u202f"; // narrow no-break space, as in the report's tables
const SI = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"]];

function grouped(text) {
  const [whole, part] = text.split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  return (part ? `${spaced}.${part}` : spaced).replace(/^-/, "−");
}

function significant(value, digits) {
  if (value === 0) return "0";
  const decimals = digits - 1 - Math.floor(Math.log10(Math.abs(value)));
  return grouped(value.toFixed(Math.min(Math.max(decimals, 0), 12)));
}

// How each form of axis writes a number; see Form in plot_data.py.
const FORMS = {
  percent: (value) => grouped(value.toFixed(1)),
  number: (value) => (Math.abs(value) >= 100 ? grouped(value.toFixed(0)) : significant(value, 3)),
  exponent: (value) => String(Number(value.toPrecision(3))),
  si: (value) => {
    if (Math.abs(value) < 1e5) return FORMS.number(value);
    const [factor, unit] = SI.find(([size]) => Math.abs(value) >= size) ?? SI.at(-1);
    return `${significant(value / factor, 3)}${THIN}${unit}`;
  },
};

function tickText(value, form) {
  const text = FORMS[form](value);
  return text.includes(".") ? text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "") : text;
}

// Plotly reads some HTML in every text that it draws; these texts are data.
function plotSafe(text) {
  return text.replace(/\s+/g, (run) => (run === THIN ? run : " "))
    .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function shortened(text, most) {
  const characters = Array.from(text);
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}

// Lines of at most so many characters; a word that is longer is cut.
function wrapped(text, most) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const characters = Array.from(word);
    for (let start = 0; start === 0 || start < characters.length; start += most) {
      const piece = characters.slice(start, start + most).join("");
      const line = lines.at(-1);
      if (line && line.length + 1 + piece.length > most) lines.push(piece);
      else lines[lines.length - 1] = line ? `${line} ${piece}` : piece;
    }
  }
  return lines;
}

// Round numbers on a logarithmic axis: the shorter the axis, the more of each decade (as in bench/report/axes.py).
function logTicks(low, high, most) {
  const decades = Math.log10(high / low);
  const steps = [
    [0.3, [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9]], [0.8, [1, 2, 3, 5, 7]], [2.0, [1, 2, 5]], [3.2, [1, 3]],
  ];
  const numbers = steps.find(([length]) => decades < length)?.[1] ?? [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const number of numbers) {
      const tick = Number(`${number}e${power}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  if (ticks.length < 2) return linearTicks(low, high, most).filter((tick) => tick > 0);
  const every = Math.ceil(ticks.length / most);
  return ticks.filter((_, place) => place % every === 0);
}

// Round numbers on a linear axis, a step of 1, 2 or 5 apart.
function linearTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((number) => number * power).find((size) => size >= rough);
  const ticks = [];
  for (let count = Math.ceil(low / step); count * step <= high; count += 1) {
    ticks.push(Number((count * step).toPrecision(12)));
  }
  return ticks;
}
