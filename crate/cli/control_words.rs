//! What is left of the answers where other things than length are held equal, in lines of a terminal.

use crate::stats::{Comparison, Control, Controlled, FeatureTests, Verdict};

/// Of all samples, a line for each control: how many comparisons survive it, and on how many triples that rests; none of a
/// run that has nothing to control by.
pub fn control_lines(comparisons: &[Comparison]) -> Vec<String> {
    let Some(everything) = comparisons.first().map(|c| &c.domain) else { return Vec::new() };
    let asked = |c: &&Comparison| c.domain == *everything && c.verdict != Verdict::Control && c.difference_of.is_none();
    by_control(|i| {
        let rows: Vec<Controlled> = comparisons.iter().filter(asked).filter_map(|c| c.controls[i]).collect();
        let matched = rows.iter().map(|row| row.n_matched).max()?;
        let survive = count(&rows, Verdict::SurvivesLengthControl);
        let says = match rows.iter().any(|row| row.adjusted.is_some()) {
            true => format!("{survive} of {} survive ({matched} triples matched)", rows.len()),
            false => format!("no control ({matched} triples matched)"),
        };
        Some(("at".to_owned(), says))
    })
}

/// A line for each control: what becomes there of the features that survive the length control; none where there are no such
/// features, or the run has nothing to control by.
pub fn survivor_lines(tested: &[&FeatureTests]) -> Vec<String> {
    let survivors = || tested.iter().filter(|tests| tests.verdict == Verdict::SurvivesLengthControl);
    by_control(|i| {
        let rows: Vec<Controlled> = survivors().filter_map(|tests| tests.controls[i]).collect();
        let (left, explained) =
            (count(&rows, Verdict::SurvivesLengthControl), count(&rows, Verdict::ExplainedByLength));
        let neither = rows.len() - left - explained;
        let says = format!("{left} left, {explained} explained, {neither} neither");
        (!rows.is_empty()).then(|| (format!("those {} at", rows.len()), says))
    })
}

/// A line for each control that says something; one for the two of last tokens where they say the same, as where no two
/// completions end on the same token: room on a screen is for what survives.
fn by_control(says: impl Fn(usize) -> Option<(String, String)>) -> Vec<String> {
    let mut said: Vec<_> = Control::ALL.iter().enumerate().map(|(i, control)| (control.what(), says(i))).collect();
    if said[0].1 == said[1].1 {
        said.remove(0);
        said[0].0 = BOTH;
    }
    let line = |(what, says): (&str, Option<(String, String)>)| says.map(|(of, says)| format!("{of} {what}: {says}"));
    said.into_iter().filter_map(line).collect()
}

/// The controls of last tokens, the first two, in one.
const BOTH: &str = "equal or equally common last tokens";

fn count(rows: &[Controlled], verdict: Verdict) -> usize {
    rows.iter().filter(|row| row.verdict == verdict).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_stand_beside_other_controls() {
        let tests = |verdict, by_control: [Option<Verdict>; 3]| FeatureTests {
            n_clusters: 30,
            mean_diff: 0.5,
            cohens_dz: None,
            auroc: None,
            presence_p: 0.5,
            presence_q: None,
            p: None,
            q: None,
            equivalence: None,
            length_r: None,
            n_chains: 20,
            adjusted: None,
            adjusted_q: None,
            controls: by_control.map(|verdict| {
                Some(Controlled { n_matched: 30, n_chains: 20, adjusted: None, q: None, verdict: verdict? })
            }),
            verdict,
        };
        let (survives, explained) = (Verdict::SurvivesLengthControl, Verdict::ExplainedByLength);
        let all = [
            tests(survives, [Some(survives), Some(explained), None]),
            tests(survives, [Some(Verdict::NoLengthControl), Some(explained), None]),
            // what length explains is not among them
            tests(explained, [Some(survives), Some(survives), None]),
        ];
        let lines = |tests: &[FeatureTests]| survivor_lines(&tests.iter().collect::<Vec<_>>());
        let wanted = [
            "those 2 at equal last tokens: 1 left, 0 explained, 1 neither",
            "those 2 at equally common last tokens: 0 left, 2 explained, 0 neither",
        ];
        assert_eq!(lines(&all), wanted);
        // the same of both
        let same = [tests(survives, [Some(explained), Some(explained), Some(survives)])];
        let wanted = [
            "those 1 at equal or equally common last tokens: 0 left, 1 explained, 0 neither",
            "those 1 at equal log-probability per token: 1 left, 0 explained, 0 neither",
        ];
        assert_eq!(lines(&same), wanted);
        assert!(lines(&all[2..]).is_empty() && lines(&[tests(survives, [None; 3])]).is_empty());
    }
}
