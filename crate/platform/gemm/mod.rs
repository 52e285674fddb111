//! The inner loops of the host matmul, one form for each kind of processor.
//!
//! All of them compute the same chain: an output element starts at 0 and takes the products over k in
//! ascending order, one fused multiply-add each. Neither the width of the vectors nor the shape of a block
//! is in the result: every processor with fused multiply-add gives the same bits (AVX-512, AVX2, NEON), and
//! a row's result does not depend on its neighbours. Processors without it (old x86, WebAssembly) round
//! each product first, and agree among each other.

#[cfg(target_arch = "x86_64")]
mod amx;
mod portable;
#[cfg(target_arch = "wasm32")]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Two bf16 values that follow each other in a sum, the first one in the lower half.
pub type Pair = u32;

/// A block product in the form that one kind of processor is fast at, on elements `E`: f32 or [`Pair`].
#[derive(Debug)]
pub struct Kernel<E: 'static> {
    /// What it is called in a report.
    pub name: &'static str,
    cols: usize,
    depth: usize,
    /// See [`Kernel::block`], which checks the contract.
    run: unsafe fn(Block<'_, E>),
}

impl<E> Clone for Kernel<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Kernel<E> {}

/// The operands of one call.
struct Block<'a, E> {
    rows: usize,
    depth: usize,
    a: &'a [E],
    a_stride: usize,
    b: &'a [E],
    c: &'a mut [f32],
    c_stride: usize,
    first: bool,
}

impl<E> Kernel<E> {
    /// Output columns that it computes at once: the width of a panel of the right side.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// It takes sums of multiples of this many elements.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// `C = A · B`, or `C += A · B` where this is not the `first` piece of the sum.
    ///
    /// # Shapes
    /// A \[rows, depth\] with `a_stride` elements from row to row, B \[depth, [`Kernel::cols`]\] without gaps,
    /// C \[rows, [`Kernel::cols`]\] with `c_stride`.
    ///
    /// # Panics
    /// Where an operand is shorter than that: a fault of the caller.
    pub fn block(
        &self,
        [rows, depth]: [usize; 2],
        (a, a_stride): (&[E], usize),
        b: &[E],
        (c, c_stride): (&mut [f32], usize),
        first: bool,
    ) {
        if rows == 0 {
            return;
        }
        assert!(depth <= a_stride && self.cols <= c_stride && depth.is_multiple_of(self.depth), "strides");
        // rows of `width`, `stride` apart
        let has = |len: usize, stride: usize, width: usize| {
            (rows - 1).checked_mul(stride).and_then(|n| n.checked_add(width)).is_some_and(|n| n <= len)
        };
        assert!(has(a.len(), a_stride, depth) && has(c.len(), c_stride, self.cols), "rows");
        assert!(depth.checked_mul(self.cols).is_some_and(|n| n <= b.len()), "right side");
        if depth == 0 {
            if first {
                c.chunks_mut(c_stride).take(rows).for_each(|row| row[..self.cols].fill(0.0));
            }
            return;
        }
        // SAFETY: every form reads and writes within the lengths that were just checked, and is in the
        // list only where the processor has its instructions
        unsafe { (self.run)(Block { rows, depth, a, a_stride, b, c, c_stride, first }) }
    }
}

/// The forms for f32 that this processor can run, fastest first; the last one is plain loops.
pub fn f32_kernels() -> Vec<Kernel<f32>> {
    #[cfg(target_arch = "x86_64")]
    let vectors = x86::f32_kernels();
    #[cfg(target_arch = "wasm32")]
    let vectors = wasm::f32_kernels();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "wasm32")))]
    let vectors = [];
    vectors.into_iter().chain([portable::f32_kernel()]).collect()
}

/// The forms for bf16 that this processor can run, fastest first; the last one is plain loops.
///
/// A sum takes a pair's second product first, then its first one, each fused, denormal operands and results
/// taken for zero: what `VDPBF16PS` does. Matrix tiles have an order of their own (`bf16_tiles`), so bf16
/// gives the same bits on every processor with tiles, and on every one without, but not on both.
pub fn bf16_kernels() -> Vec<Kernel<Pair>> {
    #[cfg(target_arch = "x86_64")]
    let vectors = x86::bf16_kernels();
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = [];
    vectors.into_iter().chain([portable::bf16_kernel()]).collect()
}

/// The plain form of matrix tiles, which `TDPBF16PS` is compared with: of sixteen pairs the first products and
/// the second ones are two chains from 0, whose sum is added.
#[cfg(test)]
pub fn bf16_tiles() -> Kernel<Pair> {
    portable::bf16_tiles_kernel()
}

/// Runs `$tile::<R>(&mut block, row)` over all rows of a block: as many at once as fit, of the numbers given.
macro_rules! by_rows {
    ($block:ident, $tile:ident, [$($rows:literal),+]) => {
        let mut block = $block;
        let mut row = 0;
        while row < block.rows {
            let left = block.rows - row;
            row += match left {
                $($rows.. => { $tile::<$rows>(&mut block, row); $rows })+
                0 => break,
            };
        }
    };
}
use by_rows;

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty sum is 0, and adds nothing.
    fn empty_sums<E: Copy + Default>(kernels: Vec<Kernel<E>>) {
        for kernel in kernels {
            let mut c = vec![7.0; 3 * (kernel.cols() + 1)];
            let stride = kernel.cols() + 1;
            kernel.block([3, 0], (&[], 0), &[], (&mut c, stride), false);
            assert!(c.iter().all(|&c| c == 7.0), "{}", kernel.name);
            kernel.block([3, 0], (&[], 0), &[], (&mut c, stride), true);
            let between = |i: usize| i % stride == stride - 1;
            assert!(c.iter().enumerate().all(|(i, &c)| c == if between(i) { 7.0 } else { 0.0 }), "{}", kernel.name);
        }
    }

    #[test]
    fn empty_sums_are_zero() {
        empty_sums(f32_kernels());
        empty_sums(bf16_kernels());
    }

    #[test]
    #[should_panic(expected = "rows")]
    fn operands_that_are_too_short_are_refused() {
        let kernel = f32_kernels()[0];
        let mut c = vec![0.0; 2 * kernel.cols()];
        let b = vec![0.0; kernel.cols()];
        kernel.block([2, 1], (&[1.0], usize::MAX), &b, (&mut c, kernel.cols()), true);
    }
}
