// Headphones and volume: a sample to set the level by, and a tone on one side.

import { make, show } from "./dom.js";
import { t } from "./text.js";

export function volumePage({ card, primary, player, about, onDone }) {
  const side = Math.random() < 0.5 ? "left" : "right";
  let result = "skipped";
  const verdict = make("p", { className: "hint", aria: { role: "status" } });
  const play = make("button", { type: "button", on: { click: async () => {
    const buffer = await player.load(about.volume_audio);
    await player.start([buffer], 0);
    ready.disabled = false;
  } } }, t("volume.play"));
  const answer = (heard) => {
    if (heard === side) result = "ok";
    else result = heard === "both" ? "both" : "swapped";
    verdict.textContent = t(`volume.${result}`);
  };
  const answers = ["left", "both", "right"].map((heard) =>
    make("button", { type: "button", disabled: true, on: { click: () => answer(heard) } }, t(`volume.heard.${heard}`)));
  const tone = make("button", { type: "button", on: { click: async () => {
    await player.tone(side);
    for (const button of answers) button.disabled = false;
  } } }, t("volume.tone"));
  const ready = primary(t("volume.go"), () => {
    player.stop();
    onDone(result);
  });
  ready.disabled = true;
  show(card(
    make("h1", {}, t("volume.title")),
    make("p", {}, t("volume.text")),
    make("div", { className: "row" }, play),
    make("h2", {}, t("volume.sides")),
    make("p", {}, t("volume.sides.text")),
    make("div", { className: "row" }, tone),
    make("div", { className: "row" }, ...answers),
    verdict,
    ready,
  ));
}
