// One sample: its texts, its active features, their cloud, and its row's numbers.

import "../../style/results.css";
import "./sample.css";
import { shown } from "../../foreign";
import { h } from "../../ui/dom";
import type { PageContext } from "../../state/context";
import { asEngineError } from "../../engine/failure";
import type { Run } from "../../data/run";
import { sampleHref } from "../../ui/table";
import { cloudSection, type CloudSection } from "./cloud";
import { featuresSection } from "./features";
import { numbersSections, type NumbersSections } from "./numbers";
import { textsSection } from "./texts";

/** Builds the sample view. */
export function mountSample(host: HTMLElement, page: PageContext): { show(run: Run, sampleId: string): void } {
  // Leaving a sample ends what was asked for it.
  let leave = new AbortController();
  let cloud: CloudSection | null = null;
  let numbers: NumbersSections | null = null;

  function show(run: Run, sampleId: string): void {
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    cloud?.destroy();
    numbers?.destroy();
    cloud = numbers = null;

    const row = run.rowOf(sampleId);
    if (row === undefined) {
      host.replaceChildren(h("div", { class: "sample" }, head(run, sampleId, undefined), absent(run, sampleId)));
      return;
    }
    const features = h("div", { class: "sample-features" }, h("p", { class: "empty", role: "status" }, "Reading active features…"));
    numbers = numbersSections(run, row);
    host.replaceChildren(
      h(
        "div",
        { class: "sample" },
        head(run, sampleId, row),
        h("div", { class: "sample-texts" }, textsSection(run, row, page.texts(run, sampleId), page, signal), numbers.whole),
        numbers.layers,
        features,
      ),
    );
    if (!run.hasFeatures) {
      const why = run.partial
        ? "Active features can be seen when the run is complete."
        : "This run was opened without features.parquet, which holds the active features.";
      features.replaceChildren(h("p", { class: "empty" }, why));
      return;
    }
    run.features(sampleId).then(
      (sample) => {
        if (signal.aborted) return;
        if (sample === null) {
          features.replaceChildren(h("p", { class: "empty" }, `features.parquet has no row of ${shown(sampleId)}: no feature was active in any of its texts, or the file is of another run.`));
          return;
        }
        const section = cloudSection(run, row, sample, page, signal);
        cloud = section;
        features.replaceChildren(featuresSection(run, sample, page, signal, section.layer), section.element);
      },
      (reason: unknown) => {
        if (signal.aborted) return;
        const { kind, message, hint } = asEngineError(reason);
        features.replaceChildren(
          h("div", { class: "box error", role: "alert", "data-test": "error", "data-kind": kind }, h("p", null, message), hint === undefined ? null : h("p", null, hint)),
        );
      },
    );
  }

  return { show };
}

function head(run: Run, sampleId: string, row: number | undefined): HTMLElement {
  const before = row === undefined ? undefined : run.sampleIds[row - 1];
  const after = row === undefined ? undefined : run.sampleIds[row + 1];
  const step = (id: string | undefined, words: string, test: string) =>
    id === undefined
      ? h("span", { class: "step muted", "aria-hidden": "true" }, words)
      : h("a", { class: "step", href: sampleHref(id), "data-test": test, "aria-label": `${words} sample: ${shown(id)}` }, words);
  const complexity = row === undefined ? NaN : run.metrics.number("complexity", row);
  return h(
    "header",
    { class: "sample-head" },
    h("nav", { "aria-label": "Samples" }, h("a", { class: "step", href: "#/results" }, "All results"), step(before, "Previous", "previous-sample"), step(after, "Next", "next-sample")),
    h("h1", { tabindex: -1, "data-test": "sample-title" }, shown(sampleId)),
    row === undefined
      ? null
      : h("p", { class: "muted" }, `${shown(run.sampleDomains[row] as string)}${Number.isFinite(complexity) ? `, complexity ${complexity}` : ""}, sample ${row + 1} of ${run.metrics.rows}`),
  );
}

function absent(run: Run, sampleId: string): HTMLElement {
  const failed = run.manifest?.failed_samples.find(({ sample_id }) => sample_id === sampleId);
  const words =
    failed !== undefined
      ? `This sample failed and has no row: ${failed.reason}`
      : `${run.partial ? "This sample is not finished yet, or the run" : "The run that is open"} has no sample of this id.`;
  return h("p", { class: "empty", role: "status" }, words);
}
