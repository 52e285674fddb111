// Labels of features: explanations that the user gave the page as files. They hold as long as the page; what they
// say is somebody's words, and is shown as that.

import type { EngineClient } from "../engine/client";
import { asEngineError } from "../engine/failure";
import type { EngineError } from "../engine/protocol";

/** The labels of one dictionary. */
export interface LabelledSae {
  /** Its name on Neuronpedia. */
  name: string;
  /** The layer that its name begins with. */
  layer: number | null;
  /** Where its features have their pages: the number is put behind it. */
  pages: string | null;
  labels: ReadonlyMap<number, string>;
}

/** Emits `change` when labels come or go. */
export class Labels extends EventTarget {
  /** Names of the files that were read. */
  files: string[] = [];
  /** Why the last file was refused; null where it was not. */
  error: EngineError | null = null;
  /** A file is being read. */
  reading = false;

  #dictionaries: LabelledSae[] = [];

  constructor(readonly engine: EngineClient) {
    super();
  }

  /** Whether there are any. */
  get any(): boolean {
    return this.#dictionaries.length > 0;
  }

  /** How many, and of how many dictionaries. */
  get size(): { labels: number; dictionaries: string[] } {
    return { labels: this.#dictionaries.reduce((sum, { labels }) => sum + labels.size, 0), dictionaries: this.#dictionaries.map(({ name }) => name) };
  }

  /** Reads files one after the other; of several labels of a feature the first counts. One that is refused leaves what
   *  was there. */
  async take(files: readonly File[]): Promise<void> {
    if (this.reading) return;
    this.#become({ reading: true, error: null });
    for (const file of files) {
      try {
        const found = await this.engine.call<"labels">({ type: "labels", file });
        for (const one of found) {
          const labels = new Map(Array.from(one.features, (feature, i) => [feature, one.labels[i] ?? ""]));
          const known = this.#dictionaries.find(({ name }) => name === one.name);
          const all = known ? new Map([...labels, ...known.labels]) : labels;
          const next = { name: one.name, layer: one.layer ?? null, pages: one.url ?? null, labels: all };
          this.#dictionaries = [...this.#dictionaries.filter(({ name }) => name !== one.name), next];
        }
        this.files.push(file.name);
      } catch (reason) {
        this.#become({ reading: false, error: asEngineError(reason) });
        return;
      }
    }
    this.#become({ reading: false, error: null });
  }

  /** Lets all of them go. */
  forget(): void {
    this.#dictionaries = [];
    this.files = [];
    this.#become({ reading: false, error: null });
  }

  /** The labelled dictionary of an SAE: that of this name where it is known; else the only one whose name has the
   *  layer's number. None where there is none, or several could be meant. */
  of(known: string | undefined, layer: number): LabelledSae | null {
    if (known !== undefined) return this.#dictionaries.find(({ name }) => name === known) ?? null;
    const [one, another] = this.#dictionaries.filter((dictionary) => dictionary.layer === layer);
    return one !== undefined && another === undefined ? one : null;
  }

  #become(next: { reading: boolean; error: EngineError | null }): void {
    Object.assign(this, next);
    this.dispatchEvent(new Event("change"));
  }
}
