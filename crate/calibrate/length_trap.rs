//! A difference that is length alone: facts followed by a few neutral words, against the same with more of them.

use crate::dataset::Sample;
use crate::output::LengthTrap;
use crate::random;
use crate::stats::{ALPHA, Comparison, Verdict};

/// Neutral words. Texts end with the first few of them: the number says which, so that whatever a metric makes of
/// them is a function of length.
const NEUTRAL: [&str; 8] = ["for", "all", "that", "anyone", "is", "able", "to", "tell"];

/// How many of them a text has.
const LENGTHS: [usize; 3] = [1, 3, 6];

/// Pairs in ten whose fact is the longer text: without any, no chain closes, and there is no length control.
const TURNED: usize = 3;

/// Pairs of these samples, one of each. `tokens` counts a fact's tokens: pairs whose facts have equally many
/// are of one domain, within which chains are closed, so that among texts of one length the neutral words are as
/// many and the words before them as few.
///
/// Every text ends with neutral words: with and without them would be a difference of more than length.
pub fn trap(samples: &[&Sample], seed: u64, tokens: impl Fn(&Sample) -> usize) -> Vec<Sample> {
    let mut random = random::keyed(&[b"saescope/calibrate/lengths/1".as_slice(), &seed.to_le_bytes()]);
    let steps = [(0, 1), (1, 2), (0, 2)];
    let pair = |(i, sample): (usize, &&Sample)| {
        let (short, long) = steps[random::below(&mut random, steps.len())];
        let turned = random::below(&mut random, 10) < TURNED;
        let with = |length: usize| {
            let words = NEUTRAL[..LENGTHS[length]].join(" ");
            format!("{} {words}", sample.fact.trim_end())
        };
        let (fact, hallucination) = if turned { (with(long), with(short)) } else { (with(short), with(long)) };
        Sample {
            id: format!("trap-{i}"),
            domain: format!("facts of {} tokens", tokens(sample)),
            complexity: 0,
            cluster: Some(sample.cluster()),
            prompt: sample.prompt.clone(),
            fact,
            hallucination,
        }
    };
    samples.iter().enumerate().map(pair).collect()
}

/// What the comparisons over all pairs say; `longer` are the pairs whose hallucination is the longer text.
pub fn judged(comparisons: &[&Comparison], pairs: usize, longer: usize) -> LengthTrap {
    let of = |verdict: Verdict| comparisons.iter().filter(|c| c.verdict == verdict).count();
    let survive = |c: &&&Comparison| c.verdict == Verdict::SurvivesLengthControl;
    let survivors: Vec<String> = comparisons.iter().filter(survive).map(|c| c.metric.clone()).collect();
    let found = comparisons.iter().filter(|c| c.q_value.is_some_and(|q| q <= ALPHA)).count();
    LengthTrap {
        pairs,
        longer_hallucinations: longer,
        metrics: comparisons.iter().filter(|c| c.q_value.is_some()).count(),
        found,
        survive: survivors.len(),
        explained: of(Verdict::ExplainedByLength),
        no_control: of(Verdict::NoLengthControl),
        matched: comparisons.iter().map(|c| c.n_matched).max().unwrap_or_default(),
        // where no chain closed, no control has run
        holds: found > 0 && survivors.is_empty() && of(Verdict::ExplainedByLength) > 0,
        survivors,
    }
}
