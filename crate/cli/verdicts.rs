//! The run's answer on a terminal: what survives its length control, what length explains, what has no
//! control. At most a screen; `stats.parquet` has every row.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::control_words::control_lines;
use super::feature_words::feature_lines;
use crate::error::shown;
use crate::stats::{ALPHA, Adjusted, Comparison, Features, POWER, Verdict};

#[cfg(test)]
mod tests;

/// Room for the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Lines in all.
    pub lines: usize,
    /// Columns in a line.
    pub columns: usize,
}

/// What survivors are called where the figures shown are those at equal length.
const AT_EQUAL_LENGTH: &str = "survives its length control (figures at equal length)";

/// The verdicts that are listed row by row, and what they are called; the others are counted.
const LISTED: [(Verdict, &str); 3] = [
    (Verdict::SurvivesLengthControl, "survives its length control"),
    (Verdict::ExplainedByLength, "explained by length"),
    (Verdict::NoLengthControl, "no length control possible"),
];

/// The columns; [`LEFT_OUT`] says in which order they go where there is no room.
const TITLES: [&str; 7] = ["metric", "domain", "n", "hall - fact", "95 % interval", "d_z", "q"];
const METRIC: usize = 0;
const DOMAIN: usize = 1;
/// Interval, n, difference, domain, q: metric and d_z stay.
const LEFT_OUT: [usize; 5] = [4, 2, 3, DOMAIN, 6];
/// Columns below which a metric or a domain is not cut.
const SHORTEST: [usize; 2] = [16, 8];
const GAP: usize = 2;

/// One verdict's rows, the strongest first.
struct Group<'a> {
    title: &'static str,
    rows: Vec<&'a Comparison>,
}

/// The verdicts of a run, by verdict and strength (|d_z|), within `screen`: the rows that have no room
/// are counted. Where nothing survives a line says so, with the smallest effect that would have been
/// found; of what shows no difference, how large a one is ruled out; what survives other controls than length; what length
/// and likelihood alone tell; and what features do. A `*_diff` row is its metric's question again and is left out.
pub fn verdicts(comparisons: &[Comparison], features: &Features, screen: Screen) -> String {
    let asked = hypotheses(comparisons);
    let groups: Vec<Group<'_>> = LISTED
        .into_iter()
        .map(|(verdict, title)| {
            let mut rows: Vec<&Comparison> = asked.iter().filter(|c| c.verdict == verdict).copied().collect();
            rows.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
            let equal = rows.iter().any(|c| at_equal_length(c).is_some());
            Group { title: if equal { AT_EQUAL_LENGTH } else { title }, rows }
        })
        .collect();
    let nothing = groups[0].rows.is_empty();
    let listed: Vec<Group<'_>> = groups.into_iter().filter(|group| !group.rows.is_empty()).collect();
    let rest: Vec<String> = others(&asked)
        .into_iter()
        .chain(control_lines(comparisons))
        .chain(baselines(comparisons))
        .chain(feature_lines(features))
        .collect();

    let mut lines = vec![format!("{} of hallucination with fact, at q <= {ALPHA}", count(asked.len(), "comparison"))];
    if nothing {
        lines.push(nothing_survives(&asked));
    }
    let used = lines.len() + usize::from(!listed.is_empty()) + listed.len() + rest.len();
    let counts: Vec<usize> = listed.iter().map(|group| group.rows.len()).collect();
    let shown = share(&counts, screen.lines.saturating_sub(used));
    lines.extend(table(&listed, &shown, screen.columns));
    lines.extend(rest);
    lines.iter().map(|line| cut_end(line, screen.columns)).collect::<Vec<_>>().join("\n")
}

/// One comparison per question: neither token counts, which are the control, nor `*_diff` columns.
fn hypotheses(comparisons: &[Comparison]) -> Vec<&Comparison> {
    comparisons.iter().filter(|c| c.verdict != Verdict::Control && c.difference_of.is_none()).collect()
}

fn strength(c: &Comparison) -> f64 {
    dz(c).map_or(0.0, f64::abs)
}

/// Paired Cohen's d of what a row shows: of a survivor, its difference at equal length by the spread of
/// all its differences.
fn dz(c: &Comparison) -> Option<f64> {
    let Some(adjusted) = at_equal_length(c) else { return c.cohens_dz };
    let spread = c.mean_diff? / c.cohens_dz?;
    Some(adjusted.difference / spread).filter(|dz| dz.is_finite())
}

/// The difference that a survivor's verdict rests on: the one at equal token counts. The raw one holds
/// length's part too, and may be small where length hid the effect.
fn at_equal_length(c: &Comparison) -> Option<Adjusted> {
    c.adjusted.filter(|_| c.verdict == Verdict::SurvivesLengthControl)
}

/// The one line where nothing survives, with what would have: the test that a survivor passes is that
/// of the triples that match in length. The numbers are `length_detectable_dz`, in which triples of one cluster count once.
fn nothing_survives(asked: &[&Comparison]) -> String {
    let seen = asked.iter().filter_map(|c| Some((c.adjusted.and(c.adjusted_detectable_dz)?, c.n_matched)));
    let least = seen.clone().min_by(|a, b| a.0.total_cmp(&b.0));
    let range = least.zip(seen.max_by(|a, b| a.0.total_cmp(&b.0)));
    let chance = 100.0 * POWER;
    match range {
        None if asked.iter().any(|c| c.n > 2) => {
            "nothing survives: too few triples match in length for anything to".to_owned()
        }
        None => "nothing survives: there are too few samples to find anything".to_owned(),
        Some(((dz, n), (more, _))) if dz == more => {
            format!("nothing survives: one test of {n} matched triples finds |d_z| >= {dz:.2} in {chance} % of runs")
        }
        Some(((dz, n), (more, fewest))) => format!(
            "nothing survives: one test of matched triples finds |d_z| >= {dz:.2} ({n}), {more:.2} ({fewest}) in \
             {chance} % of runs"
        ),
    }
}

/// How many comparisons have each of the verdicts that are not listed.
fn others(asked: &[&Comparison]) -> Option<String> {
    let mut counts: Vec<(Verdict, usize)> = Vec::new();
    for c in asked.iter().filter(|c| LISTED.iter().all(|(verdict, _)| *verdict != c.verdict)) {
        match counts.iter_mut().find(|(verdict, _)| *verdict == c.verdict) {
            Some((_, n)) => *n += 1,
            None => counts.push((c.verdict, 1)),
        }
    }
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let text: Vec<String> = counts.iter().map(|(v, n)| format!("{}: {n}{}", words(*v), ruled_out(asked, *v))).collect();
    (!text.is_empty()).then(|| text.join("; "))
}

/// A verdict's name in words.
fn words(verdict: Verdict) -> String {
    verdict.as_str().replace('_', " ")
}

/// ` (|d_z| above 0.21 ruled out)`: of all rows that show no difference, the largest that is not ruled out.
fn ruled_out(asked: &[&Comparison], verdict: Verdict) -> String {
    let rows = asked.iter().filter(|c| c.verdict == verdict && verdict == Verdict::NoDifference);
    let largest = rows.filter_map(|c| Some(c.equivalence?.excluded_dz)).max_by(f64::total_cmp);
    largest.map_or_else(String::new, |dz| format!(" (|d_z| above {dz:.2} ruled out)"))
}

/// What length alone tells, likelihood alone where it was measured, and the best metric, over all samples.
fn baselines(comparisons: &[Comparison]) -> Option<String> {
    let all = comparisons.iter().find(|c| c.verdict == Verdict::Control)?;
    let of_all = || comparisons.iter().filter(|c| c.domain == all.domain && c.difference_of.is_none());
    let area = |c: &Comparison| c.auroc.map(|a| a.area);
    let told = |area: f64| area.max(1.0 - area);
    let length = format!("AUROC of length alone {:.2}", told(area(all)?));
    let likelihood = of_all().find(|c| c.metric == "logprob").and_then(area);
    let others = of_all().filter(|c| c.verdict != Verdict::Control && c.metric != "logprob");
    let best = others.filter_map(|c| Some((told(area(c)?), c))).max_by(|a, b| a.0.total_cmp(&b.0));
    let mut parts = vec![length];
    parts.extend(likelihood.map(|area| format!("of log-probability alone {:.2}", told(area))));
    parts.extend(best.map(|(area, c)| format!("of the best metric ({}) {area:.2}", shown(&c.metric))));
    Some(parts.join(", "))
}

/// How many of each group's rows are shown in `room` lines; a group that is not shown whole needs a
/// line for the count of the rest. Earlier groups take what the later ones' first three rows (two or one
/// where there is less room) leave.
fn share(counts: &[usize], room: usize) -> Vec<usize> {
    let fits = |least: usize| counts.iter().map(|&count| count.min(least)).sum::<usize>() <= room;
    // rows, and the line that counts the others
    let least = [4, 3].into_iter().find(|&least| fits(least)).unwrap_or(2);
    let mut left = room;
    let mut shown = Vec::with_capacity(counts.len());
    for (i, &count) in counts.iter().enumerate() {
        let later: usize = counts[i + 1..].iter().map(|&count| count.min(least)).sum();
        let mine = left.saturating_sub(later).max(count.min(least).min(left));
        let rows = if mine >= count { count } else { mine.saturating_sub(1) };
        left -= if rows == count { count } else { rows + usize::from(mine > 0) };
        shown.push(rows);
    }
    shown
}

/// The lines of the table: titles, and for each group a head, rows and a count of what is not shown.
fn table(groups: &[Group<'_>], shown: &[usize], columns: usize) -> Vec<String> {
    let rows: Vec<Vec<[String; 7]>> =
        groups.iter().zip(shown).map(|(group, &n)| group.rows[..n].iter().map(|c| cells(c)).collect()).collect();
    let layout = Layout::of(rows.iter().flatten(), columns.saturating_sub(GAP));
    let mut lines = Vec::new();
    if rows.iter().any(|rows| !rows.is_empty()) {
        lines.push(format!("{:GAP$}{}", "", layout.line(&TITLES.map(str::to_owned))));
    }
    for ((group, rows), &n) in groups.iter().zip(&rows).zip(shown) {
        let head = format!("{}: {}   ", group.title, group.rows.len());
        let room = columns.saturating_sub(width(&head));
        lines.push(head + &domains(&group.rows, room));
        lines.extend(rows.iter().map(|row| format!("{:GAP$}{}", "", layout.line(row))));
        // where not even one row has room, the head's count says it
        if n > 0 && n < group.rows.len() {
            lines.push(format!("{:GAP$}… and {} more", "", group.rows.len() - n));
        }
    }
    lines
}

/// `(all 3, dates 5)`: a group's rows by domain, the most first, as many as `room` has columns for.
fn domains(rows: &[&Comparison], room: usize) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for c in rows {
        match counts.iter_mut().find(|(domain, _)| *domain == c.domain) {
            Some((_, n)) => *n += 1,
            None => counts.push((&c.domain, 1)),
        }
    }
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let mut text = String::from("(");
    for (i, (domain, n)) in counts.iter().enumerate() {
        let next = format!("{}{} {n}", if i == 0 { "" } else { ", " }, shown(domain));
        // the rest needs a mark
        let end = if i + 1 == counts.len() { ")" } else { ", …)" };
        if width(&text) + width(&next) + width(end) > room {
            text.push_str(if i == 0 { "…" } else { ", …" });
            break;
        }
        text.push_str(&next);
    }
    text + ")"
}

fn cells(c: &Comparison) -> [String; 7] {
    let none = || "-".to_owned();
    let (n, difference, interval, q) = match at_equal_length(c) {
        Some(adjusted) => (c.n_matched, Some(adjusted.difference), adjusted.interval, c.adjusted_q),
        None => (c.n, c.mean_diff, c.interval, c.q_value),
    };
    let ends = interval.map_or([0.0; 2], |(low, high)| [low, high]);
    let scale = ends.into_iter().chain(difference).fold(0.0, |most: f64, x| most.max(x.abs()));
    let number = |x: f64| number(x, scale);
    [
        shown(&c.metric),
        shown(&c.domain),
        n.to_string(),
        difference.map_or_else(none, number),
        interval.map_or_else(none, |(low, high)| format!("[{}, {}]", number(low), number(high))),
        dz(c).map_or_else(none, |dz| format!("{dz:+.2}")),
        q.map_or_else(none, |q| if q < 0.001 { "<0.001".to_owned() } else { format!("{q:.3}") }),
    ]
}

/// A number beside others whose largest magnitude is `scale`, which gets three digits; with the sign.
fn number(x: f64, scale: f64) -> String {
    if scale == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&scale) {
        return format!("{x:+.1e}");
    }
    let decimals = (2.0 - scale.log10().floor()).max(0.0) as usize;
    format!("{x:+.decimals$}")
}

/// Which columns are shown, and how wide.
struct Layout {
    widths: [Option<usize>; 7],
}

impl Layout {
    /// As wide as the cells; in too narrow a room, columns go in the order of [`LEFT_OUT`] and then
    /// names are cut.
    fn of<'a>(rows: impl Iterator<Item = &'a [String; 7]>, room: usize) -> Self {
        let mut widths = TITLES.map(|title| Some(width(title)));
        for row in rows {
            for (slot, cell) in widths.iter_mut().zip(row) {
                *slot = (*slot).max(Some(width(cell)));
            }
        }
        let mut layout = Self { widths };
        let at_least = |layout: &Self| {
            let cut: usize = [METRIC, DOMAIN]
                .iter()
                .zip(SHORTEST)
                .map(|(&i, least)| layout.widths[i].map_or(0, |w| w.saturating_sub(least)))
                .sum();
            layout.total().saturating_sub(cut)
        };
        for column in LEFT_OUT {
            if at_least(&layout) > room {
                layout.widths[column] = None;
            }
        }
        for (column, least) in [(DOMAIN, SHORTEST[1]), (METRIC, SHORTEST[0])] {
            let over = layout.total().saturating_sub(room);
            layout.widths[column] = layout.widths[column].map(|w| w.saturating_sub(over).max(w.min(least)));
        }
        layout
    }

    fn total(&self) -> usize {
        let shown: Vec<usize> = self.widths.iter().flatten().copied().collect();
        shown.iter().sum::<usize>() + GAP * shown.len().saturating_sub(1)
    }

    /// One line: names to the left, numbers to the right.
    fn line(&self, cells: &[String; 7]) -> String {
        let parts = cells.iter().enumerate().filter_map(|(i, cell)| {
            let w = self.widths[i]?;
            let cell = match i {
                METRIC => cut_middle(cell, w),
                DOMAIN => cut_end(cell, w),
                _ => cell.clone(),
            };
            let pad = " ".repeat(w.saturating_sub(width(&cell)));
            Some(if matches!(i, METRIC | DOMAIN) { cell + &pad } else { pad + &cell })
        });
        parts.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// Columns of a terminal that a text takes.
fn width(text: &str) -> usize {
    text.width()
}

/// As many of the characters as have room in `most` columns.
fn fit(characters: impl Iterator<Item = char>, most: usize) -> Vec<char> {
    let mut used = 0;
    characters
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= most
        })
        .collect()
}

/// Of a metric's name, layer and last word tell most.
fn cut_middle(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let head = fit(text.chars(), kept.div_ceil(2));
    let tail = fit(text.chars().rev(), kept / 2);
    head.into_iter().chain(['…']).chain(tail.into_iter().rev()).collect()
}

fn cut_end(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    fit(text.chars(), most.saturating_sub(1)).into_iter().chain(['…']).collect()
}

/// `1 comparison`, `2 comparisons`
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
