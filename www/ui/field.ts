// Form fields with their label and a line of help.

import { h, type Attrs, type Child } from "./dom";

let made = 0;

/** A labelled control. */
export function field(label: string, control: HTMLElement, help: Child = null): HTMLElement {
  made += 1;
  control.id ||= `field-${made}`;
  const helpId = `${control.id}-help`;
  if (help) control.setAttribute("aria-describedby", helpId);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, label),
    control,
    help ? h("p", { class: "help", id: helpId }, help) : null,
  );
}

/** A text input that reports every change. */
export function text(value: string, set: (value: string) => void, attrs: Attrs = null): HTMLInputElement {
  const input = h("input", {
    type: "text",
    value,
    spellcheck: "false",
    autocomplete: "off",
    oninput: () => set(input.value),
    ...attrs,
  });
  return input;
}

/** A checkbox or radio button with its label beside it. */
export function tick(
  type: "checkbox" | "radio",
  label: Child,
  checked: boolean,
  set: (checked: boolean) => void,
  attrs: Attrs = null,
): HTMLElement {
  const input = h("input", { type, checked, onchange: () => set(input.checked), ...attrs });
  return h("label", { class: "tick" }, input, h("span", null, label));
}

/** A select; options are value and label, or a group of them. */
export function select(
  options: [string, string][],
  value: string,
  set: (value: string) => void,
  attrs: Attrs = null,
): HTMLSelectElement {
  const control = h(
    "select",
    { value, onchange: () => set(control.value), ...attrs },
    options.map(([name, label]) => h("option", { value: name }, label)),
  );
  return control;
}

/** A file picker that shows the files picked before; with `webkitdirectory` it picks a whole folder. */
export function picker(label: string, picked: File[], set: (files: File[]) => void, attrs: Attrs = null): HTMLElement {
  const input = h("input", { type: "file", onchange: () => set([...(input.files ?? [])]), ...attrs });
  if (picked.length) {
    const transfer = new DataTransfer();
    for (const file of picked) transfer.items.add(file);
    input.files = transfer.files;
  }
  return field(label, input);
}
