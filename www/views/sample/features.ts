// The features of the three texts side by side, one layer at a time; what they promote, on request.

import { neuronpediaId, neuronpediaPages } from "../../data/words";
import { shown } from "../../foreign";
import { fill, h } from "../../ui/dom";
import type { PageContext } from "../../state/context";
import { asEngineError } from "../../engine/failure";
import type { Run, SampleFeatures } from "../../data/run";
import type { Subject } from "../../engine/protocol";
import { switcher } from "../../ui/controls";
import { counted, number, visible } from "../../ui/format";
import { labelsPicker } from "../../ui/labels";
import { activeIn, align, type Aligned } from "./align";

const STEP = 20;
const TOP_TOKENS = 5;
type Filter = "all" | "ghost" | "missing";

/** The section over a sample's active features; `layerChosen` hears of the user's choice. */
export function featuresSection(
  run: Run,
  sample: SampleFeatures,
  page: PageContext,
  signal: AbortSignal,
  layerChosen: (layer: number) => void,
): HTMLElement {
  return new Section(run, sample, page, signal, layerChosen).element;
}

class Section {
  readonly element: HTMLElement;

  #layer: number;
  #rows: Aligned[] = [];
  #filter: Filter = "all";
  #limit = STEP;
  /** By layer and feature. */
  #promoted = new Map<string, string[]>();
  /** The SAEs' names on Neuronpedia, by layer: those that the engine knows by the model's name alone. */
  #neuronpedia = new Map<number, string>();
  #subject: Subject | null;

  #counts = h("p", { class: "caption", "data-test": "feature-counts" });
  // Roles in full: on a phone the rows are laid out as blocks.
  #body = h("tbody", { role: "rowgroup" });
  #promotesHead = h("th", { role: "columnheader", scope: "col", hidden: true }, "Promotes");
  #labelHead = h("th", { role: "columnheader", scope: "col", hidden: true }, "Label");
  #more = h("button", { type: "button", class: "small", onclick: () => ((this.#limit += 2 * STEP), this.#fill()) });
  #status = h("p", { class: "caption", role: "status" });
  #promote = h("button", { type: "button", class: "small", "data-test": "show-promotes", onclick: () => void this.#loadPromotes() }, "What they promote");
  #lookUp = h("button", { type: "button", class: "small", "data-test": "neuronpedia", onclick: () => void this.#loadLinks() }, "Link to Neuronpedia");

  constructor(
    readonly run: Run,
    readonly sample: SampleFeatures,
    readonly page: PageContext,
    readonly signal: AbortSignal,
    readonly layerChosen: (layer: number) => void,
  ) {
    this.#layer = run.layers[0] ?? 0;
    this.#subject = page.subject(run);
    if (page.engine.state === "ready") void this.#loadLinks(true);
    this.element = this.#panel();
    page.labels.addEventListener("change", () => this.#fill(), { signal });
    this.#select(this.#layer);
  }

  #panel(): HTMLElement {
    const names = ["Feature", "Mark", "Prompt", "Fact", "Hallucination"];
    return h(
      "section",
      { class: "panel", "data-test": "sample-features", "aria-labelledby": "sample-features-title" },
      h(
        "header",
        null,
        h("h2", { id: "sample-features-title" }, "Active features"),
        h("div", { class: "panel-actions" }, this.#subject === null ? null : this.#promote, this.run.manifest === null ? null : this.#lookUp),
      ),
      h("p", { class: "how" }, "Features at the last token of each text, strongest completion first; bars share one scale. Hold the three columns against each other: what only the hallucination has is a ghost, what it lacks is missing."),
      h("div", { class: "controls" }, this.#layerChoice(), this.#filterChoice()),
      this.#counts,
      h(
        "div",
        { class: "table-scroll", tabindex: 0, role: "group", "aria-label": "Active features, scrollable" },
        h(
          "table",
          { role: "table", class: "data features", "data-test": "features-table" },
          h("caption", { class: "unseen" }, "Active features by text"),
          h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, names.map((name) => h("th", { role: "columnheader", scope: "col" }, name)), this.#promotesHead, this.#labelHead)),
          this.#body,
        ),
      ),
      this.#more,
      this.#status,
      labelsPicker(this.page.labels),
    );
  }

  #layerChoice(): HTMLElement | null {
    const { layers } = this.run;
    if (layers.length < 2) return null;
    return switcher("Layer", "feature-layer", layers.map((l) => [String(l), `Layer ${l}`]), String(this.#layer), (value) => {
      this.#select(Number(value));
      this.layerChosen(this.#layer);
    });
  }

  #filterChoice(): HTMLElement {
    return switcher<Filter>("Which features", "feature-filter", [["all", "All"], ["ghost", "Ghost"], ["missing", "Missing"]], this.#filter, (value) => {
      this.#filter = value;
      this.#limit = STEP;
      this.#fill();
    });
  }

  #found(): Aligned[] {
    return this.#filter === "all" ? this.#rows : this.#rows.filter((row) => row.mark === this.#filter);
  }

  #promotedBy(feature: number): string[] | undefined {
    return this.#promoted.get(`${this.#layer} ${feature}`);
  }

  #fill(): void {
    const found = this.#found();
    const list = found.slice(0, this.#limit);
    const most = this.#rows.reduce((most, row) => Math.max(most, row.prompt, row.fact, row.hall), 1e-9);
    const withPromoted = list.some((row) => this.#promotedBy(row.feature) !== undefined);
    const labels = this.page.labels.of(neuronpediaId(this.run.manifest, this.#layer), this.#layer)?.labels ?? null;
    this.#promotesHead.hidden = !withPromoted;
    this.#labelHead.hidden = labels === null;
    this.#body.replaceChildren(...list.map((row) => this.#line(row, most, withPromoted, labels)));
    this.#more.hidden = list.length >= found.length;
    this.#more.textContent = `Show ${Math.min(2 * STEP, found.length - list.length)} more of ${found.length}`;
    this.#promote.disabled = list.every((row) => this.#promotedBy(row.feature) !== undefined);
  }

  #line(row: Aligned, most: number, withPromoted: boolean, labels: ReadonlyMap<number, string> | null): HTMLElement {
    const id = this.#neuronpedia.get(this.#layer);
    const name =
      id === undefined
        ? String(row.feature)
        : h("a", { href: `${neuronpediaPages(id)}${row.feature}`, rel: "noopener noreferrer", target: "_blank" }, String(row.feature));
    const tokens = this.#promotedBy(row.feature) ?? [];
    return h(
      "tr",
      { role: "row", class: row.mark },
      h("th", { role: "rowheader", scope: "row" }, name),
      h("td", { role: "cell" }, row.mark === "" ? null : h("span", { class: `mark ${row.mark}` }, row.mark)),
      (["prompt", "fact", "hall"] as const).map((kind) => bar(row[kind], most, kind)),
      withPromoted ? h("td", { role: "cell", class: "promotes" }, tokens.map((token) => [h("span", { class: "token" }, visible(token)), " "])) : null,
      labels === null ? null : h("td", { role: "cell", class: "promotes", "data-test": "feature-label" }, shown(labels.get(row.feature) ?? "–")),
    );
  }

  async #loadPromotes(): Promise<void> {
    const subject = this.#subject;
    if (subject === null) return;
    const layer = this.#layer;
    const list = this.#found().slice(0, this.#limit);
    const features = list.map((row) => row.feature).filter((feature) => this.#promotedBy(feature) === undefined);
    this.#promote.disabled = true;
    this.#status.textContent = "Reading decoder rows and the unembedding…";
    try {
      const found = await this.page.engine.call<"promotes">({ type: "promotes", subject, layer, features, top: TOP_TOKENS }, undefined, this.signal);
      features.forEach((feature, i) => this.#promoted.set(`${layer} ${feature}`, found[i] ?? []));
      this.#status.textContent = "Tokens whose logits a feature raises most: its decoder row through the final norm and the unembedding, with nothing in between.";
      void this.#loadLinks(true);
      this.#fill();
    } catch (reason) {
      if (this.signal.aborted) return;
      fill(this.#status, inWords("What features promote could not be computed", reason));
      this.#promote.disabled = false;
    }
  }

  async #loadLinks(quiet = false): Promise<void> {
    this.#lookUp.disabled = true;
    try {
      const models = await this.page.engine.call<"models">({ type: "models" }, undefined, this.signal);
      const model = models.find(({ name }) => name === this.run.manifest?.model.name);
      for (const sae of model?.saes ?? []) if (sae.neuronpedia !== undefined) this.#neuronpedia.set(sae.layer, sae.neuronpedia);
      this.#lookUp.hidden = true;
      if (!quiet) {
        this.#status.textContent =
          this.#neuronpedia.size === 0 ? "These SAEs are not known on Neuronpedia." : "Feature numbers now link to their pages on neuronpedia.org; nothing is sent there until you follow one.";
      }
      this.#fill();
    } catch (reason) {
      if (this.signal.aborted) return;
      if (!quiet) fill(this.#status, inWords("The list of known SAEs could not be read", reason));
      this.#lookUp.disabled = false;
    }
  }

  #select(next: number): void {
    this.#layer = next;
    const rows = align(this.sample, next);
    this.#rows = rows;
    this.#limit = STEP;
    const [ghosts, missing] = [rows.filter((row) => row.mark === "ghost").length, rows.filter((row) => row.mark === "missing").length];
    this.#counts.textContent =
      `Layer ${next}: ${activeIn(rows, "prompt").length} active in the prompt, ${activeIn(rows, "fact").length} in the fact, ` +
      `${activeIn(rows, "hall").length} in the hallucination; ${counted(ghosts, "ghost")} (only in the hallucination), ${missing} missing (only in the fact).`;
    this.#fill();
  }
}

function bar(value: number, most: number, kind: "prompt" | "fact" | "hall"): HTMLElement {
  const fillBar = h("span", { class: `bar ${kind}` });
  fillBar.style.width = `${(100 * value) / most}%`;
  return h("td", { role: "cell", class: "activation" }, h("span", { class: "track" }, fillBar), h("span", { class: "value" }, value === 0 ? "–" : number(value)));
}

function inWords(what: string, reason: unknown): string {
  const { message, hint } = asEngineError(reason);
  return `${what}: ${message}${hint === undefined ? "" : ` (${hint})`}`;
}
