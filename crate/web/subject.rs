//! From what the user names to an opened model with its SAEs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::host::{Host, reachable};
use super::storage;
use super::task::Task;
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::model::files::{self, ModelFiles};
use crate::model::registry::{self, KnownSae};
use crate::output::FileInfo;
use crate::platform::{self, ByteSource, ChunkedSource, RemoteFile, Source, WebFile};
use crate::protocol::{HostedFile, HostedSae, ModelChoice, PickedFile, SaeAt, SaeChoice, StoredItem, Subject};
use crate::run::{self, Loaded, SaeFiles};

/// Where the hub's files are.
const HUB: &str = "https://huggingface.co";
/// Files up to this size are hashed, or fetched whole to be checked; larger ones are read by range.
const WHOLE: u64 = 512 << 20;

/// A model with its SAEs, and its files as the browser sees them.
pub(super) struct Opened {
    pub(super) loaded: Loaded,
    pub(super) files: Vec<WebSource>,
}

/// One file.
pub(super) struct WebSource {
    source: Source,
    /// where it is on the web; none for a picked file
    remote: Option<Arc<ChunkedSource>>,
    sha256: Option<String>,
    keep: bool,
}

impl WebSource {
    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.source.len()
    }

    /// Bytes that need no network.
    pub(super) fn here(&self) -> u64 {
        self.remote.as_ref().map_or(self.source.len(), |r| r.here())
    }

    /// Whether a run fetches all of it, to check it.
    pub(super) fn whole(&self) -> bool {
        self.remote.is_none() || (self.keep && self.sha256.is_some() && self.source.len() <= WHOLE)
    }

    pub(super) fn name(&self) -> &str {
        self.source.name()
    }

    /// Whether every reading of it goes over the network.
    pub(super) fn passing(&self) -> bool {
        self.remote.is_some() && !self.keep
    }
}

impl Opened {
    /// What tells its files on the web from others: a host may change them at any time. Picked files cannot be
    /// read any more once they change.
    pub(super) fn files_id(&self) -> String {
        let mut hasher = Hasher::new();
        for remote in self.files.iter().filter_map(|file| file.remote.as_ref()) {
            for text in [ByteSource::name(remote.as_ref()), remote.identity()] {
                hasher.update((text.len() as u64).to_le_bytes());
                hasher.update(text);
            }
        }
        hasher.hex()
    }
}

/// Opens files for one subject.
struct Opener<'a> {
    host: &'a Host,
    task: &'a Task,
    token: Option<String>,
    keep: bool,
    files: Vec<WebSource>,
}

impl Opener<'_> {
    async fn web(
        &mut self,
        url: String,
        name: String,
        token: Option<String>,
        known: Option<&RemoteFile>,
    ) -> Result<Source> {
        let (size, sha256) = known.map_or((None, None), |k| (k.size, k.sha256.clone()));
        let keep = self.keep;
        let remote = ChunkedSource::open(WebFile { url, name, token, size, sha256: sha256.clone(), keep }).await?;
        let source: Source = remote.clone();
        self.files.push(WebSource { source: source.clone(), remote: Some(remote), sha256, keep });
        Ok(source)
    }

    async fn hosted(&mut self, model: &str, files: &[HostedFile]) -> Result<Vec<Source>> {
        let mut out = Vec::new();
        for HostedFile { path, url, size, sha256 } in files {
            let known = RemoteFile { path: path.clone(), size: Some(*size), sha256: sha256.clone() };
            let url = self.host.resolve(url);
            out.push(self.web(url, format!("{model}/{path}"), None, Some(&known)).await?);
        }
        Ok(out)
    }

    /// A file of a hub repository; `under` groups what is stored.
    async fn hub(&mut self, repo: &str, revision: Option<&str>, file: &RemoteFile, under: &str) -> Result<Source> {
        let revision = revision.unwrap_or("main");
        let url = format!("{HUB}/{repo}/resolve/{revision}/{}", file.path);
        self.web(url, format!("{under}/{}", file.path), self.token.clone(), Some(file)).await
    }

    fn picked(&mut self, choice: &[PickedFile]) -> Result<Vec<Source>> {
        let mut out = Vec::new();
        for file in choice {
            let source = self.task.picked(file)?;
            self.files.push(WebSource { source: source.clone(), remote: None, sha256: None, keep: false });
            out.push(source);
        }
        Ok(out)
    }
}

/// The page's host, and the subject that was opened last, which stays open.
pub(super) struct Subjects {
    pub(super) host: Host,
    /// With what it was asked for by.
    opened: RefCell<Option<(Subject, Rc<Opened>)>>,
}

impl Subjects {
    pub(super) fn new(host: Host) -> Self {
        Self { host, opened: RefCell::default() }
    }

    /// Lets go of the opened one.
    pub(super) fn forget(&self) {
        self.opened.take();
    }

    /// Opens what `subject` names: headers, config and tokenizer are read, no weights.
    ///
    /// # Errors
    /// Whatever is missing, unreachable or does not fit.
    pub(super) async fn open(&self, task: &Task, subject: &Subject) -> Result<Rc<Opened>> {
        let key = subject.identity();
        if let Some((known, opened)) = self.opened.borrow().as_ref()
            && *known == key
        {
            return Ok(opened.clone());
        }
        let opened = Rc::new(open(&self.host, task, subject).await?);
        self.opened.replace(Some((key, opened.clone())));
        Ok(opened)
    }

    /// Downloads a subject's files into the browser's storage.
    ///
    /// # Errors
    /// Those of opening and fetching.
    pub(super) async fn fetch(&self, task: &Task, subject: &Subject) -> Result<Vec<StoredItem>> {
        let opened = self.open(task, subject).await?;
        verify(&opened).await?;
        for file in &opened.files {
            if let Some(remote) = &file.remote {
                remote.fetch_all().await?;
            }
        }
        storage::items().await
    }
}

async fn open(host: &Host, task: &Task, subject: &Subject) -> Result<Opened> {
    let token = subject.token.clone().filter(|t| !t.trim().is_empty());
    let mut opener = Opener { host, task, token, keep: subject.store, files: Vec::new() };
    let own = &subject.saes;
    let (origin, files, mut saes) = match &subject.model {
        ModelChoice::Known { name } => known(&mut opener, name, own.is_empty()).await?,
        ModelChoice::Hub { repo, revision } => {
            let files = hub_model(&mut opener, repo, revision.as_deref()).await?;
            let origin = format!("hub {repo} at {}", revision.as_deref().unwrap_or("main (not pinned)"));
            let (name, revision) = (repo.clone(), revision.clone());
            (run::Origin { name, known: None, origin, revision, pinned: BTreeMap::new() }, files, Vec::new())
        }
        ModelChoice::Url { url } => {
            let name = url.rsplit('/').next().unwrap_or(url).to_owned();
            let file = opener.web(url.clone(), name.clone(), None, None).await?;
            let files = ModelFiles::Gguf { file, tokenizer: None };
            (
                run::Origin { name, known: None, origin: url.clone(), revision: None, pinned: BTreeMap::new() },
                files,
                Vec::new(),
            )
        }
        ModelChoice::Files { files } => {
            let picked = opener.picked(files)?;
            let name = local_name(&picked);
            let files = ModelFiles::among("the chosen files", &picked, None).await?;
            (
                run::Origin { name, known: None, origin: "local".to_owned(), revision: None, pinned: BTreeMap::new() },
                files,
                Vec::new(),
            )
        }
    };
    for SaeAt { layer, sae } in own {
        let files = sae_files(&mut opener, sae).await?;
        saes.push(SaeFiles { layer: *layer, files, known: None });
    }
    let loaded = run::load(origin, files, saes, true).await?;
    Ok(Opened { loaded, files: opener.files })
}

/// The files of an SAE that the user chose.
async fn sae_files(opener: &mut Opener<'_>, sae: &SaeChoice) -> Result<Vec<Source>> {
    match sae {
        SaeChoice::Hub { repo, revision, path } => hub_sae(opener, repo, revision.as_deref(), path).await,
        SaeChoice::Urls { urls } => {
            let mut files = Vec::new();
            for url in urls {
                // an SAE's folder tells its layer and its L0
                let name: Vec<&str> = url.rsplitn(5, '/').take(4).collect();
                let name = name.into_iter().rev().collect::<Vec<_>>().join("/");
                files.push(opener.web(url.clone(), name, None, None).await?);
            }
            Ok(files)
        }
        SaeChoice::Files { files } => opener.picked(files),
    }
}

type Parts = (run::Origin, ModelFiles, Vec<SaeFiles>);

/// A known model: from the page's host where it has it, else from the hub.
async fn known(opener: &mut Opener<'_>, name: &str, own_saes: bool) -> Result<Parts> {
    let catalog = opener.host.catalog().await;
    let entry = registry::find(name);
    let sae_entry = |layer: usize| -> Option<KnownSae> {
        entry.as_ref().ok().and_then(|k| k.saes.iter().find(|s| s.layer == layer)).cloned()
    };
    if let Some(hosted) = catalog.models.iter().find(|m| m.name == name) {
        let files = ModelFiles::among("the host's files", &opener.hosted(name, &hosted.model).await?, None).await?;
        let mut saes = Vec::new();
        for HostedSae { layer, files } in hosted.saes.iter().filter(|_| own_saes) {
            let known = sae_entry(*layer);
            saes.push(SaeFiles { layer: *layer, files: opener.hosted(name, files).await?, known });
        }
        // the host has the files of the first source, whose hash the catalog repeats
        let origin = entry.as_ref().ok().and_then(|k| k.sources.first()).map(platform::Origin::describe);
        let origin = origin.unwrap_or_else(|| "the page's host".to_owned());
        let known = entry.ok();
        return Ok((
            run::Origin { name: name.to_owned(), known, origin, revision: None, pinned: BTreeMap::new() },
            files,
            saes,
        ));
    }
    let entry = entry?;
    let unreachable = |what: &str| {
        Error::missing(
            format!("{what} on this page's host"),
            "it comes in packages that a browser cannot unpack; run `saescope serve` beside a filled cache",
        )
    };
    let hub = reachable(&entry.sources).ok_or_else(|| unreachable(name))?.clone();
    let mut sources = Vec::new();
    for file in &hub.files {
        sources.push(opener.hub(&hub.repo, hub.revision.as_deref(), file, name).await?);
    }
    let mut saes = Vec::new();
    for sae in entry.saes.iter().filter(|_| own_saes) {
        let hub =
            reachable(&sae.sources).ok_or_else(|| unreachable(&format!("{name}'s SAE of layer {}", sae.layer)))?;
        let mut files = Vec::new();
        for file in &hub.files {
            files.push(opener.hub(&hub.repo, hub.revision.as_deref(), file, name).await?);
        }
        saes.push(SaeFiles { layer: sae.layer, files, known: Some(sae.clone()) });
    }
    let (origin, revision) = (platform::Origin::Hub(hub.clone()).describe(), hub.revision.clone());
    let files = ModelFiles::among("the hub's files", &sources, None).await?;
    Ok((
        run::Origin { name: name.to_owned(), known: Some(entry), origin, revision, pinned: BTreeMap::new() },
        files,
        saes,
    ))
}

/// Any repository of the hub: a config, a tokenizer, and safetensors whole or in shards.
async fn hub_model(opener: &mut Opener<'_>, repo: &str, revision: Option<&str>) -> Result<ModelFiles> {
    let file = |path: &str| RemoteFile { path: path.to_owned(), size: None, sha256: None };
    let mut found = vec![
        opener.hub(repo, revision, &file(files::CONFIG), repo).await?,
        opener.hub(repo, revision, &file(files::TOKENIZER), repo).await?,
    ];
    let weights = match opener.hub(repo, revision, &file(files::INDEX), repo).await {
        Ok(index) => {
            let shards = files::listed(&index).await?;
            found.push(index);
            shards
        }
        Err(Error::Missing { .. }) => vec![files::WEIGHTS.to_owned()],
        Err(e) => return Err(e),
    };
    for name in weights {
        found.push(opener.hub(repo, revision, &file(&name), repo).await?);
    }
    ModelFiles::among(repo, &found, None).await
}

/// An SAE of a hub repository: a `.npz`, or the two files of a folder.
async fn hub_sae(opener: &mut Opener<'_>, repo: &str, revision: Option<&str>, path: &str) -> Result<Vec<Source>> {
    let path = path.trim_matches('/');
    let file = |path: String| RemoteFile { path, size: None, sha256: None };
    if path.ends_with(".npz") {
        return Ok(vec![opener.hub(repo, revision, &file(path.to_owned()), repo).await?]);
    }
    let config = match opener.hub(repo, revision, &file(format!("{path}/cfg.json")), repo).await {
        Err(Error::Missing { .. }) => None,
        other => Some(other?),
    };
    match config {
        Some(config) => {
            let weights = opener.hub(repo, revision, &file(format!("{path}/sae_weights.safetensors")), repo).await?;
            Ok(vec![config, weights])
        }
        None => {
            let config = opener.hub(repo, revision, &file(format!("{path}/config.json")), repo).await?;
            let weights = opener.hub(repo, revision, &file(format!("{path}/params.safetensors")), repo).await?;
            Ok(vec![config, weights])
        }
    }
}

/// What picked files are called: their folder, or the GGUF file; files picked one by one tell no name.
fn local_name(files: &[Source]) -> String {
    let folder = files.iter().find_map(|f| f.name().split_once('/')).map(|(folder, _)| folder);
    let gguf = || files.iter().map(|f| f.name()).find(|name| name.to_ascii_lowercase().ends_with(".gguf"));
    folder.or_else(gguf).unwrap_or("local files").to_owned()
}

/// Fetches whole and checks every file whose hash is known and that is small enough for it.
///
/// # Errors
/// Fetching errors; [`Error::Mismatch`] for wrong bytes.
pub(super) async fn verify(opened: &Opened) -> Result<()> {
    for file in opened.files.iter().filter(|f| f.whole()) {
        if let (Some(remote), Some(sha256)) = (&file.remote, &file.sha256) {
            remote.complete(sha256).await?;
        }
    }
    Ok(())
}

/// What the manifest says of files: the hash that was checked, or that of a picked file of
/// ordinary size; none for what was read by range.
///
/// # Errors
/// Reading errors.
pub(super) async fn file_infos(opened: &Opened, sources: &[Source]) -> Result<Vec<FileInfo>> {
    let mut out = Vec::new();
    for source in sources {
        let web = opened.files.iter().find(|f| f.name() == source.name());
        let sha256 = match web {
            Some(file) if file.remote.is_some() => file.sha256.clone().filter(|_| file.whole()),
            _ if source.len() <= WHOLE => Some(platform::sha256(source).await?),
            _ => None,
        };
        out.push(FileInfo { path: source.name().to_owned(), bytes: source.len(), sha256 });
    }
    Ok(out)
}
