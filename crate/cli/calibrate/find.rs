//! A run's model, SAEs and data, from its manifest: by name, by path, or as the arguments say; and whether they are
//! still the run's.

use std::path::{Path, PathBuf};

use crate::cli::args::{Calibrate, DataArgs, DatasetArg, ModelArgs, QuantizeArg, QuantizeArgs, SaeArg};
use crate::cli::hash::hash_files;
use crate::cli::setup::{self, Devices};
use crate::dataset::{Columns, Dataset};
use crate::error::{Error, Result};
use crate::model::registry::{self, KnownSae};
use crate::output::{FileInfo, Manifest, SaeInfo};
use crate::platform::Origin;
use crate::run::{self, Loaded};

/// What was looked for; where it is not there, why, and what to type.
pub enum Found<T> {
    There(T),
    Not { reason: String, hint: String },
}

impl<T> Found<T> {
    /// An error in a line, as a reason.
    fn not(error: &Error) -> Self {
        let reason = error.message().lines().next().unwrap_or_default().to_owned();
        Self::Not { reason, hint: error.hint().unwrap_or_default().to_owned() }
    }
}

/// The run's model and SAEs, and what computes.
///
/// # Errors
/// Where the arguments name a model or SAEs: whatever is missing, does not fit, or is not what the run was made with.
/// Devices that cannot be opened.
pub async fn model(args: &Calibrate, manifest: &Manifest) -> Result<Found<Box<(Loaded, Devices)>>> {
    let devices = setup::devices(&args.device).await?;
    let named = args.model.is_some() || !args.saes.is_empty();
    let mut first = None;
    for asked in ways(args, manifest).unwrap_or_else(|error| vec![Err(error)]) {
        let opened = async {
            let loaded = setup::load(&asked?, true).await?;
            same_model(&loaded, manifest).await?;
            same_inputs(&loaded, manifest)?;
            Ok(loaded)
        };
        match opened.await {
            Ok(loaded) => return Ok(Found::There(Box::new((loaded, devices)))),
            // of the run's own files, where those were looked for
            Err(error) => first = first.or(Some(error)),
        }
    }
    let error = first.unwrap_or_else(|| Error::missing("the run's model", hint_of(manifest)));
    if named { Err(error) } else { Ok(Found::not(&error)) }
}

/// What `analyze` would be told, the likeliest first: with SAEs where the run's own lay, then with the registry's,
/// where they may be the run's.
fn ways(args: &Calibrate, manifest: &Manifest) -> Result<Vec<Result<ModelArgs>>> {
    // a folder may be called as a known model is
    let of_folder = manifest.model.source == "local";
    let known = registry::all()?.into_iter().find(|model| !of_folder && model.name == manifest.model.name);
    let model = match (&args.model, &known) {
        (Some(model), _) => model.clone(),
        (None, Some(known)) => known.name.clone(),
        (None, None) => shown(&folder_of(&manifest.model.files, "model", manifest)?),
    };
    if !args.saes.is_empty() {
        return Ok(vec![model_args(args, manifest, model, args.saes.clone())]);
    }
    let by_path = |sae: &SaeInfo| {
        let path = folder_of(&sae.files, &format!("SAE of layer {}", sae.layer), manifest)?;
        Ok(SaeArg { layer: sae.layer, path })
    };
    let own: Result<Vec<SaeArg>> = manifest.saes.iter().map(by_path).collect();
    let of_registry = known.filter(|known| {
        let is_own = |sae: &SaeInfo| known.saes.iter().any(|entry| entry.layer == sae.layer && may_be(entry, sae));
        model == known.name && manifest.saes.iter().all(is_own)
    });
    let mut ways = vec![own.and_then(|own| model_args(args, manifest, model.clone(), own))];
    ways.extend(of_registry.map(|_| model_args(args, manifest, model, Vec::new())));
    Ok(ways)
}

/// Whether an SAE of the registry may be this one: nothing is fetched of one whose hashes are others.
fn may_be(entry: &KnownSae, sae: &SaeInfo) -> bool {
    let pinned = |origin: &Origin| {
        let known: Vec<&String> = origin.files().iter().filter_map(|file| file.sha256.as_ref()).collect();
        known.iter().all(|known| sae.files.iter().any(|file| file.sha256.as_ref() == Some(known)))
    };
    sae.files.iter().any(|file| file.sha256.is_none()) || entry.sources.iter().any(pinned)
}

fn model_args(args: &Calibrate, manifest: &Manifest, model: String, saes: Vec<SaeArg>) -> Result<ModelArgs> {
    let quantize = match manifest.model.quantized.as_deref() {
        None => None,
        Some(text) => Some(<QuantizeArg as clap::ValueEnum>::from_str(text, true).map_err(|_| {
            Error::usage(format!("the run's model was quantised to {text}"), "give it with `--model` as it was")
        })?),
    };
    let ignored = manifest.model.ignored_config_fields.iter().filter(|field| field.asked);
    Ok(ModelArgs {
        model,
        saes,
        layers: manifest.layers.clone(),
        tokenizer: args.tokenizer.clone(),
        ignored_fields: ignored.map(|field| field.name.clone()).collect(),
        quantize: QuantizeArgs { quantize, allow_requantize: true },
    })
}

/// What to type where something of the run is not found.
fn hint_of(manifest: &Manifest) -> String {
    let saes: Vec<String> = manifest.layers.iter().map(|layer| format!("--sae {layer}=PATH")).collect();
    format!("say where they lie now: --model NAME|DIR|FILE.gguf {}", saes.join(" "))
}

/// The folder that files were read from, or the one file that is its own.
fn folder_of(files: &[FileInfo], what: &str, manifest: &Manifest) -> Result<PathBuf> {
    let hint = || hint_of(manifest);
    let first = files.first().ok_or_else(|| Error::missing(format!("{what} in the manifest"), hint()))?;
    let path = Path::new(&first.path);
    if !path.exists() {
        return Err(Error::missing(format!("{what} {}", first.path), hint()));
    }
    let alone = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf") || e.eq_ignore_ascii_case("npz"));
    match path.parent() {
        Some(folder) if !alone && folder.as_os_str().is_empty() => Ok(".".into()),
        Some(folder) if !alone => Ok(folder.to_owned()),
        _ => Ok(path.to_owned()),
    }
}

/// Weights, tokenizer and SAEs are those that the manifest names.
///
/// # Errors
/// [`Error::Mismatch`] that names what is not.
pub async fn same_model(loaded: &Loaded, manifest: &Manifest) -> Result<()> {
    let hint = &hint_of(manifest);
    run::same_model(loaded, manifest, hint)?;
    run::same_files(&hash_files(loaded.model_files(), false).await?, &manifest.model.files, hint)?;
    for (at, known) in loaded.saes.iter().zip(&manifest.saes) {
        run::same_files(&hash_files(at.sae.sources().to_vec(), false).await?, &known.files, hint)?;
    }
    Ok(())
}

/// The SAEs do to their inputs what they did in the run: the registry may say more of files than they do themselves.
fn same_inputs(loaded: &Loaded, manifest: &Manifest) -> Result<()> {
    let said = |center: bool, factor: Option<f64>| {
        let factor = factor.map_or_else(String::new, |factor| format!(", scaled by {factor}"));
        format!("{}{factor}", if center { "centred" } else { "not centred" })
    };
    for (at, known) in loaded.saes.iter().zip(&manifest.saes) {
        let then = said(known.center_input, known.norm_scaling_factor);
        let now = said(at.sae.center_input, at.sae.normalization.factor());
        if now != then {
            let what = format!("SAE of layer {}: its input", at.layer);
            return Err(Error::mismatch(what, then, now, hint_of(manifest)));
        }
    }
    Ok(())
}

/// The run's data.
///
/// # Errors
/// Where the arguments name data: whatever is missing, or is not what the run was made with.
pub fn data(args: &Calibrate, manifest: &Manifest) -> Result<Found<Dataset>> {
    let read = || {
        let of = &manifest.dataset;
        let columns: Result<Columns> = of.columns.as_deref().map_or_else(
            || Ok(Columns::default()),
            |text| text.parse().map_err(|e: String| Error::usage(e, "the manifest's columns cannot be read")),
        );
        let builtin = matches!(&of.files[..], [file] if file.path == "builtin");
        let by_path = || of.files.iter().map(|file| file.path.parse::<DatasetArg>());
        let datasets = match &args.datasets[..] {
            [] if builtin => Vec::new(),
            [] => {
                by_path().collect::<Result<_, String>>().map_err(|e| Error::usage(e, "name them with `--dataset`"))?
            }
            named => named.to_vec(),
        };
        let asked = DataArgs {
            datasets,
            // those of the run were listed then
            skip_invalid: !of.skipped_rows.is_empty(),
            limit: of.limit,
            columns: columns?,
            join: of.join.clone(),
        };
        let mut data = setup::data(&asked, manifest.noise.seed)?;
        run::same_data(&mut data, manifest, "name the run's own data, all of them, with `--dataset`")?;
        Ok(data)
    };
    match read() {
        Ok(data) => Ok(Found::There(data)),
        Err(error) if !args.datasets.is_empty() => Err(error),
        Err(error) => Ok(Found::not(&error)),
    }
}

fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    // not a name of the registry
    if path.is_relative() && !text.starts_with('.') { format!("./{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::output::tests::manifest;

    fn args(words: &[&str]) -> Calibrate {
        let cli = Cli::try_parse_from([&["saescope", "calibrate", "run"], words].concat()).unwrap();
        let Command::Calibrate(args) = cli.command else { unreachable!("these words") };
        args
    }

    /// A run of the default model, with an SAE at each of its layers that lies in `folder`.
    fn run_of(folder: &Path, sha256: Option<&str>) -> Manifest {
        let mut run = manifest();
        run.model.name = registry::DEFAULT.to_owned();
        run.model.source = "somewhere".to_owned();
        run.layers = vec![6, 14, 23];
        let sae = run.saes[0].clone();
        run.saes = run.layers.iter().map(|layer| SaeInfo { layer: *layer, ..sae.clone() }).collect();
        for sae in &mut run.saes {
            let path = folder.join(format!("{}.npz", sae.layer));
            sae.files[0] = FileInfo { path: path.display().to_string(), bytes: 1, sha256: sha256.map(str::to_owned) };
        }
        run
    }

    #[test]
    fn the_runs_own_saes_are_looked_at_before_the_registrys() {
        let dir = tempfile::tempdir().unwrap();
        let run = run_of(dir.path(), None);
        let paths = |ways: &[Result<ModelArgs>]| -> Vec<Option<Vec<PathBuf>>> {
            ways.iter().map(|way| Some(way.as_ref().ok()?.saes.iter().map(|sae| sae.path.clone()).collect())).collect()
        };
        let registry: Option<Vec<PathBuf>> = Some(Vec::new());
        assert_eq!(paths(&ways(&args(&[]), &run).unwrap()), [None, registry.clone()], "they are gone");
        let own: Vec<PathBuf> = run.layers.iter().map(|layer| dir.path().join(format!("{layer}.npz"))).collect();
        own.iter().for_each(|path| std::fs::write(path, "x").unwrap());
        assert_eq!(paths(&ways(&args(&[]), &run).unwrap()), [Some(own.clone()), registry]);
        // by their hashes they are none of the registry's: nothing is fetched for nothing
        let other = run_of(dir.path(), Some("00ff"));
        assert_eq!(paths(&ways(&args(&[]), &other).unwrap()), [Some(own)]);
        let known = registry::find(registry::DEFAULT).unwrap();
        let mut same = run_of(dir.path(), Some("00ff"));
        for (sae, entry) in same.saes.iter_mut().zip(&known.saes) {
            let files = entry.sources[0].files().iter();
            sae.files = files.map(|f| FileInfo { path: "gone".into(), bytes: 1, sha256: f.sha256.clone() }).collect();
        }
        let found = ways(&args(&[]), &same).unwrap();
        assert_eq!(paths(&found), [None, Some(Vec::new())]);
        // what to type
        let error = found[0].as_ref().unwrap_err();
        let hint = error.hint().unwrap();
        assert!(error.message().contains("SAE of layer 6 gone"), "{error}");
        assert!(hint.contains("--sae 6=PATH --sae 14=PATH --sae 23=PATH"), "{hint}");
        // those that are named alone
        let named = ways(&args(&["--sae", "6=here.npz"]), &run).unwrap();
        assert_eq!(paths(&named), [Some(vec![PathBuf::from("here.npz")])]);
    }
}
