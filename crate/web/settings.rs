//! A set-up of the page as the library's settings.

use crate::dataset::{self, DEFAULT_JOIN, Dataset, Format};
use crate::engine::{Batching, Options};
use crate::error::Result;
use crate::metrics::NULL_DRAWS;
use crate::protocol::{DataChoice, DatasetInfo, Setup};
use crate::run::Loaded;

/// Samples of one pass: few enough that results come while one watches and little is lost with a
/// device, many enough that reading the weights again costs little beside computing.
const SMALL_PASS: usize = 70;
const LARGE_PASS: usize = 100;
/// Samples of a share where several workers measure: the shares go on side by side.
pub(super) const SHARE: usize = 100;
/// Blocks up to this many bytes are small.
const SMALL_BLOCK: u64 = 64 << 20;

/// The samples that a set-up runs.
///
/// # Errors
/// A data set that cannot be read.
pub(super) fn data(setup: &Setup) -> Result<Dataset> {
    let mut data = dataset(&setup.data)?;
    if let Some(limit) = setup.limit {
        data.limit(limit, setup.seed);
    }
    Ok(data)
}

/// How they are run; the pass is the model's.
///
/// # Errors
/// A noise rule that is none.
pub(super) fn options(setup: &Setup) -> Result<Options> {
    let batching = setup.batch_size.map_or(Batching::Auto, |n| Batching::Triples(n.max(1)));
    let Setup { seed, logprob, .. } = *setup;
    Ok(Options {
        batching,
        noise: setup.noise.parse()?,
        seed,
        logprob,
        nulls: setup.nulls.unwrap_or(NULL_DRAWS),
        pass: None,
        halvings: 0,
        read_ahead: true,
        join: DEFAULT_JOIN.to_owned(),
    })
}

/// Samples per pass through a model of this size.
pub(super) fn pass(loaded: &Loaded) -> usize {
    if loaded.model.layer_bytes(0) <= SMALL_BLOCK { SMALL_PASS } else { LARGE_PASS }
}

/// The data set that was chosen.
///
/// # Errors
/// One that cannot be read.
pub(super) fn dataset(choice: &DataChoice) -> Result<Dataset> {
    match choice {
        DataChoice::Builtin => dataset::builtin(),
        DataChoice::Bytes { name, bytes, domain } => {
            dataset::parse(name, Format::detect(name, &bytes.0), &bytes.0, domain.as_deref())
        }
    }
}

/// What the page shows of a data set.
pub(super) fn dataset_info(data: Dataset) -> DatasetInfo {
    let mut domains: Vec<(String, usize)> = Vec::new();
    for sample in &data.samples {
        match domains.iter_mut().find(|(name, _)| *name == sample.domain) {
            Some((_, n)) => *n += 1,
            None => domains.push((sample.domain.clone(), 1)),
        }
    }
    DatasetInfo { name: data.name, samples: data.samples, rejected: data.rejected, domains }
}
