// The linear transfer T(q) of a round or astigmatic lens, as in passband.optics.ctf.

const LENS = content.lens;

/**
 * Return T at spatial frequencies q [1/Å] and azimuths phi [rad] under a condition.
 *
 * `condition` has the values of all axes, and `draw` is one of the lens's draws.
 */
function transfer(condition, draw, q, phi) {
  const { wavelength, edge, focal, source, A_per_nm, A_per_um } = LENS;
  const [defocusNm, csUm, aperture] = condition;
  const [change, , c12, phi12, c21, phi21, c23, phi23] = draw;
  const defocus = defocusNm * A_per_nm + change;
  const cs = csUm * A_per_um;
  const round = c12 === 0 && c21 === 0 && c23 === 0;
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
      const azimuth = phi ? phi[k] : 0;
      second += c12 * Math.cos(2 * (azimuth - phi12));
      third = c21 * Math.cos(azimuth - phi21) + c23 * Math.cos(3 * (azimuth - phi23));
      azimuthal =
        a * c12 * Math.sin(2 * (azimuth - phi12)) +
        a * a * ((c21 / 3) * Math.sin(azimuth - phi21) + c23 * Math.sin(3 * (azimuth - phi23)));
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
