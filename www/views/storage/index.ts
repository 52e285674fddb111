// The view Storage: what the browser keeps of models, SAEs and runs, and how to let it go.

import type { StorageInfo } from "../../engine/protocol";
import type { PageContext } from "../../state/context";
import { fill, h, type Child } from "../../ui/dom";
import { asEngineError } from "../../engine/failure";
import { bytes, counted } from "../../ui/format";
import { keptRuns, type KeptRun } from "../../state/keptRuns";
import { errorBox, sentence } from "../../ui/words";

/** Builds the view. `refresh` reads the list again. */
export function mountStorage(
  host: HTMLElement,
  page: PageContext,
  ready: () => Promise<boolean>,
  changed: () => void,
  forgetRuns: () => Promise<void>,
): { refresh(): void } {
  const place = h("div", { class: "stack" }, h("p", { class: "muted loading" }, "Reading what is stored…"));
  const runs = h("div", { class: "stack" });
  fill(
    host,
    h(
      "div",
      { class: "view" },
      h("h1", null, "Storage"),
      h(
        "p",
        { class: "muted" },
        "Downloaded models and SAEs are kept in this browser's private file system, for this page alone. So that it opens without a network, the page keeps itself, its engine, and runs that were opened by an address, up to 50 MB each. Runs that you compute, and the texts of theirs that you gave, are kept only until they are finished, so that they can go on after the tab was closed.",
      ),
      place,
      runs,
    ),
  );

  async function ask(key?: string): Promise<void> {
    try {
      const info = await page.engine.call<"delete">({ type: "delete", ...(key === undefined ? {} : { key }) });
      show(info);
      page.announce("Deleted.");
      changed();
    } catch (reason) {
      fill(place, errorBox(asEngineError(reason)));
    }
  }

  async function askRuns(): Promise<void> {
    try {
      await forgetRuns();
      page.announce("Deleted.");
      await listRuns();
    } catch (reason) {
      fill(runs, errorBox(asEngineError(reason)));
    }
  }

  function show(info: StorageInfo): void {
    fill(place, stored(info, ask));
  }

  async function listRuns(): Promise<void> {
    fill(runs, runList(await keptRuns(), remove("Delete kept runs", "Delete kept runs", askRuns, "storage-delete-runs")));
  }

  async function refresh(): Promise<void> {
    listRuns().catch((reason: unknown) => fill(runs, errorBox(asEngineError(reason))));
    if (!(await ready())) {
      fill(place, h("p", { class: "muted" }, "The engine is not running; see above."));
      return;
    }
    try {
      show(await page.engine.call<"storage">({ type: "storage" }));
    } catch (reason) {
      fill(place, errorBox(asEngineError(reason)));
    }
  }

  return { refresh: () => void refresh() };
}

/** The stored files, each with a button that deletes it; or why there are none. */
function stored(info: StorageInfo, ask: (key?: string) => Promise<void>): Child {
  if (info.unavailable) {
    return h(
      "div",
      { class: "box" },
      h("h2", null, "No model can be stored here"),
      h("p", null, sentence(info.unavailable)),
      h("p", { class: "hint" }, "Runs work all the same; each downloads its model anew."),
    );
  }
  if (!info.items.length) {
    return [h("div", { class: "box", "data-test": "storage-empty" }, h("h2", null, "No model is stored"), h("p", null, "A run or a sentence under Explore stores what it downloads, unless “keep downloads” is off.")), quota(info)];
  }
  return [
    quota(info),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Stored files" },
      h(
        "table",
        { "data-test": "storage-list" },
        h(
          "thead",
          null,
          h("tr", null, h("th", { scope: "col" }, "File"), h("th", { scope: "col" }, "Size"), h("th", { scope: "col" }, h("span", { class: "unseen" }, "Delete"))),
        ),
        h(
          "tbody",
          null,
          info.items.map((item) =>
            h(
              "tr",
              null,
              h("td", { class: "file" }, item.name),
              h("td", { class: "number" }, item.bytes < item.total ? `${bytes(item.bytes)} of ${bytes(item.total)}` : bytes(item.bytes)),
              h("td", null, remove("Delete", `Delete ${item.name}`, () => ask(item.key), "storage-delete")),
            ),
          ),
        ),
      ),
    ),
    h(
      "div",
      { class: "actions" },
      remove("Delete all", "Delete all stored files", () => ask(), "storage-delete-all"),
      h("p", { class: "muted" }, `${counted(info.items.length, "file")}, ${bytes(info.bytes)}`),
    ),
  ];
}

/** How much of its share this site uses, where the browser tells. */
function quota({ usage, quota }: StorageInfo): Child {
  if (usage === undefined || !quota) return null;
  return h(
    "div",
    { class: "stack" },
    h("p", { "data-test": "quota" }, `This site uses ${bytes(usage)} of the ${bytes(quota)} that the browser allows it.`),
    h("progress", { max: quota, value: usage, "aria-label": "Storage in use" }),
  );
}

/** A button that asks once more before it deletes. */
function remove(label: string, spoken: string, action: () => Promise<void>, test: string): HTMLElement {
  let sure = 0;
  const button = h("button", {
    class: "quiet",
    "data-test": test,
    "aria-label": spoken,
    onclick: () => {
      if (sure) {
        clearTimeout(sure);
        button.disabled = true;
        void action();
        return;
      }
      button.textContent = "Delete? Press again";
      button.setAttribute("aria-label", `Delete? Press again: ${spoken}`);
      sure = setTimeout(() => {
        sure = 0;
        button.textContent = label;
        button.setAttribute("aria-label", spoken);
      }, 4000);
    },
  }, label);
  return button;
}

/** Runs that are kept for offline use; nothing where there are none. */
function runList(kept: KeptRun[], remove: HTMLElement): Child {
  if (kept.length === 0) return null;
  const all = kept.reduce((sum, run) => sum + run.bytes, 0);
  const head = h("tr", null, h("th", { scope: "col" }, "Run"), h("th", { scope: "col" }, "Size"));
  const rows = kept.map((run) => h("tr", null, h("td", { class: "file" }, run.name), h("td", { class: "number" }, bytes(run.bytes))));
  return [
    h("h2", null, "Runs kept for offline use"),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Kept runs" },
      h("table", { "data-test": "kept-runs" }, h("thead", null, head), h("tbody", null, rows)),
    ),
    h("div", { class: "actions" }, remove, h("p", { class: "muted" }, `${counted(kept.length, "run")}, ${bytes(all)}`)),
  ];
}
