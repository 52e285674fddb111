//! The spectra of sixteen small symmetric matrices of one size at a time, a matrix to a lane.
//!
//! A draw of a null is a small eigenproblem of which only the values are wanted, and there are hundreds of
//! thousands of them. Alone, a matrix of forty rows keeps vectors busy for a few elements of a row; sixteen side
//! by side keep them busy throughout, and none of them waits for a sum over lanes. They are in f32: what is wanted of
//! draws is how they are spread, and rounding is a hundred-thousandth of that.

use crate::platform::lanes::{Block16, Form, Single, Task, Vector};

/// Sixteen symmetric matrices of s rows: lane k of block i(i+1)/2 + j holds element (i, j), j ≤ i, of the k-th.
pub(super) struct Sixteen {
    /// Rows of each.
    s: usize,
    /// The lower triangles, s(s+1)/2 blocks.
    a: Vec<Block16>,
}

/// Eigenvalues of sixteen matrices, in no order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spectra {
    /// The values: lane k of each block is one of the k-th matrix.
    pub values: Vec<Block16>,
    /// Whether the iteration ended, and with numbers.
    pub found: [bool; 16],
}

impl Sixteen {
    /// Zeros.
    pub fn new(s: usize) -> Self {
        Self { s, a: vec![Block16::default(); s * (s + 1) / 2] }
    }

    /// The first i + 1 elements of row i.
    pub fn row(&mut self, i: usize) -> &mut [Block16] {
        &mut self.a[i * (i + 1) / 2..][..=i]
    }

    /// Eigenvalues; the matrices are used up. Their elements should be near 1 at most.
    pub fn eigenvalues(&mut self) -> Spectra {
        self.eigenvalues_in(Form::best())
    }

    fn eigenvalues_in(&mut self, form: Form) -> Spectra {
        let [spectra] = spectra_in([self], form);
        spectra
    }
}

/// Eigenvalues of so many sixteens, which must be of one size, in the time of fewer: each step of a sweep waits for the one before
/// it, and a processor does another sixteen's meanwhile.
pub(super) fn spectra<const N: usize>(sixteens: [&mut Sixteen; N]) -> [Spectra; N] {
    spectra_in(sixteens, Form::best())
}

fn spectra_in<const N: usize>(sixteens: [&mut Sixteen; N], form: Form) -> [Spectra; N] {
    let reduced = sixteens.map(|sixteen| form.run(Reduce(sixteen)));
    form.run(Iterate(reduced))
}

/// Sweeps allowed for each eigenvalue; about two are used.
const SWEEPS: usize = 60;

/// p of a sweep, a square, counts as zero up to this (‖T‖ is about 1): what it is multiplied to stays a normal number.
const TINY: f32 = 1e-18;

/// Eigenvalues of N times sixteen tridiagonal matrices, of which these are the diagonals and what stands beside them,
/// by the root-free QL iteration (see [`super::tridiagonal`]), a sweep of all of them at a time: each with the shift of
/// its own first value that is not found yet.
struct Iterate<const N: usize>([(Vec<Block16>, Vec<Block16>); N]);

/// A number of each of N times sixteen matrices.
type Lanes<T, const N: usize> = [[T; 16]; N];

impl<const N: usize> Task for Iterate<N> {
    type Output = [Spectra; N];

    #[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Self::Output {
        let tridiagonal = self.0;
        let s = tridiagonal.first().map_or(0, |(d, _)| d.len());
        debug_assert!(tridiagonal.iter().all(|(d, _)| d.len() == s));
        if s == 0 {
            return std::array::from_fn(|_| Spectra { values: Vec::new(), found: [true; 16] });
        }
        let last = s - 1;
        let (mut finite, mut nothing) = ([[false; 16]; N], [[0.0_f32; 16]; N]);
        // side by side, and one more of each, so that the place after the last needs no question
        let (mut d, mut squares) = (vec![[Block16::default(); N]; s + 1], vec![[Block16::default(); N]; s]);
        for (k, (diagonal, beside)) in tridiagonal.iter().enumerate() {
            let (norms, numbers) = norms(diagonal, beside);
            finite[k] = numbers;
            // what is left out is a matrix of norm 2ε‖T‖ at most
            for lane in 0..16 {
                nothing[k][lane] = (f32::EPSILON * norms[lane]) * (f32::EPSILON * norms[lane]);
            }
            d.iter_mut().zip(diagonal).for_each(|(to, from)| to[k] = *from);
            for (to, from) in squares.iter_mut().zip(beside) {
                for lane in 0..16 {
                    to[k].0[lane] = if numbers[lane] { from.0[lane] * from.0[lane] } else { 0.0 };
                }
            }
        }
        let mut first = [[0; 16]; N];
        let mut sweeps = SWEEPS * (s + 1);
        loop {
            let (mut one, mut two, mut square) = ([[0.0; 16]; N], [[0.0; 16]; N], [[0.0; 16]; N]);
            let mut start = last;
            for k in 0..N {
                for lane in 0..16 {
                    // one step at most: more at once are rare, and a loop of so many as there are is guessed wrong half
                    // the time
                    let mut at: usize = first[k][lane];
                    at += usize::from(squares[at][k].0[lane] <= nothing[k][lane] && at < last);
                    first[k][lane] = at;
                    one[k][lane] = d[at][k].0[lane];
                    two[k][lane] = d[at + 1][k].0[lane];
                    square[k][lane] = squares[at][k].0[lane];
                    start = start.min(at);
                }
            }
            if start == last || sweeps == 0 {
                break;
            }
            sweeps -= 1;
            let shift = shift(&one, &two, &square, &nothing);
            sweep(&mut d[start..=last], &mut squares[start..last], &shift, &nothing);
        }
        std::array::from_fn(|k| {
            let values: Vec<Block16> = d[..=last].iter().map(|of| of[k]).collect();
            let mut found: [bool; 16] = std::array::from_fn(|lane| finite[k][lane] && first[k][lane] == last);
            for value in &values {
                for lane in 0..16 {
                    found[lane] &= value.0[lane].is_finite();
                }
            }
            Spectra { values, found }
        })
    }
}

/// The norm of each matrix, and whether it is of numbers.
#[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
#[inline(always)]
fn norms(diagonal: &[Block16], beside: &[Block16]) -> ([f32; 16], [bool; 16]) {
    let (mut norms, mut total, mut before) = ([0.0_f32; 16], [0.0_f32; 16], [0.0_f32; 16]);
    for (i, diagonal) in diagonal.iter().enumerate() {
        let beside = beside.get(i).copied().unwrap_or_default().0;
        for lane in 0..16 {
            let sum = diagonal.0[lane].abs() + beside[lane].abs() + before[lane];
            norms[lane] = if sum > norms[lane] { sum } else { norms[lane] };
            // no number, or infinite, as soon as anything is
            total[lane] += sum;
            before[lane] = beside[lane].abs();
        }
    }
    (norms, total.map(f32::is_finite))
}

/// Wilkinson's shift of each matrix, from two neighbours on the diagonal and the square beside them.
#[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
#[inline(always)]
fn shift<const N: usize>(
    one: &Lanes<f32, N>,
    two: &Lanes<f32, N>,
    square: &Lanes<f32, N>,
    nothing: &Lanes<f32, N>,
) -> Lanes<f32, N> {
    let mut shift = [[0.0; 16]; N];
    for k in 0..N {
        let (one, two, square) = (&one[k], &two[k], &square[k]);
        for lane in 0..16 {
            let beside = square[lane].sqrt();
            let g = (two[lane] - one[lane]) / (2.0 * beside);
            let shifted = one[lane] - beside / (g + (g * g + 1.0).sqrt().copysign(g));
            shift[k][lane] = if square[lane] > nothing[k][lane] { shifted } else { one[lane] };
        }
    }
    shift
}

/// One QL step of each matrix with its shift. Squares of at most `nothing` are zeros: the matrix falls apart there.
#[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
#[inline(always)]
fn sweep<const N: usize>(
    d: &mut [[Block16; N]],
    squares: &mut [[Block16; N]],
    shift: &Lanes<f32, N>,
    nothing: &Lanes<f32, N>,
) {
    let last = squares.len();
    let (mut cosine, mut sine) = ([[1.0; 16]; N], [[0.0; 16]; N]);
    let (mut gamma, mut p) = ([[0.0; 16]; N], [[0.0; 16]; N]);
    for k in 0..N {
        for lane in 0..16 {
            gamma[k][lane] = d[last][k].0[lane] - shift[k][lane];
            p[k][lane] = gamma[k][lane] * gamma[k][lane];
        }
    }
    for i in (0..last).rev() {
        for k in 0..N {
            let (alpha, square) = (d[i][k].0, squares[i][k].0);
            let (mut carried, mut diagonal) = ([0.0; 16], [0.0; 16]);
            for lane in 0..16 {
                let b = if square[lane] > nothing[k][lane] { square[lane] } else { 0.0 };
                let r = p[k][lane] + b;
                carried[lane] = sine[k][lane] * r;
                let above = p[k][lane].max(TINY);
                // 1 / (r p), by which both quotients are products: a division takes as long as the rest
                let both = 1.0 / (r * above);
                let inverse = both * above;
                let ahead = alpha[lane] - shift[k][lane];
                let n = p[k][lane] * ahead - b * gamma[k][lane];
                let old = gamma[k][lane];
                // where the matrix falls apart, the step begins anew
                let whole = b > 0.0;
                let next = if whole { n * inverse } else { ahead };
                diagonal[lane] = old + (alpha[lane] - next);
                gamma[k][lane] = next;
                sine[k][lane] = if whole { b * inverse } else { 0.0 };
                let limit = cosine[k][lane] * b;
                let after = if p[k][lane] > TINY { n * n * both } else { limit };
                cosine[k][lane] = if whole { p[k][lane] * inverse } else { 1.0 };
                p[k][lane] = if whole { after } else { ahead * ahead };
            }
            d[i + 1][k].0 = diagonal;
            if i + 1 < last {
                squares[i + 1][k].0 = carried;
            }
        }
    }
    for k in 0..N {
        for lane in 0..16 {
            squares[0][k].0[lane] = sine[k][lane] * p[k][lane];
            d[0][k].0[lane] = shift[k][lane] + gamma[k][lane];
        }
    }
}

/// Householder reduction of sixteen matrices to tridiagonal ones, last row first (EISPACK `tred1`), the rank-2
/// update of one step fused with the product of the next; see [`super::symmetric`].
struct Reduce<'a>(&'a mut Sixteen);

/// A reflector's row counts as zero where the squares of all but its last element sum to this or less.
const NOTHING: f32 = 1e-36;

impl Task for Reduce<'_> {
    /// Diagonals, and what stands beside them.
    type Output = (Vec<Block16>, Vec<Block16>);

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Self::Output {
        let Sixteen { s, a } = self.0;
        let s = *s;
        let zeros = || vec![Block16::default(); s];
        let (mut d, mut e) = (zeros(), zeros());
        let (mut u, mut v, mut w, mut p) = (zeros(), zeros(), zeros(), zeros());
        for i in (1..s).rev() {
            let row = &mut a[i * (i + 1) / 2..][..=i];
            update::<V::Single>(row, &v, &w, i);
            d[i] = row[i];
            e[i - 1] = row[i - 1];
            let reflects = reflector::<V::Single>(row, i, &mut u, &mut e[i - 1]);
            if i == 1 {
                break;
            }
            p[..i].fill(Block16::default());
            update_and_multiply::<V::Single>(&mut a[..i * (i + 1) / 2], i, &v, &w, &u, &mut p);
            if reflects {
                // w = p − (pᵀu / 2) u
                let half = minus_half_dot::<V::Single>(&p[..i], &u[..i]);
                for part in 0..V::Single::PARTS {
                    let half = V::Single::load(&half, part);
                    for (p, u) in p[..i].iter_mut().zip(&u[..i]) {
                        half.mul_add(V::Single::load(&u.0, part), V::Single::load(&p.0, part)).store(&mut p.0, part);
                    }
                }
            }
            std::mem::swap(&mut w, &mut p);
            std::mem::swap(&mut v, &mut u);
        }
        if s > 0 {
            update::<V::Single>(&mut a[..1], &v, &w, 0);
            d[0] = a[0];
        }
        e.truncate(s.saturating_sub(1));
        (d, e)
    }
}

/// Makes u of row i's first i elements, and what then stands beside the diagonal; whether any lane reflects.
#[allow(clippy::needless_range_loop)] // plain loops over the lanes are what becomes vectors
#[inline(always)]
fn reflector<S: Single>(row: &[Block16], i: usize, u: &mut [Block16], beside: &mut Block16) -> bool {
    let mut rest = Block16::default();
    for x in &row[..i - 1] {
        for part in 0..S::PARTS {
            let x = S::load(&x.0, part);
            x.mul_add(x, S::load(&rest.0, part)).store(&mut rest.0, part);
        }
    }
    let (mut first, mut scale) = ([0.0; 16], [0.0; 16]);
    for lane in 0..16 {
        let (alpha, rest) = (row[i - 1].0[lane], rest.0[lane]);
        if rest > NOTHING {
            let norm = (rest + alpha * alpha).sqrt();
            beside.0[lane] = -norm.copysign(alpha);
            first[lane] = alpha + norm.copysign(alpha);
            scale[lane] = 1.0 / (norm * first[lane].abs()).sqrt();
        }
    }
    for (u, x) in u.iter_mut().zip(row.iter().take(i - 1).chain([&Block16(first)])) {
        for part in 0..S::PARTS {
            S::load(&x.0, part).mul(S::load(&scale, part)).store(&mut u.0, part);
        }
    }
    scale.iter().any(|scale| *scale > 0.0)
}

/// row −= v_r w + w_r v
#[inline(always)]
fn update<S: Single>(row: &mut [Block16], v: &[Block16], w: &[Block16], r: usize) {
    for part in 0..S::PARTS {
        let (vr, wr) = (minus(S::load(&v[r].0, part)), minus(S::load(&w[r].0, part)));
        for ((x, vc), wc) in row.iter_mut().zip(v).zip(w) {
            let new = wr.mul_add(S::load(&vc.0, part), vr.mul_add(S::load(&wc.0, part), S::load(&x.0, part)));
            new.store(&mut x.0, part);
        }
    }
}

/// A −= v wᵀ + w vᵀ for the first i rows, and p += A u for what A is then; two rows at a time, so that what belongs to
/// the columns is loaded once for both.
#[inline(always)]
fn update_and_multiply<S: Single>(
    a: &mut [Block16],
    i: usize,
    v: &[Block16],
    w: &[Block16],
    u: &[Block16],
    p: &mut [Block16],
) {
    let mut rest = a;
    let mut r = 0;
    while r < i {
        let (one, after) = rest.split_at_mut(r + 1);
        if r + 1 == i {
            for part in 0..S::PARTS {
                let row = Row::<S>::new(v, w, u, r, part);
                let mut sum = S::load(&p[r].0, part);
                for c in 0..r {
                    let column = Row::<S>::new(v, w, u, c, part);
                    let x = row.updated(&column, &mut one[c], part);
                    x.mul_add(row.u, S::load(&p[c].0, part)).store(&mut p[c].0, part);
                    sum = x.mul_add(column.u, sum);
                }
                row.updated(&row, &mut one[r], part).mul_add(row.u, sum).store(&mut p[r].0, part);
            }
            return;
        }
        let (two, after) = after.split_at_mut(r + 2);
        for part in 0..S::PARTS {
            let (first, second) = (Row::<S>::new(v, w, u, r, part), Row::<S>::new(v, w, u, r + 1, part));
            let (mut sum, mut sum_two) = (S::load(&p[r].0, part), S::load(&p[r + 1].0, part));
            for c in 0..r {
                let column = Row::<S>::new(v, w, u, c, part);
                let x = first.updated(&column, &mut one[c], part);
                let y = second.updated(&column, &mut two[c], part);
                let old = S::load(&p[c].0, part);
                y.mul_add(second.u, x.mul_add(first.u, old)).store(&mut p[c].0, part);
                sum = x.mul_add(column.u, sum);
                sum_two = y.mul_add(column.u, sum_two);
            }
            let corner = first.updated(&first, &mut one[r], part);
            let beside = second.updated(&first, &mut two[r], part);
            let last = second.updated(&second, &mut two[r + 1], part);
            beside.mul_add(second.u, corner.mul_add(first.u, sum)).store(&mut p[r].0, part);
            last.mul_add(second.u, beside.mul_add(first.u, sum_two)).store(&mut p[r + 1].0, part);
        }
        rest = after;
        r += 2;
    }
}

/// What a row, or a column, is updated and multiplied with.
#[derive(Clone, Copy)]
struct Row<S> {
    v: S,
    w: S,
    u: S,
}

impl<S: Single> Row<S> {
    #[inline(always)]
    fn new(v: &[Block16], w: &[Block16], u: &[Block16], r: usize, part: usize) -> Self {
        Self { v: S::load(&v[r].0, part), w: S::load(&w[r].0, part), u: S::load(&u[r].0, part) }
    }

    /// The element of this row in a column, updated.
    #[inline(always)]
    fn updated(&self, column: &Self, element: &mut Block16, part: usize) -> S {
        let x = minus(self.w).mul_add(column.v, minus(self.v).mul_add(column.w, S::load(&element.0, part)));
        x.store(&mut element.0, part);
        x
    }
}

/// −pᵀu / 2 in each lane.
#[inline(always)]
fn minus_half_dot<S: Single>(p: &[Block16], u: &[Block16]) -> [f32; 16] {
    let mut out = [0.0; 16];
    for part in 0..S::PARTS {
        let mut sum = S::splat(0.0);
        for (p, u) in p.iter().zip(u) {
            sum = S::load(&p.0, part).mul_add(S::load(&u.0, part), sum);
        }
        sum.mul(S::splat(-0.5)).store(&mut out, part);
    }
    out
}

#[inline(always)]
fn minus<S: Single>(x: S) -> S {
    x.mul(S::splat(-1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::symmetric::leading;
    use crate::geometry::symmetric_tests::Random;
    use crate::platform::lanes::forms;

    /// Gram matrices of sixteen sets of s points in l dimensions, as rows of s·s.
    fn matrices(s: usize, l: usize) -> Vec<Vec<f64>> {
        let mut random = Random(11 + (s * 31 + l) as u64);
        let one = |lane: usize, points: Vec<f64>| {
            let dot = |i: usize, j: usize| (0..l).map(|k| points[i * l + k] * points[j * l + k]).sum::<f64>();
            // one lane of zeros, one of a diagonal
            let element = |i: usize, j: usize| match lane {
                3 => 0.0,
                5 => {
                    if i == j {
                        1.0 / (1 + i) as f64
                    } else {
                        0.0
                    }
                }
                _ => dot(i, j) / (s * l) as f64,
            };
            (0..s * s).map(|x| element(x / s, x % s)).collect::<Vec<f64>>()
        };
        (0..16).map(|lane| one(lane, random.values(s * l))).collect()
    }

    #[test]
    fn spectra_are_those_of_each_matrix_alone_in_every_form() {
        for (s, l) in [(1, 3), (2, 5), (3, 2), (7, 9), (16, 40), (41, 64), (40, 12)] {
            let matrices = matrices(s, l);
            for (form, fused) in forms() {
                let mut sixteen = Sixteen::new(s);
                for i in 0..s {
                    for (j, block) in sixteen.row(i).iter_mut().enumerate() {
                        block.0 = std::array::from_fn(|lane| matrices[lane][i * s + j] as f32);
                    }
                }
                let found = sixteen.eigenvalues_in(form);
                assert_eq!(found.found, [true; 16]);
                for (lane, matrix) in matrices.iter().enumerate() {
                    let (expected, _) = leading(matrix, s, 0).unwrap();
                    let mut found: Vec<f64> = found.values.iter().map(|block| f64::from(block.0[lane])).collect();
                    found.sort_by(|a, b| b.total_cmp(a));
                    let largest = expected[0].abs().max(1e-300);
                    assert_eq!(found.len(), s);
                    for (a, b) in found.iter().zip(&expected) {
                        assert!((a - b).abs() <= 3e-6 * largest, "{form:?} {fused} {s} lane {lane}: {a} {b}");
                    }
                }
            }
        }
        assert_eq!(Sixteen::new(0).eigenvalues(), Spectra { values: Vec::new(), found: [true; 16] });
    }

    #[test]
    fn two_sixteens_side_by_side_have_the_spectra_of_each() {
        let sixteen = |s: usize, l: usize, bad: bool| {
            let matrices = matrices(s, l);
            let mut sixteen = Sixteen::new(s);
            for i in 0..s {
                for (j, block) in sixteen.row(i).iter_mut().enumerate() {
                    block.0 = std::array::from_fn(|lane| matrices[lane][i * s + j] as f32);
                    block.0[9] = if bad { f32::NAN } else { block.0[9] };
                }
            }
            sixteen
        };
        for s in [0, 1, 2, 3, 40] {
            for (form, _) in forms() {
                let (mut one, mut two) = (sixteen(s, 7, false), sixteen(s, 50, true));
                let both = spectra_in([&mut one, &mut two], form);
                let alone = [sixteen(s, 7, false), sixteen(s, 50, true)].map(|mut one| one.eigenvalues_in(form));
                assert_eq!(both.each_ref().map(|of| of.found), alone.each_ref().map(|of| of.found));
                assert_eq!(both[1].found[9], s == 0);
                for (both, alone) in both.iter().zip(&alone) {
                    assert_eq!(both.values.len(), s);
                    for lane in (0..16).filter(|&lane| both.found[lane]) {
                        let sorted = |of: &Spectra| {
                            let mut values: Vec<f32> = of.values.iter().map(|block| block.0[lane]).collect();
                            values.sort_by(f32::total_cmp);
                            values
                        };
                        let (both, alone) = (sorted(both), sorted(alone));
                        let largest = alone.last().copied().unwrap_or_default().max(1e-30);
                        both.iter().zip(&alone).for_each(|(a, b)| assert!((a - b).abs() <= 3e-6 * largest, "{a} {b}"));
                    }
                }
            }
        }
    }

    #[test]
    fn forms_with_fused_products_give_the_same_bits() {
        let matrices = matrices(23, 30);
        let spectra = |form: Form| {
            let mut sixteen = Sixteen::new(23);
            for i in 0..23 {
                for (j, block) in sixteen.row(i).iter_mut().enumerate() {
                    block.0 = std::array::from_fn(|lane| matrices[lane][i * 23 + j] as f32);
                }
            }
            sixteen.eigenvalues_in(form)
        };
        for fused in [false, true] {
            let mut all = forms().into_iter().filter(|(_, f)| *f == fused).map(|(form, _)| spectra(form));
            let first = all.next();
            assert!(all.all(|other| Some(other) == first));
        }
    }
}
