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
        read_ahead: true,
        join: manifest.dataset.join.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset;
    use crate::output::tests::manifest;

    fn file(path: &str, sha256: Option<&str>) -> FileInfo {
        FileInfo { path: path.to_owned(), bytes: 1, sha256: sha256.map(str::to_owned) }
    }

    #[test]
    fn files_are_told_by_what_is_in_them() {
        let then = [file("/a/model.safetensors", Some("00")), file("/a/config.json", Some("11"))];
        assert!(same_files(&[file("b/x", Some("11")), file("y", Some("00"))], &then, "h").is_ok());
        // what was read by range has no hash
        assert!(same_files(&[file("x", None)], &then, "h").is_ok());
        assert!(same_files(&[file("x", Some("22"))], &[file("a", None), file("b", Some("11"))], "h").is_ok());
        let error = same_files(&[file("x", Some("22"))], &then, "choose it").unwrap_err().to_string();
        assert!(
            error.contains("x: expected a file that the run was made with") && error.contains("choose it"),
            "{error}"
        );
    }

    #[test]
    fn data_are_the_run_s_whole_or_the_part_that_it_was() {
        let builtin = dataset::builtin().unwrap();
        let mut of_run = manifest();
        let error = same_data(&mut builtin.clone(), &of_run, "h").unwrap_err().to_string();
        assert!(error.contains("expected the data that the run was made with"), "{error}");
        of_run.dataset.files = vec![file("builtin", Some(&builtin.files[0].sha256))];
        let mut data = builtin.clone();
        same_data(&mut data, &of_run, "h").unwrap();
        assert_eq!(data, builtin);
        of_run.dataset.files.push(file("another", Some("00")));
        let error = same_data(&mut data, &of_run, "h").unwrap_err().to_string();
        assert!(error.contains("expected 2 files, found 1 of them"), "{error}");
        of_run.dataset.files.truncate(1);
        let mut left = Vec::new();
        for part in ["1/2", "2/2"] {
            of_run.dataset.shard = Some(part.to_owned());
            let mut data = builtin.clone();
            same_data(&mut data, &of_run, "h").unwrap();
            assert!(!data.samples.is_empty());
            left.extend(data.samples.into_iter().map(|sample| sample.id));
        }
        assert_eq!(left.len(), builtin.samples.len(), "every sample is in one part");
        of_run.dataset.shard = Some("none".to_owned());
        assert!(matches!(same_data(&mut data, &of_run, "h"), Err(Error::Usage { .. })));
    }

    #[test]
    fn settings_are_the_run_s_without_what_costs_more() {
        let of_run = manifest();
        let found = options(&of_run).unwrap();
        assert_eq!((found.seed, found.nulls, found.logprob, found.join.as_str()), (u64::MAX, 0, false, " "));
        let mut other = of_run;
        other.noise.rule = "loud".to_owned();
        assert!(options(&other).is_err());
    }
}
