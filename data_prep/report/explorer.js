// Searchable gallery: search, labels and ranges asked for by charts, sliders, sorting, enlarging.
// What is asked for stands in the address after #, so that a view can be kept, sent and gone back to.
(() => {
"use strict";

const BINS = 36, STEPS = 1000;

const make = (tag, className = "", text = "", parent = null) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  if (parent) parent.append(element);
  return element;
};
const button = (text, label, parent, click) => {
  const element = make("button", "", text, parent);
  element.type = "button";
  if (label) element.setAttribute("aria-label", label);
  element.addEventListener("click", click);
  return element;
};
const short = value => value >= 100 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(value >= 10 ? 3 : 2));

// A slider with two ends above a histogram of all cards.
class Slider {
  constructor(measure, cards, parent, changed) {
    this.measure = measure;
    const values = cards.map(card => card.measures[measure.name]).filter(value => value !== undefined);
    this.log = measure.log && Math.min(...values) > 0;
    this.low = Math.min(...values);
    this.high = Math.max(...values);
    this.reset();
    const element = make("div", "slider", "", parent), head = make("div", "head", "", element);
    make("span", "", measure.title, head);
    this.text = make("span", "", "", head);
    const counts = new Array(BINS).fill(0);
    for (const value of values) counts[Math.min(BINS - 1, Math.floor(BINS * this.share(value)))]++;
    const most = Math.max(...counts), histogram = make("div", "histogram", "", element);
    this.bars = counts.map(count => {
      const bar = make("i", "", "", histogram);
      bar.style.height = count ? `${Math.max(6, 100 * count / most)}%` : "0";
      return bar;
    });
    const ends = make("div", "ends", "", element);
    this.inputs = ["least", "most"].map(name => {
      const input = make("input", "", "", ends);
      Object.assign(input, { type: "range", min: 0, max: STEPS, step: 1 });
      input.setAttribute("aria-label", `${name} ${measure.title}`);
      input.addEventListener("input", () => {
        const [a, b] = this.inputs.map(end => +end.value);
        if (a > b) this.inputs[name === "least" ? 1 : 0].value = input.value;
        this.from = a <= 0 ? null : this.value(Math.min(a, b) / STEPS);
        this.to = b >= STEPS ? null : this.value(Math.max(a, b) / STEPS);
        changed();
      });
      return input;
    });
    this.show();
  }

  share(value) {
    if (this.high === this.low) return 0;
    return this.log ? Math.log(value / this.low) / Math.log(this.high / this.low) : (value - this.low) / (this.high - this.low);
  }

  value(share) {
    return this.log ? this.low * (this.high / this.low) ** share : this.low + share * (this.high - this.low);
  }

  reset() { this.from = this.to = null; }

  get asks() { return this.from !== null || this.to !== null; }

  // A card that lacks the measure is let through only while nothing is asked.
  admits(card) {
    if (!this.asks) return true;
    const value = card.measures[this.measure.name];
    return value !== undefined && (this.from === null || value >= this.from) && (this.to === null || value < this.to || value === this.high && this.to >= this.high);
  }

  show() {
    const clip = share => Math.max(0, Math.min(1, share));
    const a = this.from === null ? 0 : clip(this.share(Math.max(this.from, this.low))), b = this.to === null ? 1 : clip(this.share(Math.min(this.to, this.high)));
    if (document.activeElement !== this.inputs[0]) this.inputs[0].value = Math.round(STEPS * a);
    if (document.activeElement !== this.inputs[1]) this.inputs[1].value = Math.round(STEPS * b);
    this.bars.forEach((bar, i) => bar.classList.toggle("out", (i + 1) / BINS <= a || i / BINS >= b));
    this.text.textContent = `${short(this.from ?? this.low)} – ${short(this.to ?? this.high)}${this.measure.unit ? " " + this.measure.unit : ""}`;
  }
}

class Explorer {
  constructor(root) {
    this.root = root;
    this.grid = root.querySelector(".gallery");
    this.cards = [...root.querySelectorAll(".card")].map((element, place) => {
      const card = { element, place, ...JSON.parse(element.dataset.object) };
      card.title = element.querySelector("h3").textContent;
      card.text = [card.title, element.querySelector("ul").textContent, ...card.words, card.key].join(" ").toLowerCase();
      card.button = button("⤢", `enlarge ${card.title}`, null, () => this.open(card.key));
      card.button.className = "enlarge";
      element.prepend(card.button);
      for (const image of element.querySelectorAll("img")) {
        image.style.cursor = "zoom-in";
        image.addEventListener("click", () => this.open(card.key));
      }
      return card;
    });
    this.byKey = new Map(this.cards.map(card => [card.key, card]));
    this.word = null;
    const measures = JSON.parse(root.dataset.measures);
    this.addTools(measures);
    this.viewer = new Viewer(this);
    this.listen();
    this.fromAddress();
  }

  addTools(measures) {
    const tools = make("div", "tools"), line = make("div", "line", "", tools);
    this.root.prepend(tools);
    this.search = make("input", "", "", line);
    Object.assign(this.search, { type: "search", placeholder: "Search labels, frames, keys" });
    this.search.setAttribute("aria-label", "search");
    this.search.setAttribute("aria-keyshortcuts", "/");
    this.search.addEventListener("input", () => this.update());
    this.sort = make("select", "", "", line);
    this.sort.setAttribute("aria-label", "sort by");
    const orders = [["", "labels"], ...measures.flatMap(({ name, title }) => [[`-${name}`, `${title}, high to low`], [name, `${title}, low to high`]])];
    for (const [value, title] of orders) make("option", "", `Sort: ${title}`, this.sort).value = value;
    this.sort.addEventListener("change", () => this.update());
    const panel = make("div", "sliders");
    this.sliders = measures.map(measure => new Slider(measure, this.cards, panel, () => this.update()));
    if (measures.length) {
      const toggle = button("Filters", "", line, () => {
        panel.hidden = !panel.hidden;
        toggle.setAttribute("aria-expanded", !panel.hidden);
      });
      panel.hidden = innerWidth < 800;
      toggle.setAttribute("aria-expanded", !panel.hidden);
    }
    this.asked = make("span", "asked", "", line);
    this.count = make("span", "count", "", line);
    this.count.setAttribute("role", "status");
    tools.append(panel);
    this.nothing = make("p", "nothing", "Nothing matches. Escape takes all filters away.", this.root);
  }

  listen() {
    document.addEventListener("click", event => {
      const asking = event.target.closest("[data-query]");
      if (!asking) return;
      const on = asking.getAttribute("aria-pressed") === "true";
      this.ask(JSON.parse(asking.dataset.query), !on);
      if (!on) this.root.scrollIntoView({ behavior: "smooth" });
    });
    document.addEventListener("keydown", event => {
      if (this.viewer.shown || event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.matches("input, select, textarea");
      if (event.key === "/" && !typing) {
        event.preventDefault();
        this.search.focus();
        this.search.select();
      } else if (event.key === "Escape" && !event.target.matches("canvas")) this.reset();
      else if (event.target.matches(".enlarge")) this.walk(event);
    });
    window.addEventListener("hashchange", () => this.fromAddress());
  }

  // Arrow keys go from card to card as they lie on the page.
  walk(event) {
    const shown = this.shown, here = shown.findIndex(card => card.button === event.target);
    const columns = Math.max(1, getComputedStyle(this.grid).gridTemplateColumns.split(" ").length);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -here, End: shown.length - 1 - here }[event.key];
    if (step === undefined || !shown[here + step]) return;
    event.preventDefault();
    shown[here + step].button.focus();
  }

  ask(query, on) {
    if (query.word !== undefined) this.word = on ? query.word : null;
    const slider = this.sliders.find(({ measure }) => measure.name === query.measure);
    if (slider) {
      slider.reset();
      if (on) Object.assign(slider, { from: query.from, to: query.to });
    }
    this.update();
  }

  reset() {
    this.search.value = "";
    this.word = null;
    for (const slider of this.sliders) slider.reset();
    this.update();
  }

  update() {
    const terms = this.search.value.toLowerCase().split(/\s+/).filter(Boolean), sort = this.sort.value, name = sort.replace(/^-/, "");
    this.shown = this.cards.filter(card => {
      const in_ = (this.word === null || card.words.includes(this.word)) && terms.every(term => card.text.includes(term)) && this.sliders.every(slider => slider.admits(card));
      card.element.hidden = !in_;
      return in_;
    });
    if (sort) {
      const sign = sort === name ? 1 : -1, value = card => card.measures[name] ?? sign * Infinity;
      this.shown.sort((a, b) => sign * (value(a) - value(b)) || a.place - b.place);
    }
    if (sort !== this.sorted) this.grid.append(...(sort ? this.shown : this.cards).map(card => card.element));
    else if (sort) this.grid.append(...this.shown.map(card => card.element));
    this.sorted = sort;
    for (const slider of this.sliders) slider.show();
    this.count.textContent = this.shown.length === this.cards.length ? `${this.cards.length} shown` : `${this.shown.length} of ${this.cards.length} shown`;
    this.nothing.hidden = this.shown.length > 0;
    this.showAsked();
    this.toAddress();
  }

  showAsked() {
    this.asked.replaceChildren();
    if (this.word !== null) button(`${this.word} ×`, `no longer only ${this.word}`, this.asked, () => this.ask({ word: this.word }, false));
    for (const slider of this.sliders) {
      if (slider.asks) button(`${slider.measure.title}: ${slider.text.textContent} ×`, `any ${slider.measure.title}`, this.asked, () => { slider.reset(); this.update(); });
    }
    for (const asking of document.querySelectorAll("[data-query]")) {
      const query = JSON.parse(asking.dataset.query);
      const slider = this.sliders.find(({ measure }) => measure.name === query.measure);
      const on = query.word !== undefined ? query.word === this.word : Boolean(slider && slider.asks && slider.from === query.from && slider.to === query.to);
      asking.setAttribute("aria-pressed", on);
    }
  }

  toAddress() {
    const asked = new URLSearchParams();
    if (this.search.value) asked.set("q", this.search.value);
    if (this.word !== null) asked.set("word", this.word);
    if (this.sort.value) asked.set("sort", this.sort.value);
    for (const { measure, from, to, asks } of this.sliders) if (asks) asked.set(measure.name, `${from ?? ""}..${to ?? ""}`);
    if (this.viewer.shown) asked.set("object", this.viewer.shown.key);
    history.replaceState(null, "", "#" + asked);
  }

  fromAddress() {
    const asked = new URLSearchParams(location.hash.slice(1));
    this.search.value = asked.get("q") ?? "";
    this.word = asked.get("word");
    this.sort.value = asked.get("sort") ?? "";
    for (const slider of this.sliders) {
      const [from, to] = (asked.get(slider.measure.name) ?? "..").split("..").map(end => end === "" ? null : +end);
      Object.assign(slider, { from, to: to ?? null });
    }
    const key = asked.get("object");
    this.update();
    if (key !== null && this.byKey.has(key)) this.open(key);
  }

  has(key) { return this.byKey.has(key); }

  open(key) { this.viewer.open(this.byKey.get(key)); }
}

// One object as large as the window allows, beside all its crops.
class Viewer {
  constructor(explorer) {
    this.explorer = explorer;
    this.shown = null;
    this.dialog = make("dialog", "viewer", "", document.body);
    const head = make("div", "head", "", this.dialog);
    this.title = make("h3", "", "", head);
    this.place = make("span", "place", "", head);
    button("‹", "previous object", head, () => this.step(-1));
    button("›", "next object", head, () => this.step(1));
    this.closer = button("×", "close", head, () => this.close());
    this.stage = make("div", "stage", "", this.dialog);
    this.rest = make("div", "", "", this.dialog);
    make("p", "keys", "← → next object · click into the cloud, then arrows turn it, + − zoom, 0 resets · Escape closes", this.dialog);
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("click", event => { if (event.target === this.dialog) this.close(); });
    this.dialog.addEventListener("keydown", event => {
      if (event.target.matches("canvas")) return;
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) { event.preventDefault(); this.step(step); }
    });
  }

  open(card) {
    this.shown = card;
    this.clear();
    const source = card.element, shown = this.explorer.shown, at = shown.indexOf(card);
    this.title.textContent = card.title;
    this.place.textContent = at < 0 ? "" : `${at + 1} of ${shown.length}`;
    this.stage.replaceChildren();
    const crop = source.querySelector(".media img"), cloud = source.querySelector(".cloud");
    if (crop) this.stage.append(this.picture(crop));
    this.stage.classList.toggle("single", !(crop && cloud));
    const strip = source.querySelector(".more")?.cloneNode(true);
    const facts = source.querySelector("ul").cloneNode(true);
    if (strip) {
      strip.prepend(this.picture(crop));
      strip.addEventListener("click", event => { if (event.target.matches("img")) this.stage.querySelector("img").src = event.target.src; });
    }
    this.rest.replaceChildren(...(strip ? [strip] : []), facts);
    if (!this.dialog.open) this.dialog.showModal();
    if (cloud) {
      this.cloud = make("div", "cloud", "", this.stage);
      this.cloud.dataset.header = cloud.dataset.header;
      this.cloud.append(cloud.querySelector("script").cloneNode(true));
      window.clouds.add(this.cloud);
    }
    this.explorer.toAddress();
  }

  picture(image) {
    const copy = image.cloneNode();
    copy.style.cursor = "";
    copy.loading = "eager";
    return copy;
  }

  step(by) {
    const { shown } = this.explorer, at = shown.indexOf(this.shown);
    const next = shown[(at + by + shown.length) % shown.length];
    if (next) this.open(next);
  }

  clear() {
    if (this.cloud) window.clouds.remove(this.cloud);
    this.cloud = null;
  }

  close() {
    this.dialog.close();
    this.closed();
  }

  // After our own button, and after the browser's: Escape, or a gesture on a phone.
  closed() {
    const card = this.shown;
    if (!card) return;
    this.clear();
    this.stage.replaceChildren();
    this.shown = null;
    this.explorer.toAddress();
    if (card && !card.element.hidden) { card.element.scrollIntoView({ block: "nearest" }); card.button.focus({ preventScroll: true }); }
  }
}

const root = document.querySelector(".explorer");
if (root) window.explorer = new Explorer(root);
})();
