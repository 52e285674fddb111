// The first features of a ranking: how strong, where, and what they promote.

import { fill, h } from "../../ui/dom";
import { short, visible } from "../../ui/format";
import { errorBox } from "../../ui/words";
import type { Promoted } from "./promoted";
import { activation, ofFeature, rankingInWords, strongestAt, type Ranking } from "./ranking";

/** Features shown at first, and how many more each time. */
const STEP = 24;

/** Address of a feature on Neuronpedia. */
export function neuronpedia(sae: string, feature: number): string {
  return `https://www.neuronpedia.org/${sae}/${feature}`;
}

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
  /** Whether what features promote is read without being asked; otherwise a button asks. */
  unasked: boolean;
  /** Reads what these features promote. */
  read(features: number[]): void;
  /** Colours the sentence by a feature. */
  pick(at: number): void;
}

/** Builds the list. */
export function featureList({ ranking, promoted, known, unasked, read, pick }: FeatureListOptions): FeatureList {
  const { layer, tokens, token, order } = ranking;
  const name = (at: number) => layer.features[at] ?? -1;
  const cells = new Map<number, HTMLElement>();
  const buttons = new Map<number, HTMLElement>();
  let pressed = -1;
  let asked = unasked;

  const body = h("tbody", { role: "rowgroup" });
  const status = h("p", { class: "muted small", role: "status", "data-test": "promotes-status" });
  const trouble = h("div", null);
  const more = h("button", { type: "button", onclick: () => grow() });
  const ask = h(
    "button",
    {
      type: "button",
      "data-test": "promotes",
      hidden: unasked,
      onclick: () => {
        asked = true;
        ask.hidden = true;
        want();
      },
    },
    "Read what they promote",
  );

  function row(at: number): HTMLElement {
    const strongest = strongestAt(ranking, at);
    const values = ofFeature(layer, at, tokens.length);
    const cell = h("td", { role: "cell", class: "promoted" });
    cells.set(at, cell);
    const button = h(
      "button",
      {
        type: "button",
        class: "quiet feature",
        "aria-pressed": String(at === pressed),
        "aria-label": `Feature ${name(at)}: colour the sentence by it`,
        title: "Colour the sentence by this feature",
        onclick: () => pick(at),
      },
      name(at),
    );
    buttons.set(at, button);
    return h(
      "tr",
      { role: "row", class: at === pressed ? "chosen" : null },
      h(
        "th",
        { role: "rowheader", scope: "row" },
        button,
        known === undefined
          ? null
          : h(
              "a",
              {
                class: "small",
                href: neuronpedia(known, name(at)),
                target: "_blank",
                rel: "noopener noreferrer",
                "aria-label": `Feature ${name(at)} on Neuronpedia`,
                title: "On Neuronpedia",
              },
              "↗",
            ),
      ),
      h("td", { role: "cell", class: "number" }, short(token === null ? (values[strongest] ?? 0) : activation(ranking, at, token))),
      h("td", { role: "cell" }, h("span", { class: "token" }, visible(tokens[strongest] ?? ""))),
      cell,
    );
  }

  function grow(): void {
    const from = body.children.length;
    body.append(...order.slice(from, from + STEP).map(row));
    const left = order.length - body.children.length;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(STEP, left)} more of ${order.length}`;
    want();
  }

  function want(): void {
    if (asked) read([...cells.keys()].map(name));
    update();
  }

  function update(): void {
    for (const [at, cell] of cells) {
      const words = promoted.of(layer.layer, name(at));
      const state = words ? "known" : promoted.error ? "failed" : asked ? "reading" : "unasked";
      if (cell.dataset.state === state) continue;
      cell.dataset.state = state;
      if (words) fill(cell, words.map((word) => [h("span", { class: "token" }, visible(word)), " "]));
      else cell.textContent = state === "reading" ? "…" : state === "failed" ? "not read" : "not asked for";
    }
    const { error, reading, received } = promoted;
    if (error) fill(trouble, errorBox(error, h("button", { type: "button", onclick: () => want() }, "Try again"), undefined, "h3"));
    else fill(trouble);
    const downloaded = received > 0 ? ` (${(received / 1e6).toFixed(1)} MB downloaded)` : "";
    status.textContent = error
      ? ""
      : reading
        ? `Reading the unembedding${downloaded}…`
        : asked
          ? "Promotes: the tokens whose logits the feature’s decoder row raises most, through the final norm and the unembedding."
          : "What features promote needs the unembedding, which this model’s first sentence did not read.";
  }

  grow();
  const heads = ["Feature", token === null ? "Largest" : `At ${visible(tokens[token] ?? "")}`, "Strongest at", "Promotes"];
  const element = h(
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
          body,
        ),
    trouble,
    h("div", { class: "actions" }, more, ask),
    status,
  );
  return {
    element,
    press(at) {
      buttons.get(pressed)?.setAttribute("aria-pressed", "false");
      buttons.get(pressed)?.closest("tr")?.classList.remove("chosen");
      pressed = at;
      buttons.get(at)?.setAttribute("aria-pressed", "true");
      buttons.get(at)?.closest("tr")?.classList.add("chosen");
    },
    update,
  };
}
