//! Names the two platforms once (`native`, `web`) and records the git commit for the manifest.

use std::process::Command;

fn main() {
    cfg_aliases::cfg_aliases! {
        web: { target_arch = "wasm32" },
        native: { not(target_arch = "wasm32") },
    }
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/refs/heads");
    println!("cargo::rerun-if-env-changed=SAESCOPE_GIT_COMMIT");
    let commit = std::env::var("SAESCOPE_GIT_COMMIT").ok().or_else(|| {
        let out = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
        out.status
            .success()
            .then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    });
    println!("cargo::rustc-env=SAESCOPE_GIT_COMMIT={}", commit.unwrap_or_else(|| "unknown".into()));
}
