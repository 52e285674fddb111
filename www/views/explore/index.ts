// The view Explore: a sentence's features per token and layer, with the weights kept on the device.
// The sentence, the heat map and the features follow one ranking and one chosen feature.

import "./explore.css";
import type { EngineEvent, Explore, ModelInfo, Subject } from "../../engine/protocol";
import type { PageContext } from "../../state/context";
import { fill, h, type Child } from "../../ui/dom";
import { needsToken, subjectOf, type Draft } from "../../state/draft";
import { asEngineError } from "../../engine/failure";
import { bytes, counted, duration } from "../../ui/format";
import { labelsPicker } from "../../ui/labels";
import { enter, stateOf, type Shared } from "../../state/state";
import { errorBox, sentence } from "../../ui/words";
import { panes, type Panes } from "./panes";
import { Promoted } from "./promoted";

/** Features asked of a layer: enough for all that are active in a sentence of some dozen tokens, so
 *  that any token can rank them. */
const TOP = 2048;
/** A model is fetched whole up to this size, its unembedding with it: the engine's own limit. */
const WHOLE = 512e6;

function nameOf(subject: Subject): string {
  const { model } = subject;
  if (model.kind === "known") return model.name;
  if (model.kind === "hub") return model.repo;
  return model.kind === "url" ? model.url : "files of yours";
}

function cost(model: ModelInfo | undefined): string {
  if (!model) return "The first sentence reads the model and its SAEs; they stay in memory for the next.";
  const left = model.bytes === undefined ? undefined : Math.max(0, model.bytes - model.stored_bytes);
  const after = "loads the weights; they stay in memory for the next.";
  if (left === 0) return `Its files are stored here. The first sentence ${after}`;
  return `The first sentence ${left === undefined ? "downloads the model and its SAEs" : `downloads up to ${bytes(left)}`} and ${after}`;
}

/** Whether the unembedding is here once the weights are, so that reading it downloads nothing large. */
function unembeddingIsHere(subject: Subject, model: ModelInfo | undefined): boolean {
  if (subject.model.kind === "files") return true;
  return model?.bytes !== undefined && (model.bytes <= WHOLE || model.stored_bytes >= model.bytes);
}

/** What is asked: the sentence, its buttons, and how far the answer is. */
class Form {
  readonly input = h("textarea", {
    id: "explore-text",
    "data-test": "explore-text",
    rows: 2,
    value: "The Eiffel Tower stands in the city of Paris",
    onkeydown: (event: Event) => {
      const { key, shiftKey } = event as KeyboardEvent;
      if (key === "Enter" && !shiftKey) {
        event.preventDefault();
        this.go();
      }
    },
  });
  readonly button = h("button", { class: "primary", "data-test": "explore-go", onclick: () => this.go() }, "Show features");
  readonly stopButton = h("button", { hidden: true, onclick: () => this.stop() }, "Stop");
  readonly status = h("p", { class: "muted small", role: "status", "data-test": "explore-status" });
  readonly bar = h("progress", { hidden: true, max: 1, "aria-label": "Loading the weights" });
  readonly element = h(
    "section",
    { class: "panel", "aria-label": "Sentence" },
    h("div", { class: "field" }, h("label", { for: "explore-text" }, "Sentence"), this.input),
    h("div", { class: "actions" }, this.button, this.stopButton),
    this.status,
    this.bar,
  );

  constructor(
    readonly go: () => void,
    readonly stop: () => void,
  ) {}

  /** Shows how far the weights are. */
  follow(event: EngineEvent): void {
    if (event.type === "download") {
      this.bar.hidden = false;
      this.bar.value = event.download.total ? event.download.done / event.download.total : 0;
      this.status.textContent = `Downloading ${event.download.file}: ${bytes(event.download.received)} so far`;
    } else if (event.type === "progress") {
      this.bar.hidden = false;
      this.bar.value = event.progress.layers ? event.progress.layer / event.progress.layers : 0;
      this.status.textContent = `Loading layer ${event.progress.layer + 1} of ${event.progress.layers}`;
    }
  }

  /** Whether it can be asked, or is being answered. */
  busy(on: boolean): void {
    this.button.disabled = on;
    this.stopButton.hidden = !on;
    if (!on) this.bar.hidden = true;
  }
}

/** Builds the view. */
export function mountExplore(
  host: HTMLElement,
  page: PageContext,
  shared: Shared,
  draft: Draft,
  ready: () => Promise<boolean>,
): void {
  const form = new Form(() => void go(), () => stop?.abort());
  const { status } = form;
  const about = h("p", { class: "muted" });
  // What there is to see before the first sentence, and what went wrong.
  const outcome = h("div", { class: "stack", "data-test": "explore-outcome" });
  const grid = h("div", { class: "explore", "data-test": "explore" }, form.element, outcome);
  const promoted = new Promoted(page.engine);
  let stop: AbortController | null = null;
  let shown: Panes | null = null;
  let layerShown: number | null = null;

  fill(outcome, introduction());
  fill(host, h("div", { class: "view" }, h("h1", null, "Explore a sentence"), about, grid));
  promoted.addEventListener("change", () => shown?.update());
  page.labels.addEventListener("change", () => shown?.update());
  form.element.append(labelsPicker(page.labels));

  async function go(): Promise<void> {
    const text = form.input.value.trim();
    if (stop) return;
    if (!text) {
      status.textContent = "Type a sentence first.";
      form.input.focus();
      return;
    }
    clear();
    form.button.disabled = true;
    status.textContent = "Starting the engine…";
    if (!(await ready())) {
      status.textContent = "";
      form.button.disabled = false;
      return;
    }
    let subject: Subject;
    try {
      if (needsToken(draft, shared.models)) throw new Error("this model needs an access token, typed under Set up");
      subject = subjectOf(draft.fields);
    } catch (reason) {
      status.textContent = sentence((reason as Error).message);
      form.button.disabled = false;
      return;
    }
    stop = new AbortController();
    form.busy(true);
    status.textContent = "Computing…";
    try {
      const request = { type: "explore" as const, subject, device: draft.fields.device, text, top: TOP };
      show(await page.engine.call<"explore">(request, (event) => form.follow(event), stop.signal), subject);
      enter("ready");
    } catch (reason) {
      const error = asEngineError(reason);
      status.textContent = error.kind === "cancelled" ? "Stopped." : "";
      if (error.kind !== "cancelled") fill(outcome, errorBox(error));
      enter(stateOf(error));
    } finally {
      stop = null;
      form.busy(false);
    }
  }

  function show(found: Explore, subject: Subject): void {
    status.textContent = inWords(found);
    // What the next first sentence costs has changed.
    if (!found.resident) void page.engine.call<"models">({ type: "models" }).then((models) => shared.update({ models }), () => undefined);
    page.announce(`Features of ${counted(found.tokens.length, "token")} are shown.`);

    const model = modelOf(subject, shared);
    const known = (layer: number) => (subject.saes.length ? undefined : model?.saes.find((sae) => sae.layer === layer)?.neuronpedia);
    shown = panes({
      found,
      layer: layerShown,
      neuronpedia: known,
      label: (layer, feature) => page.labels.of(known(layer), layer)?.labels.get(feature) ?? null,
      promoted,
      unasked: unembeddingIsHere(subject, model),
      read: (layer, features) => promoted.want(subject, layer, features),
      opened: (layer) => (layerShown = layer),
      say: (text) => page.announce(text),
    });
    fill(outcome);
    grid.replaceChildren(form.element, ...shown.elements);
    form.element.append(shown.sentence);
  }

  /** Takes away what an earlier sentence showed. */
  function clear(): void {
    promoted.cancel();
    shown?.destroy();
    shown?.sentence.remove();
    shown = null;
    fill(outcome);
    grid.replaceChildren(form.element, outcome);
  }

  describe(about, draft, shared, ready);
}

/** Says which model is asked and what its first sentence costs, and keeps to it. */
function describe(about: HTMLElement, draft: Draft, shared: Shared, ready: () => Promise<boolean>): void {
  const say = () => fill(about, aboutModel(draft, shared));
  shared.addEventListener("change", say);
  draft.addEventListener("change", say);
  say();
  // Models and their sizes have to be known first.
  void ready().then(say);
}

/** How the answer was made: how fast, and what it holds. */
function inWords(found: Explore): string {
  const { gpu, wasm } = found.memory;
  const memory = gpu ? `${bytes(gpu)} on the GPU` : `${bytes(wasm)} of engine memory`;
  const tokens = counted(found.tokens.length, "token");
  return found.resident
    ? `${tokens} in ${duration(found.seconds)}; the weights were in memory (${memory}).`
    : `${tokens} in ${duration(found.seconds)}, reading the weights included; they stay in memory (${memory}).`;
}

function modelOf({ model }: Subject, shared: Shared): ModelInfo | undefined {
  return model.kind === "known" ? shared.models.find((one) => one.name === model.name) : undefined;
}

/** Which model is asked, and what its first sentence costs. */
function aboutModel(draft: Draft, shared: Shared): Child {
  const { modelKind, known } = draft.fields;
  const change = h("a", { href: "#/setup" }, "Set up");
  try {
    const subject = subjectOf(draft.fields);
    return [`Model ${nameOf(subject)}, as chosen under `, change, `. ${cost(modelOf(subject, shared))}`];
  } catch (reason) {
    const text = known || modelKind !== "known" ? sentence((reason as Error).message) : "The list of models is being read.";
    return [`${text} The model is chosen under `, change, "."];
  }
}

function introduction(): HTMLElement {
  return h(
    "div",
    { class: "muted introduction", "data-test": "explore-introduction" },
    h("p", null, "For each token and SAE layer of the sentence this shows:"),
    h(
      "ul",
      null,
      h("li", null, "which features are active there, and how strongly;"),
      h("li", null, "the strongest features, over the sentence or at a token of your choice;"),
      h("li", null, "the tokens that each of them promotes, and its page on Neuronpedia where it has one."),
    ),
  );
}
