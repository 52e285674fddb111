// Which run is shown, and where it comes from: the address bar, the host's catalog, the user's files,
// or the engine.

import type { EngineError } from "../engine/protocol";
import { readCatalog } from "../data/catalog";
import { CALIBRATION, fetchRun, openFiles, openPartial, openRun, runFile, runFolder, FILES, type Run } from "../data/run";
import { fill, h, type Child } from "../ui/dom";
import { asEngineError } from "../engine/failure";
import { shown } from "../foreign";
import type { Known } from "../state/known";
import { keepOffline } from "./offline";
import type { RunSession } from "../state/session";
import { enter, type Shared } from "../state/state";
import { errorBox } from "../ui/words";

/** The addresses of a run's files; what was asked for may be one of them. */
function runAddresses(address: string, calibrated: boolean): { folder: string; files: string[] } {
  const folder = runFolder(address);
  const names = calibrated ? [...FILES, CALIBRATION] as const : FILES;
  return { folder: folder.href, files: names.map((name) => runFile(folder, name).href) };
}

/** Runs of the host that are offered where another cannot be opened. */
const MOST_OFFERED = 12;

/** Shows runs in the results view. Emits `shown`. */
export class Runs extends EventTarget {
  current: Run | null = null;
  /** Whether results or a sample are on the screen: a run in progress is only drawn then. */
  visible: () => boolean = () => true;
  /** Draws what of a run in progress came while nobody looked. */
  catchUp: () => void = () => undefined;
  /** Takes and clears what the results view shows. */
  view: { show(run: Run): void; clear(): void } | null = null;

  #turn = 0;
  #catalog: Promise<void> | null = null;
  /** Neither the host nor a kept copy said which runs there are. */
  #unanswered = false;
  /** What is wrong with the host's list of runs. */
  #damaged: EngineError | null = null;
  #waiting = h("p", { class: "notice info" }, "A run is going on; its first samples take this place when they are finished. What is shown here is the run opened before.");

  constructor(
    readonly heading: HTMLElement,
    readonly message: HTMLElement,
    readonly known: Known,
    readonly shared: Shared,
  ) {
    super();
  }

  /** The run that the address or the catalog names. */
  async openFirst(): Promise<void> {
    const asked = new URLSearchParams(location.search).get("run");
    this.#catalog = this.#readCatalog();
    if (asked) {
      await this.openUrl(asked);
      return;
    }
    await this.#catalog;
    if (this.current || this.#turn) return;
    const runs = this.shared.catalog?.runs ?? [];
    const first = runs.find((run) => run.name === this.shared.catalog?.default_run) ?? runs[0];
    if (first) await this.openUrl(first.url);
    else if (this.#damaged) this.#noCatalog(this.#damaged, "The host’s list of runs cannot be read");
    else if (this.#unanswered) this.#hostGone();
    else {
      this.#empty();
      void keepOffline(null);
    }
  }

  async #readCatalog(): Promise<void> {
    let answer: Response;
    try {
      answer = await fetch(new URL("catalog.json", document.baseURI));
    } catch {
      this.#unanswered = true;
      return;
    }
    // A host without a catalog offers no models and no runs; that is no failure.
    if (!answer.ok || answer.headers.get("content-type")?.startsWith("text/html")) return;
    try {
      this.shared.update({ catalog: readCatalog(await answer.text()) });
    } catch (reason) {
      this.#damaged = asEngineError(reason);
    }
  }

  /** Opens a run's folder. */
  async openUrl(url: string): Promise<void> {
    const folder = URL.canParse(url, document.baseURI) ? new URL(url, document.baseURI).href : url;
    const named = shown(folder);
    const good = await this.#take(`Reading the run at ${named}…`, () => fetchRun(folder, () => this.#calibrated(folder)), `The run at ${named} cannot be opened`);
    if (good === null) return;
    void keepOffline(good ? runAddresses(folder, (await this.#calibrated(folder)) === true) : null);
  }

  /** Whether the host's list says that this run has a calibration; null where it does not say. */
  async #calibrated(folder: string): Promise<boolean | null> {
    await this.#catalog;
    const href = runFolder(folder).href;
    const listed = this.shared.catalog?.runs.find(({ url }) => URL.canParse(url, document.baseURI) && new URL(url, document.baseURI).href === href);
    return listed?.calibrated ?? null;
  }

  /** Opens run files of the user's. */
  async openFiles(files: File[]): Promise<void> {
    await this.#take("Reading the files…", () => openFiles(files), "These files cannot be opened as a run");
  }

  /** Follows a run that the engine makes. */
  follow(session: RunSession): void {
    let busy = false;
    let again = false;
    let drawn: Uint8Array | null = null;
    const complete = () => session.phase === "finished";
    const partial = async (): Promise<void> => {
      if (!session.partial || session.partial === drawn || !this.visible()) return;
      if (busy || complete()) {
        again = busy;
        return;
      }
      busy = true;
      again = false;
      drawn = session.partial;
      try {
        const run = await openPartial(session.partial);
        if (session.setup) this.known.remember(run, session.setup, session.dataset);
        if (!complete()) this.#show(run);
      } catch {
        // The next part brings the same rows again.
      }
      busy = false;
      if (again) void partial();
    };
    session.addEventListener("partial", () => void partial());
    session.addEventListener("change", () => {
      const waiting = session.active && !session.partial && this.current !== null;
      if (waiting === (this.#waiting.parentNode !== null)) return;
      if (waiting) this.message.append(this.#waiting);
      else this.#waiting.remove();
    });
    this.catchUp = () => void partial();
    session.addEventListener("finished", () => {
      const { files, setup, dataset } = session;
      if (!files || !setup) return;
      void this.#take(
        "Reading the results…",
        async () => {
          const run = await openRun(files, "this page");
          this.known.remember(run, setup, dataset);
          return run;
        },
        "The results cannot be read",
        "finished",
      );
    });
  }

  /** Whether it could be opened; null where something else was opened meanwhile. */
  async #take(words: string, open: () => Promise<Run>, title: string, state: "ready" | "finished" = "ready"): Promise<boolean | null> {
    const mine = ++this.#turn;
    if (!this.current) fill(this.message, h("p", { class: "muted loading" }, words));
    try {
      const run = await open();
      if (mine !== this.#turn) return null;
      this.#show(run);
      enter(state);
      this.known.recognise(run).then(
        () => this.dispatchEvent(new Event("shown")),
        () => undefined,
      );
      return true;
    } catch (reason) {
      // The host's own runs are offered instead.
      await this.#catalog;
      if (mine !== this.#turn) return null;
      enter("unreadable");
      fill(this.message, errorBox(asEngineError(reason), this.#elsewhere(), title));
      this.dispatchEvent(new Event("unreadable"));
      return false;
    }
  }

  #show(run: Run): void {
    fill(this.message);
    // The results have a heading of their own.
    this.heading.hidden = true;
    const before = this.current;
    this.current = run;
    this.view?.show(run);
    this.dispatchEvent(new Event("shown"));
    if (before && before !== run) before.close();
  }

  #elsewhere(): Child[] {
    const runs = this.shared.catalog?.runs ?? [];
    return [
      runs.slice(0, MOST_OFFERED).map((run) => h("button", { onclick: () => void this.openUrl(run.url) }, `Open ${shown(run.title)}`)),
      h("a", { class: "button", href: "#/setup" }, "Set up a run"),
    ];
  }

  #hostGone(): void {
    this.#noCatalog({ kind: "network", message: "catalog.json: no answer, and no copy of it was kept in this browser" }, "The page's host does not answer");
  }

  #noCatalog(error: EngineError, title: string): void {
    enter("unreadable");
    fill(this.message, errorBox(error, h("button", { onclick: () => location.reload() }, "Try again"), title));
    this.dispatchEvent(new Event("unreadable"));
  }

  #empty(): void {
    enter("empty");
    fill(
      this.message,
      h(
        "div",
        { class: "box", "data-test": "empty" },
        h("h2", null, "No run to show yet"),
        h(
          "p",
          null,
          "saescope runs a language model and its sparse autoencoders over triples of a prompt, a fact and a hallucination, measures the active features, and shows every difference beside its length control.",
        ),
        h("p", null, "Set up a run, or open one: drop its files anywhere on this page."),
        h("div", { class: "actions" }, h("a", { class: "button primary", href: "#/setup" }, "Set up a run")),
      ),
    );
  }
}
