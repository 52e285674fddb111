// The view Storage: what the browser keeps of models and SAEs, and how to let it go.

import type { StorageInfo } from "../protocol";
import type { PageContext } from "./context";
import { fill, h } from "./dom";
import { asEngineError } from "./engine";
import { bytes, counted } from "./format";
import { errorBox, sentence } from "./words";

/** Builds the view. `refresh` reads the list again. */
export function mountStorage(
  host: HTMLElement,
  page: PageContext,
  ready: () => Promise<boolean>,
  changed: () => void,
): { refresh(): void } {
  const place = h("div", { class: "stack" }, h("p", { class: "muted loading" }, "Reading what is stored…"));
  fill(
    host,
    h(
      "div",
      { class: "view" },
      h("h1", null, "Storage"),
      h(
        "p",
        { class: "muted" },
        "Downloaded models and SAEs are kept in this browser's private file system, for this page alone, and so are runs that were opened from the page's host. Texts that you give and runs that you compute are not kept.",
      ),
      place,
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

  /** A button that asks once more before it deletes. */
  function remove(label: string, spoken: string, key: string | undefined, test: string): HTMLElement {
    let sure = 0;
    const button = h("button", {
      class: "quiet",
      "data-test": test,
      "aria-label": spoken,
      onclick: () => {
        if (sure) {
          clearTimeout(sure);
          button.disabled = true;
          void ask(key);
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

  function show(info: StorageInfo): void {
    const quota =
      info.usage === undefined || info.usage === null || !info.quota
        ? null
        : h(
            "div",
            { class: "stack" },
            h(
              "p",
              { "data-test": "quota" },
              `This site uses ${bytes(info.usage)} of the ${bytes(info.quota)} that the browser allows it.`,
            ),
            h("progress", { max: info.quota, value: info.usage, "aria-label": "Storage in use" }),
          );
    if (info.unavailable) {
      fill(
        place,
        h(
          "div",
          { class: "box" },
          h("h2", null, "Nothing can be stored here"),
          h("p", null, sentence(info.unavailable)),
          h("p", { class: "hint" }, "Runs work all the same; each downloads its model anew."),
        ),
      );
      return;
    }
    if (!info.items.length) {
      fill(place, h("div", { class: "box", "data-test": "storage-empty" }, h("h2", null, "Nothing is stored"), h("p", null, "A run or a sentence under Explore stores what it downloads, unless “keep downloads” is off.")), quota);
      return;
    }
    fill(
      place,
      quota,
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
                h("td", null, remove("Delete", `Delete ${item.name}`, item.key, "storage-delete")),
              ),
            ),
          ),
        ),
      ),
      h(
        "div",
        { class: "actions" },
        remove("Delete all", "Delete all stored files", undefined, "storage-delete-all"),
        h("p", { class: "muted" }, `${counted(info.items.length, "file")}, ${bytes(info.bytes)}`),
      ),
    );
  }

  async function refresh(): Promise<void> {
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
