// The view Explore: a sentence's features per token and layer, with the weights kept on the device.

import type { Explore, ModelInfo, Subject } from "../../protocol";
import type { PageContext } from "../context";
import { fill, h } from "../dom";
import { subjectOf, type Draft } from "../draft";
import { asEngineError } from "../engine";
import { bytes, counted, duration } from "../format";
import { enter, stateOf, type Shared } from "../state";
import { needsToken } from "../setup/model";
import { errorBox, sentence } from "../words";
import { featureList } from "./features";
import { firstTokenNote, heatmap, ofFeature, scaleOf, shade, visible } from "./heatmap";

const TOP = 24;
const PROMOTED = 6;

function nameOf(subject: Subject): string {
  const { model } = subject;
  if (model.kind === "known") return model.name;
  if (model.kind === "hub") return model.repo;
  return model.kind === "url" ? model.url : "files of yours";
}

function cost(model: ModelInfo | undefined): string {
  if (!model) return "The first sentence reads the model and its SAEs; after that they stay in memory.";
  const left = model.bytes === undefined ? undefined : Math.max(0, model.bytes - model.stored_bytes);
  const after = "loads the weights; after that they stay in memory and a sentence takes moments.";
  if (left === 0) return `Its files are stored here. The first sentence ${after}`;
  return `The first sentence ${left === undefined ? "downloads the model and its SAEs" : `downloads up to ${bytes(left)}`} and ${after}`;
}

/** Builds the view. */
export function mountExplore(
  host: HTMLElement,
  page: PageContext,
  shared: Shared,
  draft: Draft,
  ready: () => Promise<boolean>,
): void {
  const input = h("textarea", {
    id: "explore-text",
    "data-test": "explore-text",
    rows: 2,
    value: "The Eiffel Tower stands in the city of Paris",
    onkeydown: (event: Event) => {
      const { key, shiftKey } = event as KeyboardEvent;
      if (key === "Enter" && !shiftKey) {
        event.preventDefault();
        void go();
      }
    },
  });
  const button = h("button", { class: "primary", "data-test": "explore-go", onclick: () => void go() }, "Show features");
  const stopButton = h("button", { hidden: true, onclick: () => stop?.abort() }, "Stop");
  const about = h("p", { class: "muted" });
  const status = h("p", { class: "muted small", role: "status", "data-test": "explore-status" });
  const bar = h("progress", { hidden: true, max: 1, "aria-label": "Loading the weights" });
  const outcome = h("div", { class: "stack", "data-test": "explore-outcome" });
  let stop: AbortController | null = null;
  let layerShown: number | null = null;

  fill(
    host,
    h(
      "div",
      { class: "view" },
      h("h1", null, "Explore a sentence"),
      about,
      h("div", { class: "field" }, h("label", { for: "explore-text" }, "Sentence"), input),
      h("div", { class: "actions" }, button, stopButton),
      status,
      bar,
      outcome,
    ),
  );

  function describe(): void {
    const { modelKind, known } = draft.fields;
    const model = modelKind === "known" ? shared.models.find((one) => one.name === known) : undefined;
    const change = h("a", { href: "#/setup" }, "Set up");
    try {
      const subject = subjectOf(draft.fields);
      fill(about, `Model ${nameOf(subject)}, as chosen under `, change, `. ${cost(model)}`);
    } catch (reason) {
      const text = draft.fields.known || modelKind !== "known" ? sentence((reason as Error).message) : "The list of models is being read.";
      fill(about, `${text} The model is chosen under `, change, ".");
    }
  }

  async function go(): Promise<void> {
    const text = input.value.trim();
    if (stop) return;
    if (!text) {
      fill(outcome);
      status.textContent = "Type a sentence first.";
      input.focus();
      return;
    }
    fill(outcome);
    button.disabled = true;
    status.textContent = "Starting the engine…";
    if (!(await ready())) {
      status.textContent = "";
      button.disabled = false;
      return;
    }
    let subject: Subject;
    try {
      if (needsToken(draft, shared.models)) throw new Error("this model needs an access token, typed under Set up");
      subject = subjectOf(draft.fields);
    } catch (reason) {
      status.textContent = sentence((reason as Error).message);
      button.disabled = false;
      return;
    }
    stop = new AbortController();
    stopButton.hidden = false;
    status.textContent = "Computing…";
    try {
      const found = await page.engine.call<"explore">(
        { type: "explore", subject, device: draft.fields.device, text, top: TOP },
        (event) => {
          if (event.type === "download") {
            bar.hidden = false;
            bar.value = event.download.total ? event.download.done / event.download.total : 0;
            status.textContent = `Downloading ${event.download.file}: ${bytes(event.download.received)} so far`;
          } else if (event.type === "progress") {
            bar.hidden = false;
            bar.value = event.progress.layers ? event.progress.layer / event.progress.layers : 0;
            status.textContent = `Loading layer ${event.progress.layer + 1} of ${event.progress.layers}`;
          }
        },
        stop.signal,
      );
      show(found, subject);
      enter("ready");
    } catch (reason) {
      const error = asEngineError(reason);
      status.textContent = error.kind === "cancelled" ? "Stopped." : "";
      if (error.kind !== "cancelled") fill(outcome, errorBox(error));
      enter(stateOf(error));
    } finally {
      stop = null;
      stopButton.hidden = bar.hidden = true;
      button.disabled = false;
    }
  }

  function show(found: Explore, subject: Subject): void {
    const { gpu, wasm } = found.memory;
    const memory = gpu ? `${bytes(gpu)} on the GPU` : `${bytes(wasm)} of engine memory`;
    const tokens = counted(found.tokens.length, "token");
    status.textContent = found.resident
      ? `${tokens} in ${duration(found.seconds)}, with the weights resident: ${memory}.`
      : `${tokens} in ${duration(found.seconds)}, reading the weights included. They are resident now, so that the next sentence is quicker: ${memory}.`;
    // What the next first sentence costs has changed.
    if (!found.resident) void page.engine.call<"models">({ type: "models" }).then((models) => shared.update({ models }), () => undefined);
    page.announce(`Features of ${counted(found.tokens.length, "token")} are shown.`);

    const layers = found.layers;
    const wanted = layers.find((one) => one.layer === layerShown) ?? layers[Math.floor(layers.length / 2)];
    if (!wanted) return;
    const place = h("div", { class: "stack" });
    const choices = layers.map((layer) =>
      h(
        "label",
        { class: "tick" },
        h("input", { type: "radio", name: "explore-layer", checked: layer === wanted, onchange: () => open(layer) }),
        h("span", null, `Layer ${layer.layer}`),
      ),
    );
    fill(outcome, h("fieldset", { class: "ticks plain" }, h("legend", { class: "unseen" }, "Layer"), choices), place);
    open(wanted);

    function open(layer: Explore["layers"][number]): void {
      layerShown = layer.layer;
      const sentenceLine = h("p", { class: "sentence", "aria-live": "off" });
      const caption = h("p", { class: "muted small" });
      const pick = (at: number) => {
        const values = ofFeature(layer, at, found.tokens.length);
        const most = scaleOf(values);
        fill(
          sentenceLine,
          found.tokens.map((token, index) =>
            h("span", { class: `token lit${(values[index] ?? 0) > most ? " beyond" : ""}`, style: { "--share": shade(values[index] ?? 0, most) } }, visible(token)),
          ),
        );
        caption.textContent = `The sentence, coloured by feature ${layer.features[at]}.`;
      };
      const model = shared.models.find((one) => subject.model.kind === "known" && one.name === subject.model.name);
      const known = subject.saes.length ? undefined : model?.saes.find((sae) => sae.layer === layer.layer)?.neuronpedia;
      const promotes = () =>
        page.engine.call<"promotes">({
          type: "promotes",
          subject,
          layer: layer.layer,
          features: layer.features,
          top: PROMOTED,
        });
      if (!layer.features.length) {
        fill(place, h("p", { class: "warn" }, "No feature is active at this layer."));
        return;
      }
      pick(0);
      const note = firstTokenNote(found.tokens, layer);
      fill(
        place,
        h(
          "section",
          { class: "panel" },
          h("h2", null, `Activations at layer ${layer.layer}`),
          sentenceLine,
          caption,
          heatmap(found.tokens, layer, pick),
          note ? h("p", { class: "muted small", "data-test": "first-token" }, note) : null,
        ),
        featureList(found.tokens, layer, known, promotes, pick),
      );
    }
  }

  shared.addEventListener("change", describe);
  draft.addEventListener("change", describe);
  describe();
  // Models and their sizes have to be known to say what the first sentence costs.
  void ready().then(describe);
}
