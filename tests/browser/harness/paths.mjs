// Where things are. `cargo xtask test` sets the variables; the defaults serve a call by hand.

import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { basename, delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(fileURLToPath(new URL("../../..", import.meta.url)));
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "saescope");
const target = process.env.CARGO_TARGET_DIR || join(cache, "target");

/** The built page. */
export const dist = process.env.SAESCOPE_DIST || join(root, "dist");
/** The native program. */
export const program = process.env.SAESCOPE_PROGRAM || join(target, "release", "saescope");
/** What is kept of a test run: screenshots, Parquet. */
export const artifacts = process.env.SAESCOPE_ARTIFACTS || join(target, "browser-artifacts");
/** What is made once and kept. */
export const kept = process.env.SAESCOPE_KEPT || cache;
/** Tiny models with reference numbers. */
export const golden = join(root, "tests/golden/models");
/** Whether everything that can be there has to be there. */
export const ci = Boolean(process.env.CI);

/** A Chromium: `CHROMIUM`, or the usual names. */
export function chromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
  const mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
  if (found) return found;
  if (existsSync(mac)) return mac;
  throw new Error("no Chromium found; name one in CHROMIUM");
}

/** A file among the artefacts, its folder made; what is no picture is kept apart for each file of tests. */
export function artifact(kind, ...parts) {
  const own = kind === "screenshots" ? [] : [basename(process.argv[1] ?? "").split(".")[0]];
  const path = join(artifacts, kind, ...own, ...parts);
  mkdirSync(resolve(path, ".."), { recursive: true });
  return path;
}
