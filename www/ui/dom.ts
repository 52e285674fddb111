// Elements in one expression. No framework: the page's parts build their DOM once and change it in
// place. Styles go through the CSSOM only, since the content security policy allows no style text. Every
// text is tamed and cut here, and every link looked at, whoever wrote them: see foreign.ts.

import { address, cut, tame, TEXT } from "../foreign";

export type Child = Node | string | number | null | undefined | false | Child[];

/** Attributes; `on…` functions are listeners, `style` is an object of CSS properties, `value`,
 *  `checked`, `disabled`, `indeterminate` and `selected` are set as properties; null, undefined and
 *  false leave an attribute out. */
export type Attrs = Record<string, unknown> | null;

/** Attributes that are read out or shown, and how much of them. */
const SPOKEN = new Set(["title", "aria-label", "alt", "label", "placeholder"]);
const MOST_SPOKEN = 600;

const PROPERTIES = new Set(["value", "checked", "disabled", "indeterminate", "selected"]);

function set(element: Element, attrs: Attrs): void {
  for (const [name, value] of Object.entries(attrs ?? {})) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (name === "style") {
      for (const [property, text] of Object.entries(value as Record<string, string | number>)) {
        (element as HTMLElement | SVGElement).style.setProperty(property, String(text));
      }
    } else if (PROPERTIES.has(name)) {
      (element as unknown as Record<string, unknown>)[name] = value;
    } else if (name === "href") {
      const href = address(String(value));
      if (href !== null) element.setAttribute(name, href);
    } else if (value !== false) {
      const text = value === true ? "" : String(value);
      element.setAttribute(name, SPOKEN.has(name) ? cut(text, MOST_SPOKEN) : text);
    }
  }
}

/** Where a button that shows a whole text has no place. */
const NAMES = "a, button, option, summary, label, legend, th, dt, h1, h2, h3, title, text";

/** A text as nodes: its beginning where it is long, and a button for the whole of it. */
function words(host: Element, text: string): (Node | string)[] {
  if (text.length <= TEXT) return [tame(text)];
  const start = document.createTextNode(cut(text));
  if (host.matches(NAMES)) return [start];
  const more = document.createElement("button");
  more.type = "button";
  more.className = "quiet whole";
  more.dataset.test = "whole-text";
  more.textContent = `Show all ${text.length.toLocaleString("en")} letters`;
  more.addEventListener("click", () => {
    const all = document.createElement("span");
    all.className = "whole";
    all.tabIndex = 0;
    all.textContent = tame(text);
    start.replaceWith(all);
    more.remove();
    all.focus();
  });
  return [start, " ", more];
}

function append(host: Element, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(host, child);
    else if (child instanceof Node) host.appendChild(child);
    else host.append(...words(host, String(child)));
  }
}

/** An HTML element with attributes and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attrs: Attrs = null,
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  // Children first: a select's value can only name an option that is there.
  append(element, children);
  set(element, attrs);
  return element;
}

/** An SVG element with attributes and children. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attrs: Attrs = null,
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  append(element, children);
  set(element, attrs);
  return element;
}

/** Puts children in the place of everything in `host`. */
export function fill(host: Element, ...children: Child[]): void {
  host.replaceChildren();
  append(host, children);
}
