//! A run in shares that workers measure apart, against the same run in one piece.

use futures::executor::block_on;
use saescope::dataset::{self, Format, Sample};
use saescope::engine::{self, Batching, Inputs, Options, Silent};
use saescope::metrics::{Noise, SampleMeasure};
use saescope::model::ops::Compute;
use saescope::run::{self, Portion, Portions};

use crate::golden_models::{Golden, load};

/// A tiny model's triples several times, with texts of their own, and one that is too long for the model.
fn samples(golden: &Golden) -> Vec<Sample> {
    let texts = std::fs::read(golden.folder.join("texts.json")).unwrap();
    let few = dataset::parse("texts.json", Format::Json, &texts, None).unwrap().samples;
    let again = |n: usize| {
        few.iter().cloned().map(move |sample| {
            let (id, prompt) =
                (format!("{}_{n}", sample.id), format!("{}{} {n}", sample.prompt, " and on".repeat(n % 3)));
            Sample { id, prompt, ..sample }
        })
    };
    let mut samples: Vec<Sample> = (0..4).flat_map(again).collect();
    samples[5].prompt = "too long ".repeat(5000);
    samples
}

fn inputs<'a>(golden: &'a Golden, computes: &'a [Compute], options: &'a Options, samples: &'a [Sample]) -> Inputs<'a> {
    Inputs { model: &golden.model, computes, saes: &golden.saes, samples, options }
}

fn packed(samples: &[SampleMeasure]) -> Vec<Vec<u8>> {
    let mut samples: Vec<&SampleMeasure> = samples.iter().collect();
    samples.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
    samples.iter().map(|sample| postcard::to_stdvec(sample).unwrap()).collect()
}

#[test]
fn shares_give_the_numbers_of_the_whole() {
    for case in ["llama", "gemma2"] {
        let golden = load(case);
        let samples = samples(&golden);
        let (noise, join) = (Noise::Relative(0.1), dataset::DEFAULT_JOIN.to_owned());
        let options = Options {
            batching: Batching::Auto,
            noise,
            seed: 3,
            logprob: true,
            nulls: 24,
            pass: None,
            halvings: 0,
            read_ahead: true,
            join,
        };
        let computes = [Compute::cpu()];
        let whole = inputs(&golden, &computes, &options, &samples);
        let sizes = whole.schedule().sizes();
        let whole = block_on(engine::analyze(whole, &Silent)).unwrap();
        assert_eq!(whole.failed.len(), 1, "{case}: {:?}", whole.failed);
        assert!(whole.samples.iter().all(|s| s.fact.layers.iter().all(|l| l.median_norm.is_some())));

        for workers in [2, 3] {
            let mut portions = Portions::default();
            let mut complete = Vec::new();
            // the first one, with ordinary text, comes in last
            for (at, share) in run::shares(&sizes, workers, 10).into_iter().enumerate().rev() {
                let share = run::unpack_samples(&run::pack_samples(&samples[share]).unwrap()).unwrap();
                let share = inputs(&golden, &computes, &options, &share);
                let portion = block_on(Portion::measure(share, at == 0, 0, &Silent)).unwrap();
                assert!(complete.is_empty(), "kept before it was known what is ordinary");
                complete.extend(portions.take(Portion::unpack(&portion.pack().unwrap()).unwrap()));
            }
            assert!(complete.len() > workers, "several rounds");
            let failed: Vec<_> = complete.iter().flat_map(|outcome| &outcome.failed).collect();
            assert_eq!(failed, whole.failed.iter().collect::<Vec<_>>());
            let measured: Vec<SampleMeasure> = complete.into_iter().flat_map(|outcome| outcome.samples).collect();
            assert!(packed(&measured) == packed(&whole.samples), "{case}, {workers} workers");
        }
    }
}
