//! How well one number tells hallucinations from facts: the area under its ROC curve.

use statrs::distribution::{ContinuousCDF, Normal};

use super::clusters::Clusters;

/// An area under an ROC curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auroc {
    /// P(hallucination's > fact's) + P(equal) / 2, over all pairs of a hallucination and a fact.
    pub area: f64,
    /// Its 95 % interval; none where the two are told apart perfectly, or nothing varies.
    pub interval: Option<(f64, f64)>,
}

impl Auroc {
    /// Of the opposite question: how well the fact is told by the larger number.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { area: 1.0 - self.area, interval: self.interval.map(|(low, high)| (1.0 - high, 1.0 - low)) }
    }
}

/// Area under the ROC curve of values of hallucinations against those of facts. Row i of both is one sample,
/// so that the two are not independent: the variance is that of sums over clusters, a sample with both of its
/// sides being in one. None for fewer than three clusters.
///
/// The variance is N. A. Obuchowski's ("Nonparametric analysis of clustered ROC curve data", 1997), which
/// without clusters and pairs is that of E. R. DeLong et al. ("Comparing the areas under two or more correlated
/// receiver operating characteristic curves", 1988); the interval is symmetric for the logit of the area
/// (M. S. Pepe, "The Statistical Evaluation of Medical Tests", 2003, §5.2).
pub(super) fn auroc(fact: &[f64], hall: &[f64], clusters: &Clusters) -> Option<Auroc> {
    let (n, c) = (fact.len() as f64, clusters.len() as f64);
    if clusters.len() < 3 || fact.len() != hall.len() {
        return None;
    }
    let (facts, halls) = (sorted(fact), sorted(hall));
    // share of the other side that a value is above, equal ones counted half
    let above = |value: f64, others: &[f64]| {
        let (below, up_to) = (others.partition_point(|&o| o < value), others.partition_point(|&o| o <= value));
        (below + up_to) as f64 / (2.0 * n)
    };
    let of_hall: Vec<f64> = hall.iter().map(|&value| above(value, &facts)).collect();
    let of_fact: Vec<f64> = fact.iter().map(|&value| 1.0 - above(value, &halls)).collect();
    let area = of_hall.iter().sum::<f64>() / n;
    let parts = clusters.sums(of_hall.iter().zip(&of_fact).map(|(h, f)| (h - area + f - area) / n));
    let error = (c / (c - 1.0) * parts.iter().map(|part| part * part).sum::<f64>()).sqrt();
    let spread = area * (1.0 - area);
    let interval = (error > 0.0 && spread > 0.0).then(|| {
        let half = Normal::standard().inverse_cdf(0.975) * error / spread;
        let logit = (area / (1.0 - area)).ln();
        let area_of = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        (area_of(logit - half), area_of(logit + half))
    });
    Some(Auroc { area, interval })
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(n: u32) -> Clusters {
        Clusters::new(&(0..n).collect::<Vec<_>>(), &vec![0; n as usize])
    }

    #[test]
    fn by_hand() {
        // of nine pairs: 4 > 1 2 3, 3 > 1 2 and ties with 3, 2 > 1 and ties with 2
        let found = auroc(&[1.0, 2.0, 3.0], &[2.0, 3.0, 4.0], &alone(3)).unwrap();
        assert!((found.area - 7.0 / 9.0).abs() < 1e-15);
        let (low, high) = found.interval.unwrap();
        assert!(0.0 < low && low < found.area && found.area < high && high < 1.0);
        let turned = found.turned();
        assert!((turned.area - 2.0 / 9.0).abs() < 1e-15 && turned.interval == Some((1.0 - high, 1.0 - low)));
    }

    #[test]
    fn edges_have_no_interval() {
        assert_eq!(auroc(&[0.0; 4], &[1.0; 4], &alone(4)), Some(Auroc { area: 1.0, interval: None }));
        assert_eq!(auroc(&[1.0; 4], &[1.0; 4], &alone(4)), Some(Auroc { area: 0.5, interval: None }));
        assert_eq!(auroc(&[1.0; 2], &[1.0; 2], &alone(2)), None);
    }

    #[test]
    fn copies_do_not_narrow_the_interval() {
        let fact: Vec<f64> = (0..30).map(|i| f64::from((i * 7) % 30)).collect();
        let hall: Vec<f64> = (0..30).map(|i| f64::from((i * 11) % 30) + 4.5).collect();
        let once = auroc(&fact, &hall, &alone(30)).unwrap();
        let labels: Vec<u32> = (0..300).map(|i| i % 30).collect();
        let ten = auroc(&fact.repeat(10), &hall.repeat(10), &Clusters::new(&labels, &[0; 300])).unwrap();
        let ((a, b), (c, d)) = (once.interval.unwrap(), ten.interval.unwrap());
        assert!((once.area - ten.area).abs() < 1e-12 && (a - c).abs() < 1e-12 && (b - d).abs() < 1e-12);
    }
}
