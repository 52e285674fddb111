//! Byte ranges as they come: slices of a file that the user picked, and HTTP.

use std::io;
use std::ops::Range;

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, Headers, ReadableStreamDefaultReader, Request, RequestCache, RequestInit, Response};

use super::js::{described, failed, wait, worker};
use super::session;
use crate::error::{Error, Result};
use crate::platform::source::past_end;

/// Where bytes come from.
#[derive(Debug)]
pub(super) enum Remote {
    /// A file that the user picked; its bytes stay on this machine.
    Blob(Blob),
    /// A URL.
    Http(Http),
}

/// A URL that answers range requests (or is read from its beginning where it does not).
#[derive(Debug)]
pub(super) struct Http {
    url: String,
    token: Option<String>,
}

/// What a server says of a file before its bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: u64,
    /// What changes when the file changes.
    pub(super) version: String,
}

/// Bytes of one range, piece by piece.
pub(super) enum Body {
    Whole(Option<Vec<u8>>),
    Stream { reader: ReadableStreamDefaultReader, skip: u64, left: u64 },
}

impl Http {
    pub(super) fn new(url: String, token: Option<String>) -> Self {
        Self { url, token }
    }

    /// Asks for the length, by a range of one byte; by the length of the whole where a server (or
    /// the rules for other origins) hides that.
    pub(super) async fn head(&self) -> Result<Head> {
        let response = self.get("GET", Some(0..1)).await?;
        let headers = response.headers();
        let text = |name: &str| headers.get(name).ok().flatten();
        let whole = |r: &Response| r.headers().get("content-length").ok().flatten().and_then(|v| v.parse().ok());
        let by_range = text("content-range").and_then(|v| v.rsplit_once('/').and_then(|(_, n)| n.parse().ok()));
        let len: Option<u64> = match by_range {
            Some(len) => Some(len),
            // the whole file is on its way: its length is all that is wanted
            None if response.status() == 200 && text("content-encoding").is_none() => whole(&response),
            None => whole(&self.get("HEAD", None).await?),
        };
        let version = text("etag").or_else(|| text("last-modified")).unwrap_or_default();
        if let Some(body) = response.body() {
            // nothing is lost if it cannot be cancelled but a few bytes
            let _ = body.cancel();
        }
        let len = len.ok_or_else(|| {
            Error::unsupported(
                format!("{}: a server that does not say how long the file is", self.url),
                "host the file where range requests are answered, or download it and choose the file",
            )
        })?;
        Ok(Head { len, version })
    }

    async fn get(&self, method: &str, range: Option<Range<u64>>) -> Result<Response> {
        let invalid = |e: JsValue| failed(&self.url, "request", &e);
        let headers = Headers::new().map_err(invalid)?;
        if let Some(range) = &range {
            headers.set("Range", &format!("bytes={}-{}", range.start, range.end.saturating_sub(1))).map_err(invalid)?;
        }
        if let Some(token) = &self.token {
            headers.set("Authorization", &format!("Bearer {token}")).map_err(invalid)?;
        }
        let init = RequestInit::new();
        init.set_method(method);
        init.set_headers(&headers);
        // the weights' own store is the cache
        init.set_cache(RequestCache::NoStore);
        init.set_signal(session::signal().as_ref());
        let request = Request::new_with_str_and_init(&self.url, &init).map_err(invalid)?;
        let promise = worker()?.fetch_with_request(&request);
        let response = wasm_bindgen_futures::JsFuture::from(promise).await.map_err(|e| self.unreachable(&e))?;
        let response: Response = response.dyn_into().map_err(|e| failed(&self.url, "request", &e))?;
        match response.status() {
            200 | 206 => Ok(response),
            401 | 403 => Err(Error::io(
                &self.url,
                "read",
                io::Error::new(io::ErrorKind::PermissionDenied, format!("the server says {}", response.status())),
                match self.token {
                    Some(_) => "the token's account has not accepted the model's licence, or the token is wrong",
                    None => "accept the model's licence on its page and give a token of that account",
                },
            )),
            404 => Err(Error::missing(&self.url, "check the name and the revision")),
            status => Err(Error::io(
                &self.url,
                "read",
                io::Error::new(io::ErrorKind::NetworkDown, format!("the server says {status}")),
                "try again later",
            )),
        }
    }

    /// A fetch that got no answer at all: browsers say no more than that.
    fn unreachable(&self, exception: &JsValue) -> Error {
        let (name, text) = described(exception);
        if name == "AbortError" {
            return Error::Cancelled;
        }
        Error::io(
            &self.url,
            "reach",
            io::Error::new(io::ErrorKind::NetworkUnreachable, text),
            "check the connection; the server may also forbid pages of other sites to read it (CORS)",
        )
    }
}

impl Remote {
    /// The bytes of `range`.
    pub(super) async fn open(&self, name: &str, range: Range<u64>) -> Result<Body> {
        match self {
            Self::Blob(blob) => {
                let slice = blob
                    .slice_with_f64_and_f64(range.start as f64, range.end as f64)
                    .map_err(|e| failed(name, "read", &e))?;
                let buffer = wait(name, "read", slice.array_buffer()).await?;
                Ok(Body::Whole(Some(Uint8Array::new(&buffer).to_vec())))
            }
            Self::Http(http) => {
                let left = range.end - range.start;
                let start = range.start;
                let response = http.get("GET", Some(range)).await?;
                // a server without ranges sends the file from its beginning
                let skip = if response.status() == 206 { 0 } else { start };
                let stream = response.body().ok_or_else(|| short(name, 0, left))?;
                let reader = stream.get_reader().dyn_into().map_err(|e| failed(name, "read", &e))?;
                Ok(Body::Stream { reader, skip, left })
            }
        }
    }
}

impl Body {
    /// The next piece; none after the last byte of the range.
    pub(super) async fn next(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Whole(bytes) => Ok(bytes.take()),
            Self::Stream { reader, skip, left } => loop {
                if *left == 0 {
                    return Ok(None);
                }
                let promise = reader.read();
                let step = wasm_bindgen_futures::JsFuture::from(promise).await.map_err(|e| broken(name, &e))?;
                let done = Reflect::get(&step, &"done".into()).is_ok_and(|v| v.is_truthy());
                if done {
                    return Err(short(name, *skip, *left));
                }
                let value = Reflect::get(&step, &"value".into()).map_err(|e| failed(name, "read", &e))?;
                let mut piece = Uint8Array::new(&value).to_vec();
                if *skip > 0 {
                    let dropped = (*skip).min(piece.len() as u64);
                    piece.drain(..dropped as usize);
                    *skip -= dropped;
                }
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
                if *left == 0 {
                    // the rest of a file sent whole
                    let _ = reader.cancel();
                }
                if !piece.is_empty() {
                    return Ok(Some(piece));
                }
            },
        }
    }
}

/// A connection that broke while bytes came.
fn broken(name: &str, exception: &JsValue) -> Error {
    let (kind, text) = described(exception);
    if kind == "AbortError" {
        return Error::Cancelled;
    }
    Error::io(
        name,
        "read",
        io::Error::new(io::ErrorKind::ConnectionAborted, format!("the connection broke: {text}")),
        "start again: what is here already is kept",
    )
}

/// A body that ended too early.
fn short(name: &str, skip: u64, left: u64) -> Error {
    Error::io(
        name,
        "read",
        io::Error::new(io::ErrorKind::UnexpectedEof, format!("the server stopped {} bytes too early", skip + left)),
        "start again: what is here already is kept; if it stays so, the file on the server is damaged",
    )
}

/// A small file as it is served, compressed on the way or not.
///
/// # Errors
/// Those of the server and the connection.
pub async fn fetch_small(url: &str) -> Result<Vec<u8>> {
    let response = Http::new(url.to_owned(), None).get("GET", None).await?;
    let buffer = response.array_buffer().map_err(|e| failed(url, "read", &e))?;
    Ok(Uint8Array::new(&wait(url, "read", buffer).await?).to_vec())
}

/// A range of a source of `len` bytes, checked.
pub(super) fn checked(name: &str, len: u64, range: &Range<u64>) -> Result<()> {
    if range.end > len || range.start > range.end { Err(past_end(name, len, range)) } else { Ok(()) }
}
