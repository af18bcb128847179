"use strict";
// Saves the data of a figure: base64 → gzip → CSV.
async function save(button) {
  const source = document.getElementById(button.dataset.source);
  const bytes = Uint8Array.from(atob(source.textContent.trim()), (c) => c.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(unpacked).text();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = source.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
for (const button of document.querySelectorAll("button[data-source]")) {
  button.addEventListener("click", () => save(button));
}
// The microscope's sliders set the values of the command, and what the explorer shows.
const microscope = [...document.querySelectorAll("#microscope input")];
function show() {
  const values = microscope.map((input) => {
    const { low, high, log, decimals } = input.dataset;
    if (low === undefined) return Number(input.value);
    const [a, b, share] = [Number(low), Number(high), input.value / input.max];
    const value = log ? a * (b / a) ** share : a + (b - a) * share;
    return Number(Math.min(b, Math.max(a, Number(value.toPrecision(3)))).toFixed(decimals));
  });
  microscope.forEach(({ name, nextElementSibling: output }, k) => {
    if (output?.matches("output")) output.value = values[k];
    const asked = document.getElementById(`asked-${name}`);
    if (asked) asked.textContent = values[k];
  });
  const link = document.getElementById("explored");
  if (!link) return;
  const parts = link.hash.slice(1).split("&").filter((part) => /^(rows|columns)=/.test(part));
  link.hash = [...parts, "tab=microscope", `microscope=${values}`].join("&");
}
for (const input of microscope) input.addEventListener("input", show);
if (microscope.length) show();
// A printed page shows everything.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
