//! A run's model, SAEs and data, from its manifest: by name, by path, or as the arguments say; and whether they are
//! still the run's.

use std::path::{Path, PathBuf};

use crate::cli::args::{Calibrate, DataArgs, DatasetArg, ModelArgs, QuantizeArg, QuantizeArgs, SaeArg};
use crate::cli::hash::hash_files;
use crate::cli::setup::{self, Devices};
use crate::dataset::{Columns, Dataset};
use crate::error::{Error, Result};
use crate::model::registry;
use crate::output::{FileInfo, Manifest};
use crate::run::{self, Loaded};

/// What was looked for; where it is not there, why.
pub enum Found<T> {
    There(T),
    Not(String),
}

/// The run's model and SAEs, and what computes.
///
/// # Errors
/// Where the arguments name a model or SAEs: whatever is missing, does not fit, or is not what the run was made with.
/// Devices that cannot be opened.
pub async fn model(args: &Calibrate, manifest: &Manifest) -> Result<Found<Box<(Loaded, Devices)>>> {
    let devices = setup::devices(&args.device).await?;
    let named = args.model.is_some() || !args.saes.is_empty();
    let opened = async {
        let loaded = setup::load(&model_args(args, manifest)?, true).await?;
        same_model(&loaded, manifest).await?;
        Ok(loaded)
    };
    match opened.await {
        Ok(loaded) => Ok(Found::There(Box::new((loaded, devices)))),
        Err(error) if named => Err(error),
        Err(error) => Ok(Found::Not(reason(&error))),
    }
}

/// What `analyze` would be told.
fn model_args(args: &Calibrate, manifest: &Manifest) -> Result<ModelArgs> {
    // a folder may be called as a known model is
    let of_folder = Path::new(&manifest.model.source).exists();
    let known = registry::all()?.into_iter().find(|model| !of_folder && model.name == manifest.model.name);
    let model = match (&args.model, &known) {
        (Some(model), _) => model.clone(),
        (None, Some(known)) => known.name.clone(),
        (None, None) => shown(&folder_of(&manifest.model.files, "model")?),
    };
    let by_path = |sae: &crate::output::SaeInfo| {
        let path = folder_of(&sae.files, &format!("SAE of layer {}", sae.layer))?;
        Ok(SaeArg { layer: sae.layer, path })
    };
    let own = known.is_some_and(|known| {
        model == known.name && manifest.layers.iter().all(|layer| known.saes.iter().any(|sae| sae.layer == *layer))
    });
    let saes = if args.saes.is_empty() && !own {
        manifest.saes.iter().map(by_path).collect::<Result<_>>()?
    } else {
        args.saes.clone()
    };
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

/// The folder that files were read from, or the one file that is its own.
fn folder_of(files: &[FileInfo], what: &str) -> Result<PathBuf> {
    let hint = "name the run's model and SAEs with `--model` and `--sae`";
    let first = files.first().ok_or_else(|| Error::missing(format!("{what} in the manifest"), hint))?;
    let path = Path::new(&first.path);
    if !path.exists() {
        return Err(Error::missing(format!("{what} {}", first.path), hint));
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
    let hint = "name the run's own model and SAEs with `--model` and `--sae`";
    run::same_model(loaded, manifest, hint)?;
    run::same_files(&hash_files(loaded.model_files(), false).await?, &manifest.model.files, hint)?;
    for (at, known) in loaded.saes.iter().zip(&manifest.saes) {
        run::same_files(&hash_files(at.sae.sources().to_vec(), false).await?, &known.files, hint)?;
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
        Err(error) => Ok(Found::Not(reason(&error))),
    }
}

/// An error in a line, as a reason.
fn reason(error: &Error) -> String {
    error.message().lines().next().unwrap_or_default().to_owned()
}

fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    // not a name of the registry
    if path.is_relative() && !text.starts_with('.') { format!("./{text}") } else { text }
}
