// What is kept of a set-up while its run is not finished, so that a page that is opened anew can ask for
// the rest. Files that were picked cannot be kept, and the token is not.

import type { Setup } from "../engine/protocol";

const BYTES = "saescope-bytes";

/** A set-up as text. */
export function keep(setup: Setup): string {
  let picked = false;
  const kept = { ...setup, subject: { ...setup.subject, token: undefined } };
  const text = JSON.stringify(kept, (_, value: unknown) => {
    if (value instanceof File) picked = true;
    return value instanceof Uint8Array ? { [BYTES]: base64(value) } : value;
  });
  return picked ? "" : text;
}

/** The set-up that was kept; null where its files cannot be opened again. */
export function restore(asked: string): Setup | null {
  if (!asked) return null;
  return JSON.parse(asked, (_, value: unknown) =>
    typeof value === "object" && value !== null && BYTES in value ? fromBase64(String(value[BYTES])) : value,
  ) as Setup;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  // as many arguments as any browser takes
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
