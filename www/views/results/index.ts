// The results of a run: summary, downloads, domain filter, panels, comparisons.

import "../../style/results.css";
import { shown } from "../../foreign";
import { fill, h } from "../../ui/dom";
import type { PageContext } from "../../state/context";
import type { Run } from "../../data/run";
import { exportButtons } from "../../export/index";
import { viewOf, type View } from "./aggregate";
import type { Below } from "./below";
import { chooser } from "../../ui/controls";
import { counted } from "../../ui/format";
import { panel, type Panel } from "./panel";
import { hideTip } from "./pointer";
import { IdleQueue } from "./schedule";
import { statsTable } from "./statsTable";
import { summary } from "./summary";
import { sampleHref } from "../../ui/table";
import { onThemeChange, readTheme, type Theme } from "../../ui/theme";

/** How many panels count as "the first results" for the mark below. */
const FIRST = 2;

/** Builds the results view. `show` may be called again and again, as with a run in progress. */
export function mountResults(host: HTMLElement, page: PageContext): { show(run: Run): void; clear(): void } {
  const queue = new IdleQueue();
  let view: View | null = null;
  let theme: Theme | null = null;
  let shape = "";
  let panels: Panel[] = [];
  let marked = false;
  let charts: typeof import("./panels") | null = null;

  const { title, origin, head, bar, grid, lower, root } = frame();
  const comparisons = statsTable((key, job) => queue.add(key, job));

  const context = {
    view: () => view as View,
    theme: () => (theme ??= readTheme()),
    queue: (key: string, job: () => void, first = false) =>
      queue[first ? "next" : "add"](key, () => {
        if (view === null) return;
        job();
        mark();
      }),
    open: (sampleId: string) => page.navigate(sampleHref(sampleId)),
    say: (text: string) => page.announce(text),
  };

  /** The first panels are on the screen: tests and the page's own timing read this. */
  function mark(): void {
    if (marked || grid.querySelectorAll("[data-drawn]").length < Math.min(FIRST, panels.length)) return;
    marked = true;
    requestAnimationFrame(() => setTimeout(() => performance.mark("saescope-results-shown")));
  }

  // The chart library is the largest script of the view: the head is there before it.
  import("./panels").then(
    (loaded) => {
      charts = loaded;
      queue.add("warm-up", () => loaded.warmUp(context.theme()));
      if (view !== null) arrange(view.run);
    },
    () => grid.prepend(h("p", { class: "box error", role: "alert" }, "The script that draws the plots could not be loaded. Reload the page; the downloads above work without it.")),
  );

  // What is below all panels comes after them.
  let parts: Below | null = null;
  const loaded = import("./below").then(({ below }) => {
    parts = below(page, context);
    lower.replaceChildren(parts.element);
    if (view !== null) parts.show(view.run);
    return parts;
  });
  loaded.catch(() => fill(lower, h("p", { class: "box error", role: "alert" }, "The script of the features’ table and of the calibration could not be loaded. Reload the page.")));
  const report = async (run: Run): Promise<Blob> => (await loaded).report(run);

  /** Panels for a run; they keep their own choices while only its numbers change. */
  function arrange(run: Run): void {
    const now = `${run.layers.join()} ${run.metrics.columns.map(({ name }) => name).join()} ${run.partial}`;
    if (charts === null || now === shape) return;
    for (const one of panels) one.destroy();
    panels = charts.panelsOf(run).map((spec) => panel(spec, context));
    grid.replaceChildren(...panels.map(({ element }) => element), comparisons.element);
    shape = now;
  }

  function redraw(): void {
    for (const one of panels) one.redraw();
  }

  function filterBy(domain: string | null): void {
    if (view === null) return;
    view = viewOf(view.run, domain);
    comparisons.show(view.run, domain);
    redraw();
    page.announce(domain === null ? "All domains" : `Domain ${shown(domain)}, ${view.rows.length} samples`);
  }

  onThemeChange(() => {
    theme = null;
    redraw();
    parts?.redraw();
  });

  return {
    show(run) {
      const chosen = view?.domain ?? null;
      const domain = chosen !== null && run.domains.length > 1 && run.domains.includes(chosen) ? chosen : null;
      const first = view === null;
      view = viewOf(run, domain);
      if (first) host.replaceChildren(root);
      entitle(run, title, origin);
      head.replaceChildren(summary(run));
      // A list that the user has open is not taken away by the next samples of a run.
      if (!run.partial || !bar.contains(document.activeElement)) {
        // One domain is all there is: nothing to choose.
        bar.replaceChildren(...(run.domains.length > 1 ? [domainFilter(run, domain, filterBy)] : []), exportButtons(run, page.announce.bind(page), report));
      }
      arrange(run);
      comparisons.show(run, domain);
      parts?.show(run);
      redraw();
    },
    clear() {
      queue.clear();
      hideTip();
      for (const one of panels) one.destroy();
      parts?.clear();
      panels = [];
      shape = "";
      view = null;
      host.replaceChildren();
    },
  };
}

/** The view's elements, empty. */
function frame() {
  const title = h("h1", { tabindex: -1 }, "Results");
  const origin = h("p", { class: "partial" });
  const head = h("div", { class: "results-head" });
  const bar = h("div", { class: "results-bar" });
  const grid = h("div", { class: "panels" });
  const lower = h("div");
  return { title, origin, head, bar, grid, lower, root: h("div", { class: "results" }, title, origin, head, bar, grid, lower) };
}

/** Says what is shown, and whether it is whole. */
function entitle(run: Run, title: HTMLElement, origin: HTMLElement): void {
  title.textContent = run.partial ? "Results so far" : "Results";
  if (run.partial) origin.dataset.test = "partial";
  else delete origin.dataset.test;
  fill(origin, originOf(run));
}

/** Where the run comes from, and whether it is whole. */
function originOf(run: Run): string {
  return run.partial
    ? `${counted(run.metrics.rows, "sample")} ${run.metrics.rows === 1 ? "is" : "are"} finished. Means and plots move as more come; explained variance and comparisons are final only at the end.`
    : `A finished run, ${run.origin === "this page" ? "computed on this page" : `opened from ${shown(run.origin)}`}.`;
}

/** Chooses one domain, or all. */
function domainFilter(run: Run, chosen: string | null, filterBy: (domain: string | null) => void): HTMLElement {
  const counts = new Map<string, number>();
  for (const name of run.sampleDomains) counts.set(name, (counts.get(name) ?? 0) + 1);
  // The value of an option is its place: a domain may be called anything.
  const options: [string, string][] = [
    ["", `All domains (${run.metrics.rows})`],
    ...run.domains.map((name, i): [string, string] => [String(i), `${shown(name)} (${counts.get(name) ?? 0})`]),
  ];
  const value = chosen === null ? "" : String(run.domains.indexOf(chosen));
  return chooser("Domain", "domain-filter", options, value, (i) => filterBy(i === "" ? null : (run.domains[Number(i)] ?? null)));
}
