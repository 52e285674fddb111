// What features promote, asked of the engine behind everything else: once the page rests, one call for
// all that are missing, given up when others are wanted. What was read is kept as long as the model.

import type { EngineError, Subject } from "../../engine/protocol";
import type { EngineClient } from "../../engine/client";
import { asEngineError } from "../../engine/failure";

/** Tokens per feature. */
const TOP = 6;
/** A wish is asked for when none came after it for so long. */
const PAUSE = 150;

/** Emits `change` when something was read, or failed. */
export class Promoted extends EventTarget {
  /** Why the last call failed; null while nothing did. */
  error: EngineError | null = null;
  /** Bytes that the call under way has downloaded. */
  received = 0;

  #known = new Map<string, string[]>();
  #subject = "";
  #wanted: string[] = [];
  #turn = 0;
  #stop: AbortController | null = null;

  constructor(readonly engine: EngineClient) {
    super();
  }

  /** Whether something is waited for. */
  get reading(): boolean {
    return this.#wanted.length > 0;
  }

  /** The tokens that a feature promotes, likeliest first; undefined where they are not known (yet). */
  of(layer: number, feature: number): string[] | undefined {
    return this.#known.get(key(layer, feature));
  }

  /** Reads what is not known of these features. */
  want(subject: Subject, layer: number, features: number[]): void {
    const name = JSON.stringify(subject, (_, value: unknown) =>
      value instanceof File ? `${value.name} ${value.size} ${value.lastModified}` : value,
    );
    if (name !== this.#subject) {
      this.cancel();
      this.#known.clear();
      this.#subject = name;
    }
    const missing = features.filter((feature) => !this.#known.has(key(layer, feature)));
    if (missing.every((feature) => this.#wanted.includes(key(layer, feature)))) return;
    this.cancel();
    this.error = null;
    this.#wanted = missing.map((feature) => key(layer, feature));
    const mine = this.#turn;
    setTimeout(() => whenIdle(() => mine === this.#turn && void this.#read(subject, layer, missing)), PAUSE);
  }

  /** Gives up what is waited for: something else is more urgent, or nobody looks any more. */
  cancel(): void {
    this.#turn += 1;
    this.#stop?.abort();
    this.#stop = null;
    this.#wanted = [];
  }

  async #read(subject: Subject, layer: number, features: number[]): Promise<void> {
    const stop = (this.#stop = new AbortController());
    this.received = 0;
    try {
      const found = await this.engine.call<"promotes">(
        { type: "promotes", subject, layer, features, top: TOP },
        (event) => {
          if (event.type !== "download" || stop.signal.aborted) return;
          this.received = event.download.received;
          this.dispatchEvent(new Event("change"));
        },
        stop.signal,
      );
      if (stop.signal.aborted) return;
      features.forEach((feature, at) => this.#known.set(key(layer, feature), found[at] ?? []));
    } catch (reason) {
      if (stop.signal.aborted) return;
      this.error = asEngineError(reason);
    }
    this.#stop = null;
    this.#wanted = [];
    this.dispatchEvent(new Event("change"));
  }
}

function key(layer: number, feature: number): string {
  return `${layer} ${feature}`;
}

function whenIdle(job: () => void): void {
  if (typeof requestIdleCallback === "function") requestIdleCallback(job, { timeout: 300 });
  else job();
}
