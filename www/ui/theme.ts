// The page's colours as concrete values, so that an exported plot carries them itself.

const TOKENS = ["bg", "fg", "muted", "line", "accent", "fact", "hall", "prompt", "warn", "panel"] as const;

export type Theme = Record<(typeof TOKENS)[number], string> & {
  dark: boolean;
  /** Colours of categories other than fact and hallucination. */
  categories: string[];
};

type Rgb = [number, number, number];

const ON_LIGHT = ["#00795c", "#9b3fa0", "#7a6600", "#c2255c", "#495057", "#0b7285", "#5f3dc4"];
const ON_DARK = ["#3ccf9f", "#dc8fe0", "#d8bf3a", "#ff8fab", "#c3cad1", "#5fcfe0", "#b9a5ff"];

/** A category's colour in an element's style: it follows the theme by itself. Muted, where there is none. */
export function category(i: number): string {
  const [light, dark] = [ON_LIGHT[i], ON_DARK[i]];
  return light === undefined || dark === undefined ? "var(--muted)" : `light-dark(${light}, ${dark})`;
}

let canvas: CanvasRenderingContext2D | null = null;

/** Any CSS colour as red, green, blue. */
export function rgb(color: string): Rgb {
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/.exec(color);
  if (hex !== null) return [1, 2, 3].map((i) => parseInt(hex[i] as string, 16)) as Rgb;
  const plain = /^rgb\((\d+), (\d+), (\d+)\)$/.exec(color);
  if (plain !== null) return [1, 2, 3].map((i) => Number(plain[i])) as Rgb;
  // Whatever else CSS can say is painted and looked at.
  canvas ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  if (canvas === null) return [128, 128, 128];
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [r = 0, g = 0, b = 0] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b];
}

/** `share` of the way from one colour to another. */
export function mix(from: string, to: string, share: number): string {
  const [a, b] = [rgb(from), rgb(to)];
  return hex(a.map((value, i) => value + ((b[i] as number) - value) * share) as Rgb);
}

/** Black or white, whichever reads better on a colour. */
export function inkOn(color: string): string {
  const luminance = relativeLuminance(rgb(color));
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#000000" : "#ffffff";
}

/** The colours that hold now. */
export function readTheme(): Theme {
  const probe = document.createElement("span");
  document.body.append(probe);
  const colors = Object.fromEntries(
    TOKENS.map((token) => {
      probe.style.color = `var(--${token})`;
      return [token, hex(rgb(getComputedStyle(probe).color))];
    }),
  ) as Record<(typeof TOKENS)[number], string>;
  probe.remove();
  const dark = relativeLuminance(rgb(colors.bg)) < 0.2;
  return { ...colors, dark, categories: dark ? ON_DARK : ON_LIGHT };
}

/** Calls back after the theme changed, by the system or by the page's switch. Returns the undoing. */
export function onThemeChange(changed: () => void): () => void {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(changed);
  media.addEventListener("change", changed);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme", "class"] });
  return () => {
    media.removeEventListener("change", changed);
    observer.disconnect();
  };
}

function relativeLuminance([r, g, b]: Rgb): number {
  const linear = (value: number) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

function hex(color: Rgb): string {
  return `#${color.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;
}
