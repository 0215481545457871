// One invocation: what it was given, what it came to, what it wrote, and where its time went.

import { get, getPayload } from "./api.js";
import { el, say } from "./dom.js";
import { MARKS, cutIntoChunks, layOutJson, showDuration, showSize, showWhen } from "./text.js";

const LEGS = [
  ["claim", "helper stack: claim"],
  ["queue", "queue"],
  ["run", "handler"],
  ["answer", "helper stack: answer"],
];

/** The elements for an invocation; `actions` are what can be done: functions by their names. */
export function makeDetail(one, actions, markedId) {
  const button = (name, key, text, disabled = false) =>
    el("button", { type: "button", "data-action": name, disabled, onclick: actions[name] }, text, " ", el("kbd", {}, key));
  const canKeep = one.canReplay && one.hasEnded;
  return [
    el("button", { type: "button", class: "back", onclick: actions.back }, "← All invocations"),
    el(
      "div",
      { class: "head" },
      el("h2", {}, one.function),
      el("span", { class: `badge ${one.outcome}` }, `${MARKS[one.outcome] ?? "·"} ${one.outcome}`),
    ),
    el(
      "p",
      { class: "facts" },
      `${showWhen(one)} · `,
      el("code", {}, one.requestId),
      one.handler ? ` · ${one.handler} in ${one.folder}` : "",
    ),
    one.wasPaused ? el("p", { class: "message" }, "Its time was over while a debugger held it.") : null,
    one.hasPayload ? null : el("p", { class: "facts" }, "Its event, answer and output are not kept any more."),
    el(
      "div",
      { class: "actions" },
      button("replay", "r", "Replay", !canKeep),
      button("edit", "e", "Edit and replay", !canKeep),
      button("saveTest", "s", "Save as test", !canKeep),
      button("saveRecording", "w", "Save as recording", !canKeep),
      button("compare", "c", markedId && markedId !== one.id ? "Compare with the marked one" : "Mark to compare"),
    ),
    el("div", { id: "difference" }),
    one.error ? makeError(one.error) : null,
    one.answer === null ? null : makePayload(one, "answer", one.isBase64 ? "Answer, in base64: it is no JSON" : "Answer"),
    one.event === null ? null : makePayload(one, "event", "Event"),
    one.legs ? makeWaterfall(one) : null,
    makeLog(one),
  ].filter(Boolean);
}

function makePart(name, title, extra, ...children) {
  return el("section", { class: "part", id: `part-${name}` }, el("div", { class: "head" }, el("h3", {}, title), ...extra), ...children);
}

function makeError(error) {
  const trace = error.stackTrace.join("").trimEnd();
  return makePart(
    "error",
    "Error",
    [],
    el("p", { class: "message" }, `${error.errorType}: ${error.errorMessage}`),
    trace ? el("pre", {}, trace) : null,
  );
}

/** An event or an answer. What was cut is fetched when somebody asks for it. */
function makePayload(one, part, title) {
  const total = one[`${part}Characters`];
  const isJson = part === "event" || !one.isBase64;
  const pre = el("pre", { tabindex: "0", "aria-label": title });
  const fill = (text) => {
    const shown = isJson ? layOutJson(text) : text;
    pre.replaceChildren(...[...cutIntoChunks(shown)].map((piece) => el("span", { class: "chunk" }, piece)));
  };
  fill(one[part]);
  const extra = [el("span", { class: "quiet" }, showSize(total))];
  if (one[part].length < total) {
    pre.append(el("span", { class: "quiet" }, " …"));
    const all = el("button", { type: "button" }, `Show all (${showSize(total)})`);
    all.addEventListener("click", async () => {
      all.disabled = true;
      try {
        fill(await getPayload(one.id, part));
        all.remove();
      } catch (error) {
        all.disabled = false;
        say(error.message);
      }
    });
    extra.push(all);
  }
  return makePart(part, title, extra, pre);
}

function makeLog(one) {
  const log = el("div", { class: "log", tabindex: "0", "aria-label": "Output" });
  log.append(...one.log.map(({ stream, line }) => el("div", { class: stream, title: stream === "stdout" ? null : stream }, line)));
  const count = one.log.length + one.earlierLines;
  const earlier = one.earlierLines ? [el("span", { class: "quiet" }, `${count} lines; these are the last ones`)] : [];
  if (!count) return makePart("log", "Output", [el("span", { class: "quiet" }, one.hasEnded ? "none" : "none yet")]);
  return makePart("log", "Output", earlier, log);
}

function makeWaterfall(one) {
  const total = Math.max(one.durationMs, LEGS.reduce((sum, [leg]) => sum + (one.legs[leg] ?? 0), 0), 0.1);
  let at = 0;
  const rows = LEGS.filter(([leg]) => one.legs[leg] !== null).map(([leg, name]) => {
    const bar = el("div", { class: `bar ${leg}` });
    bar.style.left = `${Math.min(99, (at / total) * 100)}%`;
    bar.style.width = `${(one.legs[leg] / total) * 100}%`;
    at += one.legs[leg];
    return el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, el("div", { class: "track" }, bar)), el("td", {}, showDuration(one.legs[leg])));
  });
  if (!rows.length) return null;
  return makePart("timing", "Timing", [el("span", { class: "quiet" }, showDuration(one.durationMs))], el("table", { class: "waterfall" }, el("tbody", {}, ...rows)));
}

function sumUp({ isSame, places, morePlaces }) {
  if (isSame) return "Event and outcome are the same.";
  const count = places.length + morePlaces;
  return count === 1 ? "1 place differs: - then, + now." : `${count} places differ: - then, + now.`;
}

/** What differs between two; `close` takes it away. */
export async function makeDifference(left, right, title, close) {
  const found = await get("difference", { left, right });
  const places = found.places.map((place) =>
    el(
      "li",
      {},
      el("code", { class: "path" }, place.path),
      place.left === null ? null : el("code", { class: "minus" }, place.left),
      place.right === null ? null : el("code", { class: "plus" }, place.right),
    ),
  );
  const kinds = { "-": "minus", "+": "plus" };
  const log = found.log.map(({ side, line }) => el("div", { class: kinds[side] ?? "same" }, line));
  return makePart(
    "difference",
    title,
    [el("button", { type: "button", onclick: close }, "Close")],
    el("p", { class: "quiet" }, sumUp(found)),
    places.length ? el("ul", { class: "places" }, ...places) : null,
    found.morePlaces ? el("p", { class: "quiet" }, `… and ${found.morePlaces} more places.`) : null,
    log.length ? el("h3", {}, "Output") : null,
    log.length ? el("div", { class: "log" }, ...log) : null,
  );
}
