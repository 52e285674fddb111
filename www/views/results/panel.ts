// A panel's frame: title, how to read it, controls, the plot, its table, and SVG and PNG buttons.

import { cut, shown } from "../../foreign";
import { fill, h, type Child } from "../../ui/dom";
import { savePng, saveSvg, type Figure } from "../../export/index";
import type { View } from "./aggregate";
import type { Chart } from "./chart";
import { attachPointer, type Point } from "./pointer";
import { dataTable, type Alternative } from "../../ui/table";
import type { Theme } from "../../ui/theme";

/** What a panel's plot is drawn from. */
export interface Drawing {
  /** The plot; null where there is nothing to draw, and then `empty` says why. */
  plot: Chart | null;
  empty?: string;
  points?: Point[];
  reach?: number;
  /** One line about what is seen: shown under the plot, and the plot's name for screen readers. */
  caption: string;
  legend?: Child[];
  table: () => Alternative;
}

export interface PanelSpec {
  id: string;
  title: string;
  /** One sentence on how to read it. */
  how: string;
  size: "half" | "third" | "wide";
  /** Controls of the panel; `redraw` after a change. */
  controls?(redraw: () => void): Child[];
  /** What stands below the plot; `redraw` after a change. */
  after?(redraw: () => void): Child[];
  draw(view: View, theme: Theme, width: number): Drawing;
}

export interface PanelContext {
  view(): View;
  theme(): Theme;
  /** Queues a drawing; `first` puts it before what waits. */
  queue(key: string, job: () => void, first?: boolean): void;
  /** Opens a sample's view; a document that has none leaves it out. */
  open?(sampleId: string): void;
  say(text: string): void;
}

export interface Panel {
  element: HTMLElement;
  /** Queues a fresh drawing. */
  redraw(): void;
  /** Draws at once, at the width that it is laid out with now: paper waits for no queue. */
  drawNow(): void;
  destroy(): void;
}

/** Builds a panel; nothing is drawn before `redraw`. */
export function panel(spec: PanelSpec, context: PanelContext): Panel {
  const { id, title, how } = spec;
  const plotHost = h("div", {
    class: "plot-host",
    id: `panel-${id}-plot`,
    tabindex: 0,
    role: "group",
    "aria-labelledby": `panel-${id}-title`,
    "aria-describedby": `panel-${id}-caption`,
  });
  const caption = h("p", { class: "caption", id: `panel-${id}-caption` });
  const legend = h("div", { class: "legend" });
  const tableHost = h("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": `${title}, as a table` });
  const details = h("details", { class: "as-table" }, h("summary", null, "Show as table"), tableHost);
  let drawing: Drawing | null = null;
  let detach = () => {};
  let width = 0;
  let drawnWidth = 0;

  const buttons = savers(spec, context, () => drawing?.plot ?? null, legend, caption);

  const fillTable = () => {
    if (!details.open || drawing === null) return;
    const table = drawing.table();
    tableHost.replaceChildren(...dataTable(context.open === undefined ? unlinked(table) : table));
  };
  details.addEventListener("toggle", fillTable);

  // Drawing and showing take a slot each: either alone is short.
  const draw = () => {
    // A panel that is not laid out has no width to draw for; it is drawn when it gets one.
    if (width === 0) return;
    drawnWidth = width;
    const next = spec.draw(context.view(), context.theme(), width);
    context.queue(`${id}, show`, () => show(next), true);
  };
  const show = (next: Drawing) => {
    detach();
    detach = () => {};
    drawing = next;
    const { plot, empty, reach = 18 } = next;
    const { open } = context;
    const points = (next.points ?? []).map((point) => (open === undefined ? { ...point, sampleId: undefined } : point));
    for (const button of buttons) button.disabled = plot === null;
    if (plot === null) {
      plotHost.replaceChildren(h("p", { class: "empty" }, empty ?? "Nothing to draw."));
    } else {
      plot.setAttribute("aria-label", cut(`${title}. ${next.caption}`));
      plotHost.replaceChildren(plot);
      const color = context.theme().fg;
      detach = attachPointer(plotHost, plot, { points, reach, color, open: open ?? (() => {}), say: context.say });
    }
    fill(caption, next.caption);
    legend.replaceChildren();
    if (plot !== null) legend.append(...((next.legend ?? []).filter((item) => item instanceof Node) as Node[]));
    element.dataset.drawn = "true";
    fillTable();
  };
  // The width comes from the observer: asking for it would lay the page out in between.
  const redraw = () => {
    if (width > 0) context.queue(id, draw);
  };

  const resize = new ResizeObserver((entries) => {
    width = Math.floor(entries.at(-1)?.contentRect.width ?? 0);
    if (width > 0 && width !== drawnWidth) redraw();
  });
  resize.observe(plotHost);

  const element = h(
    "section",
    { class: `panel ${spec.size}`, "data-test": `panel-${id}`, "aria-labelledby": `panel-${id}-title` },
    h("header", null, h("h2", { id: `panel-${id}-title` }, title), h("div", { class: "panel-actions" }, buttons)),
    h("p", { class: "how" }, how),
    spec.controls === undefined ? null : h("div", { class: "controls" }, spec.controls(redraw)),
    legend,
    plotHost,
    spec.after === undefined ? null : h("div", { class: "after" }, spec.after(redraw)),
    caption,
    details,
  );
  return {
    element,
    redraw,
    drawNow() {
      width = Math.floor(plotHost.clientWidth);
      if (width === 0) return;
      drawnWidth = width;
      show(spec.draw(context.view(), context.theme(), width));
    },
    destroy() {
      resize.disconnect();
      detach();
    },
  };
}

/** A table whose samples have no view to go to. */
function unlinked(table: Alternative): Alternative {
  const rows = table.rows.map((row) => row.map((cell) => (typeof cell === "object" ? cell.text : cell)));
  return { ...table, rows };
}

/** Buttons that save a panel's plot with its legend. */
function savers({ id, title }: PanelSpec, context: PanelContext, plot: () => Chart | null, legend: HTMLElement, caption: HTMLElement): HTMLButtonElement[] {
  const figure = (): Figure | null => {
    const svg = plot();
    if (svg === null) return null;
    const { run, domain } = context.view();
    const theme = context.theme();
    const part = domain === null ? "all domains" : `domain ${domain}`;
    const model = run.manifest?.model.name ?? "unknown model";
    const subtitle = [model, part, run.manifest?.run_id ?? run.origin].map((name) => shown(name)).join(", ");
    const keys = [...legend.querySelectorAll<HTMLElement>(".legend-item")].map((item) => ({
      color: item.querySelector<HTMLElement>(".key")?.style.getPropertyValue("--key") ?? theme.fg,
      text: item.textContent ?? "",
    }));
    return { svg, legend: keys, title, subtitle, background: theme.bg, ink: theme.fg, muted: theme.muted };
  };
  const name = () => `${context.view().run.manifest?.run_id ?? "run"}-${id}`;
  const saver = (label: string, action: (figure: Figure, name: string) => void | Promise<void>) =>
    h(
      "button",
      {
        type: "button",
        class: "small quiet",
        "data-test": `${label.toLowerCase()}-${id}`,
        "aria-label": `Save ${title} as ${label}`,
        onclick: async () => {
          const drawn = figure();
          if (drawn === null) return;
          try {
            await action(drawn, name());
            context.say(`${title} saved as ${label}`);
          } catch (reason) {
            fill(caption, `${label} could not be saved: ${reason instanceof Error ? reason.message : String(reason)}`);
          }
        },
      },
      label,
    );
  return [saver("SVG", saveSvg), saver("PNG", savePng)];
}
