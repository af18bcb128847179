// The matrix on a canvas: one row for each training condition, one column for each test condition.

const FONT = "system-ui, sans-serif";
/** Width below which the page has small letters [px]. */
const NARROW = 520;
/** Colours of marks on cells, which are the same on a light and on a dark page. */
const INK = "#1c1c1c";
const PICKED = "#c14a00";
/** Largest size of a cell in CSS pixels, in a matrix that is not zoomed. */
const LARGEST_CELL = 110;
/** Cells are squares, unless a side of the matrix would be shorter than this [px]. */
const SHORTEST_SIDE = 160;
/** Gap between the matrix and its axes. */
const GAP = 4;
/** Width of a strip of labels across the text [px]. */
const STRIP = 19;
/** Height of a label with the gap to the next one. */
const LABEL_HEIGHT = 13;
/** Height of the name of an axis of the rows. */
const NAME_HEIGHT = 15;
/** Fewest cells along a side of the visible part of a matrix. */
const FEWEST_CELLS = 2;

class MatrixView {
  /**
   * `canvas` shows the matrix and its axes; `overlay` lies over it and shows what follows the
   * pointer. `on` has the functions hover(cell, x, y), pick(cell), brush(rows, added), and moved().
   * A cell is [i, j], the places of its training condition and its test condition.
   */
  constructor(canvas, overlay, on) {
    Object.assign(this, { canvas, overlay, on, view: null, hovered: null, picked: null });
    this.brushed = new Set();
    this.listen();
  }

  /** Set the order of rows and columns: the axes of each side, the outermost first. */
  order(rowAxes, columnAxes) {
    this.rows = { side: train, axes: rowAxes, order: train.sorted(rowAxes) };
    this.columns = { side: test, axes: columnAxes, order: test.sorted(columnAxes) };
    for (const side of [this.rows, this.columns]) {
      side.runs = side.side.runs(side.order, side.axes);
      const size = ({ start, end, value }) => (value === null ? Infinity : end - start);
      side.shortest = side.runs.map((runs) => Math.min(...runs.map(size)));
      side.rank = new Int32Array(side.order.length);
      side.order.forEach((place, n) => (side.rank[place] = n));
    }
    this.view = null;
  }

  /** Set the numbers, as places in a colour map, and the colour map. */
  colour(places, colours) {
    Object.assign(this, { places, colours, missing: places.includes(256) });
  }

  /** Return the visible part: the first and the last row and column, as fractions of cells. */
  get shown() {
    return this.view ?? { x0: 0, x1: this.columns.order.length, y0: 0, y1: this.rows.order.length };
  }

  // ── Sizes ──────────────────────────────────────────────────────────────────────────────────────

  /** Compute the sizes of the matrix and of its axes from the space on the page, or on paper. */
  arrange(
    available = this.canvas.parentElement.clientWidth,
    most = Math.max(560, window.innerHeight - 130),
    scale = window.devicePixelRatio || 1,
  ) {
    const context = this.canvas.getContext("2d");
    const narrow = available < NARROW;
    this.font = context.font = `${narrow ? 10 : 12}px ${FONT}`;
    const wide = (text) => Math.ceil(context.measureText(text).width);
    const sum = (sizes) => sizes.reduce((a, b) => a + b, 0);
    for (const side of [this.rows, this.columns]) {
      side.names = side.axes.map(axisTitle);
      side.ranges = side.axes.map((a) => {
        const levels = side.side.levels[a];
        return `${short(levels[0])}…${short(levels.at(-1))} →`;
      });
      side.widest = side.axes.map((a) => Math.max(...side.side.levels[a].map(short).map(wide)));
      side.upright = side.axes.map(() => false);
    }
    const names = Math.max(...this.columns.names.map(wide));
    const [m, n] = [this.rows.order.length, this.columns.order.length];
    const bottom = Math.max(BAR_HEIGHT, 10 + NAME_HEIGHT * this.rows.axes.length);
    let [left, top, width, height] = [0, 0, 0, 0];
    const fit = () => {
      const along = (size) => size + (narrow ? 6 : 14);
      const { rows, columns } = this;
      rows.sizes = rows.widest.map((size, k) => (rows.upright[k] ? STRIP : along(size)));
      columns.sizes = columns.widest.map((size, k) => (columns.upright[k] ? along(size) : STRIP));
      left = 20 + Math.max(sum(this.rows.sizes), names + 4) + GAP;
      top = 20 + sum(this.columns.sizes) + GAP;
      width = Math.max(120, Math.min(available - left - MARGIN, n * LARGEST_CELL));
      height = Math.max(120, Math.min(most - top - bottom, m * LARGEST_CELL));
      const cell = Math.min(width / n, height / m);
      if (cell * n >= SHORTEST_SIDE) width = Math.floor(cell * n);
      if (cell * m >= SHORTEST_SIDE) height = Math.floor(cell * m);
    };
    fit();
    // Labels that do not fit beside each other are upright.
    this.rows.upright = this.rows.shortest.map((rows) => (rows * height) / m < LABEL_HEIGHT);
    this.columns.upright = this.columns.shortest.map((columns, level) => {
      const size = (columns * width) / n;
      return size < this.columns.widest[level] + 4 && size >= LABEL_HEIGHT;
    });
    fit();
    const starts = ({ sizes }, end) => {
      let start = end - GAP - sum(sizes);
      return sizes.map((size) => (start += size) - size);
    };
    this.rows.starts = starts(this.rows, left);
    this.columns.starts = starts(this.columns, top);
    // The colour bar is right of the names of the rows' axes, or below them.
    const { names: words, sizes } = this.rows;
    const named = this.rows.starts.map((start, k) => start + sizes[k] + wide(words[k]));
    const beside = Math.max(left, ...named) + 16;
    const end = top + height + bottom;
    const below = left + width - beside < SHORTEST_BAR;
    const [x, y] = below ? [20, end + 4] : [beside, top + height + 12];
    this.barAt = { x, y, length: Math.min(260, left + width - x) };
    Object.assign(this, { left, top, width, height, scale });
    const full = { width: left + width + MARGIN, height: below ? end + BAR_HEIGHT : end };
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.round(full.width * this.scale);
      canvas.height = Math.round(full.height * this.scale);
      canvas.style.width = `${full.width}px`;
      canvas.style.height = `${full.height}px`;
    }
  }

  /** Return the place in CSS pixels of a number of rows or columns. */
  x(column) {
    const { x0, x1 } = this.shown;
    return this.left + ((column - x0) / (x1 - x0)) * this.width;
  }

  y(row) {
    const { y0, y1 } = this.shown;
    return this.top + ((row - y0) / (y1 - y0)) * this.height;
  }

  /** Return the cell at a place in CSS pixels, or null. */
  cellAt(x, y) {
    const { x0, x1, y0, y1 } = this.shown;
    const u = (x - this.left) / this.width;
    const v = (y - this.top) / this.height;
    if (!(u >= 0 && u < 1 && v >= 0 && v < 1)) return null;
    const column = this.columns.order[Math.floor(x0 + u * (x1 - x0))];
    const row = this.rows.order[Math.floor(y0 + v * (y1 - y0))];
    return row === undefined || column === undefined ? null : [row, column];
  }

  /** Return the centre of a cell in CSS pixels. */
  centre([i, j]) {
    return [this.x(this.columns.rank[j] + 0.5), this.y(this.rows.rank[i] + 0.5)];
  }

  // ── Drawing ────────────────────────────────────────────────────────────────────────────────────

  draw() {
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    this.tones = pageColours();
    context.fillStyle = this.tones.paper;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawCells(context);
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    drawAxes(context, this);
    this.drawOverlay();
  }

  /** Draw the cells. Each pixel has the colour of the cell at its centre, without smoothing. */
  drawCells(context) {
    const { x0, x1, y0, y1 } = this.shown;
    const [left, top] = [Math.round(this.left * this.scale), Math.round(this.top * this.scale)];
    const width = Math.round(this.width * this.scale);
    const height = Math.round(this.height * this.scale);
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const columns = new Int32Array(width);
    for (let x = 0; x < width; x++)
      columns[x] = this.columns.order[Math.floor(x0 + ((x + 0.5) / width) * (x1 - x0))];
    const n = this.columns.order.length;
    let earlier = -1;
    for (let y = 0; y < height; y++) {
      const row = this.rows.order[Math.floor(y0 + ((y + 0.5) / height) * (y1 - y0))];
      const start = y * width;
      if (row === earlier) {
        pixels.copyWithin(start, start - width, start);
        continue;
      }
      earlier = row;
      const first = row * n;
      for (let x = 0; x < width; x++)
        pixels[start + x] = this.colours[this.places[first + columns[x]]];
    }
    context.putImageData(image, left, top);
  }

  drawOverlay() {
    const context = this.overlay.getContext("2d");
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    this.drawMarks(context);
  }

  /** Draw what follows the pointer: the cell below it, the picked cell, the brushed networks. */
  drawMarks(context) {
    const { x0, x1, y0, y1 } = this.shown;
    context.save();
    context.beginPath();
    context.rect(this.left - GAP, this.top - 1, this.width + GAP + 1, this.height + 2);
    context.clip();
    context.fillStyle = this.tones.test;
    for (const i of this.brushed) {
      const row = this.rows.rank[i];
      const size = Math.max(1, this.y(row + 1) - this.y(row));
      context.fillRect(this.left - GAP, this.y(row), GAP, size);
    }
    const box = ([i, j], colour, width) => {
      const [row, column] = [this.rows.rank[i], this.columns.rank[j]];
      const [x, y] = [this.x(column), this.y(row)];
      const [w, h] = [this.width / (x1 - x0), this.height / (y1 - y0)];
      context.strokeStyle = "white";
      context.lineWidth = width + 2;
      context.strokeRect(x, y, w, h);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(x, y, w, h);
    };
    if (this.hovered) {
      const [x, y] = this.centre(this.hovered);
      context.strokeStyle = "rgb(0 0 0 / 35%)";
      context.lineWidth = 1;
      context.strokeRect(this.left - 1, y, this.width + 2, 0);
      context.strokeRect(x, this.top - 1, 0, this.height + 2);
      box(this.hovered, INK, 1.5);
    }
    if (this.picked) box(this.picked, PICKED, 2.5);
    if (this.marked) {
      context.fillStyle = "rgb(193 74 0 / 25%)";
      context.fillRect(this.left, this.marked[0], this.width, this.marked[1] - this.marked[0]);
    }
    context.restore();
  }

  // ── Moving ─────────────────────────────────────────────────────────────────────────────────────

  /** Show a part of the matrix, within its borders. */
  show(x0, x1, y0, y1) {
    const [m, n] = [this.rows.order.length, this.columns.order.length];
    const within = (low, high, size) => {
      const length = Math.min(size, Math.max(Math.min(FEWEST_CELLS, size), high - low));
      const start = Math.min(size - length, Math.max(0, (low + high - length) / 2));
      return [start, start + length];
    };
    [x0, x1] = within(x0, x1, n);
    [y0, y1] = within(y0, y1, m);
    this.view = x1 - x0 === n && y1 - y0 === m ? null : { x0, x1, y0, y1 };
    this.draw();
    this.on.moved();
  }

  /** Enlarge by a factor, so that the place (x, y) in CSS pixels does not move. */
  zoom(factor, x = this.left + this.width / 2, y = this.top + this.height / 2) {
    const { x0, x1, y0, y1 } = this.shown;
    const u = Math.min(1, Math.max(0, (x - this.left) / this.width));
    const v = Math.min(1, Math.max(0, (y - this.top) / this.height));
    const [cx, cy] = [x0 + u * (x1 - x0), y0 + v * (y1 - y0)];
    const [w, h] = [(x1 - x0) / factor, (y1 - y0) / factor];
    this.show(cx - u * w, cx + (1 - u) * w, cy - v * h, cy + (1 - v) * h);
  }

  /** Move by a distance in CSS pixels from an earlier visible part. */
  pan(from, dx, dy) {
    const x = (dx / this.width) * (from.x1 - from.x0);
    const y = (dy / this.height) * (from.y1 - from.y0);
    const [m, n] = [this.rows.order.length, this.columns.order.length];
    const a = Math.min(n - from.x1, Math.max(-from.x0, -x));
    const b = Math.min(m - from.y1, Math.max(-from.y0, -y));
    this.show(from.x0 + a, from.x1 + a, from.y0 + b, from.y1 + b);
  }

  /** Move the hovered cell by rows and columns, and keep it visible. */
  step(rows, columns) {
    const [i, j] = this.hovered ?? this.picked ?? [this.rows.order[0], this.columns.order[0]];
    const limited = (value, size) => Math.min(size - 1, Math.max(0, value));
    const row = limited(this.rows.rank[i] + rows, this.rows.order.length);
    const column = limited(this.columns.rank[j] + columns, this.columns.order.length);
    const { x0, x1, y0, y1 } = this.shown;
    const dx = Math.min(0, column - x0) + Math.max(0, column + 1 - x1);
    const dy = Math.min(0, row - y0) + Math.max(0, row + 1 - y1);
    if (dx || dy) this.show(x0 + dx, x1 + dx, y0 + dy, y1 + dy);
    this.hover([this.rows.order[row], this.columns.order[column]]);
  }

  hover(cell, x, y) {
    const same = cell?.[0] === this.hovered?.[0] && cell?.[1] === this.hovered?.[1];
    this.hovered = cell;
    if (!same) this.drawOverlay();
    if (cell && x === undefined) [x, y] = this.centre(cell);
    this.on.hover(cell, x, y);
  }

  // ── Events ─────────────────────────────────────────────────────────────────────────────────────

  listen() {
    const target = this.overlay;
    const at = (event) => {
      const box = target.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    let pressed = null;
    target.onpointerdown = (event) => {
      if (event.button !== 0) return;
      const [x, y] = at(event);
      const brush = event.shiftKey && this.cellAt(x, y) !== null;
      pressed = { x, y, from: this.shown, moved: false, brush };
      target.setPointerCapture(event.pointerId);
    };
    target.onpointermove = (event) => {
      const [x, y] = at(event);
      if (pressed) {
        pressed.moved ||= Math.hypot(x - pressed.x, y - pressed.y) > 4;
        if (pressed.moved && pressed.brush) {
          this.marked = [Math.min(y, pressed.y), Math.max(y, pressed.y)];
          this.drawOverlay();
        } else if (pressed.moved && this.view) this.pan(pressed.from, x - pressed.x, y - pressed.y);
      }
      this.hover(this.cellAt(x, y), x, y);
    };
    target.onpointerup = (event) => {
      const [x, y] = at(event);
      const { moved, brush, y: start } = pressed ?? { moved: true };
      pressed = null;
      this.marked = null;
      if (brush && moved) {
        this.on.brush(this.rowsBetween(Math.min(start, y), Math.max(start, y)), event.ctrlKey);
      } else if (!moved) {
        const cell = this.cellAt(x, y);
        if (cell && brush) this.on.brush([cell[0]], true);
        else if (cell) this.on.pick(cell);
        else if (this.runAt(x, y)) this.on.brush(this.runAt(x, y), event.ctrlKey || event.shiftKey);
      }
      this.drawOverlay();
    };
    target.onpointerleave = () => this.hover(null);
    target.onpointercancel = () => (pressed = this.marked = null);
    target.ondblclick = (event) => {
      if (this.cellAt(...at(event))) this.show(0, Infinity, 0, Infinity);
    };
    target.addEventListener(
      "wheel",
      (event) => {
        const [x, y] = at(event);
        if (!this.cellAt(x, y)) return;
        event.preventDefault();
        this.zoom(Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) / 300), x, y);
      },
      { passive: false },
    );
    target.onkeydown = (event) => {
      const steps = {
        ArrowUp: [-1, 0],
        ArrowDown: [1, 0],
        ArrowLeft: [0, -1],
        ArrowRight: [0, 1],
        PageUp: [-10, 0],
        PageDown: [10, 0],
        Home: [0, -Infinity],
        End: [0, Infinity],
      };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in steps) this.step(...steps[event.key]);
      else if (event.key === "Enter" && this.hovered) this.on.pick(this.hovered);
      else if (event.key === "+" || event.key === "=") this.zoomAtCell(1.5);
      else if (event.key === "-") this.zoomAtCell(1 / 1.5);
      else if (event.key === "0") this.show(0, Infinity, 0, Infinity);
      else if (event.key.toLowerCase() === "b" && this.hovered) this.on.brush([this.hovered[0]], true);
      else if (event.key === "Escape") this.on.brush([], false);
      else return;
      event.preventDefault();
    };
  }

  zoomAtCell(factor) {
    if (this.hovered) this.zoom(factor, ...this.centre(this.hovered));
    else this.zoom(factor);
  }

  /** Return the training conditions of the rows between two places in CSS pixels. */
  rowsBetween(low, high) {
    return Array.from(this.rows.order).filter((_, row) => this.y(row + 1) > low && this.y(row) < high);
  }

  /** Return the training conditions below a label of the rows' axes, or null. */
  runAt(x, y) {
    const { starts, sizes, runs, order } = this.rows;
    const level = starts.findIndex((start, k) => x >= start && x < start + sizes[k]);
    if (level < 0 || y < this.top || y >= this.top + this.height) return null;
    const { y0, y1 } = this.shown;
    const row = Math.floor(y0 + ((y - this.top) / this.height) * (y1 - y0));
    const run = runs[level].find(({ start, end }) => start <= row && row < end);
    return Array.from(order.subarray(run.start, run.end));
  }
}
