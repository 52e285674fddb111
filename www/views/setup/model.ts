// The model: a known one, a repository, an address, or the user's own files.

import type { ModelInfo } from "../../engine/protocol";
import { fill, h } from "../../ui/dom";
import type { Draft, ModelKind } from "../../state/draft";
import { bytes } from "../../ui/format";
import type { Shared } from "../../state/state";
import { field, picker, text } from "../../ui/field";

function facts(model: ModelInfo): HTMLElement {
  const size =
    model.bytes === undefined
      ? "size: asked of the hub when planned"
      : model.stored_bytes >= model.bytes
        ? `${bytes(model.bytes)}, all of it stored in this browser`
        : model.stored_bytes
          ? `${bytes(model.bytes)}, ${bytes(model.stored_bytes)} of it stored in this browser`
          : bytes(model.bytes);
  const layers = model.saes.map((sae) => sae.layer).join(", ");
  const licence = model.licence_url
    ? h("a", { href: model.licence_url, rel: "noopener noreferrer", target: "_blank" }, model.licence)
    : model.licence;
  return h(
    "dl",
    { class: "facts" },
    h("div", null, h("dt", null, "Model"), h("dd", null, model.summary)),
    h("div", null, h("dt", null, "Licence"), h("dd", null, licence)),
    h("div", null, h("dt", null, "From"), h("dd", null, model.source)),
    h("div", null, h("dt", null, "Size with SAEs"), h("dd", null, size)),
    h("div", null, h("dt", null, "SAEs at layers"), h("dd", null, layers || "none: give your own below")),
  );
}

function token(draft: Draft, gated: boolean): HTMLElement {
  const input = text(draft.fields.token, (value) => draft.set({ token: value }), {
    type: "password",
    "data-test": "token",
    placeholder: "hf_…",
  });
  const help = "Stays in this tab's memory, is sent to huggingface.co alone, and is gone when the tab closes.";
  return field(gated ? "Access token" : "Access token, if the repository is gated", input, help);
}

/** The user's own files, or a folder of them. */
function ownFiles(files: File[], set: (files: File[]) => void): HTMLElement[] {
  const picked = h("p", { class: "muted small" });
  const say = (list: File[]) => {
    const size = list.reduce((sum, file) => sum + file.size, 0);
    picked.textContent = list.length
      ? `${list.length} file${list.length === 1 ? "" : "s"}, ${bytes(size)}: read in place, by slices.`
      : "config.json, tokenizer.json and *.safetensors, or one .gguf file. Nothing is uploaded.";
  };
  const take = (list: File[]) => {
    set(list);
    say(list);
  };
  say(files);
  const folder = files.some((file) => file.webkitRelativePath);
  return [
    picker("Files", folder ? [] : files, take, { multiple: true, "data-test": "model-files" }),
    picker("Or a folder", folder ? files : [], take, { webkitdirectory: true, "data-test": "model-folder" }),
    picked,
  ];
}

/** The model's part of the form. */
export function modelPart(draft: Draft, shared: Shared): HTMLElement {
  const choice = h("select", {
    "data-test": "model-select",
    onchange: () => {
      const [kind, name] = choice.value.split(":") as [ModelKind, string?];
      draft.set({ modelKind: kind, known: name ?? draft.fields.known });
      detail();
    },
  });
  const place = h("div", { class: "stack" });

  function options(): void {
    const { modelKind, known } = draft.fields;
    fill(
      choice,
      h(
        "optgroup",
        { label: "Known models" },
        shared.models.map((model) => {
          const note = model.hosted ? "on this page's host" : model.gated ? "hub, gated" : "hub";
          return h("option", { value: `known:${model.name}` }, `${model.name} (${note})`);
        }),
        shared.models.length || known ? null : h("option", { value: "known:", disabled: true }, "The list comes with the engine"),
        known && !shared.models.some((one) => one.name === known) ? h("option", { value: `known:${known}` }, known) : null,
      ),
      h(
        "optgroup",
        { label: "Others" },
        h("option", { value: "hub" }, "A Hugging Face repository"),
        h("option", { value: "url" }, "A .gguf file at an address"),
        h("option", { value: "files" }, "Files or a folder of mine"),
      ),
    );
    choice.value = modelKind === "known" ? `known:${known}` : modelKind;
  }

  function detail(): void {
    const { modelKind, known, repo, url, files } = draft.fields;
    const model = shared.models.find((one) => one.name === known);
    if (modelKind === "known") {
      fill(place, model ? facts(model) : null, model && !model.hosted && model.gated ? token(draft, true) : null);
    } else if (modelKind === "hub") {
      const input = text(repo, (value) => draft.set({ repo: value }), { placeholder: "owner/name", "data-test": "model-repo" });
      fill(
        place,
        field("Repository", input, "owner/name, or owner/name@revision. Only the parts that a run reads are downloaded."),
        token(draft, false),
      );
    } else if (modelKind === "url") {
      const input = text(url, (value) => draft.set({ url: value }), {
        type: "url",
        placeholder: "https://…/model.gguf",
        "data-test": "model-url",
      });
      const help = "The host must allow reading byte ranges from other sites (CORS, Accept-Ranges).";
      fill(place, field("Address", input, help));
    } else {
      fill(place, ownFiles(files, (list) => draft.set({ files: list })));
    }
  }

  function refresh(): void {
    if (!draft.fields.known && shared.models.length) {
      const first = shared.models.find((model) => model.default) ?? shared.models[0]!;
      draft.set({ known: first.name });
    }
    options();
    // Rebuilding would take the text field from under the user's fingers.
    if (!place.contains(document.activeElement)) detail();
  }
  shared.addEventListener("change", refresh);
  refresh();

  return h("fieldset", null, h("legend", null, "Model"), field("A known model, or where to find one", choice), place);
}
