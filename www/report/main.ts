// The report: one document that holds a run and shows it, with the parts of the page. It asks nothing of any
// network, and works from a disk.

import "./report.css";
import { answer } from "../data/answer";
import { readCalibration } from "../data/calibration";
import { readBy } from "../data/ask";
import type { Manifest, Run } from "../data/run";
import { asEngineError, failure } from "../engine/failure";
import { exportButtons } from "../export/index";
import { cut, shown } from "../foreign";
import { fill, h, type Child } from "../ui/dom";
import { bytes } from "../ui/format";
import { chooser } from "../ui/controls";
import { items } from "../ui/list";
import { onThemeChange, readTheme, type Theme } from "../ui/theme";
import { viewOf, type View } from "../views/results/aggregate";
import { warmUp } from "../views/results/chart";
import { panel, type Panel, type PanelContext, type PanelSpec } from "../views/results/panel";
import { classifierPanels, legend as classifierLegend } from "../views/results/classifiers";
import { HOW as CLASSIFIERS } from "../views/results/classifierWords";
import { panelsOf } from "../views/results/panels";
import { IdleQueue } from "../views/results/schedule";
import { statsTable } from "../views/results/statsTable";
import { bare, facts, failed, health, provenance, warnings } from "../views/results/summary";
import { calibrationPanels, HOW as CALIBRATED, wordsOf as calibrationWords } from "../views/results/calibration";
import { embeddedCalibration, embeddedLabels, embeddedRun, writer } from "./embedded";
import * as estimates from "./estimation";
import * as forests from "./forest";
import { featureTables } from "./featureTables";
import { HOW as FEATURES } from "../views/results/featureLines";
import { presenceTables } from "./presence";
import { onPaper } from "./print";
import { wordsOf } from "./words";

readBy(async (request) => (await answer(request)).result as never);

const main = document.querySelector<HTMLElement>("#main")!;
const live = document.querySelector<HTMLElement>("#live")!;
const queue = new IdleQueue();

embeddedRun().then(show, broken);

/** The document's parts, top to bottom. */
function show(run: Run): void {
  let theme: Theme | null = null;
  let view: View = viewOf(run, null);
  const say = (text: string): void => fill(live, cut(text));
  const context: PanelContext = {
    view: () => view,
    theme: () => (theme ??= readTheme()),
    queue: (key, job, first = false) => queue[first ? "next" : "add"](key, job),
    say,
  };
  // A domain is chosen for the panels that draw domains; what speaks of all samples keeps to all.
  const whole: PanelContext = { ...context, view: (all = viewOf(run, null)) => all };
  const grid = (specs: PanelSpec[], of: PanelContext): [HTMLElement, Panel[]] => {
    const panels = specs.map((spec) => panel(spec, of));
    return [h("div", { class: "panels" }, panels.map(({ element }) => element)), panels];
  };

  const [forestGrid, forest] = grid(forests.forestPanels(run), whole);
  const estimated = estimation(run, whole);
  const calibrated = calibration(run, whole, grid);
  const [figures, dashboard] = grid(panelsOf(run, "tests"), context);
  const [toldBy, told] = grid(classifierPanels(run, ""), whole);
  const table = statsTable((key, job) => queue.add(key, job));
  table.show(run, null);
  const features = h("div", { "data-test": "presence" }, h("p", { class: "muted" }, "Counting features…"));
  const standing = () => [...forest, ...estimated.panels(), ...calibrated.panels, ...dashboard, ...told];

  const domains = run.domains.length < 2 ? null : domainChooser(run, (domain) => {
    view = viewOf(run, domain);
    table.show(run, domain);
    for (const one of dashboard) one.redraw();
    say(domain === null ? "All domains" : `Domain ${shown(domain)}, ${view.rows.length} samples`);
  });
  const { manifest } = run;
  fill(
    main,
    heading(run, say),
    findings(run),
    h("div", { class: "summary" }, warnings(run), failed(manifest)),
    section("run", "The run and the fit of its SAEs", "", h("div", { class: "summary" }, h("dl", { class: "facts" }, manifest === null ? bare(run) : facts(run, manifest)), manifest === null ? null : health(manifest))),
    section("calibration", "Does the instrument work here", calibrated.panels.length === 0 ? "" : CALIBRATED, calibrated.element),
    section("forest", "Raw beside controlled effects", forests.HOW, legend(forests.legend(TOKENS)), forestGrid),
    section("estimation", "Estimation plots", estimates.howTo(run), legend(estimates.legend(TOKENS)), estimated.element),
    section("figures", "Figures", "", domains, figures),
    section("features", "Features of facts and of hallucinations", run.hasFeatureStats ? FEATURES : PRESENCE, features),
    told.length === 0 ? null : section("classifiers", "Told by all features together", CLASSIFIERS, legend(classifierLegend(TOKENS)), toldBy),
    section("table", "All comparisons", "", table.element),
    manifest === null ? null : section("provenance", "Provenance", "", h("div", { class: "summary" }, provenance(run, manifest), own(manifest))),
    h("footer", null, h("p", { class: "muted" }, `Written by ${shown(writer())}. The document holds the run’s own files, which the buttons at its top save; what it shows was computed from them and is held against the hashes of the manifest each time that it is opened.`)),
  );
  document.title = `${shown(manifest?.model.name ?? "saescope")} · saescope report`;
  document.documentElement.dataset.state = "ready";

  queue.add("warm-up", () => warmUp(context.theme()));
  for (const one of standing()) one.redraw();
  const redraw = (): void => {
    theme = null;
    for (const one of standing()) one.redraw();
  };
  onThemeChange(() => {
    if (document.documentElement.dataset.paper === undefined) redraw();
  });
  onPaper(standing, () => (theme = null));
  queue.add("features", () => void count(run, features));
}

function section(name: string, title: string, lead: string, ...children: Child[]): HTMLElement {
  return h("section", { class: `part part-${name}`, "aria-labelledby": `part-${name}` }, h("h2", { id: `part-${name}` }, title), lead === "" ? null : h("p", { class: "lead" }, lead), children);
}

/** The page's colours by name: they follow the theme by themselves. */
const TOKENS = { hall: "var(--hall)", fact: "var(--fact)", muted: "var(--muted)" };

/** One legend for all plots of a part. */
function legend(keys: HTMLElement[]): HTMLElement {
  return h("div", { class: "legend" }, keys);
}

/** The run's own files, as its manifest knows them. */
function own(manifest: Manifest): HTMLElement | null {
  const files = manifest.files ?? [];
  if (files.length === 0) return null;
  return h(
    "div",
    null,
    h("p", null, "Files of the run and their SHA-256:"),
    h("ul", { class: "hashes" }, items(files, ({ path, bytes: size, sha256 }) => [h("code", null, shown(path)), ` ${bytes(size)} `, h("code", null, shown(sha256 ?? "unknown"))], "manifest.json")),
  );
}

function heading(run: Run, say: (text: string) => void): HTMLElement {
  const { manifest } = run;
  const of = manifest === null ? "" : `Run ${shown(manifest.run_id)}, ${shown(manifest.started_at.slice(0, 10))}`;
  return h(
    "header",
    { class: "head" },
    h("p", { class: "kicker" }, "saescope report"),
    h("h1", null, shown(manifest?.model.name ?? "A run")),
    h("p", { class: "muted" }, [of, `${run.metrics.rows.toLocaleString("en")} triples of prompt, fact and hallucination`, `SAEs at ${run.layers.length === 1 ? "layer" : "layers"} ${run.layers.join(", ")}`].filter((text) => text !== "").join(" · ")),
    h("div", { class: "tools" }, exportButtons(run, say), h("div", { class: "choices" }, themeButton(), h("button", { type: "button", class: "small", "data-test": "print", onclick: () => print() }, "Print or save as PDF"))),
  );
}

const THEMES = ["system", "light", "dark"] as const;

function themeButton(): HTMLElement {
  let at = 0;
  const words = () => `Colours: ${THEMES[at]}`;
  const button = h("button", {
    type: "button",
    class: "small",
    "data-test": "theme",
    onclick: () => {
      at = (at + 1) % THEMES.length;
      if (at === 0) delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = THEMES[at];
      fill(button, words());
    },
  }, words());
  return button;
}

/** What was found, before everything else. */
function findings(run: Run): HTMLElement {
  const { headline, paragraphs, survivors } = wordsOf(run);
  return h(
    "section",
    { class: "findings", "aria-labelledby": "findings", "data-test": "findings" },
    h("h2", { id: "findings" }, headline),
    survivors.length === 0 ? null : h("ul", null, survivors.map((text) => h("li", null, text))),
    paragraphs.map((text) => h("p", null, text)),
  );
}

/** The section's choice of metrics, and a panel for each. */
function estimation(run: Run, context: PanelContext): { element: HTMLElement; panels(): Panel[] } {
  const all = estimates.selections(run);
  const host = h("div", { class: "panels" });
  let panels: Panel[] = [];
  const choose = (name: string): void => {
    for (const one of panels) one.destroy();
    const selection = all.find((one) => one.name === name);
    panels = (selection?.metrics ?? []).map((metric) => panel(estimates.estimationPanel(run, metric), context));
    host.replaceChildren(...panels.map(({ element }) => element));
    for (const one of panels) one.redraw();
  };
  choose(all[0]?.name ?? "");
  const list = all.length < 2 ? null : chooser("Metrics", "estimation-metrics", all.map((one) => [one.name, one.label]), all[0]!.name, choose);
  return { element: h("div", null, h("div", { class: "controls" }, list), host), panels: () => panels };
}

/** What the run's calibration says; one line where there is none. */
function calibration(run: Run, context: PanelContext, grid: (specs: PanelSpec[], of: PanelContext) => [HTMLElement, Panel[]]): { element: HTMLElement; panels: Panel[] } {
  const none = (text: string) => ({ element: h("p", { class: "muted", "data-test": "calibration" }, text), panels: [] });
  const source = embeddedCalibration();
  if (source === undefined) return none("This report was written without a calibration: saescope calibrate RUN makes one, and a report that is written after it shows it here.");
  try {
    const read = readCalibration(source, run.manifest);
    const [element, panels] = grid(calibrationPanels(read), context);
    const words = h("ul", { class: "calibration", "data-test": "calibration" }, calibrationWords(read).map((line) => h("li", null, line)));
    return { element: h("div", null, words, element), panels };
  } catch (reason) {
    return none(`The calibration in this report cannot be shown: ${reason instanceof Error ? reason.message : String(reason)}. saescope calibrate RUN makes another.`);
  }
}

function domainChooser(run: Run, choose: (domain: string | null) => void): HTMLElement {
  // The value of an option is its place: a domain may be called anything.
  const options: [string, string][] = [["", "All domains"], ...run.domains.map((name, i): [string, string] => [String(i), name])];
  return h("div", { class: "controls" }, chooser("Domain", "domain-filter", options, "", (i) => choose(i === "" ? null : (run.domains[Number(i)] ?? null))));
}

/** How to read features that are counted here, of runs of earlier versions. */
const PRESENCE = "Which features are active at the end of one text of a pair and not of the other. p: exact sign test of those pairs; q: Benjamini–Hochberg over all layers.";

/** Shows features once everything else is drawn. */
async function count(run: Run, host: HTMLElement): Promise<void> {
  try {
    const compared = await run.featureStats();
    if (compared !== null) {
      fill(host, featureTables(run, compared, embeddedLabels()));
      host.dataset.counted = "true";
      return;
    }
    const features = await run.presence();
    fill(host, features === null ? h("p", { class: "muted" }, "This report was written without features.parquet.") : presenceTables(run, features));
  } catch (reason) {
    fill(host, h("p", { class: "box error", role: "alert", "data-test": "error" }, asEngineError(reason).message));
  }
  host.dataset.counted = "true";
}

/** Says why there is nothing to show. */
function broken(reason: unknown): void {
  const { message, hint } = asEngineError(reason ?? failure("crashed", "the run could not be read"));
  fill(main, h("h1", null, "This report cannot be shown"), h("div", { class: "box error", role: "alert", "data-test": "error" }, h("p", null, message), hint === undefined ? null : h("p", { class: "hint" }, hint)));
  document.documentElement.dataset.state = "failed";
}
