// Foreign text and addresses: what files, their columns, samples and models are called and say. None of it may
// turn the line around, hide in it, or fill the page; crate/error/text.rs does the same for the terminal.
// ui/dom.ts puts every text of the page through here.

/** Most letters of a name that stands in a sentence, a list or a table. */
const NAME = 120;
/** Most letters of a text that is shown without being asked for. */
export const TEXT = 800;

/** Control characters but line ends and tabs, lone halves of characters, and what turns the direction of the
 *  text behind it. */
const STEERS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/gu;
/** More marks on one letter than any script has: they would pile up over the lines around. */
const PILE = /(\p{M}{4})\p{M}+/gu;

/** Text with all that steers written out, as `\u{202e}`. */
export function tame(text: string): string {
  return text.replace(STEERS, (letter) => `\\u{${(letter.codePointAt(0) as number).toString(16)}}`).replace(PILE, "$1");
}

/** At most so many letters of a text, tamed. */
export function cut(text: string, most = TEXT): string {
  // one that begins a pair is let go where its other half is
  const tamed = tame(text.slice(0, most).replace(/[\ud800-\udbff]$/, ""));
  if (text.length <= most && tamed.length <= most) return tame(text);
  return `${tamed.slice(0, most).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** A name or value out of a file, fit for a sentence: in one line, and without an end it has. */
export function shown(name: string): string {
  return cut(name, NAME).replace(/[\n\t]/g, (letter) => (letter === "\n" ? "\\n" : "\\t"));
}

/** Names as a list, the first few of many. */
export function listed(names: readonly string[], most = 12): string {
  const first = names.slice(0, most).map(shown).join(", ");
  return names.length > most ? `${first} and ${names.length - most} more` : first;
}

/** An address that a link may have: another page on the web, a file of ours, a place on this page. */
export function address(href: string): string | null {
  if (href.startsWith("#")) return href;
  try {
    return /^(https?|blob):$/.test(new URL(href, document.baseURI).protocol) ? href : null;
  } catch {
    return null;
  }
}
