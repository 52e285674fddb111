//! Connections: how many there are at a time, how much each may say, and how long it may be silent. No
//! failure of one ends the server.

use std::io;
use std::net;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::select;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::http;
use super::patient::Patient;
use super::site::Site;
use crate::cli::say;

/// At a time; more wait until one ends.
const CONNECTIONS: usize = 256;
/// For a request's head, from when it may begin: an idle connection is kept this long too.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Of a request's head.
const HEAD_BYTES: usize = 64 << 10;
/// For a reader to take something of an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// Threads that look files up and read them.
const READERS: usize = 16;

/// Waits for connections.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
}

impl Server {
    /// # Errors
    /// The system's.
    pub fn new(listener: net::TcpListener) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(READERS).build()?;
        listener.set_nonblocking(true)?;
        let inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        drop(inside);
        Ok(Self { runtime, listener })
    }

    /// Answers until `stop`; what is on its way then is cut off.
    pub fn run(self, site: Site, stop: &Notify) {
        self.runtime.block_on(async {
            let (accepting, stopped) = (pin!(accept(&self.listener, Arc::new(site))), pin!(stop.notified()));
            select(accepting, stopped).await;
        });
        // a file on a drive that has gone may be waited for without end
        self.runtime.shutdown_background();
    }
}

/// Takes connections without end. One that cannot be had (no descriptors are left) is tried again.
async fn accept(listener: &TcpListener, site: Arc<Site>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut said = false;
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    connection(stream, site).await;
                    drop(place);
                });
            }
            Err(e) => {
                if !said {
                    say(&format!("cannot accept a connection: {e}; trying again"));
                }
                said = true;
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one request after the other.
async fn connection(stream: TcpStream, site: Arc<Site>) {
    // an answer's head goes out while its file is read; a failure makes it slower, not wrong
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let site = Arc::clone(&site);
        // a body is not wanted, so it is not read
        let request = request.map(drop);
        spawn_blocking(move || http::answer(&request, &site))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES).half_close(true);
    // the other side went away, or kept the server waiting: nobody is left to tell
    let _ = http.serve_connection(Patient::new(stream, PATIENCE), service).await;
}
