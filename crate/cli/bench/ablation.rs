//! `saescope bench --ablation`: what each optimisation of the CPU path is worth, or of a graphics device, by leaving it out.

use super::{median, one_run, spread};
use crate::cli::args::Bench;
use crate::cli::setup::Devices;
use crate::dataset::Dataset;
use crate::engine::{Batching, Outcome};
use crate::error::{Error, Result};
use crate::metrics::{Cell, Column, Kind, Table};
use crate::model::ops::{Compute, Form, Op, Precision};
use crate::run::Loaded;

/// A way to run, and how long it took.
pub(super) struct Variant {
    what: String,
    compute: Compute,
    batching: Batching,
    seconds: Vec<f64>,
    tokens: usize,
}

/// The run as it is, then with one thing left out or changed at a time; `device` is a graphics device, if one
/// computes.
fn variants(device: Option<&Compute>) -> Result<Vec<Variant>> {
    let with = |what: &str, compute: Compute, batching| Variant {
        what: what.to_owned(),
        compute,
        batching,
        seconds: Vec::new(),
        tokens: 0,
    };
    if let Some(compute) = device {
        let plain = Compute::gpu_plain(compute.device.clone(), compute.precision, compute.max_buffer);
        let mut out = vec![
            with("as it is", compute.clone(), Batching::Auto),
            with("one text at a time", compute.clone(), Batching::OneText),
            with("no kernel of its own", plain, Batching::Auto),
        ];
        for op in Op::ALL.into_iter().filter(|op| op.has_kernel()) {
            let what = match op {
                Op::Linear => "matmul of burn, weights widened",
                Op::Attention => "attention over the square",
                Op::Activation => "activations in steps",
                Op::Norm => "norms in steps",
                Op::Rope => "RoPE in steps",
                Op::Active => "features chosen on the host",
                Op::ResidualAdd => continue,
            };
            out.push(with(what, compute.clone().with(op, Form::Plain)?, Batching::Auto));
        }
        return Ok(out);
    }
    let mut out = vec![
        with("as it is (f32)", Compute::cpu(), Batching::Auto),
        with("bf16", Compute::cpu_in(Precision::Bf16), Batching::Auto),
        with("one text at a time", Compute::cpu(), Batching::OneText),
    ];
    for op in Op::ALL {
        let what = match op {
            // burn's own is built without optimisation here, and would prove nothing; `--gemm` compares forms
            Op::Linear => continue,
            Op::Attention => "attention over the square",
            Op::Activation => "activations in steps",
            Op::Norm => "norms in steps",
            Op::Rope => "RoPE in steps",
            Op::ResidualAdd => "residual sums of burn",
            // the host chooses in either form
            Op::Active => continue,
        };
        out.push(with(what, Compute::cpu().with(op, Form::Plain)?, Batching::Auto));
    }
    Ok(out)
}

/// Runs every variant, in turn, `--repeat` times.
///
/// # Errors
/// [`Error::Usage`] where several devices compute; whatever ends a run.
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
    let mut variants = variants(device)?;
    for _ in 0..args.repeat {
        for variant in &mut variants {
            let computes = [variant.compute.clone()];
            let Outcome { counters, .. } =
                one_run(args, loaded, &loaded.saes, &computes, data, variant.batching).await?;
            variant.seconds.push(counters.seconds);
            variant.tokens = counters.nodes;
        }
    }
    Ok(variants)
}

/// For a terminal: the median with the spread, and how many times that of the run as it is.
pub(super) fn text(variants: &[Variant]) -> String {
    let mut out = format!(
        "{:<28} {:>5} {:>9} {:>17} {:>11} {:>11}\n",
        "run", "runs", "seconds", "fastest-slowest", "x as it is", "tokens run"
    );
    let first = variants.first().map_or(f64::NAN, |v| median(&v.seconds));
    for Variant { what, seconds, tokens, .. } in variants {
        let (fastest, slowest) = spread(seconds);
        out.push_str(&format!(
            "{what:<28} {:>5} {:>9.2} {:>17} {:>11.2} {tokens:>11}\n",
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
        ],
        rows: variants
            .iter()
            .map(|v| {
                let (fastest, slowest) = spread(&v.seconds);
                vec![
                    Cell::Text(v.what.clone()),
                    Cell::Int(v.seconds.len() as i64),
                    Cell::Float(median(&v.seconds)),
                    Cell::Float(fastest),
                    Cell::Float(slowest),
                    Cell::Float(median(&v.seconds) / first),
                    Cell::Int(v.tokens as i64),
                ]
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_left_out_once() {
        let variants = variants(None).unwrap();
        for op in Op::ALL.into_iter().filter(|op| !matches!(op, Op::Linear | Op::Active)) {
            let plain: Vec<_> = variants.iter().filter(|v| v.compute.form(op) == Form::Plain).collect();
            assert_eq!(plain.len(), 1, "{op:?}");
            assert!(Op::ALL.iter().all(|&other| other == op || plain[0].compute.form(other) == Form::Host), "{op:?}");
        }
    }
}
