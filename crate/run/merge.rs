//! Joining the parts of a run that were measured apart.

use super::fingerprint::same;
use super::spool::{Base, Spool};
use super::wanted::Wanted;
use crate::error::{Error, Result};

/// What is known of the whole run of which these are parts: [`super::finish`] takes it together with
/// them. Without a `run_id`, the parts must share one.
///
/// # Errors
/// [`Error::Usage`] without parts; [`Error::Mismatch`] where they are not of one run, by the name of what
/// differs, or are not finished.
pub fn merged(parts: &[(String, &Spool)], run_id: Option<String>) -> Result<Base> {
    let mut bases = Vec::with_capacity(parts.len());
    for (name, spool) in parts {
        let base = spool.base().ok_or_else(|| {
            Error::mismatch(
                format!("part {name}"),
                "measured samples",
                "none",
                format!("finish it: saescope analyze --resume {name}"),
            )
        })?;
        bases.push((name, base));
    }
    let Some(((first, base), others)) = bases.split_first() else {
        return Err(Error::usage("no run to merge", "name the folders of all parts of a run"));
    };
    for (name, other) in others {
        let hint = "parts of a run have everything in common but their samples";
        same(&format!("{name} is not of one run with {first}"), base, other, false, hint)?;
    }
    let wanted: Vec<&Wanted> = bases.iter().map(|(_, base)| &base.wanted).collect();
    let mut whole = (*base).clone();
    whole.wanted = Wanted::joined(&wanted)?;
    whole.shard = None;
    whole.manifest.dataset.shard = None;
    // the run began when its first part did
    whole.manifest.started_at =
        bases.iter().map(|(_, b)| b.manifest.started_at).min().unwrap_or(whole.manifest.started_at);
    whole.manifest.run_id = match run_id {
        Some(run_id) => run_id,
        None => {
            if let Some((name, other)) = others.iter().find(|(_, b)| b.manifest.run_id != base.manifest.run_id) {
                return Err(Error::mismatch(
                    format!("name of the run in {name}"),
                    base.manifest.run_id.clone(),
                    other.manifest.run_id.clone(),
                    "say how the merged run is called with `--run-id NAME`",
                ));
            }
            base.manifest.run_id.clone()
        }
    };
    Ok(whole)
}
