// Data that take their time to measure.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { artifact, golden } from "./paths.mjs";

/**
 * The tiny llama's triples, `copies` times, each prompt long and none like another: what is measured of them takes
 * long beside what is compared of them, so that there is time to interrupt. Where the file lies, and their ids.
 */
export function manyTexts(copies) {
  const texts = JSON.parse(readFileSync(join(golden, "llama", "texts.json"), "utf8"));
  const long = " and so on".repeat(20);
  const many = Array.from({ length: copies }, (_, n) =>
    texts.map((row, i) => ({ ...row, id: `${row.id}_${n}`, prompt: `${n * texts.length + i}${long} ${row.prompt}` })),
  ).flat();
  const path = artifact("data", `many-${copies}.json`);
  writeFileSync(path, JSON.stringify(many));
  return { path, ids: many.map(({ id }) => id) };
}
