//! What a hub may do instead of answering.

use std::path::Path;
use std::time::Duration;

use super::{Answer, BODY, Server, file, get, hub, known, part, ranged, response, settings, status, whole};
use crate::platform::fetch::{Settings, cached};

/// Says nothing for longer than a client's patience.
fn stalls(time: Duration) -> Answer {
    Box::new(move |_| {
        std::thread::sleep(time);
        Vec::new()
    })
}

/// Files in a folder and below, empty ones (locks) left out.
fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    entries
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .filter(|path| path.metadata().is_ok_and(|meta| meta.len() > 0))
        .collect()
}

const JUNK: &[u8] = b"<!doctype html><title>Sign in</title> ";

/// Whatever a hub answers, a file is under its own name only where it is the right one; and the token is
/// in none.
#[test]
fn what_a_hub_may_answer() {
    const TOKEN: &str = "hf_aSecretThatIsNowhere";
    let length = |n: usize| format!("Content-Length: {n}\r\n");
    let shown = |body: &'static [u8], stated: usize| -> Answer {
        let head = length(stated);
        Box::new(move |_| response("200 OK", &head, body))
    };
    let chunked: fn(&'static [u8], bool) -> Answer = |body, whole| {
        Box::new(move |_| {
            let mut bytes = format!("{:x}\r\n", body.len()).into_bytes();
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(if whole { b"\r\n0\r\n\r\n" } else { b"" });
            response("200 OK", "Transfer-Encoding: chunked\r\n", &bytes)
        })
    };
    let longer: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz, and more";
    let many = |n: usize, answer: &dyn Fn() -> Answer| (0..n).map(|_| answer()).collect::<Vec<_>>();
    // what it answers, and the words of the error; none where the file has to be there in the end
    let cases: Vec<(&str, Vec<Answer>, Option<&str>)> = vec![
        ("stalls before the head", vec![stalls(Duration::from_millis(1500)), whole(BODY)], None),
        ("drops before the head", vec![Box::new(|_| Vec::new()), whole(BODY)], None),
        ("drops in the head", vec![Box::new(|_| b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), whole(BODY)], None),
        ("is no HTTP", many(3, &|| Box::new(|_| b"220 mail.example ESMTP\r\n".to_vec())), Some("3 attempts")),
        ("truncates for ever", many(5, &|| ranged(BODY, 0)), Some("after 0 ")),
        ("says less than it sends", vec![shown(longer, 36)], None),
        ("says more than it sends", many(4, &|| shown(BODY, 40)), Some("expected 36 bytes, found 40")),
        (
            "says a length that is no number",
            vec![Box::new(|_| response("200 OK", "Content-Length: many\r\n", BODY)), whole(BODY)],
            None,
        ),
        ("sends other bytes of the right length", vec![whole(&JUNK[..36])], Some("sha256")),
        ("sends a page to sign in", vec![whole(JUNK)], Some("expected 36 bytes, found 38")),
        ("sends chunks without an end", many(5, &|| chunked(&BODY[..9], false)), Some("attempts")),
        ("sends more chunks than the file has", vec![chunked(longer, true)], Some("expected 36 bytes, found 46")),
        ("403", vec![status("403 Forbidden", "")], Some("licence")),
        ("404", vec![status("404 Not Found", "")], Some("moved")),
        ("429 for ever", many(3, &|| status("429 Too Many Requests", "Retry-After: 1\r\n")), Some("429")),
        ("500 for ever", many(3, &|| status("500 Oops", "")), Some("500")),
        ("301 to itself", many(40, &|| status("302 Found", "Location: /owner/name/resolve/x\r\n")), Some("circles")),
        ("304", vec![status("304 Not Modified", "")], Some("304")),
        (
            "206 unasked",
            vec![
                Box::new(|_| {
                    response("206 Partial", "Content-Length: 5\r\nContent-Range: bytes 9-13/36\r\n", b"9abcd")
                }),
                whole(BODY),
            ],
            None,
        ),
    ];
    // a row of docs/RELIABILITY.md
    println!(
        "reliability: | answers of a hub: stalls, drops, lies, refusals, junk | {} | 0 under a final name unless whole; the token in no file or message |",
        cases.len()
    );
    for (what, answers, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(answers);
        let settings = Settings {
            token: Some(TOKEN.to_owned()),
            patience: Duration::from_secs(1),
            ..settings(folder.path(), &server.endpoint)
        };
        let target = part(&settings).with_extension("");
        match (get(&known(), &settings), words) {
            (Ok(found), None) => assert_eq!(std::fs::read(&found.files[0]).unwrap(), BODY, "{what}"),
            (Err(error), Some(words)) => {
                let text = format!("{error} {error:?}");
                assert!(text.contains(words) && !text.contains(TOKEN), "{what}: {text}");
                assert!(!target.exists() && cached(&known(), &settings).is_none(), "{what}");
            }
            (result, _) => panic!("{what}: {result:?}"),
        }
        for file in files_below(folder.path()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(TOKEN.len()).any(|w| w == TOKEN.as_bytes()), "{what}: {}", file.display());
        }
    }
}

#[test]
fn a_file_that_changes_midway_is_begun_anew() {
    const NEW: &[u8] = b"zyxwvutsrqponmlkjihgfedcba9876543210";
    let tagged = |tag: &'static str, body: &'static [u8], limit: usize, obeys: bool| -> Answer {
        Box::new(move |request| {
            let asked = request.to_lowercase();
            let same = asked.contains(&format!("if-range: {tag}"));
            let answer = ranged(body, limit)(if same || !obeys { request } else { "" });
            let head = answer.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
            [&answer[..head], format!("ETag: {tag}\r\n").as_bytes(), &answer[head..]].concat()
        })
    };
    // whether the server knows If-Range or sends the rest of another file
    for obeys in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(vec![
            tagged("\"a\"", BODY, 10, obeys),
            tagged("\"b\"", NEW, 100, obeys),
            tagged("\"b\"", NEW, 100, obeys),
        ]);
        let settings = settings(folder.path(), &server.endpoint);
        // without a hash nothing but the tag tells the two apart
        let found = get(&hub(file(Some(36), None)), &settings).unwrap();
        assert_eq!(std::fs::read(&found.files[0]).unwrap(), NEW, "obeys: {obeys}");
        let requests = server.requests();
        assert!(requests[1].to_lowercase().contains("if-range: \"a\""), "{}", requests[1]);
        assert_eq!(requests.len(), if obeys { 2 } else { 3 });
        let left: Vec<_> = files_below(folder.path());
        assert_eq!(left, found.files, "nothing else is left");
    }
    // and the same file, by an earlier run's tag, is gone on with
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![
        tagged("\"a\"", BODY, 10, true),
        tagged("\"a\"", BODY, 0, true),
        tagged("\"a\"", BODY, 0, true),
    ]);
    let mine = settings(folder.path(), &server.endpoint);
    assert!(get(&hub(file(Some(36), None)), &mine).is_err());
    let server = Server::start(vec![tagged("\"a\"", BODY, 100, true)]);
    let mine = settings(folder.path(), &server.endpoint);
    assert_eq!(std::fs::read(&get(&hub(file(Some(36), None)), &mine).unwrap().files[0]).unwrap(), BODY);
    assert!(server.requests()[0].to_lowercase().contains("range: bytes=10-"));
}

/// A server whose file is another one at every request, and whose connection always breaks: it is given up.
#[test]
fn a_file_that_never_stays_the_same_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let changing = |tag: usize| -> Answer {
        Box::new(move |request| {
            let answer = ranged(BODY, 9)(request);
            let head = answer.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
            [&answer[..head], format!("ETag: \"{tag}\"\r\n").as_bytes(), &answer[head..]].concat()
        })
    };
    let server = Server::start((0..20).map(changing).collect());
    let error = get(&hub(file(Some(36), None)), &settings(folder.path(), &server.endpoint)).unwrap_err();
    assert!(error.to_string().contains("3 attempts without a new byte"), "{error}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Server::start(vec![whole(BODY)]);
    // another name of this machine is another host
    let elsewhere = storage.endpoint.replace("127.0.0.1", "localhost");
    let hub = Server::start(vec![Box::new(move |_| {
        response("302 Found", &format!("Content-Length: 0\r\nLocation: {elsewhere}/blob\r\n"), b"")
    })]);
    let settings = Settings { token: Some("secret".to_owned()), ..settings(folder.path(), &hub.endpoint) };
    assert_eq!(std::fs::read(&get(&known(), &settings).unwrap().files[0]).unwrap(), BODY);
    assert!(hub.requests()[0].contains("Bearer secret"));
    let request = &storage.requests()[0];
    assert!(request.starts_with("GET /blob") && !request.contains("secret"), "{request}");
}
