//! The weighted cloud of a text's features: centroid, spectrum, leading axis.

use super::gram::{gram, gram_transposed};
use super::krylov::{Covariance, leading_axis};
use super::points::{Points, offset};
use super::symmetric::leading;
use crate::error::{Error, Result};
use crate::platform::lanes::{Form, Task, Vector};

/// Eigenvalues up to this fraction of the largest count as zero.
///
/// Positions are stored in f32. Their rounding (6e-8 relative) alone gives points that lie on one
/// line exactly a second eigenvalue of about 4e-15 λ1, and the f64 arithmetic after it one of about
/// 1e-15 λ1, so 1e-12 separates a dimension that the weights have from one that rounding made.
/// Only the sphericity and the elongation (which ask whether a λ3 or λ2 exists) can notice it.
pub const RANK_TOLERANCE: f64 = 1e-12;

/// Points, and dimensions, from which on an axis alone is found without the Gram matrix.
const MANY: usize = 128;

/// Centroid, non-zero spectrum and leading axis of n weighted points in R^d.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    /// c = Σ p_i r_i, shape \[d\]; the zero vector where there is no mass.
    pub centroid: Vec<f64>,
    /// Non-zero eigenvalues of the weighted covariance, λ1 ≥ λ2 ≥ …, at most min(n−1, d) of them.
    pub eigenvalues: Vec<f64>,
    /// Unit eigenvector of λ1, shape \[d\], sign arbitrary; the zero vector where no eigenvalue is
    /// non-zero. Where λ1 = λ2 it is one vector of many.
    pub axis: Vec<f64>,
}

impl Cloud {
    /// The cloud of points `rows` with `masses`.
    ///
    /// # Shapes
    /// `rows`: \[n, d\] row-major; `masses`: \[n\], finite and ≥ 0.
    ///
    /// # Cost
    /// With s = min(n, d) and l = max(n, d): s²·l multiply-adds for the Gram (or, where n > d, the
    /// covariance) matrix and about 4/3·s³ flops for its spectrum; n·d + 2·s² f64 of memory.
    /// n = 100, d = 2304 takes about a millisecond; n = d = 2304 some seconds.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the lengths do not fit each other, a value is not finite, a mass
    /// is negative, or the eigenproblem does not converge.
    pub fn new(rows: &[f32], masses: &[f32], d: usize) -> Result<Self> {
        let Weighted { centroid, y } = Weighted::new(rows, masses, d)?;
        let Some((eigenvalues, mut axes)) = principal(y.as_ref(), 1)? else {
            return Ok(Self { axis: vec![0.0; d], eigenvalues: Vec::new(), centroid });
        };
        Ok(Self { centroid, eigenvalues, axis: axes.pop().unwrap_or_else(|| vec![0.0; d]) })
    }

    /// Centroid and leading axis of points and masses as in [`Self::new`], where nobody asks for the spectrum.
    ///
    /// # Cost
    /// Where n and d are 128 or more, 2·n·d multiply-adds for each of some twenty steps of an iteration
    /// (λ2 being half of λ1; what does not converge goes the other way); else that of [`Self::new`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn centroid_and_axis(rows: &[f32], masses: &[f32], d: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        if masses.len().min(d) >= MANY
            && let Some(Shares { p, anchor }) = Shares::of(rows, masses, d)?
        {
            let offset = offset(rows, &p, anchor);
            let c = Covariance { rows, p: &p, anchor, offset: &offset };
            if let Some(axis) = leading_axis(&c) {
                return Ok((centroid(&offset, anchor), unit(axis)));
            }
        }
        let Weighted { centroid, y } = Weighted::new(rows, masses, d)?;
        let axis = principal(y.as_ref(), 1)?.and_then(|(_, mut axes)| axes.pop());
        Ok((centroid, axis.unwrap_or_else(|| vec![0.0; d])))
    }
}

/// A cloud seen along its leading principal axes: what a plot of it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// Coordinates from the centroid, shape \[n, k\] row-major; 0 on axes that do not exist.
    pub points: Vec<f64>,
    /// Non-zero eigenvalues of the weighted covariance, λ1 ≥ λ2 ≥ …
    pub eigenvalues: Vec<f64>,
}

impl Projection {
    /// Points and masses as in [`Cloud::new`], on the first `k` axes (signs arbitrary).
    ///
    /// # Errors
    /// As [`Cloud::new`].
    pub fn new(rows: &[f32], masses: &[f32], d: usize, k: usize) -> Result<Self> {
        let n = masses.len();
        let Weighted { centroid, y } = Weighted::new(rows, masses, d)?;
        let Some((eigenvalues, axes)) = principal(y.as_ref(), k)? else {
            return Ok(Self { points: vec![0.0; n * k], eigenvalues: Vec::new() });
        };
        let mut points = vec![0.0; n * k];
        for (row, point) in rows.chunks_exact(d).zip(points.chunks_exact_mut(k)) {
            for (axis, coordinate) in axes.iter().zip(point) {
                *coordinate = row.iter().zip(&centroid).zip(axis).map(|((&r, c), v)| (f64::from(r) - c) * v).sum();
            }
        }
        Ok(Self { points, eigenvalues })
    }
}

/// Checked points: where their centroid is, and each relative to it.
struct Weighted {
    /// c = Σ p_i r_i, shape \[d\].
    centroid: Vec<f64>,
    /// y_i = √p_i (r_i − c): G = Y Yᵀ, C = Yᵀ Y; none where there is no mass.
    y: Option<Points>,
}

impl Weighted {
    fn new(rows: &[f32], masses: &[f32], d: usize) -> Result<Self> {
        let Some(Shares { p, anchor }) = Shares::of(rows, masses, d)? else {
            return Ok(Self { centroid: vec![0.0; d], y: None });
        };
        let (y, offset) = Points::relative(rows, &p, anchor);
        Ok(Self { centroid: centroid(&offset, anchor), y: Some(y) })
    }
}

/// Checked points that have mass.
struct Shares<'a> {
    /// p_i, shape \[n\].
    p: Vec<f64>,
    /// The heaviest point, shape \[d\]. Distances are taken from it first (exact for equal points), so that a cloud
    /// that is far from the origin loses nothing and equal points give exactly zero.
    anchor: &'a [f32],
}

impl<'a> Shares<'a> {
    /// None where there is no mass.
    fn of(rows: &'a [f32], masses: &[f32], d: usize) -> Result<Option<Self>> {
        check(rows, masses, d)?;
        let total: f64 = masses.iter().map(|&m| f64::from(m)).sum();
        if total == 0.0 || d == 0 {
            return Ok(None);
        }
        let p: Vec<f64> = masses.iter().map(|&m| f64::from(m) / total).collect();
        let heaviest = (0..p.len()).fold(0, |best, i| if p[i] > p[best] { i } else { best });
        Ok(Some(Self { p, anchor: &rows[heaviest * d..][..d] }))
    }
}

/// c, of c − anchor.
fn centroid(offset: &[f64], anchor: &[f32]) -> Vec<f64> {
    offset.iter().zip(anchor).map(|(o, &a)| o + f64::from(a)).collect()
}

/// Eigenvalues, and unit eigenvectors in R^d.
type Principal = (Vec<f64>, Vec<Vec<f64>>);

/// Non-zero eigenvalues of Yᵀ Y, largest first, and the unit eigenvectors of the first `k` of
/// them; none where Y is zero or empty.
fn principal(y: Option<&Points>, k: usize) -> Result<Option<Principal>> {
    let Some(y) = y else { return Ok(None) };
    let (n, d) = (y.n(), y.d());
    let (gram, s) = if n <= d { (gram(y), n) } else { (gram_transposed(y), d) };
    let found = spectrum(gram, s, k)?;
    let Some((eigenvalues, vectors)) = found else { return Ok(None) };
    let axes = vectors.into_iter().map(|vector| unit(if n > d { vector } else { y.combined(&vector) }));
    Ok(Some((eigenvalues, axes.collect())))
}

/// Lengths fit, values are finite, masses are not negative.
fn check(rows: &[f32], masses: &[f32], d: usize) -> Result<()> {
    if masses.len().checked_mul(d) != Some(rows.len()) {
        return Err(Error::mismatch(
            "decoder rows of the active features",
            format!("{} features × {d} values", masses.len()),
            format!("{} values", rows.len()),
            "the SAE's decoder has another width than the model; check that they belong together",
        ));
    }
    if let Some(m) = masses.iter().find(|m| !(m.is_finite() && **m >= 0.0)) {
        return Err(Error::mismatch(
            "feature activation",
            "a finite number, not negative",
            m.to_string(),
            "the residual or the SAE's weights hold NaN or infinity; check the checkpoint",
        ));
    }
    if !Form::best().run(Finite(rows))
        && let Some(r) = rows.iter().find(|r| !r.is_finite())
    {
        return Err(Error::mismatch(
            "value in a decoder row",
            "a finite number",
            r.to_string(),
            "the SAE's weights hold NaN or infinity; check the file's sha256",
        ));
    }
    Ok(())
}

/// Whether every value is finite.
struct Finite<'a>(&'a [f32]);

impl Task for Finite<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> bool {
        // no early end, so that the compiler makes vectors of it
        self.0.iter().fold(true, |all, x| all & x.is_finite())
    }
}

/// Non-zero eigenvalues of an s×s Gram matrix (its lower triangle), largest first, with the eigenvectors of
/// the first `k`; none where it is zero.
fn spectrum(mut gram: Vec<f64>, s: usize, k: usize) -> Result<Option<Principal>> {
    let trace: f64 = (0..s).map(|i| gram[i * s + i]).sum();
    if trace == 0.0 {
        return Ok(None);
    }
    gram.iter_mut().for_each(|g| *g /= trace);
    let (values, mut vectors) = leading(&gram, s, k).ok_or_else(|| {
        Error::mismatch(
            format!("eigenvalues of a {s}×{s} covariance"),
            "convergence",
            "none within the solver's iterations",
            "please report the text and the SAE",
        )
    })?;
    let kept = values.iter().take_while(|&&l| l > RANK_TOLERANCE * values[0]);
    let kept: Vec<f64> = kept.map(|l| l * trace).collect();
    vectors.truncate(kept.len());
    Ok(Some((kept, vectors)))
}

/// `v` scaled to length 1; zero stays zero.
fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let largest = v.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    if largest > 0.0 {
        let norm = largest * v.iter().map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt();
        v.iter_mut().for_each(|x| *x /= norm);
    }
    v
}
