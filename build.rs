//! Names the two platforms once (`native`, `web`) and records the git commit for the manifest.

// runs where the compiler runs, so what a browser lacks is no matter
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

fn main() {
    cfg_aliases::cfg_aliases! {
        web: { target_arch = "wasm32" },
        native: { not(target_arch = "wasm32") },
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SAESCOPE_GIT_COMMIT");
    let commit = std::env::var("SAESCOPE_GIT_COMMIT").ok().or_else(|| {
        // git says where these are (a worktree's are elsewhere); a path that does not exist would
        // make cargo build the crate again on every call
        let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
        for file in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
            let path = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).is_file());
            path.iter().for_each(|path| println!("cargo::rerun-if-changed={path}"));
        }
        git(&["rev-parse", "HEAD"])
    });
    println!("cargo::rustc-env=SAESCOPE_GIT_COMMIT={}", commit.unwrap_or_else(|| "unknown".into()));
}

/// What git prints; nothing without git, or outside a checkout.
fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok().filter(|out| out.status.success())?;
    Some(String::from_utf8_lossy(&out.stdout).trim().to_owned()).filter(|text| !text.is_empty())
}
