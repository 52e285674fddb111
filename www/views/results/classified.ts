// The panel below those of a run of how well all features together, length and the residual stream tell facts from
// hallucinations, where its manifest says so.

import type { Run } from "../../data/run";
import { h } from "../../ui/dom";
import type { Part } from "./calibrated";
import { classifierPanels } from "./classifiers";
import { panel, type Panel, type PanelContext } from "./panel";

/** Builds the part. */
export function classifierPart(context: PanelContext): Part {
  // classifiers are of all samples, whatever domain the panels above show
  const whole: PanelContext = { ...context, view: () => ({ ...context.view(), domain: null }) };
  const element = h("div", { class: "beside" });
  let run: Run | null = null;
  let panels: Panel[] = [];
  const clear = () => {
    for (const one of panels) one.destroy();
    [run, panels] = [null, []];
    element.replaceChildren();
  };
  return {
    element,
    show(next) {
      if (next === run) return;
      clear();
      run = next;
      panels = classifierPanels(next).map((spec) => panel(spec, whole));
      element.replaceChildren(...panels.map((one) => one.element));
    },
    redraw() {
      for (const one of panels) one.redraw();
    },
    clear,
  };
}
