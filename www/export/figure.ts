// A plot as a file: SVG that needs nothing from the page, and PNG at twice its size.

import { cut } from "../foreign";
import { save } from "./save";

const NAMESPACE = "http://www.w3.org/2000/svg";
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const HEAD = 44;
const LEGEND_LINE = 18;
/** A line that is longer is wider than any plot. */
const MOST_LETTERS = 400;

export interface Figure {
  /** The plot as it is shown; its colours are concrete values. */
  svg: SVGSVGElement;
  title: string;
  /** A line under the title: which run, which part. */
  subtitle: string;
  background: string;
  ink: string;
  muted: string;
  /** What the colours stand for. */
  legend: { color: string; text: string }[];
}

/** The plot with title, background and fonts in it. */
export function figureSvg({ svg, title, subtitle, background, ink, muted, legend }: Figure): { text: string; width: number; height: number } {
  const width = svg.width.baseVal.value;
  // The legend runs on like text, at about 6.5 pixels a letter.
  let [x, line] = [8, 0];
  const keys = legend.map(({ color, text }) => {
    const size = 32 + text.length * 6.5;
    if (x > 8 && x + size > width) [x, line] = [8, line + 1];
    const at = { color, text, x, y: HEAD + line * LEGEND_LINE };
    x += size;
    return at;
  });
  const head = HEAD + (keys.length === 0 ? 0 : (line + 1) * LEGEND_LINE + 4);
  const height = svg.height.baseVal.value + head;
  const root = document.createElementNS(NAMESPACE, "svg");
  for (const [name, value] of Object.entries({
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    "font-family": FONT,
    "font-size": 12,
    fill: ink,
    color: ink,
    role: "img",
  })) {
    root.setAttribute(name, String(value));
  }
  const add = (tag: string, attrs: Record<string, string | number>, text = "") => {
    const element = document.createElementNS(NAMESPACE, tag);
    for (const [name, value] of Object.entries(attrs)) element.setAttribute(name, String(value));
    element.textContent = cut(text, MOST_LETTERS);
    root.append(element);
  };
  add("title", {}, `${title}. ${subtitle}`);
  add("rect", { width, height, fill: background });
  add("text", { x: 8, y: 18, "font-size": 14, "font-weight": 600 }, title);
  add("text", { x: 8, y: 34, "font-size": 11, fill: muted }, subtitle);
  for (const item of keys) {
    add("rect", { x: item.x, y: item.y, width: 10, height: 10, rx: 2, fill: item.color });
    add("text", { x: item.x + 15, y: item.y + 9, "font-size": 11 }, item.text);
  }
  const plot = svg.cloneNode(true) as SVGSVGElement;
  // Only marks of the pointer and the keyboard carry this class.
  for (const mark of plot.querySelectorAll(".pointed")) mark.remove();
  plot.removeAttribute("class");
  plot.setAttribute("y", String(head));
  plot.setAttributeNS("http://www.w3.org/XML/1998/namespace", "xml:space", "preserve");
  root.append(plot);
  return { text: new XMLSerializer().serializeToString(root), width, height };
}

/** Saves a plot as SVG. */
export function saveSvg(figure: Figure, name: string): void {
  save(new Blob([figureSvg(figure).text], { type: "image/svg+xml" }), `${name}.svg`);
}

/** Saves a plot as PNG at twice its size. */
export async function savePng(figure: Figure, name: string): Promise<void> {
  const { text, width, height } = figureSvg(figure);
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * width;
    canvas.height = 2 * height;
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("the browser gives no canvas to draw the PNG on");
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const png = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
    if (png === null) throw new Error("the browser could not encode the PNG");
    save(png, `${name}.png`);
  } finally {
    URL.revokeObjectURL(url);
  }
}
