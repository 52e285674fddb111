// A run's timeline as trace events: the format of chrome://tracing, which Perfetto opens. The command
// line writes the same with `--profile`, of every pass.

import type { Timeline } from "../generated/manifest";

/** A process for each part of the run, a thread for each of its lanes; times in microseconds. */
export function traceEvents(timeline: Timeline, run: string): object {
  const events = timeline.parts.flatMap((part, i) => {
    const pid = i + 1;
    const lanes = part.lanes.map(({ lane }) => lane);
    // a lane that the sums do not name has a place behind the others
    const tid = (lane: string) => 1 + (lanes.includes(lane) ? lanes.indexOf(lane) : lanes.length);
    const name = timeline.parts.length === 1 ? run : `${run}, part ${pid} of ${timeline.parts.length}`;
    return [
      { ph: "M", name: "process_name", pid, tid: 0, args: { name: `${name}, ${part.device}` } },
      ...lanes.map((lane) => ({ ph: "M", name: "thread_name", pid, tid: tid(lane), args: { name: lane } })),
      ...part.spans.map(([lane, stage, block, waits, start, end]) => ({
        ph: "X",
        name: `${waits ? "wait: " : ""}${stage}${block === null ? "" : ` ${block}`}`,
        cat: waits ? "wait" : stage,
        pid,
        tid: tid(lane),
        ts: Math.round(start * 1e6),
        dur: Math.max(0, Math.round(end * 1e6) - Math.round(start * 1e6)),
      })),
    ];
  });
  return { traceEvents: events, displayTimeUnit: "ms" };
}
