//! A known model by its name; for another name, what is near it and how to get what was meant.

use crate::error::{Error, Hint, Result};
use crate::model::registry::{self, KnownModel};
use crate::platform::{Hub, Origin};

/// Similarity of two names, 0 to 1, from which on one is offered for the other.
const NEAR: f64 = 0.6;

/// The known model called `name`.
///
/// # Errors
/// [`Error::Missing`] with the names near it, all known ones, and for a hub's `owner/name` how to get
/// the model by hand.
pub fn find(name: &str) -> Result<KnownModel> {
    let models = registry::all()?;
    let found = models.iter().find(|model| model.name == name);
    found.cloned().ok_or_else(|| missing(name, &models))
}

/// Whether a `--model` that is no folder here looks like a repository of the hub.
pub fn is_hub_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let is_file = name.to_ascii_lowercase().ends_with(".gguf");
    !is_file && name.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name))
}

fn missing(name: &str, models: &[KnownModel]) -> Error {
    let near = near(name, models);
    let known: Vec<&str> = models.iter().map(|m| m.name.as_str()).collect();
    let mut hint = Vec::new();
    if !near.is_empty() {
        hint.push(format!("near it: {}", near.join(", ")));
    }
    hint.push(format!("known are {}; a folder or a .gguf file is given by its path", known.join(", ")));
    let what = if is_hub_name(name) {
        hint.push(format!(
            "repositories of the hub are not fetched by name: `hf download {name} --local-dir DIR` gets one,"
        ));
        hint.push("then `--model DIR --sae LAYER=PATH` runs it".to_owned());
        format!("model {name} (no such folder here, and not in the registry)")
    } else {
        format!("model {name} in the registry")
    };
    Error::missing(what, Hint::lines(&hint))
}

/// Known models whose name, or whose repository on the hub, is like `name`; the likest first.
fn near(name: &str, models: &[KnownModel]) -> Vec<String> {
    let wanted = last_part(name);
    let mut found: Vec<(f64, String)> = models
        .iter()
        .filter_map(|model| {
            let repositories = model.sources.iter().filter_map(|origin| match origin {
                Origin::Hub(Hub { repo, .. }) => Some(repo.as_str()),
                _ => None,
            });
            let of_it = repositories.clone().find(|repo| repo.eq_ignore_ascii_case(name));
            let likeness = repositories.chain([model.name.as_str()]).map(|n| likeness(&wanted, &last_part(n)));
            let likeness = likeness.fold(0.0, f64::max);
            match of_it {
                Some(repo) => Some((2.0, format!("{} (of {repo})", model.name))),
                None => (likeness >= NEAR).then(|| (likeness, model.name.clone())),
            }
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found.into_iter().map(|(_, name)| name).collect()
}

/// 1 for the same name, 0 for nothing in common: one minus the edit distance (Damerau-Levenshtein) as a
/// share of the longer name, or of its beginning where the shorter one is a whole beginning of it.
fn likeness(a: &str, b: &str) -> f64 {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    // `gpt2` is gpt2-small, `g` is anything
    if short.len() >= 3 && long.starts_with(short) {
        return 0.95;
    }
    strsim::normalized_damerau_levenshtein(a, b)
}

fn last_part(name: &str) -> String {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str) -> String {
        find(name).unwrap_err().to_string()
    }

    #[test]
    fn known_names_are_found() {
        for model in registry::all().unwrap() {
            assert_eq!(find(&model.name).unwrap(), model);
        }
    }

    #[test]
    fn what_is_near_comes_first() {
        let near = |name: &str| near(name, &registry::all().unwrap());
        assert_eq!(near("gemma-2b").first().map(String::as_str), Some("gemma-2-2b"));
        assert_eq!(near("gemma2-2b").first().map(String::as_str), Some("gemma-2-2b"));
        assert_eq!(near("Gemma-3-1B-it").first().map(String::as_str), Some("gemma-3-1b"));
        assert_eq!(near("gpt2"), ["gpt2-small"]);
        assert_eq!(near("smollm2"), ["smollm2-135m-instruct"]);
        assert_eq!(
            near("HuggingFaceTB/SmolLM2-135M-Instruct")[0],
            "smollm2-135m-instruct (of HuggingFaceTB/SmolLM2-135M-Instruct)"
        );
        assert_eq!(near("mamba"), [""; 0]);
    }

    #[test]
    fn the_hub_s_names_are_told_from_paths() {
        for name in ["meta-llama/Llama-3.2-1B", "google/gemma-2-2b", "a/b"] {
            assert!(is_hub_name(name), "{name}");
        }
        for name in ["gemma-2-2b", "./a", "../a", "/a/b", "a/b/c", "a/", "/a", "a/b.gguf", "a\\b", "~/a b", "a/.b"] {
            assert!(!is_hub_name(name), "{name}");
        }
    }

    #[test]
    fn the_message_says_how_to_get_it() {
        let text = said("meta-llama/Llama-3.2-1B");
        for words in
            ["meta-llama/Llama-3.2-1B", "no such folder", "gemma-2-2b", "hf download meta-llama/Llama-3.2-1B", "--sae"]
        {
            assert!(text.contains(words), "{words:?} is not in: {text}");
        }
        let text = said("gemma2b");
        assert!(text.contains("near it: gemma-2-2b") && !text.contains("hf download"), "{text}");
        assert_eq!(text.matches("hint:").count(), 1);
    }
}
