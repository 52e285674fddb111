//! The server as a browser meets it, and as a page of elsewhere would.

mod limits;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) port: u16,
    /// The address that it printed.
    address: String,
    dir: tempfile::TempDir,
}

/// What it says, beside its site.
const SAID: &str = "said.txt";

/// What came back: status, head, body.
pub(crate) struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Value of a header.
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub(crate) const PAGE: &str =
    "<!doctype html><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'self'\"><p>page";
const MANIFEST: &str =
    r#"{"started_at": "2026-01-01T00:00:00Z", "model": {"name": "tiny"}, "dataset": {"samples": 3}}"#;

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn write_run(folder: &Path, manifest: &str) {
    for name in ["metrics.parquet", "features.parquet", "stats.parquet"] {
        write(&folder.join(name), name.as_bytes());
    }
    write(&folder.join("manifest.json"), manifest.as_bytes());
}

fn program(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_saescope"));
    command.args(args).current_dir(dir).env("SAESCOPE_CACHE", dir.join("cache"));
    command
}

/// A page, two runs in `runs/`, one elsewhere, and a secret that is none of the browser's business.
fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(&root.join("dist/index.html"), PAGE.as_bytes());
    write(&root.join("dist/assets/index-abc.js"), b"script");
    write(&root.join("dist/assets/index-abc.js.br"), b"packed");
    write(&root.join("dist/models/m/model.gguf"), b"0123456789");
    write(
        &root.join("dist/catalog.json"),
        br#"{"version": 1, "models": [], "runs": [{"name": "demo", "title": "demo", "url": "runs/demo/"}], "default_run": "demo"}"#,
    );
    write_run(&root.join("dist/runs/demo"), MANIFEST);
    write_run(&root.join("runs/older"), MANIFEST);
    write_run(&root.join("runs/newer"), &MANIFEST.replace("01-01T", "02-01T"));
    write_run(&root.join("elsewhere/demo"), MANIFEST);
    write(&root.join("runs/half/manifest.json"), MANIFEST.as_bytes());
    write(&root.join("secret.txt"), b"secret");
    dir
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(site(), |root| program(root, &[&["serve", "--port", "0"], args].concat()))
    }

    fn start_in(dir: tempfile::TempDir, command: impl FnOnce(&Path) -> Command) -> Self {
        let said = std::fs::File::create(dir.path().join(SAID)).unwrap();
        let mut child = command(dir.path()).stdout(Stdio::piped()).stderr(said).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let rest = address.strip_prefix("http://127.0.0.1:").unwrap_or_else(|| panic!("{address:?}"));
        let port = rest.split('/').next().unwrap().parse().unwrap();
        Self { child, port, address, dir }
    }

    /// A request as it goes over the wire; nothing tidies its path.
    fn ask(&self, line: &str, headers: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let host = format!("Host: 127.0.0.1:{}", self.port);
        let own_host = headers.iter().any(|h| h.starts_with("Host:"));
        let headers: Vec<&str> = headers.iter().copied().chain((!own_host).then_some(host.as_str())).collect();
        let request = format!("{line} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n", headers.join("\r\n"));
        // in one write: the server may answer and close at the first byte that is not allowed
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[])
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join(SAID)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // best effort: it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_is_served_with_its_policy() {
    let server = Server::start(&[]);
    for path in ["/", "/?run=runs/demo/", "/index.html"] {
        let page = server.get(path);
        assert_eq!((page.status, page.text().as_str()), (200, PAGE), "{path}");
        assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("Content-Security-Policy"), Some("default-src 'self'; frame-ancestors 'none'"));
        assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(page.header("Cache-Control"), Some("no-cache"));
    }
    let tag = server.get("/").header("ETag").unwrap().to_owned();
    assert_eq!(server.ask("GET /", &[&format!("If-None-Match: {tag}")]).status, 304);
    let head = server.ask("HEAD /", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("Content-Length"), Some(PAGE.len().to_string().as_str()));
    assert_eq!(server.ask("POST /", &["Content-Length: 0"]).status, 405);
    assert_eq!(server.get("/nothing.js").status, 404);
}

#[test]
fn packed_copies_go_to_whoever_reads_them() {
    let server = Server::start(&[]);
    let plain = server.get("/assets/index-abc.js");
    assert_eq!((plain.text().as_str(), plain.header("Content-Encoding")), ("script", None));
    assert!(plain.header("Cache-Control").unwrap().contains("immutable"));
    let packed = server.ask("GET /assets/index-abc.js", &["Accept-Encoding: gzip, deflate, br"]);
    assert_eq!((packed.text().as_str(), packed.header("Content-Encoding")), ("packed", Some("br")));
    assert_eq!(packed.header("Content-Type"), Some("text/javascript; charset=utf-8"));
}

#[test]
fn ranges_of_a_model_are_served() {
    let server = Server::start(&[]);
    let path = "GET /models/m/model.gguf";
    for (range, body, content) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=8-", "89", "bytes 8-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
        ("bytes=5-999", "56789", "bytes 5-9/10"),
    ] {
        let part = server.ask(path, &[&format!("Range: {range}"), "Accept-Encoding: br"]);
        assert_eq!((part.status, part.text().as_str()), (206, body), "{range}");
        assert_eq!(part.header("Content-Range"), Some(content));
    }
    let past = server.ask(path, &["Range: bytes=10-"]);
    assert_eq!((past.status, past.header("Content-Range")), (416, Some("bytes */10")));
    assert_eq!(server.get("/models/m/model.gguf").header("Accept-Ranges"), Some("bytes"));
    // another version than the one that the reader has the rest of
    assert_eq!(server.ask(path, &["Range: bytes=0-3", "If-Range: \"old\""]).status, 200);
}

#[test]
fn the_catalog_lists_local_runs_newest_first() {
    let server = Server::start(&["--runs", "elsewhere"]);
    let answer = server.get("/catalog.json");
    assert_eq!(answer.header("Cache-Control"), Some("no-cache"));
    let catalog: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(catalog["default_run"], "demo");
    let names: Vec<&str> = catalog["runs"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["demo", "newer", "demo_2", "older"], "the page's own first, half a run not at all");
    assert_eq!(catalog["runs"][1]["title"], "tiny, 3 samples, 2026-02-01");
    for run in catalog["runs"].as_array().unwrap() {
        let url = run["url"].as_str().unwrap();
        assert_eq!(server.get(&format!("/{url}metrics.parquet")).text(), "metrics.parquet", "{url}");
        assert_eq!(server.get(&format!("/{url}manifest.json")).header("Cache-Control"), Some("no-cache"));
    }
    // made while it runs
    write_run(&server.dir.path().join("runs/now"), MANIFEST);
    assert_eq!(server.get("/runs/now/stats.parquet").status, 200);
}

#[test]
fn a_run_whose_files_are_others_is_told_once() {
    let dir = site();
    let file = |sha256: &str| format!(r#"{{"path": "stats.parquet", "bytes": 13, "sha256": "{sha256}"}}"#);
    let manifest = |sha256: &str| MANIFEST.replacen('{', &format!(r#"{{"files": [{}], "#, file(sha256)), 1);
    let right = saescope::hash::sha256("stats.parquet");
    write_run(&dir.path().join("runs/right"), &manifest(&right));
    write_run(&dir.path().join("runs/wrong"), &manifest(&right.replace(&right[..1], "x")));
    let server = Server::start_in(dir, |root| program(root, &["serve", "--port", "0"]));
    for _ in 0..2 {
        let catalog = server.get("/catalog.json").text();
        assert!(catalog.contains("runs/right/") && catalog.contains("runs/wrong/"), "{catalog}");
    }
    let said = server.said();
    assert!(said.matches("wrong: stats.parquet: expected sha256 x").count() == 1 && !said.contains("right:"), "{said}");
}

#[test]
fn a_run_can_be_named_and_is_shown_first() {
    let server = Server::start(&["elsewhere/demo"]);
    assert!(server.address.ends_with("/?run=runs/demo_2/"), "{}", server.address);
    assert_eq!(server.get("/runs/demo_2/features.parquet").text(), "features.parquet");
}

#[test]
fn nothing_outside_is_served() {
    let server = Server::start(&[]);
    for path in [
        "/../secret.txt",
        "/runs/../../secret.txt",
        "/runs/older/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..\\secret.txt",
        "//secret.txt",
        "/./index.html",
        "/runs/older/secret.txt",
        "/runs/half/manifest.json",
        "/models/../index.html",
        "secret.txt",
        "http://127.0.0.1/../secret.txt",
        "/index.html\0",
    ] {
        let answer = server.get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.head);
        assert!(!answer.text().contains("secret"), "{path}");
    }
}

#[test]
fn a_foreign_name_gets_nothing() {
    let server = Server::start(&[]);
    for host in ["evil.example", "evil.example:7878", "127.0.0.1.evil.example", "localhost.evil.example"] {
        let answer = server.ask("GET /", &[&format!("Host: {host}")]);
        assert_eq!(answer.status, 403, "{host}");
        assert!(!answer.text().contains("page"), "{host}");
    }
    // a whole address says whom it is for
    assert_eq!(server.ask("GET http://evil.example/", &[]).status, 403);
    assert_eq!(server.ask("GET http://localhost/", &["Host: evil.example"]).status, 200);
    for host in ["localhost", "localhost:1234", "[::1]:7878", "LOCALHOST", "LocalHost:7878"] {
        assert_eq!(server.ask("GET /", &[&format!("Host: {host}")]).status, 200, "{host}");
    }
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_it_cleanly() {
    for signal in ["-INT", "-TERM"] {
        let mut server = Server::start(&[]);
        // one that is open and says nothing holds nobody up
        let _idle = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        let kill = Command::new("kill").args([signal, &server.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn without_a_page_or_a_port_it_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |args: &[&str], words: &[&str]| {
        let out = program(dir.path(), args).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in {text}"));
    };
    fails(&["serve", "--page", "nowhere"], &["nowhere", "hint:", "cargo xtask web"]);
    fails(&["serve", "no-run"], &["no-run", "hint:", "manifest.json"]);
    let server = Server::start(&[]);
    let page = server.dir.path().join("dist").display().to_string();
    fails(&["serve", "--page", &page, "--port", &server.port.to_string()], &["127.0.0.1", "hint:", "--port"]);
}

#[test]
#[cfg(unix)]
fn links_and_pipes_in_runs_are_refused() {
    use std::os::unix::fs::symlink;

    let dir = site();
    let root = dir.path().to_owned();
    let secret = root.join("secret.txt");
    let instead = |file: &str, by: &dyn Fn(&Path)| {
        let path = root.join(file);
        write_run(path.parent().unwrap(), MANIFEST);
        std::fs::remove_file(&path).unwrap();
        by(&path);
    };
    let link = |path: &Path| symlink(&secret, path).unwrap();
    instead("runs/linked/metrics.parquet", &link);
    instead("runs/unsaid/manifest.json", &link);
    instead("runs/piped/stats.parquet", &|path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    });
    symlink(root.join("elsewhere/demo"), root.join("runs/away")).unwrap();
    // what lies beside a run's file is none of it
    symlink(&secret, root.join("runs/older/metrics.parquet.br")).unwrap();
    // what the user names may be a link
    symlink(root.join("elsewhere"), root.join("named")).unwrap();
    symlink(root.join("runs/newer"), root.join("newest")).unwrap();

    let server = Server::start_in(dir, |root| program(root, &["serve", "newest", "--runs", "named", "--port", "0"]));
    assert!(server.address.ends_with("/?run=runs/newer/"), "{}", server.address);
    let catalog = server.get("/catalog.json");
    let catalog: serde_json::Value = serde_json::from_slice(&catalog.body).unwrap();
    let names: Vec<&str> = catalog["runs"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["demo", "newer", "demo_2", "older"]);
    for run in ["linked", "unsaid", "piped", "away"] {
        for file in ["metrics.parquet", "stats.parquet", "manifest.json"] {
            let answer = server.get(&format!("/runs/{run}/{file}"));
            assert_eq!((answer.status, answer.text().as_str()), (404, "nothing here\n"), "{run}/{file}");
        }
    }
    for path in ["/runs/older/metrics.parquet", "/runs/demo_2/metrics.parquet", "/runs/newer/metrics.parquet"] {
        let whole = server.ask(&format!("GET {path}"), &["Accept-Encoding: br"]);
        assert_eq!((whole.status, whole.text().as_str()), (200, "metrics.parquet"), "{path}");
    }
    for (file, found) in [
        ("runs/linked/metrics.parquet", "found a symbolic link"),
        ("runs/unsaid/manifest.json", "found a symbolic link"),
        ("runs/piped/stats.parquet", "found neither file nor folder"),
        ("runs/away", "found a symbolic link"),
    ] {
        let said = server.said();
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(file)).collect();
        assert!(lines.len() == 1 && lines[0].contains(found), "{file}: {said}");
    }

    let root = server.dir.path();
    for (args, file) in [
        (["serve", "--port", "0", "runs/linked"], "runs/linked/metrics.parquet"),
        (["pack", "dist", "--run", "runs/linked"], "runs/linked/metrics.parquet"),
        (["pack", "dist", "--run", "runs/unsaid"], "runs/unsaid/manifest.json"),
        (["pack", "dist", "--run", "runs/piped"], "runs/piped/stats.parquet"),
    ] {
        let out = program(root, &args).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        assert!(text.contains(file) && text.contains("regular file") && text.contains("hint:"), "{text}");
    }
    assert!(!["linked", "unsaid", "piped"].iter().any(|run| root.join("dist/runs").join(run).exists()));
    assert!(program(root, &["pack", "dist", "--run", "newest"]).output().unwrap().status.success());
    let packed = root.join("dist/runs/newest/metrics.parquet");
    assert!(packed.symlink_metadata().unwrap().is_file());
}

#[test]
fn packing_lays_runs_beside_the_page() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("site/index.html"), PAGE.as_bytes());
    write_run(&dir.path().join("run_1"), MANIFEST);
    let out = program(dir.path(), &["pack", "site", "--run", "run_1"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let catalog: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("site/catalog.json")).unwrap()).unwrap();
    assert_eq!(catalog["default_run"], "run_1");
    assert_eq!(catalog["runs"][0]["samples"], 3);
    assert_eq!(std::fs::read(dir.path().join("site/runs/run_1/stats.parquet")).unwrap(), b"stats.parquet");
    for (args, words) in
        [(["pack", "nowhere", "--run", "run_1"], "index.html"), (["pack", "site", "--run", "site"], "manifest.json")]
    {
        let out = program(dir.path(), &args).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&out.stderr).contains(words));
    }
}
