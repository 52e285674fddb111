// Reads catalog.json: what a page's host offers. Its shape is that of crate/protocol/catalog.rs.

import { failure, wordsOf } from "../engine/failure";
import type { Catalog, HostedRun } from "../generated/catalog";
import { flag, list, maybe, object, text } from "./shape";

const FILE = "catalog.json";
/** Larger than any host's list. */
const MOST_BYTES = 8e6;

const CATALOG = object<Catalog>({
  runs: list(object<HostedRun>({ name: text, title: text, url: text, calibrated: maybe(flag) })),
  default_run: maybe(text),
});

/** Reads a catalog, or says what is wrong with it. */
export function readCatalog(source: string): Catalog {
  try {
    if (source.length > MOST_BYTES) throw new Error(`expected at most ${MOST_BYTES.toLocaleString("en")} bytes, found ${source.length.toLocaleString("en")}`);
    const value: unknown = JSON.parse(source);
    CATALOG(value, "");
    return value as Catalog;
  } catch (reason) {
    throw failure("malformed", `${FILE}: ${wordsOf(reason)}`, "the host’s list of runs is damaged: tell whoever publishes it");
  }
}
