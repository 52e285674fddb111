// The page's own notices, above every view: offline, WebGPU, a new version, an engine that does not
// start. Each has a key, so that a newer one of its kind takes its place.

import { h, type Child } from "./dom";

export interface Notice {
  tone: "info" | "warn" | "error";
  title: string;
  text: Child;
  actions?: HTMLElement[];
  /** Whether the user may close it. */
  closable?: boolean;
}

export class Notices {
  #shown = new Map<string, HTMLElement>();

  constructor(readonly host: HTMLElement) {}

  /** Shows a notice, or with null takes it away. */
  set(key: string, notice: Notice | null): void {
    const before = this.#shown.get(key);
    if (!notice) {
      before?.remove();
      this.#shown.delete(key);
      return;
    }
    const close = notice.closable
      ? h("button", { class: "quiet", onclick: () => this.set(key, null), "aria-label": `Close: ${notice.title}` }, "Close")
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
}
