//! What is computed value by value: rotary embedding, activation, alone or as a gate.

use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::Activation;
use super::super::activation::SQRT_2_OVER_PI;
use super::{F4, dims, empty, grid, linear};

/// Threads of a workgroup.
const THREADS: usize = 256;

pub(super) fn rope(x: CubeTensor, turns: CubeTensor, heads: usize) -> CubeTensor {
    let [rows, width] = dims(&x);
    let out = empty(&x, [rows, width]);
    let pairs = rows * width / 8;
    if pairs == 0 {
        return out;
    }
    let client = x.client.clone();
    // SAFETY: pairs past the last are left out in the kernel, and the caller checked the widths
    unsafe {
        rope_kernel::launch_unchecked(
            &client,
            grid(pairs.div_ceil(THREADS)),
            CubeDim::new_1d(THREADS as u32),
            x.into_buffer_arg(),
            turns.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            pairs as u32,
            heads,
            width / heads / 8,
        );
    }
    out
}

/// A thread turns four pairs: `half` is in fours.
#[cube(launch_unchecked)]
fn rope_kernel(x: &[F4], turns: &[F4], out: &mut [F4], pairs: u32, #[comptime] heads: usize, #[comptime] half: usize) {
    let pair = linear() * THREADS + UNIT_POS as usize;
    if pair >= pairs as usize {
        terminate!();
    }
    let head = pair / half;
    let i = pair % half;
    let first = head * comptime!(2 * half) + i;
    let second = first + half;
    let turn = head / heads * comptime!(2 * half) + i;
    let (cos, sin) = (turns[turn], turns[turn + half]);
    let (a, b) = (x[first], x[second]);
    out[first] = a * cos - b * sin;
    out[second] = b * cos + a * sin;
}

pub(super) fn gated(gate: CubeTensor, up: CubeTensor, activation: Activation) -> CubeTensor {
    let [rows, width] = dims(&gate);
    let out = empty(&gate, [rows, width]);
    let fours = rows * width / 4;
    if fours == 0 {
        return out;
    }
    let client = gate.client.clone();
    // SAFETY: values past the last are left out in the kernel, and the caller checked the width
    unsafe {
        gated_kernel::launch_unchecked(
            &client,
            grid(fours.div_ceil(THREADS)),
            CubeDim::new_1d(THREADS as u32),
            gate.into_buffer_arg(),
            up.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            fours as u32,
            activation,
        );
    }
    out
}

#[cube(launch_unchecked)]
fn gated_kernel(gate: &[F4], up: &[F4], out: &mut [F4], fours: u32, #[comptime] activation: Activation) {
    let i = linear() * THREADS + UNIT_POS as usize;
    if i >= fours as usize {
        terminate!();
    }
    out[i] = activated(gate[i], activation) * up[i];
}

pub(super) fn alone(x: CubeTensor, activation: Activation) -> CubeTensor {
    let [rows, width] = dims(&x);
    let out = empty(&x, [rows, width]);
    let fours = rows * width / 4;
    if fours == 0 {
        return out;
    }
    let client = x.client.clone();
    // SAFETY: values past the last are left out in the kernel, and the caller checked the width
    unsafe {
        alone_kernel::launch_unchecked(
            &client,
            grid(fours.div_ceil(THREADS)),
            CubeDim::new_1d(THREADS as u32),
            x.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            fours as u32,
            activation,
        );
    }
    out
}

#[cube(launch_unchecked)]
fn alone_kernel(x: &[F4], out: &mut [F4], fours: u32, #[comptime] activation: Activation) {
    let i = linear() * THREADS + UNIT_POS as usize;
    if i >= fours as usize {
        terminate!();
    }
    out[i] = activated(x[i], activation);
}

/// The host form's formulas.
#[cube]
fn activated(x: F4, #[comptime] activation: Activation) -> F4 {
    match comptime!(activation) {
        Activation::Gelu => {
            x * F4::new(0.5f32) * ((x * F4::new(std::f32::consts::FRAC_1_SQRT_2)).erf() + F4::new(1.0f32))
        }
        Activation::GeluTanh => {
            let cube = x * x * x;
            let inner = fma(cube, F4::new(0.044_715f32), x) * F4::new(SQRT_2_OVER_PI);
            x * sigmoid(inner * F4::new(2.0f32))
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Relu => max(x, F4::new(0.0f32)),
    }
}

/// `1 / (1 + e⁻ˣ)`, of arguments whose exponential is a finite number.
#[cube]
fn sigmoid(x: F4) -> F4 {
    let x = clamp(x, F4::new(-87.0f32), F4::new(88.0f32));
    F4::new(1.0f32) / (F4::new(1.0f32) + (F4::new(0.0f32) - x).exp())
}
