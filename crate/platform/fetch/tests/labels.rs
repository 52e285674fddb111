//! Files of which nobody says how many there are.

use super::{Answer, Server, ranged, response, says, settings, status, whole};
use crate::platform::fetch::{Settings, cached_labels, fetch_labels};

const NAME: &str = "gemma-2-2b/20-gemmascope-res-16k";
const FIRST: &[u8] = b"the first batch of explanations";
const SECOND: &[u8] = b"the second batch";

fn get(settings: &Settings) -> crate::error::Result<Vec<std::path::PathBuf>> {
    fetch_labels(NAME, settings, &mut |_| {})
}

#[test]
fn batches_are_asked_for_until_one_is_not_there() {
    for (end, status_of_end) in [("404 Not Found", 404), ("403 Forbidden", 403)] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(vec![whole(FIRST), whole(SECOND), status(end, "")]);
        let settings = Settings { token: Some("hf_secret".into()), ..settings(folder.path(), &server.endpoint) };
        assert_eq!(cached_labels(NAME, &settings), None);
        let files = get(&settings).unwrap();
        let read: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        assert_eq!(read, [FIRST, SECOND], "{status_of_end}");
        let requests = server.requests();
        for (i, request) in requests.iter().enumerate() {
            let path = format!("GET /v1/gemma-2-2b/20-gemmascope-res-16k/explanations/batch-{i}.jsonl.gz ");
            assert!(request.starts_with(&path), "{request}");
            assert!(!request.contains("hf_secret"), "the hub's token is the hub's");
        }
        assert_eq!(requests.len(), 3);
        // the server answers no more: these come from the cache
        assert_eq!(cached_labels(NAME, &settings), Some(files.clone()));
        assert_eq!(get(&settings).unwrap(), files);
        // one that was deleted is missed, and comes again
        std::fs::remove_file(&files[1]).unwrap();
        assert_eq!(cached_labels(NAME, &settings), None);
    }
}

#[test]
fn what_breaks_off_counts_as_nothing_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let tagged = |limit: usize| -> Answer {
        let answer = ranged(SECOND, limit);
        Box::new(move |request| {
            let bytes = String::from_utf8(answer(request)).unwrap();
            bytes.replacen("\r\n", "\r\nETag: \"two\"\r\n", 1).into_bytes()
        })
    };
    let broken = vec![whole(FIRST), tagged(5), tagged(0), tagged(0), tagged(0)];
    let server = Server::start(broken);
    let mine = settings(folder.path(), &server.endpoint);
    says(&get(&mine).unwrap_err(), &["batch-1.jsonl.gz", "attempts", "by hand"]);
    assert_eq!(cached_labels(NAME, &mine), None, "two batches of three are no dictionary");
    let server = Server::start(vec![tagged(100), status("404 Not Found", "")]);
    let mine = settings(folder.path(), &server.endpoint);
    let files = get(&mine).unwrap();
    assert_eq!(std::fs::read(&files[1]).unwrap(), SECOND);
    let requests = server.requests();
    assert!(requests[0].contains("batch-1") && requests[0].to_lowercase().contains("range: bytes=5-"), "{requests:?}");
    // without a tag the rest of one file could be another's
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![whole(FIRST), status("404 Not Found", "")]);
    let mine = settings(folder.path(), &server.endpoint);
    let half = folder.path().join("labels").join(NAME);
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("batch-0.jsonl.gz.part"), b"of another day").unwrap();
    assert_eq!(std::fs::read(&get(&mine).unwrap()[0]).unwrap(), FIRST);
    assert!(!server.requests()[0].to_lowercase().contains("range:"));
}

#[test]
fn what_is_not_there_and_what_is_too_long_is_said() {
    let ask = |answers: Vec<Answer>| {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(answers);
        let settings = settings(folder.path(), &server.endpoint);
        let error = get(&settings).unwrap_err();
        assert_eq!(cached_labels(NAME, &settings), None);
        (error, folder)
    };
    let (error, _) = ask(vec![status("403 Forbidden", "")]);
    says(&error, &[NAME, "/v1", "--labels FILE"]);
    let endless: Answer = Box::new(|_| response("200 OK", "Content-Length: 9999999999999\r\n", b"x"));
    let (error, folder) = ask(vec![endless]);
    says(&error, &["at most 268435456 bytes", "9999999999999"]);
    let parts = walk(folder.path());
    assert!(parts.iter().all(|len| *len == 0), "{parts:?}");
    let (error, _) = ask((0..3).map(|_| status("503 Slow Down", "")).collect());
    says(&error, &["503", "3 attempts"]);
    for name in ["gemma-2-2b", "../x/y", "a/..", "a/b/c", "a/b?c", "/b", "a b/c"] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), "http://127.0.0.1:9");
        let found = fetch_labels(name, &settings, &mut |_| {});
        assert!(found.is_err() && walk(folder.path()).is_empty(), "{name}");
    }
}

/// Lengths of the files in a folder and below, locks left out.
fn walk(folder: &std::path::Path) -> Vec<u64> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true if path.ends_with(".locks") => Vec::new(),
        true => walk(&path),
        false => vec![path.metadata().map_or(0, |meta| meta.len())],
    };
    entries.flat_map(of).collect()
}
