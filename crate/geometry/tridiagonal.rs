//! The symmetric tridiagonal eigenproblem: all values, and the vectors that are asked for.

/// A symmetric tridiagonal matrix.
pub(super) struct Tridiagonal {
    /// Diagonal, \[s\].
    d: Vec<f64>,
    /// Beside it, \[s − 1\].
    e: Vec<f64>,
    /// The largest row sum of absolute values: a bound of every |λ|, at most three times the largest.
    norm: f64,
}

impl Tridiagonal {
    /// From the diagonal and what stands beside it.
    pub(super) fn new(d: Vec<f64>, e: Vec<f64>) -> Self {
        let beside = |i: usize| e.get(i).map_or(0.0, |e: &f64| e.abs());
        let sum = |i: usize| d[i].abs() + beside(i) + if i > 0 { beside(i - 1) } else { 0.0 };
        let norm = (0..d.len()).map(sum).fold(0.0, f64::max);
        Self { d, e, norm }
    }

    /// All eigenvalues, largest first; none where [`SWEEPS`] a value do not find them.
    pub(super) fn eigenvalues(&self) -> Option<Vec<f64>> {
        let s = self.d.len();
        let mut d = self.d.clone();
        let mut squares: Vec<f64> = self.e.iter().map(|e| e * e).collect();
        // what is left out is a matrix of norm ε‖T‖ / 2 at most
        let nothing = (0.25 * f64::EPSILON * self.norm).powi(2);
        let mut sweeps = SWEEPS * s;
        let connected = |squares: &[f64], from: usize, end: usize| {
            from + squares[from..end].iter().position(|&b| b <= nothing).unwrap_or(end - from)
        };
        let mut start = 0;
        while start < s {
            let end = connected(&squares, start, s - 1);
            // small values are found first where they stand first
            if d[end].abs() < d[start].abs() {
                d[start..=end].reverse();
                squares[start..end].reverse();
            }
            while start < end {
                let last = connected(&squares, start, end);
                match last - start {
                    0 => start += 1,
                    1 => {
                        (d[start], d[last]) = pair(d[start], squares[start], d[last]);
                        start += 2;
                    }
                    _ => {
                        sweeps = sweeps.checked_sub(1)?;
                        sweep(&mut d[start..=last], &mut squares[start..last]);
                    }
                }
            }
            start = start.max(end + 1);
        }
        d.sort_unstable_by(|a, b| b.total_cmp(a));
        d.iter().all(|value| value.is_finite()).then_some(d)
    }

    /// A unit eigenvector of `value`, orthogonal to the `others`; none where the iteration finds none.
    pub(super) fn eigenvector(&self, value: f64, others: &[Vec<f64>]) -> Option<Vec<f64>> {
        let s = self.d.len();
        let factors = Factors::new(self, value);
        let mut random = 0x9e37_79b9_7f4a_7c15 ^ (others.len() as u64 + 1);
        let mut x = vec![0.0; s];
        let mut best: Option<(f64, Vec<f64>)> = None;
        for round in 0..12 {
            if x.iter().all(|&x| x == 0.0) {
                x.fill_with(|| uniform(&mut random));
            }
            factors.solve(&mut x);
            if !normalize(&mut x) {
                x.fill(0.0);
                continue;
            }
            // twice: what the first time leaves may be little
            let apart = others.iter().chain(others).all(|other| {
                let along: f64 = x.iter().zip(other).map(|(x, o)| x * o).sum();
                x.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
                normalize(&mut x)
            });
            if !apart {
                x.fill(0.0);
                continue;
            }
            let residual = self.residual(&x, value);
            let least = best.as_ref().map_or(f64::INFINITY, |(least, _)| *least);
            if residual < least {
                best = Some((residual, x.clone()));
            }
            if round >= 2 && least <= ACCEPTED * self.norm && residual >= 0.5 * least {
                break;
            }
        }
        best.filter(|(residual, _)| *residual <= ACCEPTED * self.norm).map(|(_, x)| x)
    }

    /// The largest element of |T x − λ x|.
    fn residual(&self, x: &[f64], value: f64) -> f64 {
        let beside = |i: usize, j: usize| if i < self.e.len() { self.e[i] * x[j] } else { 0.0 };
        let row =
            |i: usize| (self.d[i] - value) * x[i] + beside(i, i + 1) + if i > 0 { beside(i - 1, i - 1) } else { 0.0 };
        (0..x.len()).map(|i| row(i).abs()).fold(0.0, f64::max)
    }
}

/// Sweeps allowed for each eigenvalue; about 1.7 are used.
const SWEEPS: usize = 60;
/// A vector with a residual above this fraction of ‖T‖ is none.
const ACCEPTED: f64 = 1e-12;

/// The eigenvalues of \[\[a, e\], \[e, c\]\], given e².
fn pair(a: f64, square: f64, c: f64) -> (f64, f64) {
    let (mean, half) = (0.5 * (a + c), 0.5 * (a - c));
    let root = (half * half + square).sqrt();
    (mean - root, mean + root)
}

/// One implicit QL step without square roots on a connected matrix, d and the squares beside it, with
/// Wilkinson's shift from the first two rows: the first square goes to zero.
///
/// As in `dsterf`, with p' = γ'²/c' written as N²/(r p) where γ' = N/r: then only one division waits for the
/// one before.
fn sweep(d: &mut [f64], squares: &mut [f64]) {
    let last = squares.len();
    let beside = squares[0].sqrt();
    let g = (d[1] - d[0]) / (2.0 * beside);
    let shift = d[0] - beside / (g + (g * g + 1.0).sqrt().copysign(g));
    let (mut cosine, mut sine) = (1.0, 0.0);
    let mut gamma = d[last] - shift;
    let mut p = gamma * gamma;
    for i in (0..last).rev() {
        let (b, alpha) = (squares[i], d[i]);
        let r = p + b;
        if i + 1 < last {
            squares[i + 1] = sine * r;
        }
        let inverse = 1.0 / r;
        let n = p * (alpha - shift) - b * gamma;
        let old = gamma;
        gamma = n * inverse;
        d[i + 1] = old + (alpha - gamma);
        sine = b * inverse;
        // where p vanishes, p' has a limit
        let next = if p > TINY { n * n / (r * p) } else { cosine * b };
        cosine = p * inverse;
        p = next;
    }
    squares[0] = sine * p;
    d[0] = shift + gamma;
}

/// p counts as zero up to this (‖T‖ is about 1, and b is at least 1e-33 of that).
const TINY: f64 = 1e-140;

/// T − λ = P L U, by partial pivoting; pivots are at least ε‖T‖.
struct Factors {
    /// Rows of U: the diagonal and the two places after it.
    upper: Vec<[f64; 3]>,
    /// Of each step of the elimination: the multiplier, and whether the rows were exchanged.
    lower: Vec<(f64, bool)>,
}

impl Factors {
    fn new(t: &Tridiagonal, value: f64) -> Self {
        let s = t.d.len();
        let least = f64::EPSILON * if t.norm > 0.0 { t.norm } else { 1.0 };
        let pivot = |x: f64| if x.abs() < least { least.copysign(x) } else { x };
        let (mut upper, mut lower) = (Vec::with_capacity(s), Vec::with_capacity(s));
        let beside = |i: usize| t.e.get(i).copied().unwrap_or(0.0);
        // what is left of row i: its diagonal and the place after it
        let (mut a, mut b) = (t.d[0] - value, beside(0));
        for (i, &e) in t.e.iter().enumerate() {
            let (c, f) = (t.d[i + 1] - value, beside(i + 1));
            if e.abs() > a.abs() && e.abs() >= least {
                let factor = a / e;
                upper.push([e, c, f]);
                lower.push((factor, true));
                (a, b) = (b - factor * c, -factor * f);
            } else {
                let a0 = pivot(a);
                let factor = e / a0;
                upper.push([a0, b, 0.0]);
                lower.push((factor, false));
                (a, b) = (c - factor * b, f);
            }
        }
        upper.push([pivot(a), 0.0, 0.0]);
        Self { upper, lower }
    }

    fn solve(&self, x: &mut [f64]) {
        for (i, &(factor, exchanged)) in self.lower.iter().enumerate() {
            if exchanged {
                x.swap(i, i + 1);
            }
            x[i + 1] -= factor * x[i];
        }
        let (mut next, mut after) = (0.0, 0.0);
        for (x, [a, b, c]) in x.iter_mut().zip(&self.upper).rev() {
            *x = (*x - b * next - c * after) / a;
            (next, after) = (*x, next);
        }
    }
}

/// `x` scaled to length 1; `false` where it has none.
fn normalize(x: &mut [f64]) -> bool {
    let largest = x.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    if !(largest > 0.0 && x.iter().all(|x| x.is_finite())) {
        return false;
    }
    let norm = largest * x.iter().map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt();
    x.iter_mut().for_each(|x| *x /= norm);
    true
}

/// The next of a fixed sequence in ±(0.5, 1) (xorshift).
pub(super) fn uniform(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let size = 0.5 + (*state >> 12) as f64 / (1_u64 << 53) as f64;
    if *state & 1 == 0 { size } else { -size }
}
