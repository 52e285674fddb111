//! `saescope serve`: the page on loopback, with this machine's models and runs beside it.

mod connections;
mod content;
mod http;
mod patient;
mod runs;
mod site;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::Notify;

use super::{args, catalog, print, say};
use crate::error::{Error, Result};
use crate::platform::fetch::Settings;
use connections::Server;
use site::Site;

/// Port without `--port`, and how many after it are tried.
const PORT: u16 = 7878;
const MORE_PORTS: u16 = 20;

/// Serves until Ctrl-C.
///
/// # Errors
/// No page, a run that is not whole, no free port.
pub fn run(args: &args::Serve) -> Result<()> {
    let mut places = args.runs.clone();
    if let Some(run) = &args.run {
        if !catalog::is_run(run)? {
            return Err(catalog::no_run(run));
        }
        places.insert(0, run.clone());
    }
    places.push(PathBuf::from("runs"));
    let site = Site::new(page(args.page.as_deref())?, places, Settings::from_env()?)?;

    let failed =
        |e| Error::io("127.0.0.1", "listen on", e, "another program has the port; choose another with `--port`");
    let listener = listen(args.port).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let server = Server::new(listener).map_err(failed)?;

    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|e| Error::io("the interrupt signal", "watch", e, "report this as a bug"))?;
    let stop = Arc::new(Notify::new());
    let signalled = Arc::clone(&stop);
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            signalled.notify_one();
        }
    });

    let mut address = format!("http://127.0.0.1:{port}/");
    if let Some(name) = args.run.as_deref().and_then(|run| site.runs.name_of(run)) {
        address.push_str(&format!("?run=runs/{name}/"));
    }
    print(&format!("{address}\n"))?;
    say("Ctrl-C ends it");
    if args.open
        && let Err(e) = open::that_detached(&address)
    {
        say(&format!("cannot open a browser ({e}); open {address} yourself"));
    }
    server.run(site, &stop);
    Ok(())
}

/// On loopback, so that no other machine can connect.
fn listen(port: Option<u16>) -> std::io::Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match port {
        Some(port) => bind(port),
        None => (PORT + 1..=PORT + MORE_PORTS).fold(bind(PORT), |found, port| found.or_else(|_| bind(port))),
    }
}

/// Whether there is a page to serve without `--page`.
pub fn has_page() -> bool {
    page(None).is_ok()
}

/// The folder with the built page.
fn page(named: Option<&Path>) -> Result<PathBuf> {
    let beside_program = std::env::current_exe().ok().and_then(|p| Some(p.parent()?.join("dist")));
    let places: Vec<PathBuf> = match named {
        Some(folder) => vec![folder.to_owned()],
        None => {
            let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist");
            [Some("dist".into()), beside_program, Some(checkout)].into_iter().flatten().collect()
        }
    };
    places.iter().find(|folder| folder.join("index.html").is_file()).cloned().ok_or_else(|| {
        let looked: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        Error::missing(
            format!("the page (a folder with index.html; looked in {})", looked.join(", ")),
            "build it in a checkout of the repository with `cargo xtask web`, or name its folder with `--page DIR`",
        )
    })
}
