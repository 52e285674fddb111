// Written from crate/protocol/catalog.rs by its tests (see crate/protocol/typescript.rs): do not edit.

/** What a page's host offers. */
export type Catalog = {
  /** 1. */
  version: number,
  /** Models with their SAEs. */
  models: Array<HostedModel>,
  /** Finished runs: folders with their files. */
  runs: Array<HostedRun>,
  /** Name of the run that the page opens by itself. */
  default_run?: string,
};

/** One file. */
export type HostedFile = {
  /** Path as the registry names it. */
  path: string,
  /** Where it is, relative to the catalog. */
  url: string,
  /** Bytes. */
  size: number,
  /** In lower-case hex, where it was computed. */
  sha256?: string,
};

/** A model whose files the host has. */
export type HostedModel = {
  /** Name in the registry. */
  name: string,
  /** One line for people. */
  summary?: string,
  /** The model's own files. */
  model: Array<HostedFile>,
  /** Its SAEs, ascending layers. */
  saes: Array<HostedSae>,
};

/** A finished run. */
export type HostedRun = {
  /** Name of its folder. */
  name: string,
  /** One line for people. */
  title: string,
  /** Its folder, relative to the catalog, with a slash at the end. */
  url: string,
  /** Samples measured. */
  samples?: number,
  /** UTC, RFC 3339. */
  started_at?: string,
  /** Whether its calibration.json lies beside its files, which no manifest says; earlier catalogs do not either. */
  calibrated?: boolean,
};

/** An SAE of a hosted model. */
export type HostedSae = {
  /** Block that it reads. */
  layer: number,
  /** Its files. */
  files: Array<HostedFile>,
};
