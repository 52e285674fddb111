// The head of the results: what was run, whether its SAEs fit, and what to know before reading on.

import { listed, shown } from "../../foreign";
import { h, type Child } from "../../ui/dom";
import { items } from "../../ui/list";
import type { LayerHealth, Manifest } from "../../data/manifest";
import type { Run } from "../../data/run";
import { bytes, counted, duration, number, percent } from "../../ui/format";
import { timelineSection } from "./timeline";
import { compared, MATCHED, tally, VERDICTS } from "./verdicts";
import { verdictWords } from "./verdictWords";

/** Everything above the panels. */
export function summary(run: Run): HTMLElement {
  const { manifest } = run;
  return h(
    "div",
    { class: "summary", "data-test": "summary" },
    warnings(run),
    failed(manifest),
    h("dl", { class: "facts" }, manifest === null ? bare(run) : facts(run, manifest)),
    manifest === null ? null : health(manifest),
    verdicts(run),
    manifest === null ? null : provenance(run, manifest),
  );
}

function fact(name: string, value: string, detail = ""): HTMLElement {
  return h("div", null, h("dt", null, name), h("dd", null, value, detail === "" ? null : h("small", null, detail)));
}

export function bare(run: Run): HTMLElement[] {
  return [
    fact("Samples", String(run.metrics.rows), run.partial ? "finished so far" : ""),
    fact("Layers", run.layers.join(", ")),
    fact("From", run.origin, run.partial ? "" : "opened without manifest.json: model, SAEs and device are not known"),
  ];
}

export function facts(run: Run, m: Manifest): HTMLElement[] {
  const { compute, timings } = m;
  const device = compute.adapter ?? (compute.device === "cpu" ? "CPU" : compute.device);
  const failedCount = m.failed_samples.length;
  return [
    fact("Model", shown(m.model.name), `${shown(m.model.architecture)}, ${m.model.n_layers} blocks, d ${m.model.d_model}, ${shown(m.model.quantization)}`),
    fact("Samples", run.metrics.rows.toLocaleString("en"), failedCount === 0 ? "none failed" : `${failedCount} failed`),
    fact("Device", shown(device), [compute.backend, compute.precision, `${compute.weights} weights`].map((name) => shown(name)).join(", ")),
    fact("Time", duration(timings.total_seconds), `${number(timings.samples_per_second)} samples/s${timings.peak_memory_bytes === null ? "" : `, ${bytes(timings.peak_memory_bytes)} at most`}`),
  ];
}

/** Nothing else on the page is louder. */
export function warnings(run: Run): Child {
  const manifest = run.manifest;
  const all = [...new Set([...(manifest?.warnings ?? []), ...(manifest?.sae_health ?? []).flatMap((layer) => layer.warnings), ...run.notes, ...earlierControl(run)])];
  if (all.length === 0) return null;
  return h(
    "div",
    { class: "warning", role: "alert", "data-test": "run-warnings" },
    h("h2", null, all.length === 1 ? "Read this before any number" : "Read these before any number"),
    h("ul", null, items(all, (text) => text, "manifest.json")),
  );
}

/** Before triples were matched, the length control was a fit over token counts. */
function earlierControl(run: Run): string[] {
  if (run.stats === null || run.stats.has(MATCHED)) return [];
  return ["The verdicts of this run come from an earlier length control that could extrapolate: run it again."];
}

export function failed(manifest: Manifest | null): Child {
  if (manifest === null || manifest.failed_samples.length === 0) return null;
  const list = manifest.failed_samples;
  return h(
    "details",
    { class: "failed", open: list.length <= 5, "data-test": "failed-samples" },
    h("summary", null, `${counted(list.length, "sample")} failed and ${list.length === 1 ? "has" : "have"} no row`),
    h("ul", null, items(list, ({ sample_id, reason }) => [h("code", null, shown(sample_id)), ": ", h("span", null, reason)], "manifest.json")),
  );
}

export function health(m: Manifest): HTMLElement {
  const row = (layer: LayerHealth) => {
    const sae = m.saes.find((one) => one.layer === layer.layer);
    // Nothing was judged where every text was left out.
    const [word, tone] = layer.texts === 0 ? ["not judged", ""] : layer.warnings.length === 0 ? ["fits", "good"] : ["does not fit", "bad"];
    const cell = (text: Child, number = true) => h("td", { role: "cell", class: number && "number" }, text);
    return h(
      "tr",
      { role: "row" },
      h("th", { role: "rowheader", scope: "row" }, `Layer ${layer.layer}`),
      cell(number(layer.mean_l0)),
      cell(layer.declared_l0 === null ? "not declared" : number(layer.declared_l0)),
      cell(number(layer.fvu)),
      cell(percent(layer.dead_share)),
      cell(h("span", { class: `health ${tone}` }, word), false),
      cell(sae === undefined ? "–" : [`${shown(sae.architecture)}, ${sae.d_sae.toLocaleString("en")} features`, h("small", null, shown(sae.id))], false),
    );
  };
  const heads = ["Layer", "Mean L0", "Declared L0", "FVU", "Dead texts", "Health", "SAE"];
  const numeric = new Set(heads.slice(1, 5));
  return h(
    "div",
    null,
    h(
      "div",
      { class: "table-scroll", tabindex: 0, role: "group", "aria-label": "SAE health, scrollable" },
      h(
        "table",
        // Roles in full: on a phone the rows are laid out as blocks.
        { role: "table", class: "data health-table", "data-test": "sae-health" },
        h("caption", { class: "unseen" }, "SAE health"),
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((name) => h("th", { role: "columnheader", scope: "col", class: numeric.has(name) && "number" }, name)))),
        h("tbody", { role: "rowgroup" }, m.sae_health.map(row)),
      ),
    ),
    // Outside of what scrolls, so that a phone shows it whole.
    h(
      "p",
      { class: "health-note" },
      `Whether the SAEs fit: L0 found beside L0 declared, fraction of variance unexplained, texts without an active feature.${sinks(m)}`,
    ),
  );
}

/** Texts that the health leaves out. */
function sinks(m: Manifest): string {
  const found = m.sae_health.filter((layer) => (layer.sinks ?? 0) > 0);
  if (found.length === 0) return "";
  return ` Left out are texts read at an attention sink: ${found.map(({ layer, sinks, texts }) => `${sinks} of ${texts + (sinks ?? 0)} at layer ${layer}`).join(", ")}.`;
}

function verdicts(run: Run): Child {
  const counts = tally(compared(run));
  if (counts.size === 0) return null;
  return h(
    "div",
    { class: "verdict-line", "data-test": "verdicts" },
    // part by part: all of it is longer than what is shown of a text
    h("p", null, verdictWords(run).flatMap((words) => [words, " "])),
    h(
      "ul",
      null,
      Object.entries(VERDICTS).flatMap(([name, { word, many, meaning }]) => {
        const n = counts.get(name) ?? 0;
        return n === 0 ? [] : [h("li", { title: meaning }, h("span", { class: `verdict ${name}` }, `${n} ${n === 1 ? word : (many ?? word)}`))];
      }),
    ),
  );
}

function ignored(m: Manifest): [string, string][] {
  const fields = m.model.ignored_config_fields ?? [];
  return fields.length === 0 ? [] : [["Config fields not read", fields.map(({ name, value, asked }) => `${shown(name)} = ${shown(value)}${asked ? " (on request)" : ""}`).join(", ")]];
}

function nulls(m: Manifest): [string, string][] {
  const made = m.nulls;
  if (made === undefined || made === null) return [];
  return [["Nulls", `${made.draws} draws of each, from ${made.pool_rows.toLocaleString("en")} rows of the decoder and as many random directions (an untrained dictionary), of texts with at most ${made.most_features} active features, seed ${made.seed}`]];
}

function statistics(m: Manifest): [string, string][] {
  const made = m.statistics;
  if (made === undefined || made === null) return [];
  const clusters = made.clusters ? "samples of one cluster together" : "every sample independent";
  return [["Statistics", `${made.resamples.toLocaleString("en")} resamples, ${clusters}, seed ${made.seed}, equivalence to |d_z| ${made.equivalence_bound}`]];
}

export function provenance(run: Run, m: Manifest): HTMLElement {
  const rows: [string, string][] = [
    ["Run", `${shown(m.run_id)}, started ${shown(m.started_at)}`],
    ["Program", `${shown(m.program.name)} ${shown(m.program.version)}, commit ${m.program.git_commit.slice(0, 12)}`],
    ["Model source", shown(m.model.source) + (m.model.revision === null ? "" : ` at ${m.model.revision.slice(0, 12)}`)],
    ...ignored(m),
    ["BOS", m.tokenizer.bos_rule],
    ["Noise", `${shown(m.noise.rule)}, seed ${m.noise.seed}`],
    ...nulls(m),
    ...statistics(m),
    ["Data", `${listed(m.dataset.files.map((file) => file.path))}${m.dataset.limit === null ? "" : `, ${m.dataset.limit} of them by domain`}`],
    ["Tokens", `${m.batch.tokens.toLocaleString("en")} in ${m.batch.texts.toLocaleString("en")} texts, ${m.batch.tokens_computed.toLocaleString("en")} computed`],
    ["Stages", listed(m.timings.stages.map(({ stage, seconds }) => `${stage} ${duration(seconds)}`))],
    ["Opened from", run.origin],
  ];
  const files = [...m.model.files, m.tokenizer.file, ...m.dataset.files];
  // Hundreds of elements that few look at: drawn once they are asked for.
  const timeline = h("div");
  const draw = () => {
    if (timeline.childElementCount === 0) timeline.append(timelineSection(m));
  };
  return h(
    "details",
    { class: "provenance", "data-test": "provenance", ontoggle: draw },
    h("summary", null, "How this run was made"),
    h("dl", { class: "plain" }, rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
    timeline,
    m.dataset.skipped_rows.length === 0
      ? null
      : [h("p", null, "Rows of the data set that were skipped:"), h("ul", null, items(m.dataset.skipped_rows, (text) => text, "manifest.json"))],
    h("p", null, "Files and SHA-256:"),
    h("ul", { class: "hashes" }, items(files, ({ path, bytes: size, sha256 }) => [h("code", null, path), ` ${bytes(size)} `, h("code", null, sha256 ?? "not read in full")], "manifest.json")),
  );
}
