// The expected Dice of networks under any condition: the mean and the interval of the Gaussian
// process in passband.prediction.gaussian_process.

/** ε of the logit of Dice. */
const OFFSET = 0.02;
const prepared = new Map();

/** Return a promise of what a ranking needs; `ranking` is an entry of the content's `rankings`. */
function prepare(ranking) {
  if (!prepared.has(ranking)) prepared.set(ranking, read());
  return prepared.get(ranking);

  async function read() {
    const { frequency, azimuth, area, power, response } = ranking.frequencies;
    const [q, phi, d2q, P, blur] = await Promise.all(
      [frequency, azimuth, area, power, response].map(numbers),
    );
    const grid = { q, phi, d2q, P, blur, byPower: d2q.map((value, k) => value * P[k]) };
    const profiles = new Map();
    const groups = [];
    for (const group of ranking.groups) {
      for (const [n, id] of group.fitted.ids.entries()) {
        if (profiles.has(id)) continue;
        profiles.set(id, profileOf(group.fitted.values[n], grid));
        if (profiles.size % 20 === 0) await breathe();
      }
      const interval = group.interval && {
        ...group.interval,
        H: await numbers(group.interval.H),
        V: await numbers(group.interval.V),
      };
      groups.push({
        ...group,
        interval,
        profiles: group.fitted.ids.map((id) => profiles.get(id)),
        weights: await numbers(group.weights),
        measured: await numbers(group.measured),
      });
    }
    return { ...ranking, grid, groups };
  }
}

/**
 * Return the correlation sign(T)·√(s/(1 + s)), the bits and log10 of the dose of a condition. T and
 * the bits are means over draws.
 */
function profileOf(condition, { q, phi, P, blur: ownBlur }) {
  const blur = blurOf(condition, q, ownBlur);
  const dose = condition[3];
  const T = new Float64Array(q.length);
  const bits = new Float64Array(q.length);
  for (const draw of LENS.draws) {
    const drawn = transfer(condition, draw, q, phi);
    for (let k = 0; k < q.length; k++) {
      const value = drawn[k] * blur[k];
      T[k] += value / LENS.draws.length;
      bits[k] += Math.log2(1 + 4 * dose * draw[1] * P[k] * value * value) / 2 / LENS.draws.length;
    }
  }
  const correlation = bits.map((value, k) => Math.sign(T[k]) * Math.sqrt(1 - 4 ** -value));
  return { correlation, bits, logDose: Math.log10(dose) };
}

/** Return the squared distances of two profiles: correlation, bits and dose. */
function squaredDistances(a, b, { d2q, byPower }) {
  const totals = [0, 0];
  let [power, area] = [0, 0];
  for (let k = 0; k < d2q.length; k++) {
    totals[0] += byPower[k] * (a.correlation[k] - b.correlation[k]) ** 2;
    totals[1] += d2q[k] * (a.bits[k] - b.bits[k]) ** 2;
    power += byPower[k];
    area += d2q[k];
  }
  return [totals[0] / power, totals[1] / area, (a.logDose - b.logDose) ** 2];
}

/** Return the Dice, 0 to 1, of a logit. */
function diceOf(logit) {
  const share = 1 / (1 + Math.exp(-logit));
  return Math.min(1, Math.max(0, (1 + 2 * OFFSET) * share - OFFSET));
}

/** Return the covariances of a condition and the fitted test conditions of a group. */
function covariancesOf({ linear, constant, lengths, dose, profiles }, profile, grid) {
  return profiles.map((other) => {
    const squared = squaredDistances(profile, other, grid);
    const u = 5 * lengths.reduce((total, length, n) => total + squared[n] / length ** 2, 0);
    const kernel = (1 + Math.sqrt(u) + u / 3) * Math.exp(-Math.sqrt(u));
    return kernel + linear * (profile.logDose - dose) * (other.logDose - dose) + constant;
  });
}

/** Return the expected logit of the Dice of a network, the row of its group. */
function logitOf(group, row, C) {
  let mean = 0;
  for (let t = 0; t < C.length; t++) mean += group.weights[row * C.length + t] * C[t];
  return group.mean + group.deviation * mean;
}

/**
 * Return the expected Dice of all networks of a group: {id, train, dice, low, high, how}. `below` is
 * null, or what is known below the tested doses: {edge, deviation}, the profile at the lowest tested
 * dose, and the standard deviation of the logit that is added.
 */
function expectedOf(group, profile, grid, tested, below) {
  const { linear, constant, dose, interval } = group;
  const C = covariancesOf(group, profile, grid);
  const atEdge = below && covariancesOf(group, below.edge, grid);
  const size = C.length;
  let E = null;
  if (interval) {
    E = C.map((_, b) => {
      let total = 0;
      for (let t = 0; t < size; t++) total += C[t] * interval.V[t * size + b];
      return interval.signal * total;
    });
  }
  const ownTest = 1 + linear * (profile.logDose - dose) ** 2 + constant;
  const columns = group.measured.length / group.networks.length;
  return group.networks.map((id, row) => {
    const known = tested < 0 ? NaN : group.measured[row * columns + tested];
    let logit = logitOf(group, row, C);
    if (atEdge) logit = Math.min(logit, logitOf(group, row, atEdge));
    const place = { id, train: group.train[row], group };
    if (Number.isFinite(known)) return { ...place, dice: known, low: NaN, high: NaN, how: "measured" };
    let [low, high] = [NaN, NaN];
    if (interval) {
      let variance = interval.own[row] * interval.signal * (ownTest + interval.kappa) + interval.noise;
      for (let b = 0; b < size; b++) variance -= interval.H[row * size + b] * E[b] ** 2;
      const deviation =
        group.deviation * Math.sqrt(Math.max(variance, 0)) * interval.inflation[row];
      const downwards = Math.hypot(deviation, below?.deviation ?? 0);
      [low, high] = [diceOf(logit - interval.z * downwards), diceOf(logit + interval.z * deviation)];
    }
    return { ...place, dice: diceOf(logit), low, high, how: "expected" };
  });
}

/** The place of the dose among the axes. */
const DOSE = AXES.findIndex(({ name }) => name === "dose_e_per_A2");

/**
 * Return a promise of {networks, by, outside, beyond}: the networks that have learned, the best
 * first; what ranks them; where x is outside; and what is said beyond the tested doses. If nothing
 * can be said, there are no networks.
 */
async function rank(ranking, condition) {
  const known = await prepare(ranking);
  const { low, high, lowest, deviation } = ranking.doses;
  const dose = condition[DOSE];
  const outside = outsideOf(ranking, condition);
  const beyond = beyondDoses(ranking.doses, dose);
  if (dose < lowest) return { networks: [], by: null, outside, beyond };
  const at = (other) =>
    profileOf(condition.map((value, a) => (a === DOSE ? other : value)), known.grid);
  const profile = at(Math.min(dose, high));
  const below = dose < low
    ? { edge: at(low), deviation: deviation * Math.sqrt(Math.log2(low / dose)) }
    : null;
  const tested = ranking.tested.values.findIndex((values) =>
    values.every((value, a) => Math.abs(value - condition[a]) < 1e-9),
  );
  const unlearned = new Set(ranking.unlearned);
  const networks = known.groups
    .flatMap((group) => expectedOf(group, profile, known.grid, tested, below))
    .filter(({ id }) => !unlearned.has(id))
    .sort((a, b) => b.dice - a.dice || (a.id < b.id ? -1 : 1));
  const measured = networks.every(({ how }) => how === "measured");
  return { networks, by: measured ? "measured Dice" : "expected Dice", outside, beyond };
}

/** Return what is said about Dice beyond the tested doses, in words, or "". */
function beyondDoses({ low, high, lowest }, dose) {
  const words = (value) => withUnit(grouped(value), DOSE);
  if (dose > high) return `Expected Dice is as at ${words(high)}, the highest tested dose.`;
  if (dose < lowest)
    return (
      `No Dice is expected below ${words(lowest)}, half of the lowest tested dose. Train networks ` +
      "there, or test these there with passband evaluate."
    );
  if (dose < low)
    return (
      `Below ${words(low)}, the lowest tested dose, expected Dice is at most that at ${words(low)}, ` +
      "and intervals reach further down."
    );
  return "";
}

/** Return the axes on which a condition is outside the range of the study's tests, in words. */
function outsideOf(ranking, condition) {
  return AXES.flatMap(({ label, decimals }, a) => {
    const [low, high] = ranking.ranges[a];
    const range =
      low === high
        ? `the only value, ${withUnit(grouped(low), a)}`
        : `the range from ${withUnit(`${grouped(low)} to ${grouped(high)}`, a)}`;
    const by = (excess) => withUnit(grouped(Number(excess.toFixed(decimals))), a);
    if (condition[a] < low) return [`${label}: ${by(low - condition[a])} below ${range}`];
    if (condition[a] > high) return [`${label}: ${by(condition[a] - high)} above ${range}`];
    return [];
  });
}
