// What stands below the panels of a run: which features differ and how well all of them together tell, and whether the
// instrument works here. What has to be read for it is read when somebody comes near. A script of its own, so that the first panels do not wait for it.

import type { Run } from "../../data/run";
import { reportOf } from "../../export/report";
import type { PageContext } from "../../state/context";
import { h } from "../../ui/dom";
import { calibrationPart, type Part } from "./calibrated";
import { classifierPart } from "./classified";
import { featurePart } from "./featureTable";
import type { PanelContext } from "./panel";

/** The parts in one element, and the run's report with what they know. */
export interface Below extends Part {
  report(run: Run): Promise<Blob>;
}

/** Builds them. */
export function below(page: PageContext, context: PanelContext): Below {
  const features = featurePart(page);
  const parts: Part[] = [features, classifierPart(context), calibrationPart(page, context)];
  const each = (act: (part: Part) => void) => parts.forEach(act);
  return {
    element: h("div", { class: "panels below" }, parts.map(({ element }) => element)),
    show: (run) => each((part) => part.show(run)),
    redraw: () => each((part) => part.redraw()),
    clear: () => each((part) => part.clear()),
    report: async (run) => reportOf(run, await features.words(run)),
  };
}
