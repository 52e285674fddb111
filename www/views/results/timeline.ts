// When a run did what: its lanes one below the other, stages as colours, how long each lane was idle.

import { shown } from "../../foreign";
import type { Manifest } from "../../data/manifest";
import { traceEvents } from "../../data/trace";
import { save } from "../../export/save";
import type { TimelinePart, TimelineSpan } from "../../generated/manifest";
import { key } from "../../ui/controls";
import { h, svg } from "../../ui/dom";
import { count, counted, duration, percent } from "../../ui/format";
import { dataTable, type Alternative } from "../../ui/table";
import { category } from "../../ui/theme";

/** What the engine calls its stages, in the order of a run, and what they are. */
const STAGES: Record<string, string> = {
  tokenize: "tokenising",
  weights: "weights",
  model: "model",
  sae: "SAEs",
  geometry: "geometry",
  nulls: "nulls",
  logprob: "log-probabilities",
};

const LANES: Record<string, { name: string; what: string }> = {
  reader: { name: "Reading ahead", what: "reads the next block's weights" },
  compute: { name: "Host", what: "the run itself, on the processor" },
  device: { name: "Graphics device", what: "has work that it is not known to have finished" },
};

/** Parts whose picture is shown. */
const MOST_PARTS = 4;
/** More pieces than any program writes are not drawn. */
const MOST_SPANS = 2000;
/** Units of a picture's width; it is stretched to the room that there is. */
const WIDE = 1000;
const HIGH = 20;

/** The section of a run's details; of a run without a timeline, why there is none. */
export function timelineSection(m: Manifest): HTMLElement {
  const parts = m.timeline?.parts ?? [];
  if (parts.length === 0) {
    return h("p", { "data-test": "no-timeline" }, "When what was done is not known: an earlier version made this run.");
  }
  // Devices that share a process' passes are parts of their own.
  const processes = new Set(parts.map(({ process }) => process)).size;
  const older = (m.timings.parts ?? 0) - processes;
  const left = [
    older > 0 && `${counted(older, "part")} of this run ${older === 1 ? "comes" : "come"} from an earlier version, without a timeline.`,
    parts.length > MOST_PARTS && `The first ${MOST_PARTS} of ${parts.length} parts are shown; the download has all.`,
  ].filter((text): text is string => text !== false);
  return h(
    "section",
    { class: "timeline", "data-test": "timeline", "aria-label": "Timeline" },
    h("h3", null, "When what was done"),
    parts.slice(0, MOST_PARTS).map((part, i) => figure(part, parts.length === 1 ? "" : `Part ${i + 1} of ${parts.length}`)),
    left.length === 0 ? null : h("p", { class: "caption" }, left.join(" ")),
    h(
      "p",
      { class: "timeline-save" },
      h("button", { type: "button", class: "small", "data-test": "download-timeline", onclick: () => give(m) }, "timeline.json"),
      " opens in Perfetto (ui.perfetto.dev): every piece with its block and its time.",
    ),
  );
}

function give(m: Manifest): void {
  if (m.timeline === null || m.timeline === undefined) return;
  const events = JSON.stringify(traceEvents(m.timeline, m.run_id));
  save(new Blob([events], { type: "application/json" }), "timeline.json");
}

/** Lanes in the order in which they are shown, those that this page does not know at the end. */
function lanesOf(part: TimelinePart): string[] {
  const known = Object.keys(LANES);
  const place = (lane: string) => (known.includes(lane) ? known.indexOf(lane) : known.length);
  return [...new Set(part.lanes.map(({ lane }) => lane))].sort((a, b) => place(a) - place(b)).slice(0, 8);
}

const laneName = (lane: string) => (Object.hasOwn(LANES, lane) ? (LANES[lane]?.name ?? lane) : shown(lane));
const stageName = (stage: string) => (Object.hasOwn(STAGES, stage) ? (STAGES[stage] ?? stage) : shown(stage));
const colorOf = (stage: string) => category(Object.keys(STAGES).indexOf(stage));

function figure(part: TimelinePart, title: string): HTMLElement {
  const spans = part.spans.slice(0, MOST_SPANS);
  const end = spans.reduce((last, [, , , , , end]) => Math.max(last, end), 0);
  const lanes = lanesOf(part);
  const stages = Object.keys(STAGES).filter((stage) => spans.some((span) => span[1] === stage && !span[3]));
  const idle = (lane: string) => part.lanes.find((one) => one.lane === lane)?.idle_at_least ?? 0;
  const said = `${title === "" ? "" : `${title}: `}${total(part.seconds)} in all on ${shown(part.device)}. ${lanes.map((lane) => `${laneName(lane)}: idle at least ${percent(idle(lane))}`).join(". ")}.`;
  const missing = part.spans_left_out + part.spans.length - spans.length;
  const notes = [
    part.passes > 1 ? `The picture is the first of ${count(part.passes)} passes; total and idle shares are those of all.` : "",
    missing > 0 ? `${counted(missing, "piece")}, the shortest, ${missing === 1 ? "is" : "are"} not drawn.` : "",
    "“Idle at least” is a lower bound: within a piece of work a lane may have been idle, too.",
  ];
  return h(
    "figure",
    { class: "timeline-part" },
    h("figcaption", { "data-test": "timeline-total" }, title === "" ? null : h("strong", null, `${title}. `), `${total(part.seconds)} in all${part.passes > 1 ? `, ${count(part.passes)} passes` : ""}, on ${shown(part.device)}.`),
    h(
      "div",
      { class: "legend", "aria-hidden": "true" },
      stages.map((stage) => key(colorOf(stage), stageName(stage), "solid")),
      spans.some((span) => span[3]) ? key("var(--muted)", "waiting", "thin") : null,
    ),
    spans.length === 0
      ? h("p", { class: "caption" }, "Its pieces were left out, since the run has many parts.")
      : h(
          "div",
          { class: "timeline-lanes", role: "img", "aria-label": said },
          lanes.map((lane) => [
            h(
              "div",
              { class: "timeline-lane", "aria-hidden": "true" },
              h("span", { class: "timeline-name", title: LANES[lane]?.what }, laneName(lane)),
              h("span", { class: "timeline-idle" }, `idle at least ${percent(idle(lane))}`),
            ),
            bars(spans.filter((span) => span[0] === lane), end),
          ]),
          h("div", { class: "timeline-axis", "aria-hidden": "true" }, [0, 0.5, 1].map((share) => h("span", null, seconds(share * end)))),
        ),
    h("p", { class: "caption" }, notes.filter(Boolean).join(" ")),
    h(
      "details",
      { class: "as-table" },
      h("summary", null, "Show as table"),
      h("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": `${title === "" ? "Timeline" : title}, as a table` }, dataTable(table(part, spans, lanes))),
    ),
  );
}

/** A lane's pieces: blocks of colour where it worked, a line where it waited for another lane. */
function bars(spans: TimelineSpan[], end: number): SVGSVGElement {
  const at = (time: number) => (end > 0 ? Math.max(0, Math.min(WIDE, (time / end) * WIDE)) : 0);
  const bar = ([, stage, block, waits, from, to]: TimelineSpan) => {
    const name = `${waits ? "waiting, " : ""}${stageName(stage)}${block === null ? "" : ` of block ${block}`}`;
    const [y, height] = waits ? [HIGH / 2 - 1, 2] : [1, HIGH - 2];
    return svg(
      "rect",
      { x: at(from).toFixed(2), width: Math.max(0.3, at(to) - at(from)).toFixed(2), y, height, style: { fill: waits ? "var(--muted)" : colorOf(stage) } },
      svg("title", null, `${name}: ${seconds(from)} to ${seconds(to)}`),
    );
  };
  return svg(
    "svg",
    { class: "timeline-bars", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
    svg("rect", { class: "timeline-ground", x: 0, y: 0, width: WIDE, height: HIGH }),
    spans.map(bar),
  );
}

/** What is seen, in numbers: a row for each lane and stage. */
function table(part: TimelinePart, spans: TimelineSpan[], lanes: string[]): Alternative {
  const rows = lanes.flatMap((lane) => {
    const sums = new Map<string, { seconds: number; pieces: number; blocks: Map<number, number> }>();
    for (const [of, stage, block, waits, from, to] of spans) {
      if (of !== lane) continue;
      const name = waits ? `waiting, ${stageName(stage)}` : stageName(stage);
      const sum = sums.get(name) ?? { seconds: 0, pieces: 0, blocks: new Map() };
      sum.seconds += to - from;
      sum.pieces += 1;
      if (block !== null) sum.blocks.set(block, (sum.blocks.get(block) ?? 0) + to - from);
      sums.set(name, sum);
    }
    return [...sums].map(([name, { seconds: sum, pieces, blocks }]) => {
      const [slowest] = [...blocks].sort((a, b) => b[1] - a[1]);
      return [laneName(lane), name, sum, pieces, slowest === undefined ? "–" : `${slowest[0]}: ${seconds(slowest[1])}`];
    });
  });
  const busy = part.lanes.slice(0, 8).map(({ lane, busy_seconds, idle_at_least }) => `${laneName(lane)}: ${seconds(busy_seconds)} of ${seconds(part.seconds)} at work, idle at least ${percent(idle_at_least)}`);
  const which = part.passes > 1 ? `The table is of the first of ${count(part.passes)} passes. ` : "";
  return { columns: ["Lane", "What", "Seconds", "Pieces", "Slowest block"], rows, note: `${which}${busy.join(". ")}.` };
}

/** A run of less than a second is one of a few digits, not of none. */
const total = (value: number) => (value < 1 ? seconds(value) : duration(value));

/** Times on one axis want more digits than a duration in a sentence. */
function seconds(value: number): string {
  if (value >= 100) return duration(value);
  return `${value >= 10 ? value.toFixed(1) : value >= 0.995 || value === 0 ? value.toFixed(2) : value.toPrecision(2)} s`;
}
