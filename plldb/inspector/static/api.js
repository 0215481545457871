// Asks plldb. The token is in the page's address, and so in each relative one.

/** What plldb says no to; the message is for people. */
export class Refused extends Error {}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused("plldb does not answer: its session has ended.");
  }
  if (response.ok) return response;
  let said = {};
  try { said = await response.json(); } catch { /* it is no JSON */ }
  throw new Refused([said.error ?? `plldb answers ${response.status}.`, said.hint].filter(Boolean).join(" "));
}

export async function get(path, parameters = {}) {
  return (await ask(`api/${path}?${new URLSearchParams(parameters)}`)).json();
}

/** The whole of an event, an answer or a log, as text. */
export async function getPayload(id, part) {
  return (await ask(`api/payload?${new URLSearchParams({ id, part })}`)).text();
}

export async function post(path, body) {
  const headers = { "content-type": "application/json" };
  return (await ask(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Hears what changes; `onState` gets "live", or "over" while there is no connection. */
export function listen(onMessage, onState) {
  const source = new EventSource("api/changes");
  source.onopen = () => onState("live");
  source.onerror = () => onState("over");
  source.onmessage = (message) => onMessage(JSON.parse(message.data));
}
