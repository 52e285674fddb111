//! Points relative to their centroid, in the blocks that the inner loops read.

use crate::platform::lanes::{Block, Form, Task, Vector};

/// Y: n points in R^d, f64; a point is a row of whole blocks, zeros after its last coordinate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Points {
    /// \[n, width\].
    blocks: Vec<Block>,
    n: usize,
    d: usize,
}

impl Points {
    /// y_i = √p_i (r_i − c) of points r_i with shares p_i around their centroid c = Σ p_i r_i, and c − anchor.
    ///
    /// # Shapes
    /// `rows`: \[n, d\] row-major; `p`: \[n\]; `anchor` and c: \[d\].
    pub(super) fn relative(rows: &[f32], p: &[f64], anchor: &[f32]) -> (Self, Vec<f64>) {
        relative_in(Form::best(), rows, p, anchor)
    }

    /// Points.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Dimensions.
    pub(super) fn d(&self) -> usize {
        self.d
    }

    /// Blocks in a point.
    pub(super) fn width(&self) -> usize {
        self.d.div_ceil(8)
    }

    /// All points, \[n, width\].
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// A point.
    pub(super) fn row(&self, i: usize) -> &[Block] {
        &self.blocks[i * self.width()..][..self.width()]
    }

    /// Σ u_i y_i, \[d\].
    pub(super) fn combined(&self, u: &[f64]) -> Vec<f64> {
        Form::best().run(Combined { y: self, u })
    }

    /// Values as they are, \[n, d\] row-major.
    pub(super) fn from_values(values: &[f64], n: usize, d: usize) -> Self {
        let blocks = values.chunks(d.max(1)).flat_map(|row| {
            row.chunks(8).map(|part| Block(std::array::from_fn(|i| part.get(i).copied().unwrap_or(0.0))))
        });
        Self { blocks: blocks.collect(), n, d }
    }
}

/// c − anchor, to the bit as [`Points::relative`] has it.
pub(super) fn offset(rows: &[f32], p: &[f64], anchor: &[f32]) -> Vec<f64> {
    Form::best().run(Offset { rows, p, anchor })
}

struct Offset<'a> {
    rows: &'a [f32],
    p: &'a [f64],
    anchor: &'a [f32],
}

impl Task for Offset<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Vec<f64> {
        let Self { rows, p, anchor } = self;
        let d = anchor.len();
        let (whole, width) = (d / 8, d.div_ceil(8));
        let mut offset = vec![Block::default(); width];
        let mut away = vec![Block::default(); width];
        let anchor_end: [f32; 8] = end_of(anchor, whole);
        for (row, p) in rows.chunks_exact(d).zip(p) {
            let ((y, y_end), (sum, sum_end)) = (away.split_at_mut(whole), offset.split_at_mut(whole));
            add_away::<V>(row.as_chunks().0, anchor.as_chunks().0, *p, y, sum);
            if whole < width {
                add_away::<V>(&[end_of(row, whole)], &[anchor_end], *p, y_end, sum_end);
            }
        }
        offset.iter().flat_map(|block| block.0).take(d).collect()
    }
}

/// What comes after so many whole blocks of a row, and zeros.
#[inline(always)]
fn end_of(row: &[f32], whole: usize) -> [f32; 8] {
    std::array::from_fn(|i| row.get(8 * whole + i).copied().unwrap_or(0.0))
}

fn relative_in(form: Form, rows: &[f32], p: &[f64], anchor: &[f32]) -> (Points, Vec<f64>) {
    form.run(Relative { rows, p, anchor })
}

/// [`Points::relative`]. A product and a sum are rounded each for itself, so that every form gives the same bits.
struct Relative<'a> {
    rows: &'a [f32],
    p: &'a [f64],
    anchor: &'a [f32],
}

impl Task for Relative<'_> {
    type Output = (Points, Vec<f64>);

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> (Points, Vec<f64>) {
        let Self { rows, p, anchor } = self;
        let (n, d) = (p.len(), anchor.len());
        let (whole, width) = (d / 8, d.div_ceil(8));
        let roots: Vec<f64> = p.iter().map(|p| p.sqrt()).collect();
        let mut blocks = vec![Block::default(); n * width];
        let mut offset = vec![Block::default(); width];
        let anchor_end: [f32; 8] = end_of(anchor, whole);
        for ((row, p), y) in rows.chunks_exact(d).zip(p).zip(blocks.chunks_exact_mut(width)) {
            let ((y, y_end), (sum, sum_end)) = (y.split_at_mut(whole), offset.split_at_mut(whole));
            add_away::<V>(row.as_chunks().0, anchor.as_chunks().0, *p, y, sum);
            if whole < width {
                add_away::<V>(&[end_of(row, whole)], &[anchor_end], *p, y_end, sum_end);
            }
        }
        for (root, y) in roots.into_iter().zip(blocks.chunks_exact_mut(width)) {
            let root = V::splat(root);
            for (y, sum) in y.iter_mut().zip(&offset) {
                for part in 0..V::PARTS {
                    root.mul(V::load(&y.0, part).sub(V::load(&sum.0, part))).store(&mut y.0, part);
                }
            }
        }
        (Points { blocks, n, d }, offset.iter().flat_map(|block| block.0).take(d).collect())
    }
}

/// `y = row − anchor`, and `sum += p · y`.
#[inline(always)]
fn add_away<V: Vector>(row: &[[f32; 8]], anchor: &[[f32; 8]], p: f64, y: &mut [Block], sum: &mut [Block]) {
    let p = V::splat(p);
    for (((row, anchor), y), sum) in row.iter().zip(anchor).zip(y).zip(sum) {
        for part in 0..V::PARTS {
            let away = V::widen(row, part).sub(V::widen(anchor, part));
            away.store(&mut y.0, part);
            V::load(&sum.0, part).add(p.mul(away)).store(&mut sum.0, part);
        }
    }
}

/// [`Points::combined`]; rounded as [`Relative`] is.
struct Combined<'a> {
    y: &'a Points,
    u: &'a [f64],
}

impl Task for Combined<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<V: Vector, const R: usize, const C: usize, const T: usize>(self) -> Vec<f64> {
        let Self { y, u } = self;
        let mut sum = vec![Block::default(); y.width()];
        for (i, u) in u.iter().enumerate() {
            let u = V::splat(*u);
            for (sum, y) in sum.iter_mut().zip(y.row(i)) {
                for part in 0..V::PARTS {
                    V::load(&sum.0, part).add(u.mul(V::load(&y.0, part))).store(&mut sum.0, part);
                }
            }
        }
        sum.iter().flat_map(|block| block.0).take(y.d()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::symmetric_tests::Random;
    use crate::platform::lanes::forms;

    #[test]
    fn points_relative_to_their_centroid_are_the_definition_to_the_bit_in_every_form() {
        let mut random = Random(3);
        for (n, d) in [(1, 1), (3, 8), (5, 19), (7, 64), (2, 7)] {
            let rows: Vec<f32> = random.values(n * d).iter().map(|x| *x as f32).collect();
            let p: Vec<f64> = random.values(n).iter().map(|x| x.abs()).collect();
            let anchor = &rows[(n - 1) * d..];
            let mut offset = vec![0.0; d];
            for (i, r) in rows.iter().enumerate() {
                offset[i % d] += p[i / d] * (f64::from(*r) - f64::from(anchor[i % d]));
            }
            for (form, _) in forms() {
                let (y, found) = relative_in(form, &rows, &p, anchor);
                assert_eq!(found, offset, "{form:?} {n}×{d}");
                assert_eq!(form.run(Offset { rows: &rows, p: &p, anchor }), offset, "{form:?} {n}×{d}");
                for (i, r) in rows.iter().enumerate() {
                    let expected = p[i / d].sqrt() * (f64::from(*r) - f64::from(anchor[i % d]) - offset[i % d]);
                    assert_eq!(y.row(i / d)[i % d / 8].0[i % d % 8], expected, "{form:?} {n}×{d}");
                }
                // zeros after the last coordinate
                let after = |i: usize| y.row(i)[d / 8..].iter().flat_map(|b| b.0).skip(d % 8);
                assert!((0..n).flat_map(after).all(|x| x == 0.0));
            }
        }
    }

    #[test]
    fn a_sum_of_points() {
        let y = Points::from_values(&[1.0, 2.0, 3.0, 10.0, 20.0, 30.0], 2, 3);
        assert_eq!((y.combined(&[2.0, -1.0]), y.width()), (vec![-8.0, -16.0, -24.0], 1));
    }
}
