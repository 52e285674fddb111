// Does the instrument work here: the run's calibration where it has one, and the button that makes one.

import { readCalibration, shareable } from "../../data/calibration";
import { CALIBRATION, type Run } from "../../data/run";
import { asEngineError } from "../../engine/failure";
import type { CallEvent } from "../../engine/protocol";
import { save } from "../../export/save";
import type { PageContext } from "../../state/context";
import { fill, h, type Child } from "../../ui/dom";
import { tick } from "../../ui/field";
import { bytes, count, percent } from "../../ui/format";
import { errorBox, sentence } from "../../ui/words";
import { calibrationPanels, HOW, wordsOf } from "./calibration";
import { costOf } from "./cost";
import { whenNear } from "./near";
import { panel, type Panel, type PanelContext } from "./panel";

const TITLE = "Does the instrument work here";
/** Of everything that is drawn: as `saescope calibrate` has it where nobody says otherwise. */
const SEED = 0;

/** What is below the panels of a run. */
export interface Part {
  element: HTMLElement;
  show(run: Run): void;
  redraw(): void;
  clear(): void;
}

/** Builds the part. */
export function calibrationPart(page: PageContext, context: PanelContext): Part {
  return new Section(page, context);
}

class Section implements Part {
  readonly element: HTMLElement;

  #run: Run | null = null;
  #panels: Panel[] = [];
  #stop: AbortController | null = null;
  #withModel = true;
  /** The run whose calibration was looked for. */
  #asked: Run | null = null;
  #again: () => void;

  #actions = h("div", { class: "panel-actions" });
  #words = h("div", { "data-test": "calibration" });
  #form = h("div", { class: "stack calibrate", "data-test": "calibrate" });
  #plots = h("div", { class: "beside" });

  constructor(
    readonly page: PageContext,
    readonly context: PanelContext,
  ) {
    const section = h(
      "section",
      { class: "panel wide", "data-test": "panel-calibration", "aria-labelledby": "panel-calibration-title" },
      h("header", null, h("h2", { id: "panel-calibration-title" }, TITLE), this.#actions),
      h("p", { class: "how" }, HOW),
      this.#words,
      this.#form,
    );
    this.element = h("div", { class: "beside" }, section, this.#plots);
    this.#again = whenNear(section, () => this.#load());
  }

  show(run: Run): void {
    if (run === this.#run) return;
    this.clear();
    this.#run = run;
    this.element.hidden = run.partial || run.manifest === null;
    if (this.element.hidden) return;
    fill(this.#words, h("p", { class: "muted" }, "Looking for the run’s calibration…"));
    this.#again();
  }

  redraw(): void {
    for (const one of this.#panels) one.redraw();
  }

  clear(): void {
    this.#stop?.abort();
    this.#stop = null;
    this.#run = this.#asked = null;
    this.#put([]);
    fill(this.#actions);
    fill(this.#form);
  }

  /** Looks for the run's calibration, once it is nearly on the screen. */
  async #load(): Promise<void> {
    const run = this.#run;
    if (run === null || run === this.#asked || this.element.hidden) return;
    this.#asked = run;
    let text: string | null = null;
    try {
      text = await run.calibration();
    } catch (reason) {
      if (run === this.#run) this.#broken(run, reason);
      return;
    }
    if (run !== this.#run) return;
    if (text === null) {
      fill(this.#words, h("p", null, "Nobody has asked yet: this run has no calibration."));
      this.#offer(run, true);
    } else this.#show(run, text);
  }

  #show(run: Run, text: string): void {
    try {
      const read = readCalibration(text, run.manifest);
      fill(this.#words, h("ul", { class: "calibration" }, wordsOf(read).map((line) => h("li", null, line))));
      this.#put(calibrationPanels(read).map((spec) => panel(spec, this.context)));
      this.redraw();
      const give = () => save(new Blob([`${JSON.stringify(shareable(read), null, 2)}\n`], { type: "application/json" }), CALIBRATION);
      fill(this.#actions, h("button", { type: "button", class: "small", "data-test": "download-calibration", onclick: give }, CALIBRATION));
      this.#offer(run, false);
    } catch (reason) {
      this.#broken(run, reason);
    }
  }

  #put(panels: Panel[]): void {
    for (const one of this.#panels) one.destroy();
    this.#panels = panels;
    this.#plots.replaceChildren(...panels.map(({ element }) => element));
  }

  #broken(run: Run, reason: unknown): void {
    this.#put([]);
    fill(this.#actions);
    fill(this.#words, errorBox(asEngineError(reason, "malformed"), null, "The run’s calibration cannot be shown", "h3"));
    this.#offer(run, true);
  }

  /** The button that makes one, and what that costs; folded where there is one already. */
  #offer(run: Run, open: boolean): void {
    const available = this.page.calibrateWith(run) !== null;
    const cost = h("p", { "data-test": "calibrate-cost" });
    const say = () => fill(cost, costOf(run, available && this.#withModel));
    say();
    const choice = available
      ? tick("checkbox", "With the model: the length trap, the positive controls and the ceiling", this.#withModel, (on) => {
          this.#withModel = on;
          say();
        }, { "data-test": "calibrate-model" })
      : h("p", { class: "muted small" }, "The length trap, the positive controls and the ceiling need this run’s model, which is not at hand: choose it under ", h("a", { href: "#/setup" }, "Set up"), ".");
    const start = h("button", { type: "button", "data-test": "calibrate-start", onclick: () => void this.#calibrate(run) }, "Calibrate this run");
    const parts: Child[] = [cost, choice, h("div", { class: "actions" }, start)];
    fill(this.#form, open ? parts : h("details", null, h("summary", null, "Calibrate again"), h("div", { class: "stack" }, parts)));
  }

  async #calibrate(run: Run): Promise<void> {
    const stop = (this.#stop = new AbortController());
    const { signal } = stop;
    const status = h("p", { class: "muted small", "data-test": "calibrate-status" }, "Starting the engine…");
    const bar = h("progress", { max: 1, value: 0, "aria-label": "Calibration" });
    const cancel = h("button", { type: "button", "data-test": "calibrate-stop", onclick: () => stop.abort() }, "Stop");
    fill(this.#form, status, bar, h("div", { class: "actions" }, cancel));
    cancel.focus({ preventScroll: true });
    this.page.announce("The calibration has begun.");
    try {
      if (!(await this.page.ready())) throw new Error("the engine could not start; see above");
      const [metrics, manifest] = await Promise.all([run.file("metrics.parquet"), run.file("manifest.json")]);
      if (metrics === null || manifest === null) throw new Error("the run’s files are not at hand");
      const own = this.#withModel ? this.page.calibrateWith(run) : null;
      const request = {
        type: "calibrate" as const,
        metrics: new Uint8Array(await metrics.arrayBuffer()),
        manifest: await manifest.text(),
        seed: SEED,
        ...(own ? { with: own } : {}),
      };
      const text = await this.page.engine.calibrate(request, (event) => follow(event, status, bar), signal);
      run.keepCalibration(text);
      if (run !== this.#run) return;
      this.#stop = null;
      this.#show(run, text);
      this.page.announce("The calibration is finished.");
      this.#words.tabIndex = -1;
      this.#words.focus({ preventScroll: true });
    } catch (reason) {
      if (run !== this.#run) return;
      this.#stop = null;
      const error = asEngineError(reason);
      this.#offer(run, true);
      if (error.kind === "cancelled") {
        this.#form.prepend(h("p", { class: "muted", role: "status" }, "Stopped. Nothing of it was kept."));
      } else this.#form.prepend(errorBox(error, null, "The run could not be calibrated", "h3"));
      this.#form.querySelector<HTMLElement>('[data-test="calibrate-start"]')?.focus({ preventScroll: true });
    }
  }
}

/** Says how far it is: first the swaps, then what is read and measured of the model. */
function follow(event: CallEvent, status: HTMLElement, bar: HTMLProgressElement): void {
  switch (event.type) {
    case "swaps":
      bar.value = event.done / event.total;
      fill(status, `Swapping facts and hallucinations: ${percent(event.done / event.total)}`);
      break;
    case "download":
      bar.removeAttribute("value");
      fill(status, `Reading ${event.download.file}: ${bytes(event.download.received)} so far`);
      break;
    case "progress": {
      const { samples_done: done, samples_total: total, layer, layers } = event.progress;
      bar.value = total > 0 ? done / total : 0;
      const last = layer + 1 >= layers && done >= total;
      fill(status, last ? "Measured; fitting probes and comparing…" : `Measuring ${count(total)} pairs of texts: layer ${layer + 1} of ${layers}`);
      break;
    }
    case "note":
      fill(status, sentence(event.note));
      break;
  }
}
