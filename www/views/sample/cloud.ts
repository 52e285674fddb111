// The cloud of active features on its principal axes: asked of the engine, drawn in 3-D where the
// browser can, else flat.

import { h } from "../../ui/dom";
import type { PageContext } from "../../state/context";
import { asEngineError } from "../../engine/client";
import type { Run, SampleFeatures, TextKind } from "../../data/run";
import type { Cloud } from "../../engine/protocol";
import { key, switcher } from "../../ui/controls";
import { number, percent } from "../results/format";
import { onThemeChange, readTheme } from "../../ui/theme";
import { activeIn, align, type Aligned } from "./align";
import { flatCloud } from "./flat";

const NAMES: Record<TextKind, string> = { prompt: "prompt", fact: "fact", hall: "hallucination" };

/** What both ways of drawing need. */
export interface CloudScene {
  points: Float32Array;
  semiAxes: [number, number, number];
  /** Per point: its feature, activation, and whether only this completion has it. */
  features: { feature: number; activation: number; own: boolean }[];
  colors: { own: string; shared: string; ellipsoid: string; line: string; background: string; ink: string };
}

/** A drawn cloud. */
export interface CloudDrawing {
  element: HTMLElement | SVGElement;
  destroy(): void;
}

export interface CloudSection {
  element: HTMLElement;
  /** Follows the layer that is chosen elsewhere. */
  layer(layer: number): void;
  destroy(): void;
}

/** The section over a sample's active features. */
export function cloudSection(run: Run, row: number, sample: SampleFeatures, page: PageContext, signal: AbortSignal): CloudSection {
  let layer = run.layers[0] ?? 0;
  let text: TextKind = "hall";
  let drawing: CloudDrawing | null = null;
  let shown: { cloud: Cloud; active: Aligned[]; layer: number; text: TextKind } | null = null;
  const known = new Map<string, Cloud>();
  const subject = page.subject(run);

  const host = h("div", { class: "cloud-host" });
  const pointed = h("p", { class: "caption cloud-pointed", role: "status" });
  const status = h("p", { class: "caption", role: "status", "data-test": "cloud-status" });
  const legend = h("div", { class: "legend" });
  const button = h("button", { type: "button", "data-test": "show-cloud", onclick: () => void load() });

  function clear(): void {
    drawing?.destroy();
    drawing = null;
    shown = null;
    host.replaceChildren();
    legend.replaceChildren();
    pointed.textContent = "";
  }

  function select(): void {
    clear();
    const n = activeIn(align(sample, layer), text).length;
    status.textContent =
      n === 0
        ? `No feature is active in the ${NAMES[text]} at layer ${layer}.`
        : `Reads ${n} ${n === 1 ? "row" : "rows"} of W_dec at layer ${layer} from the SAE’s file and nothing else of it.`;
    button.textContent = `Show the ${NAMES[text]}’s cloud`;
    button.hidden = n === 0;
    button.disabled = false;
    if (known.has(`${layer} ${text}`)) void load();
  }

  async function load(): Promise<void> {
    if (subject === null) return;
    const [at, of] = [layer, text];
    const active = activeIn(align(sample, at), of);
    button.disabled = true;
    try {
      let cloud = known.get(`${at} ${of}`);
      if (cloud === undefined) {
        status.textContent = "Reading decoder rows…";
        const request = { type: "cloud" as const, subject, layer: at, features: active.map((a) => a.feature), activations: active.map((a) => a[of]) };
        cloud = await page.engine.call<"cloud">(request, undefined, signal);
        known.set(`${at} ${of}`, cloud);
      }
      if (layer !== at || text !== of || signal.aborted) return;
      button.hidden = true;
      shown = { cloud, active, layer: at, text: of };
      await draw();
    } catch (reason) {
      if (signal.aborted) return;
      const { message, hint } = asEngineError(reason);
      status.textContent = `The cloud could not be computed: ${message}${hint === undefined ? "" : ` (${hint})`}`;
      button.disabled = false;
    }
  }

  async function draw(): Promise<void> {
    if (shown === null) return;
    const { cloud, active, layer: at, text: of } = shown;
    const theme = readTheme();
    const only = of === "hall" ? "ghost" : of === "fact" ? "missing" : "";
    const scene: CloudScene = {
      points: cloud.points,
      semiAxes: cloud.semi_axes,
      features: active.map((a) => ({ feature: a.feature, activation: a[of], own: only === "" || a.mark === only })),
      colors: { own: theme[of], shared: theme.muted, ellipsoid: theme.accent, line: theme.line, background: theme.panel, ink: theme.fg },
    };
    const point = (index: number) => {
      const feature = scene.features[index];
      pointed.textContent = feature === undefined ? "" : `Feature ${feature.feature}, activation ${number(feature.activation)}`;
    };
    let how = "Drag, or use the arrow keys, to turn it; + and − zoom, Home resets.";
    let next: CloudDrawing;
    try {
      next = await (await import("./solid")).solidCloud(scene, `Cloud of ${active.length} features of the ${NAMES[of]} at layer ${at}, in three dimensions`, point);
    } catch (reason) {
      how = `This browser cannot draw in 3-D (${reason instanceof Error ? reason.message : String(reason)}): shown flat, on the two leading axes.`;
      next = flatCloud(scene, `Cloud of ${active.length} features of the ${NAMES[of]} at layer ${at}, on its two leading axes`);
    }
    if (signal.aborted || shown?.cloud !== cloud) {
      next.destroy();
      return;
    }
    drawing?.destroy();
    drawing = next;
    host.replaceChildren(next.element);
    legend.replaceChildren(
      key(theme[of], only === "" ? "feature" : only === "ghost" ? "ghost: not in the fact" : "missing from the hallucination"),
      ...(only === "" ? [] : [key(theme.muted, "in both")]),
      key(theme.accent, "ellipsoid, semi-axes √λ", "ring"),
    );
    const [a, , c] = cloud.semi_axes;
    const roundness = a > 0 ? c / a : 0;
    const inFile = of === "prompt" ? NaN : run.metrics.number(`l${at}_${of}_sphericity`, row);
    status.textContent =
      `${active.length} features; the three axes carry ${percent(cloud.explained)} of the variance. Sphericity ${number(roundness)}` +
      `${Number.isFinite(inFile) ? `, in metrics.parquet ${number(inFile)}` : ""}. ${how}`;
  }

  const undoTheme = onThemeChange(() => void draw());
  const element = h(
    "section",
    { class: "panel", "data-test": "sample-cloud", "aria-labelledby": "sample-cloud-title" },
    h("h2", { id: "sample-cloud-title" }, "Cloud of active features"),
    h("p", { class: "how" }, "Each active feature is a point at its decoder row, seen on the cloud’s three principal axes; size is activation. The ellipsoid is the weighted covariance that sphericity and dimensionality are computed from."),
    subject === null
      ? h("p", { class: "empty" }, "The decoder rows are in the SAE’s file, and this page cannot tell where this run’s SAEs are: choose the model in Set up.")
      : [
          h(
            "div",
            { class: "controls" },
            switcher<TextKind>("Which text", "cloud-text", [["prompt", "Prompt"], ["fact", "Fact"], ["hall", "Hallucination"]], text, (value) => {
              text = value;
              select();
            }),
            button,
          ),
          legend,
          host,
          pointed,
          status,
        ],
  );
  select();
  return {
    element,
    layer(next) {
      layer = next;
      select();
    },
    destroy() {
      undoTheme();
      clear();
    },
  };
}
