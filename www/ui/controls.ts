// The two controls that panels have: a choice among few (buttons), and one among many (a list).

import { shown } from "../foreign";
import { h } from "./dom";

/** Radio buttons that look like one switch. */
export function switcher<T extends string>(
  label: string,
  name: string,
  options: [value: T, text: string][],
  value: T,
  changed: (value: T) => void,
): HTMLElement {
  return h(
    "fieldset",
    { class: "switch" },
    h("legend", { class: "unseen" }, label),
    options.map(([option, text]) =>
      h(
        "label",
        null,
        h("input", {
          type: "radio",
          name,
          value: option,
          checked: option === value,
          "data-test": `${name}-${option}`,
          onchange: () => changed(option),
        }),
        h("span", null, text),
      ),
    ),
  );
}

/** A list to choose from. */
export function chooser(
  label: string,
  name: string,
  options: [value: string, text: string][],
  value: string,
  changed: (value: string) => void,
): HTMLElement {
  return h(
    "label",
    { class: "chooser" },
    h("span", null, label),
    h(
      "select",
      { "data-test": name, value, onchange: (event: Event) => changed((event.target as HTMLSelectElement).value) },
      options.map(([option, text]) => h("option", { value: option }, shown(text))),
    ),
  );
}

/** An entry of a legend: a mark in a colour, and what it stands for. */
export function key(color: string, text: string, shape: "dot" | "ring" | "bar" | "diamond" | "line" | "solid" | "thin" = "dot"): HTMLElement {
  const mark = h("span", { class: `key key-${shape}`, "aria-hidden": "true" });
  mark.style.setProperty("--key", color);
  return h("span", { class: "legend-item" }, mark, shown(text));
}
