//! Whether a difference is shown to be small, not merely not shown to be there.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::compare::ALPHA;
use super::length::Mean;

/// What the differences rule out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Equivalence {
    /// p of the two one-sided tests against the bound: small where the difference is shown to be smaller.
    pub p: f64,
    /// The smallest bound, in |d_z|, whose p would be 5 %: a larger difference is ruled out.
    pub excluded_dz: f64,
}

/// Two one-sided t-tests of a mean difference against ±`bound` of its standard deviations `sd`, with the error
/// of a mean over clusters. None where the mean has no error.
///
/// Sources: D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power approach", 1987;
/// D. Lakens, "Equivalence tests", 2017. The bound is taken as given, though `sd` is estimated.
pub(super) fn equivalence(mean: Mean, sd: f64, bound: f64) -> Option<Equivalence> {
    let Mean { estimate, error, df } = mean;
    let t = StudentsT::new(0.0, 1.0, df).ok().filter(|_| error > 0.0 && sd > 0.0)?;
    let above = t.sf((estimate + bound * sd) / error);
    let below = t.cdf((estimate - bound * sd) / error);
    let excluded = estimate.abs() + t.inverse_cdf(1.0 - ALPHA) * error;
    Some(Equivalence { p: above.max(below), excluded_dz: excluded / sd })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ruled_out_has_a_p_of_five_per_cent() {
        for estimate in [-0.4, 0.0, 0.1, 2.0] {
            let mean = Mean { estimate, error: 0.2, df: 24.0 };
            let excluded = equivalence(mean, 1.0, 0.3).unwrap().excluded_dz;
            let p = equivalence(mean, 1.0, excluded).unwrap().p;
            // at zero both tests are as far
            assert!((p - ALPHA).abs() < 1e-9, "{estimate}: {p}");
            assert!(equivalence(mean, 1.0, excluded * 1.01).unwrap().p < ALPHA);
        }
        assert_eq!(equivalence(Mean { estimate: 0.0, error: 0.0, df: 9.0 }, 1.0, 0.3), None);
    }
}
