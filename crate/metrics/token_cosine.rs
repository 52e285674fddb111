//! Features beside a token: the cosine of their decoder rows with the token's row of the embedding, and what random rows
//! of the decoder have.

use serde::{Deserialize, Serialize};

/// |cosine| of random decoder rows with a token's embedding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TokenNull {
    /// Rows that were drawn.
    pub rows: usize,
    /// Mean over them.
    pub mean: f64,
    /// Their standard deviation (over all of them, n in the denominator).
    pub deviation: f64,
}

/// |cosine| of a text's active features with the embedding of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenCosines {
    /// By active feature, in the order of their indices.
    pub cosines: Vec<f32>,
    /// What random rows of the same decoder have.
    pub null: TokenNull,
}

/// A mean of |cosine| beside its null.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aligned {
    /// The mean.
    pub mean: f64,
    /// Its distance from that of as many random rows, in their standard deviations; none where those do not vary.
    pub z: Option<f64>,
}

/// The row divided by its norm; zeros where it has none.
pub fn unit(row: &[f32]) -> Vec<f32> {
    let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let factor = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    row.iter().map(|&x| (f64::from(x) * factor) as f32).collect()
}

/// |cosine| of rows, shape \[n, d\] row-major, with a unit vector of d.
pub fn cosines(rows: &[f32], token: &[f32]) -> Vec<f32> {
    let of = |row: &[f32]| {
        let square = dot(row, row);
        if square > 0.0 { (dot(row, token) / square.sqrt()).abs() } else { 0.0 }
    };
    rows.chunks_exact(token.len().max(1)).map(of).collect()
}

/// What rows drawn at random, shape \[n, d\], have with a token's unit vector.
pub fn token_null(rows: &[f32], token: &[f32]) -> TokenNull {
    let cosines = cosines(rows, token);
    let n = cosines.len() as f64;
    let mean = cosines.iter().map(|&c| f64::from(c)).sum::<f64>() / n.max(1.0);
    let square = cosines.iter().map(|&c| (f64::from(c) - mean).powi(2)).sum::<f64>() / n.max(1.0);
    TokenNull { rows: cosines.len(), mean, deviation: square.sqrt() }
}

impl TokenCosines {
    /// The mean over the features that `others` have not; both lists ascend. None where there are no such features.
    ///
    /// Of k rows drawn without replacement from N, the mean has the standard deviation σ √((N − k) / (k (N − 1)))
    /// (W. G. Cochran, "Sampling Techniques", 3rd ed., 1977, §2.6), so that nothing has to be drawn for it.
    pub fn aligned(&self, indices: &[u32], others: &[u32]) -> Option<Aligned> {
        let own = indices.iter().zip(&self.cosines).filter(|(index, _)| others.binary_search(index).is_err());
        let (sum, k) = own.fold((0.0, 0), |(sum, k), (_, &cosine)| (sum + f64::from(cosine), k + 1));
        if k == 0 {
            return None;
        }
        let TokenNull { rows, mean: expected, deviation } = self.null;
        let mean = sum / f64::from(k);
        let (n, k) = (rows as f64, f64::from(k));
        let error = (k < n).then(|| deviation * ((n - k) / (k * (n - 1.0))).sqrt());
        let z = error.filter(|error| *error > 1e-12).map(|error| (mean - expected) / error);
        Some(Aligned { mean, z })
    }
}

/// Σ of products, in eight chains.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a8.iter().zip(b8) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    let [s0, s1, s2, s3, s4, s5, s6, s7] = sums;
    ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{below, keyed, normal_pair};

    #[test]
    fn by_hand() {
        let token = unit(&[3.0, 4.0]);
        assert_eq!(token, [0.6, 0.8]);
        let found = cosines(&[10.0, 0.0, 0.0, -2.0, 0.0, 0.0], &token);
        assert!((found[0] - 0.6).abs() < 1e-6 && (found[1] - 0.8).abs() < 1e-6 && found[2] == 0.0);
        let of = TokenCosines { cosines: vec![0.5, 0.1, 0.3], null: TokenNull { rows: 5, mean: 0.2, deviation: 0.1 } };
        let aligned = of.aligned(&[2, 5, 9], &[5]).unwrap();
        assert!((aligned.mean - 0.4).abs() < 1e-6);
        // 0.1 · √((5 − 2) / (2 · 4))
        assert!((aligned.z.unwrap() - 0.2 / (0.1 * 0.375_f64.sqrt())).abs() < 1e-5);
        assert_eq!(of.aligned(&[2, 5, 9], &[2, 5, 9]), None);
        assert_eq!(of.aligned(&[], &[]), None);
    }

    /// Features that are drawn as the null draws them have z-scores of mean 0 and spread 1.
    #[test]
    fn random_features_stand_in_the_midst_of_the_null() {
        let (n, d, k) = (300, 32, 12);
        let mut random = keyed(&[b"token cosine"]);
        let values = |random: &mut _, n: usize| -> Vec<f32> {
            (0..n).map(|_| <[f64; 2]>::from(normal_pair(random))[0] as f32).collect()
        };
        let rows = values(&mut random, n * d);
        let token = unit(&values(&mut random, d));
        let (all, null) = (cosines(&rows, &token), token_null(&rows, &token));
        let mut draws = Vec::new();
        for _ in 0..2000 {
            let mut order: Vec<u32> = (0..n as u32).collect();
            (0..k).for_each(|i| order.swap(i, i + below(&mut random, n - i)));
            let mut chosen = order[..k].to_vec();
            chosen.sort_unstable();
            let cosines = chosen.iter().map(|&i| all[i as usize]).collect();
            draws.push(TokenCosines { cosines, null }.aligned(&chosen, &[]).unwrap().z.unwrap());
        }
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let spread = (draws.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / draws.len() as f64).sqrt();
        assert!(mean.abs() < 0.08 && (spread - 1.0).abs() < 0.06, "{mean} {spread}");
    }
}
