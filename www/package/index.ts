// The npm package `saescope`: the engine for a page of one's own. www/package/README.md is its page.

import { EngineClient, type RunEvent } from "../engine/client";
import type { DataChoice, ModelChoice, RunFiles, SaeAt, Sample, Setup } from "../engine/protocol";

export { EngineClient, type EngineState, type RunEvent } from "../engine/client";
export { EngineFailure } from "../engine/failure";
export type * from "../engine/protocol";

/** A triple; without an id it is called by its number. */
export type Triple = Pick<Sample, "prompt" | "fact" | "hallucination"> & Partial<Sample>;

/** What is asked of {@link analyze}; whatever is not said is as `saescope analyze` has it. */
export interface Asked extends Partial<Omit<Setup, "subject" | "data">> {
  model: ModelChoice;
  /** A known model brings its own. */
  saes?: SaeAt[];
  /** Triples, or a file's bytes; without it the built-in 200. */
  data?: Triple[] | DataChoice;
  /** Keep what is downloaded in the browser's private file system. */
  store?: boolean;
  /** The run's name. */
  runId?: string;
}

/** The engine that {@link analyze} asks: one worker for all calls, started by the first. */
export const engine = new EngineClient();

/** A run. Rejects with EngineFailure: of kind `cancelled` where `signal` was aborted. */
export function analyze(asked: Asked, onEvent: (event: RunEvent) => void = () => undefined, signal?: AbortSignal): Promise<RunFiles> {
  const { model, saes = [], data, store = false, runId, ...more } = asked;
  const setup: Setup = {
    subject: { model, saes, store },
    data: chosen(data),
    device: "auto",
    precision: "f32",
    noise: "relative:0.1",
    seed: 0,
    logprob: false,
    ...more,
  };
  const run_id = runId ?? new Date().toISOString();
  return engine.analyze({ type: "analyze", setup, run_id, asked: "" }, onEvent, signal ?? new AbortController().signal);
}

function chosen(data: Asked["data"]): DataChoice {
  if (data === undefined) return { kind: "builtin" };
  if (!Array.isArray(data)) return data;
  return { kind: "bytes", name: "triples.json", bytes: new TextEncoder().encode(JSON.stringify(data)) };
}
