//! Many clients of one server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::{row, tries};
use crate::serve::{PAGE, Server};

/// Kilobytes of memory that a process has at the moment.
fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// So many requests over one connection.
fn ask(port: u16, paths: &[&str], requests: usize) {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut reader = BufReader::new(&stream);
    for i in 0..requests {
        let path = paths[i % paths.len()];
        write!(&stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let (mut length, mut first) = (0, String::new());
        loop {
            let mut line = String::new();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "closed");
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        assert!(first.contains(" 200 "), "{path}: {first}");
        reader.read_exact(&mut vec![0; length]).unwrap();
    }
}

#[test]
fn a_server_under_load_answers_and_stays_small() {
    let server = Server::start(&[]);
    let paths =
        ["/", "/catalog.json", "/runs/newer/manifest.json", "/runs/older/metrics.parquet", "/models/m/model.gguf"];
    let (clients, each) = (32, tries(50, 2000));
    let round = || {
        std::thread::scope(|scope| (0..clients).for_each(|_| drop(scope.spawn(|| ask(server.port, &paths, each)))));
        resident(server.child.id())
    };
    let first = round();
    let last = (0..3).fold(first, |_, _| round());
    assert!(last < first + 4096, "{first} to {last} KB");
    assert_eq!(server.get("/").text(), PAGE);
    let outcome = format!("all answered; memory {} MB after a quarter, {} MB after all", first / 1024, last / 1024);
    row(&format!("{clients} clients of `serve` at once, requests in all"), 4 * clients * each, &outcome);
}
