// Numbers, sizes and times in words, and tokens as they are shown.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Bytes with a decimal unit and about three digits: `127 MB`. */
export function bytes(value: number): string {
  let unit = 0;
  let rest = value;
  while (rest >= 999.5 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)} ${UNITS[unit]}`;
}

/** Seconds as `14 s`, `3 min 20 s`, `1 h 5 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "unknown";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/** A whole number with thousands set apart. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** `1 sample`, `200 samples`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${Math.round(value) === 1 ? one : many}`;
}

/** Three significant digits, without trailing noughts: for running text. */
export function short(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return count(value);
  return size >= 0.001 ? String(Number(value.toPrecision(3))) : value.toExponential(1);
}

/** Three significant digits, with a true minus; a dash where there is no number: for tables and plots. */
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
  const text = (value * 100).toPrecision(3);
  // noughts behind a point alone: 100 stays what it is
  return `${text.includes(".") ? text.replace(/\.?0+$/, "") : text} %`;
}

/** A token as it is shown: blanks and line ends made visible. */
export function visible(token: string): string {
  const text = token.replace(/\n/g, "↵").replace(/\t/g, "⇥");
  return (/^[ ↵⇥]+$/.test(text) ? text.replaceAll(" ", "·") : text.replace(/^ /, "·")) || "∅";
}

function minus(text: string): string {
  return text.replaceAll("-", "−");
}
