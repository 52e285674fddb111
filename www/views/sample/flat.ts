// The cloud on its two leading axes, for browsers without WebGL.

import { svg } from "../../ui/dom";
import type { CloudDrawing, CloudScene } from "./scene";

const SIZE = 400;

/** Draws it as SVG. */
export function flatCloud({ points, semiAxes, features, colors }: CloudScene, label: string): CloudDrawing {
  let reach = Math.max(...semiAxes, 1e-9);
  for (let i = 0; i < features.length; i++) reach = Math.max(reach, Math.abs(points[3 * i] ?? 0), Math.abs(points[3 * i + 1] ?? 0));
  const scale = (0.46 * SIZE) / reach;
  const strongest = Math.max(...features.map((f) => f.activation), 1e-9);
  const element = svg(
    "svg",
    { viewBox: `${-SIZE / 2} ${-SIZE / 2} ${SIZE} ${SIZE}`, class: "cloud-flat", role: "img", "aria-label": label },
    svg("line", { x1: -SIZE / 2, x2: SIZE / 2, y1: 0, y2: 0, stroke: colors.line }),
    svg("line", { y1: -SIZE / 2, y2: SIZE / 2, x1: 0, x2: 0, stroke: colors.line }),
    svg("ellipse", { rx: semiAxes[0] * scale, ry: semiAxes[1] * scale, fill: colors.ellipsoid, "fill-opacity": 0.12, stroke: colors.ellipsoid }),
    features.map((feature, i) =>
      svg(
        "circle",
        {
          cx: (points[3 * i] ?? 0) * scale,
          cy: -(points[3 * i + 1] ?? 0) * scale,
          r: 2 + 6 * Math.sqrt(feature.activation / strongest),
          fill: feature.own ? colors.own : colors.shared,
          "fill-opacity": 0.7,
        },
        svg("title", null, `feature ${feature.feature}, activation ${feature.activation.toPrecision(3)}`),
      ),
    ),
  );
  return { element, destroy: () => element.remove() };
}
