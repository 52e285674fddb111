//! One request, one answer: files whole or by range, packed where a packed one lies beside it.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tiny_http::{Header, Method, Request, Response, StatusCode};

use super::site::{Found, Site};

/// Names that this machine has for itself. A page of elsewhere whose name was made to point here
/// (DNS rebinding) sends its own, and gets nothing.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Answers a request.
///
/// # Errors
/// The connection broke.
pub fn answer(request: Request, site: &Site) -> io::Result<()> {
    let host = header(&request, "Host").unwrap_or_default();
    if !HOSTS.contains(&without_port(&host)) {
        return plain(request, site, 403, "this server answers to 127.0.0.1 and localhost only\n");
    }
    if !matches!(request.method(), Method::Get | Method::Head) {
        return plain(request, site, 405, "GET and HEAD only\n");
    }
    let path = request.url().split(['?', '#']).next().unwrap_or_default().to_owned();
    match site.find(&path) {
        Ok(Some(Found::File { path, own, changes })) => file(request, site, &path, own, changes),
        Ok(Some(Found::Bytes(bytes))) => {
            let headers = headers(site, &[("Content-Type", "application/json"), ("Cache-Control", "no-cache")]);
            send(request, 200, headers, bytes.len() as u64, Cursor::new(bytes))
        }
        Ok(None) => plain(request, site, 404, "nothing here\n"),
        Err(error) => plain(request, site, 500, &format!("error: {error}\n")),
    }
}

fn file(request: Request, site: &Site, path: &Path, own: bool, changes: bool) -> io::Result<()> {
    let range = header(&request, "Range");
    // only the page's folder is the program's to look around in
    let packed = if own && range.is_none() { packed(&request, path) } else { None };
    let opened = File::open(packed.as_ref().map_or(path, |(path, _)| path));
    let (mut file, meta) = match opened.and_then(|file| file.metadata().map(|meta| (file, meta))) {
        Ok(found) => found,
        Err(e) => return plain(request, site, 500, &format!("{}: {e}\n", path.display())),
    };
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let tag = format!("\"{:x}-{:x}\"", meta.len(), modified.as_nanos());
    let mut fields = vec![
        ("Content-Type", kind(path)),
        ("Cache-Control", if changes { "no-cache" } else { "public, max-age=31536000, immutable" }),
        ("Accept-Ranges", "bytes"),
        ("Vary", "Accept-Encoding"),
        ("ETag", &tag),
    ];
    if let Some((_, encoding)) = &packed {
        fields.push(("Content-Encoding", encoding));
    }
    if header(&request, "If-None-Match").is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return send(request, 304, headers(site, &fields), 0, io::empty());
    }
    // a range of another version of the file would not fit what the reader has
    let range = range.filter(|_| header(&request, "If-Range").is_none_or(|known| known == tag));
    match range.as_deref().map_or(Part::Whole, |range| part(range, meta.len())) {
        Part::Whole => send(request, 200, headers(site, &fields), meta.len(), file.take(meta.len())),
        Part::Range(range) => {
            let content = format!("bytes {}-{}/{}", range.start, range.end - 1, meta.len());
            fields.push(("Content-Range", &content));
            file.seek(SeekFrom::Start(range.start))?;
            let length = range.end - range.start;
            send(request, 206, headers(site, &fields), length, file.take(length))
        }
        Part::Outside => {
            let content = format!("bytes */{}", meta.len());
            send(request, 416, headers(site, &[("Content-Range", &content)]), 0, io::empty())
        }
    }
}

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range(Range<u64>),
    Outside,
}

/// Reads a `Range` header. What is not one range of bytes is answered with the whole file, as the
/// standard allows.
fn part(header: &str, length: u64) -> Part {
    let Some((first, last)) = header.trim().strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Part::Whole;
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..length,
        (Err(_), Ok(last)) if first.trim().is_empty() => length.saturating_sub(last)..length,
        _ => return Part::Whole,
    };
    if range.is_empty() { Part::Outside } else { Part::Range(range) }
}

/// The packed form of a file that the reader understands, where one lies beside it.
fn packed(request: &Request, path: &Path) -> Option<(PathBuf, &'static str)> {
    let accepted = header(request, "Accept-Encoding")?;
    let accepts = |name: &str| accepted.split(',').any(|one| one.split(';').next().unwrap_or("").trim() == name);
    [("br", "br"), ("gzip", "gz")].into_iter().filter(|(name, _)| accepts(name)).find_map(|(name, ending)| {
        let mut packed = path.as_os_str().to_owned();
        packed.push(format!(".{ending}"));
        let packed = PathBuf::from(packed);
        packed.is_file().then_some((packed, name))
    })
}

fn plain(request: Request, site: &Site, status: u16, text: &str) -> io::Result<()> {
    let fields = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")];
    send(request, status, headers(site, &fields), text.len() as u64, Cursor::new(text.to_owned()))
}

fn send(request: Request, status: u16, headers: Vec<Header>, length: u64, body: impl Read) -> io::Result<()> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    // the length is known: no chunks
    let response = Response::new(StatusCode(status), headers, body, Some(length), None);
    request.respond(response.with_chunked_threshold(usize::MAX))
}

/// These, and those that every answer has.
fn headers(site: &Site, fields: &[(&str, &str)]) -> Vec<Header> {
    let always = [
        ("Content-Security-Policy", site.policy.as_str()),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
    ];
    fields.iter().chain(&always).filter_map(|(name, value)| Header::from_bytes(*name, *value).ok()).collect()
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.to_string())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Media type by the name's ending.
fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        "parquet" => "application/vnd.apache.parquet",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        assert_eq!(part("bytes=0-0", 10), Part::Range(0..1));
        assert_eq!(part("bytes=2-", 10), Part::Range(2..10));
        assert_eq!(part("bytes=8-99", 10), Part::Range(8..10));
        assert_eq!(part("bytes=-3", 10), Part::Range(7..10));
        assert_eq!(part("bytes=-99", 10), Part::Range(0..10));
        assert_eq!(part("bytes=10-", 10), Part::Outside);
        assert_eq!(part("bytes=-0", 10), Part::Outside);
        for odd in ["bytes=3-2", "bytes=0-1,4-5", "bytes=a-b", "lines=0-1", "bytes=-", ""] {
            assert_eq!(part(odd, 10), Part::Whole, "{odd}");
        }
    }

    #[test]
    fn a_hosts_port_does_not_matter() {
        for host in ["127.0.0.1:7878", "localhost", "[::1]:80"] {
            assert!(HOSTS.contains(&without_port(host)), "{host}");
        }
        for host in ["evil.example:7878", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::1"] {
            assert!(!HOSTS.contains(&without_port(host)), "{host}");
        }
    }
}
