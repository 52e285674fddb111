//! The leading eigenvector alone, without the matrix: for clouds of many points, of which only the axis is asked.

use super::symmetric::{add_scaled, dot};
use super::tridiagonal::{Tridiagonal, uniform};
use crate::platform::lanes::{Block, Form, Task, Vector, total};

/// The covariance C = Σ p_i (r_i − c)(r_i − c)ᵀ of points as they are stored, to be multiplied with.
#[derive(Clone, Copy)]
pub(super) struct Covariance<'a> {
    /// r, \[n, d\] row-major.
    pub(super) rows: &'a [f32],
    /// \[n\], sum 1.
    pub(super) p: &'a [f64],
    /// What the points are taken relative to first, \[d\], exact for equal points; c is the sum of both.
    pub(super) anchor: &'a [f32],
    /// \[d\].
    pub(super) offset: &'a [f64],
}

/// The unit eigenvector of the largest eigenvalue of C, sign arbitrary; none where [`STEPS`] do not find it.
///
/// The vector is one of R^d. Its residual |C v − λ v| is [`ACCEPTED`]·λ at most.
///
/// # Method and cost
/// Lanczos from a fixed start, each vector made orthogonal to all before it, twice (Golub & Van Loan, Matrix
/// Computations, §10.3; B. Parlett, The Symmetric Eigenvalue Problem, §13). A step reads the points once: 2·n·d
/// multiply-adds, against n·d²/2 for C. The number of steps depends on C alone: some twenty where λ2 is three
/// quarters of λ1. Memory: [`STEPS`]·d f64 at most.
pub(super) fn leading_axis(c: &Covariance<'_>) -> Option<Vec<f64>> {
    leading_axis_in(Form::best(), c)
}

fn leading_axis_in(form: Form, c: &Covariance<'_>) -> Option<Vec<f64>> {
    let d = c.anchor.len();
    let mut random = 0x9e37_79b9_7f4a_7c15;
    let start: Vec<f64> = (0..d).map(|_| uniform(&mut random)).collect();
    // a sum of points: the axis has nothing of directions in which there are none
    let mut next = form.run(Apply::new(c, &in_blocks(&start)));
    form.run(Normalize(&mut next))?;
    let mut basis: Vec<Vec<Block>> = Vec::new();
    let (mut alphas, mut betas) = (Vec::new(), Vec::new());
    loop {
        let mut image = form.run(Apply::new(c, &next));
        basis.push(next);
        alphas.push(form.run(Orthogonalize { basis: &basis, x: &mut image }));
        let beta = form.run(Normalize(&mut image)).unwrap_or(0.0);
        next = image;
        let steps = basis.len();
        // nothing is left: every Ritz pair is an eigenpair
        let closed = steps == d || beta <= f64::EPSILON * alphas.iter().fold(0.0, |m: f64, a| m.max(*a));
        if closed || steps >= FIRST && (steps - FIRST).is_multiple_of(EVERY) {
            let small = Tridiagonal::new(alphas.clone(), betas.clone());
            let value = *small.eigenvalues()?.first()?;
            let ritz = small.eigenvector(value, &[])?;
            if value > 0.0 && (closed || beta * ritz.last()?.abs() <= ACCEPTED * value) {
                return Some(form.run(Combine { basis: &basis, ritz: &ritz, d }));
            }
        }
        if closed || steps == STEPS {
            return None;
        }
        betas.push(beta);
    }
}

/// Steps that take as long as the whole spectrum.
const STEPS: usize = 64;
/// Steps before the first look at what is found, and between two.
const FIRST: usize = 8;
const EVERY: usize = 2;
/// The residual of an axis, as a fraction of its eigenvalue: the rounding of positions to f32 alone moves it by
/// some hundred times as much.
const ACCEPTED: f64 = 1e-10;

/// C x. All vectors but `rows` are in blocks.
struct Apply<'a> {
    c: Covariance<'a>,
    anchor: Vec<Block>,
    offset: Vec<Block>,
    x: &'a [Block],
}

impl<'a> Apply<'a> {
    fn new(c: &Covariance<'a>, x: &'a [Block]) -> Self {
        let anchor: Vec<f64> = c.anchor.iter().map(|&a| f64::from(a)).collect();
        Self { c: *c, anchor: in_blocks(&anchor), offset: in_blocks(c.offset), x }
    }
}

/// A vector in blocks, zeros after its end.
fn in_blocks(x: &[f64]) -> Vec<Block> {
    x.chunks(8).map(|part| Block(std::array::from_fn(|i| part.get(i).copied().unwrap_or(0.0)))).collect()
}

impl Task for Apply<'_> {
    type Output = Vec<Block>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Vec<Block> {
        let d = self.c.anchor.len();
        let mut out = vec![Block::default(); self.x.len()];
        let mut groups = self.c.rows.chunks_exact(C * d);
        let mut p = self.c.p;
        for rows in groups.by_ref() {
            let (here, rest) = p.split_at(C);
            self.add_images::<V, C>(
                std::array::from_fn(|r| &rows[r * d..][..d]),
                std::array::from_fn(|r| here[r]),
                &mut out,
            );
            p = rest;
        }
        for (row, p) in groups.remainder().chunks_exact(d).zip(p) {
            self.add_images::<V, 1>([row], [*p], &mut out);
        }
        out
    }
}

impl Apply<'_> {
    /// `out += Σ p (r − c) ((r − c) · x)` over some rows, in their order.
    #[allow(clippy::needless_range_loop)] // plain loops over constants are what becomes registers
    #[inline(always)]
    fn add_images<V: Vector, const N: usize>(&self, rows: [&[f32]; N], p: [f64; N], out: &mut [Block]) {
        let whole = rows[0].len() / 8;
        let blocks: [&[[f32; 8]]; N] = rows.map(|row| &row.as_chunks().0[..whole]);
        // what is left of a row, and zeros
        let ends: [[f32; 8]; N] =
            rows.map(|row| std::array::from_fn(|i| row.get(8 * whole + i).copied().unwrap_or(0.0)));
        let (anchor, offset, x, out) =
            (&self.anchor[..out.len()], &self.offset[..out.len()], &self.x[..out.len()], &mut out[..]);
        let ended = out.len() > whole;
        let mut lanes = [[0.0; 8]; N];
        for part in 0..V::PARTS {
            let mut sums = [V::splat(0.0); N];
            for k in 0..whole {
                let (a, o, x) = (V::load(&anchor[k].0, part), V::load(&offset[k].0, part), V::load(&x[k].0, part));
                for r in 0..N {
                    sums[r] = V::widen(&blocks[r][k], part).sub(a).sub(o).mul_add(x, sums[r]);
                }
            }
            for r in 0..N {
                if ended {
                    let away = away::<V>(&ends[r], &anchor[whole], &offset[whole], part);
                    sums[r] = away.mul_add(V::load(&x[whole].0, part), sums[r]);
                }
                sums[r].store(&mut lanes[r], part);
            }
        }
        let along: [V; N] = std::array::from_fn(|r| V::splat(p[r] * total(&lanes[r])));
        for part in 0..V::PARTS {
            for k in 0..whole {
                let (a, o) = (V::load(&anchor[k].0, part), V::load(&offset[k].0, part));
                let mut sum = V::load(&out[k].0, part);
                for r in 0..N {
                    sum = along[r].mul_add(V::widen(&blocks[r][k], part).sub(a).sub(o), sum);
                }
                sum.store(&mut out[k].0, part);
            }
            if ended {
                let mut sum = V::load(&out[whole].0, part);
                for r in 0..N {
                    sum = along[r].mul_add(away::<V>(&ends[r], &anchor[whole], &offset[whole], part), sum);
                }
                sum.store(&mut out[whole].0, part);
            }
        }
    }
}

/// A part of r − c.
#[inline(always)]
fn away<V: Vector>(row: &[f32; 8], anchor: &Block, offset: &Block, part: usize) -> V {
    V::widen(row, part).sub(V::load(&anchor.0, part)).sub(V::load(&offset.0, part))
}

/// Takes from `x` what lies along the unit vectors of `basis`, twice (what the first time leaves may be little);
/// gives how much lay along the last.
struct Orthogonalize<'a> {
    basis: &'a [Vec<Block>],
    x: &'a mut [Block],
}

impl Task for Orthogonalize<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> f64 {
        let mut along_last = 0.0;
        for _ in 0..2 {
            // the last first: it has most of x
            for (i, vector) in self.basis.iter().rev().enumerate() {
                let along = dot::<V>(vector, self.x);
                add_scaled::<V>(self.x, -along, vector);
                along_last += if i == 0 { along } else { 0.0 };
            }
        }
        along_last
    }
}

/// `x` scaled to length 1; gives the length it had, or none where that is 0 or not finite.
struct Normalize<'a>(&'a mut [Block]);

impl Task for Normalize<'_> {
    type Output = Option<f64>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Option<f64> {
        let norm = dot::<V>(self.0, self.0).sqrt();
        if !(norm > 0.0 && norm.is_finite()) {
            return None;
        }
        let scale = 1.0 / norm;
        self.0.iter_mut().for_each(|block| block.0.iter_mut().for_each(|x| *x *= scale));
        Some(norm)
    }
}

/// Σ of the basis by the parts of a Ritz vector, \[d\].
struct Combine<'a> {
    basis: &'a [Vec<Block>],
    ritz: &'a [f64],
    d: usize,
}

impl Task for Combine<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Vec<f64> {
        let mut sum = vec![Block::default(); self.d.div_ceil(8)];
        for (vector, part) in self.basis.iter().zip(self.ritz) {
            add_scaled::<V>(&mut sum, *part, vector);
        }
        sum.iter().flat_map(|block| block.0).take(self.d).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Cloud;
    use crate::geometry::symmetric_tests::Random;
    use crate::platform::lanes::forms;

    /// Random points in which each dimension is `fall` times as wide as the one before, with random masses.
    fn points(n: usize, d: usize, fall: f64, random: &mut Random) -> (Vec<f32>, Vec<f32>) {
        let rows =
            random.values(n * d).iter().enumerate().map(|(i, x)| (x * fall.powi((i % d) as i32)) as f32).collect();
        (rows, random.values(n).iter().map(|m| m.abs() as f32 + 0.01).collect())
    }

    /// What the whole spectrum says: the axis, λ1, λ2.
    fn expected(rows: &[f32], masses: &[f32], d: usize) -> Cloud {
        Cloud::new(rows, masses, d).unwrap()
    }

    fn apart(a: &[f64], b: &[f64]) -> f64 {
        let sign = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>().signum();
        a.iter().zip(b).map(|(a, b)| (a - sign * b).powi(2)).sum::<f64>().sqrt()
    }

    /// Covariances as [`Cloud`] makes them, with any form.
    fn axis(form: Form, rows: &[f32], masses: &[f32], d: usize) -> Option<Vec<f64>> {
        let total: f64 = masses.iter().map(|m| f64::from(*m)).sum();
        let p: Vec<f64> = masses.iter().map(|m| f64::from(*m) / total).collect();
        let anchor = &rows[..d];
        let mut offset = vec![0.0; d];
        for (i, r) in rows.iter().enumerate() {
            offset[i % d] += p[i / d] * (f64::from(*r) - f64::from(anchor[i % d]));
        }
        leading_axis_in(form, &Covariance { rows, p: &p, anchor, offset: &offset })
    }

    #[test]
    fn the_axis_is_the_leading_eigenvector() {
        let mut random = Random(9);
        let shapes =
            [(300, 150, 0.7), (150, 301, 0.7), (200, 133, 0.95), (5, 40, 0.9), (40, 3, 0.9), (2, 9, 1.0), (9, 1, 1.0)];
        for (n, d, fall) in shapes {
            let (rows, masses) = points(n, d, fall, &mut random);
            let found = axis(Form::best(), &rows, &masses, d).expect("convergence");
            let cloud = expected(&rows, &masses, d);
            let gap = 1.0 - cloud.eigenvalues.get(1).copied().unwrap_or(0.0) / cloud.eigenvalues[0];
            let off = apart(&found, &cloud.axis);
            assert!(off <= ACCEPTED / gap + 1e-13, "{n}×{d}: {off:e} with a gap of {gap}");
        }
    }

    #[test]
    fn forms_with_fused_arithmetic_agree_to_the_bit_and_so_do_those_without() {
        for d in [77, 64] {
            let (rows, masses) = points(203, d, 0.8, &mut Random(4));
            let mut seen: [Option<Vec<f64>>; 2] = [None, None];
            for (form, fused) in forms() {
                let axis = axis(form, &rows, &masses, d).unwrap();
                let expected = seen[usize::from(fused)].get_or_insert_with(|| axis.clone());
                assert_eq!(&axis, expected, "{form:?}");
            }
            assert!(seen.iter().all(Option::is_some));
        }
    }

    #[test]
    fn what_does_not_converge_has_the_axis_of_the_whole_spectrum() {
        // a round cloud: hundreds of eigenvalues beside the first
        let (n, d) = (700, 600);
        let (rows, _) = points(n, d, 1.0, &mut Random(5));
        let masses = vec![1.0; n];
        assert_eq!(axis(Form::best(), &rows, &masses, d), None);
        let cloud = expected(&rows, &masses, d);
        assert_eq!(Cloud::centroid_and_axis(&rows, &masses, d).unwrap(), (cloud.centroid, cloud.axis));
    }

    #[test]
    fn many_points_have_the_centroid_and_the_axis_of_their_cloud() {
        // far from the origin, too
        for shift in [0.0, 1000.0] {
            let (mut rows, masses) = points(400, 200, 0.8, &mut Random(7));
            rows.iter_mut().for_each(|r| *r += shift);
            let cloud = expected(&rows, &masses, 200);
            let (centroid, axis) = Cloud::centroid_and_axis(&rows, &masses, 200).unwrap();
            assert_eq!(centroid, cloud.centroid);
            let off = apart(&axis, &cloud.axis);
            assert!(off > 0.0 && off < 1e-9, "{shift}: {off:e}");
        }
    }

    #[test]
    fn points_on_a_plane_and_points_in_one_place() {
        let (n, d) = (300, 200);
        let along = Random(6).values(2 * n);
        let rows: Vec<f32> = (0..n * d)
            .map(|x| match x % d {
                3 => along[x / d] as f32,
                150 => (0.5 * along[n + x / d]) as f32,
                _ => 1.0,
            })
            .collect();
        let masses = vec![0.5; n];
        let (centroid, axis) = Cloud::centroid_and_axis(&rows, &masses, d).unwrap();
        let cloud = expected(&rows, &masses, d);
        assert_eq!((&centroid, cloud.eigenvalues.len()), (&cloud.centroid, 2));
        assert!(apart(&axis, &cloud.axis) < 1e-13 && axis[0] == 0.0 && axis[3].abs() > 0.9, "{axis:?}");

        let equal = vec![0.25; n * d];
        assert_eq!(Cloud::centroid_and_axis(&equal, &masses, d).unwrap(), (vec![0.25; d], vec![0.0; d]));
    }
}
