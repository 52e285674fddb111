// Tells the service worker what the app shell is. Once every file is written, the list of names with
// their hashes takes the place of a marker in sw.js, so that any change of the shell changes sw.js and
// the browser sees a new version.

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Plugin } from "vite";
import { afterBuild } from "./after.ts";

// In whichever quotes the minifier chose.
const MARKER = /(["'`])__SHELL__\1/;

async function digest(folder: string, name: string): Promise<string> {
  return createHash("sha256").update(await readFile(join(folder, name))).digest("hex").slice(0, 16);
}

/** Writes the shell's files and hashes into sw.js. */
export function precache(folder: string): Plugin {
  return afterBuild("saescope-precache", async () => {
    const names = (await readdir(join(folder, "assets"))).map((name) => `assets/${name}`);
    names.push("index.html", "icon.svg", "app.webmanifest");
    names.sort();
    const files: Record<string, string> = {};
    for (const name of names) files[name] = await digest(folder, name);
    const path = join(folder, "sw.js");
    const script = await readFile(path, "utf8");
    if (!MARKER.test(script)) throw new Error("sw.js has no __SHELL__ to put the file list in");
    const list = JSON.stringify(JSON.stringify(files));
    await writeFile(path, script.replace(MARKER, () => list));
  });
}
