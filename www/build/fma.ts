// The inner loop of the CPU's matrix product with fused multiply-add, as a WebAssembly module of its own.
//
// Relaxed SIMD has such an instruction, and a module with one is refused as a whole by a browser without
// it. So the engine is built without, and this loop, on the engine's memory, is what it calls where the
// browser takes it (www/engine/fused.ts; crate/platform/gemm/wasm.rs is the loop without).

import type { Plugin } from "vite";
import wabt from "wabt";

const NAME = "#fma";
/** Columns of a panel: two vectors of four. */
const COLS = 8;
/** Rows whose sums are held at once; eight sums and three operands are what sixteen registers hold. */
const ROWS = [4, 1];
/** Terms of the sum in one turn of the loop. */
const UNROLLED = 4;

/** `count` pieces of text, of each number from 0. */
const each = (count: number, piece: (i: number) => string) => Array.from({ length: count }, (_, i) => piece(i)).join("\n");

/** The loop over k for `rows` rows: a0, a1 … and b point at what comes next. */
function tile(rows: number): string {
  const terms = (from: number) => `
    (local.set $b0 (v128.load offset=${from * COLS * 4} (local.get $b)))
    (local.set $b1 (v128.load offset=${from * COLS * 4 + 16} (local.get $b)))
    ${each(rows, (r) => `
      (local.set $x (v128.load32_splat offset=${from * 4} (local.get $a${r})))
      ${each(2, (v) => `(local.set $s${r}${v} (f32x4.relaxed_madd (local.get $x) (local.get $b${v}) (local.get $s${r}${v})))`)}`)}`;
  const loop = (unrolled: number) => `
    (block $done${unrolled} (loop $next${unrolled}
      (br_if $done${unrolled} (i32.lt_u (local.get $depth) (i32.const ${unrolled})))
      ${each(unrolled, terms)}
      ${each(rows, (r) => `(local.set $a${r} (i32.add (local.get $a${r}) (i32.const ${unrolled * 4})))`)}
      (local.set $b (i32.add (local.get $b) (i32.const ${unrolled * COLS * 4})))
      (local.set $depth (i32.sub (local.get $depth) (i32.const ${unrolled})))
      (br $next${unrolled})))`;
  const sums = (what: (r: number, v: number) => string) => each(rows, (r) => each(2, (v) => what(r, v)));
  return `
    (func $tile${rows} (param $depth i32) (param $a0 i32) (param $a_stride i32) (param $b i32)
      (param $c0 i32) (param $c_stride i32) (param $first i32)
      (local $b0 v128) (local $b1 v128) (local $x v128)
      ${sums((r, v) => `(local $s${r}${v} v128)`)}
      ${each(rows - 1, (r) => `(local $a${r + 1} i32) (local $c${r + 1} i32)`)}
      ${each(rows - 1, (r) => `
        (local.set $a${r + 1} (i32.add (local.get $a${r}) (local.get $a_stride)))
        (local.set $c${r + 1} (i32.add (local.get $c${r}) (local.get $c_stride)))`)}
      (if (i32.eqz (local.get $first)) (then
        ${sums((r, v) => `(local.set $s${r}${v} (v128.load offset=${v * 16} (local.get $c${r})))`)}))
      ${loop(UNROLLED)}
      ${loop(1)}
      ${sums((r, v) => `(v128.store offset=${v * 16} (local.get $c${r}) (local.get $s${r}${v}))`)})`;
}

/** Strides in bytes; otherwise as `Kernel::block` in crate/platform/gemm/mod.rs. */
const block = `
  (func (export "block") (param $rows i32) (param $depth i32) (param $a i32) (param $a_stride i32) (param $b i32)
    (param $c i32) (param $c_stride i32) (param $first i32)
    ${ROWS.map((rows) => `
      (block $done${rows} (loop $next${rows}
        (br_if $done${rows} (i32.lt_u (local.get $rows) (i32.const ${rows})))
        (call $tile${rows} (local.get $depth) (local.get $a) (local.get $a_stride) (local.get $b)
          (local.get $c) (local.get $c_stride) (local.get $first))
        (local.set $a (i32.add (local.get $a) (i32.mul (local.get $a_stride) (i32.const ${rows}))))
        (local.set $c (i32.add (local.get $c) (i32.mul (local.get $c_stride) (i32.const ${rows}))))
        (local.set $rows (i32.sub (local.get $rows) (i32.const ${rows})))
        (br $next${rows})))`).join("\n")})`;

/** The module's bytes. */
export async function fusedModule(): Promise<Uint8Array> {
  const text = `(module (import "engine" "memory" (memory 1)) ${ROWS.map(tile).join("\n")} ${block})`;
  const module = (await wabt()).parseWat("fma.wat", text, { simd: true, relaxed_simd: true });
  try {
    module.validate();
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

/** Gives the module as text, base64, by the name `#fma`. */
export function fusedProduct(): Plugin {
  return {
    name: "saescope-fma",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : null),
    load: async (id) => (id === `\0${NAME}` ? `export default ${JSON.stringify(Buffer.from(await fusedModule()).toString("base64"))};` : null),
  };
}
