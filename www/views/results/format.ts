// Numbers as readers of a paper expect them.

/** Three significant digits; a dash where there is no number. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  // A whole number that passed through 32 bits is still one.
  if (Math.abs(value - Math.round(value)) <= 1e-6 * Math.abs(value) && Math.abs(value) < 1e6) return minus(String(Math.round(value) || 0));
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return minus(value.toExponential(2));
  if (size >= 1000) return minus(value.toFixed(0));
  return minus(value.toPrecision(3));
}

/** With a sign, for differences. */
export function signed(value: number | null | undefined): string {
  const text = number(value);
  return value !== null && value !== undefined && value > 0 ? `+${text}` : text;
}

/** A probability: two digits, never rounded to zero. */
export function probability(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value < 0.001 ? "< 0.001" : value.toFixed(3);
}

/** A share as a percentage. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return `${(value * 100).toPrecision(3).replace(/\.?0+$/, "")} %`;
}

/** Bytes in the units of file managers. */
export function bytes(value: number): string {
  if (value < 1e3) return `${value} B`;
  const [unit, size] = value < 1e6 ? ["kB", 1e3] : value < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  const scaled = value / (size as number);
  return `${scaled < 10 ? scaled.toFixed(1) : scaled.toFixed(0)} ${unit as string}`;
}

/** Seconds, or minutes and seconds. */
export function duration(seconds: number): string {
  if (seconds < 100) return `${seconds.toPrecision(3)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** `1 sample`, `2 samples`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

function minus(text: string): string {
  return text.replaceAll("-", "−");
}
