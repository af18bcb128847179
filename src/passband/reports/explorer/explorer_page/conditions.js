// The conditions along the two sides of a matrix, and their order.

const AXES = content.axes;
/** Number of main axes, which every study has and which come first. */
const MAIN = 4;

/** Return the text of a value of an axis with its unit, in which no line ends. */
function withUnit(text, a) {
  const { unit } = AXES[a];
  return unit === "1" ? text : `${text}\u00a0${unit.replaceAll("/", "/\u2060")}`;
}

/** Return the name of an axis with its unit. */
function axisTitle(a) {
  return AXES[a].unit === "1" ? AXES[a].label : `${AXES[a].label} [${AXES[a].unit}]`;
}

/** Training conditions or test conditions. A mixture of conditions has null as all its values. */
class Side {
  constructor({ ids, values }) {
    this.ids = ids;
    this.values = values;
    this.size = ids.length;
    this.place = new Map(ids.map((id, place) => [id, place]));
    const known = values.filter((_, place) => !this.isMixture(place));
    this.levels = AXES.map((_, a) => [...new Set(known.map((v) => v[a]))].sort((x, y) => x - y));
  }

  isMixture(place) {
    return this.values[place][0] === null;
  }

  /** Return the condition for people, such as 20 nm · 1.2 µm · 18 mrad · 400 e/Å². */
  words(place) {
    if (this.isMixture(place)) return `mixture ${this.ids[place]}`;
    const words = (value, a) => withUnit(short(value), a);
    // The unit shows which of the main axes a number belongs to, but not which further axis.
    const named = (value, a) => (a < MAIN ? "" : `${AXES[a].label} `) + words(value, a);
    return this.values[place].map(named).join("\u00a0· ");
  }

  /** Return the places sorted by axes, the first being the outermost; mixtures are the last. */
  sorted(axes) {
    const places = Array.from(this.values.keys());
    const remaining = AXES.map((_, a) => a).filter((a) => !axes.includes(a));
    const keys = [...axes, ...remaining];
    const compare = (i, j) => {
      const last = this.isMixture(i) - this.isMixture(j);
      if (last) return last;
      for (const a of keys) {
        const difference = this.values[i][a] - this.values[j][a];
        if (difference) return difference;
      }
      return 0;
    };
    return Int32Array.from(places.sort(compare));
  }

  /** Return, for each axis in the order, the runs of equal values: {start, end, value}. */
  runs(order, axes) {
    const result = axes.map(() => []);
    for (let n = 0; n < order.length; n++) {
      let changed = n === 0;
      axes.forEach((a, level) => {
        const value = this.values[order[n]][a];
        changed ||= value !== this.values[order[n - 1]][a];
        if (changed) result[level].push({ start: n, end: n + 1, value });
        else result[level].at(-1).end = n + 1;
      });
    }
    return result;
  }
}

const train = new Side(content.train);
const test = new Side(content.test);

/** The axes that have several values on one side. */
const VARYING = AXES.map((_, a) => a).filter(
  (a) => train.levels[a].length > 1 || test.levels[a].length > 1,
);
/** For each training condition, the place of the same condition among the test conditions, or −1. */
const OWN_TEST = Int32Array.from(train.ids, (id) => test.place.get(id) ?? -1);
/** For each test condition, the place of the same condition among the training conditions, or −1. */
const OWN_TRAIN = Int32Array.from(test.ids, (id) => train.place.get(id) ?? -1);
