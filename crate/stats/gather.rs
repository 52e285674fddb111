//! Active features of facts and hallucinations, turned from texts to features, in bounded memory.

use std::collections::HashMap;
use std::ops::Range;

use super::length::MIN_CHAINS;
use crate::error::Result;
use crate::metrics::TextKind;

/// Clusters that a feature has to be active in to be compared: no test of fewer can reach [`super::ALPHA`].
pub const MIN_ACTIVE: usize = MIN_CHAINS;

/// Features of a layer that are compared at most: those that are active in the most samples.
pub const MOST_FEATURES: usize = 8192;

/// Pairs that are in memory at once, 12 bytes each; of more, the source is gone through again.
const MOST_PAIRS: usize = 1 << 23;

/// What is active at the end of one text, at one layer.
#[derive(Debug, Clone, Copy)]
pub struct Active<'a> {
    /// The text's sample, by its place among [`super::Samples`].
    pub sample: usize,
    /// Which of its texts; prompts are not looked at.
    pub text: TextKind,
    /// The SAE layer.
    pub layer: usize,
    /// Features, each once.
    pub features: &'a [u32],
    /// Their activations.
    pub activations: &'a [f32],
    /// The residual there, shape \[`d_model`\]; a run's files do not have it.
    pub x: Option<&'a [f32]>,
}

/// Where active features come from: a run's spool, or its `features.parquet`.
pub trait FeatureSource {
    /// Gives every text at every layer to `take`, the texts of one sample one after the other; as often as asked.
    ///
    /// # Errors
    /// Of reading.
    fn each(&self, take: &mut dyn FnMut(Active<'_>)) -> Result<()>;

    /// Whether any text comes with its residual.
    fn has_residual(&self) -> bool {
        false
    }
}

/// One feature that is to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub layer: usize,
    pub feature: u32,
    /// Samples whose fact or hallucination has it.
    pub samples: usize,
}

/// A feature in one sample; at least one side is active, the other may be 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub sample: u32,
    pub fact: f32,
    pub hall: f32,
}

/// Features of a text with their activations; what no SAE gives is left out.
fn entries(active: Active<'_>) -> impl Iterator<Item = (u32, f32)> {
    let there = active.features.iter().copied().zip(active.activations.iter().copied());
    there.filter(|(_, activation)| *activation > 0.0 && activation.is_finite())
}

/// Features that may be compared, by layer in the order of `layers` and by number: those active in [`MIN_ACTIVE`]
/// samples, of each layer [`MOST_FEATURES`] at most. Which text has them makes no difference.
pub(super) fn listed(source: &dyn FeatureSource, layers: &[usize]) -> Result<Vec<Listed>> {
    let mut found: Vec<HashMap<u32, (usize, usize)>> = vec![HashMap::new(); layers.len()];
    source.each(&mut |active| {
        let Some(of_layer) = place(layers, active) else { return };
        for (feature, _) in entries(active) {
            let (samples, last) = found[of_layer].entry(feature).or_insert((0, usize::MAX));
            if *last != active.sample {
                (*samples, *last) = (*samples + 1, active.sample);
            }
        }
    })?;
    let mut all = Vec::new();
    for (&layer, found) in layers.iter().zip(found) {
        let often = found.into_iter().filter(|(_, (samples, _))| *samples >= MIN_ACTIVE);
        let mut often: Vec<Listed> = often.map(|(feature, (samples, _))| Listed { layer, feature, samples }).collect();
        often.sort_unstable_by_key(|one| (std::cmp::Reverse(one.samples), one.feature));
        often.truncate(MOST_FEATURES);
        often.sort_unstable_by_key(|one| one.feature);
        all.extend(often);
    }
    Ok(all)
}

/// The layer's place, of a text that is compared.
fn place(layers: &[usize], active: Active<'_>) -> Option<usize> {
    layers.iter().position(|layer| *layer == active.layer).filter(|_| active.text != TextKind::Prompt)
}

/// `listed` in pieces whose pairs fit into memory.
pub(super) fn pieces(listed: &[Listed]) -> Vec<Range<usize>> {
    pieces_of(listed, MOST_PAIRS)
}

fn pieces_of(listed: &[Listed], most: usize) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut pairs) = (Vec::new(), 0, 0);
    for (i, one) in listed.iter().enumerate() {
        if pairs + one.samples > most && i > start {
            pieces.push(start..i);
            (start, pairs) = (i, 0);
        }
        pairs += one.samples;
    }
    if start < listed.len() {
        pieces.push(start..listed.len());
    }
    pieces
}

/// The pairs of each of these features, in the samples' order, among the samples that are `wanted`.
pub(super) fn gather(
    source: &dyn FeatureSource,
    listed: &[Listed],
    wanted: impl Fn(usize) -> bool,
) -> Result<Vec<Vec<Pair>>> {
    let slots: HashMap<(usize, u32), usize> =
        listed.iter().enumerate().map(|(i, one)| ((one.layer, one.feature), i)).collect();
    let mut pairs: Vec<Vec<Pair>> = vec![Vec::new(); listed.len()];
    source.each(&mut |active| {
        let Some(sample) = u32::try_from(active.sample).ok().filter(|_| wanted(active.sample)) else { return };
        if active.text == TextKind::Prompt {
            return;
        }
        for (feature, activation) in entries(active) {
            let Some(&slot) = slots.get(&(active.layer, feature)) else { continue };
            let of_feature = &mut pairs[slot];
            if of_feature.last().is_none_or(|last| last.sample != sample) {
                of_feature.push(Pair { sample, fact: 0.0, hall: 0.0 });
            }
            let Some(last) = of_feature.last_mut() else { continue };
            match active.text {
                TextKind::Fact => last.fact = activation,
                TextKind::Prompt | TextKind::Hall => last.hall = activation,
            }
        }
    })?;
    pairs.iter_mut().for_each(|pairs| pairs.sort_by_key(|pair| pair.sample));
    Ok(pairs)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Features in memory: (sample, text, layer, features with activations).
    pub struct InMemory(pub Vec<Part>);

    /// Sample, text, layer, and what is active there.
    type Part = (usize, TextKind, usize, Vec<(u32, f32)>);

    impl FeatureSource for InMemory {
        fn each(&self, take: &mut dyn FnMut(Active<'_>)) -> Result<()> {
            for (sample, text, layer, entries) in &self.0 {
                let (features, activations): (Vec<u32>, Vec<f32>) = entries.iter().copied().unzip();
                take(Active {
                    sample: *sample,
                    text: *text,
                    layer: *layer,
                    features: &features,
                    activations: &activations,
                    x: None,
                });
            }
            Ok(())
        }
    }

    fn source() -> InMemory {
        let mut texts = Vec::new();
        for sample in (0..10).rev() {
            let even = sample % 2 == 0;
            texts.push((sample, TextKind::Prompt, 3, vec![(1, 9.0)]));
            texts.push((sample, TextKind::Fact, 3, vec![(7, 1.0 + sample as f32), (9, f32::NAN)]));
            texts.push((sample, TextKind::Hall, 3, if even { vec![(7, 0.5), (2, 2.0)] } else { vec![(2, 0.0)] }));
            texts.push((sample, TextKind::Hall, 5, vec![(7, 4.0)]));
            texts.push((sample, TextKind::Hall, 8, vec![(7, 4.0)]));
        }
        InMemory(texts)
    }

    #[test]
    fn only_what_is_active_often_enough_is_listed() {
        let found = listed(&source(), &[5, 3]).unwrap();
        assert_eq!(found, [Listed { layer: 5, feature: 7, samples: 10 }, Listed { layer: 3, feature: 7, samples: 10 }]);
    }

    #[test]
    fn sides_of_a_sample_are_one_pair() {
        let listed = listed(&source(), &[3, 5]).unwrap();
        let pairs = gather(&source(), &listed, |sample| sample < 3).unwrap();
        let pair = |sample, fact, hall| Pair { sample, fact, hall };
        assert_eq!(pairs[0], [pair(0, 1.0, 0.5), pair(1, 2.0, 0.0), pair(2, 3.0, 0.5)]);
        assert_eq!(pairs[1], [pair(0, 0.0, 4.0), pair(1, 0.0, 4.0), pair(2, 0.0, 4.0)]);
    }

    #[test]
    fn pieces_hold_all_and_no_more_than_they_may() {
        let listed: Vec<Listed> =
            [4, 4, 3, 9, 1, 1].iter().map(|&samples| Listed { layer: 0, feature: 0, samples }).collect();
        assert_eq!(pieces_of(&listed, 8), [0..2, 2..3, 3..4, 4..6]);
        assert!(pieces_of(&[], 8).is_empty());
    }
}
