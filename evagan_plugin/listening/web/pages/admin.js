// What the administrator sees: progress live, scores with intervals, the raw votes to take away.

import { Api, Refused } from "./api.js";
import { make, notice, show } from "./dom.js";

const REFRESH_SECONDS = 10;
const api = new Api(location.hash.slice(1));

function table(heads, rows) {
  return make("div", { className: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell)))))));
}

function interval(low, mean, high, [lowest, highest]) {
  const place = (value) => `${(100 * (Math.min(Math.max(value, lowest), highest) - lowest)) / (highest - lowest)}%`;
  const range = make("i");
  const point = make("b");
  range.style.left = place(low);
  range.style.right = `calc(100% - ${place(high)})`;
  point.style.left = place(mean);
  return make("div", { className: "interval", aria: { hidden: "true" } }, range, point);
}

function number(value) {
  return value === null || value === undefined ? "–" : value.toFixed(2);
}

function scoreRow(row, report) {
  const [low, high] = row.interval ?? [null, null];
  return [row.system, row.role, String(row.votes), String(row.raters), number(row.mean),
    low === null ? "–" : `${number(low)} to ${number(high)}`,
    low === null ? "" : interval(low, row.mean, high, report.scale)];
}

async function refresh() {
  const [status, report] = await Promise.all([api.json("api/admin/status"), api.json("api/admin/report")]);
  const now = Date.now() / 1000;
  const ago = (time) => (time ? `${Math.round((now - time) / 60)} min ago` : "–");
  show(
    make("section", { className: "card" },
      make("h1", {}, report.title),
      make("p", { className: "hint" }, `${report.measure}: ${status.votes} votes, ${status.raters.finished} of ${status.raters.invited} raters have finished, ${status.raters.started} have begun. ${status.trials_left} trials are left.`),
      table(["System", "Role", "Votes", "Raters", `Mean ${report.measure}`, "95 % interval", ""], report.systems.map((row) => scoreRow(row, report)))),
    make("section", { className: "card" },
      make("h1", {}, "Excluded raters"),
      report.excluded.length
        ? table(["Rater", "Votes", "Why"], report.excluded.map((one) => [String(one.rater), String(one.votes), one.reasons.join("; ")]))
        : make("p", {}, "None.")),
    make("section", { className: "card" },
      make("h1", {}, "Raters"),
      table(["Rater", "Answered", "Of", "Last vote"], status.by_rater.map((one) => [String(one.rater), String(one.answered), String(one.total), ago(one.last_vote_at)])),
      make("div", { className: "row" }, make("button", { type: "button", on: { click: () => exportVotes().catch(failed) } }, "Download all votes (CSV)"))),
  );
  notice("");
}

async function exportVotes() {
  const answer = await api.call("api/admin/export");
  const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: "votes.csv" });
  link.click();
  URL.revokeObjectURL(link.href);
}

function failed(error) {
  notice(error instanceof Refused ? error.message : "The server does not answer.", true);
}

async function keepFresh() {
  await refresh().catch(failed);
  setTimeout(keepFresh, REFRESH_SECONDS * 1000);
}

window.addEventListener("hashchange", () => location.reload());
keepFresh();
