//! Runs that are not finished, in the browser's storage.

use crate::error::Result;
use crate::platform::{Journal, MemoryJournal, WebJournal};
use crate::protocol::UnfinishedRun;
use crate::run::{Header, Spool};

/// The spool of a run: the one that is there, or a new one. Where the browser keeps none, it is in the
/// worker's memory, and goes with it.
///
/// # Errors
/// A storage that is full; a run that another tab has.
pub(super) async fn open(header: Header) -> Result<Spool> {
    let name = header.run_id.clone();
    let Ok(journal) = WebJournal::open(&name).await else {
        return Spool::create(Box::new(MemoryJournal::default()), header);
    };
    if journal.length()? > 0 {
        // what cannot be read, of another version or cut short at once, is begun anew
        match Spool::open(Box::new(journal)) {
            Ok(spool) if spool.header().run_id == name => return Ok(spool),
            _ => return Spool::create(Box::new(WebJournal::open(&name).await?), header),
        }
    }
    Spool::create(Box::new(journal), header)
}

/// Runs that can go on, the latest first; those that another tab is running are not among them.
pub(super) async fn unfinished() -> Vec<UnfinishedRun> {
    let mut out = Vec::new();
    // a browser without storage has no such runs
    for name in WebJournal::all().await.unwrap_or_default() {
        let Ok(journal) = WebJournal::open(&name).await else { continue };
        let bytes = journal.length().unwrap_or_default();
        let run = Spool::open(Box::new(journal)).ok().filter(|spool| !spool.done().is_empty()).map(|spool| {
            let header = spool.header();
            UnfinishedRun {
                run_id: header.run_id.clone(),
                asked: header.request.clone(),
                samples_done: spool.done().len(),
                samples_total: header.samples,
                bytes,
            }
        });
        match run {
            Some(run) => out.push(run),
            // nothing was measured, or another version measured it
            None => discard(&name).await,
        }
    }
    out.sort_by(|a: &UnfinishedRun, b| b.run_id.cmp(&a.run_id));
    out
}

/// Lets a run go.
pub(super) async fn discard(run_id: &str) {
    // one that is not there, or that another tab has, stays as it is
    let _ = WebJournal::delete(run_id).await;
}
