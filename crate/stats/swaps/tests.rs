use super::*;
use crate::metrics::{Cell, Column, Form, Kind, Table, TextKind};
use crate::random::{Stream, normal_pair};
use crate::stats::{ALPHA, Comparison, Settings, compare};

/// One sample: cluster, token counts, and each metric's values.
#[derive(Clone)]
struct Row {
    cluster: usize,
    tokens: [i64; 2],
    values: Vec<[f64; 2]>,
}

fn table(rows: &[Row]) -> Table {
    let n = rows[0].values.len();
    let mut columns = vec![Column::new("domain", Kind::Utf8), Column::new("cluster", Kind::Utf8)];
    for name in std::iter::once("n_tokens".to_owned()).chain((0..n).map(|i| format!("m{i}"))) {
        for text in [TextKind::Fact, TextKind::Hall] {
            let column = Column::nullable(format!("{name}_{}", text.short()), Kind::Float64);
            columns.push(column.part(&*name, Form::Text(text)));
        }
    }
    let cells = |row: &Row| {
        let mut cells = vec![Cell::Text("d".into()), Cell::Text(row.cluster.to_string())];
        cells.extend(row.tokens.map(|n| Cell::Float(n as f64)));
        cells.extend(row.values.iter().flatten().map(|&v| Cell::from(v)));
        cells
    };
    Table { rows: rows.iter().map(cells).collect(), columns }
}

fn normal(random: &mut Stream) -> f64 {
    normal_pair(random).0
}

/// Samples with an effect in their first metric, of as many clusters as `clusters` says.
fn drawn(seed: u64, n: usize, clusters: usize, metrics: usize, equal: bool) -> Vec<Row> {
    let mut random = stream("swaps", seed, "rows");
    (0..n)
        .map(|i| {
            let a = 5 + random::below(&mut random, 4) as i64;
            let b = if equal { a } else { 5 + random::below(&mut random, 4) as i64 };
            let value = |m: usize, random: &mut Stream| {
                let fact = 3.0 * normal(random);
                [fact, fact + normal(random) + if m == 0 { 1.0 } else { 0.0 }]
            };
            let values = (0..metrics).map(|m| value(m, &mut random)).collect();
            Row { cluster: i % clusters, tokens: [a, b], values }
        })
        .collect()
}

fn settings(swaps: usize) -> SwapSettings {
    SwapSettings { seed: 3, swaps, planted: vec![0.2, 0.8], most_clusters: 5000, clusters: true }
}

/// The rows as a swap leaves them.
fn turned_rows(rows: &[Row], seed: u64) -> Vec<Row> {
    let table = table(rows);
    let samples = Samples::try_from(&table).unwrap();
    let labels: Vec<u32> = (0..rows.len()).map(|row| samples.cluster(row)).collect();
    let design = Design { clusters: Clusters::new(&labels, &vec![0; rows.len()]), labels, counts: Vec::new() };
    let turn = |(row, sign): (&Row, f64)| {
        let mut row = row.clone();
        if sign < 0.0 {
            row.tokens.reverse();
            row.values.iter_mut().for_each(|pair| pair.reverse());
        }
        row
    };
    rows.iter().zip(design.signs(seed)).map(turn).collect()
}

fn compared(rows: &[Row], seed: u64) -> Vec<Comparison> {
    let settings = Settings { resamples: 0, ..seed.into() };
    compare(&table(rows), settings).unwrap().into_iter().filter(|c| c.metric.starts_with('m')).collect()
}

/// The rows with an effect in one metric, in standard deviations of its differences.
fn planted(rows: &[Row], metric: usize, dz: f64) -> Vec<Row> {
    let differences: Vec<f64> = rows.iter().map(|row| row.values[metric][1] - row.values[metric][0]).collect();
    let added = dz * standard_deviation(&differences).unwrap();
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(|row| row.values[metric][1] += added);
    rows
}

fn outcome(c: &Comparison) -> Outcome {
    Outcome { found: c.q_value.is_some_and(|q| q <= ALPHA), survives: c.verdict == Verdict::SurvivesLengthControl }
}

/// Where all sign patterns are gone through, the outcomes are those of the whole comparison of swapped rows.
#[test]
fn swaps_are_what_the_comparison_says_of_swapped_rows() {
    let settings = settings(40);
    for (n, clusters, equal) in [(12, 12, true), (13, 13, false), (36, 12, false), (2, 2, true)] {
        let mut rows = drawn(n as u64, n, clusters, 5, equal);
        // a sample without the last metric, and a metric that never varies
        rows[1].values[4] = [f64::NAN, 1.0];
        rows.iter_mut().for_each(|row| row.values[3] = [1.0, 1.0]);
        let found = swapped(&Samples::try_from(&table(&rows)).unwrap(), &settings, &()).unwrap();
        assert_eq!((found.samples, found.clusters, found.metrics.len()), (n, clusters, 5));
        assert!(!found.metrics[3].tested && found.metrics[0].tested == (n > 2));
        for swap in 0..settings.swaps {
            let turned = turned_rows(&rows, of_swap(settings.seed, swap));
            let whole = compared(&turned, of_swap(settings.seed, swap));
            assert_eq!(found.chains[swap], whole[0].n_chains);
            for (metric, c) in found.metrics.iter().zip(&whole) {
                assert_eq!(metric.metric, c.metric);
                assert_eq!(metric.nothing[swap], outcome(c), "{n} {}: swap {swap}", c.metric);
            }
            for (effect, &dz) in settings.planted.iter().enumerate() {
                let whole = compared(&planted(&turned, 1, dz), of_swap(settings.seed, swap));
                assert_eq!(found.metrics[1].planted[effect][swap], outcome(&whole[1]), "{n}: {dz}, swap {swap}");
            }
        }
    }
}

/// Where patterns are drawn, nearly all are.
#[test]
fn drawn_patterns_change_few_outcomes() {
    let settings = settings(40);
    let rows = drawn(7, 80, 40, 4, false);
    let found = swapped(&Samples::try_from(&table(&rows)).unwrap(), &settings, &()).unwrap();
    let mut other = 0;
    for swap in 0..settings.swaps {
        let seed = of_swap(settings.seed, swap);
        let turned = turned_rows(&rows, seed);
        for (metric, c) in found.metrics.iter().zip(compared(&turned, seed)) {
            other += usize::from(metric.nothing[swap] != outcome(&c));
        }
        let c = compared(&planted(&turned, 1, 0.8), seed);
        other += usize::from(found.metrics[1].planted[1][swap] != outcome(&c[1]));
    }
    assert!(other <= 4, "{other} of {}", settings.swaps * 5);
}

#[test]
fn nothing_is_seldom_found_and_a_large_effect_nearly_always() {
    let settings = SwapSettings { swaps: 200, ..settings(200) };
    let rows = drawn(11, 200, 200, 20, true);
    let found = swapped(&Samples::try_from(&table(&rows)).unwrap(), &settings, &()).unwrap();
    let runs = |of: fn(&Outcome) -> bool| {
        let any = |swap: &usize| found.metrics.iter().any(|metric| of(&metric.nothing[*swap]));
        (0..settings.swaps).filter(any).count() as f64 / settings.swaps as f64
    };
    let (survive, raw) = (runs(|o| o.survives), runs(|o| o.found));
    // 5 % give or take two standard errors of 200 swaps
    assert!(survive <= 0.05 + 0.031 && raw <= 0.05 + 0.031, "{survive} {raw}");
    for metric in &found.metrics {
        let share = metric.planted[1].iter().filter(|o| o.survives).count() as f64 / settings.swaps as f64;
        assert!(share > 0.95, "{}: {share}", metric.metric);
        let small = metric.planted[0].iter().filter(|o| o.survives).count() as f64 / settings.swaps as f64;
        assert!(small < 0.8, "{}: {small}", metric.metric);
    }
}

#[test]
fn of_many_clusters_some_are_taken_whole() {
    let rows = drawn(2, 60, 20, 1, true);
    let settings = SwapSettings { most_clusters: 8, ..settings(3) };
    let found = swapped(&Samples::try_from(&table(&rows)).unwrap(), &settings, &()).unwrap();
    assert_eq!((found.samples, found.clusters), (24, 8));
}
