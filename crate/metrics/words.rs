//! The registry in words: tables for `docs/METRICS.md`, and entries for the page.

use std::fmt::Write;

use serde_json::{Value, json};

use super::column::Direction;
use super::metric::{Group, Metric, Scope};
use super::text_kind::TextKind;

/// Every group of metrics as a Markdown section: a table of its columns, and what to know of each.
pub fn metric_tables(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let _ = write!(text, "### {}\n\n", group.title);
        text.push_str("| column | type | unit | range | what it is | how |\n|---|---|---|---|---|---|\n");
        for metric in group.metrics {
            let Metric { unit, range, kind, meaning, .. } = metric;
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {} |",
                columns_in_words(metric),
                kind.as_str(),
                cell(if unit.is_empty() { "–" } else { unit }),
                cell(range),
                cell(meaning),
                cell(&formula(metric)),
            );
        }
        text.push('\n');
        let notes: Vec<String> = group.metrics.iter().filter_map(note).collect();
        if !notes.is_empty() {
            text.push_str(&notes.join("\n"));
            text.push_str("\n\n");
        }
    }
    text.trim_end().to_owned()
}

/// What stands in a Markdown table's cell.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A metric's columns, its texts in braces: `l{L}_{fact,hall}_gini`.
fn columns_in_words(metric: &Metric) -> String {
    let mut forms: Vec<&str> = metric.texts.iter().map(|text| text.short()).collect();
    forms.extend(metric.difference.map(|_| "diff"));
    metric.template().replace("{t}", &format!("{{{}}}", forms.join(",")))
}

/// The formula, and the sign of the difference.
fn formula(metric: &Metric) -> String {
    match metric.difference {
        Some(direction) => format!("{}; diff is {}", metric.formula, direction.formula()),
        None => metric.formula.to_owned(),
    }
}

/// What to know of a metric beside its definition; none where that is nothing.
fn note(metric: &Metric) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(term) = metric.term {
        parts.push(format!("The field's term: {term}"));
    }
    if !metric.confounded.is_empty() {
        parts.push(format!("Confounded with {}", metric.confounded));
    }
    if metric.with_logprob {
        parts.push("Only there with `--logprob`".to_owned());
    }
    if metric.with_nulls {
        parts.push("Not there with `--nulls off`".to_owned());
    }
    if let Some(null) = metric.null {
        parts.push(format!("Null where {null}"));
    }
    if !metric.source.is_empty() {
        parts.push(format!("Source: {}", metric.source));
    }
    (!parts.is_empty()).then(|| format!("- `{}`. {}.", metric.name, parts.join(". ")))
}

/// Every metric as the page needs it, one JSON object each, in the order of the file.
///
/// `series` is the name in `stats.parquet`, `columns` those in `metrics.parquet` by what they hold
/// (`prompt`, `fact`, `hall`, `diff`, or `whole`), both with `{L}` for the layer.
pub fn page_entries(groups: &[Group]) -> Vec<String> {
    groups.iter().flat_map(|group| group.metrics).map(|metric| page_entry(metric).to_string()).collect()
}

fn page_entry(metric: &Metric) -> Value {
    let template = metric.template();
    let mut columns = serde_json::Map::new();
    if matches!(metric.scope(), Scope::TextAtLayer | Scope::Text) {
        for text in TextKind::ALL.iter().filter(|text| metric.texts.contains(text)) {
            columns.insert(text.short().to_owned(), template.replace("{t}", text.short()).into());
        }
        if metric.difference.is_some() {
            columns.insert("diff".to_owned(), template.replace("{t}", "diff").into());
        }
    } else {
        columns.insert("whole".to_owned(), template.into());
    }
    let help = match metric.term {
        Some(term) => format!("{} ({term})", metric.meaning),
        None => metric.meaning.to_owned(),
    };
    let mut entry = json!({
        "name": metric.name,
        "series": metric.series("{L}"),
        "columns": columns,
        "label": metric.label,
        "unit": metric.unit,
        "difference": metric.difference.map(Direction::as_str),
        "help": help,
    });
    if metric.with_nulls {
        entry["nulls"] = true.into();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::super::registry::GROUPS;
    use super::*;

    /// Whoever declares a metric says all of it.
    #[test]
    fn every_entry_is_whole() {
        let metrics: Vec<&Metric> = GROUPS.iter().flat_map(|group| group.metrics).collect();
        for (i, metric) in metrics.iter().enumerate() {
            let name = metric.name;
            assert!(metrics[..i].iter().all(|m| m.name != name), "{name} twice");
            for (what, text) in [("label", metric.label), ("range", metric.range), ("formula", metric.formula)] {
                assert!(!text.is_empty(), "{name} has no {what}");
            }
            let number = matches!(metric.kind, super::super::Kind::Int64 | super::super::Kind::Float64);
            assert_eq!(!metric.unit.is_empty(), number, "{name}: a number has a unit");
            for text in [metric.meaning, metric.formula, metric.confounded, metric.range, metric.source] {
                assert!(!text.ends_with('.') && text.trim() == text && !text.contains("  "), "{name}: {text:?}");
            }
            assert!(metric.meaning.chars().next().is_some_and(char::is_uppercase), "{name}: {}", metric.meaning);
            let of_text = matches!(metric.scope(), Scope::TextAtLayer | Scope::Text);
            assert_eq!(of_text, !metric.texts.is_empty(), "{name}: texts go with its scope");
            assert!(metric.difference.is_none() || metric.scope() == Scope::Text, "{name}: a difference of texts");
        }
    }

    #[test]
    fn bars_do_not_end_a_cell() {
        assert_eq!(cell("n = |A|"), r"n = \|A\|");
        for line in metric_tables(GROUPS).lines().filter(|line| line.starts_with('|')) {
            let bars = line.replace(r"\|", "").matches('|').count();
            assert_eq!(bars, 7, "{line}");
        }
    }
}
