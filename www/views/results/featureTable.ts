// Which features: stats_features.parquet as a table that can be sorted and searched, with what is known of each feature
// in words. It is read when it is nearly on the screen.

import { neuronpediaId, neuronpediaPages, type FeatureWords } from "../../data/words";
import type { Run } from "../../data/run";
import { asEngineError } from "../../engine/failure";
import { shown } from "../../foreign";
import { FEATURE_STATISTICS } from "../../generated/metrics";
import type { PageContext } from "../../state/context";
import { chooser } from "../../ui/controls";
import { fill, h, type Child } from "../../ui/dom";
import { text } from "../../ui/field";
import { counted, number, probability, signed, visible } from "../../ui/format";
import { labelsPicker } from "../../ui/labels";
import { errorBox } from "../../ui/words";
import type { Part } from "./calibrated";
import { featureLines, HOW, NO_WORDS, place, wordsKey, wordsOf, type FeatureLine } from "./featureLines";
import { ghostTable, ghostWords } from "./ghosts";
import { CONTROLS } from "./heldEqual";
import { whenNear } from "./near";
import { VERDICTS, verdictClass, verdictWord } from "./verdicts";

/** Rows at first, and how many more each time. */
const STEP = 30;
const TOP_TOKENS = 5;
/** Domains of a ghost that are named. */
const MOST_DOMAINS = 3;

/** A line with what is known of its feature in words. */
interface Row extends FeatureLine {
  words: FeatureWords;
}

interface Column {
  name: string;
  label: string;
  value(row: Row): number | string;
  cell(row: Row): Child;
  /** Its numbers stand at the right. */
  numeric: boolean;
  /** What a phone shows of them before it is asked for all. */
  first: boolean;
}

const numeric = (name: string, label: string, value: (row: Row) => number, form: (value: number) => string = number, first = false): Column => ({
  name, label, value, cell: (row) => form(value(row)), numeric: true, first,
});

const NUMBERS: Column[] = [
  numeric("n_fact", "Facts", (row) => row.fact),
  numeric("n_hall", "Halluc.", (row) => row.hall),
  numeric("n_ghost", "Ghost", (row) => row.ghost),
  numeric("n_missing", "Missing", (row) => row.missing),
  numeric("presence_q", "q, presence", (row) => row.presenceQ, probability),
  numeric("mean_fact", "Mean, fact", (row) => row.meanFact),
  numeric("mean_hall", "Mean, hall.", (row) => row.meanHall),
  numeric("ghost_activation", "Mean, ghost", (row) => row.meanGhost),
  numeric("cohens_dz", "d_z", (row) => row.dz, signed, true),
  numeric("q_value", "q", (row) => row.q, probability),
  numeric("length_adjusted_q", "q at equal", (row) => row.adjustedQ, probability, true),
];
/** Of a control beside length, by its place. */
const controlColumn = (i: number): Column => numeric(`${CONTROLS[i]!.name}_adjusted_q`, CONTROLS[i]!.head, (row) => row.controls[i]!.q, probability);
const VERDICT: Column = {
  name: "verdict", label: "Verdict", value: (row) => place(row.verdict), numeric: false, first: true,
  cell: (row) => h("span", { class: verdictClass(row.verdict), title: VERDICTS[row.verdict]?.meaning }, shown(verdictWord(row.verdict))),
};
const GHOST_IN: Column = {
  name: "ghost_domains", label: "Ghost in", value: (row) => row.ghostIn.length, numeric: false, first: false,
  cell: (row) => ghostWords(row.ghostIn, MOST_DOMAINS) || "–",
};
const PROMOTES: Column = {
  name: "promotes", label: "Promotes", value: (row) => row.words.promotes.join(" "), numeric: false, first: false,
  cell: (row) => (row.words.promotes.length === 0 ? "–" : row.words.promotes.map((token) => [h("span", { class: "token" }, visible(shown(token))), " "])),
};
const LABEL: Column = { name: "label", label: "Label", value: (row) => row.words.label ?? "", numeric: false, first: true, cell: (row) => shown(row.words.label ?? "–") };

/** Builds the part. `words` hears of what the user's labels and the engine say of the run's features. */
export function featurePart(page: PageContext): Part & { words(run: Run): Promise<Map<string, FeatureWords>> } {
  return new Section(page);
}

class Section implements Part {
  readonly element: HTMLElement;

  #run: Run | null = null;
  #read: Run | null = null;
  #lines: FeatureLine[] = [];
  /** What features promote, by layer and feature, as the engine found it. */
  #promoted = new Map<string, string[]>();
  #sort = { column: "", down: false };
  #layer = "";
  #verdict = "";
  #query = "";
  #limit = STEP;
  #stop: AbortController | null = null;
  #again: () => void;

  #findings = h("p", { "data-test": "features-words" });
  #controls = h("div", { class: "controls" });
  #head = h("tr", null);
  #body = h("tbody", null);
  #table = h(
    "table",
    { class: "data stats which", "data-test": "feature-table" },
    h("caption", { class: "unseen" }, "Features of stats_features.parquet over all samples; the column heads sort"),
    h("thead", null, this.#head),
    this.#body,
  );
  #found = h("p", { class: "caption", role: "status", "data-test": "features-found" });
  #more = h("button", { type: "button", class: "small", "data-test": "features-more", onclick: () => ((this.#limit += 2 * STEP), this.#fill()) });
  #promote = h("button", { type: "button", class: "small", "data-test": "features-promote", onclick: () => void this.#loadPromotes() }, "What they promote");
  #status = h("p", { class: "caption", role: "status" });
  #content = h("div", { class: "stack" });
  #widen = h(
    "button",
    {
      type: "button",
      class: "small widen",
      "aria-expanded": "false",
      onclick: () => {
        const all = this.#table.classList.toggle("all");
        this.#widen.setAttribute("aria-expanded", String(all));
        this.#widen.textContent = all ? "Fewer columns" : "All columns";
      },
    },
    "All columns",
  );

  constructor(readonly page: PageContext) {
    this.element = h(
      "section",
      { class: "panel wide", "data-test": "panel-features", "aria-labelledby": "panel-features-title" },
      h("header", null, h("h2", { id: "panel-features-title" }, "Which features"), h("div", { class: "panel-actions" }, this.#promote, this.#widen)),
      h("p", { class: "how" }, HOW),
      this.#content,
    );
    page.labels.addEventListener("change", () => this.#read !== null && this.#fill());
    this.#again = whenNear(this.element, () => this.#load());
  }

  show(run: Run): void {
    if (run === this.#run) return;
    this.clear();
    this.#run = run;
    this.element.hidden = run.partial;
    fill(this.#content, h("p", { class: "muted" }, run.hasFeatureStats ? "Reading the features…" : "This run was opened without stats_features.parquet, or an earlier version made it: saescope stats RUN writes the file."));
    this.#again();
  }

  redraw(): void {
    // nothing here is drawn in colours of its own
  }

  clear(): void {
    this.#stop?.abort();
    this.#stop = null;
    this.#run = this.#read = null;
    this.#lines = [];
    this.#promoted.clear();
    this.#sort = { column: "", down: false };
    this.#layer = this.#verdict = this.#query = "";
    this.#promote.hidden = true;
  }

  /** What is known in words of a run's compared features: for its report. */
  async words(run: Run): Promise<Map<string, FeatureWords>> {
    const table = await run.featureStats();
    const lines = table === null ? [] : featureLines(table);
    const known = lines.map((line): [string, FeatureWords] => [wordsKey(line.layer, line.feature), this.#wordsOf(run, line)]);
    return new Map(known.filter(([, { label, promotes }]) => label !== null || promotes.length > 0));
  }

  async #load(): Promise<void> {
    const run = this.#run;
    if (run === null || run === this.#read || !run.hasFeatureStats) return;
    this.#read = run;
    try {
      const table = await run.featureStats();
      if (run !== this.#run || table === null) return;
      this.#lines = featureLines(table);
      this.#limit = STEP;
      this.#promote.hidden = this.page.subject(run) === null || this.#lines.length === 0;
      fill(this.#findings, wordsOf(this.#lines));
      fill(this.#controls, this.#choices(run));
      const scroll = h("div", { class: "table-scroll tall", tabindex: 0, role: "group", "aria-label": "Features, scrollable" }, this.#table);
      fill(this.#content, this.#findings, this.#lines.length === 0 ? null : [this.#controls, scroll, this.#found, this.#more, this.#status], ghostTable(run), labelsPicker(this.page.labels));
      this.#fill();
    } catch (reason) {
      if (run !== this.#run) return;
      this.#read = null;
      fill(this.#content, errorBox(asEngineError(reason, "malformed"), null, "The table of features cannot be shown", "h3"));
    }
  }

  #choices(run: Run): Child[] {
    const there = [...new Set(this.#lines.map(({ verdict }) => verdict))].sort((a, b) => place(a) - place(b));
    const chosen = (set: (value: string) => void) => (value: string) => {
      set(value);
      this.#limit = STEP;
      this.#fill();
    };
    const search = text("", chosen((value) => (this.#query = value)), { type: "search", "data-test": "features-search", placeholder: "number or word" });
    return [
      h("label", { class: "chooser" }, h("span", null, "Search"), search),
      run.layers.length < 2 ? null : chooser("Layer", "features-layer", [["", "all"], ...run.layers.map((layer): [string, string] => [String(layer), String(layer)])], "", chosen((value) => (this.#layer = value))),
      // the value of an option is its place: a verdict may be called anything
      there.length < 2 ? null : chooser("Verdict", "features-verdict", [["", "all"], ...there.map((verdict, i): [string, string] => [String(i), verdictWord(verdict)])], "", chosen((value) => (this.#verdict = value === "" ? "" : (there[Number(value)] ?? "")))),
    ];
  }

  /** What is known of a feature in words. */
  #wordsOf(run: Run, line: FeatureLine): FeatureWords {
    const known = neuronpediaId(run.manifest, line.layer);
    const labelled = this.page.labels.of(known, line.layer);
    const pages = labelled ? labelled.pages : known === undefined ? null : neuronpediaPages(known);
    return {
      ...NO_WORDS,
      label: labelled?.labels.get(line.feature) ?? null,
      url: pages === null ? null : `${pages}${line.feature}`,
      promotes: this.#promoted.get(wordsKey(line.layer, line.feature)) ?? [],
    };
  }

  /** The rows that are asked for, in the order that is. */
  #rows(run: Run, columns: Column[]): Row[] {
    const query = this.#query.trim().toLowerCase();
    const rows = this.#lines
      .filter((line) => (this.#layer === "" || String(line.layer) === this.#layer) && (this.#verdict === "" || line.verdict === this.#verdict))
      .map((line): Row => ({ ...line, words: this.#wordsOf(run, line) }))
      .filter(({ feature, words }) => query === "" || (/^\d+$/.test(query) ? String(feature).startsWith(query) : false) || [words.label ?? "", ...words.promotes].some((word) => word.toLowerCase().includes(query)));
    const column = columns.find(({ name }) => name === this.#sort.column);
    return column === undefined ? rows : rows.sort((a, b) => order(column.value(a), column.value(b), this.#sort.down));
  }

  #fill(): void {
    const run = this.#run;
    if (run === null) return;
    const promotes = this.#promoted.size > 0;
    const labels = run.layers.some((layer) => this.page.labels.of(neuronpediaId(run.manifest, layer), layer) !== null);
    const columns = [
      ...(run.layers.length > 1 ? [numeric("layer", "Layer", (row) => row.layer, String, true)] : []),
      featureColumn(),
      ...NUMBERS,
      ...CONTROLS.flatMap((_, i) => (this.#lines.some((line) => line.controls[i]!.verdict !== "") ? [controlColumn(i)] : [])),
      ...(this.#lines.some(({ ghostIn }) => ghostIn.length > 0) ? [GHOST_IN] : []),
      VERDICT,
      ...(promotes ? [PROMOTES] : []),
      ...(labels ? [LABEL] : []),
    ];
    const rows = this.#rows(run, columns);
    this.#arrange(columns);
    this.#body.replaceChildren(...rows.slice(0, this.#limit).map((row) => line(columns, row)));
    this.#more.hidden = rows.length <= this.#limit;
    this.#more.textContent = `Show ${Math.min(2 * STEP, rows.length - this.#limit)} more of ${rows.length.toLocaleString("en")}`;
    this.#found.textContent = rows.length === this.#lines.length ? `${counted(rows.length, "feature")}.` : `${counted(rows.length, "feature")} of ${this.#lines.length.toLocaleString("en")}.`;
  }

  /** The heads; the same ones stay, and with them the focus. */
  #arrange(columns: Column[]): void {
    const known = [...this.#head.children].map((cell) => (cell as HTMLElement).dataset.column);
    if (known.join() !== columns.map(({ name }) => name).join()) {
      this.#head.replaceChildren(...columns.map((column) => this.#headOf(column)));
    }
    for (const cell of this.#head.children) {
      const active = (cell as HTMLElement).dataset.column === this.#sort.column;
      cell.setAttribute("aria-sort", active ? (this.#sort.down ? "descending" : "ascending") : "none");
    }
  }

  #headOf(column: Column): HTMLElement {
    const { name } = column;
    const sort = () => {
      this.#sort = { column: name, down: this.#sort.column === name ? !this.#sort.down : false };
      this.#fill();
    };
    return h("th", { scope: "col", "aria-sort": "none", "data-column": name, class: classOf(column) }, h("button", { type: "button", class: "sort", title: FEATURE_STATISTICS[name], onclick: sort }, column.label));
  }

  /** Asks the engine what the rows on the screen promote: one reading of the unembedding for each layer. */
  async #loadPromotes(): Promise<void> {
    const run = this.#run;
    const subject = run && this.page.subject(run);
    if (run === null || !subject) return;
    const stop = (this.#stop = new AbortController());
    this.#promote.disabled = true;
    try {
      fill(this.#status, "Starting the engine…");
      if (!(await this.page.ready())) throw new Error("the engine could not start; see above");
      const rows = this.#rows(run, []).slice(0, this.#limit).filter(({ layer, feature }) => !this.#promoted.has(wordsKey(layer, feature)));
      for (const layer of run.layers) {
        const features = rows.filter((row) => row.layer === layer).map(({ feature }) => feature);
        if (features.length === 0) continue;
        fill(this.#status, `Reading decoder rows of layer ${layer} and the unembedding…`);
        const found = await this.page.engine.call<"promotes">({ type: "promotes", subject, layer, features, top: TOP_TOKENS }, undefined, stop.signal);
        if (run !== this.#run) return;
        features.forEach((feature, i) => this.#promoted.set(wordsKey(layer, feature), found[i] ?? []));
      }
      fill(this.#status, "Promotes: the tokens whose logits a feature’s decoder row raises most, through the final norm and the unembedding, with nothing in between.");
      this.#fill();
    } catch (reason) {
      if (run !== this.#run) return;
      fill(this.#status, errorBox(asEngineError(reason), null, "What features promote could not be computed", "h3"));
    } finally {
      this.#promote.disabled = false;
    }
  }
}

/** The feature's number, with its page where that is known. */
function featureColumn(): Column {
  const cell = ({ feature, words }: Row): Child =>
    words.url === null ? String(feature) : h("a", { href: words.url, rel: "noopener noreferrer", target: "_blank", "aria-label": `Feature ${feature} on Neuronpedia` }, String(feature));
  return { name: "feature", label: "Feature", value: (row) => row.feature, cell, numeric: true, first: true };
}

function line(columns: Column[], row: Row): HTMLElement {
  const cells = columns.map((column) =>
    column.name === "feature" ? h("th", { scope: "row", class: classOf(column) }, column.cell(row)) : h("td", { class: classOf(column) }, column.cell(row)),
  );
  return h("tr", null, cells);
}

function classOf({ name, numeric: right, first }: Column): string {
  return `${right ? "number" : ""}${first ? "" : " more"} of-${name}`;
}

/** Ascending or descending; what is no number, or empty, comes last either way. */
function order(a: number | string, b: number | string, down: boolean): number {
  const none = (value: number | string) => value === "" || Number.isNaN(value);
  if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
  const ascending = typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b), "en") : a - b;
  return down ? -ascending : ascending;
}
