// What the views get from the page around them.

import type { CalibrateWith, Sample, Subject } from "../engine/protocol";
import type { Run } from "../data/run";
import type { EngineClient } from "../engine/client";
import type { Labels } from "./labels";

export interface PageContext {
  engine: EngineClient;
  /** Labels of features that the user gave. */
  labels: Labels;
  /** Starts the engine where it does not run yet; false where it cannot, and the page says why. */
  ready(): Promise<boolean>;
  /** Goes to a hash route, such as `#/results`. */
  navigate(hash: string): void;
  /** Says a text through the page's live region. */
  announce(text: string): void;
  /** The model and SAEs that a run was made with: the set-up's where it fits the run's manifest,
   *  else a known model of the manifest's name, else null. */
  subject(run: Run): Subject | null;
  /** What the run's model and data can be had by, to measure texts beside its own; null where its model cannot. */
  calibrateWith(run: Run): CalibrateWith | null;
  /** A sample's texts, from the built-in set or the user's data set; null where unknown. */
  texts(run: Run, sampleId: string): Sample | null;
}
