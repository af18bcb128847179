// The tab about chosen networks: their mean, their worst case and their envelope over conditions.

/** Number of chosen networks that are listed. */
const LISTED = 12;

async function showNetworks(place, group) {
  if (!state.brush.length) {
    place.replaceChildren(
      element("p", {}, "Choose networks: click a label left of the matrix, or drag over rows with " +
        "Shift. With Ctrl or Shift, a click adds to the choice. With the keyboard, B adds the " +
        "network of the current cell."),
    );
    return;
  }
  const own = showing;
  const dice = await numbers(group.matrices.dice);
  if (own !== showing) return; // the user has asked for something else meanwhile
  const summary = summarise(group, dice, state.brush);
  const { mean, low, high, worst } = summary;
  const order = Array.from(view.columns.order);
  const at = order.map((_, n) => n + 1);
  const sorted = (values) => order.map((j) => values[j]);
  const known = summary.rows.filter(({ ood }) => Number.isFinite(ood));
  const listed = known.sort((a, b) => b.ood - a.ood);
  const parts = [
    element(
      "p",
      {},
      element("b", {}, `${state.brush.length.toLocaleString("en")} of ${counted(train.size, "training condition")}`),
      `: mean Dice ${fixed(summary.overall)} over ${counted(test.size, "test condition")}.`,
    ),
    worst
      ? element(
          "p",
          {},
          `Worst: Dice ${fixed(worst.dice)}, `,
          element(
            "button",
            { type: "button", class: "link", onclick: () => change({ cell: [worst.i, worst.j], tab: "cell" }) },
            `trained at ${train.words(worst.i)}, tested at ${test.words(worst.j)}`,
          ),
        )
      : null,
    element("h3", {}, "Dice over the test conditions, in the order of the columns"),
    plot({
      ...WIDE,
      x: { label: "test condition", range: [1, Math.max(2, order.length)] },
      y: { label: "Dice", range: [0, 1] },
      curves: [
        { x: at, y: sorted(high), colour: LINES.train, width: 0.9 },
        { x: at, y: sorted(low), colour: LINES.test, width: 0.9 },
        { x: at, y: sorted(mean), colour: LINES.plain, width: 2 },
      ],
      bands: [{ x: at, low: sorted(low), high: sorted(high), colour: LINES.train }],
      description: "Mean, highest and lowest Dice of the chosen networks over the test conditions",
    }),
    legend([[LINES.train, "best network"], [LINES.plain, "mean"], [LINES.test, "worst network"]]),
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, ...["network trained at", "home", "other conditions", "worst"]
        .map((words) => element("th", {}, words)))),
      element("tbody", {}, ...listed.slice(0, LISTED).map(({ i, own, ood, least }) =>
        element("tr", {}, element("td", { class: "train" }, train.words(i)),
          ...[own, ood, least].map((value) => element("td", {}, fixed(value)))))),
    ),
    listed.length > LISTED
      ? element("p", {}, `${counted(listed.length - LISTED, "more network")} in the CSV file.`)
      : null,
    element(
      "div",
      { class: "buttons" },
      element("button", { type: "button", id: "save-csv", onclick: saveBrush }, "save as CSV"),
      element("button", { type: "button", onclick: () => change({ brush: [] }) }, "forget"),
    ),
  ];
  place.replaceChildren(...parts.filter(Boolean));
}

/** Return mean, lowest and highest Dice for each test condition, and facts of each network. */
function summarise(group, dice, chosen) {
  const n = test.size;
  const [mean, low, high] = [0, 1, 2].map(() => new Float64Array(n).fill(NaN));
  let worst = null;
  let [total, number] = [0, 0];
  for (let j = 0; j < n; j++) {
    const known = chosen.map((i) => [dice[i * n + j], i]).filter(([value]) => Number.isFinite(value));
    if (!known.length) continue;
    const values = known.map(([value]) => value);
    const sum = values.reduce((a, b) => a + b, 0);
    mean[j] = sum / values.length;
    [low[j], high[j]] = [Math.min(...values), Math.max(...values)];
    [total, number] = [total + sum, number + values.length];
    for (const [value, i] of known) if (!worst || value < worst.dice) worst = { dice: value, i, j };
  }
  const rows = chosen.map((i) => {
    const others = [];
    for (let j = 0; j < n; j++)
      if (j !== OWN_TEST[i] && Number.isFinite(dice[i * n + j])) others.push(dice[i * n + j]);
    return {
      i,
      own: ownDice(group, dice, i),
      ood: others.length ? others.reduce((a, b) => a + b, 0) / others.length : NaN,
      least: others.length ? Math.min(...others) : NaN,
    };
  });
  return { mean, low, high, worst, overall: total / number, rows };
}
