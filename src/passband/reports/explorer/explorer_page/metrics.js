// Everything that a matrix can show: stored matrices, and matrices that are derived from them.

const GROUPS = content.groups;

/** Label, sentence, heading and sign of everything that a matrix can show, by its name. */
const LABELS = content.labels;
/** Metrics of transfer functions, which all groups have: a matrix for each weight of frequencies. */
const TRANSFER = content.transfer;

/** Return the names of what a matrix can show of a group of networks. */
function metricsOf(group) {
  const stored = group.matrices;
  return Object.keys(LABELS).filter((name) => {
    if (Object.hasOwn(stored, name) || Object.hasOwn(TRANSFER.metrics, name)) return true;
    if (name === "gap_model")
      return OWN_TEST.some((j) => j >= 0) || group.own.some((value) => value !== null);
    if (name === "gap_test") return OWN_TRAIN.some((i) => i >= 0);
    if (name === "range") return "low" in stored && "high" in stored;
    return name === "residual" && "predicted" in stored;
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
  const stored = group.matrices[name] ?? TRANSFER.metrics[name]?.[weight];
  if (stored && !stored.sides) return numbers(stored);
  const key = stored ? stored.block : `${name}/${groupNumber}`;
  if (!computed.has(key)) computed.set(key, stored ? spread(stored) : derived(group, name));
  return computed.get(key);
}

/** Return the matrix of numbers that are stored once for several conditions of a side. */
async function spread(description) {
  const few = await numbers(description);
  const width = description.shape[1];
  const placesOf = (kind, side, lenses) =>
    Int32Array.from(side.ids, (_, n) => (kind === "all" ? 0 : kind === "lens" ? lenses[n] : n));
  const rows = placesOf(description.sides[0], train, content.lenses.train);
  const columns = placesOf(description.sides[1], test, content.lenses.test);
  const result = new Float32Array(train.size * test.size);
  for (let i = 0, n = 0; i < train.size; i++) {
    const first = rows[i] * width;
    for (let j = 0; j < test.size; j++, n++) result[n] = few[first + columns[j]];
  }
  return result;
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

/** Return whether a metric has numbers of both signs, apart from errors of rounding. */
function isSigned(name, values) {
  if (LABELS[name].signed) return true;
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low < -1e-3 * high && high > -1e-3 * low;
}

/** Return the number of decimals of numbers in a range, of which about 250 are distinguished. */
function decimalsOf([low, high]) {
  return Math.min(9, Math.max(0, Math.ceil(-Math.log10((high - low) / 250))));
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
