//! Shares of a run for workers that compute side by side and have no memory in common: how many workers, which
//! samples, and how what they measured comes together in one spool.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::dataset::Sample;
use crate::engine::{Analysis, Inputs, Observer, Outcome};
use crate::error::{Error, Result};

/// Workers that are started where nobody says how many.
const MOST_WORKERS: usize = 8;
/// Workers at all.
const MOST_ASKED: usize = 32;
/// Samples below which another worker costs more than it brings: each reads all weights, and texts of
/// different workers share no prefix.
const LEAST_SAMPLES: usize = 16;
/// Memory for a run on a machine that does not tell its own.
const MEMORY: u64 = 2 << 30;

/// What a machine has to compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// Bytes of memory, where it tells.
    pub memory: Option<u64>,
}

impl Machine {
    /// Bytes that a run may take: half of the memory.
    pub fn room(self) -> u64 {
        self.memory.map_or(MEMORY, |bytes| bytes / 2)
    }

    /// How many workers measure this many samples, where each of them takes `bytes` of memory. What was `asked`
    /// for is bounded by the samples alone.
    pub fn workers(self, asked: Option<usize>, samples: usize, bytes: u64) -> usize {
        match asked {
            Some(asked) => asked.min(samples).clamp(1, MOST_ASKED),
            None => {
                let fit = usize::try_from(self.room() / bytes.max(1)).unwrap_or(usize::MAX);
                self.cores.min(MOST_WORKERS).min(samples / LEAST_SAMPLES).min(fit).max(1)
            }
        }
    }
}

/// Cuts samples of these `weights` into shares, as many for each worker and none of many more than `most`
/// samples. They are ranges in the data set's order, in which texts that begin alike stand side by side. There are
/// as few as that allows, since each reads all weights.
pub fn shares(weights: &[usize], workers: usize, most: usize) -> Vec<Range<usize>> {
    let (samples, workers) = (weights.len(), workers.max(1));
    let count = (workers * samples.div_ceil(workers * most.max(1))).min(samples);
    let total: usize = weights.iter().sum();
    let mut out = Vec::with_capacity(count);
    let (mut start, mut taken) = (0, 0);
    for share in 1..=count {
        let mut end = start;
        // at least one sample, and one for each share to come; what lies across a border goes where most of it is
        while end < samples - (count - share)
            && (end == start || share == count || (2 * taken + weights[end]) * count <= 2 * total * share)
        {
            taken += weights[end];
            end += 1;
        }
        out.push(start..end);
        start = end;
    }
    // ordinary text comes with the first share, and needs a sample there that a pass takes
    while out.len() > 1 && weights[out[0].clone()].iter().all(|weight| *weight == 0) {
        let first = out.remove(0);
        out[0].start = first.start;
    }
    out
}

/// What a worker measured, on its way to the one that has the spool.
#[derive(Debug, Serialize, Deserialize)]
pub struct Portion {
    outcome: Outcome,
    /// Of ordinary text, where this worker ran it.
    medians: Option<Vec<Option<f64>>>,
}

impl Portion {
    /// Measures a share, as the worker of this number. One worker of a run has to take ordinary text along.
    ///
    /// # Errors
    /// As [`Analysis::next`].
    pub async fn measure(inputs: Inputs<'_>, ordinary: bool, worker: usize, observer: &dyn Observer) -> Result<Self> {
        let mut analysis = Analysis::new(inputs, 0, observer);
        if !ordinary {
            analysis = analysis.without_ordinary();
        }
        let mut outcome = analysis.all().await?;
        outcome.device = worker;
        let medians = ordinary.then(|| analysis.medians().to_vec());
        Ok(Self { outcome, medians })
    }

    /// As bytes.
    ///
    /// # Errors
    /// None that is known of.
    pub fn pack(&self) -> Result<Vec<u8>> {
        packed(self)
    }

    /// Of bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn unpack(bytes: &[u8]) -> Result<Self> {
        unpacked(bytes)
    }
}

/// The samples of a share as bytes.
///
/// # Errors
/// None that is known of.
pub fn pack_samples(samples: &[Sample]) -> Result<Vec<u8>> {
    packed(samples)
}

/// The samples of a share.
///
/// # Errors
/// [`Error::Malformed`].
pub fn unpack_samples(bytes: &[u8]) -> Result<Vec<Sample>> {
    unpacked(bytes)
}

fn packed<T: Serialize + ?Sized>(what: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(what).map_err(|e| unreadable(&e))
}

fn unpacked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|e| unreadable(&e))
}

fn unreadable(error: &postcard::Error) -> Error {
    let hint = "reload the page: its parts differ in version";
    Error::malformed("a worker's samples", "contents", "what this version writes", error.to_string(), hint)
}

/// Puts portions together. Which norm is an ordinary one is known once the portion with ordinary text is there;
/// until then the others wait.
#[derive(Debug, Default)]
pub struct Portions {
    medians: Option<Vec<Option<f64>>>,
    waiting: Vec<Outcome>,
}

impl Portions {
    /// Takes a portion, and gives what is complete by it.
    pub fn take(&mut self, portion: Portion) -> Vec<Outcome> {
        let Portion { outcome, medians } = portion;
        self.waiting.push(outcome);
        if self.medians.is_none() {
            self.medians = medians;
        }
        let Some(medians) = &self.medians else { return Vec::new() };
        let mut complete = std::mem::take(&mut self.waiting);
        for sample in complete.iter_mut().flat_map(|outcome| &mut outcome.samples) {
            for text in [&mut sample.prompt, &mut sample.fact, &mut sample.hall] {
                // measured in the order of the SAEs
                for (layer, median) in text.layers.iter_mut().zip(medians) {
                    layer.median_norm = *median;
                }
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::{layer, sample};

    #[test]
    fn workers_are_as_many_as_there_are_cores_memory_and_work_for() {
        let machine = |cores, gigabytes: Option<u64>| Machine { cores, memory: gigabytes.map(|n| n << 30) };
        let small = 300 << 20;
        assert_eq!(machine(4, Some(8)).workers(None, 200, small), 4);
        assert_eq!(machine(32, Some(8)).workers(None, 2000, small), MOST_WORKERS);
        assert_eq!(machine(8, Some(2)).workers(None, 200, small), 3);
        assert_eq!(machine(8, None).workers(None, 200, small), 6, "2 GiB where nothing is known");
        assert_eq!(machine(8, Some(8)).workers(None, 200, 3 << 30), 1, "a large model");
        assert_eq!(machine(8, Some(1)).workers(None, 200, 3 << 30), 1, "one worker there always is");
        assert_eq!(machine(8, Some(8)).workers(None, 40, small), 2, "little work");
        assert_eq!(machine(8, Some(8)).workers(None, 0, small), 1);
        assert_eq!(machine(2, Some(1)).workers(Some(3), 200, small), 3, "whoever asks knows");
        assert_eq!(machine(2, Some(1)).workers(Some(3), 2, small), 2);
        assert_eq!(machine(2, Some(1)).workers(Some(0), 5, small), 1);
        assert_eq!(machine(2, None).workers(Some(9999), 9999, small), MOST_ASKED);
    }

    #[test]
    fn shares_are_all_samples_once_in_their_order() {
        for (samples, workers, most) in [(200, 4, 70), (200, 1, 70), (7, 3, 100), (3, 8, 100), (1, 1, 1), (0, 2, 70)] {
            let weights: Vec<usize> = (0..samples).map(|i| 5 + (i * i) % 23).collect();
            let shares = shares(&weights, workers, most);
            assert!(shares.iter().all(|share| !share.is_empty()), "{shares:?}");
            assert_eq!(shares.iter().cloned().flatten().collect::<Vec<_>>(), (0..samples).collect::<Vec<_>>());
            assert!(samples < workers || shares.len().is_multiple_of(workers), "{} shares for {workers}", shares.len());
        }
    }

    #[test]
    fn shares_are_of_equal_work() {
        // long texts at the end: as many samples each would be a third of the work and two thirds of it
        let weights: Vec<usize> = (0..120).map(|i| if i < 60 { 10 } else { 40 }).collect();
        let work: Vec<usize> = shares(&weights, 2, 1000).into_iter().map(|s| weights[s].iter().sum()).collect();
        assert_eq!(work.len(), 2);
        assert!(work.iter().all(|n| n.abs_diff(1500) <= 40), "{work:?}");
        // one sample that outweighs all others
        assert_eq!(shares(&[1000, 1, 1], 3, 10), [0..1, 1..2, 2..3]);
        assert_eq!(shares(&[1, 1, 1000], 3, 10), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn the_first_share_has_a_sample_that_can_be_measured() {
        let unfit = [vec![0; 150], vec![9; 50]].concat();
        let shares = shares(&unfit, 2, 70);
        assert!(unfit[shares[0].clone()].iter().any(|weight| *weight > 0), "{shares:?}");
        assert_eq!(shares.iter().cloned().flatten().collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
        let none = super::shares(&[0; 40], 2, 70);
        assert!(none.len() == 1 && none[0] == (0..40), "where none can, one worker says so");
    }

    #[test]
    fn many_samples_come_in_several_rounds() {
        assert_eq!(shares(&[9; 200], 1, 70).len(), 3);
        assert_eq!(shares(&[9; 200], 2, 100).len(), 2);
        assert_eq!(shares(&[9; 201], 2, 100).len(), 4);
        assert_eq!(shares(&[9; 1000], 3, 100).len(), 12);
    }

    fn portion(id: &str, medians: Option<Vec<Option<f64>>>) -> Portion {
        let mut measured = sample(id, Vec::new());
        for text in [&mut measured.prompt, &mut measured.fact, &mut measured.hall] {
            text.layers = vec![layer(5, &[(1, 0.5)]), layer(7, &[(2, 1.0)])];
        }
        let samples = vec![measured];
        let portion = Portion { outcome: Outcome { samples, ..Outcome::default() }, medians };
        Portion::unpack(&portion.pack().unwrap()).unwrap()
    }

    #[test]
    fn what_is_measured_without_ordinary_text_waits_for_it() {
        let mut portions = Portions::default();
        assert!(portions.take(portion("a", None)).is_empty());
        let complete = portions.take(portion("b", Some(vec![Some(3.5), None])));
        assert_eq!(complete.iter().map(|o| o.samples[0].sample_id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let later = portions.take(portion("c", None));
        for sample in complete.iter().chain(&later).flat_map(|o| &o.samples) {
            for text in [&sample.prompt, &sample.fact, &sample.hall] {
                assert_eq!(text.layers.iter().map(|l| l.median_norm).collect::<Vec<_>>(), [Some(3.5), None]);
            }
        }
        let cut = portion("a", None).pack().unwrap();
        let message = Portion::unpack(&cut[..cut.len() / 2]).unwrap_err().to_string();
        assert!(message.contains("a worker's samples"), "{message}");
    }
}
