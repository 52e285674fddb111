//! Comparisons as a table.

use super::compare::Comparison;
use crate::metrics::{Cell, Column, Kind, Table};

/// `stats.parquet` of these comparisons, in their order. Nulls stand where a definition has nothing
/// to apply to.
///
/// | column | what it is |
/// |---|---|
/// | `metric`, `domain` | `domain` is `all` for all samples together (`(all)` where one of several domains has that name); with one domain only, there are no rows but those |
/// | `direction` | sign of every difference of the row: `hall_minus_fact`, or `fact_minus_hall` in the rows of `stability_diff` and `cross_layer_consistency_diff`, which keep their column's sign |
/// | `n` | samples that have the metric on both sides |
/// | `mean_fact`, `mean_hall`, `mean_diff` | means |
/// | `cohens_dz`, `hedges_g` | effect size of the paired difference |
/// | `ci_low`, `ci_high` | 95 % bootstrap interval of `mean_diff` |
/// | `p_permutation`, `p_wilcoxon`, `q_value` | sign-flip test, signed ranks, Benjamini–Hochberg q of the former within the domain |
/// | `length_r` | correlation with token counts |
/// | `n_length_matched`, `n_length_chains` | triples in [closed chains](super::closed_chains), which carry the length control, and how many chains they make |
/// | `length_adjusted_diff`, `length_adjusted_ci_low`, `length_adjusted_ci_high` | mean difference over those triples, among which token counts cancel, and its 95 % interval; null below [`super::MIN_CHAINS`] chains |
/// | `length_adjusted_p`, `length_adjusted_q` | sign-flip test over chains, and its q within the domain |
/// | `n_equal_length`, `equal_length_diff`, `equal_length_p`, `equal_length_q` | the same over triples of equal length alone, which are part of the matched ones; the verdict does not read it |
/// | `survives_length_control` | true, false, or null where there is nothing to judge by |
/// | `verdict` | [`super::Verdict`] |
pub fn stats_table(comparisons: &[Comparison]) -> Table {
    let number = |name: &str| Column::nullable(name, Kind::Float64);
    let text = |name: &str| Column::new(name, Kind::Utf8);
    let count = |name: &str| Column::new(name, Kind::Int64);
    let columns = vec![
        text("metric"),
        text("domain"),
        text("direction"),
        count("n"),
        number("mean_fact"),
        number("mean_hall"),
        number("mean_diff"),
        number("cohens_dz"),
        number("hedges_g"),
        number("ci_low"),
        number("ci_high"),
        number("p_permutation"),
        number("p_wilcoxon"),
        number("q_value"),
        number("length_r"),
        count("n_length_matched"),
        count("n_length_chains"),
        number("length_adjusted_diff"),
        number("length_adjusted_ci_low"),
        number("length_adjusted_ci_high"),
        number("length_adjusted_p"),
        number("length_adjusted_q"),
        count("n_equal_length"),
        number("equal_length_diff"),
        number("equal_length_p"),
        number("equal_length_q"),
        Column::nullable("survives_length_control", Kind::Bool),
        text("verdict"),
    ];

    let row = |c: &Comparison| {
        let adjusted_interval = c.adjusted.and_then(|a| a.interval);
        vec![
            Cell::Text(c.metric.clone()),
            Cell::Text(c.domain.clone()),
            Cell::Text(c.direction.as_str().into()),
            Cell::count(c.n),
            c.mean_fact.into(),
            c.mean_hall.into(),
            c.mean_diff.into(),
            c.cohens_dz.into(),
            c.hedges_g.into(),
            c.interval.map(|i| i.0).into(),
            c.interval.map(|i| i.1).into(),
            c.p_permutation.into(),
            c.p_wilcoxon.into(),
            c.q_value.into(),
            c.length_r.into(),
            Cell::count(c.n_matched),
            Cell::count(c.n_chains),
            c.adjusted.map(|a| a.difference).into(),
            adjusted_interval.map(|i| i.0).into(),
            adjusted_interval.map(|i| i.1).into(),
            c.adjusted.map(|a| a.p).into(),
            c.adjusted_q.into(),
            Cell::count(c.n_equal),
            c.equal_diff.into(),
            c.equal_p.into(),
            c.equal_q.into(),
            c.verdict.survives().map_or(Cell::Null, Cell::Bool),
            Cell::Text(c.verdict.as_str().into()),
        ]
    };
    Table { columns, rows: comparisons.iter().map(row).collect() }
}
