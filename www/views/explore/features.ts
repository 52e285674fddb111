// The first features of a ranking: how strong, where, and what they promote.

import { neuronpediaPages } from "../../data/words";
import { shown } from "../../foreign";
import { fill, h } from "../../ui/dom";
import { short, visible } from "../../ui/format";
import { errorBox } from "../../ui/words";
import type { Promoted } from "./promoted";
import { activation, ofFeature, rankingInWords, strongestAt, type Ranking } from "./ranking";

/** Features shown at first, and how many more each time. */
const STEP = 24;

export interface FeatureList {
  element: HTMLElement;
  /** Shows which feature colours the sentence. */
  press(at: number): void;
  /** Writes what is known by now of what the features promote. */
  update(): void;
}

export interface FeatureListOptions {
  ranking: Ranking;
  promoted: Promoted;
  /** The SAE's name on Neuronpedia, where it has one. */
  known: string | undefined;
  /** What a feature is said to stand for, by the user's file; null where that does not say. */
  label(feature: number): string | null;
  /** Whether what features promote is read without being asked; otherwise a button asks. */
  unasked: boolean;
  /** Reads what these features promote. */
  read(features: number[]): void;
  /** Colours the sentence by a feature. */
  pick(at: number): void;
}

/** Builds the list. */
export function featureList(options: FeatureListOptions): FeatureList {
  return new List(options);
}

class List implements FeatureList {
  readonly element: HTMLElement;

  #options: FeatureListOptions;
  /** By the feature's place in the layer: where its tokens go, and what chooses it. */
  #cells = new Map<number, HTMLElement>();
  #buttons = new Map<number, HTMLElement>();
  #labels = new Map<number, string | null>();
  #pressed = -1;
  #asked: boolean;
  #body = h("tbody", { role: "rowgroup" });
  #status = h("p", { class: "muted small", role: "status", "data-test": "promotes-status" });
  #trouble = h("div", null);
  #more = h("button", { type: "button", onclick: () => this.#grow() });

  constructor(options: FeatureListOptions) {
    this.#options = options;
    this.#asked = options.unasked;
    this.#grow();
    this.element = this.#section();
  }

  press(at: number): void {
    this.#buttons.get(this.#pressed)?.setAttribute("aria-pressed", "false");
    this.#buttons.get(this.#pressed)?.closest("tr")?.classList.remove("chosen");
    this.#pressed = at;
    this.#buttons.get(at)?.setAttribute("aria-pressed", "true");
    this.#buttons.get(at)?.closest("tr")?.classList.add("chosen");
  }

  update(): void {
    const { promoted, ranking } = this.#options;
    for (const [at, cell] of this.#cells) {
      const words = promoted.of(ranking.layer.layer, this.#name(at));
      const state = words ? "known" : promoted.error ? "failed" : this.#asked ? "reading" : "unasked";
      const label = this.#options.label(this.#name(at));
      if (cell.dataset.state === state && this.#labels.get(at) === label) continue;
      cell.dataset.state = state;
      this.#labels.set(at, label);
      if (words) fill(cell, words.map((word) => [h("span", { class: "token" }, visible(word)), " "]));
      else cell.textContent = state === "reading" ? "…" : state === "failed" ? "not read" : "not asked for";
      if (label !== null) cell.append(h("p", { class: "said", "data-test": "feature-label" }, shown(label)));
    }
    const { error, reading, received } = promoted;
    if (error) fill(this.#trouble, errorBox(error, h("button", { type: "button", onclick: () => this.#want() }, "Try again"), undefined, "h3"));
    else fill(this.#trouble);
    const downloaded = received > 0 ? ` (${(received / 1e6).toFixed(1)} MB downloaded)` : "";
    this.#status.textContent = error
      ? ""
      : reading
        ? `Reading the unembedding${downloaded}…`
        : this.#asked
          ? "Promotes: the tokens whose logits the feature’s decoder row raises most, through the final norm and the unembedding."
          : "What features promote needs the unembedding, which this model’s first sentence did not read.";
  }

  #name(at: number): number {
    return this.#options.ranking.layer.features[at] ?? -1;
  }

  #section(): HTMLElement {
    const { ranking } = this.#options;
    const { layer, tokens, token, order } = ranking;
    const heads = ["Feature", token === null ? "Largest" : `At ${visible(tokens[token] ?? "")}`, "Strongest at", "Promotes"];
    return h(
      "section",
      { class: "panel", "data-test": "explore-features", "aria-labelledby": "explore-features-title" },
      h("h2", { id: "explore-features-title" }, "Strongest features"),
      h("p", { class: "muted small", "data-test": "explore-ranking" }, rankingInWords(ranking)),
      order.length === 0
        ? h("p", { class: "muted" }, "No feature is active here.")
        : h(
            "table",
            // Roles in full: on a phone the rows are laid out as blocks.
            { role: "table", class: "strongest", "data-test": "features-ranked" },
            h("caption", { class: "unseen" }, `Strongest features at layer ${layer.layer}`),
            h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((text, i) => h("th", { role: "columnheader", scope: "col", class: i === 1 && "number" }, text)))),
            this.#body,
          ),
      this.#trouble,
      h("div", { class: "actions" }, this.#more, this.#ask()),
      this.#status,
    );
  }

  /** The button that asks what features promote, where that is not read by itself. */
  #ask(): HTMLElement {
    const ask = h(
      "button",
      {
        type: "button",
        "data-test": "promotes",
        hidden: this.#asked,
        onclick: () => {
          this.#asked = true;
          ask.hidden = true;
          this.#want();
        },
      },
      "Read what they promote",
    );
    return ask;
  }

  #row(at: number): HTMLElement {
    const { ranking, known, pick } = this.#options;
    const { layer, tokens, token } = ranking;
    const name = this.#name(at);
    const strongest = strongestAt(ranking, at);
    const values = ofFeature(layer, at, tokens.length);
    const cell = h("td", { role: "cell", class: "promoted" });
    this.#cells.set(at, cell);
    const button = h(
      "button",
      {
        type: "button",
        class: "quiet feature",
        "aria-pressed": String(at === this.#pressed),
        "aria-label": `Feature ${name}: colour the sentence by it`,
        title: "Colour the sentence by this feature",
        onclick: () => pick(at),
      },
      name,
    );
    this.#buttons.set(at, button);
    return h(
      "tr",
      { role: "row", class: at === this.#pressed ? "chosen" : null },
      h("th", { role: "rowheader", scope: "row" }, button, known === undefined ? null : linkTo(known, name)),
      h("td", { role: "cell", class: "number" }, short(token === null ? (values[strongest] ?? 0) : activation(ranking, at, token))),
      h("td", { role: "cell" }, h("span", { class: "token" }, visible(tokens[strongest] ?? ""))),
      cell,
    );
  }

  #grow(): void {
    const { order } = this.#options.ranking;
    const from = this.#body.children.length;
    this.#body.append(...order.slice(from, from + STEP).map((at) => this.#row(at)));
    const left = order.length - this.#body.children.length;
    this.#more.hidden = left <= 0;
    this.#more.textContent = `Show ${Math.min(STEP, left)} more of ${order.length}`;
    this.#want();
  }

  #want(): void {
    if (this.#asked) this.#options.read([...this.#cells.keys()].map((at) => this.#name(at)));
    this.update();
  }
}

function linkTo(sae: string, feature: number): HTMLElement {
  return h(
    "a",
    {
      class: "small",
      href: `${neuronpediaPages(sae)}${feature}`,
      target: "_blank",
      rel: "noopener noreferrer",
      "aria-label": `Feature ${feature} on Neuronpedia`,
      title: "On Neuronpedia",
    },
    "↗",
  );
}
