//! The known models: one TOML each in `models/`, embedded, so that the page knows them too.
//!
//! Nothing there is guessed: a revision, size or hash that was not seen is absent.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::platform::Origin;

/// The model of `analyze` without arguments.
pub const DEFAULT: &str = "smollm2-135m-instruct";

/// Every TOML of `models/`, by its file name.
const FILES: [(&str, &str); 5] = [
    ("smollm2-135m-instruct", include_str!("../../models/smollm2-135m-instruct.toml")),
    ("gemma-2-2b", include_str!("../../models/gemma-2-2b.toml")),
    ("gemma-3-270m", include_str!("../../models/gemma-3-270m.toml")),
    ("gemma-3-1b", include_str!("../../models/gemma-3-1b.toml")),
    ("gpt2-small", include_str!("../../models/gpt2-small.toml")),
];

/// Terms of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// SPDX identifier, or the licence's own name.
    pub name: String,
    /// Where it can be read.
    pub url: Option<String>,
}

/// A model with its set of SAEs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// What `--model` and `fetch` take.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Terms of the weights.
    pub licence: Licence,
    /// Ways to get the weights, tried in order; they may differ in precision.
    pub sources: Vec<Origin>,
    /// Its SAEs, ascending layers.
    #[serde(default)]
    pub saes: Vec<KnownSae>,
}

/// An SAE of a known model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownSae {
    /// Block whose `resid_post` it reads.
    pub layer: usize,
    /// L0 that its makers declare.
    pub declared_l0: Option<f64>,
    /// `model/sae` of its page on Neuronpedia.
    pub neuronpedia: Option<String>,
    /// See [`crate::sae::Overrides`]; absent where the files say it themselves.
    pub center_input: Option<bool>,
    /// See [`crate::sae::Overrides`]; absent where it is folded in or not used.
    pub norm_scaling_factor: Option<f64>,
    /// Terms, where they differ from the model's.
    pub licence: Option<Licence>,
    /// Ways to get it, tried in order.
    pub sources: Vec<Origin>,
}

impl KnownModel {
    /// The things to fetch, each with its origins: the model first, then its SAEs in order.
    pub fn wanted(&self) -> Vec<(String, &[Origin])> {
        let model = (self.name.clone(), self.sources.as_slice());
        let saes = self.saes.iter().map(|s| (format!("{} SAE of layer {}", self.name, s.layer), s.sources.as_slice()));
        std::iter::once(model).chain(saes).collect()
    }
}

/// All known models, the default one first.
///
/// # Errors
/// [`Error::Malformed`] for a broken TOML, which the tests rule out.
pub fn all() -> Result<Vec<KnownModel>> {
    FILES.iter().map(|(name, text)| parse(name, text)).collect()
}

/// The known model called `name`.
///
/// # Errors
/// [`Error::Missing`] listing the names.
pub fn find(name: &str) -> Result<KnownModel> {
    match FILES.iter().find(|(known, _)| *known == name) {
        Some((known, text)) => parse(known, text),
        None => {
            let names: Vec<&str> = FILES.iter().map(|(known, _)| *known).collect();
            Err(Error::missing(
                format!("model {name} in the registry"),
                format!("known are {}; a folder or a .gguf file is given by its path", names.join(", ")),
            ))
        }
    }
}

fn parse(name: &str, text: &str) -> Result<KnownModel> {
    toml::from_str(text).map_err(|e| {
        Error::malformed(format!("models/{name}.toml"), "entry", "a known model", e.to_string(), "correct the file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Bundled, Hub, Package};

    #[test]
    fn every_file_parses_and_is_named_after_its_model() {
        let all = all().unwrap();
        for (model, (file, _)) in all.iter().zip(FILES) {
            assert_eq!(model.name, file);
            assert!(!model.sources.is_empty() && !model.saes.is_empty(), "{file}");
            assert!(model.saes.is_sorted_by(|a, b| a.layer < b.layer), "{file}: layers out of order");
            assert_eq!(model.wanted().len(), 1 + model.saes.len());
        }
        assert_eq!(all[0].name, DEFAULT);
        assert_eq!(find(DEFAULT).unwrap(), all[0]);
    }

    #[test]
    fn every_toml_of_the_folder_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "toml"))
            .map(|p| p.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        found.sort();
        let mut embedded: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        embedded.sort_unstable();
        assert_eq!(found, embedded);
    }

    #[test]
    fn hashes_revisions_and_paths_are_well_formed() {
        let hex = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        for model in all().unwrap() {
            for (what, origins) in model.wanted() {
                for origin in origins {
                    assert!(!origin.files().is_empty(), "{what}: no files");
                    for file in origin.files() {
                        assert!(file.sha256.as_ref().is_none_or(|s| hex(s, 64)), "{what}: {file:?}");
                        assert!(
                            file.path.split('/').all(|c| !c.is_empty() && c != ".." && c != "."),
                            "{what}: {file:?}"
                        );
                    }
                    match origin {
                        Origin::Hub(Hub { repo, revision, .. }) => {
                            assert_eq!(repo.matches('/').count(), 1, "{what}: {repo}");
                            assert!(revision.as_ref().is_none_or(|r| hex(r, 40)), "{what}: {revision:?}");
                        }
                        Origin::Package(Package { parts, .. }) => assert!(!parts.is_empty(), "{what}"),
                        Origin::Bundled(Bundled { folder, .. }) => assert!(folder.starts_with(&model.name), "{what}"),
                    }
                }
            }
        }
    }

    #[test]
    fn the_layers_of_the_design() {
        let layers = |name: &str| find(name).unwrap().saes.iter().map(|s| s.layer).collect::<Vec<_>>();
        assert_eq!(layers("gemma-2-2b"), [5, 12, 20]);
        assert_eq!(layers("smollm2-135m-instruct"), [6, 14, 23]);
        assert_eq!(layers("gpt2-small"), [2, 6, 9]);
    }

    #[test]
    fn gpt2s_saes_read_the_block_before_their_hook_and_want_a_centred_stream() {
        for sae in find("gpt2-small").unwrap().saes {
            let hook = format!("blocks.{}.hook_resid_pre/", sae.layer + 1);
            assert!(sae.sources[0].files().iter().all(|f| f.path.starts_with(&hook)), "{sae:?}");
            assert_eq!(sae.center_input, Some(true));
            assert_eq!(sae.neuronpedia, Some(format!("gpt2-small/{}-res-jb", sae.layer + 1)));
        }
    }

    #[test]
    fn unknown_names_and_fields() {
        let error = find("gpt3").unwrap_err().to_string();
        assert!(error.contains("gpt3") && error.contains("gemma-2-2b"), "{error}");
        let text = FILES[0].1.replacen("summary", "sumary", 1);
        assert!(parse("x", &text).unwrap_err().to_string().contains("sumary"));
        assert!(parse("x", "name = 1").unwrap_err().to_string().contains("models/x.toml"));
    }

    #[test]
    fn links() {
        let model = find("gemma-2-2b").unwrap();
        let name = model.saes[2].neuronpedia.as_deref();
        assert_eq!(name, Some("gemma-2-2b/20-gemmascope-res-16k"));
    }
}
