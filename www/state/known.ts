// Which model and which texts belong to a run that is shown. The run's files hold numbers only; texts
// come from the built-in set, or from the user's own data while this page holds it.

import type { DatasetInfo, ModelChoice, Sample, Setup, Subject } from "../engine/protocol";
import type { Manifest, Run } from "../data/run";
import { subjectOf, type Draft } from "./draft";
import type { Shared } from "./state";

type Texts = Map<string, Sample>;

/** Remembers what runs made here were made with; recognises the rest by their manifest. */
export class Known {
  #subjects = new WeakMap<Run, Subject>();
  #texts = new WeakMap<Run, Texts>();

  constructor(
    readonly draft: Draft,
    readonly shared: Shared,
  ) {}

  /** A run that this page made, or is making. */
  remember(run: Run, setup: Setup, dataset: DatasetInfo | null): void {
    this.#subjects.set(run, setup.subject);
    if (dataset) this.#texts.set(run, new Map(dataset.samples.map((sample) => [sample.id, sample])));
  }

  /** Reads the built-in texts where the run's manifest names exactly them. */
  async recognise(run: Run): Promise<void> {
    const file = run.manifest?.dataset.files[0];
    if (run.manifest?.dataset.files.length !== 1 || !file || !/^built-?in$/.test(file.path)) return;
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
    const made = this.#subjects.get(run);
    if (made) return made;
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
