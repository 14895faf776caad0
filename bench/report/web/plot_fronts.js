// Which points lie on which axes and fronts, and where their bars are. Nothing here touches the document.

// Objects from the columns that they are stored in.
function rowsOf(columns) {
  const keys = Object.keys(columns);
  return (columns[keys[0]] ?? []).map((_, row) => Object.fromEntries(keys.map((key) => [key, columns[key][row]])));
}

function pointsOf({ points, values }) {
  const made = rowsOf(points).map((point) => ({ ...point, values: {} }));
  for (const [axis, columns] of Object.entries(values)) {
    for (const { place, ...value } of rowsOf(columns)) made[place].values[axis] = value;
  }
  return made;
}

function valueOn(point, axis, other) {
  return point.values[`${axis}@${other}`] ?? point.values[axis];
}

// The points that no other beats, from the cheapest on; each further one costs more and gains more.
function frontOf(shown, x, y) {
  const [signX, signY] = [x.better === "high" ? -1 : 1, y.better === "low" ? -1 : 1];
  const ordered = [...shown].sort((a, b) => signX * (a.x.value - b.x.value) || signY * (b.y.value - a.y.value));
  const front = [];
  for (const one of ordered) {
    const last = front.at(-1);
    const isTie = last && last.x.value === one.x.value && last.y.value === one.y.value;
    if (!last || isTie || signY * (one.y.value - last.y.value) > 0) front.push(one);
  }
  return front;
}

// At most so many points of a front: those without which the area under it would shrink most. spot: point -> x and y.
function thinned(front, most, spot) {
  const kept = [...front];
  while (kept.length > most) {
    const spots = kept.map(spot);
    const lost = spots.map(([x, y], place) => {
      const [before, after] = [spots[place - 1], spots[place + 1]];
      return before && after ? Math.abs((after[0] - x) * (y - before[1])) : Infinity; // both ends stay
    });
    kept.splice(lost.indexOf(Math.min(...lost)), 1);
  }
  return kept;
}

function isEstimated({ x, y }) {
  return x.kind === "estimated" || y.kind === "estimated";
}

// Where the interval bars of a point lie, in pixels. spot: point -> pixel.
function barBoxes(one, spot) {
  return ["x", "y"].filter((name) => one[name].bar).map((name) => {
    const ends = one[name].bar.map((value) => spot({ ...one, [name]: { value } }));
    const [across, down] = [ends.map(([x]) => x), ends.map(([, y]) => y)];
    return [Math.min(...across) - 1, Math.min(...down) - 1, Math.max(...across) + 1, Math.max(...down) + 1];
  });
}

function liesAlong(point, axis) {
  return point.along[axis] !== undefined;
}

// Names beside points of fronts, where they cover neither another name nor another point nor its bars: each point that
// has room, with its text and the way from the point to the middle of the text. spot: point -> pixel; width: px.
function namePlaces(points, drawn, spot, width, hasBars) {
  const taken = drawn.map(spot).map(([x, y]) => [x - 5, y - 5, x + 5, y + 5]);
  if (hasBars) taken.push(...drawn.flatMap((one) => barBoxes(one, spot)));
  const names = [];
  for (const one of points) {
    const text = shortened(one.point.label, 36);
    const [[x, y], half] = [spot(one), 3.3 * Array.from(text).length];
    const shifts = [[0, -14], [-half - 5, -12], [0, 14], [half + 9, 0], [-half - 9, 0], [half + 5, 12]];
    const boxes = shifts.map(([right, down]) => [x + right - half, y + down - 7, x + right + half, y + down + 7]);
    const free = boxes.findIndex(([left, top, right, bottom]) => left > 0 && right < width
      && taken.every((box) => right < box[0] || left > box[2] || bottom < box[1] || top > box[3]));
    if (free < 0) continue;
    taken.push(boxes[free]);
    names.push({ one, text, shift: shifts[free] });
  }
  return names;
}
