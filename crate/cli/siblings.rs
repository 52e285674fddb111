//! Whether a finished run's files are those that its manifest was written with.

use std::path::Path;

use serde_json::Value;

use super::catalog::RUN_FILES;
use crate::error::shown;
use crate::{hash, output, platform};

/// Longest file that is hashed where somebody waits for a list; of longer ones the length is compared.
pub const AT_ONCE: u64 = 64 << 20;

/// What does not match, a line each, as the page says it. Nothing where the manifest is an earlier version's,
/// which had no hashes. Files longer than `hashed` are compared by length alone.
pub fn unlike(folder: &Path, manifest: &Value, hashed: u64) -> Vec<String> {
    let files = manifest["files"].as_array().into_iter().flatten();
    let own = |name: &str| name != output::MANIFEST_FILE && RUN_FILES.contains(&name);
    files
        .filter_map(|file| {
            // the manifest may be anybody's: no path of it leads out of the folder
            let name = file["path"].as_str().filter(|name| own(name))?;
            let found = difference(&folder.join(name), file["bytes"].as_u64()?, file["sha256"].as_str(), hashed)?;
            Some(format!("{name}: {found}"))
        })
        .collect()
}

/// How a file differs from what is known of it.
fn difference(path: &Path, bytes: u64, sha256: Option<&str>, hashed: u64) -> Option<String> {
    let unread = |e: std::io::Error| Some(format!("cannot be read: {e}"));
    let file = match platform::open_unlinked(path) {
        Ok(file) => file,
        Err(e) => return unread(e),
    };
    let found = match file.metadata() {
        Ok(meta) => meta.len(),
        Err(e) => return unread(e),
    };
    if found != bytes {
        return Some(format!("expected {bytes} bytes as manifest.json says, found {found}"));
    }
    let expected = sha256.filter(|_| bytes <= hashed)?;
    match hash::of_reader(&file) {
        Ok(found) if found == expected => None,
        Ok(found) => Some(format!("expected sha256 {} as manifest.json says, found {found}", shown(expected))),
        Err(e) => unread(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_match_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("metrics.parquet"), "metrics").unwrap();
        std::fs::write(dir.path().join("stats.parquet"), "stats").unwrap();
        let file = |name: &str, bytes: usize, of: &str| serde_json::json!({"path": name, "bytes": bytes, "sha256": hash::sha256(of)});
        let said = |files: Value, hashed| unlike(dir.path(), &serde_json::json!({ "files": files }), hashed);
        assert!(
            said(
                serde_json::json!([file("metrics.parquet", 7, "metrics"), file("stats.parquet", 5, "stats")]),
                AT_ONCE
            )
            .is_empty()
        );
        assert!(unlike(dir.path(), &serde_json::json!({"run_id": "a"}), AT_ONCE).is_empty(), "an earlier version's");
        let other = serde_json::json!([
            file("metrics.parquet", 7, "METRICS"),
            file("stats.parquet", 6, "stats"),
            file("features.parquet", 1, "f")
        ]);
        let lines = said(other.clone(), AT_ONCE);
        assert!(
            lines[0].starts_with("metrics.parquet: expected sha256 ") && lines[0].contains(&hash::sha256("metrics")),
            "{lines:?}"
        );
        assert_eq!(lines[1], "stats.parquet: expected 6 bytes as manifest.json says, found 5");
        assert!(lines[2].starts_with("features.parquet: cannot be read: ") && lines.len() == 3, "{lines:?}");
        assert_eq!(said(other, 6).len(), 2, "a long file is compared by its length");
        // nothing outside is looked at
        let outside =
            serde_json::json!([file("../secret", 1, "x"), file("/etc/passwd", 1, "x"), file("manifest.json", 1, "x")]);
        assert!(said(outside, AT_ONCE).is_empty());
    }
}
