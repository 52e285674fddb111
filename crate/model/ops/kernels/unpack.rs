//! ggml's quantised blocks to f32 or f16 on the device, bit for bit as `checkpoint/quant.rs` does it: a scale of 11
//! bits times an integer is exact in 24, so a device that fuses a multiplication and an addition rounds as
//! often as one that does not.

use burn::tensor::DType;
use burn_cubecl::cubecl;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::matmul::{Format, half};
use super::{grid, linear};
use crate::checkpoint::BlockType;

/// Threads of a workgroup; each makes four values.
const THREADS: usize = 256;

/// The words of `values` values, which are whole blocks.
pub(super) fn launch(blocks: CubeTensor, values: usize, kind: BlockType, format: Format) -> CubeTensor {
    let (client, device) = (blocks.client.clone(), blocks.device.clone());
    let out = empty_device_contiguous_dtype(client.clone(), device, [values * format.bytes() / 4].into(), DType::I32);
    if values == 0 {
        return out;
    }
    // SAFETY: values past the last are left out in the kernel, and the caller checked the number of blocks
    unsafe {
        kernel::launch_unchecked(
            &client,
            grid((values / 4).div_ceil(THREADS)),
            CubeDim::new_1d(THREADS as u32),
            format.bytes(),
            blocks.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            (values / 4) as u32,
            kind,
            format,
        );
    }
    out
}

#[cube(launch_unchecked)]
fn kernel<N: Size>(
    blocks: &[u32],
    out: &mut [Vector<u32, N>],
    fours: u32,
    #[comptime] kind: BlockType,
    #[comptime] format: Format,
) {
    let i = linear() * THREADS + UNIT_POS as usize;
    if i >= fours as usize {
        terminate!();
    }
    let in_block = comptime!(kind.values() / 4);
    let start = i / in_block * comptime!(kind.bytes());
    let first = i % in_block * 4;
    let mut words = Vector::<u32, N>::new(0u32);
    if comptime!(format == Format::F32) {
        #[unroll]
        for lane in 0..4usize {
            words.insert(lane, u32::reinterpret(value(blocks, start, first + lane, kind)));
        }
    } else {
        #[unroll]
        for pair in 0..2usize {
            let lower = halved(value(blocks, start, first + 2 * pair, kind));
            let upper = halved(value(blocks, start, first + 2 * pair + 1, kind));
            words.insert(pair, lower | (upper << 16u32));
        }
    }
    out[i] = words;
}

/// The bits of the nearest f16, of two the even one; too large a value becomes infinite.
#[cube]
fn halved(value: f32) -> u32 {
    let bits = u32::reinterpret(value);
    let magnitude = bits & 0x7fff_ffffu32;
    // rebiased, and what is cut off rounded; a carry goes into the exponent, as it should
    let rebiased = magnitude - 0x3800_0000u32;
    let normal = (rebiased + 0xfffu32 + ((rebiased >> 13u32) & 1u32)) >> 13u32;
    // below 2^-14 the steps are those that f32 has at 1/2
    let small = u32::reinterpret(f32::reinterpret(magnitude) + 0.5f32) - 0x3f00_0000u32;
    let finite = select(magnitude < 0x3880_0000u32, small, normal);
    select(magnitude >= 0x4780_0000u32, 0x7c00u32, finite) | ((bits >> 16u32) & 0x8000u32)
}

/// Value `j` of the block that begins at byte `start`.
#[cube]
fn value(blocks: &[u32], start: usize, j: usize, #[comptime] kind: BlockType) -> f32 {
    match comptime!(kind) {
        BlockType::Q4_0 => scale(blocks, start) * (f32::cast_from(nibble(blocks, start + 2, j)) - 8.0f32),
        BlockType::Q4_1 => {
            scale(blocks, start) * f32::cast_from(nibble(blocks, start + 4, j)) + scale(blocks, start + 2)
        }
        BlockType::Q5_0 => {
            let fifth = (word(blocks, start + 2) >> j as u32) & 1u32;
            let q = nibble(blocks, start + 6, j) | (fifth << 4u32);
            scale(blocks, start) * (f32::cast_from(q) - 16.0f32)
        }
        BlockType::Q5_1 => {
            let fifth = (word(blocks, start + 4) >> j as u32) & 1u32;
            let q = nibble(blocks, start + 8, j) | (fifth << 4u32);
            scale(blocks, start) * f32::cast_from(q) + scale(blocks, start + 2)
        }
        BlockType::Q8_0 => scale(blocks, start) * signed(byte(blocks, start + 2 + j)),
        BlockType::Q4K => {
            let (part, l) = (j / 32, j % 32);
            let q = byte(blocks, start + 16 + part / 2 * 32 + l);
            let q = (q >> (part as u32 % 2u32 * 4u32)) & 15u32;
            of_part(blocks, start, part, q)
        }
        BlockType::Q5K => {
            let (part, l) = (j / 32, j % 32);
            let q = byte(blocks, start + 48 + part / 2 * 32 + l);
            let fifth = (byte(blocks, start + 16 + l) >> part as u32) & 1u32;
            of_part(blocks, start, part, ((q >> (part as u32 % 2u32 * 4u32)) & 15u32) | (fifth << 4u32))
        }
        BlockType::Q6K => {
            let side = j / 128;
            let part = j % 128 / 32;
            let l = j % 32;
            let low = byte(blocks, start + side * 64 + part % 2 * 32 + l) >> (part as u32 / 2u32 * 4u32);
            let high = byte(blocks, start + 128 + side * 32 + l) >> (part as u32 * 2u32);
            let q = f32::cast_from((low & 15u32) | ((high & 3u32) << 4u32)) - 32.0f32;
            // sixteen values share a scale
            let s = signed(byte(blocks, start + 192 + side * 8 + l / 16 + part * 2));
            scale(blocks, start + 208) * s * q
        }
    }
}

/// `d s q − d_min m` with the six-bit scale and minimum of sub-block `part`.
#[cube]
fn of_part(blocks: &[u32], start: usize, part: usize, q: u32) -> f32 {
    let packed = start + 4;
    let mut s = byte(blocks, packed + part % 4) & 63u32;
    let mut m = byte(blocks, packed + part % 4 + 4) & 63u32;
    if part >= 4 {
        let both = byte(blocks, packed + part + 4);
        s = (both & 15u32) | ((byte(blocks, packed + part - 4) >> 6u32) << 4u32);
        m = (both >> 4u32) | ((byte(blocks, packed + part) >> 6u32) << 4u32);
    }
    let scaled = scale(blocks, start) * f32::cast_from(s) * f32::cast_from(q);
    scaled - scale(blocks, start + 2) * f32::cast_from(m)
}

/// Half of a byte: the low ones are values 0..16, the high ones 16..32.
#[cube]
fn nibble(blocks: &[u32], at: usize, j: usize) -> u32 {
    (byte(blocks, at + j % 16) >> (j as u32 / 16u32 * 4u32)) & 15u32
}

#[cube]
fn byte(blocks: &[u32], at: usize) -> u32 {
    (blocks[at / 4] >> (at as u32 % 4u32 * 8u32)) & 0xffu32
}

/// Four bytes that may begin anywhere.
#[cube]
fn word(blocks: &[u32], at: usize) -> u32 {
    byte(blocks, at)
        | (byte(blocks, at + 1) << 8u32)
        | (byte(blocks, at + 2) << 16u32)
        | (byte(blocks, at + 3) << 24u32)
}

/// An f16.
#[cube]
fn scale(blocks: &[u32], at: usize) -> f32 {
    half(byte(blocks, at) | (byte(blocks, at + 1) << 8u32))
}

/// A signed byte's value.
#[cube]
fn signed(byte: u32) -> f32 {
    f32::cast_from(byte ^ 0x80u32) - 128.0f32
}
