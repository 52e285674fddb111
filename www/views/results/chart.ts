// Observable Plot under the page's rules: concrete colours, no <style> element (the content security
// policy allows none; the two rules stand in results.css), nothing that needs a legend of its own.

import * as Plot from "@observablehq/plot";
import { shown, tame } from "../../foreign";
import type { Theme } from "../../ui/theme";

export { Plot };

/** A drawn plot with its scales. */
export type Chart = SVGSVGElement & Pick<Plot.Plot, "scale">;

/** Draws a plot. */
export function chart(theme: Theme, options: Plot.PlotOptions): Chart {
  const drawn = Plot.plot({
    className: "plot",
    style: { fontSize: "12px", color: theme.fg, background: "none", overflow: "visible" },
    ...options,
    figure: false,
  } as Plot.PlotOptions) as unknown as Chart;
  for (const style of drawn.querySelectorAll("style")) style.remove();
  // One image with one name: Plot's names of groups mean nothing inside it.
  for (const group of drawn.querySelectorAll("[aria-label]")) group.removeAttribute("aria-label");
  drawn.setAttribute("role", "img");
  return drawn;
}

/** Draws a small plot and throws it away: the library's first plot costs several times a later one,
 *  and so it does not fall into the same slot as a panel's. */
export function warmUp(theme: Theme): void {
  const points = [{ x: "a", y: 1 }];
  chart(theme, { width: 100, height: 60, marks: [axis(theme, "x"), axis(theme, "y"), Plot.text(points, { x: "x", y: "y", text: "x" })] });
}

/** Positions of values on a scale, in pixels of the plot. */
export function places(drawn: Chart, scale: "x" | "y"): (value: unknown) => number {
  const found = drawn.scale(scale);
  if (found === undefined) return () => NaN;
  const half = (found.bandwidth ?? 0) / 2;
  return (value) => (found.apply(value) as number) + half;
}

/** Quiet grid lines, as a mark. */
export function grid(theme: Theme, axis: "x" | "y", ticks?: number): Plot.Markish {
  const options = { stroke: theme.line, strokeOpacity: 1, ...(ticks === undefined ? {} : { ticks }) };
  return axis === "x" ? Plot.gridX(options) : Plot.gridY(options);
}

/** An axis without its line, labelled at its end. */
export function axis(theme: Theme, which: "x" | "y", options: Plot.AxisXOptions & Plot.AxisYOptions = {}): Plot.Markish {
  const common = { tickSize: 0, color: theme.muted, labelArrow: "none" as const, fontSize: 12, ...options };
  return which === "x" ? Plot.axisX(common) : Plot.axisY(common);
}

/** A label cut in its middle to a width, at about 6.5 pixels a letter: names often differ at their end. */
export function fit(text: string, width: number): string {
  const letters = Math.max(3, Math.floor(width / 6.5));
  // what steers the line takes more room once it is written out
  const whole = text.length > 2 * letters ? text : shown(text);
  if (whole.length <= letters) return whole;
  const end = Math.floor((letters - 1) / 3);
  return tame(`${whole.slice(0, letters - 1 - end)}…${whole.slice(whole.length - end)}`);
}

/** Room under an axis of names that stand at 45 degrees. */
export function slantRoom(names: string[], most = 84): number {
  const longest = Math.max(...names.map((name) => Math.min(name.length * 6.5, most)));
  return 20 + Math.ceil(longest * 0.72);
}
