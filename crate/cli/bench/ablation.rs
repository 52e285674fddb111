//! `saescope bench --ablation`: what each optimisation of the CPU path is worth, or of a graphics device, by leaving it out.

use super::{median, one_run, options, spread};
use crate::cli::args::Bench;
use crate::cli::setup::Devices;
use crate::dataset::Dataset;
use crate::engine::{Batching, Options};
use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Kind, Table};
use crate::model::ops::{Compute, Form, Op, Precision};
use crate::platform;
use crate::run::Loaded;

/// A way to run, and how long it took.
pub(super) struct Variant {
    what: &'static str,
    compute: Compute,
    options: Options,
    /// A run of its own for each SAE.
    apart: bool,
    seconds: Vec<f64>,
    tokens: usize,
    /// The most memory that the process had meanwhile, in the run that had least, where the system tells.
    peak: Option<u64>,
}

/// What an operation in plain tensors is called; none where that would prove nothing.
fn in_steps(op: Op, device: bool) -> Option<&'static str> {
    match op {
        // on the CPU burn's own is built without optimisation here; `--gemm` compares forms
        Op::Linear => device.then_some("matmul of burn, weights widened"),
        Op::Attention => Some("attention over the square"),
        Op::Activation => Some("activations in steps"),
        Op::Norm => Some("norms in steps"),
        Op::Rope => Some("RoPE in steps"),
        Op::ResidualAdd => (!device).then_some("residual sums of burn"),
        // on the CPU the host chooses in either form
        Op::Active => device.then_some("features chosen on the host"),
    }
}

/// The run as it is, then with one thing left out or changed at a time; `device` is a graphics device, if one
/// computes.
fn variants(device: Option<&Compute>, usual: &Options) -> Result<Vec<Variant>> {
    let with = |what: &'static str, compute: Compute, options: Options, apart| Variant {
        what,
        compute,
        options,
        apart,
        seconds: Vec::new(),
        tokens: 0,
        peak: None,
    };
    let own = device.cloned().unwrap_or_else(Compute::cpu);
    let as_it_is = |options: Options, what| with(what, own.clone(), options, false);
    let mut out = vec![
        as_it_is(usual.clone(), "as it is"),
        with("a run for each SAE", own.clone(), usual.clone(), true),
        as_it_is(Options { batching: Batching::Triples(1), ..usual.clone() }, "one triple at a time"),
        as_it_is(Options { batching: Batching::OneText, ..usual.clone() }, "one text at a time"),
        as_it_is(Options { read_ahead: false, ..usual.clone() }, "nothing read ahead"),
    ];
    if usual.nulls > 0 {
        out.push(as_it_is(Options { nulls: 0, ..usual.clone() }, "without nulls"));
    }
    let plainly = |what, compute| with(what, compute, usual.clone(), false);
    match device {
        Some(compute) => {
            let (device, limit) = (&compute.device, compute.max_buffer);
            if compute.precision == Precision::F32 {
                out.push(plainly("f16", Compute::gpu(device.clone(), Precision::F16, limit)));
            }
            let plain = Compute::gpu_plain(device.clone(), compute.precision, limit);
            out.push(plainly("no kernel of its own", plain));
        }
        None => out.push(plainly("bf16", Compute::cpu_in(Precision::Bf16))),
    }
    for op in Op::ALL {
        if let Some(what) = in_steps(op, device.is_some()) {
            out.push(plainly(what, own.clone().with(op, Form::Plain)?));
        }
    }
    Ok(out)
}

/// Runs every variant, in turn, `--repeat` times.
///
/// # Errors
/// [`Error::Usage`] where several devices compute, or the CPU in another precision than f32, which has a row of its
/// own; whatever ends a run.
pub(super) async fn run(args: &Bench, loaded: &Loaded, devices: &Devices, data: &Dataset) -> Result<Vec<Variant>> {
    let device = match devices.computes.as_slice() {
        [only] => (!only.on_host()).then_some(only),
        _ => {
            return Err(Error::usage(
                "`--ablation` measures one device",
                "name it: `--device cpu`, or `--device gpu:0`",
            ));
        }
    };
    if device.is_none() && devices.computes.iter().any(|compute| compute.precision != Precision::F32) {
        return Err(Error::usage("`--ablation` on the CPU is in f32, beside a row in bf16", "leave out `--precision`"));
    }
    let mut variants = variants(device, &options(args))?;
    for _ in 0..args.repeat {
        for Variant { compute, options, apart, seconds, tokens, peak, .. } in &mut variants {
            let computes = [compute.clone()];
            let saes: Vec<_> = if *apart { loaded.saes.chunks(1).collect() } else { vec![&loaded.saes[..]] };
            let restarted = platform::restart_peak_memory();
            let (mut took, mut ran) = (0.0, 0);
            for saes in saes {
                let counters = one_run(loaded, saes, &computes, data, options).await?.counters;
                took += counters.seconds;
                ran += counters.nodes;
            }
            seconds.push(took);
            *tokens = ran;
            // one that cannot be restarted is that of the largest run so far; the least of several runs has the least
            // of what others have left
            let found = platform::peak_memory().filter(|_| restarted);
            *peak = [*peak, found].into_iter().flatten().min();
        }
    }
    Ok(variants)
}

/// For a terminal: the median with the spread, and how many times that of the run as it is.
pub(super) fn text(variants: &[Variant]) -> String {
    let mut out = format!(
        "{:<32} {:>5} {:>9} {:>17} {:>11} {:>11} {:>9}\n",
        "run", "runs", "seconds", "fastest-slowest", "x as it is", "tokens run", "peak MB"
    );
    let first = variants.first().map_or(f64::NAN, |v| median(&v.seconds));
    for Variant { what, seconds, tokens, peak, .. } in variants {
        let (fastest, slowest) = spread(seconds);
        let peak = peak.map_or_else(|| "-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e6));
        out.push_str(&format!(
            "{what:<32} {:>5} {:>9.2} {:>17} {:>11.2} {tokens:>11} {peak:>9}\n",
            seconds.len(),
            median(seconds),
            format!("{fastest:.2}-{slowest:.2}"),
            median(seconds) / first,
        ));
    }
    out
}

/// `ablation.parquet`.
pub(super) fn table(variants: &[Variant]) -> Table {
    let first = variants.first().map_or(f64::NAN, |v| median(&v.seconds));
    Table {
        columns: vec![
            Column::new("run", Kind::Utf8),
            Column::new("runs", Kind::Int64),
            Column::new("seconds", Kind::Float64),
            Column::new("seconds_fastest", Kind::Float64),
            Column::new("seconds_slowest", Kind::Float64),
            Column::new("times_as_it_is", Kind::Float64),
            Column::new("tokens_computed", Kind::Int64),
            Column::nullable("peak_memory_bytes", Kind::Int64),
        ],
        rows: variants
            .iter()
            .map(|v| {
                let (fastest, slowest) = spread(&v.seconds);
                vec![
                    Cell::Text(v.what.to_owned()),
                    Cell::Int(v.seconds.len() as i64),
                    Cell::Float(median(&v.seconds)),
                    Cell::Float(fastest),
                    Cell::Float(slowest),
                    Cell::Float(median(&v.seconds) / first),
                    Cell::Int(v.tokens as i64),
                    v.peak.map_or(Cell::Null, |bytes| Cell::Int(bytes as i64)),
                ]
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn usual(words: &[&str]) -> Options {
        let Command::Bench(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!("these words") };
        options(&args)
    }

    #[test]
    fn one_thing_is_changed_at_a_time() {
        let same = |v: &Variant, usual: &Options| {
            let changed = [
                v.apart,
                v.options.batching != usual.batching,
                v.options.read_ahead != usual.read_ahead,
                v.options.nulls != usual.nulls,
                v.compute.precision != Precision::F32,
                Op::ALL.iter().any(|&op| v.compute.form(op) != Form::Host),
            ];
            changed.iter().filter(|changed| **changed).count()
        };
        let with_nulls = usual(&["saescope", "bench", "--ablation"]);
        let without = usual(&["saescope", "bench", "--ablation", "--nulls", "off"]);
        for (usual, rows) in [(&with_nulls, 1), (&without, 0)] {
            let variants = variants(None, usual).unwrap();
            let counts: Vec<usize> = variants.iter().map(|v| same(v, usual)).collect();
            assert_eq!(counts[0], 0);
            assert!(counts[1..].iter().all(|count| *count == 1), "{counts:?}");
            assert_eq!(variants.iter().filter(|v| v.what == "without nulls").count(), rows);
        }
    }

    #[test]
    fn every_operation_is_left_out_once() {
        let usual = usual(&["saescope", "bench", "--ablation"]);
        let variants = variants(None, &usual).unwrap();
        for op in Op::ALL.into_iter().filter(|op| !matches!(op, Op::Linear | Op::Active)) {
            let plain: Vec<_> = variants.iter().filter(|v| v.compute.form(op) == Form::Plain).collect();
            assert_eq!(plain.len(), 1, "{op:?}");
            assert!(Op::ALL.iter().all(|&other| other == op || plain[0].compute.form(other) == Form::Host), "{op:?}");
        }
    }
}
