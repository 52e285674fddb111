//! `saescope analyze --dry-run`: the schedule as it would be executed, and what it takes.

use std::path::Path;

use super::args::Analyze;
use super::ready::Ready;
use super::{known, megabytes, memory, print, setup};
use crate::dataset::Sample;
use crate::engine::Work;
use crate::error::Result;
use crate::model::registry;
use crate::platform::fetch::{Settings, is_at_hand};
use crate::platform::{self, Origin};

/// Prints it on stdout; nothing is fetched, measured or written.
///
/// # Errors
/// Whatever is wrong with the inputs.
pub async fn run(args: &Analyze) -> Result<()> {
    let missing = missing(args)?;
    if !missing.is_empty() {
        let data = setup::data(&args.data, args.measure.seed)?;
        print(&format!("samples: {}\n", data.samples.len()))?;
        for (what, bytes) in missing {
            let size = bytes.map_or_else(|| "of unknown size".to_owned(), megabytes);
            print(&format!("to fetch: {what}, {size}\n"))?;
        }
        print("tokens, passes and memory: known once the model is here (`saescope fetch NAME`)\n")?;
        return Ok(());
    }
    let ready = Ready::of(args, setup::data(&args.data, args.measure.seed)?).await?;
    let (request, Ready { devices, loaded, options, .. }) = (ready.request(), &ready);
    let samples: Vec<Sample> = request.samples().cloned().collect();
    let work = request.inputs(&samples).schedule().work();
    let needs = memory::needs_of(request, devices, options, &work)?;
    let Work { samples, unfit, passes, batches, texts, tokens, nodes, .. } = work;
    let layers: Vec<String> = loaded.saes.iter().map(|s| s.layer.to_string()).collect();
    let shard = args.shard.map_or_else(String::new, |s| format!(" in part {s}"));
    let device = devices.name().unwrap_or_else(|| format!("the CPU ({} threads)", platform::threads()));
    print(&format!("model: {} on {device}, SAEs at layers {}\n", loaded.name, layers.join(", ")))?;
    print(&format!("samples: {samples}{shard}, {unfit} more will fail\n"))?;
    print(&format!("tokens: {tokens} in {texts} texts, {nodes} to be computed\n"))?;
    print(&format!(
        "passes: {passes} of at most {} samples; micro-batches: {batches}\n",
        options.pass.unwrap_or(samples)
    ))?;
    print(&format!("weights read: {} a pass\n", megabytes(needs.weights)))?;
    if needs.device > 0 {
        print(&format!("memory of the device: at most {}\n", megabytes(needs.device)))?;
    }
    print(&format!("memory: at most {}\n", megabytes(needs.host)))?;
    print("to fetch: nothing\n")?;
    Ok(())
}

/// What a known model lacks on this machine, with its bytes where they are known.
fn missing(args: &Analyze) -> Result<Vec<(String, Option<u64>)>> {
    let name = &args.model.model;
    let is_known = registry::all()?.iter().any(|model| model.name == *name);
    if !is_known && Path::new(name).exists() {
        return Ok(Vec::new());
    }
    let settings = Settings::from_env()?;
    let model = known::find(name)?;
    let own_saes = args.model.saes.is_empty();
    let wanted = model.wanted();
    let asked = wanted.iter().take(if own_saes { wanted.len() } else { 1 });
    let away = asked.filter(|(_, origins)| !origins.iter().any(|o| is_at_hand(o, &settings)));
    let size = |origins: &[Origin]| origins.first()?.files().iter().map(|f| f.size).sum::<Option<u64>>();
    Ok(away.map(|(what, origins)| (what.clone(), size(origins))).collect())
}
