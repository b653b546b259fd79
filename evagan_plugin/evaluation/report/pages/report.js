// The worst utterances: all systems of one run together, one of them audible; the keyboard does everything.
// Stands behind player.js in one module.

/** Bytes of an embedded file; fetch() is closed to pages that are opened from a disk. */
async function embeddedBytes(id) {
  const { src } = document.getElementById(id);
  return Uint8Array.from(atob(src.slice(src.indexOf(",") + 1)), (letter) => letter.charCodeAt(0)).buffer;
}

const player = new Player(embeddedBytes, Number(document.body.dataset.sampleRate));
const notice = document.getElementById("notice");

class Utterance {
  constructor(section, number) {
    this.section = section;
    this.heading = section.querySelector("h3");
    this.radios = [...section.querySelectorAll("input[type=radio]")].filter((radio) => !radio.disabled);
    this.samples = this.radios.map((radio) => `audio${number}-${radio.value}`);
    this.figures = [...section.querySelectorAll("figure")];
    this.button = section.querySelector(".play");
    this.slider = section.querySelector(".position");
    this.clock = section.querySelector("output");
    this.seconds = Number(section.dataset.seconds);
    this.playback = null;
    this.wanted = false; // Whether it should sound: decoding takes a moment.
    for (const part of section.querySelectorAll("[hidden]")) part.hidden = false;
    for (const part of section.querySelectorAll(".plain")) part.hidden = true;
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    for (const [index, radio] of this.radios.entries()) radio.addEventListener("change", () => this.select(index));
    section.addEventListener("focusin", () => makeCurrent(this));
    section.addEventListener("pointerdown", () => makeCurrent(this));
    this.showFigure();
    this.showPosition(0);
  }

  get audible() {
    return this.radios.findIndex((radio) => radio.checked);
  }

  /** Hear another system from now on, at the position where the last one was. */
  select(index) {
    this.radios[index].checked = true;
    this.playback?.switchTo(index);
    this.showFigure();
    notice.textContent = this.radios[index].closest("label").querySelector("span").textContent;
  }

  step(by) {
    const count = this.radios.length;
    this.select((this.audible + by + count) % count);
  }

  async toggle() {
    if (this.wanted) {
      this.wanted = false;
      player.stop();
    } else {
      await this.play(Number(this.slider.value));
    }
    this.showState();
  }

  async play(offset) {
    makeCurrent(this);
    this.wanted = true;
    this.showState();
    try {
      await player.unlock(); // While the key or click still counts as the user's.
      const buffers = await Promise.all(this.samples.map((id) => player.load(id)));
      if (!this.wanted) return;
      const onTime = (position) => this.showPosition(position);
      const onEnd = (completed) => this.ended(completed);
      this.playback = await player.start(buffers, this.audible, { offset, onTime, onEnd });
    } catch (error) {
      this.wanted = false;
      notice.textContent = `This browser cannot play the audio: ${error.message}`;
      notice.classList.add("urgent");
    }
  }

  ended(completed) {
    this.playback = null;
    if (completed) {
      this.wanted = false;
      this.showPosition(0);
    }
    this.showState();
  }

  seek(position) {
    this.showPosition(position);
    if (this.playback) this.play(position);
  }

  showPosition(position) {
    this.slider.value = position;
    const words = `${position.toFixed(1)} s of ${this.seconds.toFixed(1)} s`;
    this.slider.setAttribute("aria-valuetext", words);
    this.clock.textContent = words;
  }

  showState() {
    this.button.querySelector(".label").textContent = this.wanted ? "Pause" : "Play";
    this.section.classList.toggle("sounding", this.wanted);
  }

  /** The picture of the audible system; the reference, which stands in every picture, leaves the last one there. */
  showFigure() {
    const system = this.radios[this.audible].value;
    const shown = this.figures.find((figure) => figure.dataset.system === system)
      ?? this.figures.find((figure) => !figure.hidden);
    for (const figure of this.figures) figure.hidden = figure !== shown;
  }
}

let current = null;
const utterances = [...document.querySelectorAll(".utterance")].map((section, place) => new Utterance(section, place + 1));

function makeCurrent(utterance) {
  if (current === utterance) return;
  if (current?.wanted) current.toggle();
  current = utterance;
  for (const { section } of utterances) section.classList.toggle("current", section === utterance.section);
}

function goTo(place) {
  const utterance = utterances[Math.min(utterances.length - 1, Math.max(0, place))];
  makeCurrent(utterance);
  utterance.heading.focus({ preventScroll: true });
  utterance.section.scrollIntoView({ block: "start" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !utterances.length) return;
  const { target } = event;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const scrolls = target.closest(".scroll"); // A table takes the arrows and Space for itself.
  const arrows = scrolls || target.matches("input[type=range]") ? {} : { ArrowLeft: -1, ArrowRight: 1 };
  if (target.matches("input[type=radio]")) Object.assign(arrows, { ArrowUp: -1, ArrowDown: 1 });
  const active = current ?? utterances[0];
  if (/^[1-9]$/.test(key)) {
    const index = active.radios.findIndex((radio) => Number(radio.value) === Number(key) - 1);
    if (index < 0) return;
    makeCurrent(active);
    active.select(index);
  } else if (key in arrows) {
    makeCurrent(active);
    active.step(arrows[key]);
    if (target.matches("input[type=radio]")) active.radios[active.audible].focus();
  } else if (key === " " && !scrolls && !target.matches("button, summary")) {
    active.toggle();
  } else if (key === "n" || key === "p") {
    goTo(utterances.indexOf(current) + (key === "n" ? 1 : -1));
  } else {
    return;
  }
  event.preventDefault();
});
