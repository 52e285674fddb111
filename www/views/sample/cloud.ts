// The cloud of active features on its principal axes: asked of the engine, drawn in 3-D where the
// browser can, else flat.

import { fill, h } from "../../ui/dom";
import type { PageContext } from "../../state/context";
import { asEngineError } from "../../engine/failure";
import type { Run, SampleFeatures, TextKind } from "../../data/run";
import type { Cloud, Subject } from "../../engine/protocol";
import { key, switcher } from "../../ui/controls";
import { number, percent } from "../../ui/format";
import { onThemeChange, readTheme, type Theme } from "../../ui/theme";
import { activeIn, align, type Aligned } from "./align";
import { flatCloud } from "./flat";
import type { CloudDrawing, CloudScene } from "./scene";

const NAMES: Record<TextKind, string> = { prompt: "prompt", fact: "fact", hall: "hallucination" };

export interface CloudSection {
  element: HTMLElement;
  /** Follows the layer that is chosen elsewhere. */
  layer(layer: number): void;
  destroy(): void;
}

/** A cloud that is shown, and what it is of. */
interface Shown {
  cloud: Cloud;
  active: Aligned[];
  layer: number;
  text: TextKind;
}

/** The section over a sample's active features. */
export function cloudSection(run: Run, row: number, sample: SampleFeatures, page: PageContext, signal: AbortSignal): CloudSection {
  return new Section(run, row, sample, page, signal);
}

class Section implements CloudSection {
  readonly element: HTMLElement;

  #layer: number;
  #text: TextKind = "hall";
  #drawing: CloudDrawing | null = null;
  #shown: Shown | null = null;
  #known = new Map<string, Cloud>();
  #subject: Subject | null;
  #undoTheme: () => void;

  #host = h("div", { class: "cloud-host" });
  #pointed = h("p", { class: "caption cloud-pointed", role: "status" });
  #status = h("p", { class: "caption", role: "status", "data-test": "cloud-status" });
  #legend = h("div", { class: "legend" });
  #button = h("button", { type: "button", "data-test": "show-cloud", onclick: () => void this.#load() });

  constructor(
    readonly run: Run,
    readonly row: number,
    readonly sample: SampleFeatures,
    readonly page: PageContext,
    readonly signal: AbortSignal,
  ) {
    this.#layer = run.layers[0] ?? 0;
    this.#subject = page.subject(run);
    this.#undoTheme = onThemeChange(() => void this.#draw());
    this.element = this.#panel();
    this.#select();
  }

  layer(next: number): void {
    this.#layer = next;
    this.#select();
  }

  destroy(): void {
    this.#undoTheme();
    this.#clear();
  }

  #panel(): HTMLElement {
    return h(
      "section",
      { class: "panel", "data-test": "sample-cloud", "aria-labelledby": "sample-cloud-title" },
      h("h2", { id: "sample-cloud-title" }, "Cloud of active features"),
      h("p", { class: "how" }, "Each active feature is a point at its decoder row, seen on the cloud’s three principal axes; size is activation. The ellipsoid is the weighted covariance that sphericity and dimensionality are computed from."),
      this.#subject === null
        ? h("p", { class: "empty" }, "The decoder rows are in the SAE’s file, and this page cannot tell where this run’s SAEs are: choose the model in Set up.")
        : [
            h(
              "div",
              { class: "controls" },
              switcher<TextKind>("Which text", "cloud-text", [["prompt", "Prompt"], ["fact", "Fact"], ["hall", "Hallucination"]], this.#text, (value) => {
                this.#text = value;
                this.#select();
              }),
              this.#button,
            ),
            this.#legend,
            this.#host,
            this.#pointed,
            this.#status,
          ],
    );
  }

  #clear(): void {
    this.#drawing?.destroy();
    this.#drawing = null;
    this.#shown = null;
    this.#host.replaceChildren();
    this.#legend.replaceChildren();
    this.#pointed.textContent = "";
  }

  #select(): void {
    this.#clear();
    const [layer, text] = [this.#layer, this.#text];
    const n = activeIn(align(this.sample, layer), text).length;
    this.#status.textContent =
      n === 0
        ? `No feature is active in the ${NAMES[text]} at layer ${layer}.`
        : `Reads ${n} ${n === 1 ? "row" : "rows"} of W_dec at layer ${layer} from the SAE’s file and nothing else of it.`;
    this.#button.textContent = `Show the ${NAMES[text]}’s cloud`;
    this.#button.hidden = n === 0;
    this.#button.disabled = false;
    if (this.#known.has(`${layer} ${text}`)) void this.#load();
  }

  async #load(): Promise<void> {
    const subject = this.#subject;
    if (subject === null) return;
    const [layer, text] = [this.#layer, this.#text];
    const active = activeIn(align(this.sample, layer), text);
    this.#button.disabled = true;
    try {
      let cloud = this.#known.get(`${layer} ${text}`);
      if (cloud === undefined) {
        this.#status.textContent = "Reading decoder rows…";
        const request = { type: "cloud" as const, subject, layer, features: active.map((a) => a.feature), activations: active.map((a) => a[text]) };
        cloud = await this.page.engine.call<"cloud">(request, undefined, this.signal);
        this.#known.set(`${layer} ${text}`, cloud);
      }
      if (this.#layer !== layer || this.#text !== text || this.signal.aborted) return;
      this.#button.hidden = true;
      this.#shown = { cloud, active, layer, text };
      await this.#draw();
    } catch (reason) {
      if (this.signal.aborted) return;
      const { message, hint } = asEngineError(reason);
      fill(this.#status, `The cloud could not be computed: ${message}${hint === undefined ? "" : ` (${hint})`}`);
      this.#button.disabled = false;
    }
  }

  async #draw(): Promise<void> {
    const shown = this.#shown;
    if (shown === null) return;
    const theme = readTheme();
    const { drawing, how } = await drawn(shown, theme, (text) => (this.#pointed.textContent = text));
    if (this.signal.aborted || this.#shown?.cloud !== shown.cloud) {
      drawing.destroy();
      return;
    }
    this.#drawing?.destroy();
    this.#drawing = drawing;
    this.#host.replaceChildren(drawing.element);
    this.#legend.replaceChildren(...legendOf(shown.text, theme));
    this.#status.textContent = `${this.#inWords(shown)}. ${how}`;
  }

  #inWords({ cloud, active, layer, text }: Shown): string {
    const [a, , c] = cloud.semi_axes;
    const roundness = a > 0 ? c / a : 0;
    const inFile = text === "prompt" ? NaN : this.run.metrics.number(`l${layer}_${text}_sphericity`, this.row);
    return (
      `${active.length} features; the three axes carry ${percent(cloud.explained)} of the variance. Sphericity ${number(roundness)}` +
      (Number.isFinite(inFile) ? `, in metrics.parquet ${number(inFile)}` : "")
    );
  }
}

/** The mark of features that only this completion has; none for the prompt. */
const ONLY: Record<TextKind, Aligned["mark"]> = { prompt: "", fact: "missing", hall: "ghost" };

function legendOf(text: TextKind, theme: Theme): HTMLElement[] {
  const only = ONLY[text];
  return [
    key(theme[text], only === "" ? "feature" : only === "ghost" ? "ghost: not in the fact" : "missing from the hallucination"),
    ...(only === "" ? [] : [key(theme.muted, "in both")]),
    key(theme.accent, "ellipsoid, semi-axes √λ", "ring"),
  ];
}

/** Draws a cloud in 3-D, or flat where that fails; `how` says how to look at it. */
async function drawn({ cloud, active, layer, text }: Shown, theme: Theme, pointed: (text: string) => void): Promise<{ drawing: CloudDrawing; how: string }> {
  const only = ONLY[text];
  const scene: CloudScene = {
    points: cloud.points,
    semiAxes: cloud.semi_axes,
    features: active.map((a) => ({ feature: a.feature, activation: a[text], own: only === "" || a.mark === only })),
    colors: { own: theme[text], shared: theme.muted, ellipsoid: theme.accent, line: theme.line, background: theme.panel, ink: theme.fg },
  };
  const point = (index: number) => {
    const feature = scene.features[index];
    pointed(feature === undefined ? "" : `Feature ${feature.feature}, activation ${number(feature.activation)}`);
  };
  const what = `Cloud of ${active.length} features of the ${NAMES[text]} at layer ${layer}`;
  try {
    const { solidCloud } = await import("./solid");
    const drawing = await solidCloud(scene, `${what}, in three dimensions`, point);
    return { drawing, how: "Drag, or use the arrow keys, to turn it; + and − zoom, Home resets." };
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    const how = `This browser cannot draw in 3-D (${why}): shown flat, on the two leading axes.`;
    return { drawing: flatCloud(scene, `${what}, on its two leading axes`), how };
  }
}
