//! The active features of SAE pre-activations, in ascending order: a workgroup a row.
//!
//! No atomics and no sort: the row is taken in pieces, and a running count says where each thread's features
//! go. The numbers are those of the host's rules (`sae/`), bit for bit, but for a gated SAE's magnitudes,
//! which a device may compute with a fused multiply-add.

use burn::tensor::DType;
use burn_cubecl::cubecl;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::Threshold;
use super::{F4, dims, grid, linear};

/// Threads of a workgroup; a power of two.
const THREADS: usize = 256;
/// What 0 is in [`ordered`].
const ZERO: u32 = 0x8000_0000;

/// `[rows, 1 + 2 · most]` words: how many features are active (all bits set where a number is not finite), then
/// the first `most` indices, then the bits of their activations.
pub(super) fn launch(
    pre: CubeTensor,
    vectors: [CubeTensor; 3],
    rule: Threshold,
    scaled: bool,
    most: usize,
) -> CubeTensor {
    let [rows, d_sae] = dims(&pre);
    let shape = [rows, 1 + 2 * most].into();
    let out = empty_device_contiguous_dtype(pre.client.clone(), pre.device.clone(), shape, DType::I32);
    if rows == 0 {
        return out;
    }
    let k = if let Threshold::Largest(k) = rule { k.min(d_sae) } else { 0 };
    let [first, second, third] = vectors;
    let client = pre.client.clone();
    // SAFETY: rows past the last are left out in the kernel, nothing is written past `most`, and the caller
    // checked that the vectors are as wide as the rows
    unsafe {
        kernel::launch_unchecked(
            &client,
            grid(rows),
            CubeDim::new_1d(THREADS as u32),
            pre.into_buffer_arg(),
            first.into_buffer_arg(),
            second.into_buffer_arg(),
            third.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            rows as u32,
            (d_sae / 4) as u32,
            most as u32,
            k as u32,
            rule.kind(),
            scaled,
        );
    }
    out
}

/// A [`Threshold`] without its number, which is a scalar of the launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Zero,
    Above,
    Largest,
    Gate,
}

impl Threshold {
    fn kind(self) -> Kind {
        match self {
            Self::Zero => Kind::Zero,
            Self::Above => Kind::Above,
            Self::Largest(_) => Kind::Largest,
            Self::Gate => Kind::Gate,
        }
    }
}

#[cube(launch_unchecked)]
fn kernel(
    pre: &[F4],
    first: &[F4],
    second: &[F4],
    third: &[F4],
    out: &mut [u32],
    rows: u32,
    width: u32,
    most: u32,
    k: u32,
    #[comptime] kind: Kind,
    #[comptime] scaled: bool,
) {
    let row = linear();
    if row >= rows as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let width = width as usize;
    let start = row * width;
    let to = row * (1 + 2 * most as usize);
    let pieces = width.div_ceil(THREADS);
    let mut counts = Shared::<[u32]>::new_slice(THREADS);

    // the k-th largest value, bit by bit from the highest, and how many of those equal to it are chosen
    let mut least = 0x8000_0000u32;
    let mut chosen = 0u32;
    if comptime!(kind == Kind::Largest) {
        least = 0u32;
        for bit in 0..32u32 {
            let trial = least | (ZERO >> bit);
            let mine = reached(pre, first, third, start, width, trial, scaled);
            if sum(&mut counts, mine) >= k {
                least = trial;
            }
        }
        // one more than the least is no number's place only for a NaN, and such a row is refused
        let mine = reached(pre, first, third, start, width, least + 1u32, scaled);
        chosen = k - sum(&mut counts, mine);
        // ReLU comes after the choice
        if least <= ZERO {
            least = ZERO;
            chosen = 0u32;
        }
    }

    let mut active = 0u32;
    let mut equal = 0u32;
    let mut bad = 0u32;
    for piece in 0..pieces {
        let i = piece * THREADS + unit;
        let mut values = F4::new(0.0f32);
        // lane by lane, a bit where it is active, or equal to the least one
        let mut surely = 0u32;
        let mut perhaps = 0u32;
        if i < width {
            let p = pre[start + i];
            let h = shifted(p, first[i], third[i], scaled);
            #[unroll]
            for lane in 0..4usize {
                let mut value = h.extract(lane);
                let mut is = value > 0.0f32;
                if comptime!(kind == Kind::Above) {
                    is = is && value > second[i].extract(lane);
                }
                if comptime!(kind == Kind::Largest) {
                    is = ordered(value) > least;
                    perhaps |= u32::cast_from(ordered(value) == least) << comptime!(lane as u32);
                }
                if comptime!(kind == Kind::Gate) {
                    let magnitude = p.extract(lane) * third[i].extract(lane) + second[i].extract(lane);
                    is = p.extract(lane) + first[i].extract(lane) > 0.0f32 && magnitude > 0.0f32;
                    value = magnitude;
                }
                surely |= u32::cast_from(is) << comptime!(lane as u32);
                let chosen_here = u32::cast_from(is) | ((perhaps >> comptime!(lane as u32)) & 1u32);
                bad |= not_finite(p.extract(lane)) | (chosen_here & not_finite(value));
                values.insert(lane, value);
            }
        }
        // both counts in one word: a piece has at most 1,024 features
        let mine = surely.count_ones() | (perhaps.count_ones() << 16u32);
        let upto = running(&mut counts, mine);
        let all = counts[THREADS - 1];
        let before = upto - mine;
        let mut sure = active + (before & 0xffffu32);
        let mut maybe = equal + (before >> 16u32);
        #[unroll]
        for lane in 0..4usize {
            let is = (surely >> comptime!(lane as u32)) & 1u32;
            let may = (perhaps >> comptime!(lane as u32)) & 1u32;
            let place = sure + min(maybe, chosen);
            if (is == 1u32 || (may == 1u32 && maybe < chosen)) && place < most {
                let at = to + 1 + place as usize;
                out[at] = (i * 4 + lane) as u32;
                out[at + most as usize] = u32::reinterpret(values.extract(lane));
            }
            sure += is;
            maybe += may;
        }
        active += all & 0xffffu32;
        equal += all >> 16u32;
        // before the counts are written again
        sync_cube();
    }
    let bad = sum(&mut counts, bad);
    if unit == 0 {
        out[to] = select(bad > 0u32, 0xffff_ffffu32, active + min(equal, chosen));
    }
}

/// How many of this thread's values are at least `trial`, in [`ordered`]'s order.
#[cube]
fn reached(
    pre: &[F4],
    bias: &[F4],
    norm: &[F4],
    start: usize,
    width: usize,
    trial: u32,
    #[comptime] scaled: bool,
) -> u32 {
    let mut count = 0u32;
    let mut i = UNIT_POS as usize;
    while i < width {
        let h = shifted(pre[start + i], bias[i], norm[i], scaled);
        #[unroll]
        for lane in 0..4usize {
            count += u32::cast_from(ordered(h.extract(lane)) >= trial);
        }
        i += THREADS;
    }
    count
}

/// The pre-activation with its bias, times its decoder row's norm where the SAE was trained so.
#[cube]
fn shifted(pre: F4, bias: F4, norm: F4, #[comptime] scaled: bool) -> F4 {
    let h = pre + bias;
    if comptime!(scaled) { h * norm } else { h }
}

/// 1 for NaN and infinities.
#[cube]
fn not_finite(v: f32) -> u32 {
    u32::cast_from((u32::reinterpret(v) & 0x7f80_0000u32) == 0x7f80_0000u32)
}

/// A number's bits as an integer of the same order.
#[cube]
fn ordered(v: f32) -> u32 {
    let bits = u32::reinterpret(v);
    select(bits >= ZERO, !bits, bits | ZERO)
}

/// The sum of the threads' values, in every thread.
#[cube]
fn sum(counts: &mut Shared<[u32]>, mine: u32) -> u32 {
    let unit = UNIT_POS as usize;
    counts[unit] = mine;
    sync_cube();
    let halvings = comptime!(THREADS.ilog2() as usize);
    #[unroll]
    for step in 0..halvings {
        let half = comptime!(THREADS >> (step + 1));
        if unit < half {
            counts[unit] += counts[unit + half];
        }
        sync_cube();
    }
    let total = counts[0];
    sync_cube();
    total
}

/// The sum of this thread's value and of those before it (Hillis & Steele, "Data parallel algorithms", 1986).
#[cube]
fn running(counts: &mut Shared<[u32]>, mine: u32) -> u32 {
    let unit = UNIT_POS as usize;
    counts[unit] = mine;
    sync_cube();
    let doublings = comptime!(THREADS.ilog2() as usize);
    let mut upto = mine;
    #[unroll]
    for step in 0..doublings {
        let reach = comptime!(1usize << step);
        if unit >= reach {
            upto += counts[unit - reach];
        }
        sync_cube();
        counts[unit] = upto;
        sync_cube();
    }
    upto
}
