//! Comparisons as a table.

use super::compare::Comparison;
use super::controls::Controlled;
use crate::metrics::{Cell, Column, Kind, Table};

/// A column of `stats.parquet`, or of another table of rows `R`, said once.
#[derive(Debug)]
pub struct StatColumn<R = Comparison> {
    /// Name as it stands in the file.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// When its cells are null, in words; none where they never are.
    pub null: Option<&'static str>,
    /// Unit; `metric` is that of the metric that the row is about.
    pub unit: &'static str,
    /// What it is, without the full stop.
    pub meaning: &'static str,
    /// Its cell in a row.
    pub(super) cell: fn(&R) -> Cell,
}

// not derived: rows need not be copied for it
impl<R> Clone for StatColumn<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for StatColumn<R> {}

/// How many columns these lists have together.
pub(super) const fn together<R>(lists: &[&[StatColumn<R>]]) -> usize {
    let (mut list, mut count) = (0, 0);
    while list < lists.len() {
        count += lists[list].len();
        list += 1;
    }
    count
}

/// Lists of columns as one; N is how many they have together.
pub(super) const fn joined<R, const N: usize>(lists: &[&[StatColumn<R>]]) -> [StatColumn<R>; N] {
    let mut all = [lists[0][0]; N];
    let (mut list, mut filled) = (0, 0);
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            all[filled] = lists[list][at];
            (at, filled) = (at + 1, filled + 1);
        }
        list += 1;
    }
    assert!(filled == N, "as many columns as the lists have");
    all
}

pub(super) const fn text<R>(name: &'static str, meaning: &'static str, cell: fn(&R) -> Cell) -> StatColumn<R> {
    StatColumn { name, kind: Kind::Utf8, null: None, unit: "", meaning, cell }
}

pub(super) const fn count<R>(
    name: &'static str,
    unit: &'static str,
    meaning: &'static str,
    cell: fn(&R) -> Cell,
) -> StatColumn<R> {
    StatColumn { name, kind: Kind::Int64, null: None, unit, meaning, cell }
}

pub(super) const fn number<R>(
    name: &'static str,
    unit: &'static str,
    null: &'static str,
    meaning: &'static str,
    cell: fn(&R) -> Cell,
) -> StatColumn<R> {
    StatColumn { name, kind: Kind::Float64, null: Some(null), unit, meaning, cell }
}

const NO_SAMPLES: &str = "there are no samples";
const UNTESTED: &str = "there are fewer than three samples, or the differences do not vary";
const NO_Q: &str = "untested, or the row is that of the token counts";
const FEW_CHAINS: &str = "untested, or fewer chains than the length control needs";
const NO_LOGPROB: &str = "log-probabilities were not measured, or the row is theirs";
const NO_INTERVAL: &str = "untested, fewer chains than the length control needs, or those do not vary";
const NO_LIKELY_INTERVAL: &str =
    "log-probabilities were not measured, the row is theirs, there are too few chains, or those do not vary";
const FEW_LIKELY: &str = "log-probabilities were not measured, the row is theirs, or there are too few chains";
const FEW_EQUAL: &str = "there are fewer than three such samples";
const EQUAL_UNTESTED: &str = "there are fewer than three such samples, or their differences do not vary";

/// Gives the three controls beside length to a macro that makes their columns: place in
/// [`super::controls::Control::ALL`], name, what is held equal, by what grades, and what a run lacks without it.
macro_rules! each_control {
    ($columns:ident) => {
        [
            $columns!(0, "last_token", "equal last tokens", "", "the run's last tokens are not known"),
            $columns!(
                1,
                "last_token_rank",
                "equally common last tokens",
                ", by sixteen grades of their rank",
                "the tokenizer has no ranks"
            ),
            $columns!(
                2,
                "logprob_per_token",
                "equal log-probability per token",
                ", by sixteen grades of it",
                "log-probabilities were not measured"
            ),
        ]
    };
}
pub(super) use each_control;

/// The columns of a control: a count of what it rests on, the difference with one thing held equal, and what the row
/// amounts to by it. `$of` gives a row's control of the place `$at`.
macro_rules! control_columns {
    (
        $of:path, $at:literal, $name:literal, $count:expr, equal: $equal:expr, unit: $unit:literal, test: $test:literal,
        over: $over:literal, lacks: $lacks:expr, few: $few:literal, no_q: $no_q:literal
    ) => {{
        const FEW: &str = concat!($lacks, ", the differences do not vary, or there are too few chains", $few);
        const NO_INTERVAL: &str =
            concat!($lacks, ", the differences do not vary, there are too few chains", $few, ", or those do not vary");
        const NO_Q: &str = concat!($lacks, ", the differences do not vary, there are too few chains", $few, $no_q);
        [
            StatColumn { null: Some($lacks), ..$count },
            number(
                concat!($name, "_adjusted_diff"),
                $unit,
                FEW,
                concat!("Mean difference over the triples in closed chains: the one at ", $equal),
                |row| $of(row, $at).and_then(|of| of.adjusted).map(|a| a.difference).into(),
            ),
            number(concat!($name, "_adjusted_ci_low"), $unit, NO_INTERVAL, "Lower end of its 95 % interval", |row| {
                $of(row, $at).and_then(|of| of.adjusted?.interval).map(|i| i.0).into()
            }),
            number(concat!($name, "_adjusted_ci_high"), $unit, NO_INTERVAL, "Upper end of its 95 % interval", |row| {
                $of(row, $at).and_then(|of| of.adjusted?.interval).map(|i| i.1).into()
            }),
            number(concat!($name, "_adjusted_p"), "probability", FEW, $test, |row| {
                $of(row, $at).and_then(|of| of.adjusted).map(|a| a.p).into()
            }),
            number(
                concat!($name, "_adjusted_q"),
                "false-discovery rate",
                NO_Q,
                concat!("Benjamini–Hochberg q of `", $name, "_adjusted_p` over ", $over),
                |row| $of(row, $at).and_then(|of| of.q).into(),
            ),
            StatColumn {
                name: concat!($name, "_verdict"),
                kind: Kind::Utf8,
                null: Some($lacks),
                unit: "",
                meaning: concat!("What the row amounts to at ", $equal, ", by the rule of `verdict`"),
                cell: |row| $of(row, $at).map_or(Cell::Null, |of| Cell::Text(of.verdict.of_control().into())),
            },
        ]
    }};
}
pub(super) use control_columns;

fn control_of(row: &Comparison, at: usize) -> Option<Controlled> {
    row.controls[at]
}

macro_rules! of_metric {
    ($at:literal, $name:literal, $equal:literal, $grades:literal, $lacks:literal) => {
        control_columns!(
            control_of, $at, $name,
            count(
                concat!("n_", $name, "_matched"),
                "samples",
                concat!("Triples in closed chains of ", $equal, $grades),
                |row| control_of(row, $at).map_or(Cell::Null, |of| Cell::count(of.n_matched)),
            ),
            equal: concat!($equal, $grades), unit: "metric", test: "Sign-flip test of it over chains, two-sided",
            over: "the domain's metrics", lacks: concat!($lacks, ", or the row is that of it"), few: "",
            no_q: ", or the row is that of a control"
        )
    };
}

const CONTROLS: [[StatColumn; 7]; 3] = each_control!(of_metric);

const BEFORE_CONTROLS: &[StatColumn] = &[
    text(
        "metric",
        "The metric with its layer, without the text: `l5_gini`, `centroid_drift`, or the name of a `*_diff` column",
        |c| Cell::Text(c.metric.clone()),
    ),
    text(
        "domain",
        "The domain, or `all` for all samples together (`(all)` where one of several domains has that name); with \
         one domain only, there are no rows but those",
        |c| Cell::Text(c.domain.clone()),
    ),
    text(
        "direction",
        "Sign of every difference of the row: `hall_minus_fact`, except that the row of a `*_diff` column keeps \
         its column's sign, which for some is `fact_minus_hall`",
        |c| Cell::Text(c.direction.as_str().into()),
    ),
    count("n", "samples", "Samples that have the metric on both sides", |c| Cell::count(c.n)),
    count(
        "n_clusters",
        "clusters",
        "Clusters that they are in: what counts as independent, is resampled, and has its signs flipped",
        |c| Cell::count(c.n_clusters),
    ),
    number("mean_fact", "metric", NO_SAMPLES, "Mean over facts", |c| c.mean_fact.into()),
    number("mean_hall", "metric", NO_SAMPLES, "Mean over hallucinations", |c| c.mean_hall.into()),
    number("mean_diff", "metric", NO_SAMPLES, "Mean difference, in the row's direction", |c| c.mean_diff.into()),
    number(
        "cohens_dz",
        "standard deviations",
        UNTESTED,
        "Cohen's d of the paired difference: its mean over its standard deviation",
        |c| c.cohens_dz.into(),
    ),
    number(
        "hedges_g",
        "standard deviations",
        UNTESTED,
        "Hedges' g of the paired difference: Cohen's d, corrected for small samples",
        |c| c.hedges_g.into(),
    ),
    number(
        "cohens_d",
        "standard deviations",
        UNTESTED,
        "Cohen's d with the pooled standard deviation of facts and hallucinations: the mean difference over \
         √((s_f² + s_h²) / 2)",
        |c| c.cohens_d.into(),
    ),
    number(
        "auroc",
        "probability",
        "there are fewer than three clusters",
        "Area under the ROC curve of the metric alone: the chance that it is larger for a hallucination than for a \
         fact (of a `*_diff` row whose sign is fact − hall, smaller), ties counted half; the row of `n_tokens` is \
         that of length alone, that of `logprob` that of likelihood alone",
        |c| c.auroc.map(|a| a.area).into(),
    ),
    number(
        "auroc_ci_low",
        "probability",
        "it is 0 or 1, or nothing varies",
        "Lower end of its 95 % interval (paired and by clusters, on the logit)",
        |c| c.auroc.and_then(|a| a.interval).map(|i| i.0).into(),
    ),
    number("auroc_ci_high", "probability", "it is 0 or 1, or nothing varies", "Its upper end", |c| {
        c.auroc.and_then(|a| a.interval).map(|i| i.1).into()
    }),
    number(
        "ci_low",
        "metric",
        UNTESTED,
        "Lower end of the 95 % bootstrap interval of the mean difference (bias-corrected and accelerated, by \
         clusters, over all samples drawn within domains)",
        |c| c.interval.map(|i| i.0).into(),
    ),
    number("ci_high", "metric", UNTESTED, "Its upper end", |c| c.interval.map(|i| i.1).into()),
    number(
        "p_permutation",
        "probability",
        UNTESTED,
        "Sign-flip permutation test of the mean difference, two-sided",
        |c| c.p_permutation.into(),
    ),
    number("p_wilcoxon", "probability", UNTESTED, "Wilcoxon signed-rank test, two-sided", |c| c.p_wilcoxon.into()),
    number(
        "q_value",
        "false-discovery rate",
        NO_Q,
        "Benjamini–Hochberg q of `p_permutation` over the domain's metrics; a `*_diff` row is its metric's \
         hypothesis again and shares its q, token counts are no member",
        |c| c.q_value.into(),
    ),
    number("p_holm", "probability", NO_Q, "Holm's adjusted p of `p_permutation` over the same family", |c| {
        c.p_holm.into()
    }),
    number(
        "equivalence_p",
        "probability",
        UNTESTED,
        "Two one-sided t-tests against the bound (|d_z| = 0.3 unless the manifest says otherwise): small where a \
         difference as large as that is ruled out",
        |c| c.equivalence.map(|e| e.p).into(),
    ),
    number(
        "excluded_dz",
        "standard deviations",
        UNTESTED,
        "The smallest |d_z| that those tests would rule out at 5 %: the difference is smaller than this",
        |c| c.equivalence.map(|e| e.excluded_dz).into(),
    ),
    number(
        "detectable_dz",
        "standard deviations",
        "there are fewer than three clusters",
        "The smallest |d_z| that so many clusters show in a single test with a chance of 80 %",
        |c| c.detectable_dz.into(),
    ),
    number(
        "length_r",
        "correlation",
        "the metric or the token count does not vary",
        "Pearson's r of the metric with the token count over fact and hallucination texts; of a `*_diff` row, with \
         the difference (hall − fact) in token counts",
        |c| c.length_r.into(),
    ),
    count(
        "n_length_matched",
        "samples",
        "Triples in closed chains, which carry the length control: among them facts and hallucinations have the \
         same token counts",
        |c| Cell::count(c.n_matched),
    ),
    count(
        "n_length_chains",
        "chains",
        "How many chains they make; a chain is what the test's signs are flipped for",
        |c| Cell::count(c.n_chains),
    ),
    number(
        "length_adjusted_diff",
        "metric",
        FEW_CHAINS,
        "Mean difference over the triples in closed chains: the one at equal length",
        |c| c.adjusted.map(|a| a.difference).into(),
    ),
    number("length_adjusted_ci_low", "metric", NO_INTERVAL, "Lower end of its 95 % interval", |c| {
        c.adjusted.and_then(|a| a.interval).map(|i| i.0).into()
    }),
    number("length_adjusted_ci_high", "metric", NO_INTERVAL, "Upper end of its 95 % interval", |c| {
        c.adjusted.and_then(|a| a.interval).map(|i| i.1).into()
    }),
    number("length_adjusted_p", "probability", FEW_CHAINS, "Sign-flip test of it over chains, two-sided", |c| {
        c.adjusted.map(|a| a.p).into()
    }),
    number(
        "length_adjusted_q",
        "false-discovery rate",
        NO_Q,
        "Benjamini–Hochberg q of `length_adjusted_p` over the domain's metrics",
        |c| c.adjusted_q.into(),
    ),
    number(
        "length_detectable_dz",
        "standard deviations",
        "fewer chains than the length control needs",
        "The smallest |d_z| at equal length that the matched triples show in a single test with a chance of 80 %",
        |c| c.adjusted_detectable_dz.into(),
    ),
    StatColumn {
        name: "n_logprob_matched",
        kind: Kind::Int64,
        null: Some(NO_LOGPROB),
        unit: "samples",
        meaning: "Triples in closed chains of equal log-probability, by sixteen grades of it in the place of token \
                  counts",
        cell: |c| c.n_likely_matched.map_or(Cell::Null, Cell::count),
    },
    number(
        "logprob_adjusted_diff",
        "metric",
        FEW_LIKELY,
        "Mean difference over those: the one at equal log-probability; no verdict reads it",
        |c| c.likely.map(|a| a.difference).into(),
    ),
    number("logprob_adjusted_ci_low", "metric", NO_LIKELY_INTERVAL, "Lower end of its 95 % interval", |c| {
        c.likely.and_then(|a| a.interval).map(|i| i.0).into()
    }),
    number("logprob_adjusted_ci_high", "metric", NO_LIKELY_INTERVAL, "Upper end of its 95 % interval", |c| {
        c.likely.and_then(|a| a.interval).map(|i| i.1).into()
    }),
    number("logprob_adjusted_p", "probability", FEW_LIKELY, "Sign-flip test of it over chains, two-sided", |c| {
        c.likely.map(|a| a.p).into()
    }),
    number(
        "logprob_adjusted_q",
        "false-discovery rate",
        FEW_LIKELY,
        "Benjamini–Hochberg q of `logprob_adjusted_p` over the domain's metrics",
        |c| c.likely_q.into(),
    ),
];

const AFTER_CONTROLS: &[StatColumn] = &[
    count(
        "n_equal_length",
        "samples",
        "Samples whose fact and hallucination have equally many tokens; they are part of the matched ones",
        |c| Cell::count(c.n_equal),
    ),
    number(
        "equal_length_diff",
        "metric",
        FEW_EQUAL,
        "Mean difference over the samples with equally many tokens; the verdict does not read it",
        |c| c.equal_diff.into(),
    ),
    number("equal_length_p", "probability", EQUAL_UNTESTED, "Sign-flip test of it, two-sided", |c| c.equal_p.into()),
    number(
        "equal_length_q",
        "false-discovery rate",
        NO_Q,
        "Benjamini–Hochberg q of `equal_length_p` over the domain's metrics",
        |c| c.equal_q.into(),
    ),
    StatColumn {
        name: "survives_length_control",
        kind: Kind::Bool,
        null: Some("there is nothing to judge by"),
        unit: "",
        meaning: "Whether there is a difference at equal length",
        cell: |c| c.verdict.survives().map_or(Cell::Null, Cell::Bool),
    },
    text("verdict", "What the row amounts to after its length control", |c| Cell::Text(c.verdict.as_str().into())),
];

const LISTS: [&[StatColumn]; 5] = [BEFORE_CONTROLS, &CONTROLS[0], &CONTROLS[1], &CONTROLS[2], AFTER_CONTROLS];

/// The columns of `stats.parquet`, in file order.
pub static STAT_COLUMNS: &[StatColumn] = &joined::<_, { together(&LISTS) }>(&LISTS);

/// `stats.parquet` of these comparisons, in their order: [`STAT_COLUMNS`]. Nulls stand where a
/// definition has nothing to apply to.
pub fn stats_table(comparisons: &[Comparison]) -> Table {
    let row = |comparison| STAT_COLUMNS.iter().map(|column| (column.cell)(comparison)).collect();
    Table { columns: columns_of(STAT_COLUMNS), rows: comparisons.iter().map(row).collect() }
}

/// The columns of a file with these.
pub(super) fn columns_of<R>(columns: &[StatColumn<R>]) -> Vec<Column> {
    let column = |c: &StatColumn<R>| Column {
        nullable: c.null.is_some(),
        unit: c.unit,
        description: c.meaning.to_owned(),
        ..Column::new(c.name, c.kind)
    };
    columns.iter().map(column).collect()
}
