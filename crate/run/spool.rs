//! What a run has measured so far, on disk: a run that was killed goes on from it, and parts of one run
//! that were measured apart are joined from it.
//!
//! A journal of frames: `length (u32 LE), first 8 bytes of the payload's sha256, payload`, where the
//! payload's first byte says what it is. The first frame is the [`Header`], then comes the [`Base`] as
//! soon as all hashes are known, then per pass its samples, its failed samples, and a [`Mark`]. A pass
//! counts once its mark is there: opening cuts off whatever follows the last whole one.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::shard::Shard;
use super::timeline::{PartTime, PassTime};
use super::wanted::Wanted;
use crate::engine::{Counters, FailedSample, Outcome};
use crate::error::{Error, Result};
use crate::hash;
use crate::metrics::SampleMeasure;
use crate::output::Manifest;
use crate::platform::Journal;

/// Name of the file in the folder of a run that is not finished.
pub const SPOOL_FILE: &str = "unfinished.spool";

/// Name of the file in the folder of a finished part of a run: what `merge` reads.
pub const PART_FILE: &str = "part.spool";

/// Version of the format.
const FORMAT: u32 = 3;
/// Bytes before a frame's payload.
const FRAME: usize = 12;
/// No frame is longer: a sample of the widest dictionary known, fully active, takes a few MB.
const MOST: u32 = 1 << 30;

/// The beginning of a spool: what was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    format: u32,
    /// The run's name.
    pub run_id: String,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// Samples that it is to measure.
    pub samples: usize,
    /// What the front door needs to ask for it again; no one else reads it.
    pub request: String,
}

impl Header {
    /// A new run's.
    pub fn new(run_id: String, started_at: jiff::Timestamp, samples: usize, request: String) -> Self {
        Self { format: FORMAT, run_id, started_at, samples, request }
    }
}

/// Everything of a run that is known before it is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// The manifest, without results.
    pub manifest: Manifest,
    /// sha256 of the samples' texts, in hexadecimal.
    pub data: String,
    /// The samples that are to be measured.
    pub wanted: Wanted,
    /// Whether log-probabilities are measured.
    pub logprob: bool,
    /// Draws of each null of the geometry; 0 for none.
    pub nulls: usize,
    /// The part of the data set that this run measures, where it is one.
    pub shard: Option<Shard>,
}

/// The end of a pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mark {
    /// Number of the process that measured it, from 0.
    part: usize,
    /// Time and work of the pass.
    counters: Counters,
    /// What measured it, as the manifest names it.
    device: String,
    /// Most memory that the process had taken by then.
    peak_memory: Option<u64>,
    /// How often a device had run out of memory by then.
    #[serde(default)]
    shortages: u32,
    /// When it did what; none in spools of earlier versions.
    #[serde(default)]
    time: Option<PassTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Header = b'H',
    Base = b'B',
    Sample = b'S',
    Failed = b'F',
    Mark = b'M',
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Header, Self::Base, Self::Sample, Self::Failed, Self::Mark].into_iter().find(|k| *k as u8 == byte)
    }
}

/// A measured sample in the journal.
#[derive(Debug)]
struct Entry {
    id: String,
    /// Of its frame.
    at: u64,
}

/// An open spool.
#[derive(Debug)]
pub struct Spool {
    journal: Box<dyn Journal>,
    header: Header,
    base: Option<Base>,
    samples: Vec<Entry>,
    failed: Vec<FailedSample>,
    counters: Counters,
    peak_memory: Option<u64>,
    shortages: u32,
    /// What measured it, each once.
    devices: Vec<String>,
    /// When they did what.
    times: Vec<PartTime>,
    /// Processes that have finished a pass.
    parts: usize,
    /// This process' number.
    part: usize,
    /// Of the whole passes.
    end: u64,
    /// Whether something that is no whole pass follows them. It stays until there is something to
    /// write in its place: who only reads a spool changes nothing.
    rest: bool,
}

impl Spool {
    fn empty(journal: Box<dyn Journal>, header: Header, end: u64) -> Self {
        Self {
            journal,
            header,
            base: None,
            samples: Vec::new(),
            failed: Vec::new(),
            counters: Counters::default(),
            peak_memory: None,
            shortages: 0,
            devices: Vec::new(),
            times: Vec::new(),
            parts: 0,
            part: 0,
            end,
            rest: false,
        }
    }

    /// Begins a spool in an empty journal.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(journal: Box<dyn Journal>, header: Header) -> Result<Self> {
        let mut spool = Self::empty(journal, header, 0);
        spool.journal.truncate(0)?;
        let frame = frame(Kind::Header, &json(&spool.header)?)?;
        spool.journal.append(&frame)?;
        spool.journal.sync()?;
        spool.end = frame.len() as u64;
        Ok(spool)
    }

    /// Opens a spool. What follows its last whole pass is passed over, and cut off by what is added next.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] where it is no spool of this version.
    pub fn open(journal: Box<dyn Journal>) -> Result<Self> {
        let name = journal.name().to_owned();
        let no_spool = |found: &str| {
            let expected = format!("the spool of an unfinished run, format {FORMAT}");
            Error::malformed(&name, "beginning", expected, found, "delete the file and begin the run anew")
        };
        let total = journal.length()?;
        let Some((Kind::Header, bytes, mut at)) = read_frame(journal.as_ref(), 0, total)? else {
            return Err(no_spool("something else"));
        };
        let header: Header = serde_json::from_slice(&bytes).map_err(|e| no_spool(&e.to_string()))?;
        if header.format != FORMAT {
            return Err(no_spool(&format!("format {}", header.format)));
        }
        let mut spool = Self::empty(journal, header, at);
        // of the pass that is being read
        let (mut samples, mut failed) = (Vec::new(), Vec::new());
        while let Some((kind, bytes, next)) = read_frame(spool.journal.as_ref(), at, total)? {
            match kind {
                Kind::Header => return Err(no_spool("two beginnings")),
                Kind::Base => {
                    spool.base = Some(parse(&name, &bytes)?);
                    spool.end = next;
                }
                Kind::Sample => samples.push(Entry { id: unpack::<SampleMeasure>(&name, &bytes)?.sample_id, at }),
                Kind::Failed => failed.push(unpack(&name, &bytes)?),
                Kind::Mark => {
                    let mark: Mark = parse(&name, &bytes)?;
                    spool.samples.append(&mut samples);
                    spool.failed.append(&mut failed);
                    spool.count(mark);
                    spool.end = next;
                }
            }
            at = next;
        }
        spool.rest = spool.end < total;
        spool.part = spool.parts;
        Ok(spool)
    }

    fn count(&mut self, Mark { part, counters, device, peak_memory, shortages, time }: Mark) {
        PartTime::count(&mut self.times, part, &device, time);
        if !self.devices.contains(&device) {
            self.devices.push(device);
        }
        self.counters += counters;
        self.parts = part + 1;
        self.peak_memory = self.peak_memory.max(peak_memory);
        self.shortages = self.shortages.max(shortages);
    }

    /// What was asked for.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was known before measuring; none before [`Self::begin`].
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// Adds what is known before measuring.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn begin(&mut self, base: Base) -> Result<()> {
        let frame = frame(Kind::Base, &json(&base)?)?;
        self.add(|append| append(&frame).map(|_| ()))?;
        self.base = Some(base);
        Ok(())
    }

    /// Adds a pass that `device` measured; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Io`]; then the pass is not there.
    pub fn append(&mut self, pass: &Outcome, device: &str, peak_memory: Option<u64>) -> Result<()> {
        let mut at = self.end;
        let mut entries = Vec::with_capacity(pass.samples.len());
        let first = !self.times.iter().any(|time| time.is_of(self.part, pass.device));
        let (part, counters, shortages, device) = (self.part, pass.counters, pass.shortages, device.to_owned());
        let time = Some(PassTime::of(pass, first));
        let mark = Mark { part, counters, device, peak_memory, shortages, time };
        self.add(|append| {
            for sample in &pass.samples {
                entries.push(Entry { id: sample.sample_id.clone(), at });
                at += append(&frame(Kind::Sample, &pack(sample)?)?)?;
            }
            for failed in &pass.failed {
                append(&frame(Kind::Failed, &pack(failed)?)?)?;
            }
            append(&frame(Kind::Mark, &json(&mark)?)?)?;
            Ok(())
        })?;
        self.samples.append(&mut entries);
        self.failed.extend_from_slice(&pass.failed);
        self.count(mark);
        Ok(())
    }

    /// Adds what `write` appends (it is told how many bytes that were), all of it or nothing.
    fn add(&mut self, write: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<u64>) -> Result<()>) -> Result<()> {
        if self.rest {
            self.journal.truncate(self.end)?;
            self.rest = false;
        }
        let mut added = 0;
        let mut append = |bytes: &[u8]| {
            self.journal.append(bytes)?;
            added += bytes.len() as u64;
            Ok(bytes.len() as u64)
        };
        if let Err(error) = write(&mut append).and_then(|()| self.journal.sync()) {
            // the first error is the one to tell
            self.rest = self.journal.truncate(self.end).is_err();
            return Err(error);
        }
        self.end += added;
        Ok(())
    }

    /// Samples that are measured.
    pub fn measured(&self) -> usize {
        self.samples.len()
    }

    /// Id of the `i`-th measured sample, in the order in which they were measured.
    pub fn id(&self, i: usize) -> &str {
        &self.samples[i].id
    }

    /// Samples that could not be measured.
    pub fn failed(&self) -> &[FailedSample] {
        &self.failed
    }

    /// Ids of all samples that are done, measured or not.
    pub fn done(&self) -> HashSet<&str> {
        self.samples.iter().map(|e| e.id.as_str()).chain(self.failed.iter().map(|f| f.sample_id.as_str())).collect()
    }

    /// How often a device had run out of memory while it was measured.
    pub fn shortages(&self) -> u32 {
        self.shortages
    }

    /// Time and work of all passes.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Processes that measured something: 1 for a run that was not broken.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// What measured the samples, each device once.
    pub fn devices(&self) -> &[String] {
        &self.devices
    }

    /// What each process that measured something tells of its time.
    pub(super) fn times(&self) -> &[PartTime] {
        &self.times
    }

    /// Most memory that any of them had taken.
    pub fn peak_memory(&self) -> Option<u64> {
        self.peak_memory
    }

    /// The `i`-th measured sample.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] where the file has changed under the run.
    pub fn sample(&self, i: usize) -> Result<SampleMeasure> {
        let name = self.journal.name();
        match read_frame(self.journal.as_ref(), self.samples[i].at, self.end)? {
            Some((Kind::Sample, bytes, _)) => unpack(name, &bytes),
            _ => Err(damaged(name, "nothing of the kind".to_owned())),
        }
    }
}

fn frame(kind: Kind, payload: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(payload.len() + 1).ok().filter(|n| *n <= MOST).ok_or_else(|| {
        let expected = format!("at most {MOST} bytes");
        Error::mismatch("a sample's numbers", expected, payload.len().to_string(), "please report this")
    })?;
    let mut out = Vec::with_capacity(FRAME + length as usize);
    out.extend(length.to_le_bytes());
    out.extend([0; 8]);
    out.push(kind as u8);
    out.extend_from_slice(payload);
    let sum = checksum(&out[FRAME..]);
    out[4..FRAME].copy_from_slice(&sum);
    Ok(out)
}

/// Not a guard against anybody: it tells a frame that a crash cut short.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&hash::bytes(bytes)[..8]);
    sum
}

/// Kind, payload and end of the frame at `at`; none where no whole frame is there before `total`.
fn read_frame(journal: &dyn Journal, at: u64, total: u64) -> Result<Option<(Kind, Vec<u8>, u64)>> {
    let start = at + FRAME as u64;
    if start > total {
        return Ok(None);
    }
    let mut head = [0; FRAME];
    journal.read(at, &mut head)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let end = start + u64::from(length);
    if length == 0 || length > MOST || end > total {
        return Ok(None);
    }
    let mut payload = vec![0; length as usize];
    journal.read(start, &mut payload)?;
    if checksum(&payload) != head[4..] {
        return Ok(None);
    }
    let Some(kind) = Kind::of(payload[0]) else { return Ok(None) };
    payload.remove(0);
    Ok(Some((kind, payload, end)))
}

fn damaged(name: &str, found: String) -> Error {
    Error::malformed(name, "a frame", "what this version writes", found, "begin the run anew")
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::io("the run's spool", "write", e.into(), "please report this"))
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| damaged(name, e.to_string()))
}

fn pack(value: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_stdvec(value)
        .map_err(|e| Error::io("the run's spool", "write", std::io::Error::other(e), "please report this"))
}

fn unpack<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|e| damaged(name, e.to_string()))
}
