// The tab with everything about a cell: both transfer functions, the decay along each axis, images.

/** Number of frequencies of a drawn transfer function. */
const CURVE = 600;
/** Size of the plots [px]. */
const WIDE = { width: 372, height: 210 };
const SMALL = { width: 184, height: 150 };
async function showCell(place, group) {
  if (!state.cell) {
    place.replaceChildren(
      element("p", {}, "Click a cell of the matrix. Here you see the transfer functions of its two " +
        "conditions, how Dice decays along each axis through the cell, and example images."),
    );
    return;
  }
  const own = showing;
  const [i, j] = state.cell;
  const names = ["dice", "low", "high", "predicted"].filter((name) => name in group.matrices);
  const read = await Promise.all(names.map((name) => numbers(group.matrices[name])));
  const single = group.single && (await numbers(group.single));
  const images = await exampleImages(i, j, group);
  if (own !== showing) return; // the user has asked for something else meanwhile
  const matrices = Object.fromEntries(names.map((name, n) => [name, read[n]]));
  const n = i * test.size + j;
  const which = isRoundCell(i, j)
    ? LENS.varies ? " (mean over the variation)" : ""
    : " (root mean square over azimuths)";
  place.replaceChildren(
    element("p", { class: "train" }, `trained at ${train.words(i)}`),
    element("p", { class: "test" }, `tested at ${test.words(j)}`),
    cellFacts(group, { ...matrices, single }, n, i, j),
    images,
    ...(LENS.drawn
      ? [
        element("h3", {}, "Contrast transfer of both conditions"),
        transferPlot(i, j, group),
        legend([[LINES.train, `trained${which}`], [LINES.test, `tested${which}`, "6 3"]]),
      ]
      : []),
    element("h3", {}, "Dice of this network along each axis through the cell"),
    decayPlots(i, j, matrices),
  );
}

function cellFacts(group, { dice, low, high, predicted, single }, n, i, j) {
  const size = test.size;
  const own = ownDice(group, dice, i);
  const there = OWN_TRAIN[j] >= 0 ? dice[OWN_TRAIN[j] * size + j] : NaN;
  const replicas = single ? replicasOf(group, single, i, j).map((value) => fixed(value, 2)) : [];
  const rows = [
    ["Dice", `${fixed(dice[n])}${low ? ` (${fixed(low[n], 2)} to ${fixed(high[n], 2)})` : ""}`],
    ["of this network, in distribution", fixed(own)],
    ["of the network trained at the test condition", fixed(there)],
  ];
  if (replicas.length) rows.splice(1, 0, ["of its replicas", replicas.join(", ")]);
  if (predicted) rows.push(["predicted", fixed(predicted[n])]);
  const best = group.best_epoch[i].filter((epoch) => epoch !== null);
  if (best.length) {
    const losses = group.val_loss[i].filter((loss) => loss !== null).map((loss) => fixed(loss, 4));
    rows.push([best.length > 1 ? "best epochs" : "best epoch", best.join(", ")]);
    rows.push([losses.length > 1 ? "validation losses" : "validation loss", losses.join(", ")]);
  }
  return element(
    "table",
    { class: "facts" },
    ...rows.map(([name, value]) =>
      element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)),
    ),
  );
}

/** Return the Dice of the single networks of a cell. */
function replicasOf(group, single, i, j) {
  const [, replicas, tests] = group.single.shape;
  return Array.from({ length: replicas }, (_, r) => single[(i * replicas + r) * tests + j])
    .filter(Number.isFinite);
}

/** Return whether the lens is round under both conditions of a cell. */
function isRoundCell(i, j) {
  return (train.isMixture(i) || isRound(train.values[i])) && isRound(test.values[j]);
}

function transferPlot(i, j, group) {
  const passes = (condition) => condition[2] + further(condition, "aperture_edge_mrad");
  const widest = Math.max(passes(train.values[i]), passes(test.values[j]));
  const end = Math.min(LENS.cutoff, (1.08 * widest * 1e-3) / LENS.wavelength);
  const q = Float64Array.from({ length: CURVE }, (_, k) => ((k + 0.5) / CURVE) * end);
  const round = isRoundCell(i, j);
  const curve = (condition, colour, dash) => ({
    x: q, y: round ? meanTransfer(condition, q, null) : azimuthalTransfer(condition, q), colour, dash, width: 1.5,
  });
  const planes = content.lattice[group.test_specimen] ?? [];
  return plot({
    ...WIDE,
    x: { label: "spatial frequency q (1/Å)", range: [0, end] },
    y: round
      ? { label: "transfer T(q)", range: [-1.05, 1.05] }
      : { label: "√⟨T²⟩ over azimuths", range: [0, 1.05] },
    curves: [
      ...(train.isMixture(i) ? [] : [curve(train.values[i], LINES.train)]),
      curve(test.values[j], LINES.test, "6 3"),
    ],
    marks: planes.map(({ q: x, plane: label }) => ({ x, label, colour: LINES.plain, dash: "2 3" })),
    description:
      "Contrast transfer functions of the training condition and of the test condition over the " +
      `spatial frequency, with the lattice planes of ${group.test_specimen}`,
  });
}

/** Return the test conditions that differ from j only in an axis, sorted by this axis. */
function lineThrough(j, axis) {
  const own = test.values[j];
  return Array.from(test.values.keys())
    .filter((other) => own.every((value, a) => a === axis || test.values[other][a] === value))
    .sort((a, b) => test.values[a][axis] - test.values[b][axis]);
}

function decayPlots(i, j, { dice, low, high }) {
  const plots = VARYING.map((axis) => [axis, lineThrough(j, axis)])
    .filter(([, line]) => line.length > 1)
    .map(([axis, line]) => {
      const { label, name } = AXES[axis];
      const at = line.map((other) => test.values[other][axis]);
      const of = (matrix) => line.map((other) => matrix[i * test.size + other]);
      const own = line.map((other) =>
        OWN_TRAIN[other] < 0 ? NaN : dice[OWN_TRAIN[other] * test.size + other],
      );
      const log = at[0] > 0 && (name === "dose_e_per_A2" || at.at(-1) / at[0] > 50);
      return plot({
        ...SMALL,
        x: { label: axisTitle(axis), range: [at[0], at.at(-1)], log, ticks: at },
        y: { label: "Dice", range: [0, 1] },
        curves: [
          { x: at, y: own, colour: LINES.plain, dash: "2 3", width: 1.4 },
          { x: at, y: of(dice), colour: LINES.test, dots: true },
        ],
        bands: low ? [{ x: at, low: of(low), high: of(high), colour: LINES.test }] : [],
        marks: train.isMixture(i)
          ? []
          : [{ x: train.values[i][axis], colour: LINES.train, label: "" }],
        description: `Dice of the network over the ${label} of the test`,
      });
    });
  if (!plots.length) return element("p", {}, "The tests have one value on every axis.");
  return element(
    "div",
    {},
    element("div", { class: "plots" }, ...plots),
    legend([
      [LINES.test, "this network"],
      [LINES.plain, "network trained there", "2 3"],
      [LINES.train, "trained here"],
    ]),
  );
}

