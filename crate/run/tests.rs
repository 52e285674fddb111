//! Spools that were cut short or changed, and parts that do not belong together.

use super::fingerprint::same;
use super::timeline::timeline;
use super::*;
use crate::engine::{Counters, FailedSample, Lane, Outcome, Span, Stage};
use crate::error::Result;
use crate::output::tests::{layer, manifest, sample};
use crate::output::{Manifest, Timeline};
use crate::platform::{Journal, MemoryJournal};

/// A journal whose bytes the test sees.
#[derive(Debug, Clone, Default)]
struct Shared(std::sync::Arc<std::sync::Mutex<MemoryJournal>>);

impl Shared {
    fn of(bytes: &[u8]) -> Self {
        Self(std::sync::Arc::new(std::sync::Mutex::new(MemoryJournal { bytes: bytes.to_vec() })))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }
}

impl Journal for Shared {
    fn name(&self) -> &str {
        "test.spool"
    }

    fn length(&self) -> Result<u64> {
        self.0.lock().unwrap().length()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.0.lock().unwrap().read(at, into)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.lock().unwrap().append(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.0.lock().unwrap().truncate(len)
    }
}

fn base(ids: &[&str]) -> Base {
    let wanted = Wanted::new(ids.iter().copied(), None);
    Base { manifest: manifest(), data: "d".into(), wanted, logprob: false, nulls: 0, shard: None }
}

fn pass(ids: &[&str], failed: &[&str], seconds: f64) -> Outcome {
    let failed = failed.iter().map(|id| FailedSample { sample_id: (*id).into(), reason: "too long".into() }).collect();
    let samples = ids.iter().map(|id| sample(id, vec![layer(5, &[(1, 0.5), (7, 2.0)])])).collect();
    Outcome {
        samples,
        failed,
        counters: Counters { seconds, texts: 3 * ids.len(), ..Counters::default() },
        spans: vec![
            Span { lane: Lane::Reader, stage: Stage::Weights, layer: Some(0), waits: false, start: 0.0, end: 0.25 },
            Span { lane: Lane::Compute, stage: Stage::Weights, layer: Some(0), waits: true, start: 0.0, end: 0.25 },
            Span { lane: Lane::Compute, stage: Stage::Model, layer: Some(0), waits: false, start: 0.25, end: 0.75 },
        ],
        device: 0,
        seconds,
        shortages: 0,
    }
}

fn header() -> Header {
    Header::new("r".into(), jiff::Timestamp::UNIX_EPOCH, 5, "again".into())
}

/// A spool of two passes, and its length after each step.
fn spool() -> (Vec<u8>, [usize; 4]) {
    let journal = Shared::default();
    let mut spool = Spool::create(Box::new(journal.clone()), header()).unwrap();
    let begun = journal.bytes().len();
    spool.begin(base(&["a", "b", "c", "d", "e"])).unwrap();
    let based = journal.bytes().len();
    spool.append(&pass(&["a", "b"], &["e"], 1.0), "cpu", Some(10)).unwrap();
    let one = journal.bytes().len();
    spool.append(&pass(&["c"], &[], 2.0), "cpu", Some(7)).unwrap();
    (journal.bytes(), [begun, based, one, journal.bytes().len()])
}

#[test]
fn a_spool_that_was_cut_short_anywhere_has_its_whole_passes() {
    let (bytes, [begun, based, one, two]) = spool();
    for cut in 0..=bytes.len() {
        let journal = Shared::of(&bytes[..cut]);
        let opened = Spool::open(Box::new(journal.clone()));
        if cut < begun {
            let message = opened.unwrap_err().to_string();
            assert!(message.contains("test.spool") && message.contains("hint:"), "{message}");
            continue;
        }
        let mut opened = opened.unwrap();
        let (samples, failed, end) = match cut {
            _ if cut < based => (0, 0, begun),
            _ if cut < one => (0, 0, based),
            _ if cut < two => (2, 1, one),
            _ => (3, 1, two),
        };
        assert_eq!((opened.measured(), opened.failed().len()), (samples, failed), "cut at {cut}");
        assert_eq!(opened.base().is_some(), cut >= based);
        assert_eq!(*opened.header(), header());
        assert_eq!(journal.bytes(), bytes[..cut], "reading changes nothing");
        opened.append(&pass(&["d"], &[], 1.0), "cpu", None).unwrap();
        let now = journal.bytes();
        assert_eq!(now[..end], bytes[..end]);
        let again = Spool::open(Box::new(Shared::of(&now))).unwrap();
        assert_eq!(again.measured(), samples + 1, "what follows takes the place of half a pass, cut at {cut}");
    }
}

#[test]
fn a_changed_byte_ends_what_can_be_trusted() {
    let (bytes, [begun, _, one, two]) = spool();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        match Spool::open(Box::new(Shared::of(&changed))) {
            Err(error) => assert!(at < begun, "byte {at}: {error}"),
            Ok(opened) => {
                let whole = if at < one { 0 } else { 2 };
                assert!(at >= begun && opened.measured() == whole, "byte {at}: {} samples", opened.measured());
            }
        }
    }
    assert!(two > one);
}

#[test]
fn a_spool_goes_on_and_its_counters_add_up() {
    let (bytes, [_, _, one, _]) = spool();
    let journal = Shared::of(&bytes[..one + 20]);
    let mut opened = Spool::open(Box::new(journal.clone())).unwrap();
    assert_eq!(opened.done(), ["a", "b", "e"].into());
    opened.append(&pass(&["c", "d"], &[], 4.0), "cpu", Some(3)).unwrap();
    for spool in [opened, Spool::open(Box::new(journal)).unwrap()] {
        assert_eq!((spool.counters().seconds, spool.counters().texts), (5.0, 12));
        assert_eq!((spool.parts(), spool.peak_memory()), (2, Some(10)));
        let ids: Vec<&str> = (0..spool.measured()).map(|i| spool.id(i)).collect();
        assert_eq!(ids, ["a", "b", "c", "d"]);
        assert_eq!(spool.sample(3).unwrap(), pass(&["d"], &[], 0.0).samples[0]);
        assert_eq!(spool.failed(), pass(&[], &["e"], 0.0).failed);
    }
}

#[test]
fn a_full_disk_leaves_whole_passes() {
    #[derive(Debug)]
    struct Full(MemoryJournal, usize);
    impl Journal for Full {
        fn name(&self) -> &str {
            "full"
        }
        fn length(&self) -> Result<u64> {
            self.0.length()
        }
        fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
            self.0.read(at, into)
        }
        fn append(&mut self, bytes: &[u8]) -> Result<()> {
            let room = self.1.saturating_sub(self.0.bytes.len()).min(bytes.len());
            self.0.append(&bytes[..room])?;
            if room == bytes.len() {
                return Ok(());
            }
            Err(crate::error::Error::io("full", "write", std::io::ErrorKind::StorageFull.into(), "free some space"))
        }
        fn sync(&mut self) -> Result<()> {
            Ok(())
        }
        fn truncate(&mut self, len: u64) -> Result<()> {
            self.0.truncate(len)
        }
    }
    let (_, [begun, based, one, two]) = spool();
    for room in [begun, based, based + 1, one - 1, one, two - 1] {
        let mut spool = Spool::create(Box::new(Full(MemoryJournal::default(), room)), header()).unwrap();
        let mut steps = vec![spool.begin(base(&["a", "b", "c", "d", "e"])).is_ok()];
        steps.push(spool.append(&pass(&["a", "b"], &["e"], 1.0), "cpu", None).is_ok());
        let kept = if *steps.last().unwrap() { 2 } else { 0 };
        assert_eq!(spool.measured(), kept, "room for {room}");
        assert!((0..kept).all(|i| spool.sample(i).is_ok()));
    }
}

#[test]
fn what_changed_is_named() {
    let was = base(&["a"]);
    type Change = Box<dyn Fn(&mut Base)>;
    let differing: Vec<(&str, Change)> = vec![
        ("data set", Box::new(|b| b.data = "other".into())),
        ("--join", Box::new(|b| b.manifest.dataset.join = String::new())),
        ("--seed", Box::new(|b| b.manifest.noise.seed += 1)),
        ("--noise", Box::new(|b| b.manifest.noise.rule = "absolute:1".into())),
        ("--logprob", Box::new(|b| b.logprob = true)),
        ("--nulls", Box::new(|b| b.nulls += 1)),
        ("version of the program", Box::new(|b| b.manifest.program.git_commit = "other".into())),
        ("format", Box::new(|b| b.manifest.schema_version += 1)),
        ("tokenizer", Box::new(|b| b.manifest.tokenizer.file.sha256 = Some("other".into()))),
        ("model file", Box::new(|b| b.manifest.model.files[0].sha256 = Some("other".into()))),
        ("SAE of layer", Box::new(|b| b.manifest.saes[0].files[0].sha256 = Some("other".into()))),
    ];
    same("it", &was, &was.clone(), false, "mend it").unwrap();
    for (name, change) in differing {
        let mut now = was.clone();
        change(&mut now);
        for (there, coming) in [(&was, &now), (&now, &was)] {
            let message = same("it", there, coming, false, "mend it").unwrap_err().to_string();
            assert!(message.starts_with("it: ") && message.contains(name), "{name}: {message}");
        }
    }
    // where the files lie, and what the run is called, changes no number
    let mut moved = was.clone();
    moved.manifest.run_id = "other".into();
    moved.manifest.model.files[0].path = format!("/elsewhere/{}", moved.manifest.model.files[0].path);
    same("it", &was, &moved, false, "mend it").unwrap();
}

#[test]
fn parts_that_do_not_make_a_run_are_refused() {
    let part = |ids: &[&str], change: &dyn Fn(&mut Base)| {
        let mut spool = Spool::create(Box::new(Shared::default()), header()).unwrap();
        let mut of = base(&["a", "b", "c"]);
        change(&mut of);
        spool.begin(of).unwrap();
        spool.append(&pass(ids, &[], 1.0), "cpu", None).unwrap();
        spool
    };
    let (ab, c) = (part(&["a", "b"], &|_| {}), part(&["c"], &|_| {}));
    let named = |spools: &[&Spool]| merged(&spools.iter().map(|s| ("p".to_owned(), *s)).collect::<Vec<_>>(), None);
    let files = |spools: &[&Spool]| {
        let mut files = crate::platform::MemoryFiles::default();
        finish(named(spools)?, spools, Comparisons::Made, None, &mut files).map(|_| ())
    };
    let refused = |spools: &[&Spool], words: &str| {
        let message = files(spools).unwrap_err().to_string();
        assert!(message.contains(words), "{words}: {message}");
    };
    refused(&[&ab], "1 are missing: c");
    refused(&[&c], "2 are missing: a, b");
    refused(&[&ab, &c, &c], "sample c");
    refused(&[&ab, &part(&["c"], &|b| b.manifest.noise.seed = 9)], "--seed");
    refused(&[&ab, &part(&["c"], &|b| b.manifest.run_id = "other".into())], "--run-id");
    refused(&[], "no run to merge");
    let unbegun = Spool::create(Box::new(Shared::default()), header()).unwrap();
    refused(&[&ab, &unbegun], "--resume");
}

/// A spool of the run of `ids`, measured by one process per pass.
fn measured(whole: &[&str], passes: &[&[&str]]) -> Vec<u8> {
    let journal = Shared::default();
    let mut spool = Spool::create(Box::new(journal.clone()), header()).unwrap();
    spool.begin(base(whole)).unwrap();
    for ids in passes {
        spool = Spool::open(Box::new(journal.clone())).unwrap();
        spool.append(&pass(ids, &[], 1.0), "cpu", None).unwrap();
        spool.append(&pass(&[], &[], 3.0), "cpu", None).unwrap();
    }
    journal.bytes()
}

/// Its manifest's timeline, as it is read back.
fn told(spools: &[&Spool]) -> Timeline {
    let timeline = timeline(spools.iter().map(|s| s.times()));
    let bytes = crate::output::manifest_json(&Manifest { timeline, ..manifest() }).unwrap();
    serde_json::from_slice::<Manifest>(&bytes).unwrap().timeline.unwrap()
}

#[test]
fn a_timeline_tells_every_process_apart() {
    let open = |bytes: &[u8]| Spool::open(Box::new(Shared::of(bytes))).unwrap();
    let broken = open(&measured(&["a", "b", "c", "d"], &[&["a"], &["b", "c"]]));
    let other = open(&measured(&["a", "b", "c", "d"], &[&["d"]]));
    let parts = told(&[&broken, &other]).parts;
    assert_eq!(parts.len(), 3, "two processes measured the first part, one the second");
    for part in &parts {
        assert_eq!((part.device.as_str(), part.seconds, part.passes), ("cpu", 4.0, 2));
        let lanes: Vec<(&str, f64, f64)> =
            part.lanes.iter().map(|l| (l.lane.as_str(), l.busy_seconds, l.idle_at_least)).collect();
        assert_eq!(lanes, [("reader", 0.5, 0.875), ("compute", 1.0, 0.75)], "the sums are of both passes");
        assert_eq!((part.spans.len(), part.spans_left_out), (3, 0), "the spans are of the first");
    }
}

#[test]
fn parts_of_earlier_versions_have_no_timeline() {
    let (bytes, _) = spool();
    // marks without the field, as they were written before
    let mut journal = Shared::default();
    let mut at = 0;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let mut payload = bytes[at + 12..at + 12 + length].to_vec();
        if payload[0] == b'M' {
            let mut mark: serde_json::Value = serde_json::from_slice(&payload[1..]).unwrap();
            assert!(mark.as_object_mut().unwrap().remove("time").is_some());
            payload.truncate(1);
            payload.extend(serde_json::to_vec(&mark).unwrap());
        }
        let sum = &crate::hash::bytes(&payload)[..8];
        journal.append(&[&(payload.len() as u32).to_le_bytes(), sum, &payload].concat()).unwrap();
        at += 12 + length;
    }
    let earlier = Spool::open(Box::new(journal.clone())).unwrap();
    assert_eq!((earlier.measured(), earlier.parts()), (3, 1));
    assert!(timeline(std::iter::once(earlier.times())).is_none());
    let mut earlier = earlier;
    earlier.append(&pass(&["d"], &[], 1.0), "cpu", None).unwrap();
    let parts = told(&[&earlier]).parts;
    assert_eq!((parts.len(), earlier.parts()), (1, 2), "the later process alone tells its time");
    assert_eq!(parts[0].seconds, 1.0);
}

#[test]
fn the_manifest_of_26_blocks_is_small() {
    let mut long = pass(&["a"], &[], 30.0);
    let (stage, waits) = (Stage::Weights, false);
    long.spans = (0..26 * 8)
        .map(|i| {
            let start = f64::from(i) * 0.123_456_7;
            let layer = Some(i as usize / 8);
            Span { lane: Lane::Compute, stage, layer, waits, start, end: start + 0.1 }
        })
        .collect();
    let mut spool = Spool::create(Box::new(Shared::default()), header()).unwrap();
    spool.begin(base(&["a"])).unwrap();
    spool.append(&long, "cpu", None).unwrap();
    let timeline = told(&[&spool]);
    assert_eq!(timeline.parts[0].spans.len(), 26 * 8);
    let bytes = crate::output::manifest_json(&Manifest { timeline: Some(timeline), ..manifest() }).unwrap().len();
    assert!(bytes < 50_000, "{bytes} bytes");
}

#[test]
fn devices_that_share_passes_have_parts_of_their_own() {
    let mut spool = Spool::create(Box::new(Shared::default()), header()).unwrap();
    spool.begin(base(&["a", "b", "c"])).unwrap();
    // beside each other: a second of the run's time each, two of the device's
    for (id, device) in [("a", 1), ("b", 0), ("c", 1)] {
        let pass = Outcome { device, seconds: 2.0, ..pass(&[id], &[], 1.0) };
        spool.append(&pass, "gpu:0,gpu:3", None).unwrap();
    }
    let other = Spool::open(Box::new(Shared::of(&measured(&["d"], &[&["d"]])))).unwrap();
    let parts = told(&[&spool, &other]).parts;
    let seen: Vec<(usize, &str, f64, usize, usize)> =
        parts.iter().map(|p| (p.process, p.device.as_str(), p.seconds, p.passes, p.spans.len())).collect();
    assert_eq!(seen, [(0, "gpu:3", 4.0, 2, 3), (0, "gpu:0", 2.0, 1, 3), (1, "cpu", 4.0, 2, 3)]);
    assert_eq!(parts[0].lanes[1].idle_at_least, 0.75, "of the device's own time");
}
