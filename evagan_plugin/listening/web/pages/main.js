// The way of a rater through the test: welcome, volume, practice, trials, thanks.

import { Api, Refused } from "./api.js";
import { make, notice, show } from "./dom.js";
import { Player } from "./player.js";
import { LANGUAGES, loadTexts, t } from "./text.js";
import { TrialView } from "./trial.js";
import { volumePage } from "./volume.js";

let api;
let player;
let about; // What the test is; see /api/session.
let standing; // Where the rater stands: answered, total, trials, completion_code.
let view = null; // The trial on the page.
let headphones = null;

const SECONDS_TO_LEAVE = 5;

async function begin() {
  await loadTexts(preferredLanguage("en"));
  const token = await ownToken();
  if (!token) {
    show(card(make("h1", {}, t("link.title")), make("p", {}, t("link.text"))));
    return;
  }
  api = new Api(token);
  const session = await api.json("api/session");
  about = session;
  standing = session;
  await loadTexts(session.started ? session.language : preferredLanguage(session.language));
  document.title = session.title;
  const fetchBytes = async (id) => (await api.call(`api/audio/${id}`)).arrayBuffer();
  player = new Player(fetchBytes, session.sample_rate);
  const late = await api.flush(waiting);
  if (late) standing = late;
  notice("");
  if (session.started) resumePage(t("resume.title"), t("resume.text"));
  else welcomePage();
}

/** The personal token of the link; an open link is turned into a personal one, which a reload then keeps. */
async function ownToken() {
  const hash = location.hash.slice(1);
  if (!hash.startsWith("join=")) return hash;
  const { token } = await new Api(hash.slice(5)).json("api/join", { query: location.search });
  history.replaceState(null, "", `${location.pathname}#${token}`);
  return token;
}

function preferredLanguage(fallback) {
  const wanted = navigator.languages.map((name) => name.slice(0, 2)).find((name) => name in LANGUAGES);
  return wanted ?? fallback;
}

function card(...children) {
  return make("section", { className: "card" }, ...children);
}

function primary(text, onClick) {
  return make("button", { type: "button", className: "primary", on: { click: onClick } }, text);
}

function welcomePage() {
  const choice = make("select", { id: "language", on: { change: async () => {
    await loadTexts(choice.value);
    welcomePage();
  } } }, ...Object.entries(LANGUAGES).map(([value, name]) => make("option", { value, lang: value }, name)));
  choice.value = document.documentElement.lang;
  const agree = make("input", { type: "checkbox", id: "agree", on: { change: () => { go.disabled = !agree.checked; } } });
  const go = primary(t("welcome.go"), () => volumePage({ card, primary, player, about, onDone: (result) => {
    headphones = result;
    instructionsPage();
  } }));
  go.disabled = true;
  show(card(
    make("div", { className: "corner" }, make("label", { htmlFor: "language" }, t("welcome.language")), choice),
    make("h1", {}, about.title),
    make("p", {}, t(`welcome.${about.protocol}`)),
    make("p", { className: "consent" }, about.consent ?? t("welcome.consent")),
    make("label", { className: "check" }, agree, make("span", {}, t("welcome.agree"))),
    go,
  ));
}

function instructionsPage() {
  const start = async () => {
    standing = await api.json("api/start", { language: document.documentElement.lang, headphones });
    nextTrial();
  };
  const keys = [t(`keys.${about.protocol}`), ...(about.half_points ? [t("keys.half")] : [])].join("|").split("|").map((pair) => pair.split("="));
  show(card(
    make("h1", {}, t("instructions.title")),
    ...t(`instructions.${about.protocol}`).split("|").map((text) => make("p", {}, text)),
    about.checks ? make("p", { className: "hint" }, t(`instructions.check.${about.samples}`)) : null,
    make("h2", {}, t("instructions.keys")),
    make("dl", { className: "keys" }, ...keys.flatMap(([key, meaning]) => [
      make("dt", {}, make("kbd", {}, key)), make("dd", {}, meaning)])),
    primary(t("instructions.go"), guarded(start)),
  ));
}

function resumePage(title, text) {
  view = null;
  document.getElementById("bar").hidden = true;
  if (standing.completion_code) {
    donePage();
    return;
  }
  show(card(
    make("h1", {}, title),
    make("p", {}, text),
    make("p", { className: "hint" }, t("bar.count", { done: standing.answered, total: standing.total })),
    make("p", {}, t("pause.link")),
    make("input", { className: "link", readOnly: true, value: location.href, aria: { label: t("pause.link") },
      on: { focus: (event) => event.target.select() } }),
    primary(t("resume.go"), guarded(async () => {
      await player.unlock();
      nextTrial();
    })),
  ));
}

function donePage() {
  view = null;
  document.getElementById("bar").hidden = true;
  const away = standing.completion_url;
  show(card(
    make("h1", {}, t("done.title")),
    make("p", {}, t("done.text")),
    make("output", { className: "code", id: "completion-code" }, standing.completion_code),
    ...(away ? [make("p", {}, t("done.back")), make("a", { href: away, id: "completion-link" }, t("done.back.go"))] : []),
  ));
  if (away) setTimeout(() => location.assign(away), SECONDS_TO_LEAVE * 1000);
}

/** Who cannot take part: without a usable id, for the second time, or where all places are taken. */
function refusedPage(error) {
  view = null;
  document.getElementById("bar").hidden = true;
  show(card(
    make("h1", {}, t(`refused.${error.reason}.title`)),
    make("p", {}, t(`refused.${error.reason}.text`)),
    make("p", { className: "hint" }, error.message),
  ));
}

function updateBar() {
  const bar = document.getElementById("bar-progress");
  document.getElementById("bar").hidden = false;
  document.getElementById("bar-title").textContent = about.title;
  document.getElementById("bar-count").textContent = t("bar.count", { done: standing.answered, total: standing.total });
  document.getElementById("bar-pause").textContent = t("bar.pause");
  bar.setAttribute("aria-label", t("bar.progress"));
  bar.setAttribute("aria-valuemax", standing.total);
  bar.setAttribute("aria-valuenow", standing.answered);
  bar.firstElementChild.style.width = `${(100 * standing.answered) / standing.total}%`;
}

let practising = false;

function nextTrial() {
  if (standing.completion_code) {
    donePage();
    return;
  }
  updateBar();
  const [trial, ...later] = standing.trials;
  if (practising && trial.kind === "test") {
    practising = false;
    view = null;
    show(card(make("h1", {}, t("practice.over")), make("p", {}, t("practice.over.text")),
      primary(t("resume.go"), nextTrial)));
    return;
  }
  practising = trial.kind === "training";
  const ids = (one) => [...(one.reference ? [one.reference] : []), ...one.samples.map((sample) => sample.audio)];
  player.keepOnly(new Set(standing.trials.flatMap(ids)));
  view = new TrialView({ about, trial, player, onSubmit: guarded(submit) });
  show(view.element);
  view.ready.then(() => Promise.all(later.flatMap(ids).map((id) => player.load(id))))
    .catch((error) => failed(error));
}

async function submit(vote) {
  standing = await api.vote(vote, waiting);
  notice("");
  nextTrial();
}

function waiting() {
  notice(t("notice.waiting"), true);
}

function pause() {
  player.stop();
  resumePage(t("pause.title"), t("pause.text"));
}

/** An async handler whose failure is shown instead of lost. */
function guarded(handler) {
  return (...values) => handler(...values).catch(failed);
}

function failed(error) {
  const lost = error instanceof Refused;
  if (lost && error.reason) {
    refusedPage(error);
    return;
  }
  notice(lost ? error.message : t("notice.failed"), true);
  if (lost && error.status === 401) return;
  document.getElementById("notice").append(" ", make("button", { type: "button", className: "quiet",
    on: { click: () => location.reload() } }, t("notice.reload")));
}

document.getElementById("bar-pause").addEventListener("click", pause);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !view) return;
  if (event.key.toLowerCase() === "p" && !event.target.matches("select")) pause();
  else view.onKey(event);
});
window.addEventListener("hashchange", () => location.reload());
begin().catch(failed);
