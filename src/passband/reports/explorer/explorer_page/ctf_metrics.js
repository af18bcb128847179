// Metrics of the transfer functions of two conditions, as in passband.analysis.information.

/** Number of milliseconds after which a computation lets the browser draw. */
const PATIENCE = 40;
let transfers = null;

/** Return T at the frequencies of integrals for each distinct lens, and the lens of each condition. */
async function transfersOfLenses() {
  const { samples, response } = content.integrals;
  const blur = await numbers(response);
  const width = LENS.cutoff / samples;
  const q = Float64Array.from({ length: samples }, (_, k) => (k + 0.5) * width);
  const area = q.map((value) => 2 * Math.PI * value * width);
  const lenses = new Map();
  const T = [];
  const placesOf = (side) =>
    Int32Array.from(side.values, (condition) => {
      const key = condition.filter((_, a) => AXES[a].name !== "dose_e_per_A2").join();
      if (!lenses.has(key)) {
        lenses.set(key, T.length);
        const own = blurOf(condition, q, blur);
        T.push(transfer(condition, LENS.draws[0], q, null).map((value, k) => value * own[k]));
      }
      return lenses.get(key);
    });
  const places = { train: placesOf(train), test: placesOf(test) };
  let last = 0; // beyond this frequency, no lens transfers anything
  for (const curve of T) last = Math.max(last, curve.findLastIndex((value) => value !== 0) + 1);
  return { area, T: T.map((curve) => curve.slice(0, last)), last, ...places };
}

/** Return a promise of the matrix of a metric for a weight of spatial frequencies. */
async function ctfMatrix(name, weight) {
  transfers ??= transfersOfLenses();
  const known = await transfers;
  const power = await numbers(content.integrals.weights[weight].power);
  const absolute = name.endsWith("_abs");
  const T = absolute ? known.T.map((curve) => curve.map(Math.abs)) : known.T;
  const u = known.area.map((value, k) => value * power[k]);
  const views = { ...known, T, power, u, whole: u.reduce((sum, value) => sum + value, 0) };
  const kind = name.replace("_abs", "");
  if (kind === "overlap" || kind === "coverage") return ofLenses(kind, views);
  if (kind === "wiener" || kind === "wiener_excess" || kind === "fidelity")
    return ofFilters(kind, views);
  return ofCapacities(kind, views);
}

/** Return a matrix that does not depend on the dose. */
async function ofLenses(kind, { T, u, train: rows, test: columns }) {
  const own = T.map((curve) => sum(curve.length, (k) => u[k] * curve[k] * curve[k]));
  const wanted = new Map();
  return filledMatrix((i, j) => {
    const [a, b] = [rows[i], columns[j]];
    const key = a * T.length + b;
    if (!wanted.has(key)) wanted.set(key, ofPair(T[a], T[b], own[a], own[b]));
    return wanted.get(key);
  });

  function ofPair(x, y, ownX, ownY) {
    let total = 0;
    if (kind === "overlap") {
      for (let k = 0; k < x.length; k++) total += u[k] * x[k] * y[k];
      const norm = Math.sqrt(ownX) * Math.sqrt(ownY);
      return norm > 0 ? total / norm : 0;
    }
    for (let k = 0; k < x.length; k++) total += u[k] * Math.min(x[k] * x[k], y[k] * y[k]);
    return ownY > 0 ? total / ownY : 1;
  }
}

/** Return a matrix of the training condition's Wiener filter W under the test condition. */
async function ofFilters(kind, { T, u, area, power, whole, train: rows, test: columns }) {
  const squares = T.map((curve) => curve.map((value, k) => u[k] * value * value));
  const products = T.map((curve) => curve.map((value, k) => u[k] * value));
  const doses = test.values.map((condition) => condition[3]);
  const residual = doses.map((dose, j) => {
    const curve = T[columns[j]];
    // Beyond the last frequency, T is 0, and the whole power is lost.
    const kept = sum(curve.length, (k) => {
      const s = 4 * dose * power[k] * curve[k] * curve[k];
      return (u[k] * s) / (1 + s);
    });
    return (whole - kept) / whole;
  });
  let row = -1;
  let noise = 0;
  let W = null;
  let W2 = null;
  let byLens = null;
  return filledMatrix((i, j) => {
    if (i !== row) {
      row = i;
      const curve = T[rows[i]];
      const dose = train.values[i][3];
      W = curve.map((value, k) => {
        const strength = 4 * dose * power[k] * value;
        return strength / (1 + strength * value);
      });
      W2 = W.map((value) => value * value);
      noise = sum(W.length, (k) => W2[k] * area[k]);
      byLens = new Map();
    }
    const lens = columns[j];
    if (!byLens.has(lens)) {
      let cross = 0;
      let signal = 0;
      const [x, x2] = [products[lens], squares[lens]];
      for (let k = 0; k < W.length; k++) {
        cross += W[k] * x[k];
        signal += W2[k] * x2[k];
      }
      byLens.set(lens, [cross, signal]);
    }
    const [cross, signal] = byLens.get(lens);
    const total = signal + noise / (4 * doses[j]);
    if (kind === "fidelity") {
      const norm = Math.sqrt(total * whole);
      return norm > 0 ? cross / norm : 0;
    }
    const error = 1 + (total - 2 * cross) / whole;
    return kind === "wiener" ? error : error - residual[j];
  });
}

/** Return a matrix of the information that both conditions have at the same frequencies. */
async function ofCapacities(kind, { T, area, power, train: rows, test: columns }) {
  const bitsOf = (side, lenses) =>
    side.values.map((condition, n) => {
      const curve = T[lenses[n]];
      return curve.map(
        (value, k) => (Math.log2(1 + 4 * condition[3] * power[k] * value * value) / 2) * area[k],
      );
    });
  const [left, right] = [bitsOf(train, rows), bitsOf(test, columns)];
  const capacity = (curve) => sum(curve.length, (k) => curve[k]);
  const [ownLeft, ownRight] = [left.map(capacity), right.map(capacity)];
  return filledMatrix((i, j) => {
    const [x, y] = [left[i], right[j]];
    let shared = 0;
    for (let k = 0; k < x.length; k++) shared += x[k] < y[k] ? x[k] : y[k];
    if (kind === "shared_capacity") return shared;
    if (kind === "capacity_coverage") return ownRight[j] > 0 ? shared / ownRight[j] : 1;
    const most = Math.max(ownLeft[i], ownRight[j]);
    return most > 0 ? Math.min(1, Math.max(0, 1 - shared / most)) : 0;
  });
}

/** Return a matrix with the values of a function of its places, without blocking the browser. */
async function filledMatrix(value) {
  const result = new Float32Array(train.size * test.size);
  let started = performance.now();
  for (let i = 0, n = 0; i < train.size; i++) {
    for (let j = 0; j < test.size; j++, n++) result[n] = value(i, j);
    if (performance.now() - started > PATIENCE) {
      await breathe();
      started = performance.now();
    }
  }
  return result;
}

function sum(length, term) {
  let total = 0;
  for (let k = 0; k < length; k++) total += term(k);
  return total;
}
