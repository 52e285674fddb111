//! A finished run's model, SAEs and data, found again: whether they are still those that its manifest names.

use super::{Loaded, Shard};
use crate::dataset::Dataset;
use crate::engine::{Batching, Options};
use crate::error::{Error, Result};
use crate::hash;
use crate::output::{FileInfo, Manifest};

/// The SAEs' layers and the tokenizer are those that the manifest names; `hint` says where to find the run's own.
///
/// # Errors
/// [`Error::Mismatch`] that names what is not.
pub fn same_model(loaded: &Loaded, manifest: &Manifest, hint: &str) -> Result<()> {
    let layers: Vec<usize> = loaded.saes.iter().map(|at| at.layer).collect();
    if layers != manifest.layers {
        return Err(Error::mismatch(
            "layers of the SAEs",
            format!("{:?}", manifest.layers),
            format!("{layers:?}"),
            hint,
        ));
    }
    let tokenizer = hash::sha256(loaded.model.tokenizer_json.as_slice());
    if manifest.tokenizer.file.sha256.as_ref().is_some_and(|known| *known != tokenizer) {
        return Err(Error::mismatch(loaded.tokenizer_file.clone(), "the tokenizer of the run", "another", hint));
    }
    Ok(())
}

/// Files are those of then, wherever they lie now; a hash that was not taken, then or now, says nothing.
///
/// # Errors
/// [`Error::Mismatch`] that names the one that is not.
pub fn same_files(now: &[FileInfo], then: &[FileInfo], hint: &str) -> Result<()> {
    let known: Vec<&String> = then.iter().filter_map(|file| file.sha256.as_ref()).collect();
    if known.len() < then.len() {
        return Ok(());
    }
    for file in now {
        if let Some(sha256) = &file.sha256
            && !known.contains(&sha256)
        {
            return Err(Error::mismatch(&*file.path, "a file that the run was made with", "another", hint));
        }
    }
    Ok(())
}

/// The data are those that the manifest names; where the run was a part of them, that part is left.
///
/// # Errors
/// [`Error::Mismatch`] for others; [`Error::Usage`] for a part that cannot be read.
pub fn same_data(data: &mut Dataset, manifest: &Manifest, hint: &str) -> Result<()> {
    let of = &manifest.dataset;
    let known: Vec<Option<&String>> = of.files.iter().map(|file| file.sha256.as_ref()).collect();
    if let Some(other) = data.files.iter().find(|file| !known.contains(&Some(&file.sha256))) {
        return Err(Error::mismatch(&*other.name, "the data that the run was made with", "others", hint));
    }
    if data.files.len() != of.files.len() {
        let (expected, found) = (format!("{} files", of.files.len()), format!("{} of them", data.files.len()));
        return Err(Error::mismatch("data", expected, found, hint));
    }
    if let Some(shard) = &of.shard {
        let unknown = |e: String| Error::usage(e, "the manifest's part cannot be read");
        let shard: Shard = shard.parse().map_err(unknown)?;
        data.samples.retain(|sample| shard.takes(&sample.id));
    }
    Ok(())
}

/// The run's settings, as far as texts that are measured beside its own depend on them: without log-probabilities and
/// nulls.
///
/// # Errors
/// [`Error::Usage`] for noise that this version does not know.
pub fn options(manifest: &Manifest) -> Result<Options> {
    Ok(Options {
        batching: Batching::Auto,
        noise: manifest.noise.rule.parse()?,
        seed: manifest.noise.seed,
        logprob: false,
        nulls: 0,
        pass: None,
        halvings: 0,
        join: manifest.dataset.join.clone(),
    })
}
