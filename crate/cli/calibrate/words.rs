//! A calibration on a terminal: at most a screen, in plain words.

use crate::cli::verdicts::Screen;
use crate::error::shown;
use crate::output::{
    Calibration, Ceiling, FalseAlarms, LengthTrap, MetricArea, Planted, PositiveControl, Probed, ProbedLayer, Share,
    SwapInfo, TestFamily,
};
use crate::stats::MIN_CHAINS;

/// Room for what is spoken of, before what is said of it.
const LABEL: usize = 16;

/// The table.
pub fn table(calibration: &Calibration, screen: Screen) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    for of in &calibration.false_alarms {
        rows.push((format!("false alarms{}", suffix(of.family)), false_alarms(of, &calibration.swaps)));
    }
    if calibration.false_alarms.is_empty() {
        let none = "no answer: no metric differs between fact and hallucination in enough samples to be tested";
        rows.push(("false alarms".to_owned(), none.to_owned()));
    }
    for of in calibration.planted.iter().filter(|of| of.family == TestFamily::Metrics) {
        rows.push((format!("planted {:.1}", of.dz), planted(of)));
    }
    rows.extend(calibration.length_trap.iter().map(|of| ("length trap".to_owned(), length_trap(of))));
    for of in &calibration.positive_controls {
        rows.push((of.name.clone(), positive(of)));
    }
    rows.extend(calibration.ceiling.iter().map(|of| ("ceiling".to_owned(), ceiling(of))));
    for of in &calibration.left_out {
        rows.push(("left out".to_owned(), format!("{}: {}", of.part, shown(&of.reason))));
    }
    let swaps = &calibration.swaps;
    let mut lines = vec![format!(
        "does the instrument work here: {} swaps of {} samples in {} clusters, a median of {} chains",
        swaps.swaps, swaps.samples, swaps.clusters, swaps.median_chains
    )];
    let width = screen.columns.saturating_sub(LABEL).max(20);
    for (label, text) in rows {
        for (i, line) in wrapped(&text, width).into_iter().enumerate() {
            lines.push(format!("{:<LABEL$}{line}", if i == 0 { label.as_str() } else { "" }));
        }
    }
    lines.join("\n")
}

fn suffix(family: TestFamily) -> &'static str {
    match family {
        TestFamily::Metrics => "",
        TestFamily::Nulls => ", z",
    }
}

fn false_alarms(of: &FalseAlarms, swaps: &SwapInfo) -> String {
    // what has no length control cannot survive it
    let controlled = swaps.median_chains >= MIN_CHAINS;
    let says = match (of.runs_survive.share <= of.nominal, of.holds) {
        (true, _) if !controlled => "no answer, since there are too few chains for a length control",
        (true, _) => "holds",
        (false, true) => "not shown to be more",
        (false, false) => "TOO MANY",
    };
    let swaps = swaps.swaps;
    format!(
        "of {} {} something survives in {} of {swaps} swaps (at most {} expected): {says}; {} of rows; before the control in {}",
        of.metrics,
        match of.family {
            TestFamily::Metrics => "metrics",
            TestFamily::Nulls => "z-scores",
        },
        percent(of.runs_survive),
        short(of.nominal),
        short(of.rows_survive.share),
        percent(of.runs_found)
    )
}

fn planted(of: &Planted) -> String {
    format!(
        "an effect of d_z {:.1} survives in {} of swaps in the median metric ({} to {}, least in {}); before the control in {}",
        of.dz,
        short(of.survive.median.share),
        short(of.survive.min.share),
        short(of.survive.max.share),
        of.survive.min_metric,
        short(of.found.median.share)
    )
}

fn length_trap(of: &LengthTrap) -> String {
    let says = match (of.survive, of.found, of.explained) {
        (0, 0, _) => "nothing fell into it".to_owned(),
        (0, _, 0) => "no answer, since nothing had a control".to_owned(),
        (0, ..) => "holds".to_owned(),
        (n, ..) => format!("{n} SURVIVE ({})", of.survivors.iter().take(3).cloned().collect::<Vec<_>>().join(", ")),
    };
    format!(
        "{} pairs: {} of {} metrics differ raw, {} survive their control ({} explained by length, {} without a control): {says}",
        of.pairs, of.found, of.metrics, of.survive, of.explained, of.no_control
    )
}

fn positive(of: &PositiveControl) -> String {
    let mut text = format!(
        "{} pairs, {} of equal length: {} of {} metrics survive",
        of.pairs, of.equal_length, of.survive, of.metrics
    );
    if let Some(best) = &of.best_metric {
        text += &format!(", the best has {}", area(best));
    }
    text += &format!(
        "; probe on features {}, on the residual stream {}",
        best_probe(&of.layers, |l| l.features.as_ref()),
        best_probe(&of.layers, |l| l.residual.as_ref())
    );
    text + match (of.seen_by_metrics, of.seen_by_features, of.seen_by_probe) {
        (true, _, _) => ": seen by the metrics",
        (false, true, _) => ": NOT SEEN BY ANY METRIC, seen in the features",
        (false, false, true) => ": NOT SEEN BY METRICS OR FEATURES, though the residual stream has it",
        (false, false, false) => ": not seen, nor does a linear probe find it in the residual stream",
    }
}

fn ceiling(of: &Ceiling) -> String {
    let mut text = format!(
        "{} of the run's own pairs: probe on the residual stream {}, on features {}",
        of.pairs,
        best_probe(&of.layers, |l| l.residual.as_ref()),
        best_probe(&of.layers, |l| l.features.as_ref())
    );
    if let Some(best) = &of.best_metric {
        text += &format!("; the best metric {}", area(best));
    }
    if let Some(length) = &of.length {
        text += &format!("; length alone {}", number(length.auroc, length.low.zip(length.high)));
    }
    text
}

/// The layer whose probe is best.
fn best_probe(layers: &[ProbedLayer], of: fn(&ProbedLayer) -> Option<&Probed>) -> String {
    let best = layers.iter().filter_map(|layer| Some((layer.layer, of(layer)?)));
    match best.max_by(|a, b| a.1.auroc.total_cmp(&b.1.auroc)) {
        Some((layer, of)) => {
            format!(
                "AUROC {} at layer {layer} (p {:.3} over layers)",
                number(of.auroc, of.low.zip(of.high)),
                of.p_corrected
            )
        }
        None => "none".to_owned(),
    }
}

fn area(of: &MetricArea) -> String {
    format!("AUROC {} ({})", number(of.auroc, of.low.zip(of.high)), of.metric)
}

fn number(value: f64, interval: Option<(f64, f64)>) -> String {
    match interval {
        Some((low, high)) => format!("{value:.2} [{low:.2}, {high:.2}]"),
        None => format!("{value:.2}"),
    }
}

/// `3.5 % [1.7, 7.0]`
fn percent(of: Share) -> String {
    format!("{} [{:.1}, {:.1}]", short(of.share), 100.0 * of.low, 100.0 * of.high)
}

/// `3.5 %`, `0.03 %`, `5 %`
fn short(share: f64) -> String {
    let percent = 100.0 * share;
    let text = if percent > 0.0 && percent < 0.1 { format!("{percent:.2}") } else { format!("{percent:.1}") };
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// Words in lines of at most `width` letters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(share: f64, low: f64) -> Share {
        Share { share, low, high: share + 0.05 }
    }

    #[test]
    fn too_many_false_alarms_are_called_so() {
        let said = |runs_survive: Share, holds: bool, median_chains: usize| {
            let of = FalseAlarms {
                family: TestFamily::Metrics,
                metrics: 39,
                runs_survive,
                rows_survive: share(0.01, 0.0),
                runs_found: share(0.3, 0.2),
                rows_found: share(0.02, 0.01),
                nominal: 0.05,
                holds,
            };
            let swaps = SwapInfo { swaps: 200, samples: 90, clusters: 90, median_chains, clustered: true };
            false_alarms(&of, &swaps)
        };
        assert!(
            said(share(0.2, 0.1), false, 50)
                .contains("20 % [10.0, 25.0] of 200 swaps (at most 5 % expected): TOO MANY;")
        );
        assert!(said(share(0.08, 0.04), true, 50).contains("expected): not shown to be more;"));
        assert!(said(share(0.04, 0.01), true, 50).contains("expected): holds;"));
        // too few chains for anything to survive is no merit
        assert!(
            said(share(0.0, 0.0), true, MIN_CHAINS - 1)
                .contains("expected): no answer, since there are too few chains")
        );
    }

    #[test]
    fn a_trap_holds_only_where_something_fell_into_it_and_was_taken_out() {
        let said = |found: usize, survive: usize, explained: usize| {
            length_trap(&LengthTrap {
                pairs: 100,
                longer_hallucinations: 70,
                metrics: 39,
                found,
                survive,
                explained,
                no_control: found - survive - explained,
                matched: 36,
                survivors: ["a", "b", "c", "d"][..survive].iter().map(|&name| name.to_owned()).collect(),
                holds: survive == 0 && explained > 0,
            })
        };
        assert!(said(20, 0, 16).ends_with(": holds"));
        assert!(said(0, 0, 0).ends_with(": nothing fell into it"));
        assert!(said(5, 0, 0).ends_with(": no answer, since nothing had a control"));
        assert!(said(20, 4, 10).ends_with(": 4 SURVIVE (a, b, c)"));
    }

    #[test]
    fn what_no_metric_sees_is_said_in_the_open() {
        let said = |seen_by_metrics: bool, seen_by_features: bool, seen_by_probe: bool| {
            positive(&PositiveControl {
                name: "truth".to_owned(),
                what: "statements".to_owned(),
                pairs: 102,
                equal_length: 102,
                metrics: 39,
                found: 0,
                survive: 0,
                survivors: Vec::new(),
                best_metric: None,
                layers: Vec::new(),
                seen_by_metrics,
                seen_by_features,
                seen_by_probe,
            })
        };
        assert!(said(true, true, true).ends_with(": seen by the metrics"));
        assert!(said(false, true, true).ends_with(": NOT SEEN BY ANY METRIC, seen in the features"));
        assert!(
            said(false, false, true).ends_with(": NOT SEEN BY METRICS OR FEATURES, though the residual stream has it")
        );
        assert!(
            said(false, false, false).ends_with(": not seen, nor does a linear probe find it in the residual stream")
        );
        assert!(said(false, false, false).contains("102 pairs, 102 of equal length: 0 of 39 metrics survive"));
    }
}
