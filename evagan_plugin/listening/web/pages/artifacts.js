// What a rater can note beside the score: kinds of artifact, and where they were heard.

import { keyButton, make } from "./dom.js";
import { t } from "./text.js";

export class ArtifactPanel {
  constructor({ labels, current }) {
    this.labels = labels;
    this.current = current;
    this.chosen = new Map(); // slot -> set of labels
    this.marks = []; // {slot, start, end, label}
    this.opened = null; // Where a mark was begun.
    this.list = make("ul", { className: "marks" });
    this.status = make("p", { className: "hint", aria: { role: "status" } }, t("artifacts.text"));
    this.boxes = labels.map((label) => make("input", { type: "checkbox", value: label, on: { change: (event) => this.toggle(event.target) } }));
    const choices = labels.map((label, index) => make("label", { className: "chip" }, this.boxes[index], make("span", {}, t(`artifact.${label}`))));
    this.element = make("details", { className: "artifacts" },
      make("summary", {}, t("artifacts.title"), make("kbd", { aria: { hidden: "true" } }, "L")),
      this.status,
      make("div", { className: "chips", aria: { role: "group", label: t("artifacts.title") } }, ...choices),
      make("div", { className: "row" },
        keyButton(t("artifacts.from"), "[", () => this.beginMark(), { className: "quiet" }),
        keyButton(t("artifacts.to"), "]", () => this.endMark(), { className: "quiet" })),
      this.list);
  }

  /** The sample that was last heard, with the position in it; null while it is the reference. */
  sampleNow() {
    const { track, position } = this.current();
    return track.slot === "reference" ? null : { slot: track.slot, name: track.name, position };
  }

  /** Show the labels of the sample that is heard now. */
  sync() {
    const now = this.sampleNow();
    if (!now) return;
    for (const box of this.boxes) box.checked = this.chosen.get(now.slot)?.has(box.value) ?? false;
  }

  toggle(box) {
    const now = this.sampleNow();
    if (!now) {
      box.checked = false;
      this.status.textContent = t("artifacts.sample");
      return;
    }
    const labels = this.chosen.get(now.slot) ?? new Set();
    if (box.checked) labels.add(box.value);
    else labels.delete(box.value);
    this.chosen.set(now.slot, labels);
    this.status.textContent = t("artifacts.for", { name: now.name });
  }

  beginMark() {
    this.opened = this.sampleNow();
    this.status.textContent = this.opened ? t("artifacts.began", { seconds: this.opened.position.toFixed(2) }) : t("artifacts.sample");
  }

  endMark() {
    const now = this.sampleNow();
    if (!now || !this.opened || now.slot !== this.opened.slot || now.position === this.opened.position) {
      this.status.textContent = t("artifacts.sample");
      return;
    }
    const [start, end] = [this.opened.position, now.position].sort((one, other) => one - other);
    const labels = [...(this.chosen.get(now.slot) ?? [])];
    const label = labels.length ? labels[labels.length - 1] : "other";
    const mark = { slot: now.slot, start, end, label };
    this.marks.push(mark);
    this.opened = null;
    const text = `${now.name}: ${start.toFixed(2)}–${end.toFixed(2)} s, ${t(`artifact.${label}`)}`;
    const row = make("li", {}, text, " ", make("button", { type: "button", className: "quiet", on: { click: () => {
      this.marks.splice(this.marks.indexOf(mark), 1);
      row.remove();
    } } }, t("artifacts.remove")));
    this.list.append(row);
    this.status.textContent = text;
  }

  onKey(key) {
    if (key === "l") {
      this.element.open = !this.element.open;
      if (this.element.open) this.boxes[0].focus();
    } else if (key === "[") this.beginMark();
    else if (key === "]") this.endMark();
    else return false;
    return true;
  }

  values() {
    const marks = {};
    for (const { slot, ...mark } of this.marks) (marks[slot] ??= []).push(mark);
    return { labels: Object.fromEntries([...this.chosen].map(([slot, labels]) => [slot, [...labels]])), marks };
  }
}
