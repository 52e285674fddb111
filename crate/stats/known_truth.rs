//! What a comparison says of simulated data of which the truth is known: 200 seeds each.
//!
//!     cargo test --release --package saescope known_truth -- --nocapture

use super::compare::{ALPHA, Comparison, compare};
use super::controls::Control;
use super::resample::stream;
use super::settings::Settings;
use super::simulation::{integer, normal};
use super::verdict::Verdict;
use crate::metrics::{Cell, Column, Family, Form, Kind, Table, TextKind};
use crate::random::Stream;

const SEEDS: u64 = 200;
/// Metrics of a data set.
const METRICS: usize = 10;

/// One sample: its cluster, token counts, log-probabilities, and values of fact and hallucination.
struct Row {
    cluster: usize,
    tokens: [i64; 2],
    logprob: [f64; 2],
    /// Last tokens, and their ranks.
    last: [i64; 2],
    values: Vec<[f64; 2]>,
}

impl Row {
    /// Equal lengths, and values that differ by a normal deviate of mean `dz` and standard deviation 1 in the
    /// first metric, of mean 0 in the others.
    fn plain(random: &mut Stream, cluster: usize, dz: f64) -> Self {
        let value = |i: usize, random: &mut Stream| {
            let fact = 3.0 * normal(random);
            [fact, fact + normal(random) + if i == 0 { dz } else { 0.0 }]
        };
        let last = [integer(random, 0, 20), integer(random, 0, 20)];
        let values = (0..METRICS).map(|i| value(i, random)).collect();
        Self { cluster, tokens: [8; 2], logprob: [-1.0; 2], last, values }
    }
}

fn table(rows: &[Row]) -> Table {
    let sides = [TextKind::Fact, TextKind::Hall];
    let mut columns = vec![Column::new("domain", Kind::Utf8), Column::new("cluster", Kind::Utf8)];
    let controls = ["n_tokens", "logprob", "last_token", "last_token_rank", "logprob_per_token"].map(str::to_owned);
    for name in controls.into_iter().chain((0..METRICS).map(|i| format!("m{i}"))) {
        let column = |text: TextKind| {
            let mut column =
                Column::new(format!("{name}_{}", text.short()), Kind::Float64).part(&*name, Form::Text(text));
            if let Some(part) = &mut column.part {
                part.family = match name.as_str() {
                    "last_token" => Family::None,
                    "last_token_rank" | "logprob_per_token" => Family::Controls,
                    _ => Family::Metrics,
                };
            }
            column
        };
        columns.extend(sides.map(column));
    }
    let cells = |row: &Row| {
        let mut cells = vec![Cell::Text("d".into()), Cell::Text(row.cluster.to_string())];
        cells.extend(row.tokens.map(|n| Cell::Float(n as f64)));
        cells.extend(row.logprob.map(Cell::Float));
        // a token's rank is its number here
        cells.extend(row.last.iter().chain(&row.last).map(|&token| Cell::Float(token as f64)));
        let per_token = |side: usize| Cell::Float(row.logprob[side] / row.tokens[side] as f64);
        cells.extend([per_token(0), per_token(1)]);
        cells.extend(row.values.iter().flatten().map(|&v| Cell::Float(v)));
        cells
    };
    Table { rows: rows.iter().map(cells).collect(), columns }
}

/// The comparisons of a metric by seed.
type Found = Vec<Vec<Comparison>>;

/// All metrics of all data sets that `draw` makes.
fn simulate(name: &str, resamples: usize, draw: impl Fn(&mut Stream) -> Vec<Row> + Sync + Send) -> Found {
    crate::platform::par_map(SEEDS as usize, |seed| {
        let mut random = stream("known truth", seed as u64, name);
        let settings = Settings { resamples, ..(seed as u64).into() };
        let found = compare(&table(&draw(&mut random)), settings).unwrap();
        found.into_iter().filter(|c| c.metric.starts_with('m')).collect()
    })
}

/// Share of the chosen metrics' comparisons for which this holds.
fn share(found: &[Vec<Comparison>], chosen: impl Fn(usize) -> bool, holds: impl Fn(&Comparison) -> bool) -> f64 {
    let of = found.iter().flat_map(|set| set.iter().enumerate().filter(|(i, _)| chosen(*i)).map(|(_, c)| c));
    let (n, hits) = of.fold((0, 0), |(n, hits), c| (n + 1, hits + usize::from(holds(c))));
    hits as f64 / n as f64
}

fn survives(c: &Comparison) -> bool {
    c.verdict == Verdict::SurvivesLengthControl
}

#[test]
fn no_effect_survives_in_few_rows() {
    let found = simulate("nothing", 0, |r| (0..200).map(|i| Row::plain(r, i, 0.0)).collect());
    let (survive, nothing) =
        (share(&found, |_| true, survives), share(&found, |_| true, |c| c.verdict == Verdict::NoDifference));
    println!("no effect: {:.2} % survive, {:.1} % are ruled out", 100.0 * survive, 100.0 * nothing);
    assert!(survive <= 0.05, "{survive}");
    // 200 pairs are enough to say that there is none
    assert!(nothing >= 0.95, "{nothing}");
    let holm = share(&found, |_| true, |c| c.p_holm.is_some_and(|p| p <= ALPHA));
    assert!(holm * METRICS as f64 <= 0.05 + 0.03, "a false one by Holm in {holm} of rows");
}

#[test]
fn a_planted_effect_is_found() {
    let found = simulate("planted", 0, |r| (0..200).map(|i| Row::plain(r, i, 0.5)).collect());
    let raw = share(&found, |i| i == 0, |c| c.q_value.is_some_and(|q| q <= ALPHA));
    let survive = share(&found, |i| i == 0, survives);
    println!("d_z 0.5 at n 200: {:.1} % found, {:.1} % survive", 100.0 * raw, 100.0 * survive);
    assert!(raw >= 0.95 && survive >= 0.95, "{raw} {survive}");
    assert!(share(&found, |i| i > 0, survives) <= 0.05);
}

#[test]
fn an_effect_as_large_as_the_bound_is_seldom_ruled_out() {
    for n in [60, 200] {
        let found = simulate("bound", 0, |r| (0..n).map(|i| Row::plain(r, i, 0.3)).collect());
        let ruled_out = share(&found, |i| i == 0, |c| c.equivalence.is_some_and(|e| e.p <= ALPHA));
        let no_difference = share(&found, |i| i == 0, |c| c.verdict == Verdict::NoDifference);
        println!(
            "d_z 0.3 at n {n}: {:.1} % ruled out, {:.1} % no difference",
            100.0 * ruled_out,
            100.0 * no_difference
        );
        // 5 % give or take two standard errors of 200 seeds
        assert!(ruled_out <= 0.05 + 0.031 && no_difference <= ruled_out, "{ruled_out} {no_difference}");
    }
    let few = simulate("few", 0, |r| (0..30).map(|i| Row::plain(r, i, 0.0)).collect());
    let undecided = share(&few, |_| true, |c| c.verdict == Verdict::Undecided);
    assert!(undecided > 0.5, "thirty pairs cannot rule out 0.3: {undecided}");
}

#[test]
fn a_pure_length_effect_shows_raw_and_dies_in_both_controls() {
    let draw = |r: &mut Stream| {
        let one = |i: usize, r: &mut Stream| {
            let tokens = [integer(r, 4, 9), integer(r, 5, 14)];
            let values = (0..METRICS).map(|_| {
                let base = 2.0 * normal(r);
                tokens.map(|n| base + (n as f64).ln() * 4.0 + normal(r))
            });
            let values = values.collect();
            Row { cluster: i, tokens, logprob: [-1.0; 2], last: [0; 2], values }
        };
        (0..200).map(|i| one(i, r)).collect()
    };
    let found = simulate("length", 0, draw);
    let raw = share(&found, |_| true, |c| c.q_value.is_some_and(|q| q <= ALPHA));
    let chains = share(&found, |_| true, |c| c.adjusted_q.is_some_and(|q| q <= ALPHA));
    let equal = share(&found, |_| true, |c| c.equal_q.is_some_and(|q| q <= ALPHA));
    println!(
        "pure length: raw {:.1} %, chains {:.2} %, equal length {:.2} %",
        100.0 * raw,
        100.0 * chains,
        100.0 * equal
    );
    assert!(raw >= 0.95 && chains <= 0.05 && equal <= 0.05, "{raw} {chains} {equal}");
    assert!(share(&found, |_| true, survives) <= 0.05);
}

#[test]
fn a_pure_effect_of_likelihood_dies_at_equal_likelihood() {
    let draw = |r: &mut Stream| {
        let one = |i: usize, r: &mut Stream| {
            let shared = 3.0 * normal(r);
            let logprob = [-8.0 + shared + 3.0 * normal(r), -11.0 + shared + 3.0 * normal(r)];
            let values = (0..METRICS).map(|m| {
                let base = 2.0 * normal(r);
                let of = |l: f64| if m % 2 == 0 { 0.3 * l } else { 2.0 * (-l).max(0.1).ln() };
                logprob.map(|l| base + of(l) + normal(r))
            });
            let values = values.collect();
            Row { cluster: i, tokens: [8; 2], logprob, last: [0; 2], values }
        };
        (0..200).map(|i| one(i, r)).collect()
    };
    let found = simulate("likelihood", 0, draw);
    let raw = share(&found, |_| true, |c| c.q_value.is_some_and(|q| q <= ALPHA));
    let matched = share(&found, |_| true, |c| c.likely.is_some_and(|a| a.p <= ALPHA));
    let n = found.iter().flatten().map(|c| c.n_likely_matched.unwrap()).sum::<usize>() / (SEEDS as usize * METRICS);
    println!(
        "pure likelihood: raw {:.1} %, at equal likelihood p <= 0.05 in {:.1} % ({n} matched)",
        100.0 * raw,
        100.0 * matched
    );
    assert!(raw >= 0.95 && n >= 60, "{raw} {n}");
    // what is left within a grade is little
    assert!(matched <= 0.08, "{matched}");
}

/// What a control says of a metric.
fn by(control: usize) -> impl Fn(&Comparison) -> Verdict {
    move |c| c.controls[control].unwrap().verdict
}

#[test]
fn without_an_effect_few_rows_survive_any_control() {
    let found = simulate("no control", 0, |r| (0..200).map(|i| Row::plain(r, i, 0.0)).collect());
    for (i, control) in Control::ALL.into_iter().enumerate() {
        let survive = share(&found, |_| true, |c| by(i)(c) == Verdict::SurvivesLengthControl);
        let chains = share(&found, |_| true, |c| c.controls[i].unwrap().adjusted.is_some());
        println!(
            "no effect, at {}: {:.2} % survive, control in {:.0} %",
            control.what(),
            100.0 * survive,
            100.0 * chains
        );
        assert!(survive <= 0.05 && chains >= 0.95, "{control:?}: {survive} {chains}");
    }
    let found = simulate("control, planted", 0, |r| (0..200).map(|i| Row::plain(r, i, 0.5)).collect());
    for i in 0..Control::ALL.len() {
        let survive = share(&found, |m| m == 0, |c| by(i)(c) == Verdict::SurvivesLengthControl);
        assert!(survive >= 0.9, "what is planted is there at {}: {survive}", Control::ALL[i].what());
    }
}

#[test]
fn an_effect_of_the_last_token_dies_where_it_is_held_equal() {
    // hallucinations end on other tokens than facts, and every token has its own effect on every metric
    let draw = |r: &mut Stream| {
        let effects: Vec<Vec<f64>> = (0..METRICS).map(|_| (0..24).map(|_| normal(r)).collect()).collect();
        let one = |i: usize, r: &mut Stream| {
            let last = [integer(r, 0, 17), integer(r, 6, 23)];
            let values = (0..METRICS).map(|m| {
                let base = 2.0 * normal(r);
                let slope = if m < METRICS / 2 { 0.25 } else { 0.0 };
                last.map(|token| base + 3.0 * effects[m][token as usize] + slope * token as f64 + 0.3 * normal(r))
            });
            let values = values.collect();
            Row { cluster: i, tokens: [8; 2], logprob: [-1.0; 2], last, values }
        };
        (0..300).map(|i| one(i, r)).collect()
    };
    let found = simulate("last token", 0, draw);
    let raw = share(&found, |m| m < METRICS / 2, survives);
    let same = share(&found, |_| true, |c| by(0)(c) == Verdict::SurvivesLengthControl);
    let n =
        found.iter().flatten().map(|c| c.controls[0].unwrap().n_matched).sum::<usize>() / (SEEDS as usize * METRICS);
    println!(
        "of the last token: {:.1} % survive length, {:.2} % its own control ({n} matched)",
        100.0 * raw,
        100.0 * same
    );
    assert!(raw >= 0.5 && same <= 0.05 && n >= 60, "{raw} {same} {n}");
}

#[test]
fn where_no_token_ends_both_sides_there_is_no_control() {
    let draw = |r: &mut Stream| {
        let apart = |i: usize, r: &mut Stream| Row { last: [i as i64, 1000 + i as i64], ..Row::plain(r, i, 0.5) };
        (0..100).map(|i| apart(i, r)).collect()
    };
    for c in simulate("apart", 0, draw).iter().flatten() {
        let of = c.controls[0].unwrap();
        assert_eq!((of.n_matched, of.n_chains, of.adjusted), (0, 0, None));
        assert!(!matches!(of.verdict, Verdict::SurvivesLengthControl | Verdict::ExplainedByLength), "{:?}", of.verdict);
    }
}

#[test]
fn ten_copies_of_each_sample_find_no_more_and_cover_as_much() {
    let draw = |r: &mut Stream| -> Vec<Row> {
        let copies = (0..40).map(|i| Row::plain(r, i, 0.0)).collect::<Vec<_>>();
        let copy = |row: &Row| Row { values: row.values.clone(), ..*row };
        (0..10).flat_map(|_| copies.iter().map(copy).collect::<Vec<_>>()).collect()
    };
    let found = simulate("copies", 500, draw);
    let rejected = share(&found, |_| true, |c| c.p_permutation.is_some_and(|p| p <= ALPHA));
    let covered = share(&found, |_| true, |c| c.interval.is_some_and(|(low, high)| low <= 0.0 && 0.0 <= high));
    let equal = share(&found, |_| true, |c| c.verdict == Verdict::NoDifference);
    println!(
        "400 rows of 40: p <= 0.05 in {:.1} %, interval covers in {:.1} %, {:.1} % no difference",
        100.0 * rejected,
        100.0 * covered,
        100.0 * equal
    );
    assert!(rejected <= 0.065 && covered >= 0.92, "{rejected} {covered}");
    assert!(share(&found, |_| true, survives) <= 0.05);
    assert!(found.iter().flatten().all(|c| (c.n, c.n_clusters) == (400, 40)));
    // as independent samples they would find much
    let alone: Found = crate::platform::par_map(SEEDS as usize, |seed| {
        let rows = draw(&mut stream("known truth", seed as u64, "copies"));
        let settings = Settings { resamples: 0, clusters: false, ..(seed as u64).into() };
        compare(&table(&rows), settings).unwrap().into_iter().filter(|c| c.metric.starts_with('m')).collect()
    });
    let rejected = share(&alone, |_| true, |c| c.p_permutation.is_some_and(|p| p <= ALPHA));
    assert!(rejected > 0.3, "{rejected}");
}
