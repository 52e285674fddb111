// The features of the three texts side by side, one layer at a time; what they promote, on request.

import { h } from "../../ui/dom";
import type { PageContext } from "../../state/context";
import { asEngineError } from "../../engine/client";
import { visible } from "../../ui/format";
import type { Run, SampleFeatures } from "../../data/run";
import { switcher } from "../../ui/controls";
import { count, number } from "../results/format";
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
  let layer = run.layers[0] ?? 0;
  let rows: Aligned[] = [];
  let filter: Filter = "all";
  let limit = STEP;
  const promoted = new Map<string, string[]>();
  const neuronpedia = new Map<number, string>();
  const subject = page.subject(run);

  const counts = h("p", { class: "caption", "data-test": "feature-counts" });
  // Roles in full: on a phone the rows are laid out as blocks.
  const body = h("tbody", { role: "rowgroup" });
  const promotesHead = h("th", { role: "columnheader", scope: "col", hidden: true }, "Promotes");
  const more = h("button", { type: "button", class: "small", onclick: () => ((limit += 2 * STEP), fill()) });
  const status = h("p", { class: "caption", role: "status" });
  const promote = h("button", { type: "button", class: "small", "data-test": "show-promotes", onclick: () => void loadPromotes() }, "What they promote");
  const lookUp = h("button", { type: "button", class: "small", "data-test": "neuronpedia", onclick: () => void loadLinks() }, "Link to Neuronpedia");

  function shown(): Aligned[] {
    const found = filter === "all" ? rows : rows.filter((row) => row.mark === filter);
    return found.slice(0, limit);
  }

  function fill(): void {
    const list = shown();
    const total = filter === "all" ? rows.length : rows.filter((row) => row.mark === filter).length;
    const most = Math.max(...rows.map((row) => Math.max(row.prompt, row.fact, row.hall)), 1e-9);
    const withPromoted = list.some((row) => promoted.has(`${layer} ${row.feature}`));
    promotesHead.hidden = !withPromoted;
    body.replaceChildren(...list.map((row) => line(row, most, withPromoted)));
    more.hidden = list.length >= total;
    more.textContent = `Show ${Math.min(2 * STEP, total - list.length)} more of ${total}`;
    promote.disabled = list.every((row) => promoted.has(`${layer} ${row.feature}`));
  }

  function line(row: Aligned, most: number, withPromoted: boolean): HTMLElement {
    const id = neuronpedia.get(layer);
    const name =
      id === undefined
        ? String(row.feature)
        : h("a", { href: `https://www.neuronpedia.org/${id}/${row.feature}`, rel: "noopener noreferrer", target: "_blank" }, String(row.feature));
    const words = { ghost: "ghost", missing: "missing", "": "" }[row.mark];
    return h(
      "tr",
      { role: "row", class: row.mark },
      h("th", { role: "rowheader", scope: "row" }, name),
      h("td", { role: "cell" }, words === "" ? null : h("span", { class: `mark ${row.mark}` }, words)),
      (["prompt", "fact", "hall"] as const).map((kind) => bar(row[kind], most, kind)),
      withPromoted ? h("td", { role: "cell", class: "promotes" }, (promoted.get(`${layer} ${row.feature}`) ?? []).map((token) => [h("span", { class: "token" }, visible(token)), " "])) : null,
    );
  }

  async function loadPromotes(): Promise<void> {
    if (subject === null) return;
    const wanted = shown().map((row) => row.feature).filter((feature) => !promoted.has(`${layer} ${feature}`));
    const at = layer;
    promote.disabled = true;
    status.textContent = "Reading decoder rows and the unembedding…";
    try {
      const found = await page.engine.call<"promotes">({ type: "promotes", subject, layer: at, features: wanted, top: TOP_TOKENS }, undefined, signal);
      wanted.forEach((feature, i) => promoted.set(`${at} ${feature}`, found[i] ?? []));
      status.textContent = "Tokens whose logits a feature raises most: its decoder row through the final norm and the unembedding, with nothing in between.";
      void loadLinks(true);
      fill();
    } catch (reason) {
      if (signal.aborted) return;
      status.textContent = inWords("What features promote could not be computed", reason);
      promote.disabled = false;
    }
  }

  async function loadLinks(quiet = false): Promise<void> {
    lookUp.disabled = true;
    try {
      const models = await page.engine.call<"models">({ type: "models" }, undefined, signal);
      const model = models.find(({ name }) => name === run.manifest?.model.name);
      for (const sae of model?.saes ?? []) if (sae.neuronpedia !== undefined) neuronpedia.set(sae.layer, sae.neuronpedia);
      lookUp.hidden = true;
      if (!quiet) {
        status.textContent =
          neuronpedia.size === 0 ? "These SAEs are not known on Neuronpedia." : "Feature numbers now link to their pages on neuronpedia.org; nothing is sent there until you follow one.";
      }
      fill();
    } catch (reason) {
      if (signal.aborted) return;
      if (!quiet) status.textContent = inWords("The list of known SAEs could not be read", reason);
      lookUp.disabled = false;
    }
  }

  function select(next: number): void {
    layer = next;
    rows = align(sample, layer);
    limit = STEP;
    const [ghosts, missing] = [rows.filter((row) => row.mark === "ghost").length, rows.filter((row) => row.mark === "missing").length];
    counts.textContent =
      `Layer ${layer}: ${activeIn(rows, "prompt").length} active in the prompt, ${activeIn(rows, "fact").length} in the fact, ` +
      `${activeIn(rows, "hall").length} in the hallucination; ${count(ghosts, "ghost")} (only in the hallucination), ${missing} missing (only in the fact).`;
    fill();
  }

  if (page.engine.state === "ready") void loadLinks(true);
  const element = h(
    "section",
    { class: "panel", "data-test": "sample-features", "aria-labelledby": "sample-features-title" },
    h(
      "header",
      null,
      h("h2", { id: "sample-features-title" }, "Active features"),
      h("div", { class: "panel-actions" }, subject === null ? null : promote, run.manifest === null ? null : lookUp),
    ),
    h("p", { class: "how" }, "Features at the last token of each text, strongest completion first; bars share one scale. Hold the three columns against each other: what only the hallucination has is a ghost, what it lacks is missing."),
    h(
      "div",
      { class: "controls" },
      run.layers.length < 2 ? null : switcher("Layer", "feature-layer", run.layers.map((l) => [String(l), `Layer ${l}`]), String(layer), (value) => {
            select(Number(value));
            layerChosen(layer);
          }),
      switcher<Filter>("Which features", "feature-filter", [["all", "All"], ["ghost", "Ghost"], ["missing", "Missing"]], filter, (value) => {
        filter = value;
        limit = STEP;
        fill();
      }),
    ),
    counts,
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "group", "aria-label": "Active features, scrollable" },
      h(
        "table",
        { role: "table", class: "data features", "data-test": "features-table" },
        h("caption", { class: "unseen" }, "Active features by text"),
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Feature", "Mark", "Prompt", "Fact", "Hallucination"].map((name) => h("th", { role: "columnheader", scope: "col" }, name)), promotesHead)),
        body,
      ),
    ),
    more,
    status,
  );
  select(layer);
  return element;
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
