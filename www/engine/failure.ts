// Failures in the one shape that every part of the page and both workers have for them.

import { cut } from "../foreign";
import type { EngineError } from "./protocol";

/** Of a message: what a file says stands in it, too. */
const MOST_LETTERS = 2000;

/** What went wrong, thrown. `error.kind` tells what it was. */
export class EngineFailure extends Error {
  constructor(readonly error: EngineError) {
    super(error.message);
    this.name = "EngineFailure";
  }
}

/** A failure with what happened and one hint. */
export function failure(kind: EngineError["kind"], message: string, hint?: string): EngineFailure {
  const words = cut(message, MOST_LETTERS);
  return new EngineFailure(hint === undefined ? { kind, message: words } : { kind, message: words, hint });
}

/** Anything thrown as an error of that shape; `otherwise` is the kind of what is none. */
export function asEngineError(reason: unknown, otherwise: EngineError["kind"] = "crashed"): EngineError {
  if (reason instanceof EngineFailure) return reason.error;
  return { kind: otherwise, message: cut(reason instanceof Error ? reason.message : String(reason), MOST_LETTERS) };
}

/** The words of what was thrown, on one line: a parser quotes what it did not expect, line breaks too. */
export function wordsOf(reason: unknown): string {
  return (reason instanceof Error ? reason.message : String(reason)).replace(/\p{Cc}+/gu, " ");
}
