// Builds the npm package's scripts: www/package/index.ts, the engine's worker and its WebAssembly. The build tool sets
// SAESCOPE_PKG, the folder with the wasm-bindgen glue, and SAESCOPE_NPM, the folder that the scripts go into.

import { fileURLToPath } from "node:url";
import { resolve } from "node:path";
import { defineConfig } from "vite";
import { engineIn } from "./www/build/engine.ts";
import { fusedProduct } from "./www/build/fma.ts";
import { noCodeFromStrings } from "./www/build/strings.ts";

const root = fileURLToPath(new URL(".", import.meta.url));
const out = resolve(root, process.env.SAESCOPE_NPM ?? "dist-npm");
const pkg = process.env.SAESCOPE_PKG;

export default defineConfig({
  root,
  base: "./",
  publicDir: false,
  resolve: { alias: engineIn(root, pkg) },
  build: {
    outDir: out,
    emptyOutDir: true,
    target: "es2022",
    // in a package they are files of its own: what is inlined has to be unpacked by every page
    assetsInlineLimit: 0,
    modulePreload: false,
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: { index: resolve(root, "www/package/index.ts") },
      // its exports are what it is for
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "[name].js" },
    },
  },
  worker: { format: "es", plugins: () => [fusedProduct()] },
  plugins: [fusedProduct(), noCodeFromStrings(out)],
});
