//! How large the page is on the wire, and packed copies for hosts that can use them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::files;
use crate::paths::Paths;

/// Limits of what a first visit loads. The WASM's is for brotli, which every browser takes and hosts
/// send; gzip makes it larger, and its figure is printed too.
const WASM_LIMIT: u64 = 4_000_000;
const SCRIPT_LIMIT: u64 = 600_000;

/// Writes `<file>.gz` and `<file>.br` beside each file that gains by it. zlib and brotli are
/// node's: it is there anyway.
const PACK: &str = r#"
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
const [cache, ...files] = process.argv.slice(1);
for (const file of files) {
  const bytes = readFileSync(file);
  const key = createHash("sha256").update(bytes).digest("hex");
  for (const [ending, pack] of [
    ["gz", () => gzipSync(bytes, { level: 9 })],
    ["br", () => brotliCompressSync(bytes, { params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    } })],
  ]) {
    const kept = `${cache}/${key}.${ending}`;
    if (!existsSync(kept)) writeFileSync(kept, pack());
    writeFileSync(`${file}.${ending}`, readFileSync(kept));
  }
}
"#;

/// Files that are worth packing: text and code. Models and Parquet are dense already.
fn packable(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    matches!(ending, "wasm" | "js" | "css" | "html" | "svg" | "webmanifest")
}

/// Packed copies of the page's code, those of unchanged files out of a cache.
pub fn pack(paths: &Paths, dist: &Path) -> Result<()> {
    let cache = paths.cache.join("page/packed");
    fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    let files: Vec<PathBuf> = files(dist)?.into_iter().filter(|path| packable(path)).collect();
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", PACK, "--"]).arg(&cache).args(&files);
    println!("packing {} files", files.len());
    ensure!(node.status().context("cannot run node")?.success(), "node could not pack the page's files");
    Ok(())
}

/// Bytes of one kind of file: as it is, and packed.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    whole: u64,
    gzip: u64,
    brotli: u64,
}

/// What a visit loads.
#[derive(Debug, Default)]
pub struct Sizes {
    wasm: Sum,
    script: Sum,
    style: Sum,
}

/// Sums up a packed page.
pub fn measure(dist: &Path) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    for path in files(dist)? {
        let sum = match path.extension().and_then(|e| e.to_str()) {
            Some("wasm") => &mut sizes.wasm,
            Some("js") => &mut sizes.script,
            Some("css") => &mut sizes.style,
            _ => continue,
        };
        let length = |ending: &str| -> Result<u64> {
            let path = PathBuf::from(format!("{}{ending}", path.display()));
            Ok(path.metadata().with_context(|| path.display().to_string())?.len())
        };
        sum.whole += length("")?;
        sum.gzip += length(".gz")?;
        sum.brotli += length(".br")?;
    }
    Ok(sizes)
}

impl Sizes {
    /// # Errors
    /// What is too large, and by how much.
    pub fn gate(&self) -> Result<()> {
        ensure!(self.wasm.whole > 0 && self.script.whole > 0, "the page has no WASM or no script");
        let (wasm, script) = (self.wasm.brotli, self.script.gzip);
        ensure!(wasm <= WASM_LIMIT, "the WASM has {wasm} bytes with brotli, at most {WASM_LIMIT} are allowed");
        ensure!(script <= SCRIPT_LIMIT, "the script has {script} bytes with gzip, at most {SCRIPT_LIMIT} are allowed");
        Ok(())
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<8}{:>12}{:>12}{:>12}   limit", "", "bytes", "gzip", "brotli")?;
        for (name, sum, limit) in [
            ("WASM", self.wasm, format!("{WASM_LIMIT} (brotli)")),
            ("script", self.script, format!("{SCRIPT_LIMIT} (gzip)")),
            ("style", self.style, "none".to_owned()),
        ] {
            writeln!(f, "{name:<8}{:>12}{:>12}{:>12}   {limit}", sum.whole, sum.gzip, sum.brotli)?;
        }
        Ok(())
    }
}
