"use strict";
// The map with its contours, axes and paths, and charts over the iterations.

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function colour(e) {
  if (e & (LOWER | UPPER)) return style("--clamped");
  return style(grew(e) ? "--grew" : changed(e) ? "--shrank" : "--kept");
}

const dash = (rule) => (DATA.rules[rule].line === "--" ? [6, 4] : []);

// Fit the canvas to its box on the screen; returns its context, and its size in CSS pixels.
function resize(canvas) {
  const scale = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(box.width * scale));
  canvas.height = Math.max(1, Math.round(box.height * scale));
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  return [pen, box.width, box.height];
}

function place(a, b, width, height) {
  const [left, right, bottom, top_] = state.objective.window;
  return [((a - left) / (right - left)) * width, ((top_ - b) / (top_ - bottom)) * height];
}

// Where a row is on the map; with one variable, on its curve.
const pointOf = (row) => (state.names.length === 1 ? [row.x[0], row.f] : row.x);

// The contours as a canvas: coarse at first, and sharp once the browser has time. The page can be used before there are any.
let background = null, sharpening = null;
const FEW_SAMPLES = 5000, MOST_SAMPLES = 400000;
const whenIdle = window.requestIdleCallback || ((work) => setTimeout(() => work({ timeRemaining: () => 8 }), 50));

// Made when it is next drawn.
function forgetBackground() {
  background = sharpening = null;
}

function coarseBackground(canvas) {
  const { width, height } = canvas;
  const samples = (most, hasLines) => {
    const scale = Math.max(1, Math.sqrt((width * height) / most));
    return contours(Math.ceil(width / scale), Math.ceil(height / scale), hasLines);
  };
  const sharp = samples(MOST_SAMPLES, true);
  sharpening = sharp;
  // What is begun is left if the objective has changed meanwhile.
  const proceed = (deadline) => {
    while (sharpening === sharp && !sharpen(sharp.next())) {
      if (deadline.timeRemaining() < 2) return void whenIdle(proceed);
    }
    if (background === sharp.canvas) drawPath(picture());
  };
  whenIdle(proceed);
  const coarse = samples(FEW_SAMPLES, false);
  for (;;) {
    const { done, value } = coarse.next();
    if (done) return value;
  }
}

// Take what a step of the contours has brought; whether it was the last.
function sharpen({ done, value }) {
  if (done) {
    background = sharpening.canvas = value;
    sharpening = null;
  }
  return done;
}

// Finish the contours now, for a picture to keep.
function sharpenNow() {
  if (!background && state.names.length === 2) drawPath(picture());
  while (sharpening) sharpen(sharpening.next());
}

// Bands of equal width in the logarithm of the height, with or without lines between them; coarse lines would make patterns.
// Yields now and then, and returns a canvas.
function* contours(w, h, hasLines) {
  const [left, right, bottom, top_] = state.objective.window;
  const { value } = state.functions, { minimum } = state.objective;
  const heights = new Float64Array(w * h);
  let lowest = minimum ? value(...minimum) : Infinity;
  for (let r = 0; r < h; r++) {
    const b = top_ - ((r + 0.5) / h) * (top_ - bottom);
    for (let c = 0; c < w; c++) {
      const v = value(left + ((c + 0.5) / w) * (right - left), b);
      heights[r * w + c] = v;
      if (!minimum && v < lowest) lowest = v;
    }
    if (r % 16 === 15) yield;
  }
  const sample = [];
  for (let i = 0; i < w * h; i += 97) if (Number.isFinite(heights[i])) sample.push(heights[i] - lowest);
  sample.sort((u, v) => u - v);
  const bands = 16, unit = 0.02 * sample[sample.length >> 1] || 1, highest = Math.log(1 + sample.at(-1) / unit) || 1;
  const level = new Int8Array(w * h);
  for (let i = 0; i < w * h; i++) {
    if (i % 32768 === 32767) yield;
    level[i] = Math.min(bands, Math.floor((Math.log(1 + Math.max(heights[i] - lowest, 0) / unit) / highest) * bands));
  }
  const canvas = Object.assign(document.createElement("canvas"), { width: w, height: h }), pen = canvas.getContext("2d");
  const image = pen.createImageData(w, h), pixels = image.data;
  const rgb = (name) => style(name).split(",").map(Number);
  const low = rgb("--low"), high = rgb("--high"), line = rgb("--contour");
  for (let i = 0; i < w * h; i++) {
    if (i % 32768 === 32767) yield;
    const t = level[i] / bands;
    const edge = level[i] !== level[i + 1 < w * h ? i + 1 : i] || level[i] !== level[i + w < w * h ? i + w : i];
    const isLine = hasLines && edge && i % w !== w - 1;
    for (let j = 0; j < 3; j++) pixels[4 * i + j] = isLine ? line[j] : low[j] + t * (high[j] - low[j]);
    pixels[4 * i + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

function drawBackground(pen, width, height) {
  if (state.names.length === 1) drawCurve(pen, width, height);
  else {
    if (!background && state.isDrawn) background = coarseBackground(pen.canvas);
    if (background) pen.drawImage(background, 0, 0, width, height);
    else {
      pen.fillStyle = style("--panel");
      pen.fillRect(0, 0, width, height);
      whenIdle(() => drawPath(picture()));
    }
  }
}

// With one variable: the curve.
function drawCurve(pen, width, height) {
  const [left, right] = state.objective.window;
  pen.fillStyle = style("--panel");
  pen.fillRect(0, 0, width, height);
  pen.strokeStyle = style("--quiet");
  pen.lineWidth = 1.5;
  pen.beginPath();
  let open = false;
  for (let i = 0; i <= width; i++) {
    const a = left + (i / width) * (right - left), f = state.functions.value(a, 0);
    const [x, y] = place(a, f, width, height);
    if (!Number.isFinite(y)) open = false;
    else if (open) pen.lineTo(x, y);
    else {
      pen.moveTo(x, y);
      open = true;
    }
  }
  pen.stroke();
}

// With one variable: the tangent, its sign, and the next move.
function drawTangent(pen, width, height) {
  const rows = state.runs[state.rule], row = rows[state.k], next = rows[state.k + 1];
  const [left, right, bottom, top_] = state.objective.window, slope = row.g[0];
  if (!Number.isFinite(slope) || !Number.isFinite(row.f)) return;
  const [x, y] = place(row.x[0], row.f, width, height);
  // The slope on the screen, and a tangent of 100 pixels.
  const tilt = -slope * ((right - left) / width) * (height / (top_ - bottom)), half = 50 / Math.hypot(1, tilt);
  pen.strokeStyle = pen.fillStyle = style(slope > 0 ? "--shrank" : "--grew");
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x - half, y - half * tilt);
  pen.lineTo(x + half, y + half * tilt);
  pen.stroke();
  // The words stand above, on the side to which the curve falls.
  pen.font = "bold 16px system-ui, sans-serif";
  pen.textAlign = slope > 0 ? "right" : slope < 0 ? "left" : "center";
  const text = slope > 0 ? "slope +" : slope < 0 ? "slope \u2212" : "slope 0";
  const [least, most] = slope > 0 ? [66, width] : slope < 0 ? [0, width - 66] : [33, width - 33];
  pen.fillText(text, Math.min(Math.max(x - 12 * sign(slope), least), most), Math.max(y - 20, 14));
  if (!next || next.x[0] === row.x[0]) return;
  const [to] = place(next.x[0], row.f, width, height), head = to > x ? -6 : 6;
  pen.strokeStyle = style("--fore");
  pen.beginPath();
  pen.moveTo(x, y + 14);
  pen.lineTo(to, y + 14);
  pen.moveTo(to + head, y + 10);
  pen.lineTo(to, y + 14);
  pen.lineTo(to + head, y + 18);
  pen.stroke();
}

// Round numbers between low and high, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

// The same for a logarithmic axis, whose ends are logarithms: powers of ten, where there are two; else numbers between them.
function logTicks(low, high, count) {
  const first = Math.ceil(low - 1e-9), last = Math.floor(high + 1e-9), stride = Math.max(1, Math.ceil((last - first) / count));
  const powers = [];
  for (let e = last; e >= first; e -= stride) powers.push(Number("1e" + e));
  if (powers.length > 1) return powers;
  if (high - low < 0.5) return ticks(10 ** low, 10 ** high, count);
  return [1, 2, 5, 10, 20, 50].map((m) => m * Number("1e" + (first - 1))).filter((v) => v >= 10 ** low && v <= 10 ** high);
}

const isLong = (v) => Math.abs(v) >= 1e5 || (v !== 0 && Math.abs(v) < 1e-4);
const tickText = (v) => (isLong(v) ? v.toExponential().replace("e+", "e") : String(v));

// The axes lie inside the map, so that its edges are the window's.
function drawAxes(pen, width, height) {
  const [left, right, bottom, top_] = state.objective.window;
  pen.font = "12px system-ui, sans-serif";
  pen.strokeStyle = pen.fillStyle = style("--fore");
  pen.lineWidth = 1;
  const write = (text, x, y, align, baseline) => {
    pen.textAlign = align;
    pen.textBaseline = baseline;
    pen.fillText(text, x, y);
  };
  pen.beginPath();
  for (const a of ticks(left, right, Math.min(8, width / 60))) {
    const [x] = place(a, bottom, width, height);
    if (x < 34 || x > width - 24) continue;
    pen.moveTo(x, height);
    pen.lineTo(x, height - 5);
    write(tickText(a), x, height - 7, "center", "bottom");
  }
  for (const b of ticks(bottom, top_, 6)) {
    const [, y] = place(left, b, width, height);
    if (y < 24 || y > height - 24) continue;
    pen.moveTo(0, y);
    pen.lineTo(5, y);
    write(tickText(b), 8, y, "left", "middle");
  }
  pen.stroke();
  write(state.names[0], width - 8, height - 7, "right", "bottom");
  write(state.names[1] || "f", 8, 4, "left", "top");
}

// Draw `paths` of {points, colour, width, dash, alpha} and `dots` of [a, b, colour] over the contours, and the marker at
// `here`.
function drawPath({ paths, dots, here }) {
  const canvas = $("path"), pen = canvas.getContext("2d");
  const { width, height } = canvas.getBoundingClientRect();
  drawBackground(pen, width, height);
  drawAxes(pen, width, height);
  for (const path of paths) {
    pen.strokeStyle = path.colour;
    pen.setLineDash(path.dash);
    pen.globalAlpha = path.alpha;
    pen.lineWidth = path.width;
    pen.beginPath();
    path.points.forEach(([a, b], i) => {
      const [px, py] = place(a, b, width, height);
      if (i) pen.lineTo(px, py);
      else pen.moveTo(px, py);
    });
    pen.stroke();
  }
  pen.globalAlpha = 1;
  pen.setLineDash([]);
  for (const [a, b, fill] of dots) {
    const [px, py] = place(a, b, width, height);
    pen.fillStyle = fill;
    pen.beginPath();
    pen.arc(px, py, 2.6, 0, 7);
    pen.fill();
  }
  if (state.names.length === 1) drawTangent(pen, width, height);
  if (state.objective.minimum) drawMinimum(pen, width, height);
  const [px, py] = place(...here, width, height);
  const marker = $("marker");
  marker.style.left = px + 1 + "px";
  marker.style.top = py + 1 + "px";
  marker.style.visibility = px >= 0 && py >= 0 && px <= width && py <= height ? "visible" : "hidden";
  [marker.dataset.a, marker.dataset.b] = here;
}

function drawMinimum(pen, width, height) {
  const [a, b] = place(...state.objective.minimum, width, height);
  pen.fillStyle = style("--fore");
  pen.font = "16px sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText("\u2605", a, b);
}

// The picture as text: contours as an image, paths as lines.
function pictureAsSvg(picture) {
  const canvas = $("path"), { width, height } = canvas.getBoundingClientRect();
  const at = ([a, b]) => place(a, b, width, height);
  sharpenNow();
  drawPath({ paths: [], dots: [], here: picture.here });
  const image = canvas.toDataURL();
  drawPath(picture);
  const lines = picture.paths.map((path) => ({ ...path, points: path.points.map(at) }));
  const circles = picture.dots.map(([a, b, fill]) => [...at([a, b]), 2.6, fill, "none"]);
  return svg(Math.round(width), Math.round(height), image, lines, [
    ...circles, [...at(picture.here), 6.5, style("--back"), style("--fore")],
  ]);
}

// The picture as the address of a PNG. The marker is no part of the canvas, so it is drawn for the picture.
function pictureAsPng(picture) {
  const canvas = $("path"), pen = canvas.getContext("2d");
  const { width, height } = canvas.getBoundingClientRect();
  sharpenNow();
  drawPath(picture);
  const [x, y] = place(...picture.here, width, height);
  pen.fillStyle = style("--back");
  pen.strokeStyle = style("--fore");
  pen.lineWidth = 3;
  pen.beginPath();
  pen.arc(x, y, 6.5, 0, 7);
  pen.fill();
  pen.stroke();
  const address = canvas.toDataURL();
  drawPath(picture);
  return address;
}

// A number in a few letters.
function short(v, digits = 3) {
  const size = Math.abs(v);
  if (size === 0 || (size >= 1e-2 && size < 1e4)) return String(Number(v.toPrecision(digits)));
  return v.toExponential(1).replace(".0e", "e").replace("e+", "e");
}

// A chart over iterations; its vertical axis is logarithmic if no value is negative. Values below `lowest` are drawn there.
function chart(id, lines, dots, lowest = 0) {
  const [pen, width, height] = resize($(id));
  const all = lines.flatMap((line) => line.ys).filter(Number.isFinite);
  const positive = all.filter((v) => v > 0);
  const log = positive.length > 0 && Math.min(...all) >= 0;
  const low = log ? Math.max(Math.min(...positive), lowest) : Math.min(...all);
  const to = (v) => (log ? Math.log10(Math.max(v, low)) : v);
  const floor = to(low), ceiling = Math.max(to(Math.max(...all)), floor + 1e-9);
  const last = Math.max(1, state.options.steps), left = 52, base = height - 20;
  const px = (k) => left + (k / last) * (width - left - 8);
  const py = (v) => 8 + ((ceiling - to(v)) / (ceiling - floor)) * (base - 14);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = style("--quiet");
  pen.strokeStyle = style("--line");
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const v of log ? logTicks(floor, ceiling, 4) : ticks(floor, ceiling, 3)) {
    const y = py(v);
    pen.fillText(short(v), left - 6, y);
    pen.beginPath();
    pen.moveTo(left, y);
    pen.lineTo(width - 8, y);
    pen.stroke();
  }
  pen.textAlign = "center";
  for (const k of ticks(0, last, 5)) if (Number.isInteger(k)) pen.fillText(k, Math.min(px(k), width - 14), base + 10);
  for (const line of lines) {
    pen.strokeStyle = line.colour;
    pen.lineWidth = line.width;
    pen.setLineDash(line.dash || []);
    pen.beginPath();
    let open = false;
    line.ys.forEach((v, k) => {
      if (!Number.isFinite(v)) return void (open = false);
      if (open) pen.lineTo(px(k), py(v));
      else pen.moveTo(px(k), py(v));
      open = true;
    });
    pen.stroke();
  }
  pen.setLineDash([]);
  for (const [k, v, fill] of dots) {
    pen.fillStyle = fill;
    pen.beginPath();
    pen.arc(px(k), py(v), 2.4, 0, 7);
    pen.fill();
  }
  pen.strokeStyle = style("--fore");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(px(state.k), 4);
  pen.lineTo(px(state.k), base);
  pen.stroke();
}
