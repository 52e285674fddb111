// Paper: light colours, and every plot drawn anew at the width that it has on the sheet. Print waits for no
// queue and no observer, so all of it happens in the event.

import type { Panel } from "../views/results/panel";

/** What a plot drawn for paper is printed at; report.css has the same widths. */
const SMALLER = 186 / 232;
/** Pixels of a letter sheet that a panel's plot can have beside its words. */
const LONGEST = 860;

/** Makes print what it should be. `panels` are those that stand now; `retheme` forgets the colours. */
export function onPaper(panels: () => Panel[], retheme: () => void): void {
  const root = document.documentElement;
  let before: string | undefined;
  let closed: HTMLDetailsElement[] = [];
  const draw = (): void => {
    retheme();
    for (const panel of panels()) panel.drawNow();
  };
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    root.dataset.paper = "";
    // what is folded on the screen is wanted on paper, but for tables of numbers
    closed = [...document.querySelectorAll<HTMLDetailsElement>("details.provenance:not([open])")];
    for (const one of closed) one.open = true;
    draw();
    // no sheet holds it, and a plot cannot be cut in two
    for (const plot of document.querySelectorAll<SVGSVGElement>(".panel svg.plot")) {
      const high = plot.height.baseVal.value * SMALLER;
      plot.closest<HTMLElement>(".panel")?.classList.toggle("too-long", high > LONGEST);
    }
  });
  addEventListener("afterprint", () => {
    if (before === undefined) delete root.dataset.theme;
    else root.dataset.theme = before;
    delete root.dataset.paper;
    for (const one of closed) one.open = false;
    draw();
  });
}
