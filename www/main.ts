// The page: its parts, made and joined. Views that are not needed first are loaded when opened, and
// the engine's worker starts when a view first needs it.

import type { DatasetInfo, Setup } from "./engine/protocol";
import { startData } from "./data/client";
import type { Run } from "./data/run";
import type { PageContext } from "./state/context";
import { cut, shown as named } from "./foreign";
import { fill, h } from "./ui/dom";
import { Draft, fromQuery } from "./state/draft";
import { EngineClient } from "./engine/client";
import { applyTheme, mountHeader } from "./shell/header";
import { Known } from "./state/known";
import { Labels } from "./state/labels";
import { Notices } from "./shell/notices";
import { forgetRuns, installWorker, watchNetwork } from "./shell/offline";
import { route, type Route, type View } from "./shell/router";
import { RunSession } from "./state/session";
import { Runs } from "./shell/runs";
import { engineStart } from "./shell/start";
import { offerUnfinished } from "./shell/unfinished";
import { Shared } from "./state/state";

applyTheme();
startData();

const section = (view: View) => document.querySelector<HTMLElement>(`#view-${view}`)!;
const titles: Record<View, string> = {
  results: "Results",
  sample: "Sample",
  setup: "Set up",
  run: "Run",
  explore: "Explore",
  storage: "Storage",
};

const engine = new EngineClient();
const shared = new Shared();
const draft = new Draft();
const notices = new Notices(document.querySelector("#banner")!);
const known = new Known(draft, shared);
const session = new RunSession(engine);
const ready = engineStart(engine, shared, draft, notices);
const live = document.querySelector("#live")!;

const page: PageContext = {
  engine,
  labels: new Labels(engine),
  ready,
  navigate: (hash) => {
    location.hash = hash;
  },
  announce: (text) => {
    fill(live, cut(text));
  },
  subject: (run) => known.subject(run),
  calibrateWith: (run) => known.with(run),
  texts: (run, id) => known.texts(run, id),
};

// Results: a heading of the page's, a place for messages, a place for the view.
const heading = h("h1", { class: "unseen" }, "Results");
const message = h("div");
const results = h("div");
fill(section("results"), heading, message, results);
const runs = new Runs(heading, message, known, shared);
runs.follow(session);

function start(setup: Setup, data: DatasetInfo): void {
  if (session.active) page.announce("A run is going on already; stop it first.");
  session.start(setup, data);
  page.navigate("#/run");
}

// Each view is built once, when it is first opened.
let storage: { refresh(): void } | null = null;
let sample: { show(run: Run, id: string): void } | null = null;
const builders: Record<View, () => Promise<unknown>> = {
  results: async () => {
    const { mountResults } = await import("./views/results/index");
    runs.view = mountResults(results, page);
    if (runs.current) runs.view.show(runs.current);
  },
  sample: async () => {
    const { mountSample } = await import("./views/sample/index");
    sample = mountSample(section("sample"), page);
  },
  setup: async () => {
    const { mountSetup } = await import("./views/setup/index");
    mountSetup(section("setup"), page, shared, draft, ready, start);
  },
  run: async () => {
    const { mountRun } = await import("./views/run/index");
    mountRun(section("run"), page, session);
  },
  explore: async () => {
    const { mountExplore } = await import("./views/explore/index");
    mountExplore(section("explore"), page, shared, draft, ready);
  },
  storage: async () => {
    const { mountStorage } = await import("./views/storage/index");
    // What is stored changes what a model costs.
    const changed = () => void engine.call<"models">({ type: "models" }).then((models) => shared.update({ models }), () => undefined);
    storage = mountStorage(section("storage"), page, ready, changed, forgetRuns);
  },
};
const built = new Map<View, Promise<unknown>>();

function build(view: View): Promise<unknown> {
  let made = built.get(view);
  if (!made) {
    made = builders[view]();
    built.set(view, made);
    made.catch((reason: unknown) => {
      built.delete(view);
      fill(
        section(view),
        h(
          "div",
          { class: "box error", role: "alert", "data-test": "error", "data-kind": "network" },
          h("h1", null, "This view could not be loaded"),
          h("p", null, String(reason instanceof Error ? reason.message : reason)),
          h("p", { class: "hint" }, "Check the connection and reload the page."),
        ),
      );
    });
  }
  return made;
}

let shown: Route | null = null;

function showSample(): void {
  if (shown?.view !== "sample" || !sample) return;
  if (runs.current) sample.show(runs.current, shown.id);
  else {
    const waiting = document.documentElement.dataset.state === "loading";
    const text = waiting ? "Reading the run…" : ["No run is open, so there is no sample to show. Open one, or ", h("a", { href: "#/setup" }, "set one up"), "."];
    fill(section("sample"), h("h1", null, named(shown.id) || "Sample"), h("p", { class: waiting ? "muted loading" : "muted" }, text));
  }
}

function show(next: Route): void {
  const first = shown === null;
  const same = shown?.view === next.view;
  shown = next;
  const { view } = next;
  for (const one of Object.keys(titles) as View[]) section(one).hidden = one !== view;
  for (const link of document.querySelectorAll<HTMLAnchorElement>("#nav a")) {
    const here = link.hash === `#/${view}` || (view === "sample" && link.hash === "#/results");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.documentElement.dataset.view = view;
  document.title = view === "results" ? "saescope" : `${view === "sample" ? named(next.id) : titles[view]} · saescope`;
  if (view === "setup" && next.query.has("model") && draft.link !== next.query.toString()) {
    // A link opened over a form that is there already: begin anew with the link's fields.
    if (built.has("setup")) location.reload();
    draft.fields = fromQuery(next.query);
    draft.link = next.query.toString();
  }
  if (view === "results" || view === "sample") runs.catchUp();
  void build(view).then(() => {
    if (view === "storage") storage?.refresh();
    showSample();
  });
  if (!first && !same) {
    page.announce(titles[view]);
    // Both need the layout: after the frame that makes it, so that it is not made twice in one task.
    requestAnimationFrame(() =>
      setTimeout(() => {
        if (shown !== next) return;
        document.querySelector<HTMLElement>("#main")!.focus({ preventScroll: true });
        scrollTo(0, 0);
      }),
    );
  }
}

runs.visible = () => shown?.view === "results" || shown?.view === "sample";
const runLink = document.querySelector<HTMLElement>('#nav a[href="#/run"]')!;
session.addEventListener("change", () => {
  const { progress } = session;
  const share = progress?.samples_total ? Math.floor((100 * progress.samples_done) / progress.samples_total) : 0;
  const text = session.active ? `Run ${share} %` : "Run";
  if (runLink.textContent !== text) runLink.textContent = text;
});
mountHeader((files) => {
  page.navigate("#/results");
  void runs.openFiles(files);
});
document.querySelector<HTMLAnchorElement>(".skip")!.addEventListener("click", (event) => {
  // The hash is the route: move the focus without touching it.
  event.preventDefault();
  document.querySelector<HTMLElement>("#main")!.focus();
});
watchNetwork(notices);
runs.addEventListener("shown", showSample);
runs.addEventListener("unreadable", () => page.navigate("#/results"));
session.addEventListener("finished", () => {
  // In a task of its own: taking in the files and laying out the other view are long enough each.
  setTimeout(() => {
    if (shown?.view === "run") page.navigate("#/results");
  });
});
addEventListener("beforeunload", (event) => {
  if (session.active) event.preventDefault();
});

route(show);
// The results view loads beside the run's files, whichever view is open.
void build("results");
void runs.openFirst();
addEventListener("load", () => {
  void installWorker(notices);
  void offerUnfinished(session, engine, ready, notices, () => page.navigate("#/run"));
});
