// What the views get from the page around them.

import type { Sample, Subject } from "../engine/protocol";
import type { Run } from "../data/run";
import type { EngineClient } from "../engine/client";

export interface PageContext {
  engine: EngineClient;
  /** Goes to a hash route, such as `#/results`. */
  navigate(hash: string): void;
  /** Says a text through the page's live region. */
  announce(text: string): void;
  /** The model and SAEs that a run was made with: the set-up's where it fits the run's manifest,
   *  else a known model of the manifest's name, else null. */
  subject(run: Run): Subject | null;
  /** A sample's texts, from the built-in set or the user's data set; null where unknown. */
  texts(run: Run, sampleId: string): Sample | null;
}
