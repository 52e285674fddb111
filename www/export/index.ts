// A run's downloads: the files as they are, and the metrics as CSV and JSON.

import { fill, h } from "../ui/dom";
import { asEngineError } from "../engine/failure";
import { askData } from "../data/ask";
import type { FileName, Run } from "../data/run";
import { save } from "./save";

export { savePng, saveSvg, type Figure } from "./figure";
export { save } from "./save";

interface Item {
  test: string;
  label: string;
  what: string;
  file: FileName;
  convert?: "csv" | "json";
}

const ITEMS: Item[] = [
  { test: "download-metrics", label: "metrics.parquet", what: "one row per sample", file: "metrics.parquet" },
  { test: "download-features", label: "features.parquet", what: "every active feature", file: "features.parquet" },
  { test: "download-stats", label: "stats.parquet", what: "comparisons with their length control", file: "stats.parquet" },
  { test: "download-stats-features", label: "stats_features.parquet", what: "comparisons by feature", file: "stats_features.parquet" },
  { test: "download-manifest", label: "manifest.json", what: "how the run was made", file: "manifest.json" },
  { test: "export-csv", label: "metrics.csv", what: "metrics as CSV", file: "metrics.parquet", convert: "csv" },
  { test: "export-json", label: "metrics.json", what: "metrics as JSON", file: "metrics.parquet", convert: "json" },
];

/** Buttons that save a run's files; `say` reports through the page's live region. `report` makes its report,
 *  which is no file of the run; a report itself has none. */
export function exportButtons(run: Run, say: (text: string) => void, report?: (run: Run) => Promise<Blob>): HTMLElement {
  const status = h("p", { class: "export-status", hidden: true });
  const offered = ITEMS.filter(({ file }) => {
    if (file === "features.parquet") return run.hasFeatures;
    if (file === "stats_features.parquet") return run.hasFeatureStats;
    if (file === "stats.parquet") return run.stats !== null;
    return file !== "manifest.json" || run.manifest !== null;
  });
  const buttons = offered.map((item) =>
    h(
      "button",
      { type: "button", class: "small", "data-test": item.test, title: item.what, onclick: () => void give(item) },
      item.label,
    ),
  );
  // only a finished run has one
  if (report !== undefined && run.manifest !== null && !run.partial) {
    buttons.push(
      h("button", { type: "button", class: "small", "data-test": "save-report", title: "the run as one document, to read, print and send", onclick: () => void attempt("report.html", () => report(run)) }, "report.html"),
    );
  }

  function give({ label, file, convert }: Item): Promise<void> {
    return attempt(label, async () => {
      const source = await run.file(file);
      if (source === null) throw new Error(`this run has no ${file}`);
      return convert === undefined ? source : askData<"convert">({ type: "convert", name: file, blob: source, format: convert });
    });
  }

  async function attempt(label: string, make: () => Promise<Blob>): Promise<void> {
    try {
      save(await make(), label);
      status.hidden = true;
      say(`${label} saved`);
    } catch (reason) {
      const { message, hint } = asEngineError(reason);
      const said = `${label} could not be saved: ${message}${hint === undefined ? "" : ` (${hint})`}`;
      fill(status, said);
      status.hidden = false;
      say(said);
    }
  }

  return h(
    "div",
    { class: "export", role: "group", "aria-label": "Download this run" },
    h("span", { class: "export-label" }, "Download"),
    buttons,
    status,
  );
}
