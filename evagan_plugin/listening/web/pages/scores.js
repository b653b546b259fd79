// The three ways to score: a five-point scale, a choice between two, sliders from 0 to 100.
// Each returns {element, enable(allowed), complete(), values(), onKey(event, active)}.

import { make } from "./dom.js";
import { t } from "./text.js";

/** Radio buttons in one group; `options` are {value, text, key}; those without a key are drawn smaller. */
function radioGroup(legend, options, onChange) {
  const inputs = options.map(({ value }) =>
    make("input", { type: "radio", name: "score", value: String(value), on: { change: onChange } }));
  const rows = options.map(({ text, key }, index) => make("label", { className: key ? "choice" : "choice half" }, inputs[index],
    key ? make("kbd", {}, key) : null, make("span", {}, text)));
  const element = make("fieldset", { className: "scale", disabled: true }, make("legend", {}, legend), ...rows);
  return {
    element,
    enable: (allowed) => { element.disabled = !allowed; },
    chosen: () => inputs.find((input) => input.checked)?.value ?? null,
    choose: (value) => {
      const input = inputs.find((one) => one.value === String(value));
      if (!input || element.disabled) return false;
      input.checked = true;
      input.focus();
      onChange();
      return true;
    },
  };
}

export function scaleScores({ about, slots, onChange }) {
  const values = about.half_points ? [5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1] : [5, 4, 3, 2, 1];
  const options = values.map((value) => ({
    value, key: Number.isInteger(value) ? String(value) : "",
    text: Number.isInteger(value) ? t(`scale.${about.protocol}.${value}`) : String(value),
  }));
  const group = radioGroup(t(`legend.${about.protocol}`), options, onChange);
  return {
    element: group.element,
    enable: group.enable,
    complete: () => group.chosen() !== null,
    values: () => ({ [slots[0]]: Number(group.chosen()) }),
    onKey: (event) => {
      if (/^[1-5]$/.test(event.key)) return group.choose(Number(event.key));
      const step = { "+": 0.5, "-": -0.5 }[event.key];
      if (!step || !about.half_points || group.chosen() === null) return false;
      return group.choose(Number(group.chosen()) + step);
    },
  };
}

export function choiceScores({ slots, onChange }) {
  const [first, second] = slots;
  const options = [
    { value: first, key: "1", text: t("choice.sample", { letter: first }) },
    { value: "none", key: "2", text: t("choice.none") },
    { value: second, key: "3", text: t("choice.sample", { letter: second }) },
  ];
  const group = radioGroup(t("legend.ab"), options, onChange);
  const score = (slot) => ({ [slot]: 1, none: 0.5 })[group.chosen()] ?? 0;
  return {
    element: group.element,
    enable: group.enable,
    complete: () => group.chosen() !== null,
    values: () => ({ [first]: score(first), [second]: score(second) }),
    onKey: (event) => /^[1-3]$/.test(event.key) && group.choose(options[Number(event.key) - 1].value),
  };
}

export function sliderScores({ slots, onChange, onChoose }) {
  const touched = new Set();
  const sliders = new Map();
  const rows = slots.map((slot) => {
    const output = make("output", {}, "–");
    const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: 50, aria: { label: t("trial.sample.letter", { letter: slot }) } });
    const changed = () => {
      touched.add(slot);
      output.textContent = slider.value;
      slider.setAttribute("aria-valuetext", `${slider.value}, ${t(`scale.mushra.${Math.min(4, Math.floor(slider.value / 20))}`)}`);
      onChange();
    };
    slider.addEventListener("input", changed);
    slider.addEventListener("focus", () => onChoose(slot));
    sliders.set(slot, { slider, changed });
    return make("div", { className: "slider" }, make("kbd", { aria: { hidden: "true" } }, slot), slider, output);
  });
  const words = make("div", { className: "slider-words", aria: { hidden: "true" } },
    ...[0, 1, 2, 3, 4].map((step) => make("span", {}, t(`scale.mushra.${step}`))));
  const element = make("fieldset", { className: "sliders", disabled: true }, make("legend", {}, t("legend.mushra")), words, ...rows);
  return {
    element,
    enable: (allowed) => { element.disabled = !allowed; },
    complete: () => touched.size === slots.length,
    values: () => Object.fromEntries(slots.map((slot) => [slot, Number(sliders.get(slot).slider.value)])),
    onKey: (event, active) => {
      const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
      const step = steps[event.key];
      const entry = sliders.get(active.slot);
      if (!step || !entry || element.disabled) return false;
      entry.slider.value = Number(entry.slider.value) + step;
      entry.changed();
      return true;
    },
  };
}
