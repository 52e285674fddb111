// The page's own notices, above every view: offline, WebGPU, a new version, an engine that does not
// start. Each has a key, so that a newer one of its kind takes its place. One that the user closed does
// not come back in this tab, unless it says something else.

import { h, type Child } from "../ui/dom";

export interface Notice {
  tone: "info" | "warn" | "error";
  title: string;
  text: Child;
  actions?: HTMLElement[];
  /** Whether the user may close it: it stays away as long as the tab lives. */
  closable?: boolean;
}

const CLOSED = "saescope-closed-notices";

export class Notices {
  #shown = new Map<string, HTMLElement>();
  #closed = closedBefore();

  constructor(readonly host: HTMLElement) {}

  /** Shows a notice, or with null takes it away. */
  set(key: string, notice: Notice | null): void {
    const before = this.#shown.get(key);
    const words = `${key}: ${notice?.title}`;
    if (!notice || (notice.closable && this.#closed.has(words))) {
      before?.remove();
      this.#shown.delete(key);
      return;
    }
    const close = notice.closable
      ? h(
          "button",
          {
            class: "quiet",
            "data-test": `close-${key}`,
            "aria-label": `Close: ${notice.title}`,
            title: "Not shown again in this tab",
            onclick: () => this.#close(key, words),
          },
          "Close",
        )
      : null;
    const element = h(
      "div",
      { class: `notice ${notice.tone}`, "data-test": `notice-${key}` },
      h("div", { class: "grow" }, h("strong", null, notice.title), " ", h("span", null, notice.text)),
      notice.actions ?? null,
      close,
    );
    if (before) before.replaceWith(element);
    else this.host.append(element);
    this.#shown.set(key, element);
  }
  #close(key: string, words: string): void {
    this.#closed.add(words);
    try {
      sessionStorage.setItem(CLOSED, JSON.stringify([...this.#closed]));
    } catch {
      // Without storage it stays away as long as the page.
    }
    // The button that has the focus goes: the keyboard goes on at the content.
    const held = this.#shown.get(key)?.contains(document.activeElement);
    this.set(key, null);
    if (held) document.querySelector<HTMLElement>("#main")?.focus({ preventScroll: true });
  }
}

function closedBefore(): Set<string> {
  try {
    const list: unknown = JSON.parse(sessionStorage.getItem(CLOSED) ?? "[]");
    return new Set(Array.isArray(list) ? list.map(String) : []);
  } catch {
    return new Set();
  }
}
