// Which panels a run's results have, in order.

import type { Run } from "../../data/run";
import { barsPanel } from "./bars";
import { effectsPanel } from "./effects";
import { heatmapPanel } from "./heatmap";
import { lengthPanel, phasePanel } from "./pairs";
import { hasNulls, nullsPanel } from "./nulls";
import type { PanelSpec } from "./panel";
import { scatterPanel } from "./scatter";

export { warmUp } from "./chart";

/** The eight panels of the dashboard, then the phase plot, the length confound and the nulls. `effects` is whose effects
 *  are shown at first: a name among that panel's choices. */
export function panelsOf(run: Run, effects = "all"): PanelSpec[] {
  const first = run.layers[0] ?? "?";
  const [, second, third] = run.layers;
  const pair = second !== undefined && third !== undefined ? `layers ${second} and ${third}` : "the second and third SAE layers";
  return [
    heatmapPanel(
      "reconstruction",
      "Reconstruction error",
      "reconstruction_error",
      "A cell is the mean over a domain’s samples of what the SAE of a layer leaves out of the residual stream. It grows with the layer’s own scale, so compare along a row.",
    ),
    heatmapPanel(
      "sphericity",
      "Sphericity",
      "sphericity",
      "A cell is the mean roundness of the cloud of active features: 1 is a ball, 0 a line or a disc.",
    ),
    scatterPanel(
      "drift",
      "Centroid drift",
      "centroid_drift",
      `Each sample is a dot: the angle between the centroids of prompt and completion at layer ${first}. On the diagonal, fact and hallucination drift alike.`,
    ),
    scatterPanel(
      "twist",
      "Axis twist",
      "axis_twist",
      `Each sample is a dot: the angle between the leading axes of prompt and completion at layer ${first}. On the diagonal, fact and hallucination twist alike.`,
    ),
    barsPanel(
      "stability",
      "Stability under noise",
      "stability",
      `A bar is the mean overlap (Jaccard) of the top 10 features at layer ${first} with and without noise: 1 is unmoved. Dots are samples.`,
      "Without noise in the run there is no stability.",
    ),
    barsPanel(
      "entropy",
      "Activation entropy",
      "entropy",
      `A bar is the mean entropy of the top 50 activations at layer ${first}: higher is more evenly spread. Dots are samples.`,
      "These samples have no entropy.",
    ),
    barsPanel(
      "consistency",
      "Cross-layer consistency",
      "cross_layer_consistency",
      `A bar is the mean cosine of the activation vectors of ${pair}, by feature index. The two dictionaries are unrelated: see the reconstruction cosine in the table for a measure that has a meaning.`,
      `Consistency compares the second and third SAE layers; this run has ${run.layers.length}.`,
    ),
    effectsPanel(run, effects),
    phasePanel(run),
    lengthPanel(run),
    ...(hasNulls(run) ? [nullsPanel()] : []),
  ];
}
