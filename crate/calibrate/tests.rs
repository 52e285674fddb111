use std::sync::atomic::{AtomicUsize, Ordering};

use super::probe::{Pairs, beside};
use super::*;
use crate::dataset::{self, Sample};
use crate::metrics::{Cell, Column, Form, Kind, Table, TextKind};
use crate::output::tests::manifest;
use crate::output::{FileInfo, LeftOut, MetricArea, Probed, ProbedLayer, Seen, TestFamily};
use crate::random::{Stream, normal_pair, seeded};
use crate::stats::{Auroc, Comparison, Kernel, Probe, Settings, Verdict, compare};

fn normal(random: &mut Stream) -> f64 {
    normal_pair(random).0
}

/// Domain, token counts of prompt, fact and hallucination, and the two values of each metric.
type Row = (String, [i64; 3], Vec<[f64; 2]>);

/// A table of token counts and metrics.
fn table(rows: &[Row]) -> Table {
    let metrics = rows[0].2.len();
    let mut columns = vec![Column::new("domain", Kind::Utf8), Column::new("n_tokens_prompt", Kind::Int64)];
    for name in std::iter::once("n_tokens".to_owned()).chain((0..metrics).map(|i| format!("m{i}"))) {
        for text in [TextKind::Fact, TextKind::Hall] {
            columns.push(Column::new(format!("{name}_{}", text.short()), Kind::Float64).part(&*name, Form::Text(text)));
        }
    }
    let cells = |(domain, tokens, values): &(String, [i64; 3], Vec<[f64; 2]>)| {
        let mut cells = vec![Cell::Text(domain.clone()), Cell::Int(tokens[0])];
        cells.extend(tokens[1..].iter().map(|&n| Cell::Float(n as f64)));
        cells.extend(values.iter().flatten().map(|&v| Cell::Float(v)));
        cells
    };
    Table { rows: rows.iter().map(cells).collect(), columns }
}

#[test]
fn nothing_is_found_in_few_runs_and_a_large_effect_in_nearly_all() {
    let mut random = seeded(5);
    let rows: Vec<_> = (0..200)
        .map(|_| {
            // an effect in every metric, which swapping takes away
            let values = (0..30).map(|_| {
                let fact = 2.0 * normal(&mut random);
                [fact, fact + 0.9 + normal(&mut random)]
            });
            ("d".to_owned(), [5, 8, 8], values.collect())
        })
        .collect();
    let of = of_metrics(&Samples::try_from(&table(&rows)).unwrap(), 200, 0, true, &()).unwrap();
    assert_eq!((of.swaps.samples, of.swaps.clusters, of.swaps.median_chains), (200, 200, 200));
    let alarms = &of.false_alarms[0];
    assert_eq!((of.false_alarms.len(), alarms.family, alarms.metrics), (1, TestFamily::Metrics, 30));
    // 5 % give or take two standard errors of 200 swaps
    assert!(alarms.holds && alarms.runs_survive.share <= 0.05 + 0.031, "{alarms:?}");
    assert!(alarms.rows_survive.share < 0.01 && alarms.rows_survive.high < 0.03, "{alarms:?}");
    let dz: Vec<f64> = of.planted.iter().map(|planted| planted.dz).collect();
    assert_eq!(dz, PLANTED);
    let [small, middle, large] = &of.planted[..] else { panic!("{:?}", of.planted) };
    assert!(large.survive.min.share > 0.95 && large.metrics.len() == 30, "{large:?}");
    assert!(small.survive.median.share < middle.survive.median.share, "{small:?} {middle:?}");
    assert!(small.survive.max.share < 0.7, "{small:?}");
    // the same seed, the same numbers
    assert_eq!(of_metrics(&Samples::try_from(&table(&rows)).unwrap(), 200, 0, true, &()).unwrap(), of);
}

#[test]
fn a_run_of_two_samples_is_answered_and_not_refused() {
    let rows: Vec<_> = (0..2).map(|i| ("d".to_owned(), [5, 8, 8], vec![[1.0, f64::from(i)]])).collect();
    let of = of_metrics(&Samples::try_from(&table(&rows)).unwrap(), 20, 0, true, &()).unwrap();
    assert!(of.false_alarms.is_empty() && of.planted.is_empty(), "{of:?}");
}

#[test]
fn every_swap_is_told_of_and_what_is_not_there_is_left_out() {
    struct Count(AtomicUsize);
    impl SwapObserver for Count {
        fn swapped(&self, swaps: usize) {
            assert_eq!(swaps, 20);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let rows: Vec<_> = (0..9).map(|i| ("d".to_owned(), [5, 8, 8], vec![[1.0, f64::from(i)]])).collect();
    let told = Count(AtomicUsize::new(0));
    let of = of_metrics(&Samples::try_from(&table(&rows)).unwrap(), 20, 0, true, &told).unwrap();
    assert_eq!(told.0.into_inner(), 20);
    let of_run = manifest();
    let parts = |of: &[LeftOut]| of.iter().map(|one| one.part.clone()).collect::<Vec<_>>();
    let missing = left_out(&OF_MODEL, "no model");
    let file = FileInfo { path: "metrics.parquet".into(), bytes: 1, sha256: Some("00".into()) };
    let whole = whole(&of_run, file, 7, of, OfModel::nothing(), missing);
    assert_eq!((whole.run_id.as_str(), whole.seed, whole.swaps.swaps), ("20240229_120000", 7, 20));
    assert_eq!(parts(&whole.left_out), OF_MODEL);
    assert_eq!(parts(&OfModel::nothing().unmeasured()), OF_DATA);
}

/// Words as tokens.
fn count(text: &str) -> i64 {
    text.split_whitespace().count() as i64
}

#[test]
fn what_falls_into_the_length_trap_does_not_survive() {
    let own = dataset::builtin().unwrap().samples;
    // every other one: of several domains
    let taken: Vec<&Sample> = own.iter().step_by(2).collect();
    let trap = length_trap::trap(&taken, 3, |sample| count(&sample.fact) as usize);
    assert_eq!(trap.len(), 100);
    assert_eq!(trap, length_trap::trap(&taken, 3, |sample| count(&sample.fact) as usize));
    let known =
        |pair: &Sample| own.iter().any(|sample| sample.prompt == pair.prompt && pair.fact.starts_with(&sample.fact));
    assert!(trap.iter().all(known));
    let mut random = seeded(9);
    let shapes: [fn(f64) -> f64; 4] = [|l| l, |l| 6.0 * l.ln(), |l| 0.1 * l * l, |l| 3.0 * f64::from(l > 4.0)];
    let rows: Vec<_> = trap
        .iter()
        .map(|pair| {
            let prompt = count(&pair.prompt);
            let tokens = [prompt, prompt + count(&pair.fact), prompt + count(&pair.hallucination)];
            let value = |shape: fn(f64) -> f64, random: &mut Stream| {
                let base = 2.0 * normal(random);
                [1, 2].map(|side| base + shape((tokens[side] - prompt) as f64) + 0.5 * normal(random))
            };
            let values = shapes.iter().map(|&shape| value(shape, &mut random)).collect();
            (pair.domain.clone(), tokens, values)
        })
        .collect();
    let longer = rows.iter().filter(|row| row.1[2] > row.1[1]).count();
    assert!((55..90).contains(&longer), "{longer}");
    let comparisons = compare(&table(&rows), Settings { resamples: 0, ..0.into() }).unwrap();
    let asked: Vec<_> = comparisons.iter().filter(|c| c.domain == "all" && c.metric.starts_with('m')).collect();
    assert!(asked[0].n_chains >= 12, "{} chains", asked[0].n_chains);
    let judged = length_trap::judged(&asked, rows.len(), longer);
    assert_eq!((judged.metrics, judged.found, judged.survive, judged.holds), (4, 4, 0, true), "{judged:?}");
    assert_eq!(judged.explained + judged.no_control, 4);
}

/// What a comparison found; all else is of no matter.
fn found(metric: &str, dz: f64, q: Option<f64>, area: f64, verdict: Verdict) -> Comparison {
    let rows: Vec<Row> = (0..9).map(|i| ("d".to_owned(), [5, 8, 8], vec![[1.0, f64::from(i)]])).collect();
    let other = compare(&table(&rows), Settings { resamples: 0, ..0.into() }).unwrap().remove(0);
    let (cohens_dz, adjusted_q, auroc) = (Some(dz), Some(dz.abs() / 100.0), Some(Auroc { area, interval: None }));
    Comparison { metric: metric.to_owned(), cohens_dz, q_value: q, adjusted_q, auroc, verdict, ..other }
}

#[test]
fn a_positive_control_names_its_strongest_survivors() {
    let dz = |i: i32| f64::from(i) * if i % 2 == 0 { -0.1 } else { 0.1 };
    // the raw difference of the first two was hidden by length
    let survivor = |i: i32| {
        let q = if i <= 2 { 0.2 } else { 0.01 };
        found(&format!("s{i}"), dz(i), Some(q), 0.8, Verdict::SurvivesLengthControl)
    };
    let mut all: Vec<Comparison> = (1..=12).map(survivor).collect();
    all.push(found("edge", 5.0, Some(0.05), 0.85, Verdict::NoLengthControl));
    all.push(found("above", 4.0, Some(0.0501), 0.5, Verdict::Undecided));
    all.push(found("below", -9.0, Some(0.03), 0.1, Verdict::ExplainedByLength));
    all.push(found("untested", 0.0, None, 0.5, Verdict::NoVariation));
    let compared: Vec<&Comparison> = all.iter().collect();
    let of = positive::judged(("truth", "what they differ in"), &compared, 40, 30, Vec::new());
    assert_eq!(
        (of.name.as_str(), of.what.as_str(), of.pairs, of.equal_length),
        ("truth", "what they differ in", 40, 30)
    );
    assert_eq!((of.metrics, of.found, of.survive), (15, 12, 12));
    let named = (3..=12).rev().map(|i| Seen { metric: format!("s{i}"), dz: Some(dz(i)), q: Some(dz(i).abs() / 100.0) });
    assert_eq!(of.survivors, named.collect::<Vec<_>>());
    // by the way that it points: what is smaller tells as well as what is larger
    assert_eq!(of.best_metric, Some(MetricArea { metric: "below".into(), auroc: 0.9, low: None, high: None }));
    assert!(of.seen_by_metrics && !of.seen_by_features && !of.seen_by_probe);
    let none = positive::judged(("truth", "what"), &compared[12..], 40, 30, Vec::new());
    assert!(!none.seen_by_metrics && none.survivors.is_empty(), "{none:?}");
    assert_eq!((none.metrics, none.found, none.survive), (3, 2, 0));
}

#[test]
fn a_probe_sees_what_it_tells_better_than_chance_over_all_layers() {
    // by itself each would be
    let probed =
        |auroc: f64, p_corrected: f64| Some(Probed { auroc, low: None, high: None, floor: 0.6, p: 0.001, p_corrected });
    let layer = |layer: usize, residual, features| ProbedLayer { layer, residual, features };
    let cases = [
        (Vec::new(), [false, false]),
        (vec![layer(1, None, None)], [false, false]),
        (vec![layer(1, probed(0.9, 0.05), probed(0.9, 0.051))], [false, true]),
        // below one half it tells the wrong way round
        (vec![layer(1, probed(0.4, 0.01), None), layer(2, None, probed(0.7, 0.02))], [true, false]),
        (vec![layer(1, probed(0.9, 1.0), probed(0.5, 0.01))], [false, false]),
        (
            vec![layer(1, probed(0.6, 0.2), probed(0.6, 0.2)), layer(2, probed(0.7, 0.01), probed(0.7, 0.01))],
            [true, true],
        ),
    ];
    for (layers, [features, probe]) in cases {
        let of = positive::judged(("truth", "what"), &[], 40, 30, layers.clone());
        assert_eq!((of.seen_by_features, of.seen_by_probe, of.seen_by_metrics), (features, probe, false), "{layers:?}");
        assert_eq!((of.layers, of.metrics, of.best_metric), (layers, 0, None));
    }
}

#[test]
fn probes_are_those_of_scikit_learn() {
    #[derive(serde::Deserialize)]
    struct Case {
        x: Vec<Vec<f32>>,
        y: Vec<f64>,
        fold: Vec<usize>,
        penalty: f64,
        scores: Vec<f64>,
    }
    let golden: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/probe.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_value(golden["cases"].clone()).unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let rows: Vec<&[f32]> = case.x.iter().map(Vec::as_slice).collect();
        let kernel = Kernel::standardised(&rows);
        assert!((kernel.penalty() - case.penalty).abs() < 1e-9 * case.penalty, "{} {}", kernel.penalty(), case.penalty);
        let probe = Probe::new(&kernel, case.penalty, &case.fold).unwrap();
        for (found, wanted) in probe.scores(&case.y).iter().zip(&case.scores) {
            assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
        }
    }
}

#[test]
fn sparse_rows_are_dense_ones_with_their_zeros() {
    let sparse: [(&[u32], &[f32]); 3] = [(&[0, 3, 5], &[1.0, 2.0, 4.0]), (&[3, 4], &[0.5, 7.0]), (&[], &[])];
    let kernel = Kernel::sparse(&sparse);
    // inner products 21, 1, 49.25; squared norms about the mean: (21 + 49.25)/3 − (21 + 49.25 + 2)/9
    assert!((kernel.penalty() - (70.25 / 3.0 - 72.25 / 9.0)).abs() < 1e-12, "{}", kernel.penalty());
}

#[test]
fn groups_stay_in_one_fold() {
    let groups: Vec<u32> = (0..60).map(|i| [i % 7, i % 3][usize::from(i > 30)]).collect();
    let found = folds(&groups).unwrap();
    for i in 0..60 {
        for j in 0..60 {
            assert!(groups[i] != groups[j] || found[i] == found[j]);
        }
    }
    assert_eq!(found.iter().max(), Some(&4));
    assert!((0..5).all(|fold| found.iter().filter(|f| **f == fold).count() >= 4), "{found:?}");
    assert_eq!(folds(&[3; 9]), None);
}

#[test]
fn a_probe_finds_what_is_there_and_nothing_where_nothing_is() {
    let (pairs, d) = (80, 200);
    let mut random = seeded(21);
    let mut rows = |effect: f64| -> Vec<Vec<f32>> {
        let own: Vec<Vec<f64>> = (0..pairs).map(|_| (0..d).map(|_| 2.0 * normal(&mut random)).collect()).collect();
        let text = |pair: usize, sign: f64, random: &mut Stream| -> Vec<f32> {
            own[pair]
                .iter()
                .enumerate()
                .map(|(j, v)| (v + normal(random) + if j < 10 { sign * effect } else { 0.0 }) as f32)
                .collect()
        };
        let mut rows: Vec<Vec<f32>> = (0..pairs).map(|pair| text(pair, -1.0, &mut random)).collect();
        rows.extend((0..pairs).map(|pair| text(pair, 1.0, &mut random)));
        rows
    };
    let groups: Vec<u32> = (0..pairs as u32).collect();
    let of = Pairs { groups: &groups, clusters: &groups, permutations: 199, seed: 1 };
    let mut probed = |effect: f64| {
        let rows = rows(effect);
        let areas = of.areas(&Kernel::standardised(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())).unwrap();
        beside(&[Some(areas)]).remove(0).unwrap()
    };
    let there = probed(1.5);
    assert!(there.auroc > 0.9 && there.p <= 0.005 && there.floor < 0.7, "{there:?}");
    let nothing = probed(0.0);
    assert!(nothing.p > 0.01 && (0.35..0.65).contains(&nothing.auroc) && nothing.floor > 0.5, "{nothing:?}");
    // fewer groups than make two folds
    let one = vec![0; pairs];
    let alone = Pairs { groups: &one, ..of };
    assert!(alone.areas(&Kernel::sparse(&vec![(&[1_u32][..], &[1.0_f32][..]); 2 * pairs])).is_none());
}

#[test]
fn the_best_of_many_layers_is_corrected_for_their_number() {
    let (pairs, d, layers) = (24, 8, 6);
    let groups: Vec<u32> = (0..pairs as u32).collect();
    let (mut raw, mut corrected) = (0, 0);
    for seed in 0..60 {
        let mut random = seeded(1000 + seed);
        let of = Pairs { groups: &groups, clusters: &groups, permutations: 99, seed };
        let areas = (0..layers).map(|_| {
            let rows: Vec<Vec<f32>> =
                (0..2 * pairs).map(|_| (0..d).map(|_| normal(&mut random) as f32).collect()).collect();
            of.areas(&Kernel::standardised(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()))
        });
        let probed: Vec<_> = beside(&areas.collect::<Vec<_>>()).into_iter().flatten().collect();
        assert!(probed.len() == layers && probed.iter().all(|one| one.p_corrected >= one.p));
        raw += usize::from(probed.iter().any(|one| one.p <= 0.05));
        corrected += usize::from(probed.iter().any(|one| one.p_corrected <= 0.05));
    }
    // one in twenty, give or take two standard errors; without the correction about one in four
    assert!(corrected <= 6 && raw >= 9, "{corrected} {raw} of 60");
}
