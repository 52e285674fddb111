// Whether JSON that somebody else wrote has the form that the page relies on. Only what the page reads is
// looked at, so that a later version may add to it.

import { shown } from "../foreign";

/** Throws an Error in words where the value at a path has another form. */
export type Check = (value: unknown, at: string) => void;

function expected(what: string, value: unknown, at: string): never {
  const found = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : shown(JSON.stringify(value) ?? "nothing");
  throw new Error(`${at}: expected ${what}, found ${found}`);
}

export const text: Check = (value, at) => {
  if (typeof value !== "string") expected("text", value, at);
};

export const number: Check = (value, at) => {
  if (typeof value !== "number") expected("a number", value, at);
};

export const flag: Check = (value, at) => {
  if (typeof value !== "boolean") expected("true or false", value, at);
};

/** One of some words. */
export const oneOf =
  (...words: string[]): Check =>
  (value, at) => {
    if (!words.includes(value as string)) expected(words.join(" or "), value, at);
  };

/** A number of a block, or of anything else that is counted. */
export const whole: Check = (value, at) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) expected("a whole number", value, at);
};

/** A value that may be null or absent. */
export const maybe =
  (check: Check): Check =>
  (value, at) => {
    if (value !== null && value !== undefined) check(value, at);
  };

/** A list of as many values as checks, one for each place. */
export const tuple =
  (...checks: Check[]): Check =>
  (value, at) => {
    if (!Array.isArray(value) || value.length !== checks.length) return expected(`a list of ${checks.length}`, value, at);
    checks.forEach((check, i) => check(value[i], `${at}[${i}]`));
  };

/** A list; of at most so many where more would not be drawn in any time. */
export const list =
  (check: Check, most = Infinity): Check =>
  (value, at) => {
    if (!Array.isArray(value)) return expected("a list", value, at);
    if (value.length > most) throw new Error(`${at}: expected at most ${most.toLocaleString("en")}, found ${value.length.toLocaleString("en")}`);
    value.forEach((item, i) => check(item, `${at}[${i}]`));
  };

/** An object of type T with some of its fields. */
export const object =
  <T>(fields: { [K in keyof T]?: Check }): Check =>
  (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return expected("an object", value, at);
    for (const [name, check] of Object.entries(fields) as [string, Check][]) {
      check((value as Record<string, unknown>)[name], at === "" ? name : `${at}.${name}`);
    }
  };
