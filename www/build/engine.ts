// Where `#engine` and `#engine-wasm` are: the glue that wasm-bindgen made, in the folder that the build tool
// names.

import { resolve } from "node:path";

/** Aliases of a build; without the glue the names stay unresolved, and the build says so. */
export function engineIn(root: string, pkg: string | undefined): { find: RegExp; replacement: string }[] {
  if (!pkg) return [];
  return [
    // A name with a query is matched by pattern only.
    { find: /^#engine-wasm(?=\?|$)/, replacement: resolve(root, pkg, "saescope_bg.wasm") },
    { find: /^#engine$/, replacement: resolve(root, pkg, "saescope.js") },
  ];
}
