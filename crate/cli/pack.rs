//! `saescope pack`: models and finished runs beside a built page, so that any static host can share
//! them.

use std::path::Path;

use serde_json::Value;

use super::{args, catalog, fetch, known, print, report, siblings};
use crate::error::{Error, Result};
use crate::protocol::{CATALOG_FILE, Catalog, HostedRun};
use crate::{output, platform};

/// Copies what is asked for into the page's folder and writes its catalog.
///
/// # Errors
/// A folder without a page, runs that are not whole, files that cannot be written.
pub fn run(args: &args::Pack) -> Result<()> {
    if !args.page.join("index.html").is_file() {
        return Err(Error::missing(
            format!("index.html in {}", args.page.display()),
            "cargo xtask web builds the page",
        ));
    }
    let mut catalog = Catalog::empty();
    for name in &args.models {
        let known = known::find(name)?;
        let (entry, files) = catalog::model(&known, &fetch::known(&known, true)?, true)?;
        for (url, from) in files {
            place(&from, &args.page.join(&url))?;
        }
        catalog.models.push(entry);
    }
    for folder in &args.runs {
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !catalog::plain_name(&name) {
            return Err(Error::usage(
                format!("{} cannot be part of an address", folder.display()),
                "a run's folder is named with letters, digits, `-`, `_` and `.`",
            ));
        }
        let manifest = catalog::is_run(folder)?.then(|| catalog::manifest(folder)).flatten();
        let manifest = manifest.ok_or_else(|| catalog::no_run(folder))?;
        if let Some(line) = siblings::unlike(folder, &manifest, u64::MAX).first() {
            return Err(Error::usage(
                format!("{}: not the run that its manifest tells of: {line}", folder.display()),
                "what is published has to be whole: analyse again, or pack a copy that is",
            ));
        }
        let calibration = report::calibration(folder, &manifest)?;
        let run = HostedRun { calibrated: Some(calibration.is_some()), ..catalog::entry(&name, &manifest) };
        let there = args.page.join(&run.url);
        let there_is = |file: &str| !catalog::may_lack(file) || folder.join(file).exists();
        let files = catalog::RUN_FILES.into_iter().filter(|file| *file != output::MANIFEST_FILE);
        for file in files.filter(|file| there_is(file)) {
            place(&folder.join(file), &there.join(file))?;
        }
        let beside = there.join(output::CALIBRATION_FILE);
        match calibration {
            Some(bytes) => platform::write_atomic(&beside, &bytes)?,
            // of another run that was packed under this name
            None => drop(std::fs::remove_file(&beside)),
        }
        let manifest = shared_manifest(&folder.join(output::MANIFEST_FILE))?;
        platform::write_atomic(there.join(output::MANIFEST_FILE), &manifest)?;
        catalog.runs.push(run);
    }
    catalog.default_run = catalog.runs.first().map(|run| run.name.clone());
    let path = args.page.join(CATALOG_FILE);
    platform::write_atomic(&path, &catalog::json(&catalog)?)?;
    print(&format!("{}\n", path.display()))
}

/// A run's manifest without the folders of the machine that made it: they are nobody else's business,
/// and the hashes say which files they were.
pub(super) fn shared_manifest(path: &Path) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| Error::io(&name, "read", e, "check that the file is readable"))?;
    let failed = |e: serde_json::Error| {
        Error::malformed(&name, "contents", "a manifest", e.to_string(), "run the analysis again")
    };
    let mut manifest = serde_json::from_slice(&bytes).map_err(failed)?;
    name_files_only(&mut manifest, false);
    serde_json::to_vec_pretty(&manifest).map_err(failed)
}

/// Leaves the last part of every `path`; `of_data` where a domain may stand before it.
fn name_files_only(value: &mut Value, of_data: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| name_files_only(item, of_data)),
        Value::Object(fields) => {
            for (field, value) in fields {
                match value {
                    Value::String(text) if field == "path" && text.contains(['/', '\\']) && !text.contains("://") => {
                        let (domain, path) = if of_data { domain_of(text) } else { (None, text.as_str()) };
                        let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
                        *text = domain.map_or_else(|| file.to_owned(), |domain| format!("{domain}={file}"));
                    }
                    other => name_files_only(other, of_data || field == "dataset"),
                }
            }
        }
        _ => {}
    }
}

/// `domain=/folder/file` is how a data set's path stands in a manifest; a path may have an equals sign of its own, and
/// one that is there wins over a domain, as on the command line.
fn domain_of(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((domain, path)) if !domain.contains(['/', '\\']) && !Path::new(text).exists() => (Some(domain), path),
        _ => (None, text),
    }
}

/// A copy of `from` at `to`, which shares its bytes where the file system can.
fn place(from: &Path, to: &Path) -> Result<()> {
    let failed = |e| Error::io(to.display().to_string(), "write", e, "check that the page's folder can be written");
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    if same(from, to) {
        return Ok(());
    }
    match std::fs::remove_file(to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    // a file in the cache may be a link, which a page must not have
    let from = from.canonicalize().map_err(failed)?;
    // a second name is not a copy, but nobody writes into these files: they are replaced whole
    if std::fs::hard_link(&from, to).is_err() {
        std::fs::copy(from, to).map_err(failed)?;
    }
    Ok(())
}

/// Whether the file is there already, as old and as long as its original.
fn same(from: &Path, to: &Path) -> bool {
    let facts = |path: &Path| path.metadata().ok().and_then(|m| Some((m.len(), m.modified().ok()?)));
    facts(to).is_some_and(|there| facts(from) == Some(there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_manifest_names_no_folders() {
        let mut manifest = serde_json::json!({
            "model": {"name": "a/b", "files": [{"path": "/home/me/m.gguf", "bytes": 1}]},
            "tokenizer": {"file": {"path": "C:\\me\\tokenizer.json"}},
            "saes": [{"layer": 5, "files": [{"path": "runs/lr=0.1/home/cfg.json"}, {"path": "k=home/sae.npz"}]}],
            "dataset": {"files": [
                {"path": "people=/home/me/x.csv"},
                {"path": "builtin"},
                {"path": "https://h/x.json"},
                {"path": "/home/me=you/part=1.csv"},
                {"path": "people=C:\\home\\year=2020\\x.csv"},
            ]},
        });
        name_files_only(&mut manifest, false);
        let text = manifest.to_string();
        assert!(!text.contains("home") && !text.contains("C:"), "{text}");
        assert_eq!(manifest["model"]["name"], "a/b");
        assert_eq!(manifest["model"]["files"][0]["path"], "m.gguf");
        assert_eq!(manifest["tokenizer"]["file"]["path"], "tokenizer.json");
        assert_eq!(manifest["saes"][0]["files"][0]["path"], "cfg.json");
        assert_eq!(manifest["saes"][0]["files"][1]["path"], "sae.npz");
        let data: Vec<&str> = manifest["dataset"]["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["path"].as_str().unwrap())
            .collect();
        assert_eq!(data, ["people=x.csv", "builtin", "https://h/x.json", "part=1.csv", "people=x.csv"]);
        // one that is there
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("year=2020");
        std::fs::create_dir(&there).unwrap();
        std::fs::write(there.join("x.csv"), "").unwrap();
        let there = there.join("x.csv").display().to_string();
        assert_eq!(domain_of(&there), (None, there.as_str()));
        assert_eq!(domain_of("year=2020/x.csv"), (Some("year"), "2020/x.csv"));
    }
}
