// The three texts of a sample, in words and, on request, in the model's own tokens.

import { fill, h } from "../../ui/dom";
import type { PageContext } from "../../state/context";
import { asEngineError } from "../../engine/failure";
import { visible } from "../../ui/format";
import type { Run } from "../../data/run";
import type { Sample, Tokens } from "../../engine/protocol";

const NAMES = { prompt: "Prompt", fact: "Fact", hall: "Hallucination" } as const;
type Kind = keyof typeof NAMES;

/** The section; `signal` ends its calls when the sample is left. */
export function textsSection(run: Run, row: number, texts: Sample | null, page: PageContext, signal: AbortSignal): HTMLElement {
  const counts = (kind: Kind) => run.metrics.number(`n_tokens_${kind}`, row);
  const tokenCount = (kind: Kind) => (Number.isFinite(counts(kind)) ? `${counts(kind)} tokens` : "");
  if (texts === null) {
    return h(
      "section",
      { class: "panel", "data-test": "sample-texts", "aria-labelledby": "sample-texts-title" },
      h("h2", { id: "sample-texts-title" }, "Texts"),
      h("p", { class: "how" }, "A run’s files hold numbers, not texts, and this sample is not in the data set that is open. Open the data set in Set up to see its texts here."),
      h("ul", { class: "plain-list" }, (Object.keys(NAMES) as Kind[]).map((kind) => h("li", null, `${NAMES[kind]}: ${tokenCount(kind)}`))),
    );
  }
  const whole: Record<Kind, string> = {
    prompt: texts.prompt,
    fact: `${texts.prompt} ${texts.fact}`,
    hall: `${texts.prompt} ${texts.hallucination}`,
  };
  const ending: Record<Kind, string> = { prompt: "", fact: texts.fact, hall: texts.hallucination };
  const lines = (Object.keys(NAMES) as Kind[]).map((kind) => ({
    kind,
    element: h(
      "p",
      { class: "text" },
      kind === "prompt" ? texts.prompt : [h("span", { class: "shared" }, `${texts.prompt} `), h("span", { class: kind }, ending[kind])],
    ),
  }));
  const status = h("p", { class: "caption", "data-test": "tokens-status" });
  const subject = page.subject(run);
  const button = h("button", { type: "button", class: "small", "data-test": "show-tokens", onclick: () => void load() }, "Show tokens");

  async function load(): Promise<void> {
    if (subject === null) return;
    button.disabled = true;
    status.textContent = "Reading the tokenizer…";
    try {
      const kinds = Object.keys(NAMES) as Kind[];
      const found = await page.engine.call<"tokens">({ type: "tokens", subject, texts: kinds.map((kind) => whole[kind]) }, undefined, signal);
      kinds.forEach((kind, i) => lines[i]?.element.replaceChildren(...chips(found[i], kind)));
      const differs = kinds.filter((kind, i) => Number.isFinite(counts(kind)) && found[i]?.ids.length !== counts(kind));
      status.textContent =
        differs.length === 0
          ? "Token counts equal the run’s."
          : `Token counts differ from the run’s for ${differs.map((kind) => NAMES[kind].toLowerCase()).join(", ")}: the run was made with another tokenizer or other texts.`;
      button.hidden = true;
    } catch (reason) {
      if (signal.aborted) return;
      const { message, hint } = asEngineError(reason);
      fill(status, `The tokens could not be read: ${message}${hint === undefined ? "" : ` (${hint})`}`);
      button.disabled = false;
    }
  }
  // With the engine already running the tokenizer is a small file; otherwise the user decides.
  if (subject !== null && page.engine.state === "ready") void load();

  return h(
    "section",
    { class: "panel", "data-test": "sample-texts", "aria-labelledby": "sample-texts-title" },
    h(
      "header",
      null,
      h("h2", { id: "sample-texts-title" }, "Texts"),
      subject === null ? null : h("div", { class: "panel-actions" }, button),
    ),
    h("dl", { class: "texts" }, lines.map(({ kind, element }) => h("div", null, h("dt", { class: kind }, NAMES[kind], h("small", null, tokenCount(kind))), h("dd", null, element)))),
    subject === null ? h("p", { class: "caption" }, "The model of this run is not among those that this page can load, so its tokens cannot be shown.") : status,
  );
}

function chips(tokens: Tokens | undefined, kind: Kind): HTMLElement[] {
  return (tokens?.texts ?? []).map((text, i) =>
    h("span", { class: `token ${kind}`, title: `token ${tokens?.ids[i] ?? "?"}` }, visible(text)),
  );
}
