// Example images of a cell, with the outlines of the true mask and of the network's mask.

/** Yellow and blue can be distinguished with any colour vision. */
const OUTLINES = { true: "#f4d35e", predicted: "#4fb3ff" };
/** Number of screen pixels of an image's pixel. */
const MAGNIFIED = 6;

/** Return the examples of a group of networks, or undefined. */
function examplesOf(group) {
  if (group.specimen !== group.test_specimen) return undefined;
  return (content.examples ?? []).find(
    ({ specimen, architecture }) =>
      specimen === group.specimen && architecture === group.architecture,
  );
}

/** Return a promise of the example images of a cell, or of a hint at cells that have some. */
async function exampleImages(i, j, group) {
  const examples = examplesOf(group);
  if (!examples) {
    const missed = content.examples?.length && group.specimen === group.test_specimen;
    return element("p", {}, missed ? "The file has no example images of these networks." : "");
  }
  const [network, place] = [examples.train.indexOf(train.ids[i]), examples.test.indexOf(test.ids[j])];
  const title = element("h3", {}, "Example images");
  if (network < 0 || place < 0) {
    const near = (side, own, ids) => {
      const places = ids.map((id) => side.place.get(id));
      const from = (place) => distance(side, place, side.values[own]);
      return places.sort((a, b) => from(a) - from(b))[0];
    };
    if (train.isMixture(i))
      return element("p", {}, "The file has no example images of networks of mixtures.");
    const cell = [near(train, i, examples.train), near(test, j, examples.test)];
    return element(
      "div",
      {},
      title,
      element("p", {}, "The file has images of some cells only. The nearest of them:"),
      element(
        "button",
        { type: "button", class: "link", onclick: () => change({ cell }) },
        `trained at ${train.words(cell[0])}, tested at ${test.words(cell[1])}`,
      ),
    );
  }
  const [images, truth, masks] = await Promise.all(
    [examples.images, examples.true, examples.masks].map(numbers),
  );
  const pixels = examples.field_px ** 2;
  const packed = Math.ceil(pixels / 8);
  const shown = Array.from({ length: examples.structures }, (_, n) => {
    const image = place * examples.structures + n;
    const mask = (network * examples.test.length + place) * examples.structures + n;
    return picture(
      examples,
      images.subarray(image * pixels, (image + 1) * pixels),
      unpacked(truth.subarray(n * packed, (n + 1) * packed), pixels),
      unpacked(masks.subarray(mask * packed, (mask + 1) * packed), pixels),
      examples.dice[network][place][n],
    );
  });
  return element(
    "div",
    {},
    title,
    element("div", { class: "examples" }, ...shown),
    legend([[OUTLINES.true, "true outline"], [OUTLINES.predicted, "network's outline"]]),
  );
}

/** Return how different the values of two conditions are, relative to the ranges of the axes. */
function distance(side, place, values) {
  return values.reduce((total, value, a) => {
    const levels = side.levels[a];
    const range = levels.at(-1) - levels[0] || 1;
    return total + Math.abs(side.values[place][a] - value) / range;
  }, 0);
}

function unpacked(bytes, size) {
  return Uint8Array.from({ length: size }, (_, n) => (bytes[n >> 3] >> (7 - (n & 7))) & 1);
}

/** Return a figure of an image; the first axis of the image points right, the second upwards. */
function picture({ field_px: size, pixel_size_A: pixel, binning }, grey, truth, predicted, dice) {
  const canvas = element("canvas", { width: size * MAGNIFIED, height: size * MAGNIFIED });
  const small = element("canvas", { width: size, height: size });
  const image = new ImageData(size, size);
  for (let x = 0; x < size; x++) {
    for (let y = 0; y < size; y++) {
      const at = 4 * ((size - 1 - y) * size + x);
      image.data.fill(grey[x * size + y], at, at + 3);
      image.data[at + 3] = 255;
    }
  }
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  outline(context, size, truth, OUTLINES.true);
  outline(context, size, predicted, OUTLINES.predicted);
  const side = (size * pixel) / 10; // nm
  const bar = [0.5, 1, 2, 5, 10].find((length) => length >= side / 6) ?? 10;
  const length = (bar / side) * canvas.width;
  context.fillStyle = "black";
  context.fillRect(18, canvas.height - 36, length + 8, 20);
  context.fillStyle = "white";
  context.fillRect(22, canvas.height - 32, length, 12);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Test image with the true and the predicted outline, Dice ${fixed(dice, 2)}`);
  return element(
    "figure",
    {},
    canvas,
    element("figcaption", {}, [
      `Dice ${fixed(dice, 2)}`, `bar ${short(bar)}\u00a0nm`,
      ...(binning > 1 ? [`binned ${binning} × ${binning} to keep the file small`] : []),
    ].join("; ")),
  );
}

/** Draw lines between the pixels of a mask and other pixels. */
function outline(context, size, mask, colour) {
  context.beginPath();
  const at = (x, y) => x >= 0 && y >= 0 && x < size && y < size && mask[x * size + y];
  for (let x = 0; x < size; x++) {
    for (let y = 0; y < size; y++) {
      if (!at(x, y)) continue;
      const [left, top] = [x * MAGNIFIED, (size - 1 - y) * MAGNIFIED];
      const line = (x0, y0, x1, y1) => {
        context.moveTo(left + x0 * MAGNIFIED, top + y0 * MAGNIFIED);
        context.lineTo(left + x1 * MAGNIFIED, top + y1 * MAGNIFIED);
      };
      if (!at(x - 1, y) && x > 0) line(0, 0, 0, 1);
      if (!at(x + 1, y) && x < size - 1) line(1, 0, 1, 1);
      if (!at(x, y + 1) && y < size - 1) line(0, 0, 1, 0);
      if (!at(x, y - 1) && y > 0) line(0, 1, 1, 1);
    }
  }
  context.strokeStyle = colour;
  context.lineWidth = MAGNIFIED / 2;
  context.stroke();
}
