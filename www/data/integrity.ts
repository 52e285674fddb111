// Whether a run's files are the ones that its manifest was written with.

import { shown } from "../foreign";
import type { Manifest } from "./manifest";

/** What is wrong with a file, in words; null where it is as the manifest says, or nothing can be said: an
 * earlier run's manifest has no hashes, and a page that came over plain HTTP has nothing to hash with. */
export async function unlike(name: string, blob: Blob, manifest: Manifest | null): Promise<string | null> {
  const known = manifest?.files?.find((file) => file.path === name);
  if (known === undefined) return null;
  if (known.bytes !== blob.size) return `${name}: expected ${known.bytes} bytes as manifest.json says, found ${blob.size}`;
  // TypeScript takes it for granted
  const subtle = crypto.subtle as SubtleCrypto | undefined;
  if (known.sha256 === null || subtle === undefined) return null;
  const digest = new Uint8Array(await subtle.digest("SHA-256", await blob.arrayBuffer()));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return found === known.sha256 ? null : `${name}: expected sha256 ${shown(known.sha256)} as manifest.json says, found ${found}`;
}
