// The sentence as tokens: coloured by one feature, each a button that ranks the features by it.

import { h } from "../../ui/dom";
import { visible } from "../../ui/format";
import { scaleOf, shade } from "./ranking";

export interface SentenceLine {
  element: HTMLElement;
  /** Colours the tokens by a feature's activations. */
  paint(values: number[]): void;
  /** Shows which token ranks; null: none. */
  press(token: number | null): void;
}

/** Builds it; `choose` hears of a token, and of null when the chosen one is chosen again. */
export function sentenceLine(tokens: string[], choose: (token: number | null) => void): SentenceLine {
  let chosen: number | null = null;
  const buttons = tokens.map((token, index) =>
    h(
      "button",
      {
        type: "button",
        class: "token lit",
        tabindex: index === 0 ? 0 : -1,
        "aria-pressed": "false",
        "data-test": "sentence-token",
        onclick: () => choose(chosen === index ? null : index),
      },
      visible(token),
    ),
  );
  // One stop of the Tab key for the whole sentence; arrows go from token to token.
  const focus = (index: number): void => {
    const next = buttons[Math.max(0, Math.min(buttons.length - 1, index))];
    for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
    next?.focus();
  };
  const steps: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  const element = h("div", { class: "sentence", role: "toolbar", "aria-label": "Tokens: choose one to rank the features by it" }, buttons);
  element.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(event.target as HTMLButtonElement);
    const step = steps[event.key];
    if (at < 0 || step === undefined) return;
    event.preventDefault();
    focus(at + step);
  });
  return {
    element,
    paint(values) {
      const most = scaleOf(values);
      buttons.forEach((button, index) => {
        const value = values[index] ?? 0;
        button.classList.toggle("beyond", value > most);
        button.style.setProperty("--share", shade(value, most));
      });
    },
    press(token) {
      chosen = token;
      buttons.forEach((button, index) => {
        button.setAttribute("aria-pressed", String(index === token));
        if (token !== null) button.tabIndex = index === token ? 0 : -1;
      });
    },
  };
}
