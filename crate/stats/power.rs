//! What a paired test can see: the smallest effect that n pairs find.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

use super::compare::ALPHA;

/// Chance of finding the effect that [`smallest_detectable_dz`] speaks of.
pub const POWER: f64 = 0.8;

/// The smallest |d_z| that a two-sided paired t-test of `n` pairs at level [`ALPHA`] finds with
/// probability [`POWER`]. A single test's: where many metrics are tested at once, q-values ask for
/// more. None for fewer than three pairs.
///
/// Source: J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed., 1988, §2.3.5,
/// with the noncentral t distribution instead of its approximation.
pub fn smallest_detectable_dz(n: usize) -> Option<f64> {
    if n < 3 {
        return None;
    }
    let critical = StudentsT::new(0.0, 1.0, (n - 1) as f64).ok()?.inverse_cdf(1.0 - ALPHA / 2.0);
    let power = |dz: f64| power_of_t(n, critical, dz);
    // what the normal distribution says is near; power rises with d_z
    let normal = Normal::standard();
    let near = (normal.inverse_cdf(1.0 - ALPHA / 2.0) + normal.inverse_cdf(POWER)) / (n as f64).sqrt();
    let (mut low, mut high) = ((0.0, power(0.0) - POWER), (near, power(near) - POWER));
    while high.1 < 0.0 {
        (low, high) = (high, (2.0 * high.0, power(2.0 * high.0) - POWER));
    }
    // false position (the Illinois rule), which ends after some ten steps
    for _ in 0..100 {
        if high.0 - low.0 <= 1e-14 * high.0 {
            break;
        }
        let middle = (low.0 * high.1 - high.0 * low.1) / (high.1 - low.1);
        let found = power(middle) - POWER;
        if found == 0.0 || middle <= low.0 || middle >= high.0 {
            return Some(middle);
        }
        // the end that stays counts half, so that the other moves past the root
        if found < 0.0 {
            (low, high.1) = ((middle, found), high.1 / 2.0)
        } else {
            (high, low.1) = ((middle, found), low.1 / 2.0)
        }
        if found.abs() < 1e-14 {
            return Some(middle);
        }
    }
    Some((low.0 + high.0) / 2.0)
}

/// The same for a difference over `n` triples (or clusters of them) in `chains` chains whose signs are flipped as wholes: it
/// is as precise as n triples make it, and the spread is known from so many sums only.
pub fn smallest_detectable_dz_in_chains(n: usize, chains: usize) -> Option<f64> {
    // one noncentrality √n·d_z, with chains − 1 degrees of freedom
    Some(smallest_detectable_dz(chains.min(n))? * (chains.min(n) as f64 / n as f64).sqrt())
}

/// P(|T| > `critical`) where T is noncentral t with n − 1 degrees of freedom and noncentrality d_z √n.
///
/// T = (Z + d_z √n) / U with Z standard normal and U² = χ²_ν / ν, so that the probability is the mean
/// of Φ(d_z √n − critical·U) + Φ(−d_z √n − critical·U) over U's density
/// 2 (ν/2)^(ν/2) u^(ν−1) e^(−νu²/2) / Γ(ν/2), here by Simpson's rule. U is 1 give or take 1/√(2ν), and
/// ten of those on either side leave out nothing that a double could show.
fn power_of_t(n: usize, critical: f64, dz: f64) -> f64 {
    const STEPS: usize = 400;
    let nu = (n - 1) as f64;
    let noncentrality = dz * (n as f64).sqrt();
    let normal = Normal::standard();
    let constant = 2.0_f64.ln() + nu / 2.0 * (nu / 2.0).ln() - ln_gamma(nu / 2.0);
    let integrand = |u: f64| {
        if u <= 0.0 {
            return 0.0;
        }
        let density = (constant + (nu - 1.0) * u.ln() - nu * u * u / 2.0).exp();
        density * (normal.cdf(noncentrality - critical * u) + normal.cdf(-noncentrality - critical * u))
    };
    let reach = 10.0 / (2.0 * nu).sqrt();
    let (low, high) = ((1.0 - reach).max(0.0), 1.0 + reach);
    let step = (high - low) / STEPS as f64;
    let weighted = (0..=STEPS).map(|i| {
        let weight = match i {
            0 | STEPS => 1.0,
            i if i % 2 == 1 => 4.0,
            _ => 2.0,
        };
        weight * integrand(low + step * i as f64)
    });
    weighted.sum::<f64>() * step / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::resample::{sign_flip_p, stream};
    use crate::stats::simulation::normal;

    #[test]
    fn agrees_with_the_reference() {
        // the same integral in 30 digits (mpmath), which statsmodels 0.15's
        // TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8) approaches to 2e-5
        let reference = [
            (3, 3.264043549699572, 3.264043552819638),
            (4, 2.127949343257801, 2.1279493431921157),
            (8, 1.156034677994734, 1.156035271959959),
            (20, 0.6604416546230264, 0.6604416544380312),
            (34, 0.4950280979734406, 0.4950291315285059),
            (100, 0.2829126327813865, 0.2829117119690806),
            (200, 0.1990641754067204, 0.19906465946973934),
            (1000, 0.08867907559426379, 0.08868101827724957),
        ];
        for (n, exact, statsmodels) in reference {
            let found = smallest_detectable_dz(n).unwrap();
            assert!((found - exact).abs() < 1e-8 * exact, "n = {n}: {found} against {exact}");
            assert!((found - statsmodels).abs() < 3e-5 * exact, "n = {n}: {found} against {statsmodels}");
        }
    }

    #[test]
    fn few_chains_of_many_triples_see_as_often_as_is_said() {
        assert_eq!(smallest_detectable_dz_in_chains(40, 40), smallest_detectable_dz(40));
        assert_eq!(smallest_detectable_dz_in_chains(40, 2), None);
        for (triples, chains) in [(60, 12), (90, 9), (80, 40)] {
            let dz = smallest_detectable_dz_in_chains(triples, chains).unwrap();
            assert!(dz > smallest_detectable_dz(triples).unwrap());
            let mut random = stream("power", 7, "chains");
            let of_each = triples / chains;
            let sets = 1000;
            let seen = (0..sets).filter(|_| {
                let chain = |_| (0..of_each).map(|_| dz + normal(&mut random)).sum::<f64>();
                let sums: Vec<f64> = (0..chains).map(chain).collect();
                sign_flip_p(&sums, &mut stream("power", 7, "signs")).is_some_and(|p| p <= ALPHA)
            });
            let share = seen.count() as f64 / f64::from(sets);
            assert!((share - POWER).abs() < 0.05, "{triples} triples in {chains} chains: {share}");
        }
    }

    #[test]
    fn more_pairs_see_smaller_effects() {
        assert_eq!(smallest_detectable_dz(2), None);
        let found: Vec<f64> = (3..60).chain([10_000, 1_000_000]).map(|n| smallest_detectable_dz(n).unwrap()).collect();
        assert!(found.windows(2).all(|pair| pair[1] < pair[0] && pair[1] > 0.0), "{found:?}");
    }
}
