// One trial: play, score, note artifacts, go on.

import { ArtifactPanel } from "./artifacts.js";
import { keyButton, make } from "./dom.js";
import { choiceScores, scaleScores, sliderScores } from "./scores.js";
import { t } from "./text.js";

const REFERENCE = "reference";

export class TrialView {
  constructor({ about, trial, player, onSubmit }) {
    this.about = about;
    this.trial = trial;
    this.player = player;
    this.onSubmit = onSubmit;
    this.together = about.samples !== "one";
    this.shownAt = Date.now() / 1000;
    this.playback = null;
    this.position = 0;
    this.duration = 0;
    this.sent = false;
    this.tracks = this.makeTracks();
    this.active = this.tracks.find((track) => track.slot !== REFERENCE);
    this.element = this.build();
    this.ready = this.load();
  }

  makeTracks() {
    const { trial, about } = this;
    const samples = trial.samples.map(({ slot, audio }) => ({
      slot, audio, plays: 0, heard: 0,
      key: about.samples === "one" ? "S" : slot,
      name: about.samples === "one" ? t("trial.sample") : t("trial.sample.letter", { letter: slot }),
    }));
    const reference = { slot: REFERENCE, audio: trial.reference, plays: 0, heard: 0, key: "R", name: t("trial.reference") };
    return trial.reference ? [reference, ...samples] : samples;
  }

  build() {
    const { about, trial } = this;
    const slots = trial.samples.map((sample) => sample.slot);
    const makeScores = { one: scaleScores, pair: choiceScores, all: sliderScores }[about.samples];
    this.scores = makeScores({ about, slots, onChange: () => this.update(), onChoose: (slot) => this.activate(slot) });
    this.artifacts = new ArtifactPanel({ labels: about.labels, current: () => ({ track: this.active, position: this.position }) });
    this.next = keyButton(t("trial.next"), "Enter", () => this.submit(), { className: "primary" });
    this.hint = make("p", { className: "hint", id: "hint", aria: { live: "polite" } }, t("trial.loading"));
    for (const track of this.tracks) this.buildTrack(track);
    const whole = keyButton(this.together ? t("trial.toggle") : t("trial.both"), t("key.space"), () => this.playAll(),
      { className: "quiet", aria: { keyshortcuts: "Space" } });
    this.controls = [whole, ...this.tracks.map((track) => track.button)];
    return make("section", { className: `card trial ${about.samples}` },
      trial.kind === "training" ? make("p", { className: "badge" }, t("trial.training")) : null,
      make("h1", {}, t(`question.${about.protocol}`)),
      make("div", { className: "tracks", aria: { role: "group", label: t("trial.listen") } }, ...this.tracks.map((track) => track.button)),
      this.tracks.length > 1 ? make("div", { className: "row" }, whole) : null,
      this.scores.element,
      this.artifacts.element,
      this.hint,
      this.next);
  }

  buildTrack(track) {
    track.fill = make("div", {});
    track.meter = make("div", { className: "meter", aria: { role: "progressbar", label: track.name, valuemin: 0, valuemax: 100, valuenow: 0 } }, track.fill);
    track.button = keyButton(track.name, track.key, () => this.activate(track.slot), { className: "track", data: { slot: track.slot } });
    track.button.prepend(make("span", { className: "icon", aria: { hidden: "true" } }));
    track.button.append(track.meter);
  }

  async load() {
    for (const control of this.controls) control.disabled = true;
    this.update();
    const buffers = await Promise.all(this.tracks.map((track) => this.player.load(track.audio)));
    for (const [index, track] of this.tracks.entries()) track.buffer = buffers[index];
    this.duration = buffers[0].duration;
    for (const control of this.controls) control.disabled = false;
    this.update();
  }

  /** Play one sample from its beginning, or, where all run together, switch to it without a gap. */
  async activate(slot) {
    const track = this.tracks.find((one) => one.slot === slot);
    if (!track?.buffer) return;
    if (!this.together) {
      await this.playTrack(track);
      return;
    }
    const changed = track !== this.active;
    this.active = track;
    if (!this.playback) await this.playTogether();
    else if (changed) {
      track.plays += 1;
      this.playback.switchTo(this.tracks.indexOf(track));
    }
    this.update();
  }

  async playTrack(track) {
    track.plays += 1;
    this.active = track;
    await new Promise((resolve) => {
      this.player.start([track.buffer], 0, {
        onTime: (position) => this.moved(track, position),
        onEnd: (completed) => {
          if (completed) track.heard = this.duration;
          this.playback = null;
          this.update();
          resolve(completed);
        },
      }).then((playback) => {
        this.playback = playback;
        this.update();
      });
    }).then((completed) => { track.completed = completed; });
  }

  async playTogether() {
    const offset = this.position >= this.duration - 0.01 ? 0 : this.position;
    this.active.plays += 1;
    this.playback = await this.player.start(this.tracks.map((track) => track.buffer), this.tracks.indexOf(this.active), {
      offset,
      onTime: (position, audible, advanced) => {
        this.tracks[audible].heard += advanced;
        for (const track of this.tracks) this.moved(track, position);
        this.update();
      },
      onEnd: () => {
        this.playback = null;
        this.update();
      },
    });
  }

  /** Space: reference and sample one after the other; where all run together, play and pause. */
  async playAll() {
    if (this.playback) {
      this.player.stop();
      return;
    }
    if (this.together) {
      await this.playTogether();
      this.update();
      return;
    }
    for (const track of this.tracks) {
      await this.playTrack(track);
      if (!track.completed) return;
    }
  }

  moved(track, position) {
    this.position = position;
    const percent = Math.round((100 * position) / this.duration);
    track.fill.style.width = `${percent}%`;
    track.meter.setAttribute("aria-valuenow", percent);
  }

  heardEnough() {
    const needed = this.about.must_hear * this.duration - 0.1;
    return this.duration > 0 && this.tracks.every((track) => track.heard >= needed);
  }

  update() {
    this.artifacts.sync();
    for (const track of this.tracks) {
      const sounding = Boolean(this.playback) && track === this.active;
      track.button.classList.toggle("sounding", sounding);
      track.button.classList.toggle("heard", this.duration > 0 && track.heard >= this.about.must_hear * this.duration - 0.1);
      if (this.together) track.button.setAttribute("aria-pressed", String(track === this.active));
    }
    const allowed = this.heardEnough();
    this.scores.enable(allowed);
    const complete = allowed && this.scores.complete();
    this.next.disabled = !complete || this.sent;
    const hint = !this.duration ? "trial.loading" : !allowed ? `trial.hear.${this.about.samples}` : !complete ? "trial.rate" : "trial.ready";
    if (this.hint.dataset.key !== hint) {
      this.hint.dataset.key = hint;
      this.hint.textContent = t(hint);
    }
  }

  onKey(event) {
    const native = event.target.matches("button, summary, select, input[type=checkbox], input[type=radio]");
    const key = event.key.toLowerCase();
    if (event.key === " " && !native) this.playAll();
    else if (event.key === "Enter" && !event.target.matches("button, summary, select")) this.submit();
    else if (this.tracks.some((track) => track.key.toLowerCase() === key)) {
      this.activate(this.tracks.find((track) => track.key.toLowerCase() === key).slot);
    } else if (!this.scores.onKey(event, this.active) && !this.artifacts.onKey(key)) return;
    event.preventDefault();
  }

  submit() {
    if (this.next.disabled) return;
    this.sent = true;
    this.next.disabled = true;
    this.player.stop();
    const now = Date.now() / 1000;
    const samples = this.tracks.filter((track) => track.slot !== REFERENCE);
    const reference = this.tracks.find((track) => track.slot === REFERENCE);
    this.onSubmit({
      trial: this.trial.id,
      scores: this.scores.values(),
      plays: Object.fromEntries(samples.map((track) => [track.slot, track.plays])),
      reference_plays: reference ? reference.plays : 0,
      seconds: now - this.shownAt,
      shown_at: this.shownAt,
      answered_at: now,
      ...this.artifacts.values(),
    });
  }
}
