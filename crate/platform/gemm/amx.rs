//! Intel's matrix tiles: sixteen rows by sixteen columns of sums, sixteen pairs deep, in one instruction.
//!
//! The compiler has no stable intrinsics for them, so the inner loop is assembly.

use std::arch::asm;

use super::{Block, Pair};

/// Rows and columns of a tile of sums, and its pairs in depth.
const SIDE: usize = 16;
/// Columns of a panel: two tiles.
pub(super) const COLS: usize = 2 * SIDE;
/// Pairs that an instruction takes.
pub(super) const DEPTH: usize = SIDE;

/// Whether the processor has tiles for bf16 and the system lets this process use them, which is asked for
/// once: their state is large, and Linux gives it only to those who ask.
pub(super) fn usable() -> bool {
    use std::sync::OnceLock;
    static USABLE: OnceLock<bool> = OnceLock::new();
    *USABLE.get_or_init(|| has_tiles() && permitted())
}

/// AMX-TILE and AMX-BF16 (leaf 7), and the system saves the tiles' state (XCR0, bits 17 and 18).
fn has_tiles() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const OSXSAVE: u32 = 1 << 27;
    const BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 || __cpuid_count(7, 0).edx & BF16_AND_TILE != BF16_AND_TILE {
        return false;
    }
    let (low, _high): (u32, u32);
    // SAFETY: the processor has XGETBV where OSXSAVE is set; it only reads a register
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _high, options(nomem, nostack)) };
    low & (3 << 17) == 3 << 17
}

/// Asks Linux for the tiles: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: the call takes two numbers and touches no memory of ours; it clobbers rcx and r11
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") REQUEST, in("rsi") TILE_DATA,
             out("rcx") _, out("r11") _, options(nostack));
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Sums are tiles 0 to 3 (upper left, upper right, lower left, lower right), rows of A 4 and 5, B 6 and 7.
fn config(upper: usize, lower: usize) -> Config {
    let mut rows = [0; 16];
    for (tile, rows) in rows.iter_mut().take(8).enumerate() {
        *rows = match tile {
            0 | 1 | 4 => upper as u8,
            2 | 3 | 5 => lower as u8,
            _ => SIDE as u8,
        };
    }
    let mut row_bytes = [0; 16];
    row_bytes[..8].fill(64);
    Config { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows }
}

/// # Safety
/// [`usable`] said so; lengths as [`super::Kernel::block`] checks them.
pub(super) unsafe fn blocks(block: Block<'_, Pair>) {
    let Block { rows, depth, a, a_stride, b, c, c_stride, first } = block;
    let mut configured = [0; 2];
    for row in (0..rows).step_by(2 * SIDE) {
        let left = rows - row;
        let tiles @ [upper, lower] = [left.min(SIDE), left.saturating_sub(SIDE).min(SIDE)];
        // SAFETY: a row of A has `depth` pairs, a multiple of `DEPTH`; B has as many rows of `COLS`; every row
        // of C has `COLS`; a tile has no more rows than there are
        unsafe {
            if configured != tiles {
                // a tile without rows cannot be configured; it is not used then
                let config = config(upper, lower.max(1));
                asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly));
                configured = tiles;
            }
            let a = a.as_ptr().add(row * a_stride);
            let c = c.as_mut_ptr().add(row * c_stride);
            if lower > 0 {
                two(a, a_stride, b.as_ptr(), depth / DEPTH, c, c_stride, first);
            } else {
                one(a, a_stride, b.as_ptr(), depth / DEPTH, c, c_stride, first);
            }
        }
    }
    // SAFETY: gives the tiles back, so that the system need not save them
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// Two tiles of rows: each tile of A and of B is loaded once for two products.
///
/// # Safety
/// As in [`blocks`]; the tiles are configured, with rows in both.
unsafe fn two(
    a: *const Pair,
    a_stride: usize,
    b: *const Pair,
    steps: usize,
    c: *mut f32,
    c_stride: usize,
    first: bool,
) {
    // SAFETY: the caller's word
    unsafe {
        let (upper, lower) = (c, c.add(SIDE * c_stride));
        if first {
            asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
        } else {
            asm!(
                "tileloadd tmm0, [{upper} + {stride}]",
                "tileloadd tmm1, [{upper} + {stride} + 64]",
                "tileloadd tmm2, [{lower} + {stride}]",
                "tileloadd tmm3, [{lower} + {stride} + 64]",
                upper = in(reg) upper, lower = in(reg) lower, stride = in(reg) c_stride * 4,
                options(nostack, readonly)
            );
        }
        asm!(
            "2:",
            "tileloadd tmm6, [{b} + {b_stride}]",
            "tileloadd tmm4, [{a} + {a_stride}]",
            "tileloadd tmm7, [{b} + {b_stride} + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{below} + {a_stride}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 64",
            "add {below}, 64",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 2b",
            a = inout(reg) a => _, below = inout(reg) a.add(SIDE * a_stride) => _, a_stride = in(reg) a_stride * 4,
            b = inout(reg) b => _, b_stride = in(reg) COLS * 4, steps = inout(reg) steps => _,
            options(nostack, readonly)
        );
        asm!(
            "tilestored [{upper} + {stride}], tmm0",
            "tilestored [{upper} + {stride} + 64], tmm1",
            "tilestored [{lower} + {stride}], tmm2",
            "tilestored [{lower} + {stride} + 64], tmm3",
            upper = in(reg) upper, lower = in(reg) lower, stride = in(reg) c_stride * 4,
            options(nostack)
        );
    }
}

/// One tile of rows.
///
/// # Safety
/// As in [`two`], with rows in the upper one.
unsafe fn one(
    a: *const Pair,
    a_stride: usize,
    b: *const Pair,
    steps: usize,
    c: *mut f32,
    c_stride: usize,
    first: bool,
) {
    // SAFETY: the caller's word
    unsafe {
        if first {
            asm!("tilezero tmm0", "tilezero tmm1", options(nostack, nomem));
        } else {
            asm!(
                "tileloadd tmm0, [{c} + {stride}]",
                "tileloadd tmm1, [{c} + {stride} + 64]",
                c = in(reg) c, stride = in(reg) c_stride * 4, options(nostack, readonly)
            );
        }
        asm!(
            "2:",
            "tileloadd tmm4, [{a} + {a_stride}]",
            "tileloadd tmm6, [{b} + {b_stride}]",
            "tileloadd tmm7, [{b} + {b_stride} + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {a}, 64",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 2b",
            a = inout(reg) a => _, a_stride = in(reg) a_stride * 4,
            b = inout(reg) b => _, b_stride = in(reg) COLS * 4, steps = inout(reg) steps => _,
            options(nostack, readonly)
        );
        asm!(
            "tilestored [{c} + {stride}], tmm0",
            "tilestored [{c} + {stride} + 64], tmm1",
            c = in(reg) c, stride = in(reg) c_stride * 4, options(nostack)
        );
    }
}
