// The axes of the matrix: nested labels of the values of each imaging parameter.

const BAR_WIDTH = 14;
/** Width that the colour bar and its numbers need. */
const BAR_MARGIN = 88;

/** Draw the labels of rows and columns, and lines between the values of the outermost axis. */
function drawAxes(context, view) {
  context.font = view.font;
  context.lineWidth = 1;
  drawRows(context, view);
  drawColumns(context, view);
  drawOwn(context, view);
  drawBar(context, view);
  context.strokeStyle = INK;
  context.strokeRect(view.left - 0.5, view.top - 0.5, view.width + 1, view.height + 1);
}

function drawRows(context, view) {
  const { left, top, height, rows } = view;
  let right = left - GAP;
  const starts = rows.widths.map(() => 0);
  for (let level = rows.axes.length - 1; level >= 0; level--) {
    starts[level] = right - rows.widths[level];
    right = starts[level];
  }
  rows.axes.forEach((axis, level) => {
    const [x, width, slim] = [starts[level], rows.widths[level], rows.slim[level]];
    const middle = x + width / 2;
    const widest = Math.max(
      ...rows.side.levels[axis].map((value) => context.measureText(short(value)).width),
    );
    const place = (row) => view.y(row);
    const needed = slim ? widest + 6 : LABEL_HEIGHT;
    const readable = drawRuns(context, rows.runs[level], place, top, top + height, needed, {
      line: (y) => [x + 3, y, x + width, y],
      label: (text, y) =>
        slim ? putUpright(context, text, middle, y) : put(context, text, middle, y, "center"),
    });
    context.fillStyle = INK;
    if (!readable) putUpright(context, rows.ranges[level], middle, top + height / 2);
    if (slim) putUpright(context, rows.names[level][0], middle, top + height + 6, "right");
    else
      rows.names[level].forEach((word, n) =>
        put(context, word, middle, top + height + 11 + 14 * n, "center"),
      );
  });
  context.fillStyle = LINES.train;
  putUpright(context, "← trained at", 9, top + height / 2);
}

function drawColumns(context, view) {
  const { left, top, width, columns } = view;
  columns.axes.forEach((_, level) => {
    const y = top - GAP - STRIP_HEIGHT * (columns.axes.length - level);
    const place = (column) => view.x(column);
    const widest = Math.max(...columns.side.levels[columns.axes[level]].map(
      (value) => context.measureText(short(value)).width));
    const readable = drawRuns(context, columns.runs[level], place, left, left + width, widest + 4, {
      line: (x) => [x, y + 3, x, y + STRIP_HEIGHT],
      label: (text, x) => put(context, text, x, y + STRIP_HEIGHT / 2 + 1, "center"),
    });
    context.fillStyle = INK;
    put(context, columns.names[level].join(" "), left - GAP - 4, y + STRIP_HEIGHT / 2 + 1, "right");
    if (!readable)
      put(context, columns.ranges[level], left + width / 2, y + STRIP_HEIGHT / 2 + 1, "center");
  });
  context.fillStyle = LINES.test;
  put(context, "tested at →", left + width / 2, 10, "center");
}

/**
 * Draw the values of an axis, and lines between them. Return whether the values can be read; if
 * not, the range of values should be drawn once.
 */
function drawRuns(context, runs, place, low, high, needed, { line, label }) {
  const named = runs.filter(({ value }) => value !== null);
  const sizes = named.map(({ start, end }) => place(end) - place(start));
  const readable = Math.min(...sizes) >= needed;
  if (!readable) return false;
  context.strokeStyle = FAINT;
  context.fillStyle = INK;
  runs.forEach(({ start, end, value }) => {
    const [first, last] = [Math.max(low, place(start)), Math.min(high, place(end))];
    if (last - first < 1) return;
    if (place(start) >= low) {
      const [x0, y0, x1, y1] = line(Math.round(place(start)) + 0.5);
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      context.stroke();
    }
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

/** Draw the colours of numbers, right of the matrix, or below a narrow matrix. */
function drawBar(context, { left, top, width, height, colours, bar, narrow, bottom }) {
  const size = narrow ? width : Math.min(height, 260);
  const x = narrow ? left : left + width + 16;
  const y = narrow ? top + height + bottom : top;
  for (let k = 0; k < 256; k++) {
    const start = (k / 256) * size;
    context.fillStyle = cssColour(colours[narrow ? k : 255 - k]);
    if (narrow) context.fillRect(x + start, y, size / 256 + 1, BAR_WIDTH);
    else context.fillRect(x, y + start, BAR_WIDTH, size / 256 + 1);
  }
  const [low, high] = bar.range;
  context.fillStyle = INK;
  context.strokeStyle = INK;
  for (const tick of ticks(low, high, Math.max(4, Math.floor(size / 50)))) {
    const share = (tick - low) / (high - low);
    if (narrow) {
      context.strokeRect(x + share * size, y + BAR_WIDTH, 0, 4);
      put(context, short(tick), x + share * size, y + BAR_WIDTH + 11, "center");
    } else {
      context.strokeRect(x + BAR_WIDTH, y + (1 - share) * size, 4, 0);
      put(context, short(tick), x + BAR_WIDTH + 7, y + (1 - share) * size, "left");
    }
  }
  if (narrow || size + 40 > height) return;
  context.fillStyle = cssColour(colours[256]);
  context.fillRect(x, y + size + 14, BAR_WIDTH, 12);
  context.fillStyle = INK;
  put(context, "no value", x + BAR_WIDTH + 5, y + size + 20, "left");
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
  context.fillStyle = context.fillStyle || INK;
  put(context, text, 0, 0, align);
  context.restore();
}
