//! What needs the model: the length trap, the positive controls and the run's own texts, measured together, so that
//! the weights are read once.

use std::collections::{BTreeMap, HashMap};

use super::ceiling::ceiling;
use super::probe::{Areas, Pairs, beside};
use super::{length_trap, positive};
use crate::dataset::{self, Sample};
use crate::engine::{self, Inputs, Observer, Options, SaeAt};
use crate::error::Result;
use crate::metrics::{LayerMeasure, SampleMeasure, TextMeasure, table};
use crate::model::Model;
use crate::model::ops::Compute;
use crate::output::{Ceiling, LengthTrap, PositiveControl, ProbedLayer};
use crate::platform::par_map;
use crate::random;
use crate::stats::{Comparison, Kernel, Samples, Settings, Verdict, compare};

/// Permuted labels behind a probe's floor and p.
const PERMUTATIONS: usize = 199;

/// What is measured, and on what.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The run's model.
    pub model: &'a Model,
    /// Where it is computed.
    pub computes: &'a [Compute],
    /// Its SAEs, fitted to it.
    pub saes: &'a [SaeAt],
    /// The run's settings; log-probabilities and nulls are left out.
    pub options: &'a Options,
    /// The run's samples.
    pub own: &'a [Sample],
    /// Their numbers.
    pub metrics: &'a Samples,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq)]
pub struct OfModel {
    /// None where no sample of the run could be measured.
    pub length_trap: Option<LengthTrap>,
    /// The built-in pairs.
    pub positive_controls: Vec<PositiveControl>,
    /// None where no sample of the run could be measured.
    pub ceiling: Option<Ceiling>,
    /// Samples that could not be measured, each with its reason.
    pub failed: Vec<String>,
}

/// Measures the traps and controls; of the run's samples `limit` are drawn by `seed`.
///
/// # Errors
/// What ends a run; see [`engine::analyze()`].
pub async fn of_model(subject: Subject<'_>, limit: usize, seed: u64, observer: &dyn Observer) -> Result<OfModel> {
    let controls = dataset::positive_controls()?;
    let joined = |sample: &Sample, join: &str, id: String| Sample {
        id,
        fact: format!("{join}{}", sample.fact),
        hallucination: format!("{join}{}", sample.hallucination),
        ..sample.clone()
    };
    let tokens = |sample: &Sample| {
        let count = |text: &str| subject.model.tokenizer.encode(text).map_or(0, |ids| ids.len());
        count(&sample.fact_text(&subject.options.join)).saturating_sub(count(&sample.prompt_text()))
    };
    let own_join = subject.options.join.as_str();
    let mut own: Vec<&Sample> = subject.own.iter().collect();
    own.sort_by_cached_key(|sample| random::place("saescope/calibrate/own/1", seed, &sample.id));
    own.truncate(limit);
    let traps = length_trap::trap(&own, seed, tokens);

    // every text brings its own join; a sample stands beside its trap, whose texts begin as its fact does, so that the
    // beginning is computed once
    let (mut samples, mut part_of) = (Vec::new(), Vec::new());
    for (i, (sample, trap)) in own.iter().zip(&traps).enumerate() {
        samples.push(joined(sample, own_join, format!("own-{i}")));
        samples.push(joined(trap, own_join, trap.id.clone()));
        part_of.extend([OWN, TRAP]);
    }
    for (i, control) in controls.iter().enumerate() {
        let pairs = &control.pairs.samples;
        samples.extend(pairs.iter().map(|s| joined(s, dataset::DEFAULT_JOIN, format!("{}-{}", control.name, s.id))));
        part_of.resize(samples.len(), FIRST_CONTROL + i);
    }
    let options = Options { logprob: false, nulls: 0, join: String::new(), ..subject.options.clone() };
    let Subject { model, computes, saes, .. } = subject;
    let inputs = Inputs { model, computes, saes, samples: &samples, options: &options };
    let outcome = engine::analyze(inputs, observer).await?;
    let place: HashMap<&str, usize> = samples.iter().zip(&part_of).map(|(s, &part)| (s.id.as_str(), part)).collect();
    let mut parts: Vec<Vec<SampleMeasure>> = vec![Vec::new(); FIRST_CONTROL + controls.len()];
    for sample in outcome.samples {
        let part = place.get(sample.sample_id.as_str()).copied().unwrap_or_default();
        parts[part].push(sample);
    }
    let layers: Vec<usize> = saes.iter().map(|at| at.layer).collect();

    let trap = &parts[TRAP];
    let length_trap = if trap.is_empty() {
        None
    } else {
        let longer = trap.iter().filter(|s| s.hall.n_tokens > s.fact.n_tokens).count();
        let comparisons = compared(trap, &layers, seed)?;
        Some(length_trap::judged(&asked(&comparisons), trap.len(), longer))
    };
    let mut positive_controls = Vec::new();
    for (control, pairs) in controls.iter().zip(&parts[FIRST_CONTROL..]) {
        if pairs.is_empty() {
            continue;
        }
        let comparisons = compared(pairs, &layers, seed)?;
        let groups = numbered(pairs.iter().map(|pair| pair.domain.as_str()));
        let equal = pairs.iter().filter(|pair| pair.fact.n_tokens == pair.hall.n_tokens).count();
        let probed = probes(pairs, &layers, &groups, seed);
        let (name, what) = (control.name, control.what);
        positive_controls.push(positive::judged((name, what), &asked(&comparisons), pairs.len(), equal, probed));
    }
    let own = &parts[OWN];
    let ceiling = if own.is_empty() {
        None
    } else {
        let clusters = numbered(own.iter().map(|sample| sample.cluster.as_str()));
        let count = clusters.iter().max().map_or(0, |most| *most as usize + 1);
        Some(ceiling(subject.metrics, own.len(), count, probes(own, &layers, &clusters, seed))?)
    };
    let failed = outcome.failed.iter().map(|f| format!("{}: {}", f.sample_id, f.reason)).collect();
    Ok(OfModel { length_trap, positive_controls, ceiling, failed })
}

/// Places of the parts among those that are measured.
const OWN: usize = 0;
const TRAP: usize = 1;
const FIRST_CONTROL: usize = 2;

/// What a run of these samples would say over all of them; intervals, which no verdict reads, are left out.
fn compared(samples: &[SampleMeasure], layers: &[usize], seed: u64) -> Result<Vec<Comparison>> {
    let metrics = table(samples, layers, false, "calibration")?;
    compare(&metrics, Settings { resamples: 0, by_domain: false, ..seed.into() })
}

/// One comparison per question, over all samples.
fn asked(comparisons: &[Comparison]) -> Vec<&Comparison> {
    let everything = comparisons.first().map(|c| c.domain.as_str());
    let own = |c: &&Comparison| {
        Some(c.domain.as_str()) == everything && c.difference_of.is_none() && c.verdict != Verdict::Control
    };
    comparisons.iter().filter(own).collect()
}

/// Numbers in the place of names, in order of appearance.
fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u32> {
    let mut known = BTreeMap::new();
    names
        .map(|name| {
            let next = known.len() as u32;
            *known.entry(name).or_insert(next)
        })
        .collect()
}

/// Probes on the residual stream and on the active features of each layer; `groups` are what is kept in one fold.
fn probes(samples: &[SampleMeasure], layers: &[usize], groups: &[u32], seed: u64) -> Vec<ProbedLayer> {
    let clusters = numbered(samples.iter().map(|sample| sample.cluster.as_str()));
    let pairs = Pairs { groups, clusters: &clusters, permutations: PERMUTATIONS, seed };
    let texts: Vec<&TextMeasure> = samples.iter().map(|s| &s.fact).chain(samples.iter().map(|s| &s.hall)).collect();
    let kernel = |order: usize, residual: bool| {
        let measured: Option<Vec<&LayerMeasure>> = texts.iter().map(|text| text.layers.get(order)).collect();
        let measured = measured?;
        if residual {
            let rows: Option<Vec<&[f32]>> = measured.iter().map(|layer| layer.x.as_deref()).collect();
            return Some(Kernel::standardised(&rows?));
        }
        let rows: Vec<(&[u32], &[f32])> =
            measured.iter().map(|layer| (layer.indices.as_slice(), layer.activations.as_slice())).collect();
        Some(Kernel::sparse(&rows))
    };
    let areas: Vec<Option<Areas>> = par_map(2 * layers.len(), |i| pairs.areas(&kernel(i / 2, i % 2 == 0)?));
    let of = |first: usize| beside(&areas.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>());
    let (residual, features) = (of(0), of(1));
    let both = layers.iter().zip(residual.into_iter().zip(features));
    both.map(|(&layer, (residual, features))| ProbedLayer { layer, residual, features }).collect()
}
