//! One request, one answer: files whole or by range, packed where a packed one lies beside it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::content::Content;
use super::site::{Found, Site};
use crate::platform;

/// Names that this machine has for itself. A page of elsewhere whose name was made to point here
/// (DNS rebinding) sends its own, and gets nothing.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Answers a request; looks at files, and so may take a while.
pub fn answer(request: &Request<()>, site: &Site) -> Response<Content> {
    if !is_own(host(request)) {
        return plain(site, StatusCode::FORBIDDEN, "this server answers to 127.0.0.1 and localhost only\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(site, StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match site.find(request.uri().path()) {
        Ok(Some(Found::File { path, own, changes })) => {
            // only the page's folder is the program's to look around in
            let packed = own && field(request, header::RANGE).is_none();
            let packed = if packed { packed_copy(request, &path) } else { None };
            let opened = File::open(packed.as_ref().map_or(&path, |(path, _)| path));
            file(request, site, &path, opened, packed.map(|(_, encoding)| encoding), changes)
        }
        Ok(Some(Found::Run(path))) => file(request, site, &path, platform::open_unlinked(&path), None, true),
        Ok(Some(Found::Bytes(bytes))) => {
            let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
            respond(site, StatusCode::OK, &fields, Content::bytes(bytes))
        }
        Ok(None) => plain(site, StatusCode::NOT_FOUND, "nothing here\n"),
        Err(error) => plain(site, StatusCode::INTERNAL_SERVER_ERROR, &format!("error: {error}\n")),
    }
}

/// The file at `path`, opened, or a packed copy of it.
fn file(
    request: &Request<()>,
    site: &Site,
    path: &Path,
    opened: io::Result<File>,
    encoding: Option<&str>,
    changes: bool,
) -> Response<Content> {
    let failed =
        |e| plain(site, StatusCode::INTERNAL_SERVER_ERROR, &format!("error: {}: cannot read: {e}\n", path.display()));
    let range = field(request, header::RANGE);
    let (mut file, meta) = match opened.and_then(|file| file.metadata().map(|meta| (file, meta))) {
        Ok(found) => found,
        Err(e) => return failed(e),
    };
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let tag = format!("\"{:x}-{:x}\"", meta.len(), modified.as_nanos());
    let mut fields = vec![
        (header::CONTENT_TYPE, kind(path)),
        (header::CACHE_CONTROL, if changes { "no-cache" } else { "public, max-age=31536000, immutable" }),
        (header::ACCEPT_RANGES, "bytes"),
        (header::VARY, "Accept-Encoding"),
        (header::ETAG, &tag),
    ];
    if let Some(encoding) = encoding {
        fields.push((header::CONTENT_ENCODING, encoding));
    }
    if field(request, header::IF_NONE_MATCH).is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return respond(site, StatusCode::NOT_MODIFIED, &fields, Content::bytes(""));
    }
    // a range of another version of the file would not fit what the reader has
    let range = range.filter(|_| field(request, header::IF_RANGE).is_none_or(|known| known == tag));
    match range.map_or(Part::Whole, |range| part(range, meta.len())) {
        Part::Whole => respond(site, StatusCode::OK, &fields, Content::file(file, meta.len())),
        Part::Range(range) => {
            let content = format!("bytes {}-{}/{}", range.start, range.end - 1, meta.len());
            fields.push((header::CONTENT_RANGE, &content));
            if let Err(e) = file.seek(SeekFrom::Start(range.start)) {
                return failed(e);
            }
            let length = range.end - range.start;
            respond(site, StatusCode::PARTIAL_CONTENT, &fields, Content::file(file, length))
        }
        Part::Outside => {
            let content = format!("bytes */{}", meta.len());
            let fields = [(header::CONTENT_RANGE, content.as_str())];
            respond(site, StatusCode::RANGE_NOT_SATISFIABLE, &fields, Content::bytes(""))
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
fn packed_copy(request: &Request<()>, path: &Path) -> Option<(PathBuf, &'static str)> {
    let accepted = field(request, header::ACCEPT_ENCODING)?;
    let accepts = |name: &str| accepted.split(',').any(|one| one.split(';').next().unwrap_or("").trim() == name);
    [("br", "br"), ("gzip", "gz")].into_iter().filter(|(name, _)| accepts(name)).find_map(|(name, ending)| {
        let mut packed = path.as_os_str().to_owned();
        packed.push(format!(".{ending}"));
        let packed = PathBuf::from(packed);
        packed.is_file().then_some((packed, name))
    })
}

fn plain(site: &Site, status: StatusCode, text: &str) -> Response<Content> {
    let fields = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    respond(site, status, &fields, Content::bytes(text.to_owned()))
}

/// An answer with these headers, and those that every answer has.
fn respond(site: &Site, status: StatusCode, fields: &[(HeaderName, &str)], content: Content) -> Response<Content> {
    let always = [
        (header::CONTENT_SECURITY_POLICY, site.policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (RESOURCE_POLICY, "same-origin"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let mut answer = Response::new(content);
    *answer.status_mut() = status;
    for (name, value) in fields.iter().chain(&always) {
        // all are made here, of characters that a header may have
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn field(request: &Request<()>, name: HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// Whom the request is for; a whole address before the header, as the standard says.
fn host(request: &Request<()>) -> &str {
    let address = request.uri().scheme().and(request.uri().authority());
    address.map(|host| host.as_str()).or_else(|| field(request, header::HOST)).unwrap_or_default()
}

/// Whether a host's name, with or without a port, is one of this machine's.
fn is_own(host: &str) -> bool {
    HOSTS.iter().any(|own| without_port(host).eq_ignore_ascii_case(own))
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
    fn a_hosts_port_and_capitals_do_not_matter() {
        for host in ["127.0.0.1:7878", "localhost", "[::1]:80", "LOCALHOST", "LocalHost:7878"] {
            assert!(is_own(host), "{host}");
        }
        for host in ["evil.example:7878", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::1"] {
            assert!(!is_own(host), "{host}");
        }
    }
}
