// Starts the engine when a view first needs it, and says in words how that went.

import type { EngineClient } from "../engine/client";
import { asEngineError } from "../engine/failure";
import { h } from "../ui/dom";
import type { Draft } from "../state/draft";
import type { Notices } from "./notices";
import { hostAnswers } from "../state/network";
import { enter, type Shared } from "../state/state";
import { deviceWords, hintOf, sentence, whyNoEngine } from "../ui/words";

const TITLES = {
  software: "WebGPU is only emulated here.",
  none: "No WebGPU here.",
  wrong: "WebGPU computes wrong values here.",
  failed: "WebGPU could not be opened.",
};

/** Gives `ready`: starts the engine once, runs its self-test, reads the models. False where it failed;
 *  the reason is on the page then. */
export function engineStart(engine: EngineClient, shared: Shared, draft: Draft, notices: Notices): () => Promise<boolean> {
  let going: Promise<boolean> | null = null;

  engine.addEventListener("state", () => {
    document.documentElement.dataset.engine = engine.state;
    if (engine.state === "ready") notices.set("engine", null);
  });

  function failed(error: ReturnType<typeof asEngineError>): void {
    enter("failed");
    const again = h(
      "button",
      {
        "data-test": "engine-retry",
        onclick: () => {
          notices.set("engine", { tone: "info", title: "Starting the engine again…", text: "" });
          going = null;
          void ready().then((good) => good && shared.update({}));
        },
      },
      "Try again",
    );
    const hint = error.hint ?? (error.kind === "crashed" ? "Reload the page; if it fails again, try a newer browser." : hintOf(error));
    notices.set("engine", {
      tone: "error",
      title: "The engine could not start.",
      text: [sentence(error.message), hint ? ` ${sentence(hint)}` : "", " Finished runs can still be opened."],
      actions: [again],
    });
  }

  async function begin(): Promise<boolean> {
    const reason = whyNoEngine();
    if (reason) {
      failed(reason);
      return false;
    }
    try {
      const [hello, models] = await Promise.all([
        engine.call<"hello">({ type: "hello" }),
        engine.call<"models">({ type: "models" }),
      ]);
      if (!draft.fields.known && models.length) {
        draft.fields.known = (models.find((model) => model.default) ?? models[0]!).name;
      }
      shared.update({ hello, models });
      notices.set("engine", null);
      const { state } = hello.webgpu;
      if (state !== "ok") {
        notices.set("webgpu", {
          tone: state === "wrong" ? "warn" : "info",
          title: TITLES[state],
          text: deviceWords(hello)[0]!,
          closable: true,
        });
      }
      return true;
    } catch (failure) {
      const error = asEngineError(failure);
      failed(hostAnswers() ? error : { ...error, hint: "The page's host does not answer, and the engine was not kept in this browser before." });
      return false;
    }
  }

  function ready(): Promise<boolean> {
    going ??= begin().then((good) => {
      // A failed start may be tried again by whatever asks next.
      if (!good) going = null;
      return good;
    });
    return going;
  }
  return ready;
}
