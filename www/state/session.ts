// One run, from start to its files: what it was asked, how far it is, what is kept when it breaks.

import type { DatasetInfo, DeviceChoice, Download, EngineError, Progress, RunFiles, Setup, UnfinishedRun } from "../engine/protocol";
import type { EngineClient } from "../engine/client";
import type { Crew } from "../engine/pool";
import { asEngineError } from "../engine/failure";
import { keep } from "./asked";
import { enter, holdState, stateOf } from "./state";

export type Phase = "idle" | "starting" | "downloading" | "running" | "finished" | "cancelled" | "broken";

function runId(date: Date): string {
  return date.toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "_");
}

/** The page's one run. Emits `change` at every step, `partial` with fresh rows, `finished` at the end;
 *  the page's state is `finished` once its results are shown. */
export class RunSession extends EventTarget {
  phase: Phase = "idle";
  setup: Setup | null = null;
  /** The data set as read, for the samples' texts. */
  dataset: DatasetInfo | null = null;
  runId = "";
  /** File → its download, in the order they began. */
  downloads = new Map<string, Download>();
  received = 0;
  progress: Progress | null = null;
  /** The workers of a run that several measure. */
  crew: Crew | null = null;
  /** What the engine said of how it goes on. */
  notes: string[] = [];
  /** Samples that a broken run keeps. */
  kept = 0;
  /** Most bytes seen in GPU buffers over all attempts. */
  gpuPeak = 0;
  error: EngineError | null = null;
  partial: Uint8Array | null = null;
  files: RunFiles | null = null;
  attempts = 0;

  #stop: AbortController | null = null;

  constructor(readonly engine: EngineClient) {
    super();
  }

  get active(): boolean {
    return this.phase === "starting" || this.phase === "downloading" || this.phase === "running";
  }

  /** Begins a new run; what an earlier one kept is let go. */
  start(setup: Setup, dataset: DatasetInfo | null): void {
    if (this.active) return;
    // a storage that cannot let it go offers it again
    if (this.kept && this.phase !== "finished") void this.engine.call<"discard">({ type: "discard", run_id: this.runId }).catch(() => undefined);
    this.#take(setup, dataset, runId(new Date()));
    void this.#attempt(setup);
  }

  /** Goes on with a run of an earlier visit. */
  takeUp(run: UnfinishedRun, setup: Setup, dataset: DatasetInfo): void {
    if (this.active) return;
    this.#take(setup, dataset, run.run_id);
    this.kept = run.samples_done;
    this.attempts = 1;
    void this.#attempt(setup);
  }

  #take(setup: Setup, dataset: DatasetInfo | null, id: string): void {
    this.setup = setup;
    this.dataset = dataset;
    this.runId = id;
    this.kept = 0;
    this.gpuPeak = 0;
    this.attempts = 0;
    this.partial = null;
  }

  /** Goes on where a cancelled or broken run stopped, on another device if one is named. */
  resume(device?: DeviceChoice): void {
    if (this.active || !this.setup) return;
    this.setup = { ...this.setup, ...(device ? { device } : {}) };
    void this.#attempt(this.setup);
  }

  /** Asks the engine to stop; the finished samples stay. */
  cancel(): void {
    this.#stop?.abort();
  }

  async #attempt(setup: Setup): Promise<void> {
    this.attempts += 1;
    this.error = null;
    this.files = null;
    this.progress = null;
    this.crew = null;
    this.notes = [];
    this.downloads = new Map();
    this.received = 0;
    this.#stop = new AbortController();
    this.#become("starting");
    enter("running");
    try {
      // What the engine has measured under this name is in the browser's storage: it goes on from there.
      const request = { type: "analyze" as const, setup, run_id: this.runId, asked: keep(setup) };
      const files = await this.engine.analyze(
        request,
        (event) => {
          if (event.type === "download") this.#download(event.download);
          else if (event.type === "progress") this.#step(event.progress);
          else if (event.type === "crew") {
            this.crew = event.crew;
            this.#become(this.phase);
          } else if (event.type === "note") {
            this.notes.push(event.note);
            this.#become(this.phase);
          } else {
            this.kept = event.partial.samples_done;
            this.partial = event.partial.metrics;
            this.dispatchEvent(new Event("partial"));
          }
        },
        this.#stop.signal,
      );
      this.files = files;
      this.gpuPeak = Math.max(this.gpuPeak, files.memory.gpu_peak);
      performance.mark("saescope-run-finished");
      this.#become("finished");
      this.dispatchEvent(new Event("finished"));
    } catch (reason) {
      this.error = asEngineError(reason);
      this.#become(this.error.kind === "cancelled" ? "cancelled" : "broken");
      enter(stateOf(this.error));
    } finally {
      this.#stop = null;
    }
  }

  #download(download: Download): void {
    // The host's list of files is the page's own matter, not the model's.
    if (download.file === "catalog.json") return;
    this.downloads.set(download.file, download);
    this.received = download.received;
    if (this.phase === "starting") {
      enter("downloading");
      this.#become("downloading");
    } else this.#become(this.phase);
  }

  #step(progress: Progress): void {
    this.progress = progress;
    this.gpuPeak = Math.max(this.gpuPeak, progress.memory.gpu_peak);
    if (this.phase !== "running") enter("running");
    this.#become("running");
  }

  #become(phase: Phase): void {
    this.phase = phase;
    holdState(this.active);
    this.dispatchEvent(new Event("change"));
  }
}
