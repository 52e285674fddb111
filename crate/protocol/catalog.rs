//! `catalog.json`, beside the page's index.html: which models and finished runs its host has.

use serde::{Deserialize, Serialize};

/// Name of the file, beside index.html.
pub const CATALOG_FILE: &str = "catalog.json";

/// What a page's host offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Catalog {
    /// 1.
    pub version: u32,
    /// Models with their SAEs.
    #[serde(default)]
    pub models: Vec<HostedModel>,
    /// Finished runs: folders with their files.
    #[serde(default)]
    pub runs: Vec<HostedRun>,
    /// Name of the run that the page opens by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_run: Option<String>,
}

impl Catalog {
    /// One that offers nothing.
    pub fn empty() -> Self {
        Self { version: 1, models: Vec::new(), runs: Vec::new(), default_run: None }
    }
}

/// A model whose files the host has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct HostedModel {
    /// Name in the registry.
    pub name: String,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The model's own files.
    pub model: Vec<HostedFile>,
    /// Its SAEs, ascending layers.
    #[serde(default)]
    pub saes: Vec<HostedSae>,
}

impl HostedModel {
    /// Bytes of all its files and its SAEs'.
    pub fn bytes(&self) -> u64 {
        self.model.iter().chain(self.saes.iter().flat_map(|s| &s.files)).map(|f| f.size).sum()
    }
}

/// An SAE of a hosted model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct HostedSae {
    /// Block that it reads.
    pub layer: usize,
    /// Its files.
    pub files: Vec<HostedFile>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct HostedFile {
    /// Path as the registry names it.
    pub path: String,
    /// Where it is, relative to the catalog.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// In lower-case hex, where it was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct HostedRun {
    /// Name of its folder.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Its folder, relative to the catalog, with a slash at the end.
    pub url: String,
    /// Samples measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// UTC, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Whether its calibration.json lies beside its files, which no manifest says; earlier catalogs do not either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<bool>,
}
