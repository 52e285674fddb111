//! `saescope fetch`, and fetching what other commands need.

use std::path::Path;

use super::hash::hash_files;
use super::known::find;
use super::progress::duration;
use super::{args, inputs, print, say};
use crate::error::{Error, Result};
use crate::model::registry::KnownModel;
use crate::platform::fetch::{Fetched, Progress, Settings, cached_labels, fetch, fetch_labels};
use crate::platform::{Clock, Origin};

/// A known model's files on disk.
pub struct KnownFiles {
    /// The model.
    pub model: Fetched,
    /// Its SAEs, in the registry's order; none if they were not asked for.
    pub saes: Vec<Fetched>,
}

impl KnownFiles {
    /// The model's, then the SAEs'.
    fn all(&self) -> impl Iterator<Item = &Fetched> {
        std::iter::once(&self.model).chain(&self.saes)
    }
}

/// Fetches what is missing of a known model, with progress on stderr.
///
/// # Errors
/// What every source answered, and how to do it by hand.
pub fn known(model: &KnownModel, with_saes: bool) -> Result<KnownFiles> {
    let settings = Settings::from_env()?;
    let mut progress = told();
    let mut wanted = model.wanted().into_iter();
    let mut get = |what: String, origins: &[Origin]| -> Result<Fetched> {
        let fetched = fetch(&what, origins, &settings, &mut progress)?;
        if !fetched.cached && !matches!(fetched.origin, Origin::Bundled(_)) {
            say(&format!("fetched {what} ({}) into {}", fetched.origin.describe(), fetched.folder.display()));
        }
        Ok(fetched)
    };
    let (what, origins) = wanted.next().unwrap_or_else(|| (model.name.clone(), model.sources.as_slice()));
    let fetched = get(what, origins)?;
    let saes = wanted.filter(|_| with_saes).map(|(what, origins)| get(what, origins)).collect::<Result<_>>()?;
    Ok(KnownFiles { model: fetched, saes })
}

/// Says how far a fetch is, at most once a second.
fn told() -> impl FnMut(Progress<'_>) {
    let clock = Clock::start();
    let mut last = 0.0;
    move |p: Progress<'_>| {
        let seconds = clock.seconds();
        if seconds - last >= 1.0 {
            last = seconds;
            let total = p.total.map_or_else(String::new, |t| format!("/{}", megabytes(t)));
            let eta = p.total.filter(|_| p.done > 0).map_or_else(String::new, |t| {
                format!(" | ETA {}", duration(seconds * t.saturating_sub(p.done) as f64 / p.done as f64))
            });
            say(&format!("fetching {}: {}{total} MB{eta}", p.file, megabytes(p.done)));
        }
    }
}

/// `saescope fetch NAME --labels`: the explanations of a known model's SAEs, or of a dictionary of Neuronpedia.
///
/// # Errors
/// A model whose SAEs are not on Neuronpedia; those of fetching.
fn labels(name: &str) -> Result<()> {
    let settings = Settings::from_env()?;
    let dictionaries: Vec<String> = match name.contains('/') {
        true => vec![name.to_owned()],
        false => find(name)?.saes.into_iter().filter_map(|sae| sae.neuronpedia).collect(),
    };
    if dictionaries.is_empty() {
        return Err(Error::missing(
            format!("names of {name}'s SAEs on Neuronpedia"),
            "nobody has explained their features there; others can be given with --labels FILE",
        ));
    }
    for dictionary in dictionaries {
        let there = cached_labels(&dictionary, &settings).is_some();
        let files = fetch_labels(&dictionary, &settings, &mut told())?;
        if !there {
            say(&format!("fetched explanations of {dictionary}, {} files", files.len()));
        }
        files.iter().try_for_each(|file| print(&format!("{}\n", file.display())))?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// `saescope fetch NAME`: files of the cache that are no longer the registry's are fetched again.
///
/// # Errors
/// As [`known`].
pub async fn run(args: &args::Fetch) -> Result<()> {
    if args.labels {
        return labels(&args.name);
    }
    let model = find(&args.name)?;
    let mut files = known(&model, true)?;
    let mut wrong = false;
    for (path, expected) in files.all().flat_map(Fetched::pinned) {
        let hashed = hash_files(vec![inputs::source(Path::new(&path))?], args.rehash).await?;
        if hashed.first().and_then(|file| file.sha256.as_ref()) != Some(&expected) {
            say(&format!("{path} is not what the registry says (sha256 {expected}): it is fetched again"));
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, "remove", e, "remove it by hand"))?;
            wrong = true;
        }
    }
    if wrong {
        files = known(&model, true)?;
    }
    for fetched in files.all() {
        for file in &fetched.files {
            print(&format!("{}\n", file.display()))?;
        }
    }
    Ok(())
}
