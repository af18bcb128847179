// The axes of the matrix: nested labels of the values of each imaging parameter.

const BAR_WIDTH = 14;
/** Height of the colour bar with its numbers and the gap to the matrix [px]. */
const BAR_HEIGHT = 68;
/** Least length of the colour bar beside the names of the rows' axes [px]. */
const SHORTEST_BAR = 130;
/** Space right of the matrix, for half of the colour bar's last number [px]. */
const MARGIN = 14;

/** Draw the labels of rows and columns, and lines between the values of the outermost axis. */
function drawAxes(context, view) {
  context.font = view.font;
  context.lineWidth = 1;
  drawRows(context, view);
  drawColumns(context, view);
  drawOwn(context, view);
  drawBar(context, view);
  context.strokeStyle = view.tones.ink;
  context.strokeRect(view.left - 0.5, view.top - 0.5, view.width + 1, view.height + 1);
}

function drawRows(context, view) {
  const { top, height, rows, tones } = view;
  rows.axes.forEach((_, level) => {
    const [x, width, upright] = [rows.starts[level], rows.sizes[level], rows.upright[level]];
    const middle = x + width / 2;
    const place = (row) => view.y(row);
    const needed = upright ? rows.widest[level] + 6 : LABEL_HEIGHT;
    const readable = drawRuns(context, tones, rows.runs[level], place, top, top + height, needed, {
      line: (y) => [x + 3, y, x + width, y],
      label: (text, y) => (upright ? putUpright : put)(context, text, middle, y, "center"),
    });
    if (!readable) putUpright(context, rows.ranges[level], middle, top + height / 2);
    // The name is below the matrix, at the end of a line from its strip.
    const y = Math.round(top + height) + 10.5 + NAME_HEIGHT * (rows.axes.length - 1 - level);
    const start = Math.round(middle) - 0.5;
    drawLine(context, [start, top + height + 3, start, y, start + 4, y]);
    put(context, rows.names[level], start + 7, y, "left");
  });
  context.fillStyle = tones.train;
  putUpright(context, "← trained at", 9, top + height / 2);
}

function drawColumns(context, view) {
  const { left, width, columns, tones } = view;
  columns.axes.forEach((_, level) => {
    const [y, size] = [columns.starts[level], columns.sizes[level]];
    const upright = columns.upright[level];
    const middle = y + size / 2 + 1;
    const place = (column) => view.x(column);
    const needed = upright ? LABEL_HEIGHT : columns.widest[level] + 4;
    const runs = columns.runs[level];
    const readable = drawRuns(context, tones, runs, place, left, left + width, needed, {
      line: (x) => [x, y + 3, x, y + size],
      label: (text, x) => (upright ? putUpright : put)(context, text, x, middle, "center"),
    });
    put(context, columns.names[level], left - GAP - 4, middle, "right");
    if (!readable) put(context, columns.ranges[level], left + width / 2, middle, "center");
  });
  context.fillStyle = tones.test;
  put(context, "tested at →", left + width / 2, 10, "center");
}

function drawLine(context, [x, y, ...further]) {
  context.beginPath();
  context.moveTo(x, y);
  for (let n = 0; n < further.length; n += 2) context.lineTo(further[n], further[n + 1]);
  context.stroke();
}

/**
 * Draw the values of an axis, and lines between them. Return whether the values can be read; if
 * not, the range of values should be drawn once.
 */
function drawRuns(context, tones, runs, place, low, high, needed, { line, label }) {
  const named = runs.filter(({ value }) => value !== null);
  const sizes = named.map(({ start, end }) => place(end) - place(start));
  context.strokeStyle = tones.edge;
  context.fillStyle = tones.ink;
  if (!(Math.min(...sizes) >= needed)) return false;
  runs.forEach(({ start, end, value }) => {
    const [first, last] = [Math.max(low, place(start)), Math.min(high, place(end))];
    if (last - first < 1) return;
    if (place(start) >= low) drawLine(context, line(Math.round(place(start)) + 0.5));
    if (last - first >= needed) label(value === null ? "mix" : short(value), (first + last) / 2);
  });
  return true;
}

/** Mark the cells in distribution, in which training condition and test condition are the same. */
function drawOwn(context, view) {
  const { x0, x1, y0, y1 } = view.shown;
  const [w, h] = [view.width / (x1 - x0), view.height / (y1 - y0)];
  if (Math.min(w, h) < 7) return;
  context.save();
  context.beginPath();
  context.rect(view.left, view.top, view.width, view.height);
  context.clip();
  OWN_TEST.forEach((j, i) => {
    if (j < 0) return;
    const [x, y] = [view.x(view.columns.rank[j]), view.y(view.rows.rank[i])];
    context.strokeStyle = "white";
    context.lineWidth = 1;
    context.strokeRect(x + 1.5, y + 1.5, w - 3, h - 3);
    context.strokeStyle = INK;
    context.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
  });
  context.restore();
}

/** Draw the colours of numbers, below the matrix. */
function drawBar(context, { colours, bar, missing, tones, barAt: { x, y, length } }) {
  for (let k = 0; k < 256; k++) {
    context.fillStyle = cssColour(colours[k]);
    context.fillRect(x + (k / 256) * length, y, (1 - k / 256) * length, BAR_WIDTH);
  }
  const [low, high] = bar.range;
  context.fillStyle = context.strokeStyle = tones.ink;
  for (const tick of ticks(low, high, Math.max(4, Math.floor(length / 50)))) {
    const at = x + ((tick - low) / (high - low)) * length;
    context.strokeRect(at, y + BAR_WIDTH, 0, 4);
    put(context, short(tick), at, y + BAR_WIDTH + 11, "center");
  }
  if (!missing) return;
  put(context, "no value", x + BAR_WIDTH + 5, y + BAR_WIDTH + 30, "left");
  context.fillStyle = cssColour(colours[256]);
  context.fillRect(x, y + BAR_WIDTH + 24, BAR_WIDTH, 12);
}

/** Return about `number` round numbers from low to high. */
function ticks(low, high, number) {
  const rough = (high - low) / number;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.75) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, n) => Number(((first + n) * step).toPrecision(12)));
}

function put(context, text, x, y, align) {
  context.textAlign = align;
  context.textBaseline = "middle";
  context.fillText(text, x, y);
}

function putUpright(context, text, x, y, align = "center") {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 2);
  put(context, text, 0, 0, align);
  context.restore();
}
