//! The same runs for a program that this library is part of: asked for in the command line's own words, told
//! through an observer and a listener, ended by the observer, without a signal handler, a terminal or an exit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use futures::executor::block_on;

use super::args::{Cli, Command, DeviceArgs, ModelArgs};
use super::durable::{self, Door};
use super::interrupt::Interrupts;
use super::{report, say, setup, talk};
use crate::dataset::Rows;
use crate::engine::{self, Observer, Positions, TextFeatures};
use crate::error::{Error, Result};

pub use super::durable::Steer;
pub use talk::Listener;

/// A run that is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The words of a command line after `saescope analyze`.
    pub words: Vec<String>,
    /// The folder of a broken run to go on with; `words` are then those that it was begun with.
    pub resume: Option<PathBuf>,
    /// Rows in memory, in place of `--dataset`.
    pub rows: Option<Rows>,
    /// By which the caller says that it is not wanted any more.
    pub steer: Arc<Steer>,
}

/// Does what `saescope analyze` does and gives the run's folder, as it was named. What the command says on stderr
/// goes to `listener`, progress to `observer`, which may end the run: then what was measured stays to be resumed,
/// and nothing stays where nothing was.
///
/// # Errors
/// Whatever ends the run; [`Error::Usage`] for words that are no arguments of `analyze`. Samples that fail do not:
/// the manifest lists them.
pub fn analyze(ask: &Ask, observer: &dyn Observer, listener: Listener) -> Result<PathBuf> {
    talk::told(listener, || {
        // outlives what it takes away
        let interrupts = Interrupts::unwatched();
        let door = Door { interrupts: &interrupts, rows: ask.rows.as_ref(), embedded: true, steer: &ask.steer };
        block_on(async {
            let (args, ready, mut folder) = match &ask.resume {
                Some(folder) if ask.words.is_empty() => durable::resume(folder, &door).await?,
                Some(_) => {
                    return Err(Error::usage(
                        "settings beside a run to resume",
                        "a run goes on as it was begun: give its folder alone",
                    ));
                }
                None => {
                    let words: Vec<String> =
                        ["analyze"].into_iter().map(str::to_owned).chain(ask.words.clone()).collect();
                    let Command::Analyze(args) = parsed::<Cli>(&words)?.command else {
                        return Err(Error::usage("these words are no run", "leave out the command"));
                    };
                    if args.resume.is_some() || args.dry_run || args.profile {
                        return Err(Error::usage(
                            "`--resume`, `--dry-run` or `--profile`",
                            "use the command for these",
                        ));
                    }
                    let begun = durable::begin(&args, words, &door).await?;
                    let (ready, folder) = begun.ok_or_else(|| durable::empty(args.shard))?;
                    (args, ready, folder)
                }
            };
            say(&ready.heading(folder.spool.header().samples));
            let finished = durable::measure(&args, &ready, &mut folder, &interrupts, observer, &mut |_| {}).await?;
            finished.failed.iter().for_each(|f| say(&format!("failed: {}: {}", f.sample_id, f.reason)));
            let untold = finished.manifest.warnings.iter().filter(|warning| !ready.doubts.contains(warning));
            untold.for_each(|warning| say(&format!("WARNING: {warning}")));
            Ok(folder.shown)
        })
    })
}

/// A finished run as one HTML document, which `saescope report` writes into a file; talk as in [`analyze`].
///
/// # Errors
/// A folder that is no finished run, files that its manifest does not know, a run that is too large.
pub fn report(folder: &Path, listener: Listener) -> Result<String> {
    talk::told(listener, || report::of_run(folder))
}

/// Writes such a document, whole or not at all.
///
/// # Errors
/// A file in the way unless `force` says to replace it; writing errors.
pub fn save_report(document: &str, out: &Path, force: bool) -> Result<()> {
    report::save(document, out, force)
}

/// Activations that are asked for.
#[derive(Debug, Clone)]
pub struct FeaturesAsk {
    /// The words of a command line that say which model and SAEs, and on which device.
    pub words: Vec<String>,
    /// The texts.
    pub texts: Vec<String>,
    /// Which tokens of each.
    pub positions: Positions,
}

/// What they came to.
#[derive(Debug, Clone)]
pub struct Features {
    /// The SAEs' layers, ascending.
    pub layers: Vec<usize>,
    /// By text; see [`TextFeatures`].
    pub texts: Vec<TextFeatures>,
    /// By text: its tokens, the BOS among them where the tokenizer adds one.
    pub tokens: Vec<Vec<u32>>,
    /// By text: the same as they are written.
    pub words: Vec<Vec<String>>,
}

/// Arguments of [`features`].
#[derive(Debug, Parser)]
#[command(name = "saescope")]
struct FeaturesArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Active features of texts; talk and progress as in [`analyze`].
///
/// # Errors
/// As [`engine::features()`], and whatever is missing or does not fit.
pub fn features(ask: &FeaturesAsk, observer: &dyn Observer, listener: Listener) -> Result<Features> {
    talk::told(listener, || {
        block_on(async {
            let args = parsed::<FeaturesArgs>(&ask.words)?;
            let devices = setup::devices(&args.device).await?;
            let loaded = setup::load(&args.model, true).await?;
            let model = &loaded.model;
            let mut tokens = Vec::with_capacity(ask.texts.len());
            for (i, text) in ask.texts.iter().enumerate() {
                let ids = model.tokenizer.encode(text)?;
                model.check_ids(&ids)?;
                model.check_length(&format!("#{i}"), &ids)?;
                tokens.push(ids);
            }
            let (computes, saes) = (&devices.computes, &loaded.saes);
            let texts = engine::features(model, computes, saes, &tokens, ask.positions, observer).await?;
            let word = |ids: &Vec<u32>| ids.iter().map(|&id| model.tokenizer.token_text(id)).collect();
            let words = tokens.iter().map(word).collect();
            Ok(Features { layers: saes.iter().map(|at| at.layer).collect(), texts, tokens, words })
        })
    })
}

/// Arguments from words, without clap's printing and exit.
pub(super) fn parsed<T: Parser>(words: &[String]) -> Result<T> {
    T::try_parse_from(std::iter::once("saescope").chain(words.iter().map(String::as_str))).map_err(|error| {
        let text = error.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        // what follows is the command's usage
        let said: Vec<&str> = lines.take_while(|line| !line.starts_with("Usage:")).collect();
        let said = said.join(" ");
        Error::usage(said.strip_prefix("error: ").unwrap_or(&said), "the arguments are those of `saescope analyze`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Silent;

    #[test]
    fn words_that_are_no_arguments_are_refused_without_an_exit() {
        let refused = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let ask = Ask { words, ..Ask::default() };
            analyze(&ask, &Silent, Box::new(|_| {})).unwrap_err()
        };
        for (words, said) in [
            (&["--device=tpu"][..], "tpu"),
            (&["--no-such-option"], "--no-such-option"),
            (&["--help"], ""),
            (&["--dry-run"], "--dry-run"),
        ] {
            let error = refused(words);
            assert!(matches!(error, Error::Usage { .. }) && error.to_string().contains(said), "{error}");
        }
        let ask = Ask { words: vec!["--seed=1".into()], resume: Some("run".into()), ..Ask::default() };
        let error = analyze(&ask, &Silent, Box::new(|_| {})).unwrap_err().to_string();
        assert!(error.contains("beside a run to resume"), "{error}");
    }
}
