// The figures of a run that goes on: bar, rate, stages, downloads, memory.

import type { Progress } from "../../engine/protocol";
import { fill, h } from "../../ui/dom";
import { bytes, count, counted, duration, short } from "../../ui/format";
import { sentence } from "../../ui/words";
import type { RunSession } from "../../state/session";

const STAGES: Record<string, string> = {
  tokenize: "Tokenize",
  weights: "Read weights",
  model: "Model",
  sae: "SAEs",
  geometry: "Geometry",
  nulls: "Nulls",
  logprob: "Log-probabilities",
};

function figure(label: string): { element: HTMLElement; set(text: string): void } {
  const value = h("dd", null, "–");
  return {
    element: h("div", null, h("dt", null, label), value),
    set: (text) => {
      if (value.textContent !== text) value.textContent = text;
    },
  };
}

/** Builds the panel; `update` is cheap enough for every event. */
export function progressPanel(cancel: () => void): { element: HTMLElement; update(session: RunSession): void } {
  const bar = h("progress", { "data-test": "progress", max: 1, value: 0, "aria-label": "Samples done" });
  const state = h("p", { class: "lead", "data-test": "progress-text" });
  const stop = h("button", { "data-test": "cancel-run", onclick: cancel }, "Stop");
  const rate = figure("Rate");
  const eta = figure("Time left");
  const passed = figure("Time passed");
  const layer = figure("Layer");
  const read = figure("Weights read");
  const memory = h("p", { "data-test": "memory" });
  const stages = h("ul", { class: "stages" });
  const downloads = new Downloads();
  const figures = h(
    "section",
    { class: "panel", hidden: true },
    h("h2", null, "Progress"),
    h("dl", { class: "figures" }, rate.element, eta.element, passed.element, layer.element, read.element),
  );
  const stagePanel = h(
    "section",
    { class: "panel", hidden: true },
    h("h2", null, "Time per stage"),
    stages,
    h("p", { class: "muted small" }, "Stages overlap: the next layer is read while one computes."),
  );
  const counting = h("p", { class: "muted small" }, "GPU buffers are counted where they are made and freed.");
  const memoryPanel = h(
    "section",
    { class: "panel", hidden: true },
    h("h2", null, "Memory"),
    memory,
    counting,
  );
  const head = h("div", { class: "run-head" }, h("div", { class: "grow" }, state, bar), stop);
  const notes = h("p", { class: "warn", role: "status", "data-test": "run-notes" });
  const fewer = h("p", { class: "warn", role: "status", "data-test": "fewer-workers" });
  const element = h(
    "div",
    { class: "run", hidden: true },
    head,
    fewer,
    notes,
    h("div", { class: "grid" }, figures, stagePanel, memoryPanel, downloads.element),
  );
  return {
    element,
    update(session) {
      const { progress, phase } = session;
      const began = session.active || progress !== null || session.downloads.size > 0;
      element.hidden = phase === "idle" || !began;
      if (element.hidden) return;
      stop.hidden = !session.active;
      tell(fewer, ofCrew(session));
      tell(notes, session.notes.map(sentence).join(" "));
      state.textContent = text(session);
      if (session.active && !progress && phase === "starting") bar.removeAttribute("value");
      else if (progress) bar.value = progress.samples_total ? progress.samples_done / progress.samples_total : 0;
      else bar.value = share(session);
      bar.setAttribute("aria-label", progress ? "Samples done" : "Downloaded");
      figures.hidden = stagePanel.hidden = memoryPanel.hidden = progress === null;
      downloads.update(session);
      if (!progress) return;
      rate.set(`${short(progress.rate)} samples/s`);
      eta.set(!session.active ? "–" : progress.eta === undefined || progress.eta === null ? "not known yet" : duration(progress.eta));
      passed.set(duration(progress.seconds));
      layer.set(`${progress.layer + 1} of ${progress.layers}`);
      read.set(bytes(progress.bytes_read));
      showStages(stages, progress);
      const { gpu, gpu_largest, wasm } = progress.memory;
      const workers = session.crew?.working ?? 1;
      const onGpu = session.gpuPeak
        ? `GPU buffers ${bytes(gpu)} now, ${bytes(session.gpuPeak)} at most, the largest ${bytes(gpu_largest)}; `
        : "No GPU buffers; ";
      counting.hidden = !session.gpuPeak;
      memory.textContent = `${onGpu}engine memory ${bytes(wasm)}${workers > 1 ? ` in ${workers} workers` : ""}.`;
    },
  };
}

/** That fewer workers measure than were started, and why. */
function ofCrew({ crew }: RunSession): string {
  if (!crew?.lost) return "";
  return `${sentence(crew.lost.message)} ${counted(crew.working, "worker")} of ${crew.wanted} ${crew.working === 1 ? "goes" : "go"} on.`;
}

function tell(place: HTMLElement, text: string): void {
  // said anew, a screen reader would read it anew
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

function share(session: RunSession): number {
  let done = 0;
  let total = 0;
  for (const one of session.downloads.values()) {
    done += one.done;
    total += one.total;
  }
  return total ? done / total : 0;
}

/** The files that are being downloaded, each with its bar. */
class Downloads {
  #list = h("ul", { class: "downloads", "data-test": "downloads" });
  readonly element = h("section", { class: "panel", hidden: true }, h("h2", null, "Downloads"), this.#list);
  #rows = new Map<string, { bar: HTMLProgressElement; text: HTMLElement }>();

  update(session: RunSession): void {
    this.element.hidden = session.downloads.size === 0;
    if (this.#rows.size > session.downloads.size) {
      this.#rows.clear();
      fill(this.#list);
    }
    for (const [file, { done, total }] of session.downloads) {
      let row = this.#rows.get(file);
      if (!row) {
        row = { bar: h("progress", { max: 1, "aria-label": file }), text: h("span", { class: "muted small" }) };
        this.#rows.set(file, row);
        this.#list.append(h("li", null, h("span", { class: "file" }, file), row.bar, row.text));
      }
      row.bar.value = total ? done / total : 0;
      row.text.textContent = done >= total ? `${bytes(total)}, complete` : `${bytes(done)} of ${bytes(total)}`;
    }
  }
}

/** Seconds per stage, as bars. */
function showStages(stages: HTMLElement, progress: Progress): void {
  const most = Math.max(...progress.stages.map(([, seconds]) => seconds), 1e-9);
  while (stages.children.length < progress.stages.length) {
    stages.append(h("li", null, h("span"), h("span", { class: "stage-bar" }, h("span")), h("span", { class: "number" })));
  }
  progress.stages.forEach(([name, seconds], at) => {
    const [label, line, value] = stages.children[at]!.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    label.textContent = STAGES[name] ?? name;
    (line.firstElementChild as HTMLElement).style.width = `${(100 * seconds) / most}%`;
    value.textContent = duration(seconds);
  });
}

/** How far the run is, in words. */
function text(session: RunSession): string {
  const { progress, phase } = session;
  if (phase === "starting") return "Starting: the engine loads, headers and tokenizer are read.";
  if (phase === "downloading" && !progress && [...session.downloads.values()].every(({ done, total }) => done >= total)) {
    return "Reading the weights.";
  }
  if (phase === "downloading" && !progress) return `Downloading: ${bytes(session.received)} so far.`;
  if (!progress) return "";
  const done = Math.floor(progress.samples_done);
  return `${count(done)} of ${count(progress.samples_total)} samples`;
}
