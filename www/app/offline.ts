// The service worker's side of the page, and what being offline means.

import { h } from "./dom";
import type { Notices } from "./notices";

/** Says when the network is gone. */
export function watchNetwork(notices: Notices): void {
  const tell = () => {
    document.documentElement.dataset.online = navigator.onLine ? "yes" : "no";
    notices.set(
      "offline",
      navigator.onLine
        ? null
        : {
            tone: "info",
            title: "You are offline.",
            text: "Opened runs, and models that are in storage, work as before; nothing new can be downloaded.",
          },
    );
  };
  addEventListener("online", tell);
  addEventListener("offline", tell);
  tell();
}

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
          worker.postMessage({ type: "take-over" });
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
    const registration = await navigator.serviceWorker.register(new URL("sw.js", document.baseURI));
    const watch = (worker: ServiceWorker) =>
      worker.addEventListener("statechange", () => {
        // Without a controller this is the first visit, not a newer version.
        if (worker.state === "installed" && navigator.serviceWorker.controller) offer(worker);
      });
    if (registration.waiting && navigator.serviceWorker.controller) offer(registration.waiting);
    if (registration.installing) watch(registration.installing);
    registration.addEventListener("updatefound", () => registration.installing && watch(registration.installing));
  } catch {
    // A browser that refuses (private window) only loses the offline mode.
  }
}

/** Keeps for offline use what the page reads before its worker is there: the engine and run files. */
export async function keepOffline(urls: string[]): Promise<void> {
  if (!("serviceWorker" in navigator) || !isSecureContext || import.meta.env.DEV) return;
  const saving = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData;
  if (saving) return;
  const registration = await navigator.serviceWorker.ready;
  registration.active?.postMessage({ type: "keep", urls });
}
