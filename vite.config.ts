// Builds the static folder. The build tool sets:
//   SAESCOPE_PKG     folder with the wasm-bindgen glue (saescope.js and its .wasm)
//   SAESCOPE_DIST    where the page goes; `dist` without it
//   SAESCOPE_COMMIT  the commit to show; asked of git without it

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { resolve } from "node:path";
import { defineConfig } from "vite";
import { engineIn } from "./www/build/engine.ts";
import { fusedProduct } from "./www/build/fma.ts";
import { precache } from "./www/build/precache.ts";
import { noCodeFromStrings } from "./www/build/strings.ts";

const root = fileURLToPath(new URL(".", import.meta.url));
const dist = resolve(root, process.env.SAESCOPE_DIST ?? "dist");
const pkg = process.env.SAESCOPE_PKG;

function commit(): string {
  if (process.env.SAESCOPE_COMMIT) return process.env.SAESCOPE_COMMIT;
  try {
    return execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

const version = /^version = "(.+)"/m.exec(readFileSync(resolve(root, "Cargo.toml"), "utf8"))?.[1];
const known = readdirSync(resolve(root, "models"))
  .filter((name) => name.endsWith(".toml"))
  .map((name) => name.slice(0, -".toml".length));

export default defineConfig({
  root,
  base: "./",
  publicDir: "www/public",
  define: {
    __VERSION__: JSON.stringify(version ?? "unknown"),
    __COMMIT__: JSON.stringify(commit()),
    __KNOWN_MODELS__: JSON.stringify(known),
  },
  resolve: { alias: engineIn(root, pkg) },
  build: {
    outDir: dist,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: { index: resolve(root, "index.html"), sw: resolve(root, "www/sw.ts") },
      output: {
        // The service worker's name and place fix its scope.
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  worker: { format: "es", plugins: () => [fusedProduct()] },
  plugins: [fusedProduct(), precache(dist), noCodeFromStrings(dist)],
});
