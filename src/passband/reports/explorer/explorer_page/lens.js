// The linear transfer T(q) of a round or astigmatic lens, as in passband.optics.ctf.

const LENS = content.lens;
/** The place of each axis in a condition's values. */
const PLACE = new Map(AXES.map(({ name }, a) => [name, a]));
/** Number of azimuths over which the transfer of a lens that is not round is averaged. */
const AZIMUTHS = 64;

/** Return a condition's value of a further axis, or the study's own value. */
function further(condition, name) {
  return PLACE.has(name) ? condition[PLACE.get(name)] : LENS.own[name];
}

/** Return the real and imaginary parts of C12·exp(2iφ12), C21·exp(iφ21) and C23·exp(3iφ23) [Å]. */
function aberrationsOf(condition, draw) {
  const parts = [["astigmatism", 2], ["coma", 1], ["threefold", 3]].flatMap(([name, folds]) => {
    const length = further(condition, `${name}_nm`) * LENS.A_per_nm;
    const azimuth = (folds * further(condition, `${name}_deg`) * Math.PI) / 180;
    return [length * Math.cos(azimuth), length * Math.sin(azimuth)];
  });
  return parts.map((value, n) => value + draw[2 + n]);
}

/** Return whether the lens is the same along every azimuth under a condition. */
function isRound(condition) {
  return LENS.draws.every((draw) => aberrationsOf(condition, draw).every((value) => value === 0));
}

/**
 * Return T at spatial frequencies q [1/Å] and azimuths phi [rad] under a condition.
 *
 * `condition` has the values of all axes, and `draw` is one of the lens's draws.
 */
function transfer(condition, draw, q, phi) {
  const { wavelength, A_per_nm, A_per_um } = LENS;
  const [defocusNm, csUm, aperture] = condition;
  const edge = further(condition, "aperture_edge_mrad");
  const focal = further(condition, "focal_spread_nm") * A_per_nm;
  const source = further(condition, "source_spread_mrad");
  const [a12, b12, a21, b21, a23, b23] = aberrationsOf(condition, draw);
  const defocus = defocusNm * A_per_nm + draw[0];
  const cs = csUm * A_per_um;
  const round = !(a12 || b12 || a21 || b21 || a23 || b23);
  const result = new Float64Array(q.length);
  for (let k = 0; k < q.length; k++) {
    const a = wavelength * q[k];
    const alpha = a * 1e3;
    let passed = alpha <= aperture ? 1 : 0;
    if (edge > 0) passed = Math.min(1, Math.max(0, (aperture - alpha) / edge + 0.5));
    if (passed === 0) continue;
    let second = -defocus;
    let third = 0;
    let azimuthal = 0;
    if (!round) {
      const f = phi ? phi[k] : 0;
      const [c1, s1, c2, s2] = [Math.cos(f), Math.sin(f), Math.cos(2 * f), Math.sin(2 * f)];
      const [c3, s3] = [Math.cos(3 * f), Math.sin(3 * f)];
      second += a12 * c2 + b12 * s2;
      third = a21 * c1 + b21 * s1 + a23 * c3 + b23 * s3;
      azimuthal =
        a * (a12 * s2 - b12 * c2) +
        a * a * ((a21 * s1 - b21 * c1) / 3 + a23 * s3 - b23 * c3);
    }
    const phase = (a * a * second) / 2 + (a ** 3 * third) / 3 + (a ** 4 * cs) / 4;
    const radial = a * second + a * a * third + a ** 3 * cs;
    const slope = (2 * Math.PI) / wavelength;
    const temporal = Math.exp(-(((Math.PI / 2) * wavelength * focal * q[k] * q[k]) ** 2));
    const gradient = slope * slope * (radial * radial + azimuthal * azimuthal);
    const spatial = Math.exp(-(((source * 1e-3) / 2) ** 2) * gradient);
    result[k] = passed * temporal * spatial * Math.sin(slope * phase);
  }
  return result;
}

/**
 * Return the factor of vibration and MTF at frequencies q under a condition, as in
 * passband.optics.detector. `blur` is this factor for the study's own values.
 */
function blurOf(condition, q, blur) {
  const [rms, m] = ["vibration_A", "mtf_nyquist"].map((name) => further(condition, name));
  const { vibration_A: ownRms, mtf_nyquist: own } = LENS.own;
  if (rms === ownRms && (m === own || !["gaussian", "lorentzian"].includes(LENS.mtf))) return blur;
  return q.map((value, k) => {
    const f = 2 * LENS.pixel * value;
    const change = Math.exp(-2 * (Math.PI * value) ** 2 * (rms * rms - ownRms * ownRms));
    if (LENS.mtf === "gaussian") return blur[k] * change * (m / own) ** (f * f);
    if (LENS.mtf === "lorentzian")
      return (blur[k] * change * (1 + (1 / own - 1) * f * f)) / (1 + (1 / m - 1) * f * f);
    return blur[k] * change;
  });
}

/** Return the mean transfer of a condition over the lens's draws, at azimuths phi. */
function meanTransfer(condition, q, phi) {
  const mean = new Float64Array(q.length);
  for (const draw of LENS.draws)
    transfer(condition, draw, q, phi).forEach((value, k) => (mean[k] += value / LENS.draws.length));
  return mean;
}

/** Return the root mean square over azimuths of the mean transfer of a condition. */
function azimuthalTransfer(condition, q) {
  const squares = new Float64Array(q.length);
  for (let n = 0; n < AZIMUTHS; n++) {
    const phi = new Float64Array(q.length).fill((2 * Math.PI * n) / AZIMUTHS);
    meanTransfer(condition, q, phi).forEach((value, k) => (squares[k] += value ** 2 / AZIMUTHS));
  }
  return squares.map(Math.sqrt);
}
