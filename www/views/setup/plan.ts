// What a run would cost, before it starts.

import type { EngineError, Plan } from "../../engine/protocol";
import { shown } from "../../foreign";
import { fill, h } from "../../ui/dom";
import { bytes, count } from "../../ui/format";
import { errorBox, sentence } from "../../ui/words";

/** What the panel can show. */
export type PlanState =
  | { kind: "waiting"; text: string }
  | { kind: "missing"; text: string }
  | { kind: "gated" }
  | { kind: "error"; error: EngineError }
  | { kind: "plan"; plan: Plan };

/** What is still to be downloaded. */
export function toDownload(plan: Plan): number {
  return Math.max(0, plan.needed_bytes - plan.stored_bytes);
}

/** The start button's words. */
export function startLabel(plan: Plan): string {
  const download = toDownload(plan);
  const memory = bytes(plan.device_bytes || plan.workers * plan.worker_bytes);
  return `Start: ${download ? `downloads ${bytes(download)}` : "downloads nothing"}, needs ${memory}`;
}

function figures(plan: Plan): HTMLElement {
  const rows: [string, string][] = [
    ["Model", `${shown(plan.model)} (${shown(plan.architecture)}, ${plan.n_layers} layers, width ${plan.d_model})`],
    ["SAE layers", plan.layers.join(", ")],
    ["Samples", `${count(plan.samples)} (${count(plan.texts)} texts)`],
    ["Tokens", `${count(plan.tokens)}, of which ${count(plan.tokens_computed)} are computed: shared prefixes once`],
    ["Device", plan.device === "webgpu" ? "WebGPU" : plan.workers > 1 ? `CPU, ${plan.workers} workers` : "CPU"],
    ["To download", bytes(toDownload(plan))],
    ["Here already", `${bytes(plan.stored_bytes)} of ${bytes(plan.needed_bytes)}`],
  ];
  if (plan.free_bytes !== undefined && plan.free_bytes !== null) rows.push(["Free storage", bytes(plan.free_bytes)]);
  if (plan.device_bytes) rows.push(["GPU memory", `at most ${bytes(plan.device_bytes)}`]);
  const all = `at most ${bytes(plan.workers * plan.worker_bytes)}`;
  rows.push(["Engine memory", plan.workers > 1 ? `${all}, ${bytes(plan.worker_bytes)} for each worker` : all]);
  return h(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
}

/** The panel beside the form. */
export function planPanel(start: HTMLElement, share: HTMLElement): { element: HTMLElement; show(state: PlanState): void } {
  const body = h("div", { class: "stack" });
  const element = h(
    "aside",
    { class: "panel plan", "data-test": "plan", "aria-label": "What the run will cost" },
    h("h2", null, "Before it starts"),
    body,
    h("div", { class: "actions" }, start, share),
  );
  return {
    element,
    show(state) {
      element.dataset.plan = state.kind;
      switch (state.kind) {
        case "waiting":
        case "missing":
          fill(body, h("p", { class: state.kind === "waiting" ? "muted loading" : "muted" }, sentence(state.text)));
          return;
        case "gated":
          fill(
            body,
            h(
              "div",
              { class: "box", "data-test": "gated" },
              h("h3", null, "This model needs a token"),
              h(
                "p",
                null,
                "Its licence has to be accepted on Hugging Face first; then type an access token of that account beside the model. Nothing is asked of the hub before.",
              ),
            ),
          );
          return;
        case "error":
          fill(body, errorBox(state.error, null, undefined, "h3"));
          return;
        case "plan":
          fill(
            body,
            figures(state.plan),
            state.plan.warnings.map((warning) => h("p", { class: "warn" }, sentence(warning))),
          );
      }
    },
  };
}
