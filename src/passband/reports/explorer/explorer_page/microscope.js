// The tab with sliders for a microscope, and the networks that are expected to be best there.

/** Number of networks in the list. */
const TOP = 10;
/** Number of steps of a slider. */
const STEPS = 400;

/** Return the ranking for the test specimen of the group that is shown, or undefined. */
function rankingOf(group) {
  return content.rankings.find(({ specimen }) => specimen === group.test_specimen);
}

/** Return the limits of a slider: the study's range, and a quarter of it on both sides. */
function limits(ranking, a) {
  const { minimum, maximum, name } = AXES[a];
  const [low, high] = ranking.ranges[a];
  const within = (values) => values.map((value) => Math.min(maximum, Math.max(minimum, value)));
  if (name === "dose_e_per_A2") {
    const factor = low < high ? (high / low) ** 0.25 : 2;
    return within([low / factor, high * factor]);
  }
  const margin = low < high ? (high - low) / 4 : Math.max(Math.abs(low) / 2, 1);
  const start = low > 0 ? Math.max(low - margin, low / 4) : low - margin;
  return within([start, high + margin]);
}

/** Return the microscope that is shown first: the middle of each range, rounded within the range. */
function middleOf(ranking) {
  return ranking.ranges.map(([low, high], a) => {
    const middle = AXES[a].name === "dose_e_per_A2" ? Math.sqrt(low * high) : (low + high) / 2;
    return Math.min(high, Math.max(low, canonical(middle, a)));
  });
}

/** Return a value of an axis with three digits, and within the axis's resolution. */
function canonical(value, a) {
  return Number(Number(value.toPrecision(3)).toFixed(AXES[a].decimals));
}

async function showMicroscope(place, group) {
  const ranking = rankingOf(group);
  if (!ranking) {
    delete place.dataset.ranking; // the sliders are gone
    place.replaceChildren(element("p", {}, "This page has no model of Dice, see the notes."));
    return;
  }
  const own = showing;
  const asked = state.microscope ?? middleOf(ranking);
  if (place.dataset.ranking !== ranking.specimen) {
    place.dataset.ranking = ranking.specimen;
    place.replaceChildren(
      element("p", {}, `Which network is best for ${ranking.specimen} under your microscope?`),
      element("div", { class: "sliders" }, ...AXES.map((_, a) => slider(ranking, a))),
      element("p", { id: "inside", "aria-live": "polite" }),
      element("div", { id: "ranked" }, "computing…"),
    );
  }
  AXES.forEach((_, a) => {
    const [range, number] = place.querySelectorAll(`[data-axis="${a}"]`);
    if (document.activeElement !== range) range.value = toSlider(ranking, a, asked[a]);
    if (document.activeElement !== number) number.value = asked[a];
  });
  const { networks, by, outside, beyond } = await rank(ranking, asked);
  if (own !== showing) return; // the user has asked for something else meanwhile
  const inside = byId("inside");
  inside.className = outside.length ? "warning" : "";
  const where = outside.length
    ? `Outside this study${by ? ", so the expected Dice is extrapolated" : ""}: ${outside.join("; ")}.`
    : "Inside this study: within the range of its test conditions on every axis.";
  inside.textContent = [where, beyond, by && `Networks are ranked by ${by}.`].filter(Boolean).join(" ");
  if (networks.length) byId("ranked").replaceChildren(rankedTable(networks));
  else byId("ranked").replaceChildren(by ? content.unlearned : "");
}

function slider(ranking, a) {
  const { label, unit } = AXES[a];
  const spoken = unit === "1" ? label : `${label} in ${unit}`;
  const [low, high] = limits(ranking, a);
  const set = (value) => {
    if (!Number.isFinite(value)) return;
    const { minimum, maximum, decimals } = AXES[a];
    const microscope = [...(state.microscope ?? middleOf(ranking))];
    microscope[a] = Number(Math.min(maximum, Math.max(minimum, value)).toFixed(decimals));
    change({ microscope });
  };
  return element(
    "label",
    {},
    axisTitle(a),
    element("input", {
      type: "range", min: 0, max: STEPS, step: 1, "data-axis": a,
      "aria-label": spoken, disabled: !(high > low),
      oninput: (event) => set(canonical(fromSlider(ranking, a, Number(event.target.value)), a)),
    }),
    element("input", {
      type: "number", step: "any", "data-axis": a, "aria-label": `${spoken}, as a number`,
      onchange: (event) => set(event.target.value === "" ? NaN : Number(event.target.value)),
    }),
  );
}

function fromSlider(ranking, a, step) {
  const [low, high] = limits(ranking, a);
  if (AXES[a].name === "dose_e_per_A2") return low * (high / low) ** (step / STEPS);
  return low + ((high - low) * step) / STEPS;
}

function toSlider(ranking, a, value) {
  const [low, high] = limits(ranking, a);
  const share =
    AXES[a].name === "dose_e_per_A2"
      ? Math.log(value / low) / Math.log(high / low)
      : (value - low) / (high - low);
  return Math.round(STEPS * Math.min(1, Math.max(0, share)));
}

function rankedTable(networks) {
  const several = new Set(networks.map(({ group }) => `${group.specimen}/${group.architecture}`));
  const shown = networks.slice(0, TOP);
  const from = scaleStart(shown);
  const rows = shown.map((network, n) => {
    const { id, train: condition, dice, low, high, how, group } = network;
    const i = train.place.get(condition);
    const replica = replicated(networks) ? `, replica ${id.split("/").at(-1)}` : "";
    const range = Number.isFinite(low) ? ` (${fixed(low, 2)} to ${fixed(high, 2)})` : "";
    return element(
      "tr",
      { "data-id": id, "data-dice": dice },
      element("td", {}, String(n + 1)),
      element(
        "td",
        { title: how },
        element("b", {}, fixed(dice)),
        element("span", { class: "whole" }, range),
        how === "measured" ? element("div", {}, "measured") : null,
        intervalBar(network, from),
      ),
      element(
        "td",
        {},
        several.size > 1 ? element("div", {}, `${group.architecture}, ${group.specimen}`) : null,
        element(
          "button",
          { type: "button", class: "link train", title: "choose this network", onclick: () => change({ brush: [i] }) },
          train.words(i) + replica,
        ),
      ),
    );
  });
  return element(
    "table",
    {},
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        element("th", {}, ""),
        element("th", {}, "expected Dice", scale(from)),
        element("th", {}, "network trained at"),
      ),
    ),
    element("tbody", {}, ...rows),
  );
}

/** Return the Dice at the left end of the intervals' common scale, whose right end is 1. */
function scaleStart(networks) {
  const lowest = Math.min(...networks.map(({ dice, low }) => (Number.isFinite(low) ? low : dice)));
  return Math.min(0.9, Math.floor(10 * lowest) / 10);
}

/** Return the numbers at both ends of the scale. */
function scale(from) {
  return element("div", { class: "scale" }, element("span", {}, short(from)), element("span", {}, "1"));
}

/** Return the picture of an expected Dice, a dot, with its interval, a bar; measured Dice has none. */
function intervalBar({ dice, low, high }, from) {
  const at = (value) => `${((100 * (value - from)) / (1 - from)).toFixed(1)}%`;
  const interval = Number.isFinite(low)
    ? element("div", { class: "interval", style: `left: ${at(low)}; right: calc(100% - ${at(high)})` })
    : null;
  return element("div", { class: "track" }, interval, element("div", { class: "dot", style: `left: ${at(dice)}` }));
}

function replicated(networks) {
  return networks.some(({ id }) => !id.endsWith("/0"));
}
