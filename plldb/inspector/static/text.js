// Text for people: times, sizes, and JSON laid out as it was written.

export const MARKS = { succeeded: "✔", failed: "✘", abandoned: "–", paused: "‖", running: "▶", queued: "…", "awaiting debugger": "‖" };

function showTime(seconds) {
  const time = new Date(seconds * 1000);
  const pad = (number, width = 2) => String(number).padStart(width, "0");
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}.${pad(time.getMilliseconds(), 3)}`;
}

export function showDuration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "";
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  return milliseconds < 10000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** When an invocation came, and how long it took. */
export function showWhen(one) {
  return [showTime(one.arrived), showDuration(one.durationMs)].filter(Boolean).join(" · ");
}

export function showSize(characters) {
  if (characters < 1000) return `${characters} characters`;
  return characters < 1e6 ? `${(characters / 1000).toFixed(1)} K` : `${(characters / 1e6).toFixed(1)} M`;
}

/**
 * JSON with a line for each member. Nothing is read and written again, so digits, doubled keys and
 * escapes stay as they are, and text that was cut off is laid out as far as it goes.
 */
export function layOutJson(text) {
  const out = [];
  let depth = 0;
  const newLine = () => out.push("\n" + "  ".repeat(Math.min(depth, 100)));
  for (let at = 0; at < text.length;) {
    const character = text[at];
    if (character === '"') {
      let end = at + 1;
      while (end < text.length && text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
      out.push(text.slice(at, end + 1));
      at = end + 1;
      continue;
    }
    if (character === "{" || character === "[") {
      const close = /^\s*[}\]]/.exec(text.slice(at + 1, at + 100));
      if (close) {
        out.push(character, close[0].trim());
        at += 1 + close[0].length;
        continue;
      }
      depth += 1;
      out.push(character);
      newLine();
    } else if (character === "}" || character === "]") {
      depth -= 1;
      newLine();
      out.push(character);
    } else if (character === ",") {
      out.push(",");
      newLine();
    } else if (character === ":") out.push(": ");
    else if (!/\s/.test(character)) out.push(character);
    at += 1;
  }
  return out.join("");
}

/** Pieces of a long text, each of which a browser lays out when it comes into view. */
export function* cutIntoChunks(text, most = 16000) {
  for (let at = 0; at < text.length;) {
    let end = Math.min(text.length, at + most);
    const line = text.lastIndexOf("\n", end);
    // A piece that ends with its line shows no seam.
    if (end < text.length && line > at) end = line + 1;
    yield text.slice(at, end);
    at = end;
  }
}
