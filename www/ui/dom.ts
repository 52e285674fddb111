// Elements in one expression. No framework: the page's parts build their DOM once and change it in
// place. Styles go through the CSSOM only, since the content security policy allows no style text.

export type Child = Node | string | number | null | undefined | false | Child[];

/** Attributes; `on…` functions are listeners, `style` is an object of CSS properties, `value`,
 *  `checked`, `disabled`, `indeterminate` and `selected` are set as properties; null, undefined and
 *  false leave an attribute out. */
export type Attrs = Record<string, unknown> | null;

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
    } else if (value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

function append(host: Node, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(host, child);
    else host.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
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
