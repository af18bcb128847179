// What the page shows, which is also in the page's address, so that a view can be kept and shared.

/** The axes that vary, in the order of the report: that with the largest loss is the outermost. */
const DEFAULT_AXES = VARYING.length ? content.order.filter((a) => VARYING.includes(a)) : [0];

/** Return the state at the page's first visit. */
function defaultState() {
  return {
    group: 0,
    metric: "dice",
    weight: 0,
    rows: [...DEFAULT_AXES],
    columns: [...DEFAULT_AXES],
    colours: null, // null: the colour map that suits the metric
    low: null,
    high: null,
    view: null,
    cell: null,
    brush: [],
    tab: null,
    microscope: null,
  };
}

/** Return the state as text for the page's address; defaults are left out. */
function writeState(state) {
  const plain = defaultState();
  const words = {
    group: String,
    metric: String,
    weight: String,
    rows: (axes) => axes.map((a) => AXES[a].name).join(),
    columns: (axes) => axes.map((a) => AXES[a].name).join(),
    colours: String,
    low: String,
    high: String,
    view: ({ x0, x1, y0, y1 }) => [x0, x1, y0, y1].map((v) => Number(v.toFixed(3))).join(),
    cell: ([i, j]) => `${train.ids[i]}~${test.ids[j]}`,
    brush: writeNumbers,
    tab: String,
    microscope: (values) => values.join(),
  };
  const parts = [];
  for (const [name, word] of Object.entries(words)) {
    if (JSON.stringify(state[name]) === JSON.stringify(plain[name])) continue;
    parts.push(`${name}=${encodeURIComponent(word(state[name])).replaceAll("%2C", ",")}`);
  }
  return parts.join("&");
}

/** Return the state that a page's address describes. What is not valid is left out. */
function readState(text) {
  const state = defaultState();
  const given = new Map(text.split("&").map((part) => part.split("=").map(decodeURIComponentSafe)));
  const number = (name) => (given.has(name) && given.get(name) !== "" ? Number(given.get(name)) : NaN);
  const numbersIn = (name) => (given.get(name) ?? "").split(",").map(Number);
  if (GROUPS[number("group")]) state.group = number("group");
  if (metricsOf(GROUPS[state.group]).includes(given.get("metric"))) state.metric = given.get("metric");
  if (TRANSFER.weights[number("weight")]) state.weight = number("weight");
  for (const name of ["rows", "columns"]) {
    const axes = (given.get(name) ?? "").split(",").map((word) => AXES.findIndex((a) => a.name === word));
    const same = (a, b) => a.length === b.length && b.every((axis) => a.includes(axis));
    if (same(axes, DEFAULT_AXES)) state[name] = axes;
  }
  if (content.colours.some((map) => map.name === given.get("colours")))
    state.colours = given.get("colours");
  for (const name of ["low", "high"]) if (Number.isFinite(number(name))) state[name] = number(name);
  const [x0, x1, y0, y1] = numbersIn("view");
  if (x0 >= 0 && x0 < x1 && x1 <= test.size && y0 >= 0 && y0 < y1 && y1 <= train.size)
    state.view = { x0, x1, y0, y1 };
  const [one, other] = (given.get("cell") ?? "").split("~");
  if (train.place.has(one) && test.place.has(other))
    state.cell = [train.place.get(one), test.place.get(other)];
  state.brush = readNumbers(given.get("brush") ?? "", train.size);
  if (/^[a-z]+$/.test(given.get("tab") ?? "")) state.tab = given.get("tab");
  const microscope = numbersIn("microscope");
  const possible = (value, a) => value >= AXES[a].minimum && value <= AXES[a].maximum;
  if (microscope.length === AXES.length && microscope.every(possible)) state.microscope = microscope;
  return state;
}

function decodeURIComponentSafe(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** Return sorted whole numbers as text, such as 0-3,8. */
function writeNumbers(values) {
  const parts = [];
  for (const value of [...values].sort((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last && last[1] === value - 1) last[1] = value;
    else parts.push([value, value]);
  }
  return parts.map(([a, b]) => (a === b ? a : `${a}-${b}`)).join();
}

function readNumbers(text, size) {
  const found = new Set();
  for (const part of text.split(",")) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) continue;
    const end = Math.min(size - 1, Number(match[2] ?? match[1]));
    for (let value = Number(match[1]); value <= end; value++) found.add(value);
  }
  return [...found].sort((a, b) => a - b);
}
