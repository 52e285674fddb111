// The set-up as the user edits it, and as a link carries it. Files, pasted text and the token are
// never part of a link.

import type { DataChoice, DeviceChoice, ModelInfo, Precision, SaeAt, SaeChoice, Setup, Subject } from "../engine/protocol";

export type ModelKind = "known" | "hub" | "url" | "files";
export type DataKind = "builtin" | "paste" | "upload";
export type SaeKind = "hub" | "urls" | "files";

/** One line of the list of SAEs. */
export interface SaeLine {
  layer: string;
  kind: SaeKind;
  /** `owner/name` or `owner/name@revision`. */
  repo: string;
  path: string;
  urls: string;
  files: File[];
}

/** Every field of the set-up, as typed. */
export interface Fields {
  modelKind: ModelKind;
  known: string;
  repo: string;
  url: string;
  files: File[];
  token: string;
  /** Use `saes` instead of the known model's own. */
  ownSaes: boolean;
  saes: SaeLine[];
  dataKind: DataKind;
  paste: { prompt: string; fact: string; hallucination: string };
  upload: { name: string; bytes: Uint8Array } | null;
  device: DeviceChoice;
  precision: Precision;
  noise: string;
  seed: string;
  logprob: boolean;
  nulls: boolean;
  batch: string;
  workers: string;
  limit: string;
  store: boolean;
}

/** Fields as they are before anyone touched them. */
export function defaults(): Fields {
  return {
    modelKind: "known",
    known: "",
    repo: "",
    url: "",
    files: [],
    token: "",
    ownSaes: false,
    saes: [],
    dataKind: "builtin",
    paste: { prompt: "", fact: "", hallucination: "" },
    upload: null,
    device: "auto",
    precision: "f32",
    noise: "relative:0.1",
    seed: "0",
    logprob: false,
    nulls: true,
    batch: "",
    workers: "",
    limit: "",
    store: true,
  };
}

/** An empty line for the list of SAEs. */
export function saeLine(): SaeLine {
  return { layer: "", kind: "hub", repo: "", path: "", urls: "", files: [] };
}

/** The set-up that is being edited. Emits `change`. */
export class Draft extends EventTarget {
  fields = defaults();
  /** The link's query that was last taken or given out. */
  link = "";

  set(fields: Partial<Fields>): void {
    Object.assign(this.fields, fields);
    this.dispatchEvent(new Event("change"));
  }
}

function hub(text: string): { repo: string; revision?: string } {
  const [repo = "", revision] = text.trim().split("@");
  return revision ? { repo, revision } : { repo };
}

function whole(text: string, name: string, least: number): number | undefined {
  if (!text.trim()) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`${name}: expected a whole number of at least ${least}, found “${text.trim()}”`);
  }
  return value;
}

function saeChoice(line: SaeLine): SaeChoice {
  if (line.kind === "files") {
    if (!line.files.length) throw new Error(`SAE of layer ${line.layer}: no files picked yet`);
    return { kind: "files", files: line.files };
  }
  if (line.kind === "urls") {
    const urls = line.urls.split(/\s+/).filter(Boolean);
    if (!urls.length) throw new Error(`SAE of layer ${line.layer}: no address yet`);
    return { kind: "urls", urls };
  }
  if (!line.repo.includes("/") || !line.path.trim()) {
    throw new Error(`SAE of layer ${line.layer}: expected a repository (owner/name) and a path in it`);
  }
  return { kind: "hub", ...hub(line.repo), path: line.path.trim() };
}

/** Model and SAEs of the fields. Throws an Error in words where something is still missing. */
export function subjectOf(fields: Fields): Subject {
  let model: Subject["model"];
  switch (fields.modelKind) {
    case "known":
      if (!fields.known) throw new Error("no model chosen yet");
      model = { kind: "known", name: fields.known };
      break;
    case "hub":
      if (!/^[^/\s]+\/[^/\s]+$/.test(fields.repo.trim())) {
        throw new Error("repository: expected owner/name, such as google/gemma-2-2b");
      }
      model = { kind: "hub", ...hub(fields.repo) };
      break;
    case "url":
      if (!URL.canParse(fields.url.trim())) throw new Error("address of the model: expected an https address");
      model = { kind: "url", url: fields.url.trim() };
      break;
    case "files":
      if (!fields.files.length) throw new Error("no model files picked yet");
      model = { kind: "files", files: fields.files };
  }
  const own = fields.ownSaes || fields.modelKind !== "known";
  const saes: SaeAt[] = (own ? fields.saes : []).map((line) => {
    const layer = whole(line.layer, "layer of an SAE", 0);
    if (layer === undefined) throw new Error("layer of an SAE: not given yet");
    return { layer, sae: saeChoice(line) };
  });
  if (own && !saes.length) throw new Error("no SAE yet: give at least one layer");
  const token = fields.token.trim();
  return { model, saes, store: fields.store, ...(token ? { token } : {}) };
}

/** The data set of the fields. Throws an Error in words where something is still missing. */
export function dataOf(fields: Fields): DataChoice {
  if (fields.dataKind === "builtin") return { kind: "builtin" };
  if (fields.dataKind === "upload") {
    if (!fields.upload) throw new Error("no data file chosen yet");
    return { kind: "bytes", ...fields.upload };
  }
  const { prompt, fact, hallucination } = fields.paste;
  if (!prompt.trim() || !fact.trim() || !hallucination.trim()) {
    throw new Error("prompt, fact and hallucination: all three are needed");
  }
  const row = { id: "pasted_001", domain: "pasted", complexity: 0, prompt, fact, hallucination };
  const bytes = new TextEncoder().encode(`${JSON.stringify(row)}\n`);
  return { kind: "bytes", name: "pasted.jsonl", bytes };
}

/** The whole set-up. Throws an Error in words where something is missing or wrong. */
export function setupOf(fields: Fields): Setup {
  if (!/^(relative|absolute):\d+(\.\d+)?(e-?\d+)?$/.test(fields.noise.trim())) {
    throw new Error(`noise: expected relative:0.1 or absolute:S, found “${fields.noise.trim()}”`);
  }
  const limit = whole(fields.limit, "limit", 1);
  const batch_size = whole(fields.batch, "batch size", 1);
  const workers = whole(fields.workers, "workers", 1);
  return {
    subject: subjectOf(fields),
    data: dataOf(fields),
    device: fields.device,
    precision: fields.precision,
    noise: fields.noise.trim(),
    seed: whole(fields.seed, "seed", 0) ?? 0,
    logprob: fields.logprob,
    ...(fields.nulls ? {} : { nulls: 0 }),
    ...(limit === undefined ? {} : { limit }),
    ...(batch_size === undefined ? {} : { batch_size }),
    ...(workers === undefined ? {} : { workers }),
  };
}

const PLAIN = ["device", "precision", "noise", "seed", "batch", "workers", "limit"] as const;

/** The set-up as a query for the hash. */
export function toQuery(fields: Fields): string {
  const query = new URLSearchParams();
  const initial = defaults();
  query.set("model", fields.modelKind);
  if (fields.modelKind === "known" && fields.known) query.set("name", fields.known);
  if (fields.modelKind === "hub") query.set("repo", fields.repo.trim());
  if (fields.modelKind === "url") query.set("url", fields.url.trim());
  if (fields.ownSaes || fields.modelKind !== "known") {
    for (const line of fields.saes) {
      if (line.kind === "hub") query.append("sae", [line.layer, "hub", line.repo.trim(), line.path.trim()].join("|"));
      if (line.kind === "urls") query.append("sae", [line.layer, "urls", line.urls.trim()].join("|"));
    }
  }
  for (const key of PLAIN) if (fields[key] !== initial[key]) query.set(key, fields[key]);
  if (fields.logprob) query.set("logprob", "1");
  if (!fields.nulls) query.set("nulls", "0");
  if (!fields.store) query.set("store", "0");
  return query.toString();
}

/** What of a set-up a link cannot carry, in words. */
export function notInLink(fields: Fields): string[] {
  const missing: string[] = [];
  if (fields.modelKind === "files") missing.push("the model's files");
  if (fields.modelKind !== "known" || fields.ownSaes) {
    if (fields.saes.some((line) => line.kind === "files")) missing.push("the SAEs' files");
  }
  if (fields.dataKind !== "builtin") missing.push("the data");
  if (fields.token) missing.push("the token");
  return missing;
}

/** Fields of a link's query; whatever it does not name keeps its default. */
export function fromQuery(query: URLSearchParams): Fields {
  const fields = defaults();
  const kind = query.get("model");
  if (kind === "hub" || kind === "url" || kind === "files") fields.modelKind = kind;
  fields.known = query.get("name") ?? "";
  fields.repo = query.get("repo") ?? "";
  fields.url = query.get("url") ?? "";
  for (const text of query.getAll("sae")) {
    const [layer = "", kind, first = "", path = ""] = text.split("|");
    const line = { ...saeLine(), layer };
    if (kind === "hub") fields.saes.push({ ...line, kind, repo: first, path });
    if (kind === "urls") fields.saes.push({ ...line, kind, urls: first });
  }
  fields.ownSaes = fields.saes.length > 0;
  const device = query.get("device");
  if (device === "webgpu" || device === "cpu") fields.device = device;
  if (query.get("precision") === "f16") fields.precision = "f16";
  for (const key of ["noise", "seed", "batch", "workers", "limit"] as const) fields[key] = query.get(key) ?? fields[key];
  fields.logprob = query.get("logprob") === "1";
  fields.nulls = query.get("nulls") !== "0";
  fields.store = query.get("store") !== "0";
  return fields;
}

/** Whether the model's host will ask for a token and none is given. */
export function needsToken(draft: Draft, models: ModelInfo[]): boolean {
  const { modelKind, known, token } = draft.fields;
  const model = models.find((one) => one.name === known);
  if (modelKind !== "known" || !model?.gated || token.trim()) return false;
  return model.bytes === undefined || model.stored_bytes < model.bytes;
}
