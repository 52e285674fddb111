// Builds the report's template: one file, from www/report/. The build tool sets SAESCOPE_REPORT, the folder that
// it goes into; `dist-report` without it. Nothing of the machine, the commit or the day goes in: the same
// sources give the same bytes.

import { fileURLToPath } from "node:url";
import { resolve } from "node:path";
import { defineConfig } from "vite";
import { reportTemplate } from "./www/build/report.ts";

const root = fileURLToPath(new URL(".", import.meta.url));

export default defineConfig({
  root,
  base: "./",
  publicDir: false,
  build: {
    outDir: resolve(root, process.env.SAESCOPE_REPORT ?? "dist-report"),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: { report: resolve(root, "www/report/main.ts") },
      output: { codeSplitting: false },
    },
  },
  plugins: [reportTemplate(resolve(root, "www/report/report.html"))],
});
