//! Many tests at once.

/// Benjamini–Hochberg q-values of a family of p-values; what has no p-value has no q-value and is
/// no member of the family.
///
/// Source: Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate: a practical and
/// powerful approach to multiple testing", 1995.
pub fn benjamini_hochberg(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p.iter().enumerate().filter_map(|(i, p)| p.map(|p| (i, p))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let m = order.len() as f64;
    let mut q = vec![None; p.len()];
    let mut smallest: f64 = 1.0;
    for (rank, &(i, p)) in order.iter().enumerate().rev() {
        smallest = smallest.min(p * m / (rank + 1) as f64);
        q[i] = Some(smallest);
    }
    q
}

/// Holm's adjusted p-values of a family of p-values: those at most α are found with a chance of at most α of
/// any false one among them. What has no p-value is no member.
///
/// Source: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p.iter().enumerate().filter_map(|(i, p)| p.map(|p| (i, p))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let m = order.len();
    let mut adjusted = vec![None; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, &(i, p)) in order.iter().enumerate() {
        largest = largest.max(p * (m - rank) as f64).min(1.0);
        adjusted[i] = Some(largest);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_by_hand() {
        let found = holm(&[Some(0.04), None, Some(0.01), Some(0.03), Some(0.5)]);
        let expected = [Some(0.09), None, Some(0.04), Some(0.09), Some(0.5)];
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.is_some(), expected.is_some());
            assert!((found.unwrap_or_default() - expected.unwrap_or_default()).abs() < 1e-15, "{found:?} {expected:?}");
        }
        assert_eq!(holm(&[Some(0.6), Some(0.9)]), [Some(1.0), Some(1.0)]);
    }

    #[test]
    fn by_hand() {
        let q = benjamini_hochberg(&[Some(0.04), None, Some(0.01), Some(0.03), Some(0.5)]);
        let expected = [Some(0.16 / 3.0), None, Some(0.04), Some(0.16 / 3.0), Some(0.5)];
        for (q, e) in q.iter().zip(expected) {
            match (q, e) {
                (Some(q), Some(e)) => assert!((q - e).abs() < 1e-15, "{q} {e}"),
                (q, e) => assert_eq!(*q, e),
            }
        }
        assert!(benjamini_hochberg(&[]).is_empty());
    }
}
