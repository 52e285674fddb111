// Runs that were not finished when their tab was closed: what they measured is in the browser's storage
// (crate/web/spools.rs), and the page offers to go on.

import type { EngineClient } from "../engine/client";
import { asEngineError } from "../engine/failure";
import { restore } from "../state/asked";
import type { RunSession } from "../state/session";
import { h } from "../ui/dom";
import { counted } from "../ui/format";
import { sentence } from "../ui/words";
import type { Notices } from "./notices";

/** Where the engine keeps them. */
const FOLDER = "runs";

async function folder(): Promise<FileSystemDirectoryHandle | null> {
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER);
  } catch {
    // no such storage, or nothing in it yet
    return null;
  }
}

async function names(): Promise<string[]> {
  const found: string[] = [];
  for await (const name of (await folder())?.keys() ?? []) found.push(name);
  return found;
}

/** Looks for such runs, without the engine, and offers to go on with the latest. */
export async function offerUnfinished(
  session: RunSession,
  engine: EngineClient,
  ready: () => Promise<boolean>,
  notices: Notices,
  goOn: () => void,
): Promise<void> {
  if (!(await names()).length || session.active) return;
  const say = (text: string, actions: HTMLElement[]) =>
    notices.set("unfinished", { tone: "info", title: "A run of this page was not finished.", text, actions, closable: true });

  async function discard(): Promise<void> {
    const runs = await folder();
    // one that another tab is running stays
    for (const name of await names()) await runs?.removeEntry(name).catch(() => undefined);
    notices.set("unfinished", null);
  }
  const letGo = h("button", { class: "quiet", "data-test": "discard-unfinished", onclick: () => void discard() }, "Delete it");

  async function resume(): Promise<void> {
    if (!(await ready())) return;
    try {
      const [latest] = await engine.call<"unfinished">({ type: "unfinished" });
      if (!latest) return say("It goes on in another tab, or was of another version of this page.", [letGo]);
      const setup = restore(latest.asked);
      const there = `${counted(latest.samples_done, "sample")} of ${latest.samples_total} are measured`;
      if (!setup) return say(`${there}, but it read files of yours, which the page cannot open again.`, [letGo]);
      const data = await engine.call<"dataset">({ type: "dataset", data: setup.data });
      notices.set("unfinished", null);
      session.takeUp(latest, setup, data);
      goOn();
    } catch (reason) {
      say(sentence(asEngineError(reason).message), [letGo]);
    }
  }
  const button = h("button", { class: "primary", "data-test": "continue-unfinished", onclick: () => void resume() }, "Continue");
  say("What it measured is kept in this browser.", [button, letGo]);
}
