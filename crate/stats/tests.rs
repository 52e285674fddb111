//! Against reference/golden_stats.py (scipy, statsmodels, scikit-learn), and comparisons at the edges.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::*;
use crate::metrics::{Cell, Column, Direction, Form, Kind, Table, TextKind};

#[derive(Deserialize)]
struct Golden {
    domain: Vec<String>,
    n_tokens: [Vec<f64>; 3],
    metrics: BTreeMap<String, [Vec<Option<f64>>; 2]>,
    expected: BTreeMap<String, Map<String, Value>>,
    bca: Bca,
    bh: Bh,
    logprob: [Vec<f64>; 2],
    clustered: Clustered,
    wilcoxon: Vec<Wilcoxon>,
}

#[derive(Deserialize)]
struct Bca {
    values: Vec<f64>,
    means: Vec<f64>,
    bounds: (f64, f64),
}

#[derive(Deserialize)]
struct Bh {
    p: Vec<f64>,
    q: Vec<f64>,
    holm: Vec<f64>,
}

#[derive(Deserialize)]
struct Clustered {
    cluster: Vec<String>,
    domain: Vec<String>,
    fact: Vec<f64>,
    hall: Vec<f64>,
    expected: Map<String, Value>,
    p_permutation: f64,
    interval: (f64, f64),
}

#[derive(Deserialize)]
struct Wilcoxon {
    d: Vec<f64>,
    p: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/golden/metrics/stats.json")).unwrap()
}

/// Name, values of the facts, values of the hallucinations.
type Metric<'a> = (&'a str, &'a [Option<f64>], &'a [Option<f64>]);

/// A metrics table of these columns; `tokens` are those of fact and hallucination, or of prompt, fact
/// and hallucination; a metric named in `falling` gets a fact − hall column.
fn metrics_table(domains: &[&str], tokens: &[&[f64]], metrics: &[Metric], falling: &[&str]) -> Table {
    let mut columns = vec![Column::new("sample_id", Kind::Utf8), Column::new("domain", Kind::Utf8)];
    let counted = TextKind::ALL;
    columns.extend(counted[3 - tokens.len()..].iter().map(|&text| {
        Column::new(format!("n_tokens_{}", text.short()), Kind::Int64).part("n_tokens", Form::Text(text))
    }));
    let sides = [TextKind::Fact, TextKind::Hall];
    columns.extend(sides.map(|text| {
        Column::new(format!("{}_shape_class", text.short()), Kind::Utf8).part("shape_class", Form::Text(text))
    }));
    for (name, _, _) in metrics {
        // what they are parts of is said, not read from the names
        let side = |text: TextKind| {
            let name = if *name == "logprob" {
                format!("logprob_{}", text.short())
            } else {
                format!("{} of {name}", text.as_str())
            };
            Column::nullable(name, Kind::Float64)
        };
        columns.extend(sides.map(|text| side(text).part(*name, Form::Text(text))));
        if falling.contains(name) {
            let difference = Column::nullable(format!("{name}_diff"), Kind::Float64);
            columns.push(difference.part(*name, Form::Difference(Direction::FactMinusHall)));
        }
    }
    let rows = (0..domains.len()).map(|i| {
        let mut row = vec![Cell::Text(format!("s{i}")), Cell::Text(domains[i].into())];
        row.extend(tokens.iter().map(|t| Cell::Int(t[i] as i64)));
        row.extend([Cell::Text("Prolate".into()), Cell::Text("Oblate".into())]);
        for (name, fact, hall) in metrics {
            row.extend([Cell::from(fact[i]), Cell::from(hall[i])]);
            if falling.contains(name) {
                row.push(fact[i].zip(hall[i]).map(|(f, h)| f - h).into());
            }
        }
        row
    });
    let rows = rows.collect();
    Table { columns, rows }
}

/// The same table with a column of clusters.
fn with_clusters(table: &Table, clusters: &[impl ToString]) -> Table {
    let mut table = table.clone();
    table.columns.push(Column::new("cluster", Kind::Utf8));
    table.rows.iter_mut().zip(clusters).for_each(|(row, cluster)| row.push(Cell::Text(cluster.to_string())));
    table
}

/// Cells of a row of `stats.parquet` against the reference's.
#[track_caller]
fn agree(key: &str, stats: &Table, row: usize, expected: &Map<String, Value>) {
    for (name, wanted) in expected.iter().filter(|(name, _)| *name != "drawn") {
        let (found, wanted) = (stats.cell(row, name).unwrap().number(), wanted.as_f64());
        assert_eq!(found.is_some(), wanted.is_some(), "{key} {name}: {found:?} against {wanted:?}");
        let (found, wanted) = found.zip(wanted).unwrap_or_default();
        let error = (found - wanted).abs() / wanted.abs().max(1e-3);
        assert!(error < 1e-9, "{key} {name}: {found} against {wanted}");
    }
}

#[test]
fn comparisons_agree_with_the_reference() {
    let golden = golden();
    let domains: Vec<&str> = golden.domain.iter().map(String::as_str).collect();
    let logprob = golden.logprob.each_ref().map(|side| some(side));
    let mut metrics: Vec<_> =
        golden.metrics.iter().map(|(k, [f, h])| (k.as_str(), f.as_slice(), h.as_slice())).collect();
    metrics.push(("logprob", &logprob[0], &logprob[1]));
    let tokens: Vec<&[f64]> = golden.n_tokens.iter().map(Vec::as_slice).collect();
    let table = metrics_table(&domains, &tokens, &metrics, &["stability"]);
    let comparisons = compare(&table, 42).unwrap();
    // five metrics, one difference and the token count, in two domains and all
    assert_eq!(comparisons.len(), 7 * 3);
    let stats = stats_table(&comparisons);
    for (key, expected) in &golden.expected {
        let (metric, domain) = key.split_once('/').unwrap();
        let row = comparisons.iter().position(|c| c.metric == metric && c.domain == domain).unwrap();
        agree(key, &stats, row, expected);
        let number = |name: &str| stats.cell(row, name).unwrap().number();
        let drawn = &expected["drawn"];
        let tests = [
            ("p_permutation", "exact"),
            ("length_adjusted_p", "adjusted_exact"),
            ("logprob_adjusted_p", "likely_exact"),
            ("equal_length_p", "equal_exact"),
        ];
        for (name, exact) in tests {
            let (found, wanted) = (number(name), drawn[name].as_f64());
            assert_eq!(found.is_some(), wanted.is_some(), "{key} {name}: {found:?} against {wanted:?}");
            let (found, wanted) = found.zip(wanted).unwrap_or_default();
            let limit = if drawn[exact].as_bool().unwrap() { 1e-12 } else { 0.02 };
            assert!((found - wanted).abs() < limit, "{key} {name}: {found} against {wanted}");
        }
        let (low, high) = (drawn["ci_low"].as_f64().unwrap(), drawn["ci_high"].as_f64().unwrap());
        for (name, wanted) in [("ci_low", low), ("ci_high", high)] {
            let found = number(name).unwrap();
            assert!((found - wanted).abs() < 0.05 * (high - low), "{key} {name}: {found} against {wanted}");
        }
    }
    let of_logprob = comparisons.iter().find(|c| c.metric == "logprob").unwrap();
    assert_eq!((of_logprob.n_likely_matched, of_logprob.likely), (None, None));
    assert!(of_logprob.auroc.unwrap().area < 0.5, "facts are likelier");
    let verdict = |metric: &str, domain: &str| {
        comparisons.iter().find(|c| c.metric == metric && c.domain == domain).unwrap().verdict
    };
    assert_eq!(verdict("l5_real", "all"), Verdict::SurvivesLengthControl);
    assert_eq!(verdict("l5_length", "all"), Verdict::ExplainedByLength);
    assert_eq!(verdict("l5_nothing", "all"), Verdict::NoDifference);
    // twelve samples rule nothing out
    assert_eq!(verdict("l5_nothing", "small"), Verdict::Undecided);
    assert_eq!(verdict("n_tokens", "all"), Verdict::Control);
    assert_eq!(verdict("l5_real", "small"), Verdict::NoLengthControl);
    assert_eq!(verdict("stability", "all"), verdict("stability_diff", "all"));
    let direction = |metric: &str| {
        let row = comparisons.iter().position(|c| c.metric == metric).unwrap();
        stats.cell(row, "direction").unwrap().clone()
    };
    assert_eq!(direction("stability"), Cell::Text("hall_minus_fact".into()));
    assert_eq!(direction("stability_diff"), Cell::Text("fact_minus_hall".into()));
}

#[test]
fn clusters_agree_with_the_reference() {
    let Clustered { cluster, domain, fact, hall, expected, p_permutation, interval } = golden().clustered;
    let domains: Vec<&str> = domain.iter().map(String::as_str).collect();
    let tokens = vec![8.0; fact.len()];
    let metrics: [Metric; 1] = [("m", &some(&fact), &some(&hall))];
    let table = with_clusters(&metrics_table(&domains, &[&tokens, &tokens], &metrics, &[]), &cluster);
    let found = compare(&table, 3).unwrap();
    let row = found.iter().position(|c| c.metric == "m" && c.domain == "all").unwrap();
    agree("clustered", &stats_table(&found), row, &expected);
    let (low, high) = found[row].interval.unwrap();
    let limit = 0.05 * (interval.1 - interval.0);
    assert!((low - interval.0).abs() < limit && (high - interval.1).abs() < limit, "{low} {high} {interval:?}");
    let p = found[row].p_permutation.unwrap();
    assert!((p - p_permutation).abs() < 0.02, "{p} against {p_permutation}");
    // equal lengths throughout: the chains are the clusters
    assert_eq!((found[row].n_chains, found[row].n_matched), (36, fact.len()));
    assert_eq!(found[row].adjusted.unwrap().p, p);
    // without clusters every sample is independent, and all is narrower
    let alone = compare(&table, Settings { clusters: false, ..3.into() }).unwrap();
    let ends = alone[row].interval.unwrap();
    assert_eq!(alone[row].n_clusters, fact.len());
    assert!(ends.1 - ends.0 < 0.95 * (high - low), "{ends:?} {low} {high}");
}

#[test]
fn ten_copies_of_each_sample_say_no_more_than_one() {
    let golden = golden();
    let tokens: Vec<&[f64]> = golden.n_tokens.iter().map(Vec::as_slice).collect();
    let domains = vec!["d"; tokens[0].len()];
    let metrics: Vec<_> = golden.metrics.iter().map(|(k, [f, h])| (k.as_str(), f.as_slice(), h.as_slice())).collect();
    let once = metrics_table(&domains, &tokens, &metrics, &[]);
    let labels: Vec<usize> = (0..once.rows.len()).collect();
    let ten = Table { rows: vec![once.rows.clone(); 10].concat(), ..once.clone() };
    let (once, ten) = (compare(&once, 1).unwrap(), compare(&with_clusters(&ten, &labels.repeat(10)), 1).unwrap());
    for (a, b) in once.iter().zip(&ten).filter(|(a, _)| a.metric != "n_tokens") {
        assert_eq!((b.n, b.n_clusters), (10 * a.n, a.n));
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let ((a_low, a_high), (b_low, b_high)) = (a.interval.unwrap(), b.interval.unwrap());
        assert!(near(a_low, b_low) && near(a_high, b_high), "{}: {a:?} {b:?}", a.metric);
        assert!(near(a.p_permutation.unwrap(), b.p_permutation.unwrap()), "{}", a.metric);
        assert!(near(a.p_wilcoxon.unwrap(), b.p_wilcoxon.unwrap()), "{}", a.metric);
        assert!(near(a.auroc.unwrap().interval.unwrap().0, b.auroc.unwrap().interval.unwrap().0), "{}", a.metric);
        assert_eq!(a.detectable_dz, b.detectable_dz);
        // copies do not make more chains, though more triples may match; nor is anything more sure of equality
        assert!(b.n_chains <= a.n, "{} chains of {} clusters", b.n_chains, a.n);
        let (a, b) = (a.equivalence.unwrap(), b.equivalence.unwrap());
        assert!((a.excluded_dz - b.excluded_dz).abs() < 0.02, "{a:?} {b:?}");
    }
}

#[test]
fn given_resamples_give_the_reference_interval() {
    let Bca { values, means, bounds } = golden().bca;
    let (low, high) = bca_interval(&values, means).unwrap();
    assert!((low - bounds.0).abs() < 1e-9 && (high - bounds.1).abs() < 1e-9, "{low} {high} {bounds:?}");
}

#[test]
fn corrections_agree_with_the_reference() {
    let Bh { p, q, holm: adjusted } = golden().bh;
    let p: Vec<Option<f64>> = p.into_iter().map(Some).collect();
    for (found, wanted) in [(benjamini_hochberg(&p), q), (holm(&p), adjusted)] {
        assert!(found.iter().zip(wanted).all(|(found, wanted)| (found.unwrap() - wanted).abs() < 1e-12));
    }
}

#[test]
fn signed_ranks_agree_with_scipy() {
    for Wilcoxon { d, p } in golden().wilcoxon {
        let found = wilcoxon_signed_rank(&d).unwrap();
        assert!((found - p).abs() < 1e-10, "n = {}: {found} against {p}", d.len());
    }
}

/// Some values, none missing.
fn some(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

#[test]
fn degenerate_input_gives_nulls_and_says_why() {
    let up: Vec<f64> = (0..8).map(|i| 1.0 + 0.01 * f64::from(i * i)).collect();
    let check = |n: usize, tokens: [&[f64]; 2], fact: &[f64], hall: &[f64]| {
        let (fact, hall) = (some(fact), some(hall));
        let metrics: [Metric; 1] = [("m", &fact, &hall)];
        let table = metrics_table(&vec!["d"; n], &tokens, &metrics, &[]);
        let found = compare(&table, 0).unwrap();
        let row = found.into_iter().find(|c| c.metric == "m").unwrap();
        for cell in &stats_table(std::slice::from_ref(&row)).rows[0] {
            assert!(!matches!(cell, Cell::Float(v) if !v.is_finite()));
        }
        row
    };
    let (eights, zeros) = (vec![8.0; 8], vec![0.0; 8]);

    let two = check(2, [&eights[..2], &eights[..2]], &zeros[..2], &up[..2]);
    assert_eq!((two.verdict, two.p_permutation, two.interval), (Verdict::TooFewSamples, None, None));
    assert_eq!(two.verdict.survives(), None);

    let same = check(8, [&eights, &eights], &up, &up);
    assert_eq!((same.verdict, same.cohens_dz, same.p_wilcoxon), (Verdict::NoVariation, None, None));
    // 0.1 + 0.2 against 0.3 is rounding, not a difference
    let rounding = check(8, [&eights, &eights], &[0.3; 8], &[0.1 + 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]);
    assert_eq!(rounding.verdict, Verdict::NoVariation);

    // equal lengths throughout: the triples themselves are the control
    let equal = check(8, [&eights, &eights], &zeros, &up);
    let adjusted = equal.adjusted.unwrap();
    assert_eq!((Some(adjusted.difference), Some(adjusted.p)), (equal.mean_diff, equal.p_permutation));
    assert_eq!((equal.length_r, equal.n_equal, equal.n_matched, equal.n_chains), (None, 8, 8, 8));
    assert_eq!(equal.verdict, Verdict::SurvivesLengthControl);

    // always one token longer: nothing tells length from the difference
    let longer = check(8, [&eights, &[9.0; 8]], &zeros, &up);
    assert_eq!((longer.adjusted, longer.n_equal), (None, 0));
    assert_eq!((longer.verdict, longer.verdict.survives()), (Verdict::NoLengthControl, None));

    // longer ones differ, but at equal length the difference turns around
    let tokens = [8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0];
    let more = [8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 9.0, 9.1, 9.0, 9.0, 9.0, 9.0].map(f64::floor);
    let hall = [-0.1, -0.2, -0.1, -0.15, -0.12, -0.11, 5.0, 5.1, 5.2, 5.3, 4.9, 5.05];
    let turned = check(12, [&tokens, &more], &[0.0; 12], &hall);
    assert!(turned.q_value.unwrap() <= ALPHA && turned.equal_diff.unwrap() < 0.0);
    assert_eq!((turned.verdict, turned.verdict.survives()), (Verdict::ExplainedByLength, Some(false)));
}

#[test]
fn a_control_too_weak_to_tell_is_none() {
    let noise = |i: usize| ((i * 7919) % 31) as f64 / 10.0 - 1.5;
    let check = |equal: usize, n: usize, effect: &dyn Fn(bool) -> f64| {
        let fact = vec![8.0; n];
        let hall: Vec<f64> = (0..n).map(|i| if i < equal { 8.0 } else { 9.0 }).collect();
        let values: Vec<f64> = (0..n).map(|i| noise(i) + effect(i < equal)).collect();
        let metrics: [Metric; 1] = [("m", &some(&vec![0.0; n]), &some(&values))];
        let found = compare(&metrics_table(&vec!["d"; n], &[&fact, &hall], &metrics, &[]), 0).unwrap();
        found.into_iter().find(|c| c.metric == "m").unwrap()
    };
    // seven of ninety triples can neither show a small difference nor exclude it
    let vague = check(7, 90, &|_| 0.4);
    assert!(vague.q_value.unwrap() <= ALPHA && vague.adjusted_q.unwrap() > ALPHA, "{vague:?}");
    assert_eq!((vague.n_matched, vague.verdict), (7, Verdict::NoLengthControl));
    // a large one they exclude
    let excluded = check(7, 90, &|equal| if equal { 0.0 } else { 8.0 });
    assert_eq!(excluded.verdict, Verdict::ExplainedByLength);
    // too few chains are no control at all
    let few = check(MIN_CHAINS - 1, 90, &|equal| if equal { 0.0 } else { 8.0 });
    assert_eq!((few.n_matched, few.adjusted, few.verdict), (MIN_CHAINS - 1, None, Verdict::NoLengthControl));
    // what length hides from the raw difference is there at equal length
    let hidden = check(45, 90, &|equal| if equal { 1.0 } else { -1.1 });
    assert!(hidden.q_value.unwrap() > ALPHA, "{hidden:?}");
    assert_eq!(hidden.verdict, Verdict::SurvivesLengthControl);
}

#[test]
fn empty_and_foreign_tables() {
    let empty = metrics_table(&[], &[&[], &[]], &[("m", &[], &[])], &[]);
    let found = compare(&empty, 0).unwrap();
    assert_eq!(found.iter().map(|c| c.metric.as_str()).collect::<Vec<_>>(), ["n_tokens", "m"]);
    assert!(found.iter().all(|c| c.n == 0 && c.mean_diff.is_none()));
    let message = compare(&Table::default(), 0).unwrap_err().to_string();
    assert!(message.contains("domain") && message.contains("hint:"), "{message}");
}

#[test]
fn a_domain_called_all_is_kept_apart() {
    let values: Vec<Option<f64>> = some(&[1.0, 2.0, 3.0]);
    let tokens = [8.0; 3];
    let groups = |domains: [&str; 3]| {
        let table = metrics_table(&domains, &[&tokens, &tokens], &[("m", &values, &values)], &[]);
        let mut groups: Vec<(String, usize)> =
            compare(&table, 0).unwrap().into_iter().filter(|c| c.metric == "m").map(|c| (c.domain, c.n)).collect();
        groups.sort();
        groups
    };
    assert_eq!(groups(["all", "all", "x"]), [("(all)".into(), 3), ("all".into(), 2), ("x".into(), 1)]);
    // one domain is all there is, and tested once
    assert_eq!(groups(["x"; 3]), [("all".into(), 3)]);
    assert_eq!(groups(["all"; 3]), [("all".into(), 3)]);
}

#[test]
fn a_metric_does_not_depend_on_its_neighbours() {
    let golden = golden();
    let domains: Vec<&str> = golden.domain.iter().map(String::as_str).collect();
    let tokens: Vec<&[f64]> = golden.n_tokens.iter().map(Vec::as_slice).collect();
    let every: Vec<_> = golden.metrics.iter().map(|(k, [f, h])| (k.as_str(), f.as_slice(), h.as_slice())).collect();
    let drawn = |metrics: &[Metric]| {
        let found = compare(&metrics_table(&domains, &tokens, metrics, &[]), 1).unwrap();
        let row = found.into_iter().find(|c| c.metric == "l5_real" && c.domain == "large").unwrap();
        (row.interval, row.p_permutation, row.equal_p, row.adjusted, row.auroc, row.equivalence)
    };
    let only: Vec<_> = every.iter().copied().filter(|(name, _, _)| *name == "l5_real").collect();
    assert_eq!(drawn(&every), drawn(&only));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Fact, hallucination and their token counts.
    type Value = (f64, f64, i64, i64);

    fn values() -> impl Strategy<Value = Vec<Value>> {
        prop::collection::vec((-3.0..3.0_f64, -3.0..3.0_f64, 4..9_i64, 4..9_i64), 6..40)
    }

    /// The row of these, each number of the metric put through `change`.
    fn row(values: &[Value], labels: Option<&[usize]>, change: impl Fn(f64) -> f64) -> Comparison {
        let column = |of: fn(&Value) -> f64| values.iter().map(of).collect::<Vec<f64>>();
        let (fact, hall) = (column(|v| v.0), column(|v| v.1));
        let changed = |side: &[f64]| side.iter().map(|&v| Some(change(v))).collect::<Vec<_>>();
        let (fact, hall) = (changed(&fact), changed(&hall));
        let (of_fact, of_hall) = (column(|v| v.2 as f64), column(|v| v.3 as f64));
        let mut table = metrics_table(&vec!["d"; values.len()], &[&of_fact, &of_hall], &[("m", &fact, &hall)], &[]);
        if let Some(labels) = labels {
            table = with_clusters(&table, labels);
        }
        let settings = Settings { resamples: 500, ..7.into() };
        compare(&table, settings).unwrap().into_iter().find(|c| c.metric == "m").unwrap()
    }

    /// What does not depend on the metric's unit.
    fn unitless(c: &Comparison) -> Vec<Option<f64>> {
        let auroc = c.auroc.and_then(|a| a.interval);
        vec![
            c.cohens_dz,
            c.hedges_g,
            c.cohens_d,
            c.auroc.map(|a| a.area),
            auroc.map(|i| i.0),
            auroc.map(|i| i.1),
            c.p_permutation,
            c.p_wilcoxon,
            c.equivalence.map(|e| e.p),
            c.equivalence.map(|e| e.excluded_dz),
            c.adjusted.map(|a| a.p),
            c.length_r,
        ]
    }

    fn near(a: &[Option<f64>], b: &[Option<f64>]) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
        a.iter().zip(b).all(|(a, b)| match (a, b) {
            (Some(a), Some(b)) => close(*a, *b),
            (a, b) => a.is_some() == b.is_some(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        // powers of two, so that no rounding makes or breaks a tie
        #[test]
        fn scale_changes_the_unit_alone(values in values(), power in -6..7_i32) {
            let factor = f64::from(power).exp2();
            let (once, scaled) = (row(&values, None, |v| v), row(&values, None, |v| factor * v));
            prop_assert!(near(&unitless(&once), &unitless(&scaled)), "{once:?} {scaled:?}");
            prop_assert_eq!(once.verdict, scaled.verdict);
            let ends = |c: &Comparison, by: f64| c.interval.map(|(low, high)| vec![Some(low * by), Some(high * by)]);
            prop_assert!(near(&ends(&once, factor).unwrap(), &ends(&scaled, 1.0).unwrap()));
        }

        #[test]
        fn a_shift_of_both_sides_changes_their_means_alone(values in values(), shift in -64..65_i32) {
            // on a grid that sums keep
            let grid = |v: f64| (v * 1024.0).round() / 1024.0;
            let (once, moved) = (row(&values, None, grid), row(&values, None, |v| grid(v) + f64::from(shift)));
            prop_assert!(near(&unitless(&once), &unitless(&moved)), "{once:?} {moved:?}");
            prop_assert_eq!(once.mean_diff, moved.mean_diff);
            prop_assert_eq!((once.interval, once.verdict), (moved.interval, moved.verdict));
        }

        #[test]
        fn what_is_not_drawn_does_not_know_the_order(values in values(), by in 1..40_usize) {
            let mut turned = values.clone();
            turned.rotate_left(by % values.len());
            let not_drawn = |c: &Comparison| {
                let exact = if c.n <= 13 { c.p_permutation } else { None };
                let mut out = unitless(c);
                (out[6], out[10]) = (exact, None);
                out
            };
            let (once, other) = (row(&values, None, |v| v), row(&turned, None, |v| v));
            prop_assert!(near(&not_drawn(&once), &not_drawn(&other)), "{once:?} {other:?}");
            prop_assert_eq!((once.n_matched, once.n_equal), (other.n_matched, other.n_equal));
        }

        #[test]
        fn turning_the_metric_round_turns_the_answer_round(values in values()) {
            let (once, turned) = (row(&values, None, |v| v), row(&values, None, |v| -v));
            let back = |c: &Comparison| vec![
                c.cohens_dz.map(|d| -d), c.cohens_d.map(|d| -d), c.auroc.map(|a| a.turned().area),
                c.equivalence.map(|e| e.excluded_dz), c.p_wilcoxon, c.p_permutation,
            ];
            let as_is = |c: &Comparison| vec![
                c.cohens_dz, c.cohens_d, c.auroc.map(|a| a.area),
                c.equivalence.map(|e| e.excluded_dz), c.p_wilcoxon, c.p_permutation,
            ];
            prop_assert!(near(&back(&once), &as_is(&turned)), "{once:?} {turned:?}");
            prop_assert_eq!(once.verdict, turned.verdict);
        }

        #[test]
        fn clusters_of_one_are_no_clusters(values in values()) {
            let labels: Vec<usize> = (0..values.len()).rev().collect();
            prop_assert_eq!(row(&values, None, |v| v), row(&values, Some(&labels), |v| v));
        }

        #[test]
        fn constant_columns_and_few_clusters_give_nulls(values in values(), constant in -9.0..9.0_f64) {
            let same = row(&values, None, |_| constant);
            prop_assert_eq!(same.verdict, Verdict::NoVariation);
            prop_assert_eq!((same.cohens_d, same.equivalence, same.interval), (None, None, None));
            prop_assert_eq!(same.auroc, Some(Auroc { area: 0.5, interval: None }));
            let labels: Vec<usize> = (0..values.len()).map(|i| i % 2).collect();
            let two = row(&values, Some(&labels), |v| v);
            prop_assert_eq!((two.verdict, two.n_clusters), (Verdict::TooFewSamples, 2));
            prop_assert_eq!((two.p_permutation, two.equivalence, two.auroc), (None, None, None));
            for cell in &stats_table(&[same, two]).rows.concat() {
                prop_assert!(!matches!(cell, Cell::Float(v) if !v.is_finite()));
            }
        }
    }
}
