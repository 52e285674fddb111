//! What one client can do to the others: nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::{MANIFEST, PAGE, Server, program, site, write_run};

/// More than any client has to say, and enough to be noticed in memory.
const ENDLESS: usize = 64 << 20;

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        // a test that waits for longer has failed
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Whether it goes on.
    fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none() && self.get("/").text() == PAGE
    }
}

/// Reads one answer to its end, as its length says; its head and its body.
fn answer(reader: &mut impl BufRead) -> (Vec<String>, Vec<u8>) {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "closed after {head:?}");
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_ascii_lowercase());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

/// Whether the other side has closed a connection, cleanly or not; what it sent before is passed over.
fn closed(mut stream: &TcpStream) -> bool {
    match io::copy(&mut stream, &mut io::sink()) {
        Ok(_) => true,
        Err(e) => !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let server = Server::start(&[]);
    // as browsers ask, and as `ab -k` does, which wants to be told
    for (version, keep, told) in [("1.1", "", false), ("1.0", "Connection: Keep-Alive\r\n", true)] {
        let hammer = || {
            let stream = server.connect();
            let mut reader = BufReader::new(&stream);
            for _ in 0..100 {
                let request = format!("GET /index.html HTTP/{version}\r\nHost: localhost\r\n{keep}\r\n");
                (&stream).write_all(request.as_bytes()).unwrap();
                let (head, body) = answer(&mut reader);
                assert!(head[0].contains(" 200 ") && body == PAGE.as_bytes(), "{head:?}");
                assert!(!told || head.iter().any(|line| line == "connection: keep-alive"), "{head:?}");
            }
            // a client that has said all may close its half
            (&stream).write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(answer(&mut reader).1, PAGE.as_bytes());
            assert!(closed(&stream));
        };
        scope(|scope| (0..50).for_each(|_| drop(scope.spawn(hammer))));
    }
}

#[test]
#[cfg(unix)]
fn running_out_of_descriptors_ends_nothing() {
    let mut server = Server::start_in(site(), |root| {
        let served = program(root, &["serve", "--port", "0"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(served.get_program()).args(served.get_args());
        limited.current_dir(root).env("SAESCOPE_CACHE", root.join("cache"));
        limited
    });
    assert!(server.lives());
    let many: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    let begun = Instant::now();
    while !server.said().contains("cannot accept a connection") {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never ran out: {}", server.said());
        sleep(Duration::from_millis(50));
    }
    // several tries later
    sleep(Duration::from_millis(500));
    drop(many);
    assert!(server.lives());
    assert_eq!(server.said().matches("cannot accept").count(), 1, "{}", server.said());
}

#[test]
fn endless_requests_are_cut_off() {
    let mut server = Server::start(&[]);
    let field = format!("X-{}: x\r\n", "a".repeat(1000));
    let line = "a".repeat(1000);
    let chunk = format!("3e8\r\n{}\r\n", "a".repeat(1000));
    let host = "HTTP/1.1\r\nHost: localhost\r\n";
    for (begin, more, answered) in [
        (format!("GET / {host}"), &field, false),
        (format!("GET / {host}X: "), &line, false),
        ("GET /".to_owned(), &line, false),
        (format!("GET / {host}Transfer-Encoding: chunked\r\n\r\n"), &chunk, true),
        (format!("GET / {host}Content-Length: 99999999999\r\n\r\n"), &line, true),
        (format!("POST / {host}Content-Length: 99999999999\r\n\r\n"), &line, true),
    ] {
        let mut stream = server.connect();
        stream.write_all(begin.as_bytes()).unwrap();
        if answered {
            // without waiting for the body
            let mut first = [0; 8];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(first, *b"HTTP/1.1", "{begin}");
        }
        let mut sent = 0;
        while sent < ENDLESS && stream.write_all(more.as_bytes()).is_ok() {
            sent += more.len();
        }
        assert!(sent < ENDLESS, "{begin}");
        assert!(closed(&stream), "{begin}");
    }
    assert!(server.lives());
    // where the system says how much memory it took at most
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes << 10 < ENDLESS, "{peak}");
    }
}

#[test]
fn slow_requests_and_idle_connections_time_out() {
    let mut server = Server::start(&[]);
    let idle = server.connect();
    let used = server.connect();
    (&used).write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let slow = server.connect();
    (&slow).write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ").unwrap();
    let begun = Instant::now();
    while (&slow).write_all(b"x").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it waits for a head without end");
        sleep(Duration::from_millis(200));
    }
    assert!(begun.elapsed() > Duration::from_secs(5), "a slow link is no attack");
    for stream in [&slow, &idle, &used] {
        assert!(closed(stream));
    }
    assert!(server.lives());
}

/// How long a request for one file of one run takes.
fn duration(server: &Server) -> Duration {
    let begun = Instant::now();
    assert_eq!(server.get("/runs/run_1/metrics.parquet").text(), "metrics.parquet");
    begun.elapsed()
}

#[test]
fn a_run_is_found_as_fast_among_thousands() {
    let with = |runs: usize| {
        let server = Server::start(&[]);
        (0..runs).for_each(|n| write_run(&server.dir.path().join(format!("runs/run_{n}")), MANIFEST));
        server
    };
    let (few, many) = (with(2), with(2000));
    let usual = (0..50).map(|_| duration(&few)).min().unwrap();
    // the machine may have other work: one that is quick is enough
    let found = (0..20).map(|_| duration(&many)).find(|found| *found < 5 * usual);
    assert!(found.is_some(), "{usual:?} of 2 runs, {:?} of 2000", duration(&many));
    // the list has them all
    let listed = |server: &Server| {
        let catalog: serde_json::Value = serde_json::from_slice(&server.get("/catalog.json").body).unwrap();
        catalog["runs"].as_array().unwrap().len()
    };
    assert_eq!(listed(&many), listed(&few) - 2 + 2000);
}
