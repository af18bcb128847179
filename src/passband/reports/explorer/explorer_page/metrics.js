// Everything that a matrix can show: stored matrices, and matrices that are derived from them.

const GROUPS = content.groups;

/** Labels, and how numbers are drawn. `signed` numbers have colours for both signs. */
const LABELS = {
  dice: { label: "Dice", heading: "Results" },
  gap_model: { label: "loss against the own condition", heading: "Results", signed: true },
  gap_test: { label: "loss against the network trained there", heading: "Results", signed: true },
  range: { label: "width of Dice's interval", heading: "Results" },
  dice_std: { label: "standard deviation over replicas", heading: "Results" },
  dice_selected: { label: "Dice of the selected replica", heading: "Results" },
  dice_oracle: { label: "Dice of the best replica (oracle)", heading: "Results" },
  predicted: { label: "predicted Dice (test condition left out)", heading: "Prediction" },
  residual: { label: "Dice − predicted Dice", heading: "Prediction", signed: true },
  overlap: { label: "overlap σ", heading: "Transfer functions", signed: true },
  overlap_abs: { label: "overlap σ of |T|", heading: "Transfer functions" },
  coverage: { label: "coverage κ", heading: "Transfer functions" },
  shared_capacity: { label: "shared capacity", heading: "Transfer functions", unit: "bits/Å²" },
  capacity_coverage: { label: "coverage of capacity", heading: "Transfer functions" },
  distance: { label: "distance", heading: "Transfer functions" },
  wiener: { label: "Wiener error", heading: "Transfer functions" },
  wiener_abs: { label: "Wiener error of |T|", heading: "Transfer functions" },
  wiener_excess: { label: "excess of the Wiener error", heading: "Transfer functions" },
  fidelity: { label: "fidelity ρ", heading: "Transfer functions", signed: true },
  fidelity_abs: { label: "fidelity ρ of |T|", heading: "Transfer functions" },
};

/** Return the names of the metrics that a group of networks has. */
function metricsOf(group) {
  const stored = group.matrices;
  return Object.keys(LABELS).filter((name) => {
    if (name in stored) return true;
    if (name === "gap_model")
      return OWN_TEST.some((j) => j >= 0) || group.own.some((value) => value !== null);
    if (name === "gap_test") return OWN_TRAIN.some((i) => i >= 0);
    if (name === "range") return "low" in stored && "high" in stored;
    if (name === "residual") return "predicted" in stored;
    return content.integrals !== null && LABELS[name].heading === "Transfer functions";
  });
}

/** Return the number of the study's networks. A network can be in several groups. */
function numberOfNetworks() {
  const found = new Map();
  for (const { specimen, architecture, networks } of GROUPS) {
    const name = JSON.stringify([specimen, architecture]);
    const known = found.get(name) ?? networks;
    found.set(name, networks.map((number, i) => Math.max(number, known[i])));
  }
  return [...found.values()].flat().reduce((a, b) => a + b, 0);
}

const computed = new Map();

/** Return a promise of a metric's matrix (train, test), row after row. */
function matrixOf(groupNumber, name, weight) {
  const group = GROUPS[groupNumber];
  if (name in group.matrices) return numbers(group.matrices[name]);
  const transfer = LABELS[name].heading === "Transfer functions";
  const key = transfer ? `${name}/${weight}` : `${name}/${groupNumber}`;
  if (!computed.has(key))
    computed.set(key, transfer ? ctfMatrix(name, weight) : derived(group, name));
  return computed.get(key);
}

/** Return the Dice of row i under its own training condition, also if that is no test condition. */
function ownDice(group, dice, i) {
  return OWN_TEST[i] >= 0 ? dice[i * test.size + OWN_TEST[i]] : (group.own[i] ?? NaN);
}

async function derived(group, name) {
  const stored = group.matrices;
  if (name === "range") return difference(await numbers(stored.high), await numbers(stored.low));
  const dice = await numbers(stored.dice);
  if (name === "residual") return difference(dice, await numbers(stored.predicted));
  const result = new Float32Array(dice.length);
  for (let i = 0; i < train.size; i++) {
    const own = ownDice(group, dice, i);
    for (let j = 0; j < test.size; j++) {
      const there = OWN_TRAIN[j] < 0 ? NaN : dice[OWN_TRAIN[j] * test.size + j];
      const reference = name === "gap_model" ? own : there;
      result[i * test.size + j] = reference - dice[i * test.size + j];
    }
  }
  return result;
}

function difference(a, b) {
  return a.map((value, n) => value - b[n]);
}

/** Return the smallest and the largest number that colours distinguish. */
function rangeOf(values, signed) {
  // Of many numbers, every n-th is enough, and sorting them takes little time.
  const n = Math.ceil(values.length / 50000);
  const known = values.filter((value, k) => k % n === 0 && value === value).sort();
  if (!known.length) return [0, 1];
  // A few extreme numbers must not make all others look the same.
  const few = known.length > 1000 ? Math.floor(known.length / 500) : 0;
  let [low, high] = [known[few], known[known.length - 1 - few]];
  if (signed) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
  if (!(high > low)) [low, high] = [low - 0.05, high + 0.05];
  const digit = 10 ** (Math.floor(Math.log10(high - low)) - 1);
  return [Math.floor(low / digit + 1e-2) * digit, Math.ceil(high / digit - 1e-2) * digit];
}
