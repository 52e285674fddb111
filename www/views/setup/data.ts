// The data set: the built-in triples, one typed triple, or a file; and what of it cannot be used.

import type { DatasetInfo, EngineError, Rejected } from "../../engine/protocol";
import { listed, shown } from "../../foreign";
import { fill, h } from "../../ui/dom";
import type { DataKind, Draft } from "../../state/draft";
import { counted } from "../../ui/format";
import { errorBox } from "../../ui/words";
import { field, text, tick } from "../../ui/field";

const SHOWN_ROWS = 3;
const SHOWN_REJECTED = 100;

function rejectedTable(rows: Rejected[]): HTMLElement {
  const first = rows.slice(0, SHOWN_REJECTED);
  return h(
    "div",
    { class: "stack", "data-test": "rejected" },
    h("h2", null, `${counted(rows.length, "row")} cannot be used`),
    h("p", { class: "muted small" }, "The run goes on without them; its manifest lists them."),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rows that cannot be used" },
      h(
        "table",
        null,
        h("thead", null, h("tr", null, ["Row", "Line", "Id", "Reason"].map((name) => h("th", { scope: "col" }, name)))),
        h(
          "tbody",
          null,
          first.map((one) =>
            h("tr", null, h("td", null, one.row), h("td", null, one.line ?? "–"), h("td", null, shown(one.id ?? "–")), h("td", null, one.reason)),
          ),
        ),
      ),
    ),
    rows.length > first.length ? h("p", { class: "muted small" }, `and ${rows.length - first.length} more`) : null,
  );
}

function preview(data: DatasetInfo): HTMLElement {
  const domains = listed(data.domains.map(([name, samples]) => `${shown(name) || "no domain"} ${samples}`));
  return h(
    "div",
    { class: "stack", "data-test": "data-preview" },
    h("p", null, `${counted(data.samples.length, "triple")}: ${domains}.`),
    h(
      "div",
      { class: "scroll preview", tabindex: 0, role: "region", "aria-label": "First rows" },
      h(
        "table",
        null,
        h("thead", null, h("tr", null, ["Prompt", "Fact", "Hallucination"].map((name) => h("th", { scope: "col" }, name)))),
        h(
          "tbody",
          null,
          data.samples
            .slice(0, SHOWN_ROWS)
            .map((row) => h("tr", null, h("td", null, row.prompt), h("td", null, row.fact), h("td", null, row.hallucination))),
        ),
      ),
    ),
  );
}

/** One triple, typed. */
function typed(draft: Draft): HTMLElement {
  const pasted = (key: "prompt" | "fact" | "hallucination") => (value: string) =>
    draft.set({ paste: { ...draft.fields.paste, [key]: value } });
  return h(
    "div",
    { class: "stack" },
    field("Prompt", text(draft.fields.paste.prompt, pasted("prompt"), { "data-test": "paste-prompt", placeholder: "The capital of France is" })),
    h(
      "div",
      { class: "columns" },
      field("Fact", text(draft.fields.paste.fact, pasted("fact"), { "data-test": "paste-fact", placeholder: "Paris" })),
      field("Hallucination", text(draft.fields.paste.hallucination, pasted("hallucination"), { "data-test": "paste-hallucination", placeholder: "Rome" })),
    ),
    h("p", { class: "help" }, "One triple gives its numbers; comparisons and their controls need many."),
  );
}

/** Lets a file be dropped on an element. */
function takesDrops(element: HTMLElement, take: (file: File) => void): void {
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("over");
    const dropped = event.dataTransfer?.files[0];
    if (dropped) take(dropped);
  });
}

/** The data's part of the form. `show` gets what the engine made of it. */
export function dataPart(draft: Draft): { element: HTMLElement; show(data: DatasetInfo | EngineError | null): void } {
  const outcome = h("div", { class: "stack" });
  const place = h("div", { class: "stack" });
  const name = h("p", { class: "muted small" });

  const file = h("input", {
    type: "file",
    "data-test": "data-file",
    accept: ".json,.jsonl,.ndjson,.csv,.tsv,.parquet",
    onchange: () => {
      const picked = file.files?.[0];
      if (picked) void take(picked);
    },
  });
  const upload = h(
    "div",
    { class: "upload" },
    field(
      "JSON, JSONL, CSV or Parquet",
      file,
      "Columns: id, prompt, fact, hallucination; optionally domain, complexity and cluster. Or drop the file here. It is read in this tab and not uploaded.",
    ),
    name,
  );
  takesDrops(upload, (dropped) => {
    // The picker cannot name a dropped file.
    void take(dropped).then(() => fill(name, `Dropped: ${shown(dropped.name)}`));
  });

  async function take(picked: File): Promise<void> {
    fill(name, `Reading ${shown(picked.name)}…`);
    draft.set({ dataKind: "upload", upload: null });
    const bytes = new Uint8Array(await picked.arrayBuffer());
    name.textContent = "";
    draft.set({ dataKind: "upload", upload: { name: picked.name, bytes } });
    choose("upload");
  }

  const paste = typed(draft);

  const kinds: [DataKind, string, string][] = [
    ["builtin", "The 200 built-in triples", "data-builtin"],
    ["paste", "One triple, typed here", "data-paste"],
    ["upload", "A file of mine", "data-upload"],
  ];
  const radios = kinds.map(([kind, label, test]) =>
    tick("radio", label, draft.fields.dataKind === kind, () => {
      draft.set({ dataKind: kind });
      choose(kind);
    }, { name: "data", value: kind, "data-test": test }),
  );

  function choose(kind: DataKind): void {
    for (const radio of radios) {
      const input = radio.querySelector("input")!;
      input.checked = input.value === kind;
    }
    paste.hidden = kind !== "paste";
    upload.hidden = kind !== "upload";
  }
  fill(place, paste, upload);
  choose(draft.fields.dataKind);

  return {
    element: h("fieldset", null, h("legend", null, "Data"), h("div", { class: "ticks" }, radios), place, outcome),
    show(data) {
      if (!data) fill(outcome);
      else if ("kind" in data) {
        fill(outcome, errorBox(data, null, "The data cannot be read"));
      } else {
        fill(
          outcome,
          data.samples.length ? preview(data) : h("p", { class: "warn" }, "No row can be used."),
          data.rejected.length ? rejectedTable(data.rejected) : null,
        );
      }
    },
  };
}
