// Where the user gives the page labels of features, and what became of them.

import { listed, shown } from "../foreign";
import type { Labels } from "../state/labels";
import { fill, h } from "./dom";
import { field } from "./field";
import { counted } from "./format";
import { errorBox } from "./words";

const MOST_NAMED = 4;

/** The picker, folded until it is wanted. */
export function labelsPicker(labels: Labels): HTMLElement {
  const input = h("input", {
    type: "file",
    multiple: true,
    accept: ".jsonl,.gz,.json",
    "data-test": "labels-file",
    onchange: () => {
      const files = [...(input.files ?? [])];
      input.value = "";
      if (files.length > 0) void labels.take(files);
    },
  });
  const status = h("p", { class: "muted small", role: "status", "data-test": "labels-status" });
  const trouble = h("div");
  const forget = h("button", { type: "button", class: "small", "data-test": "labels-forget", onclick: () => labels.forget() }, "Forget the labels");
  const help = "An export of Neuronpedia (explanations/batch-….jsonl, also .gz) of the model’s own SAEs. It is read in this tab and not uploaded. The words were written by a model that saw each feature’s strongest examples: a hint, not a finding.";
  const element = h(
    "details",
    { class: "labels", "data-test": "labels" },
    h("summary", null, "Labels of features"),
    h("div", { class: "stack" }, field("File of explanations", input, help), status, trouble, h("div", { class: "actions" }, forget)),
  );
  const say = () => {
    input.disabled = labels.reading;
    forget.hidden = !labels.any;
    fill(status, labels.reading ? "Reading the labels…" : inWords(labels));
    if (labels.error) fill(trouble, errorBox(labels.error, null, "These labels cannot be used", "h3"));
    else fill(trouble);
    if (labels.error || labels.reading) element.open = true;
  };
  labels.addEventListener("change", say);
  say();
  return element;
}

function inWords(labels: Labels): string {
  if (!labels.any) return "";
  const { labels: number, dictionaries } = labels.size;
  return `${counted(number, "label")} of ${dictionaries.length === 1 ? shown(dictionaries[0] ?? "") : `${dictionaries.length} dictionaries (${listed(dictionaries, MOST_NAMED)})`}, from ${listed(labels.files, MOST_NAMED)}.`;
}
