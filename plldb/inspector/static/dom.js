// Makes elements. What is shown comes from others: it becomes text, and never markup.

/** An element with attributes (`class`, `onclick`, …) and children: elements, or text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") made.toggleAttribute(name, value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

let clearing = 0;

/** Says something for some seconds, to who sees and to who hears. */
export function say(text) {
  byId("toast").textContent = text;
  clearTimeout(clearing);
  clearing = setTimeout(() => { byId("toast").textContent = ""; }, 8000);
}

/** Calls `work` at most once in so many milliseconds, and once more after the last wish. */
export function throttle(work, milliseconds) {
  let timer = 0, last = 0;
  return () => {
    if (timer) return;
    const wait = Math.max(0, last + milliseconds - performance.now());
    timer = setTimeout(() => { timer = 0; last = performance.now(); work(); }, wait);
  };
}
