// Where the geometry of facts and of hallucinations stands among draws of its nulls: is it more than the
// sparsity, the activations and the dictionary would give anyway?

import { ENTRIES } from "../../generated/metrics";
import { baseInWords, columnOf } from "../../data/metrics";
import type { Run } from "../../data/run";
import { key } from "../../ui/controls";
import { counted, number } from "../../ui/format";
import type { Theme } from "../../ui/theme";
import { spread, type Spread, type View } from "./aggregate";
import { axis, chart, fit, places, Plot } from "./chart";
import type { Drawing, PanelSpec } from "./panel";

/** Suffix of a null's columns → its name here, and what is kept of the text. */
const NULLS: [string, string, string][] = [
  ["random_rows", "Random rows", "the same activations on decoder rows drawn at random"],
  ["permuted", "Permuted", "the same rows, the activations permuted"],
  ["random_dictionary", "Random dictionary", "the same activations on random directions: an untrained dictionary"],
];
/** Within so many standard deviations of the draws' mean lie 95 % of draws that are normal. */
const USUAL = 1.96;
const SIDES = ["fact", "hall"] as const;
type Side = (typeof SIDES)[number];

interface Line {
  null: string;
  /** Its row: layer and shape. */
  at: string;
  side: Side;
  layer: number;
  shape: string;
  z: Spread;
  /** Texts beyond {@link USUAL}. */
  beyond: number;
}

/** `sphericity`, …: what the nulls have draws of. */
function shapes(suffix: string): string[] {
  const end = `_${suffix}_z`;
  return ENTRIES.filter(({ name, nulls }) => nulls && name.endsWith(end)).map(({ name }) => name.slice(0, -end.length));
}

/** Whether a run has draws. */
export function hasNulls(run: Run): boolean {
  return linesOf({ run, domain: null, rows: run.sampleIds.map((_, row) => row), domains: [], byDomain: new Map() }, true).length > 0;
}

/** The panel. */
export function nullsPanel(): PanelSpec {
  return {
    id: "nulls",
    title: "Nulls: more than sparsity and dictionary?",
    how: `Each text’s shape beside draws of three nulls: ${NULLS.map(([, name, kept]) => `${name.toLowerCase()} (${kept})`).join("; ")}. A dot is the mean distance from the draws in their standard deviations (z), its bar the middle half of the texts. In the grey band lie 95 % of single texts, were they made by the null; a mean well away from 0 inside it differs from the null, too.`,
    size: "wide",
    draw,
  };
}

function linesOf({ run, rows }: View, any = false): Line[] {
  const lines: Line[] = [];
  for (const layer of run.layers) {
    for (const [suffix, name] of NULLS) {
      for (const shape of shapes(suffix)) {
        for (const side of SIDES) {
          const values = run.metrics.numbers(columnOf(`${shape}_${suffix}_z`, side, layer));
          const z = values === null ? null : spread(values, rows);
          if (values === null || z === null) continue;
          const beyond = rows.filter((row) => Math.abs(values[row] as number) > USUAL).length;
          lines.push({ null: name, at: `${layer} ${shape}`, side, layer, shape, z, beyond });
          if (any) return lines;
        }
      }
    }
  }
  return lines;
}

function draw(view: View, theme: Theme, width: number): Drawing {
  const lines = linesOf(view);
  const table = () => ({
    columns: ["Layer", "Shape", "Null", "Text", "Mean z", "Quarter below", "Median", "Quarter above", "Texts", `|z| > ${USUAL}`],
    rows: lines.map(({ layer, shape, null: name, side, z, beyond }) => [
      layer, baseInWords(shape), name, side === "fact" ? "fact" : "hallucination", z.mean, z.low, z.median, z.high, z.n, beyond,
    ]),
  });
  if (lines.length === 0) {
    const why = "No text has draws of the nulls: the run was made with `--nulls off`, or every text has fewer than 4 or more than 256 active features.";
    return { plot: null, empty: why, caption: "", table };
  }
  const narrow = width < 640;
  const names = [...new Set(lines.map(({ null: name }) => name))];
  const rows = [...new Set(lines.map(({ at }) => at))];
  const ends = lines.flatMap(({ z }) => [z.mean, z.low, z.high]);
  const [low, high] = [Math.min(-USUAL * 1.3, ...ends) * 1.05, Math.max(USUAL * 1.3, ...ends) * 1.05];
  const color = ({ side }: Line) => theme[side];
  const dy = (side: Side) => (side === "fact" ? -3.5 : 3.5);
  const left = narrow ? 4 : 204;
  const [top, row] = [narrow ? 44 : 26, narrow ? 40 : 22];
  const ofRow = (at: string) => lines.find((line) => line.at === at) as Line;
  const words = (at: string) => `${baseInWords(ofRow(at).shape)}, layer ${ofRow(at).layer}`;
  const plot = chart(theme, {
    width,
    height: top + rows.length * row + 26,
    marginLeft: left,
    marginRight: 8,
    marginTop: top,
    marginBottom: 26,
    x: { domain: [low, high], label: null },
    y: { domain: rows, label: null, axis: null, padding: 0.1 },
    fx: { domain: names, label: null, axis: null, padding: 0.06 },
    marks: [
      Plot.rect(names, { fx: (name: string) => name, x1: -USUAL, x2: USUAL, fill: theme.line, fillOpacity: 0.6 }),
      Plot.ruleX([0], { stroke: theme.muted }),
      axis(theme, "x", { anchor: "bottom", ticks: narrow ? 3 : 5 }),
      Plot.text(names, {
        fx: (name: string) => name, text: (name: string) => fit(name, width / names.length), frameAnchor: "top", lineAnchor: "bottom", dy: narrow ? -22 : -8,
        fill: theme.fg, fontWeight: 600,
      }),
      Plot.text(rows, {
        fx: () => names[0], y: (at: string) => at, text: (at: string) => fit(words(at), narrow ? width - 8 : left - 8), frameAnchor: "left", textAnchor: "start",
        dx: narrow ? 0 : -left + 4, dy: narrow ? -14 : 0, fill: theme.fg, ...(narrow ? { stroke: theme.panel, strokeWidth: 4 } : {}),
      }),
      ...SIDES.flatMap((side) => {
        const own = lines.filter((line) => line.side === side);
        const offset = { dy: dy(side) + (narrow ? 4 : 0) };
        return [
          Plot.ruleY(own, { fx: "null", y: "at", x1: ({ z }: Line) => z.low, x2: ({ z }: Line) => z.high, stroke: color, strokeWidth: 1.8, ...offset }),
          Plot.dot(own, { fx: "null", y: "at", x: ({ z }: Line) => z.mean, r: 3.2, fill: color, ...offset }),
        ];
      }),
    ],
    color: { type: "identity" },
  });
  const [xAt, yAt, frame] = [places(plot, "x"), places(plot, "y"), plot.scale("fx")];
  const moved = (name: string) => ((frame?.apply(name) as number) ?? 0) - ((frame?.apply(names[0]) as number) ?? 0);
  return {
    plot,
    points: lines.map((line) => ({
      x: xAt(line.z.mean) + moved(line.null),
      y: yAt(line.at) + dy(line.side) + (narrow ? 4 : 0),
      lines: [
        words(line.at),
        `${line.side === "fact" ? "facts" : "hallucinations"} beside ${line.null.toLowerCase()}`,
        `mean z ${number(line.z.mean)}, middle half ${number(line.z.low)} to ${number(line.z.high)}`,
        `${line.beyond} of ${counted(line.z.n, "text")} beyond ${USUAL}`,
      ],
    })),
    reach: 60,
    legend: [key(theme.fact, "fact"), key(theme.hall, "hallucination"), key(theme.line, `95 % of single texts under a null`, "bar")],
    caption: captionOf(lines, names),
    table,
  };
}

/** How many shapes are beyond what a null gives. */
function captionOf(lines: Line[], names: string[]): string {
  const parts = names.map((name) => {
    const own = lines.filter((line) => line.null === name);
    const [beyond, texts] = [own.reduce((sum, line) => sum + line.beyond, 0), own.reduce((sum, { z }) => sum + z.n, 0)];
    return `${name.toLowerCase()} ${Math.round((100 * beyond) / texts)} %`;
  });
  return `Texts beyond 95 % of normal draws (about 5 % would be by chance): ${parts.join(", ")}. What differs from a null need not differ between fact and hallucination: the comparisons below say which do.`;
}
