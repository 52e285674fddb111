// Which model and which texts belong to a run that is shown. The run's files hold numbers only; texts
// come from the built-in set, or from the user's own data while this page holds it.

import type { CalibrateWith, DataChoice, DatasetInfo, ModelChoice, Sample, Setup, Subject } from "../engine/protocol";
import type { Manifest, Run } from "../data/run";
import { dataOf, subjectOf, type Draft } from "./draft";
import type { Shared } from "./state";

type Texts = Map<string, Sample>;

/** Remembers what runs made here were made with; recognises the rest by their manifest. */
export class Known {
  #setups = new WeakMap<Run, Setup>();
  #texts = new WeakMap<Run, Texts>();

  constructor(
    readonly draft: Draft,
    readonly shared: Shared,
  ) {}

  /** A run that this page made, or is making. */
  remember(run: Run, setup: Setup, dataset: DatasetInfo | null): void {
    this.#setups.set(run, setup);
    if (dataset) this.#texts.set(run, new Map(dataset.samples.map((sample) => [sample.id, sample])));
  }

  /** Reads the built-in texts where the run's manifest names exactly them. */
  async recognise(run: Run): Promise<void> {
    const file = run.manifest?.dataset.files[0];
    if (!isBuiltin(run) || !file) return;
    const { default: text } = await import("../../crate/dataset/builtin.jsonl?raw");
    const bytes = new TextEncoder().encode(text);
    if (bytes.length !== file.bytes) return;
    if (file.sha256 && crypto.subtle && (await sha256(bytes)) !== file.sha256) return;
    const samples = text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Sample);
    this.#texts.set(run, new Map(samples.map((sample) => [sample.id, sample])));
  }

  texts(run: Run, sampleId: string): Sample | null {
    return this.#texts.get(run)?.get(sampleId) ?? null;
  }

  subject(run: Run): Subject | null {
    const made = this.#setups.get(run);
    if (made) return made.subject;
    const { manifest } = run;
    if (!manifest) return null;
    try {
      const subject = subjectOf(this.draft.fields);
      if (subject.model.kind !== "known" && fits(subject.model, manifest) && layersFit(subject, run)) return subject;
    } catch {
      // An unfinished set-up fits nothing.
    }
    const { name } = manifest.model;
    const names = [...__KNOWN_MODELS__, ...this.shared.models.map((model) => model.name)];
    if (!names.includes(name)) return null;
    return { model: { kind: "known", name }, saes: [], store: true };
  }

  /** What a run's model and data can be had by, to measure texts beside its own; null without a model. The engine sees
   *  to it that they are the run's. */
  with(run: Run): CalibrateWith | null {
    const subject = this.subject(run);
    if (subject === null) return null;
    const made = this.#setups.get(run);
    const data = made?.data ?? this.#data(run);
    return { subject, device: made?.device ?? "auto", ...(data ? { data } : {}) };
  }

  #data(run: Run): DataChoice | null {
    if (isBuiltin(run)) return { kind: "builtin" };
    try {
      // the set-up's, where it may be the run's
      return this.draft.fields.dataKind === "upload" ? dataOf(this.draft.fields) : null;
    } catch {
      return null;
    }
  }
}

/** Whether a run is of the built-in triples, by what its manifest says. */
function isBuiltin({ manifest }: Run): boolean {
  const files = manifest?.dataset.files ?? [];
  return files.length === 1 && /^built-?in$/.test(files[0]?.path ?? "");
}

function layersFit(subject: Subject, run: Run): boolean {
  const layers = subject.saes.map((sae) => sae.layer);
  return run.layers.every((layer) => layers.includes(layer));
}

function fits(model: ModelChoice, manifest: Manifest): boolean {
  const files = manifest.model.files.map((file) => file.path);
  switch (model.kind) {
    case "known":
      return model.name === manifest.model.name;
    case "hub":
      return manifest.model.source.includes(model.repo);
    case "url":
      return manifest.model.source === model.url || files.includes(model.url);
    case "files":
      return model.files.some((file) => files.some((path) => path === file.name || path.endsWith(`/${file.name}`)));
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
