//! What can be asked for, and where it lies. A path is answered only if every part of it is a plain
//! name: there is nothing to decode, and no way out of the folders.

use std::path::PathBuf;

use super::runs::Runs;
use crate::cli::catalog::{self, Placed, RUN_FILES};
use crate::cli::fetch::KnownFiles;
use crate::error::{Error, Result};
use crate::model::registry::{self, KnownModel};
use crate::output;
use crate::platform::fetch::{Settings, at_hand};
use crate::protocol::{CATALOG_FILE, Catalog, HostedModel};

/// The page as the source has it: the one place of the policy's text, for a page that lost its own.
const INDEX: &str = include_str!("../../../index.html");

/// The page and what lies beside it.
pub struct Site {
    page: PathBuf,
    /// This machine's runs.
    pub runs: Runs,
    settings: Settings,
    /// The page's content security policy.
    pub policy: String,
}

/// What lies at a path.
#[derive(Debug)]
pub enum Found {
    /// A file; `own` if it is the page's, `changes` if it may be another one tomorrow under the same name.
    File { path: PathBuf, own: bool, changes: bool },
    /// A file of one of this machine's runs, which must be no link to another.
    Run(PathBuf),
    /// Something made up for this answer.
    Bytes(Vec<u8>),
}

impl Site {
    /// # Errors
    /// A page that cannot be read.
    pub fn new(page: PathBuf, places: Vec<PathBuf>, settings: Settings) -> Result<Self> {
        let index = page.join("index.html");
        let html = std::fs::read_to_string(&index)
            .map_err(|e| Error::io(index.display().to_string(), "read", e, "build the page again"))?;
        let policy = policy(&html).or_else(|| policy(INDEX)).unwrap_or("default-src 'none'");
        let runs = Runs::new(places, page.join("runs"));
        Ok(Self { page, runs, settings, policy: format!("{policy}; frame-ancestors 'none'") })
    }

    /// What lies at a path of an address, without its query.
    ///
    /// # Errors
    /// What the catalog is made of cannot be read.
    pub fn find(&self, path: &str) -> Result<Option<Found>> {
        let Some(path) = path.strip_prefix('/') else { return Ok(None) };
        let path = if path.is_empty() { "index.html" } else { path };
        let parts: Vec<&str> = path.split('/').collect();
        if !parts.iter().all(|part| catalog::plain_name(part)) {
            return Ok(None);
        }
        if path == CATALOG_FILE {
            return Ok(Some(Found::Bytes(catalog::json(&self.catalog()?)?)));
        }
        let own = self.page.join(path);
        if own.is_file() {
            // the build puts a hash of the content into the names of what is in assets/
            return Ok(Some(Found::File { path: own, own: true, changes: parts[0] != "assets" }));
        }
        Ok(match parts[..] {
            ["runs", name, file] if RUN_FILES.contains(&file) || file == output::CALIBRATION_FILE => {
                // what a run may lack is not there, rather than unreadable
                let there = |path: &PathBuf| path.symlink_metadata().is_ok();
                self.runs.find(name).map(|folder| folder.join(file)).filter(there).map(Found::Run)
            }
            ["models", name, ..] => {
                self.model_file(name, path)?.map(|path| Found::File { path, own: false, changes: true })
            }
            _ => None,
        })
    }

    /// The page's own catalog, with this machine's models and runs after it.
    fn catalog(&self) -> Result<Catalog> {
        let mut catalog = catalog::read(&self.page)?;
        for known in registry::all()? {
            if let Some((model, _)) = self.model(&known)?
                && !catalog.models.iter().any(|m| m.name == model.name)
            {
                catalog.models.push(model);
            }
        }
        catalog.runs.extend(self.runs.list());
        Ok(catalog)
    }

    /// The file of a known model that is offered at `path`.
    fn model_file(&self, name: &str, path: &str) -> Result<Option<PathBuf>> {
        let Ok(known) = registry::find(name) else { return Ok(None) };
        let files = self.model(&known)?.map(|(_, files)| files).unwrap_or_default();
        Ok(files.into_iter().find(|(url, _)| url == path).map(|(_, file)| file))
    }

    /// A known model that is at hand as a whole, and its files.
    fn model(&self, known: &KnownModel) -> Result<Option<(HostedModel, Vec<Placed>)>> {
        // the model first: SAEs that the program brings are not written out for a model that is not here
        let all: Option<Vec<_>> = known
            .wanted()
            .iter()
            .map(|(_, origins)| origins.iter().find_map(|origin| at_hand(origin, &self.settings)))
            .collect();
        let Some(mut all) = all.map(Vec::into_iter) else { return Ok(None) };
        let Some(model) = all.next() else { return Ok(None) };
        catalog::model(known, &KnownFiles { model, saes: all.collect() }, false).map(Some)
    }
}

/// The policy that a page's head declares.
fn policy(html: &str) -> Option<&str> {
    let meta = html.split("<meta").find(|tag| tag.contains("http-equiv=\"Content-Security-Policy\""))?;
    let content = meta.split_once("content=\"")?.1.split_once('"')?.0;
    // it becomes a header's value
    content.bytes().all(|b| matches!(b, b' '..=b'~')).then_some(content.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_own_policy_is_found() {
        let html = "<head>\n<meta charset=\"utf-8\">\n<meta\n http-equiv=\"Content-Security-Policy\"\n \
                    content=\"default-src 'self'\">\n</head>";
        assert_eq!(policy(html), Some("default-src 'self'"));
        assert_eq!(policy("<head><meta charset=\"utf-8\"></head>"), None);
    }

    #[test]
    fn the_policy_lets_no_string_become_code() {
        let policy = policy(INDEX).unwrap();
        let script = policy.split(';').find(|part| part.trim().starts_with("script-src")).unwrap();
        // WASM is compiled, JavaScript never
        assert_eq!(script.trim(), "script-src 'self' 'wasm-unsafe-eval'");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
}
