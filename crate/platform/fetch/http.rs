//! One file of the hub over HTTP: resumed by range, retried, checked.
//!
//! Beside a `.part` lies `.part.etag` with the server's name for what it is a part of: a later request goes on
//! with it only where the server still has the same.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::config::RedirectAuthHeaders;

use super::{OnProgress, Progress, Settings, finish, part_of};
use crate::error::{Error, Result};
use crate::platform::{Hub, RemoteFile};

/// Why one attempt did not finish the file.
enum Stop {
    /// Trying again would not help.
    Fatal(Error),
    /// It may: the connection broke, the server was busy.
    Again(String),
}

/// One file on its way.
struct Job<'a> {
    /// The repository that it is of; none where it is of another server, which gets no token.
    hub: Option<&'a Hub>,
    /// More bytes are not taken.
    most: u64,
    file: &'a RemoteFile,
    url: String,
    target: &'a Path,
    part: &'a Path,
    etag: &'a Path,
    settings: &'a Settings,
}

/// Fetches one file into `target`, going on with an earlier run's `.part`.
pub(super) fn download(
    hub: &Hub,
    file: &RemoteFile,
    target: &Path,
    settings: &Settings,
    progress: OnProgress<'_>,
) -> Result<()> {
    let revision = hub.revision.as_deref().unwrap_or("main");
    let url = format!("{}/{}/resolve/{revision}/{}", settings.endpoint, hub.repo, file.path);
    let part = part_of(target);
    let etag = part.with_added_extension("etag");
    let job = Job { hub: Some(hub), most: u64::MAX, file, url, target, part: &part, etag: &etag, settings };
    if hub.revision.is_none() && file.sha256.is_none() {
        // `main` may have moved since: two halves of two files could not be told from one
        let _ = std::fs::remove_file(&part);
    }
    job.run(progress)
}

/// Fetches the file at this address, of at most so many bytes, from a server that is no hub: it gets no token, and
/// what it may change at any time is gone on with only where it has an entity tag.
pub(super) fn download_from(
    url: String,
    most: u64,
    file: &RemoteFile,
    target: &Path,
    settings: &Settings,
    progress: OnProgress<'_>,
) -> Result<()> {
    let part = part_of(target);
    let etag = part.with_added_extension("etag");
    let job = Job { hub: None, most, file, url, target, part: &part, etag: &etag, settings };
    if job.etag_of_part().is_none() {
        let _ = std::fs::remove_file(&part);
    }
    job.run(progress)
}

impl Job<'_> {
    /// All attempts.
    fn run(&self, progress: OnProgress<'_>) -> Result<()> {
        let Self { settings, target, file, .. } = *self;
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("saescope/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(settings.patience))
            .timeout_per_read(Some(settings.patience))
            .build()
            .into();
        let mut tries = settings.retry.begin();
        // what was thrown away and comes again is nothing new: a server that changes its mind each time has an end
        let mut most = self.have();
        loop {
            match self.attempt(&agent, progress) {
                Ok(()) => {
                    let done = finish(&self.url, self.part, target, file);
                    // of a part that is no more
                    let _ = std::fs::remove_file(self.etag);
                    return done;
                }
                Err(Stop::Fatal(error)) => return Err(error),
                Err(Stop::Again(reason)) => {
                    let progressed = self.have() > most;
                    most = most.max(self.have());
                    let Some(pause) = tries.failed(progressed) else {
                        return Err(Error::io(
                            &self.url,
                            "fetch",
                            std::io::Error::other(format!(
                                "{reason} ({} attempts without a new byte)",
                                tries.failures()
                            )),
                            format!("run the command again, it goes on where it stopped; {}", self.by_hand()),
                        ));
                    };
                    tracing::info!("{}: {reason}; trying again", self.url);
                    std::thread::sleep(pause);
                }
            }
        }
    }

    /// Bytes of the `.part`.
    fn have(&self) -> u64 {
        self.part.metadata().map_or(0, |meta| meta.len())
    }

    fn by_hand(&self) -> String {
        format!("by hand: download {} and save it as {}", self.url, self.target.display())
    }

    fn attempt(&self, agent: &ureq::Agent, progress: OnProgress<'_>) -> Result<(), Stop> {
        let have = self.have();
        if self.file.size.is_some_and(|size| size == have) && have > 0 {
            return Ok(());
        }
        let mut request = agent.get(&self.url).header("Accept-Encoding", "identity");
        if let (Some(token), Some(_)) = (&self.settings.token, self.hub) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let known = self.etag_of_part();
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
            if let Some(known) = &known {
                request = request.header("If-Range", known);
            }
        }
        let mut response = request.call().map_err(|e| self.no_answer(e))?;
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let range = header("Content-Range").as_deref().and_then(content_range);
        let etag = header("ETag").filter(|etag| is_strong(etag));
        let status = response.status().as_u16();
        let (start, total) = match status {
            200 => (0, header("Content-Length").and_then(|v| v.parse().ok())),
            // without a tag of its own the rest is of the file that `If-Range` named
            206 if known.is_some() && etag.is_some() && known != etag => {
                self.discard()?;
                return Err(Stop::Again("the file has changed at the source".to_owned()));
            }
            206 => match range {
                Some((Some(start), total)) if start == have => (start, total),
                _ => {
                    self.discard()?;
                    return Err(Stop::Again(format!("the server sent another range than bytes {have}-")));
                }
            },
            416 => {
                // nothing is left to send, or the file has become shorter
                if matches!(range, Some((_, Some(total))) if total == have) {
                    return Ok(());
                }
                self.discard()?;
                return Err(Stop::Again(format!("the server has no bytes from {have} on")));
            }
            _ => return Err(self.refused(status, header("X-Error-Message"))),
        };
        if let (Some(expected), Some(found)) = (self.file.size, total)
            && expected != found
        {
            self.discard()?;
            return Err(Stop::Fatal(Error::mismatch(
                format!("size of {}", self.url),
                format!("{expected} bytes"),
                format!("{found} bytes"),
                "the file at the source has changed",
            )));
        }
        if let Some(found) = total.filter(|found| *found > self.most) {
            self.discard()?;
            return Err(self.too_long(found));
        }
        if start == 0 {
            self.begin(etag)?;
        }
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        self.receive(&mut body, start, total, progress)
    }

    /// Appends the body to the `.part`, from byte `start` on.
    fn receive(
        &self,
        body: &mut dyn Read,
        start: u64,
        total: Option<u64>,
        progress: OnProgress<'_>,
    ) -> Result<(), Stop> {
        let disk = |e| unwritten(self.part, e);
        let mut out = OpenOptions::new().create(true).append(true).open(self.part).map_err(disk)?;
        let mut done = start;
        let mut buffer = vec![0; 1 << 20];
        progress(Progress { file: &self.file.path, done, total });
        loop {
            match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) if done + n as u64 > self.most => {
                    self.discard()?;
                    return Err(self.too_long(done + n as u64));
                }
                Ok(n) => {
                    out.write_all(&buffer[..n]).map_err(disk)?;
                    done += n as u64;
                    progress(Progress { file: &self.file.path, done, total });
                }
                Err(e) => return Err(Stop::Again(format!("the connection broke after {done} bytes: {e}"))),
            }
        }
        match total {
            Some(total) if done < total => {
                Err(Stop::Again(format!("the connection ended after {done} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// The server's name for the file of which the `.part` is one.
    fn etag_of_part(&self) -> Option<String> {
        std::fs::read_to_string(self.etag).ok().filter(|etag| is_strong(etag))
    }

    /// An empty `.part`, of the file that the server calls so.
    fn begin(&self, etag: Option<String>) -> Result<(), Stop> {
        // the part first: an old one must never lie beside the new name
        File::create(self.part).map_err(|e| unwritten(self.part, e))?;
        match etag {
            Some(etag) => std::fs::write(self.etag, etag).map_err(|e| unwritten(self.etag, e)),
            None => match std::fs::remove_file(self.etag) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(unwritten(self.etag, e)),
                _ => Ok(()),
            },
        }
    }

    fn discard(&self) -> Result<(), Stop> {
        self.begin(None)
    }

    fn too_long(&self, found: u64) -> Stop {
        let hint = "is it the file that was meant?";
        let (expected, found) = (format!("at most {} bytes", self.most), format!("{found} bytes"));
        Stop::Fatal(Error::mismatch(format!("size of {}", self.url), expected, found, hint))
    }

    /// No HTTP answer came.
    fn no_answer(&self, error: ureq::Error) -> Stop {
        if matches!(error, ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed) {
            let hint = format!("the server sends in circles (is HF_ENDPOINT right?); {}", self.by_hand());
            return Stop::Fatal(Error::io(&self.url, "fetch", std::io::Error::other(error.to_string()), hint));
        }
        let fatal = matches!(error, ureq::Error::HostNotFound | ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl);
        // the resolver's failure may also arrive as plain I/O
        let text = error.to_string();
        if fatal || text.contains("failed to lookup") {
            return Stop::Fatal(Error::io(
                &self.url,
                "fetch",
                std::io::Error::other(text),
                match self.hub {
                    Some(_) => format!("there seems to be no network (or HF_ENDPOINT is wrong); {}", self.by_hand()),
                    None => format!("there seems to be no network; {}", self.by_hand()),
                },
            ));
        }
        Stop::Again(text)
    }

    /// An answer that is no file.
    fn refused(&self, status: u16, message: Option<String>) -> Stop {
        let message = message.map_or_else(String::new, |m| format!(": {m}"));
        let text = format!("the server answers {status}{message}");
        let fatal = |kind, hint: String| {
            Stop::Fatal(Error::io(&self.url, "fetch", std::io::Error::new(kind, text.clone()), hint))
        };
        match (status, self.hub) {
            // a public bucket says 403 of what it does not have
            (401 | 403 | 404 | 410, None) => fatal(std::io::ErrorKind::NotFound, self.by_hand()),
            (401 | 403, Some(hub)) => {
                let page = format!("https://huggingface.co/{}", hub.repo);
                let have =
                    if self.settings.token.is_some() { "the token in use is not enough" } else { "no token is set" };
                let gated = if hub.gated {
                    format!("its licence has to be accepted once at {page}")
                } else {
                    format!("see whether {page} exists and is open to you")
                };
                fatal(
                    std::io::ErrorKind::PermissionDenied,
                    format!(
                        "{gated}, then set HF_TOKEN to a token from https://huggingface.co/settings/tokens ({have})"
                    ),
                )
            }
            (404 | 410, _) => fatal(
                std::io::ErrorKind::NotFound,
                format!(
                    "the repository, revision or path has moved; if you have the file, put it at {}",
                    self.target.display()
                ),
            ),
            (408 | 429 | 500.., _) => Stop::Again(text),
            _ => fatal(std::io::ErrorKind::Other, self.by_hand()),
        }
    }
}

/// Whether an entity tag stands for the very bytes (RFC 9110, 8.8.1), in a length that a header has.
fn is_strong(etag: &str) -> bool {
    etag.len() <= 256 && etag.starts_with('"') && etag.bytes().all(|b| b.is_ascii_graphic())
}

fn unwritten(path: &Path, e: std::io::Error) -> Stop {
    let hint = "check that the disk has room and the cache can be written; SAESCOPE_CACHE moves the cache";
    Stop::Fatal(Error::io(path.display().to_string(), "write", e, hint))
}

/// `bytes 5-9/10` → (5, 10); `bytes */10` → (none, 10).
fn content_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    Some((start, total.trim().parse().ok()))
}
