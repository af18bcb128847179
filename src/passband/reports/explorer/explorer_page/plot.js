// Small plots of curves, as SVG.

/** Width of the label of a vertical line, with the gaps on both sides [px]. */
const MARK_WIDTH = 28;
const PLOT = { left: 44, right: 16, top: 8, bottom: 34 };

/**
 * Return a plot.
 *
 * x: {label, range, log, ticks}, y: {label, range}; curves: {x, y, colour, dash, width, dots};
 * bands: {x, low, high, colour}; marks: vertical lines {x, label, colour, dash}. A curve has a gap
 * where y is NaN. `description` is read by screen readers.
 */
function plot({ width, height, x, y, curves = [], bands = [], marks = [], description }) {
  const [w, h] = [width - PLOT.left - PLOT.right, height - PLOT.top - PLOT.bottom];
  const scaled = (value) => (x.log ? Math.log10(value) : value);
  const [first, last] = x.range.map(scaled);
  const span = last > first ? last - first : 1;
  const [low, high] = y.range;
  const px = (value) => PLOT.left + (last > first ? (scaled(value) - first) / span : 0.5) * w;
  const py = (value) => PLOT.top + (1 - (value - low) / (high - low)) * h;
  const made = shape("svg", {
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": description,
    class: "plot",
  });
  for (const tick of ticks(low, high, Math.max(2, Math.floor(h / 34)))) {
    made.append(
      shape("line", { x1: PLOT.left, x2: PLOT.left + w, y1: py(tick), y2: py(tick), class: "grid" }),
      shape("text", { x: PLOT.left - 5, y: py(tick) + 4, class: "end" }, short(tick)),
    );
  }
  for (const tick of thinned(x.ticks ?? ticks(first, last, Math.floor(w / 60)), px)) {
    made.append(
      shape("line", { x1: px(tick), x2: px(tick), y1: PLOT.top + h, y2: PLOT.top + h + 4, class: "axis" }),
      shape("text", { x: px(tick), y: PLOT.top + h + 15, class: "middle" }, short(tick)),
    );
  }
  for (const { x: at, low: lower, high: upper, colour } of bands) {
    const points = [...at].map((value, n) => [value, lower[n], upper[n]]);
    for (const run of runsOf(points)) {
      const there = run.map(([value, , b]) => `${px(value).toFixed(1)},${py(b).toFixed(1)}`);
      const back = run.map(([value, a]) => `${px(value).toFixed(1)},${py(a).toFixed(1)}`).reverse();
      made.append(shape("polygon", { points: [...there, ...back].join(" "), fill: colour, opacity: 0.18 }));
    }
  }
  marks.forEach(({ x: at, label, colour, dash }, n) => {
    if (scaled(at) < first - 1e-9 || scaled(at) > last + 1e-9) return;
    made.append(
      shape("line", {
        x1: px(at), x2: px(at), y1: PLOT.top, y2: PLOT.top + h,
        stroke: colour, "stroke-dasharray": dash, "stroke-width": 1.2,
      }),
    );
    // A label is right of its line, unless the next line is there.
    const before = n + 1 < marks.length && px(marks[n + 1].x) - px(at) < MARK_WIDTH;
    const place = { x: px(at) + (before ? -3 : 3), y: PLOT.top + 10 + 12 * (n % 2) };
    const text = { ...place, fill: colour, class: before ? "mark end" : "mark" };
    if (label) made.append(shape("text", text, label));
  });
  for (const { x: at, y: values, colour, dash, width: thick = 1.6, dots } of curves) {
    for (const run of runsOf([...at].map((value, n) => [value, values[n]]))) {
      const points = run.map(([a, b]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join(" ");
      made.append(
        shape("polyline", {
          points, fill: "none", stroke: colour, "stroke-width": thick, "stroke-dasharray": dash,
        }),
      );
      if (dots)
        made.append(
          ...run.map(([a, b]) => shape("circle", { cx: px(a), cy: py(b), r: 2.6, fill: colour })),
        );
    }
  }
  made.append(
    shape("path", {
      d: `M${PLOT.left},${PLOT.top}V${PLOT.top + h}H${PLOT.left + w}`, fill: "none", class: "axis",
    }),
    shape("text", { x: PLOT.left + w / 2, y: height - 4, class: "middle" }, x.label),
    shape(
      "text",
      { x: 11, y: PLOT.top + h / 2, class: "middle", transform: `rotate(-90 11 ${PLOT.top + h / 2})` },
      y.label,
    ),
  );
  return made;
}

/** Return the runs of points whose numbers are all known. */
function runsOf(points) {
  const runs = [];
  let open = false;
  for (const point of points) {
    const known = point.every(Number.isFinite);
    if (known && open) runs.at(-1).push(point);
    else if (known) runs.push([point]);
    open = known;
  }
  return runs;
}

/** Return the ticks whose labels do not overlap. */
function thinned(values, place) {
  const kept = [];
  for (const value of values) {
    const size = 7 * short(value).length;
    if (!kept.length || place(value) - place(kept.at(-1)) > size) kept.push(value);
  }
  return kept;
}

/** Return a legend: words after a piece of each line. */
function legend(entries) {
  return element(
    "p",
    { class: "legend" },
    ...entries.map(([colour, words, dash]) =>
      element(
        "span",
        {},
        shape(
          "svg",
          { width: 24, height: 8, "aria-hidden": "true" },
          shape("line", {
            x1: 0, x2: 24, y1: 4, y2: 4, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash,
          }),
        ),
        ` ${words}`,
      ),
    ),
  );
}
