//! Rejected rows for a reader: equal reasons once, with their count and the first rows.

use std::fmt::Write as _;

use super::{Dataset, Rejected};

/// Reasons that are spelt out.
const REASONS: usize = 10;
/// Rows that are named under each.
const ROWS: usize = 3;

/// Rows with one reason, the most frequent reason first; of equally many, in file order.
fn groups(rejected: &[Rejected]) -> Vec<Vec<&Rejected>> {
    let mut groups: Vec<Vec<&Rejected>> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for row in rejected {
        let at = *known.entry(row.reason.as_str()).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(row);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

/// `line 3 (row 2), id "a"; line 4 (row 3); … and 5 more`
fn places(group: &[&Rejected]) -> String {
    let mut out = group.iter().take(ROWS).map(|row| row.place()).collect::<Vec<_>>().join("; ");
    if group.len() > ROWS {
        let _ = write!(out, "; and {} more", group.len() - ROWS);
    }
    out
}

/// One line a reason.
pub(super) fn lines(rejected: &[Rejected]) -> Vec<String> {
    let groups = groups(rejected);
    let mut lines: Vec<String> = Vec::new();
    for group in groups.iter().take(REASONS) {
        let Some(first) = group.first() else { continue };
        let reason = first.reason.replace('\n', " ");
        lines.push(match group.len() {
            1 => format!("{}: {reason}", first.place()),
            n => format!("{n} rows: {reason}: {}", places(group)),
        });
    }
    if groups.len() > REASONS {
        let rows: usize = groups[REASONS..].iter().map(Vec::len).sum();
        lines.push(format!("and {rows} more, for {} other reasons", groups.len() - REASONS));
    }
    lines
}

impl Dataset {
    /// The rows that cannot be used, for a terminal.
    pub fn fault_table(&self) -> String {
        let total = self.rejected.len() + self.samples.len();
        let lines: String = lines(&self.rejected).iter().map(|line| format!("\n  {line}")).collect();
        format!("{}: {} of {total} rows cannot be used{lines}", self.name, self.rejected.len())
    }
}
