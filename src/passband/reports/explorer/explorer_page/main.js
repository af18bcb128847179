// The page: controls, the matrix, and what is written beside it.

const STUDY = content.study;
/** Width and largest height of a printed matrix [px], on A4 and on US letter; pixels in one. */
const PAPER = [660, 700, 3];
let state = readState(location.hash.slice(1));
let showing = 0;
let values = null;
let painted = null;
/** Number of decimals of the metric below the pointer. */
let decimals = 3;

const view = new MatrixView(byId("matrix"), byId("overlay"), {
  hover: showTip,
  pick: (cell) => change({ cell, tab: "cell" }),
  brush: (rows, added) => {
    const brush = added ? [...new Set([...state.brush, ...rows])] : rows;
    change({ brush: brush.sort((a, b) => a - b), tab: brush.length ? "networks" : state.tab });
  },
  moved: () => {
    state.view = view.view;
    keep();
  },
});

/** Change the state, and show it. */
function change(changes) {
  state = { ...state, ...changes };
  keep();
  return show();
}

/** Write the state to the page's address, without a new entry in the browser's history. */
function keep() {
  const text = writeState(state);
  if (text !== location.hash.slice(1)) history.replaceState(null, "", `#${text}`);
}

/** Draw everything that the state describes. */
async function show() {
  const own = ++showing;
  showControls();
  const group = GROUPS[state.group];
  const wanted = matrixOf(state.group, state.metric, state.weight);
  byId("stage").classList.add("busy");
  const found = await wanted;
  const signed = isSigned(state.metric, found);
  const name = state.colours ?? content.colours.find((map) => map.diverging === signed).name;
  const colours = await colourMap(name);
  if (own !== showing) return; // the user has asked for something else meanwhile
  values = found;
  byId("stage").classList.remove("busy");
  const automatic = rangeKept(values, signed);
  const range = [state.low ?? automatic[0], state.high ?? automatic[1]];
  if (!(range[1] > range[0])) range[1] = range[0] + 1e-6;
  byId("colours").value = name;
  byId("low").value = Number(range[0].toPrecision(4));
  byId("high").value = Number(range[1].toPrecision(4));
  const order = JSON.stringify([state.rows, state.columns]);
  if (order !== view.ordered) {
    view.order(state.rows, state.columns);
    view.ordered = order;
    view.arrange();
  }
  view.view = state.view;
  view.picked = state.cell;
  view.brushed = new Set(state.brush);
  view.colour(colourPlaces(values, range), colours);
  view.bar = { range };
  decimals = LABELS[state.metric].heading === "Transfer functions" ? decimalsOf(automatic) : 3;
  view.draw();
  noteFirstFrame();
  showWords(group);
  await showDetails(group);
}

/** Note when the first frame with the matrix was drawn, in ms after the start of the navigation. */
function noteFirstFrame() {
  if (painted !== null) return;
  painted = 0;
  requestAnimationFrame(() => setTimeout(() => (painted = performance.now())));
}

const ranges = new WeakMap();
function rangeKept(matrix, signed) {
  if (!ranges.has(matrix)) ranges.set(matrix, rangeOf(matrix, signed));
  return ranges.get(matrix);
}

/** Labels of what a file can lack, besides matrices that can be shown. */
const LEFT_OUT = {
  low: "interval", high: "interval", single: "Dice of single networks",
};

function showWords(group) {
  byId("metric-name").textContent =
    GROUPS.length > 1 ? `${LABELS[state.metric].label}, ${group.label}` : LABELS[state.metric].label;
  byId("metric-sentence").textContent = LABELS[state.metric].sentence;
  const notes = [];
  const missing = group.networks.filter((number) => number === 0).length;
  if (missing)
    notes.push(`${missing.toLocaleString("en")} of ${counted(train.size, "training condition")} have no results yet (grey rows).`);
  const leftOut = [...group.left_out, ...TRANSFER.left_out];
  if (leftOut.length) {
    const words = new Set(leftOut.map((name) => LEFT_OUT[name] ?? LABELS[name].label));
    notes.push(`To keep this file small, it does not contain: ${[...words].join(", ")}.`);
  }
  notes.push(...content.notes);
  byId("notes").textContent = notes.join(" ");
}

// ── Controls ─────────────────────────────────────────────────────────────────────────────────────

function showControls() {
  const group = GROUPS[state.group];
  const known = metricsOf(group);
  if (!known.includes(state.metric)) state.metric = "dice";
  const headings = Map.groupBy
    ? Map.groupBy(known, (name) => LABELS[name].heading)
    : known.reduce((map, name) => {
        const heading = LABELS[name].heading;
        return map.set(heading, [...(map.get(heading) ?? []), name]);
      }, new Map());
  byId("metric").replaceChildren(
    ...Array.from(headings, ([heading, names]) =>
      element(
        "optgroup",
        { label: heading },
        ...names.map((name) => element("option", { value: name }, LABELS[name].label)),
      ),
    ),
  );
  byId("metric").value = state.metric;
  byId("group").value = state.group;
  byId("weight").value = state.weight;
  byId("weight-label").hidden = !Object.hasOwn(TRANSFER.metrics, state.metric);
  const linked = byId("linked").checked;
  showAxes("row-axes", "rows", linked ? "Rows and columns" : "Rows");
  byId("column-axes").hidden = linked;
  showAxes("column-axes", "columns", "Columns");
}

/** Show the nested axes of a side, with buttons that move an axis outwards. */
function showAxes(id, side, title) {
  const axes = state[side];
  byId(id).setAttribute("aria-label", title);
  byId(id).replaceChildren(
    ...axes.map((a, level) => {
      const moved = [...axes];
      if (level > 0) [moved[level - 1], moved[level]] = [moved[level], moved[level - 1]];
      const button = element(
        "button",
        {
          type: "button",
          title: `move ${AXES[a].label} outwards`,
          "aria-label": `move ${AXES[a].label} outwards`,
          disabled: level === 0,
          onclick: () => {
            const both = byId("linked").checked ? { rows: moved, columns: moved } : { [side]: moved };
            change({ ...both, view: null });
          },
        },
        "↑",
      );
      return element("li", {}, element("span", {}, AXES[a].label), button);
    }),
  );
}

/** Show whether rows and columns have the same order. */
function showLinked() {
  byId("linked").checked = JSON.stringify(state.rows) === JSON.stringify(state.columns);
}

function connectControls() {
  byId("name").textContent = STUDY.name;
  byId("summary").textContent = [
    `${counted(numberOfNetworks(), "network")}, ${train.size.toLocaleString("en")} training and ${counted(test.size, "test condition")}`,
    `results of ${STUDY.created}`,
    `Passband ${STUDY.version}${STUDY.revision && STUDY.revision !== "unknown" ? ` (${STUDY.revision})` : ""}`,
  ].join(" · ");
  if (content.report) {
    byId("report").href = content.report;
    byId("report").hidden = false;
  }
  byId("group").append(...GROUPS.map(({ label }, n) => element("option", { value: n }, label)));
  byId("group-label").hidden = GROUPS.length < 2;
  byId("weight").append(
    ...TRANSFER.weights.map((name, n) => element("option", { value: n }, name)),
  );
  byId("colours").append(...content.colours.map(({ name }) => element("option", {}, name)));
  showLinked();
  byId("group").onchange = (event) => change({ group: Number(event.target.value) });
  byId("metric").onchange = (event) =>
    change({ metric: event.target.value, low: null, high: null, colours: null });
  byId("weight").onchange = (event) => change({ weight: Number(event.target.value) });
  byId("linked").onchange = () =>
    change(byId("linked").checked ? { columns: [...state.rows], view: null } : {});
  byId("colours").onchange = (event) => change({ colours: event.target.value });
  for (const end of ["low", "high"])
    byId(end).onchange = (event) =>
      change({ [end]: event.target.value === "" ? null : Number(event.target.value) });
  byId("automatic").onclick = () => change({ low: null, high: null, colours: null });
  byId("enlarge").onclick = () => view.zoomAtCell(1.5);
  byId("reduce").onclick = () => view.zoomAtCell(1 / 1.5);
  byId("whole").onclick = () => view.show(0, Infinity, 0, Infinity);
  byId("controls").onsubmit = (event) => event.preventDefault();
  let width = 0;
  new ResizeObserver(() => {
    const now = byId("stage").clientWidth;
    if (now === width || !values || classList.contains("paper")) return;
    width = now;
    view.arrange();
    view.draw();
  }).observe(byId("stage"));
  matchMedia("(prefers-color-scheme: dark)").onchange = () => values && view.draw();
  const { classList } = document.documentElement;
  const redraw = (paper) => {
    classList.toggle("paper", Boolean(paper));
    if (!values) return;
    view.arrange(...(paper ?? []));
    view.draw();
    if (paper) view.drawMarks(view.canvas.getContext("2d"));
  };
  window.onbeforeprint = () => redraw(PAPER);
  window.onafterprint = () => redraw();
  window.onhashchange = () => {
    state = readState(location.hash.slice(1));
    showLinked();
    show();
  };
}

// ── The cell below the pointer ───────────────────────────────────────────────────────────────────

/** Numbers for the tip, which are read after the first drawing. */
const read = {};

function readForTip() {
  GROUPS.forEach(({ matrices }, g) => {
    for (const name of ["dice", "low", "high"])
      if (matrices[name]) numbers(matrices[name]).then((matrix) => (read[`${name}/${g}`] = matrix));
  });
}

/** Return what is known of a cell, for the tip and for tests. */
function cellNumbers([i, j]) {
  const n = i * test.size + j;
  const of = (name) => read[`${name}/${state.group}`]?.[n] ?? NaN;
  const number = GROUPS[state.group].networks[i];
  return { dice: of("dice"), low: of("low"), high: of("high"), networks: number, value: values[n] };
}

function showTip(cell, x, y) {
  const tip = byId("tip");
  tip.hidden = cell === null;
  if (cell === null) return;
  const [i, j] = cell;
  const known = cellNumbers(cell);
  const range = Number.isFinite(known.low)
    ? ` (interval ${fixed(known.low)} to ${fixed(known.high)})`
    : "";
  const lines = [
    state.metric === "dice"
      ? element("div", {}, element("b", {}, `Dice ${fixed(known.value)}`), range)
      : element("div", {}, element("b", {}, `${LABELS[state.metric].label}: ${fixed(known.value, decimals)}`)),
    state.metric === "dice" ? null : element("div", {}, `Dice ${fixed(known.dice)}${range}`),
    element("div", { class: "train" }, `trained at ${train.words(i)}`),
    element("div", { class: "test" }, `tested at ${test.words(j)}`),
    element("div", {},
      `n = ${counted(known.networks, "network")} × ${counted(STUDY.structures, "structure")}`),
  ];
  tip.replaceChildren(...lines.filter(Boolean));
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const most = byId("stage").clientWidth;
  const left = x + 18 + width < most ? x + 18 : Math.max(0, x - 18 - width);
  tip.style.left = `${left}px`;
  tip.style.top = `${Math.max(0, y - height - 14)}px`;
  if (document.activeElement === byId("overlay")) byId("said").textContent = tip.innerText;
}

// ── Tabs ─────────────────────────────────────────────────────────────────────────────────────────

const TABS = {
  microscope: ["Microscope", showMicroscope],
  cell: ["Cell", showCell],
  networks: ["Networks", showNetworks],
};

function tabNow() {
  return Object.hasOwn(TABS, state.tab) ? state.tab : content.rankings.length ? "microscope" : "cell";
}

function connectTabs() {
  const buttons = Object.entries(TABS).map(([name, [label]]) =>
    element(
      "button",
      {
        type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`,
        onclick: () => change({ tab: name }),
      },
      label,
    ),
  );
  const panels = Object.keys(TABS).map((name) =>
    element("div", { id: `panel-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}` }),
  );
  byId("details").append(element("div", { role: "tablist", class: "tabs" }, ...buttons), ...panels);
}

async function showDetails(group) {
  const now = tabNow();
  for (const name of Object.keys(TABS)) {
    byId(`tab-${name}`).setAttribute("aria-selected", String(name === now));
    byId(`panel-${name}`).hidden = name !== now;
  }
  await TABS[now][1](byId(`panel-${now}`), group);
}

function connectSaving() {
  const button = (label, action) => element("button", { type: "button", onclick: action }, label);
  byId("saving").append(
    button("save PNG", () => onPaper(savePng)), button("save SVG", () => onPaper(saveSvg)));
}

connectControls();
connectTabs();
connectSaving();
const ready = show().then(readForTip);
window.explorer = {
  ready, view, train, test, change, cellNumbers, matrixOf,
  initial: defaultState,
  axes: AXES,
  transfer: (condition, q) => Array.from(transfer(condition, LENS.draws[0], q, null)),
  azimuthal: (condition, q) => Array.from(azimuthalTransfer(condition, q)),
  rank: (number, condition) => rank(content.rankings[number], condition),
  metrics: () => metricsOf(GROUPS[state.group]),
  get painted() { return painted; },
  get state() { return state; },
  get values() { return values; },
};
