// The view Run: how far the run is, what it holds, and what to do when it broke.

import type { DeviceChoice } from "../../engine/protocol";
import { shown } from "../../foreign";
import { fill, h } from "../../ui/dom";
import { counted } from "../../ui/format";
import { items } from "../../ui/list";
import { errorBox } from "../../ui/words";
import type { PageContext } from "../../state/context";
import { progressPanel } from "./progress";
import type { RunSession } from "../../state/session";

/** Failures that another device may not have. */
const ON_DEVICE = new Set(["device", "device-lost", "out-of-memory", "crashed", "unsupported"]);

/** What a run's set-up was, in one line. */
function asked(session: RunSession): string {
  const setup = session.setup;
  if (!setup) return "";
  const { model } = setup.subject;
  const name =
    model.kind === "known" ? model.name : model.kind === "hub" ? model.repo : model.kind === "url" ? model.url : "files of yours";
  const data = setup.data.kind === "builtin" ? "built-in triples" : shown(setup.data.name);
  const limit = setup.limit ? `, ${counted(setup.limit, "sample")}` : "";
  const device = { auto: "device chosen by the self-test", webgpu: "WebGPU", cpu: "CPU" }[setup.device];
  return `${name} over ${data}${limit}; ${device}, ${setup.precision}, noise ${setup.noise}, seed ${setup.seed}.`;
}

/** Builds the view. */
export function mountRun(host: HTMLElement, page: PageContext, session: RunSession): void {
  const heading = h("h1", null, "Run");
  const line = h("p", { class: "muted" });
  const place = h("div");
  const panel = progressPanel(() => session.cancel());
  fill(host, h("div", { class: "view" }, heading, line, place, panel.element));

  // A region that is rebuilt at each progress event would lose the focus of its buttons.
  let shown = "";
  let told = 0;

  function message(): void {
    const key = `${session.phase} ${session.attempts} ${session.kept}`;
    if (key === shown) return;
    shown = key;
    if (session.phase === "idle") fill(place, noRun());
    else if (session.phase === "cancelled") {
      fill(
        place,
        h(
          "div",
          { class: "box" },
          h("h2", null, "Stopped"),
          h("p", null, `You stopped the run. ${keptLine(session)}`),
          h("div", { class: "actions" }, resumeActions(session), h("a", { class: "button", href: "#/setup" }, "Change the set-up")),
        ),
      );
    } else if (session.phase === "broken" && session.error) {
      const box = errorBox(session.error, [resumeActions(session), h("a", { class: "button", href: "#/setup" }, "Change the set-up")]);
      box.insertBefore(h("p", null, keptLine(session)), box.querySelector(".actions"));
      fill(place, box);
    } else if (session.phase === "finished") fill(place, finished(session.files?.manifest));
    else if (session.attempts > 1 && session.kept) {
      fill(place, h("p", { class: "muted" }, `Continued: ${counted(session.kept, "sample")} taken over from before.`));
    } else fill(place);
  }

  /** A line now and then, so that a screen reader is not talked over. */
  function tell(): void {
    const now = performance.now();
    if (session.phase === "running" && session.progress && now - told > 15_000) {
      told = now;
      page.announce(
        `${Math.floor(session.progress.samples_done)} of ${session.progress.samples_total} samples done`,
      );
    }
  }

  let phase = session.phase;
  function update(): void {
    fill(line, asked(session));
    message();
    panel.update(session);
    tell();
    if (phase !== session.phase) {
      phase = session.phase;
      if (phase === "finished") page.announce("The run is finished. The results are open.");
      if (phase === "cancelled") page.announce("The run is stopped.");
      if (phase === "running" || phase === "downloading") page.announce(`The run is ${phase}.`);
    }
  }

  session.addEventListener("change", update);
  session.addEventListener("partial", update);
  update();
}

function noRun(): HTMLElement {
  return h(
    "div",
    { class: "box" },
    h("h2", null, "No run yet"),
    h("p", null, "A run starts in the set-up, which says first what it downloads and needs."),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: "#/setup" }, "Set up a run")),
  );
}

/** Ways to go on. */
function resumeActions(session: RunSession): HTMLElement[] {
  const kept = session.kept;
  const again = (device?: DeviceChoice) => () => session.resume(device);
  const label = kept || session.phase === "cancelled" ? "Continue" : "Try again";
  const buttons = [h("button", { class: "primary", "data-test": "resume-run", onclick: again() }, label)];
  if (session.setup?.device !== "cpu" && ON_DEVICE.has(session.error?.kind ?? "")) {
    const text = kept ? "Continue on the CPU" : "Try again on the CPU";
    buttons.push(h("button", { "data-test": "resume-cpu", onclick: again("cpu") }, text));
  }
  return buttons;
}

/** What is not lost. */
function keptLine(session: RunSession): string {
  const total = session.progress?.samples_total;
  if (!session.kept) return "No sample was finished yet.";
  return `${session.kept}${total ? ` of ${total}` : ""} samples are finished and kept; they are under Results.`;
}

function finished(manifest: string | undefined): HTMLElement {
  const failed = failures(manifest);
  return h(
    "div",
    { class: "box good" },
    h("h2", null, "Finished"),
    h("p", null, "The results are complete."),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: "#/results" }, "Open the results")),
    failed.length
      ? h(
          "div",
          { "data-test": "failed-samples" },
          h("h3", null, `${counted(failed.length, "sample")} failed and ${failed.length === 1 ? "has" : "have"} no row`),
          h(
            "ul",
            null,
            items(failed, (one) => [h("code", null, shown(one.sample_id)), " ", h("span", null, one.reason)], "manifest.json"),
          ),
        )
      : null,
  );
}

function failures(manifest: string | undefined): { sample_id: string; reason: string }[] {
  if (!manifest) return [];
  const read = JSON.parse(manifest) as { failed_samples?: { sample_id: string; reason: string }[] };
  return read.failed_samples ?? [];
}
