//! What a device's kernels must give to the bit, asked of a browser's device before it is used: weights that are
//! unpacked and features that are chosen there. A wrong choice would look like any other.

use super::{Active, ActiveRule, Compute, Form, Linear, Op, Order, Precision, Threshold, read_back};
use crate::checkpoint::{BlockType, Blocks, Halves, Narrow};
use crate::error::Result;

/// Whether the device's kernels give what the host does; true where it has none.
///
/// # Errors
/// Device errors.
pub async fn kernels_are_exact(compute: &Compute) -> Result<bool> {
    Ok(exact_weights(compute).await? && exact_features(compute).await?)
}

/// Whether weights that are stored in few bytes come out as the host reads them, to the bit.
async fn exact_weights(compute: &Compute) -> Result<bool> {
    const WIDTH: usize = 256;
    // other forms are given what the host has read
    if compute.form(Op::Linear) != Form::Kernel {
        return Ok(true);
    }
    let halves = Halves { shape: vec![4, WIDTH], bytes: numbers(4 * WIDTH, 9).flat_map(short).collect() };
    // bytes of no meaning; scales such that values have to be rounded in f16, and such that they are below its normal
    // ones
    let blocks = BlockType::ALL.map(|kind| {
        let mut bytes: Vec<u8> = numbers(4 * WIDTH * 2, 7).map(|v| (v * 128.0) as i8 as u8).collect();
        bytes.truncate(4 * WIDTH / kind.values() * kind.bytes());
        for (block, scale) in
            bytes.chunks_exact_mut(kind.bytes()).zip([0x3c00_u16, 0x3a67, 0x0067, 0x0c67].iter().cycle())
        {
            for (&at, less) in kind.scales().iter().zip([0, 0x0033]) {
                block[at..at + 2].copy_from_slice(&(scale - less).to_le_bytes());
            }
        }
        Narrow::Blocks(Blocks { shape: vec![4, WIDTH], kind, bytes })
    });
    // a row with a single 1 gives the weights of one input
    let x: Vec<f32> = (0..WIDTH * WIDTH).map(|i| if i % (WIDTH + 1) == 0 { 1.0 } else { 0.0 }).collect();
    for stored in std::iter::once(Narrow::Bf16(halves)).chain(blocks) {
        let mut known = stored.clone().dense().data;
        if compute.precision == Precision::F16 && matches!(stored, Narrow::Blocks(_)) {
            known.iter_mut().for_each(|v| *v = half::f16::from_f32(*v).to_f32());
        }
        let map = Linear::narrow(stored, Order::OutIn, None, compute);
        let values = read_back(map.forward(compute.tensor2(x.clone(), WIDTH, WIDTH))).await?;
        if (0..WIDTH * 4).any(|i| values[i] != known[i % 4 * WIDTH + i / 4]) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A value in [−1, 1) as bf16.
fn short(v: f32) -> [u8; 2] {
    half::bf16::from_f32(v).to_le_bytes()
}

/// Whether the device chooses the active features that it has to.
async fn exact_features(compute: &Compute) -> Result<bool> {
    const WIDTH: usize = 2048;
    // in steps, so that equal values occur
    let pre: Vec<f32> = numbers(WIDTH, 11).map(|v| (v * 64.0).round() / 64.0).collect();
    let zeros = vec![0.0; WIDTH];
    let limit = vec![0.9; WIDTH];
    let at_least: Vec<usize> = (0..WIDTH).filter(|&i| pre[i] > 0.9).collect();
    let mut largest: Vec<usize> = (0..WIDTH).collect();
    largest.sort_by(|&a, &b| pre[b].total_cmp(&pre[a]).then(a.cmp(&b)));
    largest.truncate(50);
    largest.sort_unstable();
    let rule = |threshold, second| ActiveRule { threshold, bias: &zeros, second, third: None };
    for (rule, known) in
        [(rule(Threshold::Above, Some(&limit[..])), at_least), (rule(Threshold::Largest(50), None), largest)]
    {
        let Some(active) = Active::new(&rule, compute) else { continue };
        let rows = active.rows(compute.tensor2(pre.clone(), 1, WIDTH), compute).await?;
        let known: Vec<(u32, f32)> = known.into_iter().map(|i| (i as u32, pre[i])).collect();
        if rows != [Some(known)] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Values in [−1, 1), the same everywhere.
fn numbers(n: usize, seed: u32) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..n).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / 32_768.0 - 1.0
    })
}
