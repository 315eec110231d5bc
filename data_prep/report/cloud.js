// Draws every <div class="cloud"> of the page: points as small discs into a z-buffer, edges darkened by depth, boxes as lines.
// Software only, so it works wherever a canvas does. A view is decoded and drawn while it is on screen and released after.
(() => {
"use strict";

const FIELD_OF_VIEW = 0.8;            // radians, vertical
const START = { azimuth: -2.2, elevation: 0.55 };
const MAX_PIXELS = 2.2e6;             // per view: keeps turning smooth on sharp screens
const MAX_RADIUS = 7;                 // of a disc, pixels
const BACKGROUND = [19, 22, 28];
const GRAY = 0.45;                    // brightness of points that belong to no object, when objects are colored
// Viridis (van der Walt and Smith, 2015) at nine stops.
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

const pack = (r, g, b) => (255 << 24) | (b << 16) | (g << 8) | r;
const LABEL_GRAY = [150, 154, 162];

function hsl(hue, saturation, lightness) {
  const amplitude = saturation * Math.min(lightness, 1 - lightness);
  const channel = n => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - amplitude * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

function viridis(t) {
  const x = Math.max(0, Math.min(1, t)) * (VIRIDIS.length - 1.0001), i = Math.floor(x), f = x - i;
  return VIRIDIS[i].map((a, c) => a + f * (VIRIDIS[i + 1][c] - a));
}

// Half widths of the rows of a disc, by radius in pixels.
const DISCS = Array.from({ length: MAX_RADIUS + 1 }, (_, radius) =>
  Array.from({ length: 2 * radius + 1 }, (_, row) =>
    Math.floor(Math.sqrt(Math.max(0, (radius + 0.35) ** 2 - (row - radius) ** 2)))));

// One z-buffer for all views: only one is drawn at a time.
let depthBuffer = new Float32Array(0);

class CloudView {
  constructor(element) {
    this.element = element;
    this.header = JSON.parse(element.dataset.header);
    this.hidden = new Set();
    this.lit = -1;
    this.objectColors = this.header.owners;
    this.pointers = new Map();
    this.reset();
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `point cloud, ${this.header.count} points, ${this.header.boxes.length} boxes`);
    element.append(this.canvas);
    if (element.clientHeight > 250) this.addHint();
    const ends = this.header.boxes.filter(box => box.span).map(box => box.span[1] - 1);
    this.time = ends.length ? Math.max(...ends) : null;
    if (this.header.labels.length || this.header.owners) this.addLegend();
    if (this.time !== null) this.addSlider();
    this.listen();
  }

  // With "color by …" on, an object has the color of its value, from violet (0) to yellow (1).
  objectColor(box) {
    const { label, value } = box;
    return this.byValue && value !== undefined ? viridis(0.06 + 0.9 * value).map(Math.round) : this.labelColor(Math.max(0, label));
  }

  labelColor(label) {
    return this.header.gray.includes(label) ? LABEL_GRAY : hsl((label * 137.508 + 20) % 360, 0.78, 0.64);
  }

  reset() {
    const { center, radius } = this.header.frame;
    this.target = [...center];
    this.distance = 1.08 * radius / Math.sin(FIELD_OF_VIEW / 2);
    Object.assign(this, START, this.header.start);
  }

  // --- data -------------------------------------------------------------------------------------------------------

  show() {
    if (this.points) return;
    const { count, step, colors, owners } = this.header;
    const bytes = Uint8Array.from(atob(this.element.querySelector("script").textContent), c => c.charCodeAt(0));
    const raw = new Int16Array(bytes.buffer, 0, 3 * count);
    this.points = new Float32Array(3 * count);
    for (let i = 0; i < 3 * count; i++) this.points[i] = raw[i] * step[i % 3];
    this.rgb = colors ? bytes.subarray(6 * count, 9 * count) : null;
    const start = (colors ? 9 : 6) * count;
    this.owners = owners ? new Int16Array(bytes.buffer.slice(start, start + 2 * count)) : null;
    this.paint();
  }

  release() {
    this.points = this.rgb = this.owners = this.packed = this.image = null;
    this.canvas.width = this.canvas.height = 0;
  }

  // The color of every point, from its own color or height, its object and what the legend asks for.
  paint() {
    if (!this.points) return;
    const { count, frame, boxes } = this.header;
    this.packed = new Int32Array(count);
    const [low, high] = frame.height;
    const palette = this.header.labels.map((_, i) => this.labelColor(i));
    const ramp = Array.from({ length: 256 }, (_, i) => viridis(0.06 + 0.9 * i / 255));
    for (let i = 0; i < count; i++) {
      let r, g, b;
      if (this.rgb) [r, g, b] = [this.rgb[3 * i], this.rgb[3 * i + 1], this.rgb[3 * i + 2]];
      else [r, g, b] = ramp[Math.max(0, Math.min(255, Math.round(255 * (this.points[3 * i + 2] - low) / (high - low || 1))))];
      if (this.owners && (this.objectColors || this.lit >= 0)) {
        const luma = 0.3 * r + 0.59 * g + 0.11 * b;
        const label = this.owners[i] >= 0 ? boxes[this.owners[i]].label : -1;
        const colored = label >= 0 && !this.hidden.has(label) && (this.lit < 0 || this.lit === label);
        // Objects of a gray label have one legend entry, but stay apart: each has a pale color of its own.
        const own = label >= 0 && this.header.gray.includes(label) ? hsl((this.owners[i] * 137.508 + 20) % 360, 0.3, 0.6) : null;
        const chosen = this.byValue && colored ? this.objectColor(boxes[this.owners[i]]) : own ?? palette[label];
        if (colored) [r, g, b] = chosen.map(c => c * (0.55 + 0.45 * luma / 255));
        else [r, g, b] = [r, g, b].map(c => BACKGROUND[0] + GRAY * (0.6 * luma + 0.4 * c));
      }
      this.packed[i] = pack(r, g, b);
    }
    this.redraw();
  }

  // --- drawing ----------------------------------------------------------------------------------------------------

  redraw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; if (this.points) this.draw(); });
  }

  draw() {
    const width = this.element.clientWidth, height = this.element.clientHeight;
    if (!width || !height) return;
    const ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(MAX_PIXELS / (width * height)));
    const w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (this.canvas.width !== w || this.canvas.height !== h || !this.image) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.context = this.canvas.getContext("2d");
      this.image = this.context.createImageData(w, h);
    }
    this.ratio = ratio;
    this.look(w, h);
    if (depthBuffer.length < w * h) depthBuffer = new Float32Array(w * h);
    const pixels = new Int32Array(this.image.data.buffer);
    pixels.fill(pack(...BACKGROUND));
    depthBuffer.fill(Infinity, 0, w * h);
    this.splat(pixels, w, h);
    shadeEdges(pixels, w, h, Math.max(1, Math.round(ratio)));
    this.context.putImageData(this.image, 0, 0);
    this.drawBoxes();
    this.drawScale(w, h);
  }

  look(w, h) {
    const ca = Math.cos(this.azimuth), sa = Math.sin(this.azimuth), ce = Math.cos(this.elevation), se = Math.sin(this.elevation);
    this.right = [-sa, ca, 0];
    this.up = [-se * ca, -se * sa, ce];
    this.forward = [-ce * ca, -ce * sa, -se];
    this.eye = this.target.map((t, i) => t - this.distance * this.forward[i]);
    this.focal = Math.min(w, 1.2 * h) / 2 / Math.tan(FIELD_OF_VIEW / 2);
    this.half = [w / 2, h / 2];
  }

  // Image position and depth of one point.
  project(x, y, z) {
    x -= this.eye[0]; y -= this.eye[1]; z -= this.eye[2];
    const { right: r, up: u, forward: f } = this;
    const depth = x * f[0] + y * f[1] + z * f[2];
    const scale = this.focal / depth;
    return [this.half[0] + scale * (x * r[0] + y * r[1]), this.half[1] - scale * (x * u[0] + y * u[1] + z * u[2]), depth];
  }

  splat(pixels, w, h) {
    const { points, packed } = this, [ex, ey, ez] = this.eye;
    const [r0, r1] = this.right, [u0, u1, u2] = this.up, [f0, f1, f2] = this.forward;
    const near = 0.02 * this.distance, cx = this.half[0], cy = this.half[1], focal = this.focal;
    const size = 0.62 * this.header.spacing * focal, least = 0.55 * this.ratio, most = Math.min(MAX_RADIUS, 4 * this.ratio);
    for (let i = 0, n = packed.length; i < n; i++) {
      const x = points[3 * i] - ex, y = points[3 * i + 1] - ey, z = points[3 * i + 2] - ez;
      const depth = x * f0 + y * f1 + z * f2;
      if (depth < near) continue;
      const px = Math.round(cx + focal * (x * r0 + y * r1) / depth), py = Math.round(cy - focal * (x * u0 + y * u1 + z * u2) / depth);
      const radius = Math.round(Math.max(least, Math.min(most, size / depth)));
      if (px < radius || py < radius || px >= w - radius || py >= h - radius) continue;
      const disc = DISCS[radius], color = packed[i];
      for (let row = 0; row <= 2 * radius; row++) {
        const start = (py + row - radius) * w + px;
        for (let at = start - disc[row], end = start + disc[row]; at <= end; at++)
          if (depth < depthBuffer[at]) { depthBuffer[at] = depth; pixels[at] = color; }
      }
    }
  }

  isPresent({ span }) {
    return this.time === null || !span || (span[0] <= this.time && this.time < span[1]);
  }

  drawBoxes() {
    const context = this.context, near = 0.02 * this.distance, tags = [];
    context.lineJoin = "round";
    this.header.boxes.forEach(box => {
      if (this.hidden.has(box.label) || !this.isPresent(box)) return;
      const corners = [];
      for (let k = 0; k < 24; k += 3) corners.push(this.project(box.corners[k], box.corners[k + 1], box.corners[k + 2]));
      if (corners.some(corner => corner[2] < near)) return;
      const [r, g, b] = this.objectColor(box), faint = this.lit >= 0 && this.lit !== box.label;
      context.strokeStyle = `rgba(${r},${g},${b},${faint ? 0.15 : 0.95})`;
      context.lineWidth = (this.lit === box.label && this.lit >= 0 ? 2.4 : 1.3) * this.ratio;
      context.beginPath();
      for (let k = 0; k < 4; k++) {
        for (const [from, to] of [[k, (k + 1) % 4], [k + 4, (k + 1) % 4 + 4], [k, k + 4]]) {
          context.moveTo(corners[from][0], corners[from][1]);
          context.lineTo(corners[to][0], corners[to][1]);
        }
      }
      context.stroke();
      const top = corners.slice(4).reduce((best, corner) => corner[1] < best[1] ? corner : best);
      if (box.caption && !faint) tags.push({ text: box.caption, at: top, color: `rgb(${r},${g},${b})` });
    });
    for (const { name, at } of this.header.places) {
      const place = this.project(...at);
      if (place[2] >= near) tags.push({ text: name, at: place, color: "rgb(160,166,178)" });
    }
    this.drawTags(tags);
  }

  // Nearest first; a tag that would cover one already there is left out.
  drawTags(tags) {
    const context = this.context, size = 11.5 * this.ratio, placed = [];
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (const { text, at, color } of tags.sort((a, b) => a.at[2] - b.at[2])) {
      const width = context.measureText(text).width + size, height = 1.6 * size;
      const x = at[0] - width / 2, y = at[1] - height - 0.3 * size;
      if (placed.some(p => x < p.x + p.width && p.x < x + width && y < p.y + height && p.y < y + height)) continue;
      placed.push({ x, y, width });
      context.fillStyle = "rgba(12,14,18,.82)";
      context.beginPath();
      context.roundRect(x, y, width, height, 0.4 * size);
      context.fill();
      context.fillStyle = color;
      context.fillText(text, x + size / 2, y + height / 2 + 0.05 * size);
    }
  }

  // A bar of a round length at the distance of the view's center.
  drawScale(w, h) {
    const context = this.context, meter = this.focal / this.distance;
    const length = [100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01].find(l => l * meter < 0.22 * w) || 0.01;
    const x = w - 12 * this.ratio, y = h - 12 * this.ratio, left = x - length * meter, tick = 4 * this.ratio;
    context.strokeStyle = context.fillStyle = "rgba(235,238,245,.75)";
    context.lineWidth = 1.2 * this.ratio;
    context.beginPath();
    context.moveTo(left, y - tick); context.lineTo(left, y); context.lineTo(x, y); context.lineTo(x, y - tick);
    context.stroke();
    context.font = `${10.5 * this.ratio}px system-ui, sans-serif`;
    context.textBaseline = "alphabetic";
    context.textAlign = "center";
    context.fillText(length < 1 ? `${Math.round(length * 100)} cm` : `${length} m`, (left + x) / 2, y - 5 * this.ratio);
    context.textAlign = "start";
  }

  // --- legend and hands -------------------------------------------------------------------------------------------

  addHint() {
    const hint = document.createElement("div");
    hint.className = "hint";
    hint.textContent = "drag to turn · shift-drag to move · click, then wheel to zoom · double-click to reset";
    this.element.append(hint);
  }

  addLegend() {
    const legend = document.createElement("div");
    legend.className = "legend";
    const entry = (text, color, pressed, click) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", pressed);
      const swatch = document.createElement("i");
      if (color) { swatch.style.background = `rgb(${color})`; button.append(swatch); }
      button.append(text);
      button.addEventListener("click", () => { button.setAttribute("aria-pressed", click()); this.paint(); });
      legend.append(button);
      return button;
    };
    if (this.header.owners) entry("color objects", null, true, () => this.objectColors = !this.objectColors);
    if (this.header.value) entry(`color by ${this.header.value}`, null, false, () => this.byValue = !this.byValue);
    const counts = this.header.labels.map((_, label) => this.header.boxes.filter(box => box.label === label && this.isPresent(box)).length);
    this.header.labels.forEach((name, label) => {
      const button = entry(counts[label] > 1 ? `${name} × ${counts[label]}` : name, this.labelColor(label), true, () => {
        if (!this.hidden.delete(label)) this.hidden.add(label);
        this.lit = -1;
        return !this.hidden.has(label);
      });
      button.addEventListener("pointerenter", () => { if (!this.hidden.has(label)) { this.lit = label; this.paint(); } });
      button.addEventListener("pointerleave", () => { this.lit = -1; this.paint(); });
    });
    this.element.append(legend);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, event => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointermove", event => {
      const before = this.pointers.get(event.pointerId);
      if (!before) return;
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const dx = event.clientX - before[0], dy = event.clientY - before[1];
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (others.length) {
        const span = (x, y) => Math.hypot(x - others[0][0], y - others[0][1]);
        this.zoom(span(...before) / Math.max(1, span(event.clientX, event.clientY)));
        this.move(dx / 2, dy / 2);
      } else if (event.shiftKey || event.buttons & 6) this.move(dx, dy);
      else this.turn(-dx * 0.008, dy * 0.008);
    });
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("dblclick", () => { this.reset(); this.redraw(); });
    // Only a view that was clicked takes the wheel: otherwise a page of views could not be scrolled.
    canvas.addEventListener("wheel", event => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY * 0.0012));
    }, { passive: false });
    canvas.addEventListener("keydown", event => {
      const act = { ArrowLeft: () => this.turn(0.1, 0), ArrowRight: () => this.turn(-0.1, 0), ArrowUp: () => this.turn(0, 0.1), ArrowDown: () => this.turn(0, -0.1),
        "+": () => this.zoom(0.85), "-": () => this.zoom(1.18), "0": () => { this.reset(); this.redraw(); }, Escape: () => canvas.blur() }[event.key];
      if (act) { act(); event.preventDefault(); }
    });
  }

  turn(azimuth, elevation) {
    this.azimuth += azimuth;
    this.elevation = Math.max(-1.5, Math.min(1.55, this.elevation + elevation));
    this.redraw();
  }

  zoom(factor) {
    const { radius } = this.header.frame;
    this.distance = Math.max(0.02 * radius, Math.min(20 * radius, this.distance * factor));
    this.redraw();
  }

  // Chooses the frame whose boxes are shown; points are those of the end.
  addSlider() {
    const slider = document.createElement("input"), output = document.createElement("output"), bar = document.createElement("label");
    bar.className = "slider";
    Object.assign(slider, { type: "range", min: 1, max: this.time, value: this.time, step: 1 });
    slider.setAttribute("aria-label", "frame");
    const show = () => {
      this.time = Number(slider.value);
      output.textContent = `frame ${this.time} of ${slider.max}`;
      this.redraw();
    };
    slider.addEventListener("input", show);
    bar.append(slider, output);
    this.element.append(bar);
    show();
  }

  move(dx, dy) {
    const meters = this.distance / this.focal * this.ratio;
    for (let i = 0; i < 3; i++) this.target[i] += (-dx * this.right[i] + dy * this.up[i]) * meters;
    this.redraw();
  }
}

// Eye-dome lighting (Boucheny, 2009): a pixel is darkened by how far its neighbors stand in front of it.
function shadeEdges(pixels, w, h, reach) {
  for (let y = reach; y < h - reach; y++) {
    for (let x = reach, at = y * w + reach; x < w - reach; x++, at++) {
      const depth = depthBuffer[at];
      if (depth === Infinity) continue;
      const floor = 0.995 * depth;
      let sum = 0, d;
      if ((d = depthBuffer[at - reach]) < floor) sum += 1 - d / depth;
      if ((d = depthBuffer[at + reach]) < floor) sum += 1 - d / depth;
      if ((d = depthBuffer[at - reach * w]) < floor) sum += 1 - d / depth;
      if ((d = depthBuffer[at + reach * w]) < floor) sum += 1 - d / depth;
      if (sum === 0) continue;
      const light = Math.max(0.3, 1 / (1 + 6 * sum)), color = pixels[at];
      pixels[at] = pack((color & 255) * light, (color >> 8 & 255) * light, (color >> 16 & 255) * light);
    }
  }
}

const views = new Map();
function show(element) {
  if (!views.has(element)) views.set(element, new CloudView(element));
  views.get(element).show();
}
const observer = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) show(target);
    else if (views.has(target)) views.get(target).release();
  }
}, { rootMargin: "300px" });
const resized = new ResizeObserver(entries => entries.forEach(({ target }) => { const view = views.get(target); if (view) view.redraw(); }));
// Also for scripts of the page that make clouds appear and go.
window.clouds = {
  // What is in view is drawn at once: nothing flashes, and a screenshot is never empty.
  add(element) {
    const { top, height } = element.getBoundingClientRect();
    if (height && top < innerHeight) { show(element); views.get(element).draw(); }
    observer.observe(element);
    resized.observe(element);
  },
  remove(element) { observer.unobserve(element); resized.unobserve(element); views.delete(element); },
};
for (const element of document.querySelectorAll(".cloud")) window.clouds.add(element);
})();
