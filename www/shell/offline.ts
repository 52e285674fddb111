// The page without a network: its service worker, what is kept, and what the page says about it.
// data-kept on <html> is `going`, `yes` or `no`.

import type { HostAnswers, Keep, Kept, ToServiceWorker } from "../keeping";
import { shown } from "../foreign";
import { fill, h } from "../ui/dom";
import { besidePage, deleteKeptRuns } from "../state/keptRuns";
import { hostAnswers, network, noteAnswer } from "../state/network";
import type { Notices } from "./notices";

/** Longer than any browser lets a service worker work on one message. */
const LONGEST = 6 * 60_000;

/** Says when the host does not answer. */
export function watchNetwork(notices: Notices): void {
  noteAnswer(true);
  network.addEventListener("change", () =>
    notices.set(
      "offline",
      hostAnswers()
        ? null
        : {
            tone: "info",
            title: "The page's host does not answer.",
            text: "Shown is what was kept in this browser. Kept runs, and models that are in storage, work as before; nothing new can be downloaded.",
          },
    ),
  );
  navigator.serviceWorker?.addEventListener("message", ({ data }: MessageEvent<HostAnswers>) => {
    if (data.type === "host") noteAnswer(data.answers);
  });
}

/** Why this browser keeps nothing, or null. */
function whyNot(): string | null {
  if (import.meta.env.DEV) return "this is a development server";
  if (!isSecureContext) return "the page was not loaded over https";
  if (!("serviceWorker" in navigator)) return "this browser has no service workers, or not in a private window";
  const saving = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData;
  return saving ? "this browser is told to save data" : null;
}

let registered: (registration: ServiceWorkerRegistration) => void;
let refused: (reason: unknown) => void;
const registration = new Promise<ServiceWorkerRegistration>((resolve, reject) => {
  registered = resolve;
  refused = reject;
});
// whoever waits for it says so
registration.catch(() => undefined);

/** Installs the service worker and offers a reload when there is a newer version. */
export async function installWorker(notices: Notices): Promise<void> {
  if (import.meta.env.DEV || !("serviceWorker" in navigator) || !isSecureContext) return;
  let reloads = false;
  const offer = (worker: ServiceWorker) => {
    const reload = h(
      "button",
      {
        "data-test": "reload-version",
        onclick: () => {
          reloads = true;
          worker.postMessage({ type: "take-over" } satisfies ToServiceWorker);
        },
      },
      "Reload",
    );
    notices.set("version", { tone: "info", title: "A new version of this page is here.", text: "", actions: [reload], closable: true });
  };
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (reloads) location.reload();
  });
  try {
    const made = await navigator.serviceWorker.register(new URL("sw.js", document.baseURI));
    const watch = (worker: ServiceWorker) =>
      worker.addEventListener("statechange", () => {
        // Without a controller this is the first visit, not a newer version.
        if (worker.state === "installed" && navigator.serviceWorker.controller) offer(worker);
      });
    if (made.waiting && navigator.serviceWorker.controller) offer(made.waiting);
    if (made.installing) watch(made.installing);
    made.addEventListener("updatefound", () => made.installing && watch(made.installing));
    registered(made);
  } catch (reason) {
    // Only the offline mode is lost.
    refused(reason);
  }
}

/** The service worker, once it answers for the page's next visit. */
async function activeWorker(): Promise<ServiceWorker> {
  const made = await registration;
  const worker = made.active ?? made.waiting ?? made.installing;
  if (!worker) throw new Error("the page's own files could not be fetched again");
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new Error("the page's own files could not be fetched again"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
  return worker;
}

async function ask(keep: Keep): Promise<Kept> {
  const worker = await activeWorker();
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    const late = setTimeout(() => reject(new Error("the browser ended the service worker")), LONGEST);
    port1.onmessage = ({ data }: MessageEvent<Kept>) => {
      clearTimeout(late);
      port1.close();
      resolve(data);
    };
    worker.postMessage(keep, [port2]);
  });
}

let line: HTMLElement | null = null;
let turn = 0;
/** What was asked last, and whether a run is part of it. */
let going: Promise<unknown> = Promise.resolve();
let withRun = false;

function say(kept: "going" | "yes" | "no", words: string): void {
  line ??= h("p", { class: "muted", "data-test": "kept", role: "status" });
  if (!line.isConnected) document.querySelector("#footer")!.append(line);
  fill(line, words);
  document.documentElement.dataset.kept = kept;
}

/**
 * Keeps for offline use, in one step, what the view on the screen needs: the page, its engine,
 * catalog.json, and the files of the run that is shown, if it is a host's. Says how that went.
 */
export async function keepOffline(run: { folder: string; files: string[] } | null): Promise<void> {
  const mine = ++turn;
  withRun = run !== null;
  const what = run ? `this page, its engine, and the run in ${shown(besidePage(run.folder))}` : "this page and its engine";
  let kept: Kept;
  const reason = whyNot();
  if (reason) kept = { kept: false, reason };
  else {
    say("going", `Keeping for offline use: ${what} …`);
    const catalog = new URL("catalog.json", document.baseURI).href;
    const asked = ask({ type: "keep", catalog, run: run?.files ?? [] }).catch(
      (failure: unknown): Kept => ({ kept: false, reason: failure instanceof Error ? failure.message : String(failure) }),
    );
    going = asked;
    kept = await asked;
  }
  // another view has come meanwhile
  if (mine !== turn) return;
  if (kept.kept) {
    noteAnswer(kept.answers);
    const elsewhere = kept.answers && !kept.runAnswers;
    say("yes", `Kept for offline use: ${what}.${elsewhere ? " The run's host does not answer: shown is what was kept of it." : ""}`);
  } else say("no", `Not kept for offline use: ${kept.reason}.`);
}

/** Deletes all kept runs, also the one that is being kept; that on the screen is then kept no more. */
export async function forgetRuns(): Promise<void> {
  await going;
  await deleteKeptRuns();
  if (withRun) say("no", "Not kept for offline use: kept runs were deleted.");
}
