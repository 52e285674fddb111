//! The page's own script and style, by its own tools: node and npm.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::stamp::Stamp;
use crate::paths::Paths;
use crate::run::{must, output};

const HINT: &str = "install Node 20 or later with npm: https://nodejs.org, or on Debian 13 and later: \
                    sudo apt-get install nodejs npm";
const OLDEST: u32 = 20;

/// node and npm, for this checkout.
pub struct Npm {
    root: PathBuf,
}

impl Npm {
    /// # Errors
    /// No node, or one that is too old; says what to type.
    pub fn find(paths: &Paths) -> Result<Self> {
        let Some(version) = output("node", &["--version"]) else { bail!("the page needs node; {HINT}") };
        let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse::<u32>().ok());
        ensure!(major.is_some_and(|n| n >= OLDEST), "the page needs node {OLDEST} or later, found {version}; {HINT}");
        ensure!(output(npm(), &["--version"]).is_some(), "the page needs npm; {HINT}");
        Ok(Self { root: paths.root.clone() })
    }

    /// Fetches what package-lock.json names, if it has changed.
    pub fn install(&self) -> Result<()> {
        let modules = self.root.join("node_modules");
        let lock = self.root.join("package-lock.json");
        let stamp = Stamp::new(modules.join(".lock-hash"), &[&lock], &[])?;
        if stamp.fits() {
            return Ok(());
        }
        must(self.npm().args(["ci", "--no-audit", "--no-fund"])).context("npm could not fetch the page's parts")?;
        stamp.set()
    }

    /// Builds the page into `dist`, which is emptied first.
    pub fn build(&self, engine: &Path, dist: &Path) -> Result<()> {
        must(self.npm().args(["run", "build"]).env("SAESCOPE_PKG", engine).env("SAESCOPE_DIST", dist))
    }

    /// Builds the report's template into `folder`, which is emptied first.
    pub fn report(&self, folder: &Path) -> Result<()> {
        must(self.npm().args(["run", "--silent", "report", "--", "--logLevel", "warn"]).env("SAESCOPE_REPORT", folder))
    }

    /// Builds the scripts and the types of the npm package into `folder`, and packs it beside.
    pub fn package(&self, engine: &Path, folder: &Path) -> Result<()> {
        let scripts = folder.join("dist");
        let run = ["run", "--silent"];
        must(self.npm().args(run).arg("package").env("SAESCOPE_PKG", engine).env("SAESCOPE_NPM", scripts))?;
        must(self.npm().args(run).args(["package-types", "--", "--outDir"]).arg(folder.join("types")))?;
        let beside = folder.parent().context("the package's folder lies in no folder")?;
        must(self.npm().args(["pack", "--silent"]).arg(folder).arg("--pack-destination").arg(beside))
    }

    /// Checks the types of the page's code.
    pub fn check(&self) -> Command {
        let mut command = self.npm();
        command.args(["run", "--silent", "check"]);
        command
    }

    fn npm(&self) -> Command {
        let mut command = Command::new(npm());
        command.current_dir(&self.root);
        command
    }
}

fn npm() -> &'static str {
    if env::consts::OS == "windows" { "npm.cmd" } else { "npm" }
}
