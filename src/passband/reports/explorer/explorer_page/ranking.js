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

/** Return T, √(s/(1 + s)), the bits and log10 of the dose of a condition, as means over draws. */
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
  const correlation = bits.map((value) => Math.sqrt(1 - 4 ** -value));
  return { T, correlation, bits, logDose: Math.log10(dose) };
}

/** Return the squared distances of two profiles: T, correlation, bits and dose. */
function squaredDistances(a, b, { d2q, byPower }) {
  const totals = [0, 0, 0];
  let [power, area] = [0, 0];
  for (let k = 0; k < d2q.length; k++) {
    totals[0] += byPower[k] * (a.T[k] - b.T[k]) ** 2;
    totals[1] += byPower[k] * (a.correlation[k] - b.correlation[k]) ** 2;
    totals[2] += d2q[k] * (a.bits[k] - b.bits[k]) ** 2;
    power += byPower[k];
    area += d2q[k];
  }
  return [totals[0] / power, totals[1] / power, totals[2] / area, (a.logDose - b.logDose) ** 2];
}

/** Return the Dice, 0 to 1, of a logit. */
function diceOf(logit) {
  const share = 1 / (1 + Math.exp(-logit));
  return Math.min(1, Math.max(0, (1 + 2 * OFFSET) * share - OFFSET));
}

/** Return the expected Dice of all networks of a group: {id, train, dice, low, high, how}. */
function expectedOf(group, profile, grid, tested) {
  const { linear, constant, lengths, dose, interval } = group;
  const C = group.profiles.map((other) => {
    const squared = squaredDistances(profile, other, grid);
    const u = 5 * lengths.reduce((total, length, n) => total + squared[n] / length ** 2, 0);
    const kernel = (1 + Math.sqrt(u) + u / 3) * Math.exp(-Math.sqrt(u));
    return kernel + linear * (profile.logDose - dose) * (other.logDose - dose) + constant;
  });
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
    let mean = 0;
    for (let t = 0; t < size; t++) mean += group.weights[row * size + t] * C[t];
    const logit = group.mean + group.deviation * mean;
    const place = { id, train: group.train[row], group };
    if (Number.isFinite(known)) return { ...place, dice: known, low: NaN, high: NaN, how: "measured" };
    let [low, high] = [NaN, NaN];
    if (interval) {
      let variance = interval.own[row] * interval.signal * (ownTest + interval.kappa) + interval.noise;
      for (let b = 0; b < size; b++) variance -= interval.H[row * size + b] * E[b] ** 2;
      const reach =
        interval.z * group.deviation * Math.sqrt(Math.max(variance, 0)) * interval.inflation[row];
      [low, high] = [diceOf(logit - reach), diceOf(logit + reach)];
    }
    return { ...place, dice: diceOf(logit), low, high, how: "expected" };
  });
}

/** Return distances in scaled parameters of a group's networks; NaN for those of mixtures. */
function distancesOf(group, groups, condition) {
  const valuesOf = (id) => train.values[train.place.get(id)];
  const every = [...new Set(groups.flatMap((each) => each.train))].map(valuesOf);
  const scaled = (x, a) => (AXES[a].name === "dose_e_per_A2" ? Math.log10(x) : x);
  const widths = AXES.map((_, a) => {
    const known = every.filter((values) => values[0] !== null).map((values) => scaled(values[a], a));
    const [low, high] = known.reduce(([l, h], x) => [Math.min(l, x), Math.max(h, x)], [Infinity, -Infinity]);
    return high - low || Infinity; // an axis with one value does not count
  });
  return group.train.map(valuesOf).map((values) => {
    const apart = values.map((x, a) => (scaled(x, a) - scaled(condition[a], a)) / widths[a]);
    return values[0] === null ? NaN : Math.hypot(...apart);
  });
}

/** Return the networks, the best first: see `order` in passband.prediction.recommend.network_ranking. */
function ordered(networks) {
  const byDice = [...networks].sort((a, b) => b.dice - a.dice || (a.id < b.id ? -1 : 1));
  const free = byDice.filter(({ how, distance }) => how !== "measured" && !Number.isNaN(distance));
  const ranks = [({ dice }) => -dice, ({ distance }) => Number(distance.toFixed(9))].map((key) => {
    const place = new Map();
    Float64Array.from(free, key).sort().forEach((x, k) => place.has(x) || place.set(x, k));
    return (network) => place.get(key(network));
  });
  const sum = new Map(free.map((network) => [network, ranks[0](network) + ranks[1](network)]));
  const moved = [...free].sort((a, b) => sum.get(a) - sum.get(b)).values();
  return byDice.map((network) => (sum.has(network) ? moved.next().value : network));
}

/**
 * Return a promise of {networks, by, outside}: the networks that have learned, the best first; what
 * ranks them; and where x is outside.
 */
async function rank(ranking, condition) {
  const known = await prepare(ranking);
  const profile = profileOf(condition, known.grid);
  const tested = ranking.tested.values.findIndex((values) =>
    values.every((value, a) => Math.abs(value - condition[a]) < 1e-9),
  );
  const outside = outsideOf(ranking, condition);
  const unlearned = new Set(ranking.unlearned);
  const networks = known.groups
    .flatMap((group) => {
      const distances = distancesOf(group, known.groups, condition);
      const expected = expectedOf(group, profile, known.grid, tested);
      return expected.map((network, row) => ({ ...network, distance: distances[row] }));
    })
    .filter(({ id }) => !unlearned.has(id));
  const measured = networks.every(({ how }) => how === "measured");
  const by = measured
    ? "measured Dice"
    : "the mean of the ranks by Dice and by distance in scaled parameters";
  return { networks: ordered(networks), by, outside };
}

/** Return the axes on which a condition is outside the range of the study's tests, in words. */
function outsideOf(ranking, condition) {
  return AXES.flatMap(({ label, decimals }, a) => {
    const [low, high] = ranking.ranges[a];
    const range =
      low === high
        ? `the only value, ${withUnit(short(low), a)}`
        : `the range from ${withUnit(`${short(low)} to ${short(high)}`, a)}`;
    const by = (excess) => withUnit(short(Number(excess.toFixed(decimals))), a);
    if (condition[a] < low) return [`${label}: ${by(low - condition[a])} below ${range}`];
    if (condition[a] > high) return [`${label}: ${by(condition[a] - high)} above ${range}`];
    return [];
  });
}
