// What is shown of a sentence: its tokens, the heat map, the features. One layer, one ranking and one
// chosen feature hold for all three.

import type { Explore } from "../../engine/protocol";
import { fill, h } from "../../ui/dom";
import { visible } from "../../ui/format";
import { featureList, type FeatureList } from "./features";
import { heatmap, type HeatMap } from "./heatmap";
import type { Promoted } from "./promoted";
import { firstTokenNote, ofFeature, rank, type LayerFeatures } from "./ranking";
import { sentenceLine } from "./sentence";

export interface PanesOptions {
  found: Explore;
  /** The layer to open, where it is there. */
  layer: number | null;
  neuronpedia(layer: number): string | undefined;
  label(layer: number, feature: number): string | null;
  promoted: Promoted;
  /** Whether what features promote is read without being asked. */
  unasked: boolean;
  read(layer: number, features: number[]): void;
  opened(layer: number): void;
  say(text: string): void;
}

export interface Panes {
  /** Goes below the form. */
  sentence: HTMLElement;
  /** Heat map and features. */
  elements: HTMLElement[];
  /** Writes what is known by now of what features promote. */
  update(): void;
  destroy(): void;
}

/** Builds them. */
export function panes(options: PanesOptions): Panes {
  const { found, promoted, say } = options;
  const { tokens, layers } = found;
  let layer = layers.find((one) => one.layer === options.layer) ?? layers[Math.floor(layers.length / 2)];
  let token: number | null = null;
  let map: HeatMap | null = null;
  let list: FeatureList | null = null;

  const line = sentenceLine(tokens, choose);
  const caption = h("p", { class: "muted small", "data-test": "explore-caption" });
  const note = h("p", { class: "muted small", "data-test": "first-token" });
  const whole = h("button", { type: "button", class: "small", hidden: true, "data-test": "rank-whole", onclick: () => choose(null) }, "Rank by the whole sentence");
  const mapPane = h("section", { class: "panel", "data-test": "explore-heatmap", "aria-labelledby": "explore-heatmap-title" });
  const listPane = h("div", { class: "pane" });
  const choices = layers.map((one) =>
    h(
      "label",
      { class: "tick" },
      h("input", { type: "radio", name: "explore-layer", checked: one === layer, onchange: () => open(one) }),
      h("span", null, `Layer ${one.layer}`),
    ),
  );
  const sentence = h(
    "div",
    { class: "stack", "data-test": "explore-sentence" },
    h("fieldset", { class: "ticks plain" }, h("legend", { class: "unseen" }, "Layer"), choices),
    line.element,
    caption,
    whole,
    note,
  );

  function open(next: LayerFeatures | undefined): void {
    if (!next) return;
    layer = next;
    options.opened(next.layer);
    const text = firstTokenNote(tokens, next);
    note.textContent = text;
    note.hidden = text === "";
    draw();
  }

  /** Ranks by a token, or with null by the whole sentence. */
  function choose(next: number | null): void {
    if (whole === document.activeElement && next === null) line.element.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
    token = next;
    draw();
    say(next === null ? "Features are ranked by the whole sentence." : `Features are ranked by their activation at “${visible(tokens[next] ?? "")}”.`);
  }

  function pick(at: number): void {
    if (!layer) return;
    line.paint(ofFeature(layer, at, tokens.length));
    list?.press(at);
    caption.textContent = `Coloured by feature ${layer.features[at]}. Choose a token to rank the features by it.`;
  }

  function draw(): void {
    if (!layer) return;
    const { layer: number } = layer;
    // The grid is built anew: the keys go on from where they were.
    const focused = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>(".heat [data-row]");
    const from = focused && mapPane.contains(focused) ? focused.dataset.row : undefined;
    const ranking = rank(layer, tokens, token);
    map?.destroy();
    map = heatmap(ranking, pick, (row) => choose(row === token ? null : row));
    list = featureList({
      ranking,
      promoted,
      known: options.neuronpedia(number),
      label: (feature) => options.label(number, feature),
      unasked: options.unasked,
      read: (features) => options.read(number, features),
      pick,
    });
    fill(mapPane, h("h2", { id: "explore-heatmap-title" }, `Activations at layer ${number}`), map.element);
    fill(listPane, list.element);
    line.press(token);
    whole.hidden = token === null;
    const first = ranking.order[0];
    if (first === undefined) {
      line.paint([]);
      caption.textContent = layer.features.length ? "No feature is active at this token." : "No feature is active at this layer.";
    } else pick(first);
    if (from !== undefined) mapPane.querySelector<HTMLElement>(`[data-row="${from}"][data-column="0"]`)?.focus();
  }

  open(layer);
  return { sentence, elements: [mapPane, listPane], update: () => list?.update(), destroy: () => map?.destroy() };
}
