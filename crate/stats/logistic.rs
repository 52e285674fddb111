//! Logistic regression with an L1 penalty, on sparse columns.
//!
//! Our own, for want of a library: of the kept crates linfa-logistic and smartcore penalise by L2 alone, and
//! linfa-elasticnet has the squared loss.

use super::effect::mean;

/// Sweeps over the weights that are not zero, after which a fit is taken as it is.
const SWEEPS: usize = 1000;

/// A column of a matrix by its entries that are not zero: row and value.
pub(super) type Column = Vec<(u32, f64)>;

/// A linear predictor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// Of a row without entries; it is not penalised.
    pub intercept: f64,
    /// By column.
    pub weights: Vec<f64>,
}

impl Fit {
    /// Weights that are not zero.
    pub fn kept(&self) -> usize {
        self.weights.iter().filter(|weight| **weight != 0.0).count()
    }

    /// The same predictor of columns that it was not fitted to, but to (column − centre) · scale.
    pub fn of_unscaled(mut self, centre: &[f64], scale: &[f64]) -> Self {
        for (weight, (centre, scale)) in self.weights.iter_mut().zip(centre.iter().zip(scale)) {
            *weight *= scale;
            self.intercept -= *weight * centre;
        }
        self
    }

    /// The predictor of so many rows with these columns.
    pub fn scores(&self, columns: &[Column], rows: usize) -> Vec<f64> {
        let mut scores = vec![self.intercept; rows];
        for (column, weight) in columns.iter().zip(&self.weights).filter(|(_, weight)| **weight != 0.0) {
            column.iter().for_each(|&(row, value)| scores[row as usize] += weight * value);
        }
        scores
    }
}

/// The smallest penalty with which no weight is other than zero.
pub(super) fn largest_penalty(columns: &[Column], labels: &[bool]) -> f64 {
    let labels: Vec<f64> = labels.iter().map(|&label| f64::from(u8::from(label))).collect();
    let centre = mean(&labels).unwrap_or_default();
    let slope =
        |column: &Column| column.iter().map(|&(row, value)| value * (labels[row as usize] - centre)).sum::<f64>().abs();
    columns.iter().map(slope).fold(0.0, f64::max) / labels.len().max(1) as f64
}

/// Minimises (1/n) Σ ln(1 + exp(−s_i f_i)) + penalty · Σ |β_j| with f_i = β_0 + Σ x_ij β_j, s_i = ±1 by label.
///
/// Cyclic coordinate descent: one weight at a time goes to the minimum of the quadratic above the loss that has
/// the largest curvature a logistic loss can have, x²/4, softened by the penalty. It goes over the weights that are
/// not zero until they stand, then adds every column whose slope is steeper than the penalty, and ends where there
/// is none: the conditions of the optimum hold then. A step below `tolerance`, in units of the linear predictor, is
/// none.
///
/// Sources: J. Friedman, T. Hastie and R. Tibshirani, "Regularization paths for generalized linear models via
/// coordinate descent", 2010; D. Böhning and B. G. Lindsay, "Monotonicity of quadratic-approximation algorithms",
/// 1988, for the curvature.
pub(super) fn fit(columns: &[Column], labels: &[bool], penalty: f64, tolerance: f64) -> Fit {
    fit_within(columns, labels, penalty, tolerance, SWEEPS)
}

/// [`fit`], at most so many sweeps over the weights that are not zero.
fn fit_within(columns: &[Column], labels: &[bool], penalty: f64, tolerance: f64, sweeps: usize) -> Fit {
    let n = labels.len() as f64;
    let target = |row: usize| f64::from(u8::from(labels[row]));
    let chance = |score: f64| 1.0 / (1.0 + libm::exp(-score));
    let mut fit = Fit { intercept: 0.0, weights: vec![0.0; columns.len()] };
    let mut scores = vec![0.0; labels.len()];
    // chance − target, kept with the scores
    let mut errors: Vec<f64> = (0..labels.len()).map(|row| 0.5 - target(row)).collect();
    let curvature: Vec<f64> =
        columns.iter().map(|column| column.iter().map(|(_, value)| value * value).sum::<f64>() / (4.0 * n)).collect();
    let slope = |column: &[(u32, f64)], errors: &[f64]| {
        column.iter().map(|&(row, value)| value * errors[row as usize]).sum::<f64>() / n
    };
    let mut active: Vec<usize> = Vec::new();
    let mut is_active = vec![false; columns.len()];
    loop {
        for _ in 0..sweeps {
            let step = -4.0 * errors.iter().sum::<f64>() / n;
            fit.intercept += step;
            for (row, score) in scores.iter_mut().enumerate() {
                *score += step;
                errors[row] = chance(*score) - target(row);
            }
            let mut largest = step.abs();
            for &j in &active {
                let (column, old) = (&columns[j], fit.weights[j]);
                let wanted = old - slope(column, &errors) / curvature[j];
                let softened = (wanted.abs() - penalty / curvature[j]).max(0.0).copysign(wanted);
                let step = if softened == 0.0 { -old } else { softened - old };
                if step == 0.0 {
                    continue;
                }
                fit.weights[j] = old + step;
                for &(row, value) in column {
                    let row = row as usize;
                    scores[row] += step * value;
                    errors[row] = chance(scores[row]) - target(row);
                }
                largest = largest.max(step.abs() * (4.0 * curvature[j]).sqrt());
            }
            if largest < tolerance {
                break;
            }
        }
        let before = active.len();
        for (j, column) in columns.iter().enumerate() {
            if !is_active[j] && curvature[j] > 0.0 && slope(column, &errors).abs() > penalty {
                is_active[j] = true;
                active.push(j);
            }
        }
        if active.len() == before {
            return fit;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fine enough to be compared with others.
    pub const FINE: f64 = 1e-7;

    /// The objective that [`fit`] minimises.
    pub fn objective(fit: &Fit, columns: &[Column], labels: &[bool], penalty: f64) -> f64 {
        let scores = fit.scores(columns, labels.len());
        let loss = scores.iter().zip(labels).map(|(score, label)| {
            let margin = if *label { *score } else { -*score };
            if margin > 0.0 { (-margin).exp().ln_1p() } else { margin.exp().ln_1p() - margin }
        });
        loss.sum::<f64>() / labels.len() as f64 + penalty * fit.weights.iter().map(|w| w.abs()).sum::<f64>()
    }

    #[test]
    fn by_hand() {
        // one column that tells labels apart, three rows of four: at the optimum its slope is the penalty
        let columns = [vec![(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]];
        let labels = [true, true, true, false, false, false, false, true];
        assert!((largest_penalty(&columns, &labels) - 1.0 / 8.0).abs() < 1e-15);
        let found = fit(&columns, &labels, 1.0 / 16.0, FINE);
        let errors: Vec<f64> = found
            .scores(&columns, 8)
            .iter()
            .zip(labels)
            .map(|(score, label)| 1.0 / (1.0 + (-score).exp()) - f64::from(u8::from(label)))
            .collect();
        assert!(errors.iter().sum::<f64>().abs() < 1e-5, "{errors:?}");
        assert!((errors[..4].iter().sum::<f64>() / 8.0 + 1.0 / 16.0).abs() < 1e-6, "{errors:?}");
        assert_eq!(fit(&columns, &labels, 0.13, FINE).weights, [0.0]);
    }

    #[test]
    fn nothing_to_fit_is_no_fit() {
        assert_eq!(fit(&[], &[], 1.0, FINE).kept(), 0);
        let empty = fit(&[Vec::new()], &[true, false], 0.0, FINE);
        assert_eq!((empty.intercept, empty.kept()), (0.0, 0));
        assert_eq!(largest_penalty(&[], &[true]), 0.0);
        // labels that are all the same: the intercept grows until it no longer matters
        assert!(fit(&[], &[true; 4], 0.0, FINE).intercept > 2.0);
    }

    proptest! {
        /// No step along any weight makes the objective smaller.
        #[test]
        fn the_fit_is_the_minimum(
            entries in prop::collection::vec((0..12_u32, 0..5_usize, 0.1..3.0_f64), 1..40),
            labels in prop::collection::vec(any::<bool>(), 12),
            share in 0.05..0.9_f64,
        ) {
            prop_assume!(labels.iter().any(|l| *l) && labels.iter().any(|l| !*l));
            let mut columns: Vec<Column> = vec![Vec::new(); 5];
            for (row, column, value) in entries {
                if columns[column].iter().all(|(other, _)| *other != row) {
                    columns[column].push((row, value));
                }
            }
            let penalty = share * largest_penalty(&columns, &labels);
            prop_assume!(penalty > 1e-3);
            // labels that are nearly told apart take tens of thousands of sweeps
            let found = fit_within(&columns, &labels, penalty, FINE, usize::MAX);
            let least = objective(&found, &columns, &labels, penalty);
            for j in 0..=5 {
                for step in [-1e-3, 1e-3] {
                    let mut other = found.clone();
                    if j == 5 { other.intercept += step } else { other.weights[j] += step }
                    prop_assert!(objective(&other, &columns, &labels, penalty) >= least - 1e-7);
                }
            }
        }
    }
}
