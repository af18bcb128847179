// Elements of the page, and numbers as text. Text is always set as text, never as HTML, so that
// names of studies and files cannot contain markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return a new element with attributes (or functions for events, such as onclick) and children. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return a new element of an SVG picture. */
function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made[name] = value;
    else if (value !== null && value !== undefined && value !== false)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return the element of the page with an id. */
function byId(id) {
  return document.getElementById(id);
}

/** Return a number with a fixed number of decimals and a true minus sign, or a dash for NaN. */
function fixed(value, decimals = 3) {
  if (!Number.isFinite(value)) return "–";
  const text = value.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** Return a number with as many digits as it needs, at most 6. */
function short(value) {
  return String(Number(value.toPrecision(6))).replace("-", "−");
}

/** Return a number with commas between thousands, such as 1,600. */
function grouped(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 10 }).replace("-", "−");
}

/** Return a number of things, such as 12,096 networks. */
function counted(number, thing) {
  return `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
}

/** Give the browser time for input and drawing, during a long computation. */
function breathe() {
  return new Promise((resolve) => setTimeout(resolve));
}
