// Lists as long as whoever wrote the file liked.

import { h, type Child } from "./dom";

/** More than this nobody reads, and all of it would fill the page. */
const MOST = 100;

/** A list's items; the rest of many is counted, and `whole` says where they all are. */
export function items<T>(list: readonly T[], item: (one: T) => Child, whole: string): HTMLElement[] {
  const rest = list.length - MOST;
  const shown = list.slice(0, MOST).map((one) => h("li", null, item(one)));
  return rest > 0 ? [...shown, h("li", { class: "muted" }, `and ${rest.toLocaleString("en")} more: ${whole} has all`)] : shown;
}
