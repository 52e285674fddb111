//! Labels of features, from a file of the user's.

use super::task::Task;
use crate::dataset::{Labels, layer_of, neuronpedia_url};
use crate::error::{Error, Result};
use crate::protocol::{LabelledDictionary, PickedFile};

/// Largest file: the whole is in memory.
const MOST_BYTES: u64 = 256 << 20;

/// Most labels: those of 32 dictionaries of 16 thousand features. The page holds them all.
const MOST_LABELS: usize = 1 << 19;

/// Reads an export of Neuronpedia.
///
/// # Errors
/// A file that is none, or is larger than the page can hold.
pub(super) async fn labels(task: &Task, file: &PickedFile) -> Result<Vec<LabelledDictionary>> {
    let source = task.picked(file)?;
    let name = source.name().to_owned();
    if source.len() > MOST_BYTES {
        let found = format!("{} MB", source.len() >> 20);
        let expected = format!("at most {} MB", MOST_BYTES >> 20);
        return Err(Error::malformed(name, "size", expected, found, "give the batches of the run's own layers alone"));
    }
    let bytes = source.read(0..source.len()).await?;
    let labels = Labels::read_at_most(&name, &bytes, MOST_LABELS)?;
    let dictionary = |name: &str| {
        let (features, labels) =
            labels.of(name).into_iter().map(|(feature, words)| (feature, words.to_owned())).unzip();
        LabelledDictionary {
            name: name.to_owned(),
            layer: layer_of(name),
            url: neuronpedia_url(name, 0).map(|url| url.trim_end_matches('0').to_owned()),
            features,
            labels,
        }
    };
    Ok(labels.dictionaries().into_iter().map(dictionary).collect())
}
