// Runs that the service worker keeps for offline use, as the view Storage lists and deletes them.

import type { RunPrefix } from "../keeping";

const PREFIX: RunPrefix = "saescope-run ";

export interface KeptRun {
  /** Its address; relative to the page where it lies beside it. */
  name: string;
  bytes: number;
}

/** An address, relative to the page where it lies beside it. */
export function besidePage(address: string): string {
  // the page's own has a query and a hash
  const place = new URL(".", document.baseURI).href;
  return address.startsWith(place) ? address.slice(place.length) : address;
}

async function names(): Promise<string[]> {
  // not there where the page came over plain http
  if (!("caches" in window)) return [];
  return (await caches.keys()).filter((name) => name.startsWith(PREFIX));
}

/** The runs that are kept, by address. */
export async function keptRuns(): Promise<KeptRun[]> {
  const found = new Map<string, number>();
  for (const name of await names()) {
    const folder = name.slice(PREFIX.length, name.lastIndexOf(" "));
    found.set(folder, (found.get(folder) ?? 0) + (await size(name)));
  }
  return [...found]
    .map(([folder, bytes]) => ({ name: besidePage(folder), bytes }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

async function size(name: string): Promise<number> {
  const cache = await caches.open(name);
  let bytes = 0;
  for (const answer of await cache.matchAll()) {
    const declared = answer.headers.get("content-length");
    bytes += declared === null ? (await answer.blob()).size : Number(declared);
  }
  return bytes;
}

/** Deletes them all. */
export async function deleteKeptRuns(): Promise<void> {
  await Promise.all((await names()).map((name) => caches.delete(name)));
}
