// The list of invocations. Of thousands, only rows in view are elements, and further pages are
// asked for when they are scrolled to.

import { get } from "./api.js";
import { byId, el, say, throttle } from "./dom.js";
import { MARKS, showWhen } from "./text.js";

const ROW_PIXELS = 58;
const SPARE_ROWS = 10;
const PAGE = 100;

export class InvocationList {
  /** `onSelect` gets an id; `onFacts` what is known of all: functions, matching, total. */
  constructor(getFilter, onSelect, onFacts) {
    this.getFilter = getFilter;
    this.onSelect = onSelect;
    this.onFacts = onFacts;
    this.rows = [];
    this.next = "";
    this.matching = 0;
    this.selected = null;
    this.asked = 0;
    this.startsAnew = false;
    this.isLoading = false;
    this.box = byId("list");
    this.inner = el("div", { class: "rows", role: "presentation" });
    this.box.append(this.inner);
    this.box.addEventListener("scroll", () => this.show());
    new ResizeObserver(() => this.show()).observe(this.box);
    this.refresh = throttle(() => this.load(true).catch((error) => say(error.message)), 250);
  }

  /** The first page; what was loaded beyond it stays, if `keeps`, and nobody wants it otherwise. */
  async load(keeps = false) {
    this.startsAnew ||= !keeps;
    const asked = ++this.asked;
    const page = await get("invocations", { ...this.getFilter(), limit: PAGE });
    if (asked !== this.asked) return; // a later wish is on its way
    keeps = !this.startsAnew;
    this.startsAnew = false;
    const last = page.invocations.at(-1)?.id;
    const known = keeps ? this.rows.findIndex((row) => row.id === last) : -1;
    const anchor = this.rows[Math.floor(this.box.scrollTop / ROW_PIXELS)]?.id;
    const offset = this.box.scrollTop % ROW_PIXELS;
    if (known >= 0) this.rows = [...page.invocations, ...this.rows.slice(known + 1)];
    else [this.rows, this.next] = [page.invocations, page.next];
    this.matching = page.matching;
    this.onFacts(page);
    this.show();
    // Who has scrolled down goes on reading what was there.
    const place = this.rows.findIndex((row) => row.id === anchor);
    if (keeps && this.box.scrollTop > 0 && place >= 0) this.box.scrollTop = place * ROW_PIXELS + offset;
    if (!keeps) this.box.scrollTop = 0;
    this.show();
  }

  async loadMore() {
    if (this.isLoading || !this.next) return;
    this.isLoading = true;
    const asked = this.asked;
    try {
      const page = await get("invocations", { ...this.getFilter(), limit: PAGE, before: this.next });
      if (asked !== this.asked) return;
      this.rows.push(...page.invocations);
      this.next = page.next;
    } catch (error) {
      say(error.message);
    } finally {
      this.isLoading = false;
    }
    this.show();
  }

  /** Some have changed. */
  take(summaries) {
    const places = new Map(this.rows.map((row, place) => [row.id, place]));
    let isNew = false;
    for (const summary of summaries) {
      const place = places.get(summary.id);
      if (place === undefined) isNew = true;
      else this.rows[place] = summary;
    }
    if (isNew || this.getFilter().outcome) this.refresh();
    this.show();
  }

  get place() {
    return this.rows.findIndex((row) => row.id === this.selected);
  }

  select(id) {
    this.selected = id;
    this.show();
    this.onSelect(id);
  }

  /** The one that is so many rows further. */
  move(by) {
    if (!this.rows.length) return;
    const from = this.place;
    const to = Math.max(0, Math.min(this.rows.length - 1, from < 0 ? 0 : from + by));
    this.reveal(to);
    this.select(this.rows[to].id);
  }

  reveal(place) {
    const top = place * ROW_PIXELS;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + ROW_PIXELS > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = top + ROW_PIXELS - this.box.clientHeight;
    }
  }

  show() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_PIXELS) - SPARE_ROWS);
    const end = first + Math.ceil(this.box.clientHeight / ROW_PIXELS) + 2 * SPARE_ROWS;
    this.inner.style.height = `${this.rows.length * ROW_PIXELS}px`;
    const visible = this.rows.slice(first, end);
    this.inner.replaceChildren(...visible.map((row, index) => this.makeRow(row, first + index)));
    if (!this.rows.length) this.inner.replaceChildren(el("p", { class: "empty" }, "No invocation yet, or none that fits."));
    const place = this.place;
    const isInView = place >= first && place < end;
    if (isInView) this.box.setAttribute("aria-activedescendant", `row-${place}`);
    else this.box.removeAttribute("aria-activedescendant");
    if (end >= this.rows.length) this.loadMore();
  }

  makeRow(row, place) {
    const made = el(
      "div",
      {
        class: `row ${row.outcome.replace(" ", "-")}`,
        id: `row-${place}`,
        role: "option",
        "aria-selected": String(row.id === this.selected),
        "aria-setsize": this.matching,
        "aria-posinset": place + 1,
        onclick: () => this.select(row.id),
      },
      el("span", { class: "mark", title: row.outcome, role: "img", "aria-label": row.outcome }, MARKS[row.outcome] ?? "·"),
      el("span", { class: "name" }, row.function, row.replayOf ? el("span", { class: "quiet" }, " replay") : null),
      el("span", { class: "time" }, showWhen(row)),
      el(
        "span",
        { class: "short" },
        el("span", { class: "given" }, row.event),
        row.hasEnded ? el("span", { class: "came" }, ` → ${row.cameTo}`) : null,
      ),
    );
    made.style.top = `${place * ROW_PIXELS}px`;
    return made;
  }
}
