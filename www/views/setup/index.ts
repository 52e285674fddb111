// The view Set up: the form, and beside it what the run will cost. The engine is started when this
// view opens; only headers and the tokenizer are read until the run is started.

import type { DatasetInfo, EngineError, Setup } from "../../engine/protocol";
import type { PageContext } from "../../state/context";
import { fill, h } from "../../ui/dom";
import { Draft, dataOf, needsToken, notInLink, setupOf, toQuery } from "../../state/draft";
import { asEngineError } from "../../engine/failure";
import { enter, stateOf, type Shared } from "../../state/state";
import { dataPart } from "./data";
import { modelPart } from "./model";
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
  const begin = () => setup && reader.dataset && start(setup, reader.dataset);
  const startButton = h("button", { class: "primary", "data-test": "start-run", disabled: true, onclick: () => void begin() }, "Start");
  const link = linkButton(draft);
  const plan = planPanel(startButton, link.button);
  plan.element.append(link.note);
  const data = dataPart(draft);
  const parts = [modelPart(draft, shared), saesPart(draft), data.element, devicePart(draft, shared), advancedPart(draft)];
  fill(host, layout(parts, plan.element));

  const reader = new DataReader(page, draft, data.show);
  let setup: Setup | null = null;
  let plannedKey = "";
  let turn = 0;
  let timer = 0;
  let stop: AbortController | null = null;

  const planKey = () => keyOf(draft, reader);

  function block(state: Parameters<typeof plan.show>[0]): void {
    plan.show(state);
    setup = null;
    startButton.disabled = true;
    startButton.textContent = "Start";
  }

  /** The set-up that the form stands for, its data read; null where it is none, and the panel says why. */
  async function candidate(late: () => boolean): Promise<Setup | null> {
    const missing = (text: string): null => (block({ kind: "missing", text }), null);
    block({ kind: "waiting", text: "Waiting for the engine and its self-test" });
    const good = await ready();
    if (late()) return null;
    if (!good) return missing("The engine is not running; see above");
    try {
      dataOf(draft.fields);
    } catch (reason) {
      reader.forget();
      return missing((reason as Error).message);
    }
    plan.show({ kind: "waiting", text: "Reading the data" });
    const usable = await reader.read(late);
    if (late()) return null;
    if (!usable) return missing("The data has no row that can be used");
    try {
      const found = setupOf(draft.fields);
      if (!needsToken(draft, shared.models)) return found;
    } catch (reason) {
      return missing((reason as Error).message);
    }
    block({ kind: "gated" });
    enter("gated");
    return null;
  }

  async function consider(): Promise<void> {
    const mine = ++turn;
    const late = () => mine !== turn;
    stop?.abort();
    plannedKey = planKey();
    const asked = await candidate(late);
    if (!asked) return;
    block({ kind: "waiting", text: "Reading headers to see what the run needs" });
    stop = new AbortController();
    try {
      const found = await page.engine.call<"plan">({ type: "plan", setup: asked }, undefined, stop.signal);
      if (late()) return;
      plan.show({ kind: "plan", plan: found });
      setup = asked;
      startButton.textContent = startLabel(found);
      startButton.disabled = false;
      enter("ready");
    } catch (reason) {
      const error = asEngineError(reason);
      if (late() || error.kind === "cancelled") return;
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

  void consider();
}

/** Tells one plan from another. */
function keyOf({ fields }: Draft, reader: DataReader): string {
  const { files, saes, token } = fields;
  const names = [files, ...saes.map((line) => line.files)].map((list) => list.map((file) => `${file.name} ${file.size}`));
  return JSON.stringify([toQuery(fields), names, token, reader.key()]);
}

function layout(parts: HTMLElement[], plan: HTMLElement): HTMLElement {
  return h(
    "div",
    { class: "view" },
    h("h1", null, "Set up a run"),
    h(
      "p",
      { class: "muted" },
      "Choose a model with its SAEs and a set of triples. Nothing but headers and the tokenizer is downloaded before you press Start; texts stay on this machine.",
    ),
    h("div", { class: "setup" }, h("form", { class: "stack", onsubmit: (event: Event) => event.preventDefault() }, parts), plan),
  );
}

/** The button that copies the form's link, and where it says how that went. */
function linkButton(draft: Draft): { button: HTMLElement; note: HTMLElement } {
  const note = h("p", { class: "muted small", role: "status" });
  const copy = async () => {
    fill(note, await copyLink(draft));
  };
  return { button: h("button", { "data-test": "copy-link", onclick: () => void copy() }, "Copy link"), note };
}

/** Puts the form into the address and copies that; gives the words for how it went. */
async function copyLink(draft: Draft): Promise<string> {
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
  return said + without;
}

/** Has the engine read the data set, once for the same data. */
class DataReader {
  dataset: DatasetInfo | null = null;

  /** What the data set was read from. */
  #key = "";
  #uploads = new Numbers();

  constructor(
    readonly page: PageContext,
    readonly draft: Draft,
    readonly show: (outcome: DatasetInfo | EngineError | null) => void,
  ) {}

  /** Tells one data set from another. */
  key(): string {
    const { dataKind, paste, upload } = this.draft.fields;
    if (dataKind === "paste") return JSON.stringify(paste);
    return dataKind === "upload" ? `file ${upload?.name} ${upload?.bytes.length} ${this.#uploads.get(upload?.bytes)}` : "builtin";
  }

  /** The form names no data set. */
  forget(): void {
    this.show(null);
    this.#key = "";
  }

  /** Whether the form's data set has a row that can be used. One that is `late` shows nothing. */
  async read(late: () => boolean): Promise<boolean> {
    const key = this.key();
    if (key === this.#key) return this.dataset !== null && this.dataset.samples.length > 0;
    this.dataset = null;
    let outcome: DatasetInfo | EngineError;
    try {
      outcome = await this.page.engine.call<"dataset">({ type: "dataset", data: dataOf(this.draft.fields) });
    } catch (reason) {
      outcome = asEngineError(reason);
    }
    if (late()) return false;
    this.#key = key;
    this.show(outcome);
    if (isError(outcome)) {
      enter("bad-data");
      return false;
    }
    this.dataset = outcome;
    enter(outcome.samples.length ? "ready" : "bad-data");
    return outcome.samples.length > 0;
  }
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
