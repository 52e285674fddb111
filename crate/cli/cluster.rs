//! A run that a program cuts into parts and deals out to workers: a survey of the data set, made once, and in each
//! worker an engine that keeps model, SAEs and device open from one part to the next. What a worker gets of the data
//! is its part's samples; the parts merge as those of `analyze --shard` do, into the same bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;

use super::args::{Analyze, Cli, Command};
use super::durable::{self, Door, Steer};
use super::embed::parsed;
use super::folder::RunFolder;
use super::hash::hash_files;
use super::interrupt::Interrupts;
use super::ready::Ready;
use super::talk::{self, Listener};
use super::{say, setup};
use crate::dataset::{Columns, Dataset, Rejected, Rows, Sample};
use crate::engine::{FailedSample, Observer};
use crate::error::{Error, Result};
use crate::platform::{FileJournal, Journal};
use crate::run::{self, Base, Excerpt, PART_FILE, Parts, SPOOL_FILE, Shard, Spool, Whole};

/// A file of a data set that was read elsewhere.
pub type Given = (String, Option<String>, Vec<u8>);

/// The words of `analyze` that a survey or an engine is asked for with; what belongs to a single run is refused.
fn arguments(words: &[String]) -> Result<Analyze> {
    let words: Vec<String> = std::iter::once("analyze".to_owned()).chain(words.iter().cloned()).collect();
    let Command::Analyze(args) = parsed::<Cli>(&words)?.command else {
        return Err(Error::usage("these words are no run", "leave out the command"));
    };
    let Analyze { data, out, resume, shard, run_id, dry_run, profile, .. } = &args;
    let of_one_run = resume.is_some() || shard.is_some() || *dry_run || *profile || out.is_some() || run_id.is_some();
    if of_one_run || !data.datasets.is_empty() {
        return Err(Error::usage(
            "`--dataset`, `--out`, `--run-id`, `--shard`, `--resume`, `--dry-run` or `--profile`",
            "parts are given these one by one",
        ));
    }
    Ok(args)
}

/// A data set, read once, with all that its parts have to know of it.
#[derive(Debug)]
pub struct Survey {
    data: Dataset,
    whole: Whole,
}

impl Survey {
    /// Reads files whose bytes are at hand, or the built-in data set where there are none. `words` are those of
    /// `analyze` that say how: columns, join, limit, seed, whether rows may be skipped.
    ///
    /// # Errors
    /// As `analyze` has them for its data sets.
    pub fn read(words: &[String], files: &[Given], listener: Listener) -> Result<Self> {
        talk::told(listener, || {
            let args = arguments(words)?;
            let data = setup::data_of(files, &args.data, args.measure.seed)?;
            let whole = Whole::of(&data, args.data.limit, &args.data.join);
            Ok(Self { data, whole })
        })
    }

    /// Samples, in the data set's order.
    pub fn samples(&self) -> &[Sample] {
        &self.data.samples
    }

    /// Rows that are no samples.
    pub fn rejected(&self) -> &[Rejected] {
        &self.data.rejected
    }

    /// What every part is given of it, as bytes.
    ///
    /// # Errors
    /// None that is known of.
    pub fn whole(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.whole).map_err(|e| Error::io("the data set", "describe", e.into(), "report this"))
    }

    /// The places of each part's samples, by its number from 1; one without samples is left out.
    ///
    /// # Errors
    /// [`Error::Usage`] for no parts at all.
    pub fn parts(&self, of: u32) -> Result<BTreeMap<u32, Vec<usize>>> {
        if of == 0 {
            return Err(Error::usage("a data set in 0 parts", "1 or more: with 1 all samples are in one part"));
        }
        let mut parts: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (row, sample) in self.data.samples.iter().enumerate() {
            parts.entry(Shard::of(of, &sample.id).index).or_default().push(row);
        }
        Ok(parts)
    }
}

/// A part that is asked of an [`Engine`].
#[derive(Debug)]
pub struct Part {
    /// Its samples.
    pub rows: Rows,
    /// Where each stands in the data set.
    pub places: Vec<usize>,
    /// [`Survey::whole`].
    pub whole: Vec<u8>,
    /// Which it is.
    pub shard: Shard,
    /// Where it goes. What is there of it already is not measured again.
    pub out: PathBuf,
    /// Of the whole run.
    pub run_id: String,
    /// By which the caller says that it is not wanted any more.
    pub steer: Arc<Steer>,
}

/// A finished part.
#[derive(Debug, Clone)]
pub struct Done {
    /// Samples that are measured.
    pub measured: usize,
    /// Those of them that were there before.
    pub kept: usize,
    /// Samples that could not be measured.
    pub failed: Vec<FailedSample>,
}

/// Model, SAEs and device, opened once.
pub struct Engine {
    args: Analyze,
    words: Vec<String>,
    ready: Ready,
    /// A device failed, or was opened anew by a run: what is held is closed.
    stale: bool,
}

impl Engine {
    /// Opens what `words` name: those of `analyze`, without data set and folder.
    ///
    /// # Errors
    /// Whatever is missing or does not fit.
    pub fn open(words: Vec<String>, listener: Listener) -> Result<Self> {
        talk::told(listener, || {
            let mut args = arguments(&words)?;
            // made to be merged, which makes those of the whole run
            args.no_stats = true;
            let none = Dataset {
                name: String::new(),
                samples: Vec::new(),
                rejected: Vec::new(),
                sha256: String::new(),
                files: Vec::new(),
                made_ids: false,
                columns: Columns::default(),
            };
            let ready = block_on(Ready::on(&args, none))?;
            Ok(Self { args, words, ready, stale: false })
        })
    }

    /// Measures a part, or goes on with it, and leaves it as `analyze --shard --no-stats` does. A part of which no
    /// sample can be measured has a spool and no tables.
    ///
    /// # Errors
    /// As `analyze`; [`Error::Mismatch`] for a part that is not cut from this data set, or a folder that holds
    /// another's, or one of other data, another model or other settings.
    pub fn part(&mut self, part: Part, observer: &dyn Observer, listener: Listener) -> Result<Done> {
        talk::told(listener, || block_on(self.measured(part, observer)))
    }

    async fn measured(&mut self, part: Part, observer: &dyn Observer) -> Result<Done> {
        let Part { rows, places, whole, shard, out, run_id, steer } = part;
        let finished = out.join(PART_FILE);
        let finished = finished.exists().then(|| of_part(&finished, shard, &run_id)).transpose()?;
        let whole: Whole = serde_json::from_slice(&whole).map_err(|e| {
            let hint = "every worker has to have the version that made it";
            Error::malformed("the description of the data set", "content", "this version's", e.to_string(), hint)
        })?;
        let join = &self.ready.options.join;
        if whole.info.join != *join {
            let hint = "give the survey and the engine one `--join`";
            let (expected, found) = (format!("{:?}", whole.info.join), format!("{join:?}"));
            return Err(Error::mismatch("text between prompt and completion", expected, found, hint));
        }
        let data = rows.read(&Columns::default())?.strict()?;
        let excerpt = Excerpt::new(whole, places, &data.samples, shard)?;
        // nothing is computed for a part that is there
        if self.stale && finished.is_none() {
            let ready = Ready::on(&self.args, data).await?;
            self.ready = ready;
            self.stale = false;
        } else {
            self.ready.data = data;
        }
        self.ready.shard = Some(shard);
        self.ready.excerpt = Some(excerpt);
        if let Some(mut spool) = finished {
            // with nothing to add, this only looks whether the spool is of these data, this model and these settings
            run::keep(self.ready.request(), &mut spool, self.base(&run_id), async || Ok(None), &mut |_, _| {}).await?;
            return Ok(Done { measured: spool.measured(), kept: spool.measured(), failed: spool.failed().to_vec() });
        }
        self.ready.fit(&self.args)?;
        self.args.out = Some(out.clone());
        self.args.run_id = Some(run_id.clone());

        // outlives what it takes away
        let interrupts = Interrupts::unwatched();
        let in_memory = Rows::Json(Vec::new());
        let door = Door { interrupts: &interrupts, rows: Some(&in_memory), embedded: true, steer: &steer };
        let spool = out.join(SPOOL_FILE);
        let mut folder = if begun(&spool)? {
            let spool = of_part(&spool, shard, &run_id)?;
            steer.begin()?;
            RunFolder::resume(out.clone(), out.clone(), spool, door.again(&out), &interrupts)
        } else {
            let own = [format!("--shard={shard}"), format!("--run-id={run_id}"), format!("--out={}", out.display())];
            let own = own.into_iter().chain(["--no-stats".to_owned()]);
            let words = std::iter::once("analyze".to_owned()).chain(self.words.iter().cloned()).chain(own);
            durable::place(&self.args, &self.ready, words.collect(), durable::now()?, &door)?
        };
        let kept = folder.spool.measured();
        // until it has ended well: a panic leaves it so
        self.stale = true;
        let ended = durable::measure(&self.args, &self.ready, &mut folder, &interrupts, observer, &mut |_| {}).await;
        self.stale = !self.ready.devices.adapters.is_empty() && (ended.is_err() || folder.spool.shortages() > 0);
        if let Err(error) = ended
            && !out.join(PART_FILE).exists()
        {
            return Err(error);
        }
        let failed = folder.spool.failed().to_vec();
        failed.iter().for_each(|f| say(&format!("failed: {}: {}", f.sample_id, f.reason)));
        Ok(Done { measured: folder.spool.measured(), kept, failed })
    }

    /// What a spool of the part that is asked for begins with.
    async fn base(&self, run_id: &str) -> Result<Base> {
        let Ready { loaded, data, excerpt, options, shard, devices, .. } = &self.ready;
        let model = hash_files(loaded.model_files(), self.args.rehash).await?;
        let mut saes = Vec::new();
        for at in &loaded.saes {
            saes.push(hash_files(at.sae.sources().to_vec(), self.args.rehash).await?);
        }
        let parts = Parts {
            run_id: run_id.to_owned(),
            started_at: durable::now()?,
            loaded,
            compute: devices.info(),
            data,
            excerpt: excerpt.as_ref(),
            limit: self.args.data.limit,
            shard: *shard,
            options,
            hashes: (model, saes),
        };
        Ok(parts.base())
    }
}

/// Whether a spool has anything in it. One that was left empty, by a process that was killed before it wrote the
/// beginning, is removed.
fn begun(path: &Path) -> Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    // whoever is about to write it has it locked
    let journal = FileJournal::open(path)?;
    if journal.length()? > 0 {
        return Ok(true);
    }
    std::fs::remove_file(path).map_err(|e| Error::io(path.display().to_string(), "remove", e, "remove it by hand"))?;
    Ok(false)
}

/// The spool of a part, if it is that of this one.
fn of_part(path: &Path, shard: Shard, run_id: &str) -> Result<Spool> {
    let spool = Spool::open(Box::new(FileJournal::open(path)?))?;
    let there = spool.base().map(|base| base.shard);
    let unlike = |what: &str, expected: String, found: String| {
        let hint = "choose another folder, or remove what is there";
        Err(Error::mismatch(format!("{}: {what}", path.display()), expected, found, hint))
    };
    if spool.header().run_id != run_id {
        return unlike("name of the run", format!("{run_id:?}"), format!("{:?}", spool.header().run_id));
    }
    match there {
        Some(other) if other != Some(shard) => {
            unlike("part", shard.to_string(), other.map_or_else(|| "all of a run".to_owned(), |s| s.to_string()))
        }
        _ => Ok(spool),
    }
}
