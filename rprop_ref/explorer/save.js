"use strict";
// Files to keep: the picture as PNG and SVG, the run as CSV.

// The table that Trace.to_csv writes. `count` is the number of variables; `names` has the events: name, bits, value.
function csv(rows, count, names) {
  const number = (v) => (Number.isNaN(v) ? "nan" : v === Infinity ? "inf" : v === -Infinity ? "-inf" : String(v));
  const event = (e) => names.filter(([, bits, value]) => (e & bits) === value).map(([name]) => name).join(", ") || "kept";
  const quoted = (text) => (text.includes(",") ? `"${text}"` : text);
  const lines = ["iteration,f,coordinate,x,gradient_sign,step_size,event,pattern_move"];
  rows.forEach((row, k) => row.x.slice(0, count).forEach((x, i) => lines.push([
    k, number(row.f), i, number(x), sign(row.g[i]), number(row.size[i]), quoted(event(row.event[i])), 0,
  ].join(","))));
  return lines.join("\n") + "\n";
}

// `image` is the address of the contours; `paths` have points, colour, width and dash; `dots` are [x, y, radius, fill, line].
function svg(width, height, image, paths, dots) {
  const round = (v) => (Number.isFinite(v) ? Math.round(100 * v) / 100 : 0);
  const lines = paths.map((path) => {
    const points = path.points.map((point) => point.map(round).join(",")).join(" ");
    const dashes = path.dash.length ? ` stroke-dasharray="${path.dash}"` : "";
    return `<polyline points="${points}" fill="none" stroke="${path.colour}" stroke-width="${path.width}"${dashes}/>`;
  });
  const circles = dots.map(([x, y, r, fill, line]) =>
    `<circle cx="${round(x)}" cy="${round(y)}" r="${r}" fill="${fill}" stroke="${line}" stroke-width="${r / 2}"/>`);
  return [
    `<svg xmlns="http:${"//"}www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<image href="${image}" width="${width}" height="${height}"/>`, ...lines, ...circles, "</svg>", "",
  ].join("\n");
}

function offer(name, address) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}
