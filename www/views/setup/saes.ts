// The SAEs: the known model's own, or a list of layers with where each comes from.

import { listed } from "../../foreign";
import { fill, h } from "../../ui/dom";
import { saeLine, type Draft, type SaeKind, type SaeLine } from "../../state/draft";
import { field, picker, select, text, tick } from "../../ui/field";

/** The SAEs' part of the form. */
export function saesPart(draft: Draft): HTMLElement {
  const own = tick("checkbox", "Use other SAEs than the model's own", draft.fields.ownSaes, (ownSaes) => {
    if (ownSaes && !draft.fields.saes.length) draft.fields.saes.push(saeLine());
    draft.set({ ownSaes });
    lines();
  });
  const place = h("div", { class: "stack" });
  const add = h(
    "button",
    {
      onclick: () => {
        draft.set({ saes: [...draft.fields.saes, saeLine()] });
        lines();
        (place.lastElementChild?.querySelector("input") as HTMLElement | null)?.focus();
      },
    },
    "Add a layer",
  );

  function source(line: SaeLine, change: (fields: Partial<SaeLine>) => void): HTMLElement[] {
    if (line.kind === "hub") {
      return [
        field("Repository", text(line.repo, (repo) => change({ repo }), { placeholder: "google/gemma-scope-2b-pt-res" })),
        field(
          "Path in it",
          text(line.path, (path) => change({ path }), { placeholder: "layer_12/width_16k/average_l0_82/params.npz" }),
          "A .npz file, or a folder with cfg.json and safetensors.",
        ),
      ];
    }
    if (line.kind === "urls") {
      const input = h("textarea", {
        value: line.urls,
        rows: 2,
        spellcheck: "false",
        oninput: () => change({ urls: input.value }),
      });
      return [field("Addresses of its files, one a line", input)];
    }
    const names = listed(line.files.map((file) => file.name));
    return [
      picker("Its files", line.files, (files) => change({ files }), { multiple: true }),
      ...(names ? [h("p", { class: "muted small" }, names)] : []),
    ];
  }

  function block(line: SaeLine, at: number): HTMLElement {
    const change = (fields: Partial<SaeLine>) => {
      Object.assign(line, fields);
      draft.set({ saes: draft.fields.saes });
    };
    const kinds: [SaeKind, string][] = [
      ["hub", "Hugging Face repository"],
      ["urls", "Addresses"],
      ["files", "Files of mine"],
    ];
    const remove = () => {
      draft.set({ saes: draft.fields.saes.filter((_, index) => index !== at) });
      lines();
      add.focus();
    };
    return h(
      "fieldset",
      { class: "inner" },
      h("legend", null, `SAE ${at + 1}`),
      h(
        "div",
        { class: "columns" },
        field("Layer", text(line.layer, (layer) => change({ layer }), { inputmode: "numeric", placeholder: "12" })),
        field(
          "From",
          select(kinds, line.kind, (kind) => {
            change({ kind: kind as SaeKind });
            lines();
          }),
        ),
      ),
      source(line, change),
      h("button", { class: "quiet", onclick: remove }, `Remove SAE ${at + 1}`),
    );
  }

  let known = draft.fields.modelKind === "known";
  function lines(): void {
    known = draft.fields.modelKind === "known";
    if (!known && !draft.fields.saes.length) draft.fields.saes.push(saeLine());
    own.hidden = !known;
    const shown = !known || draft.fields.ownSaes;
    place.hidden = add.hidden = !shown;
    fill(place, shown ? draft.fields.saes.map(block) : null);
  }
  draft.addEventListener("change", () => {
    if (known !== (draft.fields.modelKind === "known")) lines();
  });
  lines();

  const help = "Gemma Scope, Gemma Scope 2 and SAELens formats are recognised. The SAE reads the residual stream after its layer.";
  return h("fieldset", null, h("legend", null, "SAEs"), own, place, add, h("p", { class: "help" }, help));
}
