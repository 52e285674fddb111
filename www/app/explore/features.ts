// The layer's strongest features: how strong, where, what they promote, and where to read on.

import type { Explore } from "../../protocol";
import { fill, h } from "../dom";
import { short } from "../format";
import { errorBox } from "../words";
import { asEngineError } from "../engine";
import { visible } from "./heatmap";

type LayerFeatures = Explore["layers"][number];

/** Address of a feature on Neuronpedia. */
export function neuronpedia(sae: string, feature: number): string {
  return `https://www.neuronpedia.org/${sae}/${feature}`;
}

/** Builds the list. `promotes` asks for tokens per feature; `pick` shows a feature in the sentence. */
export function featureList(
  tokens: string[],
  layer: LayerFeatures,
  known: string | undefined,
  promotes: () => Promise<string[][]>,
  pick: (at: number) => void,
): HTMLElement {
  const promoted = layer.features.map(() => h("td", { class: "promoted muted" }, "–"));
  const rows = layer.features.map((feature, at) => {
    const values = [...layer.activations.subarray(at * tokens.length, (at + 1) * tokens.length)];
    let strongest = tokens.length > 1 ? 1 : 0;
    values.forEach((value, token) => {
      if (token > 0 && value > (values[strongest] ?? 0)) strongest = token;
    });
    const number = known
      ? h("a", { href: neuronpedia(known, feature), target: "_blank", rel: "noopener noreferrer" }, feature)
      : String(feature);
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, number),
      h("td", { class: "number" }, short(values[strongest] ?? 0)),
      h("td", null, h("span", { class: "token" }, visible(tokens[strongest] ?? ""))),
      promoted[at],
      h("td", null, h("button", { class: "quiet", onclick: () => pick(at), "aria-label": `Show feature ${feature} in the sentence` }, "Show")),
    );
  });

  const note = h("div");
  const ask = h(
    "button",
    {
      "data-test": "promotes",
      onclick: async () => {
        ask.disabled = true;
        ask.textContent = "Reading the unembedding…";
        try {
          const words = await promotes();
          words.forEach((list, at) => {
            const cell = promoted[at];
            if (!cell) return;
            cell.className = "promoted";
            fill(cell, list.map((token) => [h("span", { class: "token" }, visible(token)), " "]));
          });
          ask.hidden = true;
          fill(note);
        } catch (reason) {
          ask.disabled = false;
          ask.textContent = "What do they promote?";
          fill(note, errorBox(asEngineError(reason)));
        }
      },
    },
    "What do they promote?",
  );

  return h(
    "section",
    { class: "panel" },
    h("h2", null, "Strongest features"),
    h(
      "p",
      { class: "muted small" },
      "By the largest activation after the first token. What a feature promotes is its decoder row read through final norm and unembedding; that needs the unembedding once.",
    ),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Strongest features" },
      h(
        "table",
        { class: "strongest" },
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["Feature", "Activation", "Strongest at", "Promotes"].map((name) => h("th", { scope: "col" }, name)),
            h("th", { scope: "col" }, h("span", { class: "unseen" }, "In the sentence")),
          ),
        ),
        h("tbody", null, rows),
      ),
    ),
    note,
    h("div", { class: "actions" }, ask),
  );
}
