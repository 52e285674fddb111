// The matrix product's inner loop with fused multiply-add, for browsers that have relaxed SIMD:
// www/build/fma.ts writes it, crate/platform/gemm/wasm.rs calls it.

import module from "#fma";

/** `block` of www/build/fma.ts. */
export type FusedBlock = (
  rows: number,
  depth: number,
  a: number,
  aStride: number,
  b: number,
  c: number,
  cStride: number,
  first: number,
) => void;

/** The loop on the engine's memory; none where the browser refuses the module: the engine has its own. */
export async function fusedBlock(memory: WebAssembly.Memory): Promise<FusedBlock | undefined> {
  try {
    const bytes = Uint8Array.from(atob(module), (byte) => byte.charCodeAt(0));
    if (!WebAssembly.validate(bytes)) return undefined;
    const { instance } = await WebAssembly.instantiate(bytes, { engine: { memory } });
    return instance.exports.block as FusedBlock;
  } catch {
    return undefined;
  }
}
