// Reading a plot point by point: with the mouse, a finger, or the arrow keys. One tooltip for all.

import { h, svg } from "../../ui/dom";
import type { Chart } from "./chart";

/** Something to point at, in pixels of the plot. */
export interface Point {
  x: number;
  y: number;
  /** First line in bold, then values. */
  lines: string[];
  /** A sample to open. */
  sampleId?: string | undefined;
}

export interface PointerOptions {
  points: Point[];
  /** How far from a point it still counts, in pixels. */
  reach: number;
  color: string;
  open(sampleId: string): void;
  say(text: string): void;
}

let tip: HTMLElement | null = null;

function tooltip(): HTMLElement {
  if (tip === null) {
    tip = document.body.appendChild(h("div", { class: "plot-tip", "aria-hidden": "true", hidden: true }));
    // It stands still in the window: what it points at does not.
    addEventListener("scroll", hideTip, { passive: true, capture: true });
    addEventListener("hashchange", hideTip);
  }
  return tip;
}

/** Hides the tooltip, wherever it is. */
export function hideTip(): void {
  if (tip !== null) tip.hidden = true;
}

/** Makes a plot in its focusable `host` readable point by point. Returns the undoing. */
export function attachPointer(host: HTMLElement, drawn: Chart, options: PointerOptions): () => void {
  const { points, reach, color, open, say } = options;
  const ring = svg("circle", { class: "pointed", r: 7, fill: "none", stroke: color, "stroke-width": 2, visibility: "hidden" });
  drawn.append(ring);
  let at = -1;

  const nearest = (event: PointerEvent | MouseEvent): number => {
    const box = drawn.getBoundingClientRect();
    const scale = drawn.width.baseVal.value / (box.width || 1);
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let [best, distance] = [-1, reach * reach];
    points.forEach((point, i) => {
      const d = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (d <= distance) [best, distance] = [i, d];
    });
    return best;
  };

  const show = (index: number): void => {
    at = index;
    const point = points[index];
    const box = tooltip();
    if (point === undefined) {
      box.hidden = true;
      ring.setAttribute("visibility", "hidden");
      drawn.style.cursor = "";
      return;
    }
    ring.setAttribute("cx", String(point.x));
    ring.setAttribute("cy", String(point.y));
    ring.setAttribute("visibility", "visible");
    drawn.style.cursor = point.sampleId === undefined ? "" : "pointer";
    const lines = point.lines.map((line, i) => (i === 0 ? h("strong", null, line) : h("span", null, line)));
    box.replaceChildren(...lines, ...(point.sampleId === undefined ? [] : [h("em", null, "Click or Enter opens the sample")]));
    box.hidden = false;
    const area = drawn.getBoundingClientRect();
    const scale = area.width / (drawn.width.baseVal.value || 1);
    const [x, y] = [area.left + point.x * scale, area.top + point.y * scale];
    const [width, height] = [box.offsetWidth, box.offsetHeight];
    const left = x + 14 + width > innerWidth - 8 ? x - 14 - width : x + 14;
    box.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    box.style.top = `${Math.max(8, Math.min(y - height / 2, innerHeight - height - 8))}px`;
  };

  const openAt = (index: number): void => {
    const id = points[index]?.sampleId;
    if (id === undefined) return;
    hideTip();
    open(id);
  };

  const onKey = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    let next: number;
    if (step !== undefined) next = Math.max(0, Math.min(points.length - 1, at < 0 ? 0 : at + step));
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = points.length - 1;
    else if (event.key === "Enter" && at >= 0) return openAt(at);
    else if (event.key === "Escape") return show(-1);
    else return;
    event.preventDefault();
    show(next);
    const point = points[next];
    if (point !== undefined) say(`${point.lines.join(", ")}. ${next + 1} of ${points.length}`);
  };

  const onMove = (event: PointerEvent) => {
    const index = nearest(event);
    if (index !== at) show(index);
  };
  const onLeave = () => show(-1);
  const onClick = (event: MouseEvent) => {
    const index = nearest(event);
    // A finger has no hover: its first tap shows, its second opens.
    const touch = (event as PointerEvent).pointerType === "touch";
    if (touch && index !== lastTap) {
      lastTap = index;
      show(index);
    } else openAt(index);
  };
  let lastTap = -1;

  drawn.addEventListener("pointermove", onMove);
  drawn.addEventListener("pointerleave", onLeave);
  drawn.addEventListener("click", onClick);
  host.addEventListener("keydown", onKey);
  host.addEventListener("blur", onLeave);
  return () => {
    host.removeEventListener("keydown", onKey);
    host.removeEventListener("blur", onLeave);
    hideTip();
  };
}
