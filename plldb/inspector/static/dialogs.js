// Questions: another event, the name of a test, and the keys.

import { el } from "./dom.js";

/** Shows a dialog until it is closed. */
function show(title, form) {
  const dialog = el("dialog", { "aria-label": title }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Asks in a dialog; `submit` gets the form's values and may throw, which is shown in it. */
function ask(title, fields, action, submit) {
  const problem = el("p", { class: "problem", role: "alert" });
  const confirm = el("button", { class: "primary" }, action);
  const close = () => form.closest("dialog").close();
  const form = el(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        confirm.disabled = true;
        try {
          await submit(Object.fromEntries(new FormData(form)));
          close();
        } catch (error) {
          problem.textContent = error.message;
        } finally {
          confirm.disabled = false;
        }
      },
    },
    el("h2", {}, title),
    ...fields,
    problem,
    el("div", { class: "actions" }, el("button", { type: "button", onclick: close }, "Cancel"), confirm),
  );
  show(title, form);
}

export function askForEvent(text, submit) {
  const area = el("textarea", { name: "event", spellcheck: "false", "aria-label": "Event, as JSON" });
  area.value = text;
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) area.form.requestSubmit();
  });
  ask("Edit and replay", [area], "Replay", ({ event }) => submit(event));
  area.focus();
  area.setSelectionRange(0, 0);
}

export function askHowToSave(one, submit) {
  const fields = [
    el("label", {}, "Name of the file (optional)", el("input", { name: "name", autocomplete: "off", placeholder: `${one.function}-…` })),
  ];
  if (one.error) {
    const choice = (value, text, checked) =>
      el("label", { class: "choice" }, el("input", { type: "radio", name: "expect", value, checked }), text);
    fields.push(
      el(
        "fieldset",
        {},
        el("legend", {}, "The test is green"),
        choice("answer", "once it gives an answer: it is red until the code is mended", true),
        choice("error", `as long as it fails with this ${one.error.errorType}`, false),
      ),
    );
  }
  ask("Save as test", fields, "Save", submit);
}

const KEYS = [
  ["j ↓, k ↑", "the next invocation, and the one before"],
  ["/", "search"],
  ["Enter", "read the chosen one"],
  ["Esc", "back to the list"],
  ["r", "replay"],
  ["e", "edit the event, and replay"],
  ["s, w", "save as test, as recording"],
  ["c", "mark to compare, and compare with the marked one"],
  ["t", "dark, light, or as the system has it"],
  ["?", "these keys"],
];

export function showKeys() {
  const keys = KEYS.flatMap(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)]);
  show(
    "Keys",
    el("form", { method: "dialog" }, el("h2", {}, "Keys"), el("dl", { class: "keys" }, ...keys), el("div", { class: "actions" }, el("button", { class: "primary" }, "Close"))),
  );
}
