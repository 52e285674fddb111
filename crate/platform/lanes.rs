//! Loops over f64 that are written once and compiled for the vectors of each kind of processor.
//!
//! A [`Task`] is written over [`Vector`]; [`Form::run`] runs it with AVX-512, AVX2, or what the target always has
//! (SSE2, NEON, WebAssembly's SIMD128). A sum has eight lanes, which are added in a fixed order, and every other
//! operation is on single elements, so the width of the vectors is not in a result: all processors with fused
//! multiply-add give the same bits. Those without it (WebAssembly, x86 without AVX2) round each product first,
//! and agree among each other.

/// Eight neighbouring elements of a row: a cache line, and a vector of AVX-512.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Block(pub [f64; 8]);

/// The sum of the lanes: halves onto each other, three times.
#[inline(always)]
pub fn total([a, b, c, d, e, f, g, h]: &[f64; 8]) -> f64 {
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Sixteen f32 side by side: for what is drawn at random by the thousand, where the rounding of f32 is far below the
/// draws' own spread.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Block16(pub [f32; 16]);

/// Some lanes of a [`Block16`].
pub trait Single: Copy {
    /// Vectors in a block.
    const PARTS: usize;
    /// `x` in every lane.
    fn splat(x: f32) -> Self;
    /// The lanes of one part.
    fn load(from: &[f32; 16], part: usize) -> Self;
    /// Puts them there.
    fn store(self, to: &mut [f32; 16], part: usize);
    /// `self · b`.
    fn mul(self, b: Self) -> Self;
    /// `self · b + c`, rounded once where the form is fused.
    fn mul_add(self, b: Self, c: Self) -> Self;
}

/// Some lanes of a [`Block`], as many as the processor works on at once.
pub trait Vector: Copy {
    /// The same register with twice as many lanes.
    type Single: Single;
    /// Vectors in a block.
    const PARTS: usize;
    /// `x` in every lane.
    fn splat(x: f64) -> Self;
    /// The lanes of one part.
    fn load(from: &[f64; 8], part: usize) -> Self;
    /// Puts them there.
    fn store(self, to: &mut [f64; 8], part: usize);
    /// The lanes of one part, from f32.
    fn widen(from: &[f32; 8], part: usize) -> Self;
    /// `self + b`.
    fn add(self, b: Self) -> Self;
    /// `self − b`.
    fn sub(self, b: Self) -> Self;
    /// `self · b`.
    fn mul(self, b: Self) -> Self;
    /// `self · b + c`, rounded once where the form is fused.
    fn mul_add(self, b: Self, c: Self) -> Self;
}

/// Two lanes in plain arithmetic: for processors without vectors, and what the others are compared with.
#[allow(dead_code)]
#[derive(Clone, Copy)]
struct Plain<const FUSED: bool>([f64; 2]);

impl<const FUSED: bool> Vector for Plain<FUSED> {
    type Single = PlainSingle<FUSED>;
    const PARTS: usize = 4;

    #[inline(always)]
    fn splat(x: f64) -> Self {
        Self([x; 2])
    }

    #[inline(always)]
    fn load(from: &[f64; 8], part: usize) -> Self {
        Self([from[2 * part], from[2 * part + 1]])
    }

    #[inline(always)]
    fn store(self, to: &mut [f64; 8], part: usize) {
        to[2 * part..2 * part + 2].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn widen(from: &[f32; 8], part: usize) -> Self {
        Self([f64::from(from[2 * part]), f64::from(from[2 * part + 1])])
    }

    #[inline(always)]
    fn add(self, b: Self) -> Self {
        Self([self.0[0] + b.0[0], self.0[1] + b.0[1]])
    }

    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        Self([self.0[0] - b.0[0], self.0[1] - b.0[1]])
    }

    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Self([self.0[0] * b.0[0], self.0[1] * b.0[1]])
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        let one = |i: usize| if FUSED { self.0[i].mul_add(b.0[i], c.0[i]) } else { self.0[i] * b.0[i] + c.0[i] };
        Self([one(0), one(1)])
    }
}

/// Four lanes of f32 in plain arithmetic.
#[allow(dead_code)]
#[derive(Clone, Copy)]
struct PlainSingle<const FUSED: bool>([f32; 4]);

impl<const FUSED: bool> Single for PlainSingle<FUSED> {
    const PARTS: usize = 4;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    fn load(from: &[f32; 16], part: usize) -> Self {
        Self(std::array::from_fn(|i| from[4 * part + i]))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 16], part: usize) {
        to[4 * part..4 * part + 4].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * b.0[i]))
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        let one = |i: usize| if FUSED { self.0[i].mul_add(b.0[i], c.0[i]) } else { self.0[i] * b.0[i] + c.0[i] };
        Self(std::array::from_fn(one))
    }
}

/// A [`Single`] of the processor's own.
#[allow(unused_macros)]
macro_rules! single {
    ($type:ident, $lanes:literal, $splat:ident, $load:expr, $store:expr, $mul:ident, $mul_add:expr) => {
        impl Single for $type {
            const PARTS: usize = 16 / $lanes;

            #[inline(always)]
            fn splat(x: f32) -> Self {
                // SAFETY: this is inlined into functions that are entered only where the processor has the feature
                #[allow(unused_unsafe)]
                unsafe {
                    $splat(x)
                }
            }

            #[inline(always)]
            fn load(from: &[f32; 16], part: usize) -> Self {
                // SAFETY: as above; the lanes lie inside the array, and need not be aligned
                unsafe { $load(from[$lanes * part..$lanes * (part + 1)].as_ptr().cast()) }
            }

            #[inline(always)]
            fn store(self, to: &mut [f32; 16], part: usize) {
                // SAFETY: as for the load
                unsafe { $store(to[$lanes * part..$lanes * (part + 1)].as_mut_ptr().cast(), self) }
            }

            #[inline(always)]
            fn mul(self, b: Self) -> Self {
                // SAFETY: as for the splat
                #[allow(unused_unsafe)]
                unsafe {
                    $mul(self, b)
                }
            }

            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: as for the splat
                #[allow(unused_unsafe)]
                unsafe {
                    $mul_add(self, b, c)
                }
            }
        }
    };
}

/// A [`Vector`] of the processor's own: its type, its lanes and its instructions.
#[allow(unused_macros)]
macro_rules! vector {
    ($type:ident, $single:ty, $lanes:literal, $splat:ident, $load:expr, $store:expr, $widen:expr,
     $add:ident, $sub:ident, $mul:ident, $mul_add:expr) => {
        impl Vector for $type {
            type Single = $single;
            const PARTS: usize = 8 / $lanes;

            #[inline(always)]
            fn splat(x: f64) -> Self {
                // SAFETY: this is inlined into functions that are entered only where the processor has the feature
                #[allow(unused_unsafe)]
                unsafe {
                    $splat(x)
                }
            }

            #[inline(always)]
            fn load(from: &[f64; 8], part: usize) -> Self {
                // SAFETY: as above; the lanes lie inside the array, and need not be aligned
                unsafe { $load(from[$lanes * part..$lanes * (part + 1)].as_ptr().cast()) }
            }

            #[inline(always)]
            fn store(self, to: &mut [f64; 8], part: usize) {
                // SAFETY: as for the load
                unsafe { $store(to[$lanes * part..$lanes * (part + 1)].as_mut_ptr().cast(), self) }
            }

            #[inline(always)]
            fn widen(from: &[f32; 8], part: usize) -> Self {
                // SAFETY: as for the load
                unsafe { $widen(from[$lanes * part..$lanes * (part + 1)].as_ptr()) }
            }

            #[inline(always)]
            fn add(self, b: Self) -> Self {
                // SAFETY: as for the splat
                #[allow(unused_unsafe)]
                unsafe {
                    $add(self, b)
                }
            }

            #[inline(always)]
            fn sub(self, b: Self) -> Self {
                // SAFETY: as for the splat
                #[allow(unused_unsafe)]
                unsafe {
                    $sub(self, b)
                }
            }

            #[inline(always)]
            fn mul(self, b: Self) -> Self {
                // SAFETY: as for the splat
                #[allow(unused_unsafe)]
                unsafe {
                    $mul(self, b)
                }
            }

            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: as for the splat
                #[allow(unused_unsafe)]
                unsafe {
                    $mul_add(self, b, c)
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::*;

    use super::{Single, Task, Vector};

    vector!(
        __m512d,
        __m512,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        |from| _mm512_cvtps_pd(_mm256_loadu_ps(from)),
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd,
        _mm512_fmadd_pd
    );
    vector!(
        __m256d,
        __m256,
        4,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        |from| _mm256_cvtps_pd(_mm_loadu_ps(from)),
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd,
        _mm256_fmadd_pd
    );
    vector!(
        __m128d,
        __m128,
        2,
        _mm_set1_pd,
        _mm_loadu_pd,
        _mm_storeu_pd,
        |from: *const f32| _mm_cvtps_pd(_mm_castpd_ps(_mm_load_sd(from.cast()))),
        _mm_add_pd,
        _mm_sub_pd,
        _mm_mul_pd,
        |a, b, c| _mm_add_pd(_mm_mul_pd(a, b), c)
    );

    single!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_mul_ps, _mm512_fmadd_ps);
    single!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_mul_ps, _mm256_fmadd_ps);
    single!(__m128, 4, _mm_set1_ps, _mm_loadu_ps, _mm_storeu_ps, _mm_mul_ps, |a, b, c| _mm_add_ps(_mm_mul_ps(a, b), c));

    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) fn avx512<T: Task>(task: T) -> T::Output {
        task.run::<__m512d, 4, 4, 4>()
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2<T: Task>(task: T) -> T::Output {
        task.run::<__m256d, 3, 4, 2>()
    }

    pub(super) fn baseline<T: Task>(task: T) -> T::Output {
        task.run::<__m128d, 3, 4, 2>()
    }
}

#[cfg(target_arch = "aarch64")]
mod native {
    use std::arch::aarch64::*;

    use super::{Single, Task, Vector};

    vector!(
        float64x2_t,
        float32x4_t,
        2,
        vdupq_n_f64,
        vld1q_f64,
        vst1q_f64,
        |from| vcvt_f64_f32(vld1_f32(from)),
        vaddq_f64,
        vsubq_f64,
        vmulq_f64,
        |a, b, c| vfmaq_f64(c, a, b)
    );

    single!(float32x4_t, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, vmulq_f32, |a, b, c| vfmaq_f32(c, a, b));

    pub(super) fn baseline<T: Task>(task: T) -> T::Output {
        task.run::<float64x2_t, 4, 4, 2>()
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod native {
    use std::arch::wasm32::*;

    use super::{Single, Task, Vector};

    /// Four lanes of f32: the same type as two of f64, which can have one meaning only.
    #[derive(Clone, Copy)]
    pub struct Four(v128);

    single!(
        Four,
        4,
        splat4,
        |from| Four(v128_load(from)),
        |to, four: Four| v128_store(to, four.0),
        mul4,
        |a: Four, b: Four, c: Four| Four(f32x4_add(f32x4_mul(a.0, b.0), c.0))
    );

    #[inline(always)]
    fn splat4(x: f32) -> Four {
        Four(f32x4_splat(x))
    }

    #[inline(always)]
    fn mul4(a: Four, b: Four) -> Four {
        Four(f32x4_mul(a.0, b.0))
    }

    vector!(
        v128,
        Four,
        2,
        f64x2_splat,
        v128_load,
        v128_store,
        |from: *const f32| f64x2_promote_low_f32x4(v128_load64_zero(from.cast())),
        f64x2_add,
        f64x2_sub,
        f64x2_mul,
        |a, b, c| f64x2_add(f64x2_mul(a, b), c)
    );

    pub(super) fn baseline<T: Task>(task: T) -> T::Output {
        task.run::<v128, 3, 4, 2>()
    }
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
mod native {
    use super::{Plain, Task};

    pub(super) fn baseline<T: Task>(task: T) -> T::Output {
        task.run::<Plain<false>, 2, 2, 2>()
    }
}

/// Work that is compiled once for each form; `R`×`C` dot products, and `T` rows of the reduction, are those
/// that fit its registers.
pub trait Task {
    /// What it gives.
    type Output;
    /// Does it.
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Self::Output;
}

/// The vectors to compute with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Eight lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Four lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every processor of the kind has: NEON, SIMD128, SSE2.
    Baseline,
    /// No vectors.
    #[cfg(test)]
    Plain {
        /// Whether a product and a sum are rounded once.
        fused: bool,
    },
}

impl Form {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                return if has!("avx512f") { Self::Avx512 } else { Self::Avx2 };
            }
        }
        Self::Baseline
    }

    /// Runs a task with these vectors.
    pub fn run<T: Task>(self, task: T) -> T::Output {
        match self {
            // SAFETY: whoever made these two has asked the processor for the features
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { native::avx512(task) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { native::avx2(task) },
            Self::Baseline => native::baseline(task),
            #[cfg(test)]
            Self::Plain { fused: true } => task.run::<Plain<true>, 2, 3, 1>(),
            #[cfg(test)]
            Self::Plain { fused: false } => task.run::<Plain<false>, 2, 3, 1>(),
        }
    }
}

/// The forms that this processor can run, and whether their arithmetic is fused.
#[cfg(test)]
pub fn forms() -> Vec<(Form, bool)> {
    let mut forms = vec![
        (Form::Plain { fused: false }, false),
        (Form::Plain { fused: true }, true),
        (Form::Baseline, cfg!(target_arch = "aarch64")),
    ];
    #[cfg(target_arch = "x86_64")]
    {
        // the fastest may be followed by the other
        forms.extend((Form::best() != Form::Baseline).then_some((Form::Avx2, true)));
        forms.extend((Form::best() == Form::Avx512).then_some((Form::Avx512, true)));
    }
    forms
}
