//! A linear probe: ridge regression of the label on a text's numbers, scored on texts that it was not fitted to.
//!
//! There are far more dimensions than texts, so it is solved in its dual form, through the n×n kernel of the texts
//! (C. Saunders, A. Gammerman and V. Vovk, "Ridge regression learning algorithm in dual variables", 1998). With M =
//! (K + λI)⁻¹ and the unpenalised intercept taken out, Q = M − M11ᵀM / 1ᵀM1, the residuals of a fold S that is left
//! out are Q_SS⁻¹ (Qy)_S: exactly those of a fit to the others, so that one factorisation serves all folds and all
//! permuted labels. The penalty λ is the mean squared norm of the centred rows. A factorisation of a few hundred
//! rows is all the linear algebra that is needed, and stands here.

/// Inner products of rows, n×n.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    n: usize,
    values: Vec<f64>,
}

impl Kernel {
    /// Of dense rows of one length: each dimension is divided by its standard deviation over all rows, since a few
    /// dimensions of a residual stream are hundreds of times as large as the others; constant ones are left out.
    /// Labels take no part.
    pub fn standardised(rows: &[&[f32]]) -> Self {
        let n = rows.len();
        let d = rows.iter().map(|row| row.len()).min().unwrap_or_default();
        let (mut mean, mut squares) = (vec![0.0; d], vec![0.0; d]);
        for row in rows {
            mean.iter_mut().zip(*row).for_each(|(m, &x)| *m += f64::from(x) / n as f64);
        }
        for row in rows {
            squares.iter_mut().zip(&mean).zip(*row).for_each(|((s, m), &x)| *s += (f64::from(x) - m).powi(2));
        }
        let size = |j: usize| 1e-12 * mean[j].abs();
        let factor: Vec<f64> = (0..d)
            .map(|j| (squares[j] / n as f64).sqrt())
            .enumerate()
            .map(|(j, sd)| if sd > size(j) { 1.0 / sd } else { 0.0 })
            .collect();
        let scaled: Vec<Vec<f64>> = rows
            .iter()
            .map(|row| row.iter().zip(&mean).zip(&factor).map(|((&x, m), f)| (f64::from(x) - m) * f).collect())
            .collect();
        Self::of(n, |i, j| dot(&scaled[i], &scaled[j]))
    }

    /// Of sparse rows: ascending indices and their values, as they are.
    pub fn sparse(rows: &[(&[u32], &[f32])]) -> Self {
        let inner = |a: (&[u32], &[f32]), b: (&[u32], &[f32])| {
            let (mut i, mut j, mut sum) = (0, 0, 0.0);
            while i < a.0.len() && j < b.0.len() {
                match a.0[i].cmp(&b.0[j]) {
                    std::cmp::Ordering::Less => i += 1,
                    std::cmp::Ordering::Greater => j += 1,
                    std::cmp::Ordering::Equal => {
                        sum += f64::from(a.1[i]) * f64::from(b.1[j]);
                        (i, j) = (i + 1, j + 1);
                    }
                }
            }
            sum
        };
        Self::of(rows.len(), |i, j| inner(rows[i], rows[j]))
    }

    fn of(n: usize, inner: impl Fn(usize, usize) -> f64) -> Self {
        let mut values = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let value = inner(i, j);
                (values[i * n + j], values[j * n + i]) = (value, value);
            }
        }
        Self { n, values }
    }

    /// The mean squared norm of the rows about their mean.
    pub fn penalty(&self) -> f64 {
        let n = self.n as f64;
        let trace: f64 = (0..self.n).map(|i| self.values[i * self.n + i]).sum();
        trace / n - self.values.iter().sum::<f64>() / (n * n)
    }
}

/// Σ of products, in four chains.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a4.iter().zip(b4) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}

/// A lower triangle L with LLᵀ = A, row-major n×n.
struct Factor {
    n: usize,
    rows: Vec<f64>,
}

impl Factor {
    /// None where A is not positive definite.
    fn new(n: usize, mut a: Vec<f64>) -> Option<Self> {
        for i in 0..n {
            for j in 0..=i {
                let sum = a[i * n + j] - dot(&a[i * n..i * n + j], &a[j * n..j * n + j]);
                a[i * n + j] = if i == j { Some(sum).filter(|sum| *sum > 0.0)?.sqrt() } else { sum / a[j * n + j] };
            }
        }
        Some(Self { n, rows: a })
    }

    /// A⁻¹b.
    fn solve(&self, b: &[f64]) -> Vec<f64> {
        let (n, l) = (self.n, &self.rows);
        let mut x = b.to_vec();
        for i in 0..n {
            x[i] = (x[i] - dot(&l[i * n..i * n + i], &x[..i])) / l[i * n + i];
        }
        for i in (0..n).rev() {
            x[i] /= l[i * n + i];
            let value = x[i];
            x[..i].iter_mut().zip(&l[i * n..i * n + i]).for_each(|(x, l)| *x -= l * value);
        }
        x
    }
}

/// A probe that is fitted to any labels of its rows.
pub struct Probe {
    n: usize,
    /// Q, n×n.
    q: Vec<f64>,
    /// Rows of each fold, and the factor of Q among them.
    folds: Vec<(Vec<usize>, Factor)>,
}

impl Probe {
    /// Of rows with this kernel; `fold` is each row's. None where nothing varies.
    pub fn new(kernel: &Kernel, penalty: f64, fold: &[usize]) -> Option<Self> {
        let n = kernel.n;
        if n == 0 || fold.len() != n || penalty <= 0.0 || !penalty.is_finite() {
            return None;
        }
        let mut a = kernel.values.clone();
        (0..n).for_each(|i| a[i * n + i] += penalty);
        let factor = Factor::new(n, a)?;
        let mut q = Vec::with_capacity(n * n);
        let mut unit = vec![0.0; n];
        for i in 0..n {
            unit[i] = 1.0;
            q.extend(factor.solve(&unit));
            unit[i] = 0.0;
        }
        let ones: Vec<f64> = (0..n).map(|i| q[i * n..(i + 1) * n].iter().sum()).collect();
        let total: f64 = ones.iter().sum();
        for (row, a) in q.chunks_exact_mut(n).zip(&ones) {
            row.iter_mut().zip(&ones).for_each(|(q, b)| *q -= a * b / total);
        }
        let count = fold.iter().max().map_or(0, |most| most + 1);
        let folds = (0..count).map(|of| {
            let rows: Vec<usize> = (0..n).filter(|&row| fold[row] == of).collect();
            let block = rows.iter().flat_map(|&i| rows.iter().map(move |&j| (i, j))).map(|(i, j)| q[i * n + j]);
            let factor = Factor::new(rows.len(), block.collect())?;
            Some((rows, factor))
        });
        let folds = folds.collect::<Option<Vec<_>>>()?;
        Some(Self { n, q, folds })
    }

    /// What the probe says of each row, fitted to the labels of the rows of the other folds.
    pub fn scores(&self, labels: &[f64]) -> Vec<f64> {
        let n = self.n;
        let qy: Vec<f64> = (0..n).map(|i| dot(&self.q[i * n..(i + 1) * n], labels)).collect();
        let mut scores = labels.to_vec();
        for (rows, factor) in &self.folds {
            let residuals = factor.solve(&rows.iter().map(|&row| qy[row]).collect::<Vec<f64>>());
            rows.iter().zip(residuals).for_each(|(&row, residual)| scores[row] -= residual);
        }
        scores
    }
}
