//! Log-probability held equal as token counts are: by chains of triples whose facts and hallucinations are
//! equally likely.

use super::chains::TokenCounts;

/// Grades that log-probabilities are sorted into.
pub const LIKELIHOOD_GRADES: usize = 16;

/// Grades of log-probabilities in the place of token counts, so that [`super::closed_chains`] matches by them:
/// the values of both sides, sorted, in [`LIKELIHOOD_GRADES`] parts of equal size; equal values share a grade.
/// `domain` numbers each sample's domain, within which it is matched. None where a sample has no values.
pub(super) fn grades(domain: &[usize], fact: &[f64], hall: &[f64]) -> Vec<Option<TokenCounts>> {
    let both = |i: usize| !fact[i].is_nan() && !hall[i].is_nan();
    let there: Vec<usize> = (0..fact.len()).filter(|&i| both(i)).collect();
    let mut sorted: Vec<f64> = there.iter().flat_map(|&i| [fact[i], hall[i]]).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let grade = |value: f64| (sorted.partition_point(|&v| v < value) * LIKELIHOOD_GRADES / sorted.len().max(1)) as i64;
    let of = |i: usize| {
        both(i).then(|| TokenCounts { domain: domain[i], prompt: 0, fact: grade(fact[i]), hall: grade(hall[i]) })
    };
    (0..fact.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_are_of_equal_size_and_rise() {
        let fact: Vec<f64> = (0..32).map(|i| -f64::from(i)).collect();
        let hall: Vec<f64> = (0..32).map(|i| -f64::from(i) - 32.0).collect();
        let found = grades(&[0; 32], &fact, &hall);
        let mut count = [0; LIKELIHOOD_GRADES];
        for c in found.iter().flatten() {
            count[c.fact as usize] += 1;
            count[c.hall as usize] += 1;
        }
        assert_eq!(count, [4; LIKELIHOOD_GRADES]);
        assert_eq!(found[0].unwrap().fact, 15);
        assert_eq!(found[31].unwrap().hall, 0);
    }

    #[test]
    fn ties_share_a_grade_and_gaps_have_none() {
        let found = grades(&[0; 3], &[-1.0, f64::NAN, -1.0], &[-1.0, -1.0, -1.0]);
        assert_eq!(found[1], None);
        assert!(found.iter().flatten().all(|c| (c.fact, c.hall) == (0, 0)));
        assert!(grades(&[], &[], &[]).is_empty());
    }
}
