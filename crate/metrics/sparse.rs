//! Measures of sparse activation vectors, given as ascending indices with values.

use std::cmp::Ordering;

/// How many features `stability` compares.
pub const STABILITY_TOP: usize = 10;

/// How many activations `entropy` looks at.
pub const ENTROPY_TOP: usize = 50;

/// Σ m.
pub fn energy(activations: &[f32]) -> f64 {
    activations.iter().map(|&a| f64::from(a)).sum()
}

/// Gini coefficient 2 Σ k m_(k) / (n Σ m) − (n+1)/n with m ascending and k from 1; 0 if n = 0 or
/// there is no mass.
pub fn gini(activations: &[f32]) -> f64 {
    let total = energy(activations);
    if total <= 0.0 {
        return 0.0;
    }
    let mut sorted = activations.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let n = sorted.len() as f64;
    let ranked: f64 = sorted.iter().enumerate().map(|(k, &m)| (k + 1) as f64 * f64::from(m)).sum();
    // equal masses give 0 up to rounding
    (2.0 * ranked / (n * total) - (n + 1.0) / n).max(0.0)
}

/// Entropy −Σ q ln q in nats of the `top` largest positive activations, normalised to sum 1; 0
/// where there is none.
pub fn entropy(activations: &[f32], top: usize) -> f64 {
    let mut positive: Vec<f32> = activations.iter().copied().filter(|a| *a > 0.0).collect();
    positive.sort_unstable_by(|a, b| b.total_cmp(a));
    positive.truncate(top);
    let total = energy(&positive);
    // an f32 activation of 1e-45 beside one of 1e38 still has a normal f64 share
    let entropy: f64 = positive.iter().map(|&a| f64::from(a) / total).map(|q| -q * q.ln()).sum();
    entropy.max(0.0)
}

/// Indices of the `top` largest positive activations, ascending. Equal activations go to the
/// lower index.
fn top_indices(indices: &[u32], activations: &[f32], top: usize) -> Vec<u32> {
    let mut features: Vec<(u32, f32)> =
        indices.iter().copied().zip(activations.iter().copied()).filter(|(_, a)| *a > 0.0).collect();
    features.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    features.truncate(top);
    let mut chosen: Vec<u32> = features.into_iter().map(|(i, _)| i).collect();
    chosen.sort_unstable();
    chosen
}

/// Jaccard similarity |A ∩ B| / |A ∪ B| of the `top` largest features of two vectors; 0 where both
/// are empty.
pub fn top_jaccard(a: (&[u32], &[f32]), b: (&[u32], &[f32]), top: usize) -> f64 {
    let (a, b) = (top_indices(a.0, a.1, top), top_indices(b.0, b.1, top));
    let shared = a.iter().filter(|i| b.binary_search(i).is_ok()).count();
    let union = a.len() + b.len() - shared;
    if union == 0 { 0.0 } else { shared as f64 / union as f64 }
}

/// Cosine of two vectors by feature index, both cut at `width`; 0 where either is then zero.
pub fn cosine(a: (&[u32], &[f32]), b: (&[u32], &[f32]), width: usize) -> f64 {
    let (a, b) = (cut(a, width), cut(b, width));
    let square = |v: &[f32]| v.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let norms = square(a.1).sqrt() * square(b.1).sqrt();
    if norms == 0.0 {
        return 0.0;
    }
    let mut dot = 0.0;
    let (mut i, mut j) = (0, 0);
    while i < a.0.len() && j < b.0.len() {
        match a.0[i].cmp(&b.0[j]) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                dot += f64::from(a.1[i]) * f64::from(b.1[j]);
                i += 1;
                j += 1;
            }
        }
    }
    dot / norms
}

/// The part of a vector below index `width`.
fn cut<'a>(v: (&'a [u32], &'a [f32]), width: usize) -> (&'a [u32], &'a [f32]) {
    let n = v.0.partition_point(|&i| (i as usize) < width);
    (&v.0[..n], &v.1[..n])
}

/// How many features of `a` are not in `b`, and the sum of their activations in `a`.
pub fn only_in(a: (&[u32], &[f32]), b: &[u32]) -> (usize, f64) {
    let lone = a.0.iter().zip(a.1).filter(|(i, _)| b.binary_search(i).is_err());
    lone.fold((0, 0.0), |(n, sum), (_, &x)| (n + 1, sum + f64::from(x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_of_known_vectors() {
        assert_eq!(gini(&[]), 0.0);
        assert!(gini(&[2.5]).abs() < 1e-15);
        assert!(gini(&[3.0; 9]).abs() < 1e-15);
        // one of four holds nearly everything: (n − 1) / n
        assert!((gini(&[1e-30, 1e-30, 5.0, 1e-30]) - 0.75).abs() < 1e-12);
        // by hand: sorted 1 2 3 → 2·(1+4+9)/(3·6) − 4/3 = 2/9
        assert!((gini(&[3.0, 1.0, 2.0]) - 2.0 / 9.0).abs() < 1e-15);
    }

    #[test]
    fn entropy_looks_at_the_top_only() {
        assert_eq!(entropy(&[], 50), 0.0);
        assert_eq!(entropy(&[7.0], 50), 0.0);
        let many: Vec<f32> = (0..80).map(|i| if i < 50 { 2.0 } else { 1.0 }).collect();
        assert!((entropy(&many, 50) - 50.0_f64.ln()).abs() < 1e-12);
        assert!(entropy(&[1e38, 1e-45], 50).is_finite());
    }

    #[test]
    fn jaccard_breaks_ties_by_index_and_survives_emptiness() {
        let a: (&[u32], &[f32]) = (&[1, 2, 3], &[1.0, 1.0, 1.0]);
        let b: (&[u32], &[f32]) = (&[2, 3, 4], &[1.0, 1.0, 1.0]);
        // tops of two: {1, 2} and {2, 3}
        assert!((top_jaccard(a, b, 2) - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(top_jaccard(a, a, 10), 1.0);
        assert_eq!(top_jaccard((&[], &[]), (&[], &[]), 10), 0.0);
        assert_eq!(top_jaccard(a, (&[], &[]), 10), 0.0);
    }

    #[test]
    fn cosine_is_cut_at_the_shorter_width() {
        let a: (&[u32], &[f32]) = (&[0, 5], &[3.0, 4.0]);
        let b: (&[u32], &[f32]) = (&[0, 9], &[1.0, 100.0]);
        assert!((cosine(a, b, 6) - 0.6).abs() < 1e-15);
        assert!((cosine(a, a, 100) - 1.0).abs() < 1e-15);
        assert_eq!(cosine(a, b, 0), 0.0);
    }

    #[test]
    fn lone_features_are_counted_with_their_energy() {
        assert_eq!(only_in((&[1, 4, 9], &[0.5, 2.0, 4.0]), &[4, 5]), (2, 4.5));
        assert_eq!(only_in((&[], &[]), &[4, 5]), (0, 0.0));
    }
}
