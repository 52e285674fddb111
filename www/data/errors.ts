// Failures of reading a run, in the shape that every error of the page has.

import type { EngineError } from "../engine/protocol";

/** Thrown inside the data worker; crosses to the page as its plain `error`. */
export class DataError extends Error {
  constructor(readonly error: EngineError) {
    super(error.message);
    this.name = "DataError";
  }
}

/** A failure with what happened and one hint. */
export function failure(kind: EngineError["kind"], message: string, hint?: string): DataError {
  return new DataError(hint === undefined ? { kind, message } : { kind, message, hint });
}

/** Anything thrown as an error in the page's shape. */
export function asError(reason: unknown): EngineError {
  if (reason instanceof DataError) return reason.error;
  return { kind: "malformed", message: reason instanceof Error ? reason.message : String(reason) };
}
