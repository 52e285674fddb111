// Device, precision, and what is rarely changed.

import type { DeviceChoice, Precision } from "../../engine/protocol";
import { fill, h } from "../../ui/dom";
import type { Draft } from "../../state/draft";
import type { Shared } from "../../state/state";
import { deviceWords } from "../../ui/words";
import { field, select, text, tick } from "../../ui/field";

/** The device's part of the form. */
export function devicePart(draft: Draft, shared: Shared): HTMLElement {
  const { fields } = draft;
  const device = select(
    [
      ["auto", "Automatic"],
      ["webgpu", "WebGPU"],
      ["cpu", "CPU"],
    ],
    fields.device,
    (value) => draft.set({ device: value as DeviceChoice }),
    { "data-test": "device-select" },
  );
  const precision = select(
    [
      ["f32", "f32"],
      ["f16", "f16"],
    ],
    fields.precision,
    (value) => draft.set({ precision: value as Precision }),
    { "data-test": "precision-select" },
  );
  const words = h("div", { class: "help", "data-test": "self-test" });

  function refresh(): void {
    const { hello } = shared;
    if (!hello) {
      fill(words, h("p", null, "The self-test has not finished yet."));
      return;
    }
    fill(words, deviceWords(hello).map((line) => h("p", null, line)));
    const automatic = device.options[0]!;
    automatic.textContent = `Automatic: ${hello.device === "webgpu" ? "WebGPU" : "CPU"}`;
    const { state } = hello.webgpu;
    const without = state === "none" || state === "wrong" || state === "failed";
    device.options[1]!.disabled = without;
    precision.options[1]!.disabled = without;
    precision.options[1]!.textContent = without ? "f16 (for GPUs)" : "f16";
  }
  shared.addEventListener("change", refresh);
  refresh();

  return h(
    "fieldset",
    null,
    h("legend", null, "Device"),
    h("div", { class: "columns" }, field("Compute on", device), field("Precision", precision)),
    words,
  );
}

/** The rest of the options, folded away. */
export function advancedPart(draft: Draft): HTMLElement {
  const { fields } = draft;
  const number = (value: string, set: (value: string) => void, test: string) =>
    text(value, set, { inputmode: "numeric", "data-test": test });
  return h(
    "details",
    { class: "advanced" },
    h("summary", null, "More options"),
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "columns" },
        field(
          "Noise behind stability",
          text(fields.noise, (noise) => draft.set({ noise }), { "data-test": "noise" }),
          "relative:0.1 is a tenth of the residual's norm; absolute:S is a fixed σ.",
        ),
        field("Seed", number(fields.seed, (seed) => draft.set({ seed }), "seed"), "Of the noise, the resampling and the draw of samples."),
        field(
          "Only … samples",
          number(fields.limit, (limit) => draft.set({ limit }), "limit"),
          "Drawn from each domain in proportion, by the seed. Empty: all.",
        ),
        field(
          "Triples per batch",
          number(fields.batch, (batch) => draft.set({ batch }), "batch-size"),
          "Empty: the device decides. The numbers do not depend on it.",
        ),
        field(
          "Workers on the CPU",
          number(fields.workers, (workers) => draft.set({ workers }), "workers"),
          "Empty: one for each processor, as far as memory and samples go. Each takes memory of its own; the numbers do not depend on it.",
        ),
      ),
      tick(
        "checkbox",
        "Log-probabilities of fact and hallucination: the baseline to beat. Reads the rest of the model.",
        fields.logprob,
        (logprob) => draft.set({ logprob }),
        { "data-test": "logprob" },
      ),
      tick(
        "checkbox",
        "Nulls of the geometry: what its shape would be with random features, permuted activations, a random dictionary. 200 draws of each",
        fields.nulls,
        (nulls) => draft.set({ nulls }),
        { "data-test": "nulls" },
      ),
      tick(
        "checkbox",
        "Keep downloads in this browser, so that the next run needs no network",
        fields.store,
        (store) => draft.set({ store }),
        { "data-test": "store" },
      ),
    ),
  );
}
