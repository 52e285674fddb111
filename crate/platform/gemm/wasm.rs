//! WebAssembly's 128-bit vectors: a multiplication and an addition, each rounded; or one fused step, by a loop
//! outside this module, where the browser has relaxed SIMD. (A module with an instruction of it is refused as a
//! whole where there is none.)

use std::arch::wasm32::*;

use wasm_bindgen::prelude::*;

use super::{Block, Kernel, by_rows};

#[wasm_bindgen]
extern "C" {
    /// Of the worker's script: [`Kernel::block`] on this module's memory, strides in bytes.
    #[wasm_bindgen(js_name = saescopeFusedBlock)]
    #[allow(clippy::too_many_arguments)]
    fn fused_block(
        rows: usize,
        depth: usize,
        a: *const f32,
        a_stride: usize,
        b: *const f32,
        c: *mut f32,
        c_stride: usize,
        first: bool,
    );
}

/// The forms of this browser.
pub(super) fn f32_kernels() -> Vec<Kernel<f32>> {
    let offered = js_sys::Reflect::get(&js_sys::global(), &JsValue::from_str("saescopeFusedBlock"));
    let relaxed = Kernel { name: "relaxed SIMD", cols: 8, depth: 1, run: relaxed };
    let offered = offered.is_ok_and(|block| block.is_function());
    offered.then_some(relaxed).into_iter().chain([SIMD128]).collect()
}

/// # Safety
/// Lengths as [`Kernel::block`] checks them.
unsafe fn relaxed(block: Block<'_, f32>) {
    let Block { rows, depth, a, a_stride, b, c, c_stride, first } = block;
    fused_block(rows, depth, a.as_ptr(), 4 * a_stride, b.as_ptr(), c.as_mut_ptr(), 4 * c_stride, first);
}

/// Four rows by two registers of columns: eight sums leave room for operands in sixteen registers.
const SIMD128: Kernel<f32> = Kernel { name: "SIMD128", cols: 8, depth: 1, run: simd128 };

/// # Safety
/// Lengths as [`Kernel::block`] checks them.
unsafe fn simd128(block: Block<'_, f32>) {
    by_rows!(block, tile, [4, 1]);
}

fn tile<const R: usize>(block: &mut Block<'_, f32>, row: usize) {
    let c = &mut block.c[row * block.c_stride..];
    let a = &block.a[row * block.a_stride..];
    let (c_stride, a_stride) = (block.c_stride, block.a_stride);
    // SAFETY: rows `row` to `row + R` are within A and C, and B has `depth` rows, as `Kernel::block` has
    // checked; `by_rows` asks for no row past the last. `v128` is loaded from any alignment.
    unsafe {
        let c = c.as_mut_ptr();
        let mut sums = [[f32x4_splat(0.0); 2]; R];
        if !block.first {
            for (r, sums) in sums.iter_mut().enumerate() {
                *sums = [v128_load(c.add(r * c_stride).cast()), v128_load(c.add(r * c_stride + 4).cast())];
            }
        }
        let (mut a, mut b) = (a.as_ptr(), block.b.as_ptr());
        for _ in 0..block.depth {
            let (b0, b1) = (v128_load(b.cast()), v128_load(b.add(4).cast()));
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = v128_load32_splat(a.add(r * a_stride).cast());
                *sums = [f32x4_add(f32x4_mul(x, b0), sums[0]), f32x4_add(f32x4_mul(x, b1), sums[1])];
            }
            (a, b) = (a.add(1), b.add(8));
        }
        for (r, sums) in sums.iter().enumerate() {
            v128_store(c.add(r * c_stride).cast(), sums[0]);
            v128_store(c.add(r * c_stride + 4).cast(), sums[1]);
        }
    }
}
