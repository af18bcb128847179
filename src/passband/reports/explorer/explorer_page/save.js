// Files that the page saves: the view as PNG and SVG, and the chosen networks as CSV.

function saveFile(name, blob) {
  const address = URL.createObjectURL(blob);
  const link = element("a", { href: address, download: `${STUDY.name}-${name}` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

/** Height of the title above a saved matrix [px]. */
const TITLE = 30;

function titleOf() {
  const group = GROUPS[state.group];
  const network = GROUPS.length > 1 ? `, ${group.label}` : "";
  return `${STUDY.name}: ${LABELS[state.metric].label}${network}`;
}

/** Do something while the matrix has the colours of paper, also on a dark page. */
function onPaper(action) {
  const { classList } = document.documentElement;
  classList.add("paper");
  view.draw();
  action();
  classList.remove("paper");
  view.draw();
}

function savePng() {
  const { canvas, scale } = view;
  const saved = element("canvas", { width: canvas.width, height: canvas.height + TITLE * scale });
  const context = saved.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, saved.width, saved.height);
  context.drawImage(canvas, 0, TITLE * scale);
  context.scale(scale, scale);
  context.fillStyle = INK;
  context.font = `bold 14px ${FONT}`;
  context.fillText(titleOf(), 12, 20);
  saved.toBlob((blob) => saveFile(`${state.metric}.png`, blob));
}

function saveSvg() {
  const width = view.canvas.width / view.scale;
  const height = view.canvas.height / view.scale + TITLE;
  const drawn = new SvgContext(view.canvas.getContext("2d"));
  drawAxes(drawn, view);
  const { columns, rows } = visibleCells();
  const small = element("canvas", { width: columns.length, height: rows.length });
  const context = small.getContext("2d");
  const image = context.createImageData(columns.length, rows.length);
  const pixels = new Uint32Array(image.data.buffer);
  rows.forEach((row, y) => {
    columns.forEach((column, x) => {
      const place = view.rows.order[row] * test.size + view.columns.order[column];
      pixels[y * columns.length + x] = view.colours[view.places[place]];
    });
  });
  context.putImageData(image, 0, 0);
  const cells = shape("image", {
    href: small.toDataURL(),
    x: view.x(columns[0]),
    y: view.y(rows[0]),
    width: view.x(columns.at(-1) + 1) - view.x(columns[0]),
    height: view.y(rows.at(-1) + 1) - view.y(rows[0]),
    preserveAspectRatio: "none",
    style: "image-rendering: pixelated",
  });
  const inside = { x: view.left, y: view.top, width: view.width, height: view.height };
  const whole = shape(
    "svg",
    { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT },
    shape("title", {}, titleOf()),
    shape("rect", { width, height, fill: "white" }),
    shape("text", { x: 12, y: 20, "font-size": 14, "font-weight": "bold", fill: INK }, titleOf()),
    shape("clipPath", { id: "inside" }, shape("rect", inside)),
    shape(
      "g",
      { transform: `translate(0 ${TITLE})` },
      shape("g", { "clip-path": "url(#inside)" }, cells),
      ...drawn.shapes,
    ),
  );
  const text = new XMLSerializer().serializeToString(whole);
  saveFile(`${state.metric}.svg`, new Blob([text], { type: "image/svg+xml" }));
}

/** Return the visible columns and rows, as places in the order. */
function visibleCells() {
  const { x0, x1, y0, y1 } = view.shown;
  const between = (low, high, size) => {
    const first = Math.floor(low);
    return Array.from({ length: Math.min(size, Math.ceil(high)) - first }, (_, n) => first + n);
  };
  return {
    columns: between(x0, x1, view.columns.order.length),
    rows: between(y0, y1, view.rows.order.length),
  };
}

/** What the drawing of the axes needs of a canvas, as shapes of an SVG picture. */
class SvgContext {
  constructor(canvas) {
    this.canvas = canvas;
    this.shapes = [];
    this.saved = [];
    this.place = { x: 0, y: 0, upright: false };
    Object.assign(this, { font: "", fillStyle: INK, strokeStyle: INK, lineWidth: 1 });
    Object.assign(this, { textAlign: "left", textBaseline: "middle", clipped: false, path: [] });
  }

  measureText(text) {
    this.canvas.font = this.font;
    return this.canvas.measureText(text);
  }

  save() {
    this.saved.push({ place: this.place, clipped: this.clipped });
  }

  restore() {
    Object.assign(this, this.saved.pop());
  }

  translate(x, y) {
    this.place = { ...this.place, x: this.place.x + x, y: this.place.y + y };
  }

  rotate() {
    this.place = { ...this.place, upright: true }; // all rotated text is upright
  }

  clip() {
    this.clipped = true;
  }

  rect() {}

  beginPath() {
    this.path = [];
  }

  moveTo(x, y) {
    this.path.push(`M${x},${y}`);
  }

  lineTo(x, y) {
    this.path.push(`L${x},${y}`);
  }

  stroke() {
    this.add("path", { d: this.path.join(""), fill: "none", ...this.lines });
  }

  strokeRect(x, y, width, height) {
    if (width === 0 || height === 0)
      this.add("path", { d: `M${x},${y}h${width}v${height}`, fill: "none", ...this.lines });
    else this.add("rect", { x, y, width, height, fill: "none", ...this.lines });
  }

  fillRect(x, y, width, height) {
    this.add("rect", { x, y, width, height, fill: this.fillStyle });
  }

  fillText(text, x, y) {
    const anchor = { left: "start", center: "middle", right: "end" }[this.textAlign];
    const { x: dx, y: dy, upright } = this.place;
    const [left, top] = [x + dx, y + dy];
    const turned = upright ? { transform: `rotate(-90 ${left} ${top})` } : {};
    const size = parseFloat(this.font);
    const own = { x: left, y: top + 0.35 * size, "font-size": size, "text-anchor": anchor };
    this.shapes.push(shape("text", { ...own, ...turned, fill: this.fillStyle }, text));
  }

  get lines() {
    return { stroke: this.strokeStyle, "stroke-width": this.lineWidth };
  }

  add(tag, attributes) {
    const clip = this.clipped ? { "clip-path": "url(#inside)" } : {};
    this.shapes.push(shape(tag, { ...attributes, ...clip }));
  }
}

/** Save all cells of the chosen networks, with the metric that is shown. */
async function saveBrush() {
  const group = GROUPS[state.group];
  const names = ["dice", "low", "high"].filter((name) => name in group.matrices);
  const metrics = names.includes(state.metric) ? names : [...names, state.metric];
  const columns = await Promise.all(
    metrics.map((name) => matrixOf(state.group, name, state.weight)),
  );
  const sides = ["train", "test"].flatMap((side) => AXES.map(({ name }) => `${side}_${name}`));
  const mixed = state.brush.some((i) => train.isMixture(i)) ? ["mixture"] : [];
  const head = ["specimen", "architecture", "test_specimen", ...mixed, ...sides, "networks", ...metrics];
  const lines = [head.join()];
  for (const i of state.brush) {
    for (let j = 0; j < test.size; j++) {
      const found = columns.map((matrix) => matrix[i * test.size + j]);
      lines.push(
        [
          ...[group.specimen, group.architecture, group.test_specimen].map(quoted),
          ...mixed.map(() => (train.isMixture(i) ? train.ids[i] : "")),
          ...train.values[i],
          ...test.values[j],
          group.networks[i],
          ...found.map((value) => (Number.isFinite(value) ? Number(value.toPrecision(6)) : "")),
        ].join(),
      );
    }
  }
  saveFile("networks.csv", new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
}

function quoted(text) {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
