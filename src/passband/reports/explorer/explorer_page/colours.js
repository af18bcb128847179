// Colours of numbers.

/** The colour of a missing number, and colours of lines that everybody can distinguish. */
const MISSING = [221, 221, 221];
const LINES = { train: "var(--train)", test: "var(--test)", plain: "var(--plain)" };

/** Return the colours of the page, which is light or dark, for a canvas. */
function pageColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "ink", "edge", "train", "test"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Return a promise of a colour map: 256 colours for numbers, and one for missing numbers. */
async function colourMap(name) {
  const rgb = await numbers(content.colours.find((map) => map.name === name).rgb);
  const colours = new Uint32Array(257);
  for (let k = 0; k < 257; k++) {
    const [r, g, b] = k < 256 ? rgb.subarray(3 * k, 3 * k + 3) : MISSING;
    colours[k] = (255 << 24) | (b << 16) | (g << 8) | r; // as bytes in the order r, g, b, alpha
  }
  return colours;
}

/** Return the place of each number in a colour map, from 0 to 255, and 256 for missing numbers. */
function colourPlaces(values, [low, high]) {
  const places = new Uint16Array(values.length);
  const factor = 256 / (high - low);
  for (let n = 0; n < values.length; n++) {
    const place = Math.floor((values[n] - low) * factor);
    places[n] = place !== place ? 256 : place < 0 ? 0 : place > 255 ? 255 : place;
  }
  return places;
}

/** Return a colour as text for a page. */
function cssColour(colour) {
  return `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
}
