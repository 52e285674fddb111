//! What is left of the answers where other things than length are held equal, in a line.

use crate::stats::{Comparison, Control, Controlled, Verdict};

/// Of all samples, by control: how many comparisons survive it, and on how many triples that rests; none of a run that has
/// nothing to control by.
pub fn control_line(comparisons: &[Comparison]) -> Option<String> {
    let everything = &comparisons.first()?.domain;
    let asked = |c: &&Comparison| c.domain == *everything && c.verdict != Verdict::Control && c.difference_of.is_none();
    let of = |(i, control): (usize, Control)| {
        let rows: Vec<Controlled> = comparisons.iter().filter(asked).filter_map(|c| c.controls[i]).collect();
        let matched = rows.iter().map(|row| row.n_matched).max()?;
        let survive = rows.iter().filter(|row| row.verdict == Verdict::SurvivesLengthControl).count();
        let says = match rows.iter().any(|row| row.adjusted.is_some()) {
            true => format!("{survive} of {} survive ({matched} triples matched)", rows.len()),
            false => format!("no control ({matched} triples matched)"),
        };
        Some(format!("at {}: {says}", control.what()))
    };
    let controls: Vec<String> = Control::ALL.into_iter().enumerate().filter_map(of).collect();
    (!controls.is_empty()).then(|| controls.join("; "))
}
