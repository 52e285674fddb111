// A step of the build that looks at the files once all of them are written.

import type { Plugin } from "vite";

/** Runs `step` after a build that went well. */
export function afterBuild(name: string, step: () => Promise<void>): Plugin {
  let failed = false;
  return {
    name,
    apply: "build",
    enforce: "post",
    // closeBundle comes after a failed build too, and would hide its error.
    buildEnd(error) {
      failed = error !== undefined;
    },
    async closeBundle() {
      if (!failed) await step();
    },
  };
}
