// Draws every <div class="overlay">: a photo, a frame's points by depth and its objects, each to switch on and off.
// The depth scale is always that of what is in view, so that zooming in shows the steps within one object.
(() => {
"use strict";

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

class Overlay {
  constructor(element) {
    this.element = element;
    this.header = JSON.parse(element.dataset.header);
    this.photo = element.querySelector(".photo");
    this.image = element.querySelector("img");
    this.shows = { points: true, objects: true, boxes: true, gray: true };
    element.classList.add("gray");
    this.lit = -1;
    this.pointers = new Map();
    this.view = { x: 0, y: 0, scale: 1 };
    this.decode();
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${this.header.count} points and ${this.header.objects.length} objects on a photo`);
    this.photo.append(this.canvas);
    this.addControls();
    this.listen();
  }

  decode() {
    const { count, subpixel, depthStep } = this.header;
    const bytes = Uint8Array.from(atob(this.element.querySelector("script").textContent), c => c.charCodeAt(0));
    const u = new Uint16Array(bytes.buffer, 0, count), v = new Uint16Array(bytes.buffer, 2 * count, count);
    this.u = Float32Array.from(u, value => value / subpixel);
    this.v = Float32Array.from(v, value => value / subpixel);
    this.logDepth = Float32Array.from(new Uint16Array(bytes.buffer, 4 * count, count), code => code / depthStep + Math.log(1e-3));
    this.owner = new Int16Array(bytes.buffer, 6 * count, count);
    this.order = Int32Array.from(this.u.keys()).sort((a, b) => this.logDepth[b] - this.logDepth[a]);  // far to near
  }

  addControls() {
    const controls = document.createElement("div");
    controls.className = "controls";
    const toggle = (name, title, key) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      button.title = `key ${key}`;
      button.setAttribute("aria-pressed", this.shows[name]);
      const act = () => {
        this.shows[name] = !this.shows[name];
        button.setAttribute("aria-pressed", this.shows[name]);
        this.element.classList.toggle("gray", this.shows.gray);
        this.redraw();
      };
      button.addEventListener("click", act);
      controls.append(button);
      return act;
    };
    this.keys = { p: toggle("points", "all points", "p"), o: toggle("objects", "objects", "o"), b: toggle("boxes", "boxes", "b"), g: toggle("gray", "gray photo", "g") };
    this.hint = document.createElement("span");
    this.hint.textContent = "double click a box to go near";
    controls.append(this.hint);
    const depths = document.createElement("span");
    depths.className = "depths";
    depths.innerHTML = "<span></span><i></i><span></span>";
    depths.children[1].style.background = `linear-gradient(to right, ${this.header.ramp.map(color => `rgb(${color})`).join(",")})`;
    [this.nearText, , this.farText] = depths.children;
    controls.append(depths);
    this.element.append(controls);
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw() {
    const width = this.photo.clientWidth, height = this.photo.clientHeight;
    if (!width || !height) return;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    this.canvas.classList.toggle("zoomed", this.view.scale > 1);
    this.unit = width / this.header.width;  // CSS pixels per image pixel, unzoomed
    const { x, y, scale } = this.view;
    this.image.style.transform = `scale(${scale}) translate(${-x * this.unit}px, ${-y * this.unit}px)`;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, w, h);
    // Centers of pixels lie at integers.
    const k = this.unit * scale * ratio;
    this.place = (u, v) => [(u + 0.5 - x) * k, (v + 0.5 - y) * k];
    this.drawPoints(context, ratio, k);
    if (this.shows.boxes) this.drawBoxes(context, ratio);
  }

  // The 2nd and 98th percentile of the depths in view: one stray point hides nothing.
  depthRange() {
    const { width, height } = this.header, { x, y, scale } = this.view, inView = [];
    for (let i = 0; i < this.u.length; i++) {
      if (this.u[i] >= x && this.v[i] >= y && this.u[i] < x + width / scale && this.v[i] < y + height / scale) inView.push(this.logDepth[i]);
    }
    inView.sort((a, b) => a - b);
    if (!inView.length) return [0, 1];
    const low = inView[Math.floor(0.02 * inView.length)], high = inView[Math.floor(0.98 * (inView.length - 1))];
    return [low, Math.max(high, low + 0.01)];
  }

  drawPoints(context, ratio, k) {
    const { ramp, objects, cell } = this.header, [low, high] = this.depthRange();
    const meters = value => `${Math.exp(value).toFixed(Math.exp(value) < 10 ? 2 : 1)} m`;
    this.nearText.textContent = meters(low);
    this.farText.textContent = meters(high);
    const colors = ramp.map(color => `rgb(${color})`), own = objects.map(({ color }) => `rgb(${color})`);
    const dot = clamp(0.55 * cell * k, 1.6 * ratio, 5 * ratio);
    const paint = (ofObjects, size) => {
      let last = "";
      for (const i of this.order) {
        const owner = this.owner[i];
        if (owner >= 0 !== ofObjects) continue;
        const [px, py] = this.place(this.u[i], this.v[i]);
        if (px < 0 || py < 0 || px > this.canvas.width || py > this.canvas.height) continue;
        const color = ofObjects ? own[owner] : colors[clamp(Math.round((this.logDepth[i] - low) / (high - low) * (colors.length - 1)), 0, colors.length - 1)];
        if (color !== last) context.fillStyle = last = color;
        if (ofObjects) context.globalAlpha = this.lit < 0 || this.lit === owner ? 1 : 0.15;
        context.fillRect(px - size / 2, py - size / 2, size, size);
      }
      context.globalAlpha = 1;
    };
    if (this.shows.points) paint(false, dot);
    if (this.shows.objects) paint(true, dot * 1.2);
  }

  drawBoxes(context, ratio) {
    const size = 11.5 * ratio, placed = [];
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    this.header.objects.forEach(({ box, color, caption }, number) => {
      if (!box) return;
      const lit = this.lit === number, [x0, y0] = this.place(box[0], box[1]), [x1, y1] = this.place(box[2], box[3]);
      context.strokeStyle = `rgba(${color},${this.lit < 0 || lit ? 1 : 0.25})`;
      context.lineWidth = (lit ? 2.4 : 1.3) * ratio;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      if (caption && (this.lit < 0 || lit)) {
        const width = context.measureText(caption).width + 0.8 * size, height = 1.5 * size;
        const x = clamp(x0, 0, Math.max(0, this.canvas.width - width)), y = y0 >= height ? y0 - height : Math.max(0, y0);
        if (!lit && placed.some(p => x < p.x + p.width && p.x < x + width && Math.abs(y - p.y) < height)) return;
        placed.push({ x, y, width });
        context.fillStyle = "rgba(8,10,14,.82)";
        context.fillRect(x, y, width, height);
        context.fillStyle = `rgb(${color})`;
        context.fillText(caption, x + 0.4 * size, y + height / 2);
      }
    });
  }

  // --- hands ------------------------------------------------------------------------------------------------------

  at(event) {
    const { left, top } = this.canvas.getBoundingClientRect(), k = this.unit * this.view.scale;
    return [this.view.x + (event.clientX - left) / k - 0.5, this.view.y + (event.clientY - top) / k - 0.5];
  }

  // The smallest box there.
  under(event) {
    const [u, v] = this.at(event);
    let best = -1, least = Infinity;
    this.header.objects.forEach(({ box }, number) => {
      if (!box || u < box[0] || v < box[1] || u > box[2] || v > box[3]) return;
      const area = (box[2] - box[0]) * (box[3] - box[1]);
      if (area < least) { best = number; least = area; }
    });
    return best;
  }

  light(number) {
    if (number === this.lit) return;
    this.lit = number;
    const object = this.header.objects[number];
    this.hint.textContent = object ? object.caption + (window.explorer?.has(object.key) ? " · Enter or Shift+click opens it" : "") : "double click a box to go near";
    this.redraw();
  }

  openLit() {
    const object = this.header.objects[this.lit];
    if (object && window.explorer?.has(object.key)) window.explorer.open(object.key);
  }

  goTo(x, y, scale) {
    const { width, height } = this.header;
    scale = clamp(scale, 1, 40);
    this.view = { x: clamp(x, 0, width - width / scale), y: clamp(y, 0, height - height / scale), scale };
    this.redraw();
  }

  // The point (u, v) stays where it is on the screen.
  zoom(factor, u, v) {
    const { x, y, scale } = this.view, next = clamp(scale * factor, 1, 40), k = scale / next;
    this.goTo(u - (u - x) * k, v - (v - y) * k, next);
  }

  goNear(number) {
    const { width, height, objects } = this.header, [x0, y0, x1, y1] = objects[number].box;
    const scale = Math.min(width / (1.6 * (x1 - x0) + 1), height / (1.6 * (y1 - y0) + 1));
    const shown = clamp(scale, 1, 40);
    this.goTo((x0 + x1) / 2 - width / shown / 2, (y0 + y1) / 2 - height / shown / 2, shown);
  }

  listen() {
    const canvas = this.canvas, middle = () => [this.view.x + this.header.width / this.view.scale / 2, this.view.y + this.header.height / this.view.scale / 2];
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      this.light(this.under(event));
      if (event.shiftKey) this.openLit();
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, event => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => { if (document.activeElement !== canvas) this.light(-1); });
    canvas.addEventListener("pointermove", event => {
      const before = this.pointers.get(event.pointerId);
      if (!before) { this.light(this.under(event)); return; }
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (others.length) {
        const span = (x, y) => Math.max(1, Math.hypot(x - others[0][0], y - others[0][1]));
        this.zoom(span(event.clientX, event.clientY) / span(...before), ...this.at(event));
      } else {
        const k = this.unit * this.view.scale;
        this.goTo(this.view.x - (event.clientX - before[0]) / k, this.view.y - (event.clientY - before[1]) / k, this.view.scale);
      }
    });
    canvas.addEventListener("dblclick", event => {
      const number = this.under(event);
      if (this.view.scale > 1 || number < 0) this.goTo(0, 0, 1); else this.goNear(number);
    });
    // Only a picture that was clicked takes the wheel: otherwise the page could not be scrolled.
    canvas.addEventListener("wheel", event => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0015), ...this.at(event));
    }, { passive: false });
    canvas.addEventListener("keydown", event => {
      const step = 60 / this.view.scale, { x, y, scale } = this.view, count = this.header.objects.length;
      const act = {
        "+": () => this.zoom(1.3, ...middle()), "-": () => this.zoom(1 / 1.3, ...middle()), "0": () => this.goTo(0, 0, 1), Escape: () => { this.light(-1); this.goTo(0, 0, 1); canvas.blur(); },
        ArrowLeft: () => this.goTo(x - step, y, scale), ArrowRight: () => this.goTo(x + step, y, scale), ArrowUp: () => this.goTo(x, y - step, scale), ArrowDown: () => this.goTo(x, y + step, scale),
        n: () => { if (count) { this.light((this.lit + 1) % count); if (this.view.scale > 1) this.goNear(this.lit); } },
        z: () => { if (this.lit >= 0) this.goNear(this.lit); }, Enter: () => this.openLit(), ...this.keys,
      }[event.key];
      if (act && !event.ctrlKey && !event.metaKey) { act(); event.preventDefault(); event.stopPropagation(); }
    });
  }
}

const overlays = new Map();
const show = element => {
  if (!overlays.has(element)) overlays.set(element, new Overlay(element));
  overlays.get(element).draw();
};
const observer = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) if (isIntersecting && !overlays.has(target)) show(target);
}, { rootMargin: "300px" });
const resized = new ResizeObserver(entries => entries.forEach(({ target }) => overlays.get(target)?.redraw()));
for (const element of document.querySelectorAll(".overlay")) {
  if (element.getBoundingClientRect().top < innerHeight) show(element);
  observer.observe(element);
  resized.observe(element);
}
})();
