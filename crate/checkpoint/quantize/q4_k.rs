//! Q4_K: 256 values in eight parts, each with a scale and a minimum of six bits. The eight searches for them go side
//! by side, each in the order of operations of ggml's `make_qkx2_quants`.

use half::f16;

/// Values of a part, and steps of its codes.
const PART: usize = 32;
const STEPS: i32 = 15;

/// A number of each part.
type Parts<T> = [T; 8];

/// Scale, minimum with its sign turned, and codes of every part.
struct Found {
    scale: Parts<f32>,
    min: Parts<f32>,
    codes: [Parts<i32>; PART],
}

pub(super) fn q4_k(values: &[f32; 256], out: &mut [u8; 144]) {
    // the parts' first values side by side, then their second ones
    let x: [Parts<f32>; PART] = std::array::from_fn(|l| std::array::from_fn(|part| values[PART * part + l]));
    let Found { scale, min, mut codes } = search(&x);
    // scales and minima are not negative, or not what decides
    let [most_scale, most_min] =
        [scale, min].map(|values| values.into_iter().fold(0.0f32, |m, v| if v > m { v } else { m }));
    let [by_scale, by_min] = [most_scale, most_min].map(|most| if most > 0.0 { 63.0 / most } else { 0.0 });
    let six_bits = |value: f32| (nearest(value) as u8).min(63);
    let scales = scale.map(|scale| six_bits(by_scale * scale));
    let mins = min.map(|min| six_bits(by_min * min));
    let [d, d_min] = [most_scale, most_min].map(|most| f16::from_f32(most / 63.0));
    for part in 0..8 {
        let d = d.to_f32() * f32::from(scales[part]);
        if d == 0.0 {
            continue;
        }
        let min = d_min.to_f32() * f32::from(mins[part]);
        for (codes, x) in codes.iter_mut().zip(&x) {
            codes[part] = nearest((x[part] + min) / d).clamp(0, STEPS);
        }
    }
    out[..2].copy_from_slice(&d.to_le_bytes());
    out[2..4].copy_from_slice(&d_min.to_le_bytes());
    let packed = &mut out[4..16];
    for part in 0..4 {
        let (scale, min) = (scales[part + 4], mins[part + 4]);
        packed[part] = scales[part] | (scale >> 4) << 6;
        packed[part + 4] = mins[part] | (min >> 4) << 6;
        packed[part + 8] = (scale & 15) | (min & 15) << 4;
    }
    for (pair, out) in out[16..].chunks_exact_mut(PART).enumerate() {
        for (codes, out) in codes.iter().zip(out) {
            *out = (codes[2 * pair] | codes[2 * pair + 1] << 4) as u8;
        }
    }
}

/// To the nearest integer, halves to even, as ggml does it: what is past 22 bits comes out as it does there.
#[inline(always)]
fn nearest(value: f32) -> i32 {
    ((value + 12_582_912.0).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

/// A number for each part.
#[inline(always)]
fn each(number: impl Fn(usize) -> f32) -> Parts<f32> {
    std::array::from_fn(number)
}

/// Scales and minima with the least weighted squared error, of twenty-two tries.
fn search(x: &[Parts<f32>; PART]) -> Found {
    let mut squares = [0.0f32; 8];
    for x in x {
        squares = each(|p| squares[p] + x[p] * x[p]);
    }
    let mean = squares.map(|squares| (squares / PART as f32).sqrt());
    let weights: [Parts<f32>; PART] = std::array::from_fn(|l| each(|p| mean[p] + x[l][p].abs()));
    let (mut least, mut most) = (x[0], x[0]);
    let (mut sum_w, mut sum_x) = (weights[0], each(|p| weights[0][p] * x[0][p]));
    for (x, w) in x.iter().zip(&weights).skip(1) {
        least = each(|p| if x[p] < least[p] { x[p] } else { least[p] });
        most = each(|p| if x[p] > most[p] { x[p] } else { most[p] });
        sum_w = each(|p| sum_w[p] + w[p]);
        sum_x = each(|p| sum_x[p] + w[p] * x[p]);
    }
    let least = least.map(|least| if least > 0.0 { 0.0 } else { least });
    let code = |x: &Parts<f32>, by: &Parts<f32>, min: &Parts<f32>| -> Parts<i32> {
        std::array::from_fn(|p| nearest(by[p] * (x[p] - min[p])).clamp(0, STEPS))
    };
    let by = each(|p| STEPS as f32 / (most[p] - least[p]));
    let mut scale = each(|p| 1.0 / by[p]);
    let mut min = least;
    let mut codes: [Parts<i32>; PART] = std::array::from_fn(|l| code(&x[l], &by, &min));
    let mut best = error(x, &weights, &codes, &scale, &min);
    for step in 0..=20 {
        let steps = -1.0f32 + 0.1f32 * step as f32 + STEPS as f32;
        // from the best minimum so far
        let by = each(|p| steps / (most[p] - min[p]));
        let tried: [Parts<i32>; PART] = std::array::from_fn(|l| code(&x[l], &by, &min));
        let (mut sum_l, mut sum_l2, mut sum_xl) = ([0.0f32; 8], [0.0f32; 8], [0.0f32; 8]);
        for ((x, w), codes) in x.iter().zip(&weights).zip(&tried) {
            let code = codes.map(|code| code as f32);
            let weighted = each(|p| w[p] * code[p]);
            sum_l = each(|p| sum_l[p] + weighted[p]);
            sum_l2 = each(|p| sum_l2[p] + weighted[p] * code[p]);
            sum_xl = each(|p| sum_xl[p] + weighted[p] * x[p]);
        }
        let determinant = each(|p| sum_w[p] * sum_l2[p] - sum_l[p] * sum_l[p]);
        let fitted = each(|p| (sum_l2[p] * sum_x[p] - sum_l[p] * sum_xl[p]) / determinant[p]);
        let this_scale = each(|p| {
            let free = (sum_w[p] * sum_xl[p] - sum_x[p] * sum_l[p]) / determinant[p];
            if fitted[p] > 0.0 { sum_xl[p] / sum_l2[p] } else { free }
        });
        let this_min = fitted.map(|min| if min > 0.0 { 0.0 } else { min });
        let now = error(x, &weights, &tried, &this_scale, &this_min);
        let better: Parts<bool> = std::array::from_fn(|p| determinant[p] > 0.0 && now[p] < best[p]);
        for (codes, tried) in codes.iter_mut().zip(&tried) {
            *codes = std::array::from_fn(|p| if better[p] { tried[p] } else { codes[p] });
        }
        best = each(|p| if better[p] { now[p] } else { best[p] });
        scale = each(|p| if better[p] { this_scale[p] } else { scale[p] });
        min = each(|p| if better[p] { this_min[p] } else { min[p] });
    }
    for part in (0..8).filter(|&part| most[part] == least[part]) {
        // one value throughout: its minimum alone
        (scale[part], min[part]) = (0.0, least[part]);
        codes.iter_mut().for_each(|codes| codes[part] = 0);
    }
    Found { scale, min: min.map(|min| -min), codes }
}

/// Weighted squared errors.
#[inline(always)]
fn error(
    x: &[Parts<f32>; PART],
    weights: &[Parts<f32>; PART],
    codes: &[Parts<i32>; PART],
    scale: &Parts<f32>,
    min: &Parts<f32>,
) -> Parts<f32> {
    let mut sum = [0.0f32; 8];
    for ((x, w), codes) in x.iter().zip(weights).zip(codes) {
        let off: Parts<f32> = std::array::from_fn(|p| scale[p] * codes[p] as f32 + min[p] - x[p]);
        sum = std::array::from_fn(|p| sum[p] + w[p] * (off[p] * off[p]));
    }
    sum
}
