// The page as a whole: what is chosen, and which key or button does what.

import { get, getPayload, listen, post } from "./api.js";
import { makeDetail, makeDifference } from "./detail.js";
import { askForEvent, askHowToSave, showKeys } from "./dialogs.js";
import { byId, el, say, throttle } from "./dom.js";
import { InvocationList } from "./list.js";
import { layOutJson } from "./text.js";

const state = { one: null, marked: null, asked: 0 };
const detail = byId("detail");

// --- The list ------------------------------------------------------------------------------------

const list = new InvocationList(
  () => ({ text: byId("text").value, function: byId("function").value, outcome: byId("outcome").value }),
  (id) => open(id),
  showFacts,
);
const reload = throttle(() => attempt(() => list.load()), 150);
for (const id of ["text", "function", "outcome"]) byId(id).addEventListener("input", reload);
document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());

function showFacts({ matching, total, functions }) {
  byId("count").textContent = matching === total ? `${total} invocations` : `${matching} of ${total} invocations`;
  const chooser = byId("function");
  const known = [...chooser.options].slice(1).map((option) => option.value);
  if (known.join("\n") !== functions.join("\n")) {
    const chosen = chooser.value;
    chooser.replaceChildren(chooser.options[0], ...functions.map((name) => el("option", { value: name }, name)));
    chooser.value = functions.includes(chosen) ? chosen : "";
  }
}

// --- One of them ---------------------------------------------------------------------------------

async function open(id) {
  const asked = ++state.asked;
  await attempt(async () => {
    const one = await get("invocation", { id });
    if (asked !== state.asked) return;
    const isAnother = state.one?.id !== one.id;
    if (!isAnother && state.one.revision === one.revision) return;
    state.one = one;
    showDetail();
    if (isAnother) detail.scrollTop = 0;
    if (one.replayOf && one.hasEnded) await showDifference(one.replayOf, one.id, "Difference to the original");
  });
}
const reopen = throttle(() => list.selected && open(list.selected), 200);

function showDetail() {
  if (!state.one) {
    detail.replaceChildren(el("p", { class: "empty" }, "Choose an invocation: its event, answer, output and timing are shown here. Press ? for the keys."));
    return;
  }
  detail.replaceChildren(...makeDetail(state.one, actions, state.marked?.id));
}

async function showDifference(left, right, title) {
  const asked = state.asked;
  const close = () => byId("difference")?.replaceChildren();
  const made = await makeDifference(left, right, title, close);
  if (asked === state.asked) byId("difference")?.replaceChildren(made);
}

function showMarked() {
  const bar = byId("marked");
  bar.hidden = !state.marked;
  bar.replaceChildren();
  if (!state.marked) return;
  bar.append(
    `Marked: ${state.marked.function} ${state.marked.requestId.slice(0, 8)}. Choose another one, and press c. `,
    el("button", { type: "button", class: "link", onclick: () => mark(null) }, "Unmark"),
  );
}

function mark(one) {
  state.marked = one;
  showMarked();
  showDetail();
}

// --- What can be done ----------------------------------------------------------------------------

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    say(error.message);
  }
}

async function replay(id, event) {
  const started = await post("replay", event === undefined ? { id } : { id, event });
  say("Replaying…");
  list.select(started.id);
  list.refresh();
}

async function save(id, kind, wishes = {}) {
  const { path } = await post("save", { id, kind, ...wishes });
  say(kind === "test" ? `Saved. Run it: pytest ${path}` : `Saved. Run it: plldb replay ${path}`);
}

// What is chosen may not be here yet: then a key is not for what was chosen before.
const isHere = () => state.one !== null && state.one.id === list.selected;
const canKeep = () => isHere() && state.one.canReplay && state.one.hasEnded;

const actions = {
  back: () => {
    document.body.classList.remove("opened");
    byId("list").focus();
  },
  replay: () => canKeep() && attempt(() => replay(state.one.id)),
  edit: () => canKeep() && attempt(async () => {
    const { id, event, eventCharacters } = state.one;
    const text = event.length < eventCharacters ? await getPayload(id, "event") : event;
    askForEvent(layOutJson(text), (edited) => replay(id, edited));
  }),
  saveTest: () => canKeep() && askHowToSave(state.one, (wishes) => save(state.one.id, "test", wishes)),
  saveRecording: () => canKeep() && attempt(() => save(state.one.id, "recording")),
  compare: () => {
    if (!isHere()) return;
    const { one, marked } = state;
    if (!marked || marked.id === one.id) mark(marked ? null : one);
    else attempt(() => showDifference(marked.id, one.id, `Difference to ${marked.function} ${marked.requestId.slice(0, 8)}`));
  },
};

// --- Keys, colours, the connection ---------------------------------------------------------------

function showOpened() {
  document.body.classList.add("opened");
}

byId("list").addEventListener("click", showOpened);
byId("help").addEventListener("click", showKeys);

const KEYS = {
  j: () => list.move(1),
  k: () => list.move(-1),
  "/": () => {
    actions.back();
    byId("text").focus();
    byId("text").select();
  },
  Enter: () => {
    if (!state.one) return;
    showOpened();
    detail.focus();
  },
  Escape: () => actions.back(),
  r: actions.replay,
  e: actions.edit,
  s: actions.saveTest,
  w: actions.saveRecording,
  c: actions.compare,
  t: () => turnTheme(),
  "?": showKeys,
};
const IN_LIST = { ArrowDown: () => list.move(1), ArrowUp: () => list.move(-1), Home: () => list.move(-list.rows.length), End: () => list.move(list.rows.length) };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const place = event.target;
  if (place.matches("input, textarea, select")) {
    if (event.key === "Escape" || (event.key === "Enter" && place.id === "text")) byId("list").focus();
    return;
  }
  // A button does by itself what Enter is for.
  if (event.key === "Enter" && place.matches("button")) return;
  const isInList = place === document.body || byId("list").contains(place);
  const work = KEYS[event.key] ?? (isInList ? IN_LIST[event.key] : undefined);
  if (!work) return;
  event.preventDefault();
  work();
});

const THEMES = { "": "auto", dark: "dark", light: "light" };

function showTheme() {
  const theme = localStorage.getItem("plldb-theme") ?? "";
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  byId("theme").textContent = `Theme: ${THEMES[theme] ?? "auto"}`;
}

function turnTheme() {
  const themes = Object.keys(THEMES);
  const next = themes[(themes.indexOf(localStorage.getItem("plldb-theme") ?? "") + 1) % themes.length];
  localStorage.setItem("plldb-theme", next);
  showTheme();
}

byId("theme").addEventListener("click", turnTheme);
showTheme();
showDetail();
byId("list").focus();
listen(
  (message) => {
    if (message.reload) {
      list.refresh();
      reopen();
      return;
    }
    list.take(message.changed);
    if (message.changed.some((one) => one.id === list.selected)) reopen();
  },
  (connection) => {
    byId("connection").className = connection;
    byId("connection").textContent = connection === "live" ? "live" : "no connection";
  },
);
