// made by `cargo xtask generate` from models/; edit that

/** The SAEs of known models that Neuronpedia has. */
export const KNOWN_SAES: readonly { model: string; layer: number; l0: number; id: string }[] = [
  { model: "gemma-2-2b", layer: 5, l0: 68, id: "gemma-2-2b/5-gemmascope-res-16k" },
  { model: "gemma-2-2b", layer: 12, l0: 82, id: "gemma-2-2b/12-gemmascope-res-16k" },
  { model: "gemma-2-2b", layer: 20, l0: 71, id: "gemma-2-2b/20-gemmascope-res-16k" },
  { model: "gemma-3-270m", layer: 5, l0: 55, id: "gemma-3-270m/5-gemmascope-2-res-16k" },
  { model: "gemma-3-270m", layer: 9, l0: 60, id: "gemma-3-270m/9-gemmascope-2-res-16k" },
  { model: "gemma-3-270m", layer: 12, l0: 60, id: "gemma-3-270m/12-gemmascope-2-res-16k" },
  { model: "gemma-3-270m", layer: 15, l0: 60, id: "gemma-3-270m/15-gemmascope-2-res-16k" },
  { model: "gemma-3-1b", layer: 7, l0: 54, id: "gemma-3-1b/7-gemmascope-2-res-16k" },
  { model: "gemma-3-1b", layer: 13, l0: 60, id: "gemma-3-1b/13-gemmascope-2-res-16k" },
  { model: "gemma-3-1b", layer: 17, l0: 60, id: "gemma-3-1b/17-gemmascope-2-res-16k" },
  { model: "gemma-3-1b", layer: 22, l0: 60, id: "gemma-3-1b/22-gemmascope-2-res-16k" },
  { model: "gpt2-small", layer: 2, l0: 23, id: "gpt2-small/3-res-jb" },
  { model: "gpt2-small", layer: 6, l0: 54, id: "gpt2-small/7-res-jb" },
  { model: "gpt2-small", layer: 9, l0: 52, id: "gpt2-small/10-res-jb" },
];
