// What a page costs, in processor time: what other work on the machine takes is not in it.

import { existsSync, readFileSync } from "node:fs";

/**
 * Records a page's main thread. `stop()` gives its tasks, longest first, in milliseconds of the
 * thread's own time, and the page's marks; times are of one clock, that of the trace.
 */
export async function record(browser, page) {
  const session = await browser.context.newCDPSession(page);
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const includedCategories = ["disabled-by-default-devtools.timeline", "blink.user_timing", "devtools.timeline"];
  await session.send("Tracing.start", { traceConfig: { includedCategories, excludedCategories: ["*"] } });
  const first = `saescope-trace-${Date.now()}`;
  await page.evaluate((name) => performance.mark(name), first);

  const stop = async () => {
    const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
    await session.send("Tracing.end");
    await complete;
    const own = events.find(({ name }) => name === first);
    if (!own) throw new Error(`the trace of ${events.length} events has no mark of the page`);
    const here = events.filter(({ pid, tid }) => pid === own.pid && tid === own.tid);
    // what a task mostly was: scripts, layout, collection of garbage
    const inside = (task) => {
      const long = here.filter(({ name, dur, ts }) => name !== "RunTask" && dur > 5000 && ts >= task.ts && ts < task.ts + task.dur);
      return long.sort((one, other) => other.dur - one.dur).slice(0, 5).map(({ name, dur, args }) => {
        const { functionName, url } = args?.data ?? {};
        const called = [functionName, url?.split("/").at(-1)].filter(Boolean).join(" ");
        return `${Math.round(dur / 1000)} ms ${(name === "FunctionCall" && called) || name}`;
      });
    };
    const tasks = here
      .filter(({ name, tdur }) => name === "RunTask" && tdur)
      .map((task) => ({ at: task.ts / 1000, own: task.tdur / 1000, wall: task.dur / 1000, parts: () => inside(task) }))
      .sort((one, other) => other.own - one.own);
    const mark = (name) => here.find((event) => event.name === name && event.cat.includes("user_timing"))?.ts / 1000;
    return { tasks, mark };
  };
  return { stop };
}

/** Seconds that all processors were busy, with whoever's work, and that another guest had them; where Linux tells. */
export function machineSeconds() {
  const spent = processors();
  return spent === null ? null : spent.busy + spent.stolen;
}

/** Seconds that another guest had the processors; a thread's own time holds them too. 0 where nothing tells. */
export function stolenSeconds() {
  return processors()?.stolen ?? 0;
}

function processors() {
  if (!existsSync("/proc/stat")) return null;
  const [user, nice, system, , , irq, softirq, steal] = readFileSync("/proc/stat", "utf8").split("\n")[0].split(/\s+/).slice(1).map(Number);
  return { busy: (user + nice + system + irq + softirq) / 100, stolen: steal / 100 };
}

/** The seconds of processor time that the browser's page processes have used so far. */
export const rendererSeconds = (browser) => browserSeconds(browser, ({ type }) => type === "renderer");

/**
 * Counts what the machine does beside this browser and this process: gives a function that says how many processors that
 * was since, not a number where the system does not tell.
 */
export async function others(browser) {
  const own = async () => {
    const { user, system } = process.cpuUsage();
    return (await browserSeconds(browser, () => true)) + (user + system) / 1e6;
  };
  const [all, ours, began] = [machineSeconds(), await own(), performance.now()];
  return async () => {
    if (all === null) return NaN;
    const besides = machineSeconds() - all - ((await own()) - ours);
    return Math.max(0, besides) / ((performance.now() - began) / 1000);
  };
}

async function browserSeconds(browser, counts) {
  const session = await browser.context.browser().newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  return processInfo.filter(counts).reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}
