// The view Set up: the form, and beside it what the run will cost. The engine is started when this
// view opens; only headers and the tokenizer are read until the run is started.

import type { DatasetInfo, EngineError, Setup } from "../../engine/protocol";
import type { PageContext } from "../../state/context";
import { fill, h } from "../../ui/dom";
import { Draft, dataOf, notInLink, setupOf, toQuery } from "../../state/draft";
import { asEngineError } from "../../engine/client";
import { enter, stateOf, type Shared } from "../../state/state";
import { dataPart } from "./data";
import { modelPart, needsToken } from "./model";
import { advancedPart, devicePart } from "./options";
import { planPanel, startLabel } from "./plan";
import { saesPart } from "./saes";

const PAUSE = 400;

function isError(value: DatasetInfo | EngineError): value is EngineError {
  return "kind" in value;
}

/** Builds the view. `ready` resolves when models and self-test are known; `start` begins the run. */
export function mountSetup(
  host: HTMLElement,
  page: PageContext,
  shared: Shared,
  draft: Draft,
  ready: () => Promise<boolean>,
  start: (setup: Setup, data: DatasetInfo) => void,
): void {
  const startButton = h("button", { class: "primary", "data-test": "start-run", disabled: true }, "Start");
  const shareButton = h("button", { "data-test": "copy-link", onclick: () => void copyLink() }, "Copy link");
  const plan = planPanel(startButton, shareButton);
  const linkNote = h("p", { class: "muted small", role: "status" });
  plan.element.append(linkNote);
  const data = dataPart(draft);

  fill(
    host,
    h(
      "div",
      { class: "view" },
      h("h1", null, "Set up a run"),
      h(
        "p",
        { class: "muted" },
        "Choose a model with its SAEs and a set of triples. Nothing but headers and the tokenizer is downloaded before you press Start; texts stay on this machine.",
      ),
      h(
        "div",
        { class: "setup" },
        h(
          "form",
          { class: "stack", onsubmit: (event: Event) => event.preventDefault() },
          modelPart(draft, shared),
          saesPart(draft),
          data.element,
          devicePart(draft, shared),
          advancedPart(draft),
        ),
        plan.element,
      ),
    ),
  );

  let setup: Setup | null = null;
  let dataset: DatasetInfo | null = null;
  // What the data set was read from, so that it is read once.
  let readKey = "";
  let plannedKey = "";
  let turn = 0;
  let timer = 0;
  let stop: AbortController | null = null;

  startButton.addEventListener("click", () => {
    if (setup && dataset) start(setup, dataset);
  });

  function dataKey(): string {
    const { dataKind, paste, upload } = draft.fields;
    if (dataKind === "paste") return JSON.stringify(paste);
    return dataKind === "upload" ? `file ${upload?.name} ${upload?.bytes.length} ${uploads.get(upload?.bytes)}` : "builtin";
  }
  const uploads = new Numbers();

  function planKey(): string {
    const { files, saes, token } = draft.fields;
    const names = [files, ...saes.map((line) => line.files)].map((list) => list.map((file) => `${file.name} ${file.size}`));
    return JSON.stringify([toQuery(draft.fields), names, token, dataKey()]);
  }

  async function readData(mine: number): Promise<boolean> {
    const key = dataKey();
    if (key === readKey) return dataset !== null && dataset.samples.length > 0;
    dataset = null;
    let outcome: DatasetInfo | EngineError;
    try {
      outcome = await page.engine.call<"dataset">({ type: "dataset", data: dataOf(draft.fields) });
    } catch (reason) {
      outcome = asEngineError(reason);
    }
    if (mine !== turn) return false;
    readKey = key;
    data.show(outcome);
    if (isError(outcome)) {
      enter("bad-data");
      return false;
    }
    dataset = outcome;
    enter(outcome.samples.length ? "ready" : "bad-data");
    return outcome.samples.length > 0;
  }

  function block(state: Parameters<typeof plan.show>[0]): void {
    plan.show(state);
    setup = null;
    startButton.disabled = true;
    startButton.textContent = "Start";
  }

  async function consider(): Promise<void> {
    const mine = ++turn;
    stop?.abort();
    plannedKey = planKey();
    block({ kind: "waiting", text: "Waiting for the engine and its self-test" });
    if (!(await ready()) || mine !== turn) {
      if (mine === turn) block({ kind: "missing", text: "The engine is not running; see above" });
      return;
    }
    try {
      dataOf(draft.fields);
    } catch (reason) {
      data.show(null);
      readKey = "";
      block({ kind: "missing", text: (reason as Error).message });
      return;
    }
    plan.show({ kind: "waiting", text: "Reading the data" });
    if (!(await readData(mine)) || mine !== turn) {
      if (mine === turn) block({ kind: "missing", text: "The data has no row that can be used" });
      return;
    }
    let candidate: Setup;
    try {
      candidate = setupOf(draft.fields);
    } catch (reason) {
      block({ kind: "missing", text: (reason as Error).message });
      return;
    }
    if (needsToken(draft, shared.models)) {
      block({ kind: "gated" });
      enter("gated");
      return;
    }
    block({ kind: "waiting", text: "Reading headers to see what the run needs" });
    stop = new AbortController();
    try {
      const found = await page.engine.call<"plan">({ type: "plan", setup: candidate }, undefined, stop.signal);
      if (mine !== turn) return;
      plan.show({ kind: "plan", plan: found });
      setup = candidate;
      startButton.textContent = startLabel(found);
      startButton.disabled = false;
      enter("ready");
    } catch (reason) {
      const error = asEngineError(reason);
      if (mine !== turn || error.kind === "cancelled") return;
      block({ kind: "error", error });
      enter(stateOf(error));
    }
  }

  draft.addEventListener("change", () => {
    if (planKey() === plannedKey) return;
    // A plan under way is of what the form no longer says: it must not enable the button.
    turn += 1;
    stop?.abort();
    startButton.disabled = true;
    clearTimeout(timer);
    timer = setTimeout(() => void consider(), PAUSE);
  });

  async function copyLink(): Promise<void> {
    const link = new URL(location.href);
    draft.link = toQuery(draft.fields);
    link.hash = `#/setup?${draft.link}`;
    history.replaceState(null, "", link);
    const missing = notInLink(draft.fields);
    const without = missing.length ? ` Not in it: ${missing.join(", ")}.` : "";
    let said = "Link copied.";
    try {
      await navigator.clipboard.writeText(link.href);
    } catch {
      said = "The browser does not let this page copy; the link is in the address bar.";
    }
    linkNote.textContent = said + without;
  }

  void consider();
}

/** Gives each object a number, to tell two uploads of one name and size apart. */
class Numbers {
  #numbers = new WeakMap<object, number>();
  #next = 1;

  get(value: object | undefined): number {
    if (!value) return 0;
    const known = this.#numbers.get(value);
    if (known) return known;
    this.#numbers.set(value, this.#next);
    return this.#next++;
  }
}
