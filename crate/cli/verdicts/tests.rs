use std::sync::LazyLock;

use super::*;
use crate::metrics::{Cell, Column, Form, Kind, Table, TextKind};
use crate::stats::{Auroc, Equivalence, smallest_detectable_dz};

/// Any comparison, to be changed.
fn template() -> Comparison {
    static ONE: LazyLock<Comparison> = LazyLock::new(compared);
    ONE.clone()
}

fn compared() -> Comparison {
    let mut columns = vec![Column::new("domain", Kind::Utf8)];
    for metric in ["n_tokens", "x"] {
        columns.extend([TextKind::Fact, TextKind::Hall].map(|text| {
            Column::new(format!("{metric}_{}", text.short()), Kind::Float64).part(metric, Form::Text(text))
        }));
    }
    let row = |i: usize| {
        let numbers = [3.0, 4.0, i as f64, (2 * i) as f64].map(Cell::Float);
        std::iter::once(Cell::Text("d".into())).chain(numbers).collect()
    };
    let table = Table { columns, rows: (0..5).map(row).collect() };
    let found = crate::stats::compare(&table, 0).unwrap();
    found.into_iter().find(|c| c.metric == "x").unwrap()
}

fn row(metric: &str, domain: &str, n: usize, dz: f64, verdict: Verdict) -> Comparison {
    Comparison {
        metric: metric.into(),
        difference_of: metric.strip_suffix("_diff").map(str::to_owned),
        domain: domain.into(),
        n,
        mean_diff: Some(dz / 8.0),
        cohens_dz: Some(dz),
        interval: Some((dz / 8.0 - 0.01, dz / 8.0 + 0.01)),
        q_value: Some(if dz.abs() > 0.5 { 0.0004 } else { 0.0321 }),
        verdict,
        auroc: None,
        equivalence: None,
        ..template()
    }
}

const SCREEN: Screen = Screen { lines: 16, columns: 100 };

/// Verdicts as a run of 30 domains may have them.
fn many() -> Vec<Comparison> {
    let verdicts = [
        Verdict::SurvivesLengthControl,
        Verdict::ExplainedByLength,
        Verdict::NoDifference,
        Verdict::NoLengthControl,
        Verdict::NoDifference,
        Verdict::TooFewSamples,
    ];
    let mut rows = Vec::new();
    for domain in 0..30 {
        let domain = if domain == 0 { "all".to_owned() } else { format!("domain {domain}") };
        for metric in 0..12 {
            let i = rows.len();
            let dz = ((i * 37) % 101) as f64 / 50.0 - 1.0;
            rows.push(row(&format!("l{metric}_sphericity"), &domain, 40 + i % 7, dz, verdicts[i % verdicts.len()]));
        }
    }
    rows
}

#[track_caller]
fn fits(text: &str, screen: Screen) {
    assert!(text.lines().count() <= screen.lines, "{} lines:\n{text}", text.lines().count());
    assert!(text.lines().all(|line| width(line) <= screen.columns), "{text}");
}

#[test]
fn one_domain() {
    let rows = [
        row("l6_gini", "all", 200, 0.8, Verdict::SurvivesLengthControl),
        row("l23_sphericity", "all", 200, -0.41, Verdict::ExplainedByLength),
        row("centroid_drift", "all", 200, 0.3, Verdict::ExplainedByLength),
        row("centroid_drift_diff", "all", 200, 0.3, Verdict::ExplainedByLength),
        row("entropy", "all", 200, 0.05, Verdict::NoDifference),
        row("axis_twist", "all", 200, 0.0, Verdict::NoDifference),
        row("stability", "all", 200, 0.0, Verdict::NoVariation),
        row("n_tokens", "all", 200, 1.5, Verdict::Control),
    ];
    let text = verdicts(&rows, &Features::default(), SCREEN);
    let expected = "\
6 comparisons of hallucination with fact, at q <= 0.05
  metric          domain    n  hall - fact     95 % interval    d_z       q
survives its length control: 1   (all 1)
  l6_gini         all     200       +0.100    [+0.090, +0.110]  +0.80  <0.001
explained by length: 2   (all 2)
  l23_sphericity  all     200      -0.0512  [-0.0612, -0.0412]  -0.41   0.032
  centroid_drift  all     200      +0.0375  [+0.0275, +0.0475]  +0.30   0.032
no difference: 2; no variation: 1";
    // the interval's column is as wide as its widest cell
    let squeezed =
        |text: &str| text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!(squeezed(&text), squeezed(expected), "{text}");
    let ends: Vec<usize> = text.lines().filter(|l| l.starts_with("  ")).map(width).collect();
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "columns are not aligned:\n{text}");
    fits(&text, SCREEN);
}

#[test]
fn nothing_survives_in_one_line_with_what_would_have_been_seen() {
    let matched = |row: Comparison, n: usize| Comparison {
        adjusted: Some(Adjusted { difference: 0.0, interval: None, p: 1.0 }),
        n_matched: n,
        adjusted_detectable_dz: smallest_detectable_dz(n),
        ..row
    };
    let one = [matched(row("entropy", "all", 300, 0.1, Verdict::NoDifference), 200)];
    let text = verdicts(&one, &Features::default(), SCREEN);
    assert_eq!(
        text,
        "1 comparison of hallucination with fact, at q <= 0.05\n\
         nothing survives: one test of 200 matched triples finds |d_z| >= 0.20 in 80 % of runs\n\
         no difference: 1"
    );
    let two = [one[0].clone(), matched(row("entropy", "dates", 40, 0.9, Verdict::ExplainedByLength), 20)];
    let text = verdicts(&two, &Features::default(), SCREEN);
    assert!(text.contains("of matched triples finds |d_z| >= 0.20 (200), 0.66 (20) in 80 % of runs"), "{text}");
    // triples of one cluster count once
    let copies = [Comparison { adjusted_detectable_dz: Some(0.45), ..one[0].clone() }];
    let text = verdicts(&copies, &Features::default(), SCREEN);
    assert!(text.contains("one test of 200 matched triples finds |d_z| >= 0.45 in 80 % of runs"), "{text}");
    // pairs enough, but none of equal length
    let apart = [row("entropy", "all", 300, 0.9, Verdict::NoLengthControl)];
    assert!(verdicts(&apart, &Features::default(), SCREEN).contains("too few triples match in length"));
    let tiny = [row("entropy", "all", 2, 0.0, Verdict::TooFewSamples)];
    assert!(verdicts(&tiny, &Features::default(), SCREEN).contains("too few samples to find anything"));
    assert!(!verdicts(&many(), &Features::default(), SCREEN).contains("nothing survives"));
}

#[test]
fn what_is_ruled_out_and_what_trivial_baselines_tell_is_said() {
    let ruled_out = |row: Comparison, excluded_dz: f64| Comparison {
        equivalence: Some(Equivalence { p: 0.01, excluded_dz }),
        ..row
    };
    let area = |row: Comparison, area: f64| Comparison { auroc: Some(Auroc { area, interval: None }), ..row };
    let rows = [
        area(ruled_out(row("entropy", "all", 200, 0.05, Verdict::NoDifference), 0.172), 0.52),
        ruled_out(row("axis_twist", "all", 200, 0.0, Verdict::NoDifference), 0.117),
        area(ruled_out(row("l6_gini", "all", 200, 0.1, Verdict::Undecided), 0.4), 0.41),
        area(row("logprob", "all", 200, -0.9, Verdict::NoLengthControl), 0.22),
        area(row("n_tokens", "all", 200, 0.4, Verdict::Control), 0.61),
        area(row("n_tokens", "dates", 20, 0.4, Verdict::Control), 0.9),
    ];
    let text = verdicts(&rows, &Features::default(), SCREEN);
    assert!(text.contains("no difference: 2 (|d_z| above 0.17 ruled out); undecided: 1"), "{text}");
    let last = text.lines().last().unwrap();
    assert_eq!(last, "AUROC of length alone 0.61, of log-probability alone 0.78, of the best metric (l6_gini) 0.59");
    fits(&text, SCREEN);
}

#[test]
fn no_domain_at_all() {
    let text = verdicts(&[], &Features::default(), SCREEN);
    assert!(text.starts_with("0 comparisons") && text.contains("nothing survives"), "{text}");
    fits(&text, SCREEN);
}

#[test]
fn thirty_domains_fit_the_screen_and_nothing_is_uncounted() {
    for lines in 8..40 {
        let screen = Screen { lines, ..SCREEN };
        let text = verdicts(&many(), &Features::default(), screen);
        fits(&text, screen);
        for title in ["survives its length control", "explained by length", "no length control possible"] {
            let n = 60;
            assert!(text.contains(&format!("{title}: {n} ")), "{lines}: {text}");
            let after = text.lines().skip_while(|line| !line.starts_with(title)).skip(1);
            let shown: Vec<&str> = after.take_while(|line| line.starts_with("  ")).collect();
            if let Some(more) = shown.last().and_then(|l| l.trim().strip_prefix("… and ")) {
                let more: usize = more.trim_end_matches(" more").parse().unwrap();
                assert_eq!(shown.len() - 1 + more, n, "{text}");
            } else {
                assert!(shown.is_empty() || shown.len() == n, "{text}");
            }
        }
        assert!(text.contains("no difference: 120; too few samples: 60"), "{text}");
    }
    let text = verdicts(&many(), &Features::default(), SCREEN);
    let dz: Vec<f64> = text
        .lines()
        .skip_while(|l| !l.starts_with("survives"))
        .skip(1)
        .take_while(|l| l.starts_with("  l"))
        .map(|l| l.split_whitespace().rev().nth(1).unwrap().parse::<f64>().unwrap().abs())
        .collect();
    assert!(dz.len() > 2 && dz.windows(2).all(|pair| pair[0] >= pair[1]), "the strongest first: {dz:?}");
}

#[test]
fn a_tall_screen_shows_every_row_and_needs_no_count() {
    let text = verdicts(&many(), &Features::default(), Screen { lines: 400, columns: 100 });
    assert!(!text.contains("… and"), "{text}");
    assert_eq!(text.lines().filter(|l| l.starts_with("  l")).count(), 180);
}

#[test]
fn long_names_and_narrow_terminals() {
    let long = "l23_cross_layer_reconstruction_cosine_of_a_metric_with_a_name_that_does_not_end";
    let rows = [
        row(long, "一つの非常に長い領域の名前です", 200, 0.82, Verdict::SurvivesLengthControl),
        row("l6_gini", "a domain with \u{1b}[31mcolour\nand lines", 200, -0.82, Verdict::NoLengthControl),
    ];
    for columns in 30..140 {
        let screen = Screen { lines: 16, columns };
        let text = verdicts(&rows, &Features::default(), screen);
        fits(&text, screen);
        assert!(!text.contains('\u{1b}') && text.lines().count() == 6, "{text}");
        assert!(text.contains("+0.82") && text.contains("l23_"), "{columns}: what matters most is left out:\n{text}");
    }
    let wide = verdicts(&rows, &Features::default(), Screen { lines: 16, columns: 100 });
    assert!(wide.contains("l23_cr") && wide.contains("end  ") && wide.contains("hall - fact"), "{wide}");
}

#[test]
fn missing_numbers_are_dashes() {
    let mut bare = row("l6_gini", "all", 3, 0.0, Verdict::NoLengthControl);
    (bare.mean_diff, bare.cohens_dz, bare.interval, bare.q_value) = (None, None, None, None);
    let text = verdicts(&[bare], &Features::default(), SCREEN);
    assert!(text.lines().any(|l| l.split_whitespace().eq(["l6_gini", "all", "3", "-", "-", "-", "-"])), "{text}");
}

#[test]
fn numbers_of_a_row_share_their_decimals() {
    for (x, scale, text) in [
        (0.012345, 0.012345, "+0.0123"),
        (-0.0041, 0.0123, "-0.0041"),
        (-3.24159, 3.2, "-3.24"),
        (41.26, 41.26, "+41.3"),
        (1234.5, 1234.5, "+1234"),
        (2.5e-7, 3e-7, "+2.5e-7"),
        (-1.5e7, 1.5e7, "-1.5e7"),
        (0.0, 0.0, "0"),
    ] {
        assert_eq!(number(x, scale), text);
    }
}

#[test]
fn a_groups_domains_end_where_the_line_does() {
    let rows: Vec<Comparison> =
        (0..8).map(|i| row("l6_gini", &format!("domain{}", i / 2), 9, 0.5, Verdict::NoLengthControl)).collect();
    let rows: Vec<&Comparison> = rows.iter().collect();
    assert_eq!(domains(&rows, 80), "(domain0 2, domain1 2, domain2 2, domain3 2)");
    assert_eq!(domains(&rows, 43), "(domain0 2, domain1 2, domain2 2, …)");
    assert_eq!(domains(&rows, 20), "(domain0 2, …)");
    assert_eq!(domains(&rows, 8), "(…)");
}

#[test]
fn every_group_shows_its_strongest_where_there_is_room() {
    assert_eq!(share(&[2, 12, 9], 40), [2, 12, 9]);
    assert_eq!(share(&[12, 9], 10), [5, 3]);
    assert_eq!(share(&[60, 60, 60], 12), [3, 3, 3]);
    assert_eq!(share(&[60, 60, 60], 7), [2, 1, 1]);
    assert_eq!(share(&[1, 1], 2), [1, 1]);
    assert_eq!(share(&[60, 60], 0), [0, 0]);
}

#[test]
fn a_survivor_is_shown_with_what_its_verdict_rests_on() {
    let survivor = |metric: &str, difference: f64| Comparison {
        adjusted: Some(Adjusted { difference, interval: Some((difference - 0.04, difference + 0.04)), p: 0.001 }),
        adjusted_q: Some(0.012),
        n_matched: 90,
        ..row(metric, "all", 200, 0.04, Verdict::SurvivesLengthControl)
    };
    // the raw difference is small in both: length hid them
    let text = verdicts(&[survivor("l6_gini", 0.1), survivor("entropy", -0.2)], &Features::default(), SCREEN);
    assert!(text.contains("survives its length control (figures at equal length): 2"), "{text}");
    let lines: Vec<String> =
        text.lines().rev().take(2).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[0], "l6_gini all 90 +0.100 [+0.060, +0.140] +0.80 0.012", "{text}");
    assert_eq!(lines[1], "entropy all 90 -0.200 [-0.240, -0.160] -1.60 0.012", "{text}");
}
