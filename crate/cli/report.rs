//! `saescope report`: a finished run as one document that needs nothing beside it.
//!
//! The document is a template that the page's build makes (`vite.report.config.ts`, by `cargo xtask generate`) with
//! the run's files in it. They stand there as base64 in blocks that no browser takes for a script, so no text of
//! a run can become markup; and the template's policy allows its own script and style alone, by their hashes.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{args, catalog, labels, megabytes, pack, print, say, siblings};
use crate::error::{Error, Result, shown};
use crate::{output, platform};

/// The document without a run.
const TEMPLATE: &str = include_str!("report/template.html");
/// Where the run goes; www/build/report.ts sees to it that it is there once.
const PLACE: &str = "<!--run-->";
/// How the document is called where nobody says otherwise.
pub const FILE: &str = "report.html";

/// The block of features' labels, which is no file of the run.
const LABELS: &str = "labels.json";

/// What a document may hold, in bytes of the run's files.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A larger features.parquet is left out: of the figures only a table needs it.
    features: u64,
    /// Of the other three together: more than this, browsers take long to open.
    others: u64,
}

/// Longest calibration that is read: one names every metric a few times.
const MOST_CALIBRATION: u64 = 8 << 20;

const LIMITS: Limits = Limits { features: 32 << 20, others: 64 << 20 };

/// Writes the document and prints its path.
///
/// # Errors
/// A folder that is no finished run, files that its manifest does not know, a run that is too large, a file in
/// the way, writing errors.
pub async fn run(args: &args::Report) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| args.run.join(FILE));
    free(&out, args.force)?;
    let manifest = catalog::is_run(&args.run)?.then(|| catalog::manifest(&args.run)).flatten();
    // of runs without comparisons of features nothing can be said
    let compared = args.run.join(output::STATS_FEATURES_FILE).symlink_metadata().is_ok();
    let names = manifest.iter().filter(|_| compared).flat_map(|manifest| labels::of_saes(manifest).into_values());
    let labels = labels::read_or_cached(&args.labels, &names.collect::<Vec<_>>())?;
    let model = args.promoted.then_some(&args.model);
    let mut words = None;
    if labels.is_some() || model.is_some() {
        let manifest = manifest.ok_or_else(|| catalog::no_run(&args.run))?;
        words = Some(labels::of_run(labels.as_ref(), model, &manifest, &args.run).await?);
    }
    let document = document(&args.run, words, LIMITS)?;
    save(&document, &out, args.force)?;
    say(&format!("{}: {}, one file with the run in it", out.display(), megabytes(document.len() as u64)));
    print(&format!("{}\n", out.display()))
}

/// The document of a finished run.
///
/// # Errors
/// As [`run`], but for writing.
pub fn of_run(folder: &Path) -> Result<String> {
    document(folder, None, LIMITS)
}

/// Writes a document, whole or not at all.
///
/// # Errors
/// A file in the way, writing errors.
pub fn save(document: &str, out: &Path, force: bool) -> Result<()> {
    free(out, force)?;
    platform::write_atomic(out, document.as_bytes())
}

/// A file may be written here.
fn free(out: &Path, force: bool) -> Result<()> {
    if !platform::replaceable(out) {
        return Err(Error::usage(format!("{} is a folder", out.display()), "give a file with `--out FILE`"));
    }
    let own = |name: &str| catalog::RUN_FILES.contains(&name) || name == output::CALIBRATION_FILE;
    let of_run = out.file_name().and_then(|name| name.to_str()).is_some_and(own);
    if of_run {
        return Err(Error::usage(
            format!("{} has the name of a run's own file", out.display()),
            "choose another name with `--out FILE`",
        ));
    }
    if !force && out.symlink_metadata().is_ok() {
        return Err(Error::usage(
            format!("{} is there already", out.display()),
            "replace it with `--force`, or choose another name with `--out FILE`",
        ));
    }
    Ok(())
}

/// The template with the run of a folder in it, and what is said of its features in words.
fn document(folder: &Path, words: Option<Vec<u8>>, limits: Limits) -> Result<String> {
    let manifest = catalog::is_run(folder)?.then(|| catalog::manifest(folder)).flatten();
    let manifest = manifest.ok_or_else(|| catalog::no_run(folder))?;
    known(folder, &manifest)?;
    if let Some(line) = siblings::unlike(folder, &manifest, u64::MAX).first() {
        return Err(Error::mismatch(
            folder.display().to_string(),
            "the files that manifest.json was written with",
            shown(line),
            "a report has to be of one whole run: analyse again, or take a copy that is whole",
        ));
    }
    let mut files = vec![(output::MANIFEST_FILE, pack::shared_manifest(&folder.join(output::MANIFEST_FILE))?)];
    let mut left = limits.others.saturating_sub(files[0].1.len() as u64);
    for name in [output::METRICS_FILE, output::STATS_FILE] {
        let Some(bytes) = read(&folder.join(name), left)? else {
            return Err(Error::unsupported(
                format!("{}: a report of more than {}", folder.display(), megabytes(limits.others)),
                "`saescope serve` shows a run of any size, and `saescope pack` shares it",
            ));
        };
        left -= bytes.len() as u64;
        files.push((name, bytes));
    }
    // earlier runs have none; of too many features the report has what stands in it without them
    if let Some(bytes) = existing(&folder.join(output::STATS_FEATURES_FILE), left)? {
        // the tables are of the comparisons, and the active features, the largest of all files, would be for nothing
        files.push((output::STATS_FEATURES_FILE, bytes));
    } else if let Some(bytes) = read(&folder.join(output::FEATURES_FILE), limits.features)? {
        files.push((output::FEATURES_FILE, bytes));
    } else {
        say(&format!(
            "note: {} is larger than {} and left out: the report has no table of features",
            output::FEATURES_FILE,
            megabytes(limits.features)
        ));
    }
    files.extend(calibration(folder, &manifest)?.map(|bytes| (output::CALIBRATION_FILE, bytes)));
    files.extend(words.map(|words| (LABELS, words)));
    put(&files)
}

/// The run's calibration as it may be given away, where there is one and it is of these metrics; else it is said to be
/// left out.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn calibration(folder: &Path, manifest: &Value) -> Result<Option<Vec<u8>>> {
    let path = folder.join(output::CALIBRATION_FILE);
    let said = |why: &str| {
        say(&format!("note: {} {why} and left out: `saescope calibrate` makes another", output::CALIBRATION_FILE));
        Ok(None)
    };
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let Some(bytes) = read(&path, MOST_CALIBRATION)? else {
        return said("is longer than any calibration");
    };
    let Ok(mut calibration) = output::read_calibration(&path.display().to_string(), &bytes) else {
        return said("cannot be read");
    };
    let mut files = manifest["files"].as_array().into_iter().flatten();
    let own = files.find(|file| file["path"] == output::METRICS_FILE).and_then(|file| file["sha256"].as_str());
    if own.is_none() || own != calibration.metrics.sha256.as_deref() {
        return said("is of another metrics.parquet");
    }
    if manifest["statistics"]["clusters"].as_bool().unwrap_or(true) != calibration.swaps.clustered {
        return said("was made before the run's comparisons, with other clusters,");
    }
    // folders of this machine are nobody else's business
    for of in calibration.left_out.iter_mut().filter(|of| of.reason.contains(['/', '\\'])) {
        of.reason = "not found, or not the run's, where the calibration was made".to_owned();
    }
    output::calibration_json(&calibration).map(Some)
}

/// The manifest's version is one that this program knows of.
///
/// # Errors
/// [`Error::Malformed`] for a newer one, or none.
pub(super) fn known(folder: &Path, manifest: &Value) -> Result<()> {
    let version = manifest["schema_version"].as_u64();
    if version.is_some_and(|version| (1..=u64::from(output::SCHEMA_VERSION)).contains(&version)) {
        return Ok(());
    }
    Err(Error::malformed(
        folder.join(output::MANIFEST_FILE).display().to_string(),
        "schema_version",
        format!("1 to {}", output::SCHEMA_VERSION),
        version.map_or_else(|| "none".to_owned(), |version| version.to_string()),
        "a newer saescope may have written this run: read it with that version",
    ))
}

/// [`read`]; none where there is no such file.
fn existing(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    if path.symlink_metadata().is_ok() { read(path, most) } else { Ok(None) }
}

/// A file of at most so many bytes; none where it is longer.
fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    let failed = |e| Error::io(path.display().to_string(), "read", e, "check that the file is readable");
    let mut bytes = Vec::new();
    // it may grow while it is read
    platform::open_unlinked(path)
        .map_err(failed)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// The template with these files in their place.
fn put(files: &[(&str, Vec<u8>)]) -> Result<String> {
    let Some((before, after)) = TEMPLATE.split_once(PLACE) else {
        return Err(Error::missing("the place for a run in the report's template", "report this as a bug"));
    };
    let size: usize = files.iter().map(|(_, bytes)| bytes.len().div_ceil(3) * 4 + 120).sum();
    let mut document = String::with_capacity(TEMPLATE.len() + size);
    document.push_str(before);
    let writer = concat!("saescope ", env!("CARGO_PKG_VERSION"), ", commit ", env!("SAESCOPE_GIT_COMMIT"));
    for (name, bytes) in files {
        // names are the known ones, and base64 has no letter that means anything to HTML
        document.push_str(&format!(
            "<script type=\"application/octet-stream;base64\" data-file=\"{name}\" data-writer=\"{writer}\">"
        ));
        STANDARD.encode_string(bytes, &mut document);
        document.push_str("</script>\n");
    }
    document.push_str(after);
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;

    /// A folder whose manifest knows its files.
    fn run_of(files: [(&str, &str); 3]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let known: Vec<Value> = files
            .iter()
            .map(|(name, text)| {
                std::fs::write(dir.path().join(name), text).unwrap();
                serde_json::json!({"path": name, "bytes": text.len(), "sha256": hash::sha256(text)})
            })
            .collect();
        let manifest = serde_json::json!({"schema_version": 1, "files": known, "warnings": ["</script><b>"]});
        std::fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
        dir
    }

    const HOSTILE: &str = "</script><script>alert(1)</script><!--";
    const FILES: [(&str, &str); 3] =
        [("metrics.parquet", HOSTILE), ("stats.parquet", "<!--run-->"), ("features.parquet", "ffffffff")];

    /// The files in a document, decoded.
    fn held(document: &str) -> Vec<(String, Vec<u8>)> {
        let blocks = document.split("data-file=\"").skip(1).map(|rest| {
            let (name, rest) = rest.split_once('"').unwrap();
            let (_, rest) = rest.split_once('>').unwrap();
            let (text, _) = rest.split_once("</script>").unwrap();
            (name.to_owned(), STANDARD.decode(text).unwrap())
        });
        // the template's own script looks for the attribute, without a name behind it
        blocks.filter(|(name, _)| catalog::RUN_FILES.contains(&name.as_str())).collect()
    }

    /// The same without what the script of the template says about it.
    fn body(document: &str) -> &str {
        document.rsplit_once("<body>").unwrap().1
    }

    #[test]
    fn a_run_is_in_the_document_and_is_no_markup() {
        let dir = run_of(FILES);
        let document = document(dir.path(), None, LIMITS).unwrap();
        let held = held(body(&document));
        assert_eq!(
            held.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["manifest.json", "metrics.parquet", "stats.parquet", "features.parquet"]
        );
        assert_eq!(held[1].1, HOSTILE.as_bytes());
        assert!(String::from_utf8_lossy(&held[0].1).contains("</script><b>"));
        assert!(!body(&document).contains("alert(1)") && !body(&document).contains(PLACE));
        // as many elements of script as there are files
        assert_eq!(body(&document).matches("<script").count(), 4);
        assert_eq!(body(&document).matches("</script>").count(), 4);
    }

    #[test]
    fn sizes_have_limits() {
        let dir = run_of(FILES);
        let names = |limits| -> Vec<String> {
            held(body(&document(dir.path(), None, limits).unwrap())).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(Limits { features: 8, others: 4096 }).len(), 4);
        assert_eq!(names(Limits { features: 7, others: 4096 }), ["manifest.json", "metrics.parquet", "stats.parquet"]);
        let error = document(dir.path(), None, Limits { features: 8, others: 100 }).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("saescope serve"), "{error}");
    }

    #[test]
    fn what_the_manifest_does_not_know_is_refused() {
        let dir = run_of(FILES);
        std::fs::write(dir.path().join("stats.parquet"), "<!--ruN-->").unwrap();
        let error = document(dir.path(), None, LIMITS).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        assert!(error.to_string().contains("stats.parquet: expected sha256"), "{error}");
        std::fs::remove_file(dir.path().join("stats.parquet")).unwrap();
        assert!(matches!(document(dir.path(), None, LIMITS).unwrap_err(), Error::Missing { .. }));
        let dir = run_of(FILES);
        std::fs::write(dir.path().join("manifest.json"), r#"{"schema_version": 99}"#).unwrap();
        let error = document(dir.path(), None, LIMITS).unwrap_err();
        assert!(error.to_string().contains("found 99"), "{error}");
    }

    #[test]
    fn the_template_allows_its_own_script_and_style_alone() {
        assert_eq!(TEMPLATE.matches(PLACE).count(), 1);
        let between = |from: &str, to: &str| {
            let rest = TEMPLATE.split_once(from).unwrap().1;
            rest.split_once(to).unwrap().0
        };
        let policy = between("http-equiv=\"Content-Security-Policy\" content=\"", "\"");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        for (directive, text) in [
            ("script-src", between("<script type=\"module\">", "</script>")),
            ("style-src", between("<style>", "</style>")),
        ] {
            let digest = hash::sha256(text);
            let bytes: Vec<u8> =
                (0..digest.len()).step_by(2).map(|i| u8::from_str_radix(&digest[i..i + 2], 16).unwrap()).collect();
            let wanted = format!("{directive} 'sha256-{}'", STANDARD.encode(bytes));
            assert!(policy.contains(&wanted), "{wanted} is not in {policy}");
        }
        // nothing is asked of any place
        let frame = TEMPLATE.replace(between("<script type=\"module\">", "</script>"), "");
        assert!(!frame.contains("src=") && !frame.contains("href="), "a request");
    }
}
