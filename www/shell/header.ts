// What surrounds the views: theme, opening runs, footer.

import { fill, h } from "../ui/dom";

type Theme = "auto" | "light" | "dark";
const THEMES: Theme[] = ["auto", "light", "dark"];
const KEY = "saescope-theme";

function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY) as Theme | null;
    return stored && THEMES.includes(stored) ? stored : "auto";
  } catch {
    return "auto";
  }
}

/** Puts the stored theme on the page; the first thing done, so that it does not flash. */
export function applyTheme(theme: Theme = storedTheme()): void {
  const root = document.documentElement;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
}

function themeButton(): HTMLElement {
  let theme = storedTheme();
  const words = () => `Theme: ${theme === "auto" ? "system" : theme}`;
  const button = h(
    "button",
    {
      class: "quiet",
      "data-test": "theme",
      title: "Light, dark, or as the system has it",
      onclick: () => {
        theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
        applyTheme(theme);
        try {
          localStorage.setItem(KEY, theme);
        } catch {
          // Without storage the choice lasts as long as the page.
        }
        button.textContent = words();
      },
    },
    words(),
  );
  return button;
}

/** Fills header and footer. `open` gets run files that were picked or dropped. */
export function mountHeader(open: (files: File[]) => void): void {
  const input = h("input", {
    type: "file",
    multiple: true,
    class: "unseen",
    tabindex: -1,
    "aria-hidden": "true",
    "data-test": "open-run-file",
    accept: ".parquet,.json",
    onchange: () => {
      const files = [...(input.files ?? [])];
      input.value = "";
      if (files.length) open(files);
    },
  });
  const pick = h("button", { class: "quiet", "data-test": "open-run", title: "metrics.parquet and the files beside it", onclick: () => input.click() }, "Open run…");
  fill(document.querySelector("#tools")!, pick, input, themeButton());

  fill(
    document.querySelector("#footer")!,
    h("p", null, "Prompts, texts and results stay on this machine: everything is computed in this tab. Only models that you name are downloaded."),
    h("p", { class: "muted", "data-test": "version" }, `saescope ${__VERSION__}, commit ${__COMMIT__}`),
  );

  acceptDrops(open);
}

function acceptDrops(open: (files: File[]) => void): void {
  const sheet = document.querySelector<HTMLElement>("#drop")!;
  let depth = 0;
  const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  const show = (on: boolean) => {
    sheet.hidden = !on;
  };
  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event) || document.documentElement.dataset.view === "setup") return;
    depth += 1;
    show(true);
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) show(false);
  });
  addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    depth = 0;
    show(false);
    if (!carriesFiles(event)) return;
    event.preventDefault();
    // Set up takes data files of its own; elsewhere a drop is a run.
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) open(files);
  });
}
