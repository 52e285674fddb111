//! `saescope convert`: a quantised checkpoint, as a GGUF file.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Convert, ModelArgs, QuantizeArgs};
use super::interrupt::Caught;
use super::{megabytes, print, say, setup};
use crate::checkpoint::Quantization;
use crate::error::{Error, Result};
use crate::platform::{self, FileSink, RunFiles, replaceable};
use crate::run::Loaded;

/// Writes the file, whole or not at all, and prints its path. A signal ends it with status 128 + the signal's number,
/// nothing left behind.
///
/// # Errors
/// Whatever is wrong with the model, or with the place.
pub async fn run(args: &Convert) -> Result<ExitCode> {
    let Convert { model, quantize, out, force, allow_requantize, tokenizer, ignored_fields } = args;
    let quantization = Quantization::from(*quantize);
    // a place that is named is better refused before a model is fetched
    if is_file(out) {
        check(out, *force)?;
    }
    let model = ModelArgs {
        model: model.clone(),
        saes: Vec::new(),
        layers: Vec::new(),
        tokenizer: tokenizer.clone(),
        ignored_fields: ignored_fields.clone(),
        quantize: QuantizeArgs::default(),
    };
    let loaded = setup::load(&model, false).await?;
    let path = if is_file(out) { out.clone() } else { out.join(file_name(&loaded, quantization)) };
    check(&path, *force)?;
    let gguf = loaded.config_file.is_none().then(|| loaded.weight_files.first()).flatten();
    let conversion = loaded.model.conversion(&loaded.name, gguf, quantization, *allow_requantize).await?;
    let (folder, name) = (path.parent().filter(|p| !p.as_os_str().is_empty()), path.file_name().unwrap_or_default());
    let folder = folder.unwrap_or(Path::new("."));
    if let Some(free) = platform::free_space(folder).filter(|free| *free < conversion.bytes()) {
        let found = format!("{} are needed, {} are free", megabytes(conversion.bytes()), megabytes(free));
        let full = std::io::Error::new(std::io::ErrorKind::StorageFull, found);
        return Err(Error::io(path.display().to_string(), "write", full, "free some space, or choose another folder"));
    }
    if let Some(why) = conversion.textless() {
        say(&format!(
            "WARNING: the file's texts are for this program alone, by the tokenizer.json in it; llama.cpp can read none: \
             {why}"
        ));
    }
    say(&format!("{}: {} as {}", loaded.name, loaded.quantization, quantization.blocks().name()));
    let caught = Caught::watch()?;
    let mut files = RunFiles::begin_one(folder)?;
    let written = write(&conversion, &mut files, &name.to_string_lossy(), &path, &caught).await;
    if let Err(error) = written {
        files.abandon();
        return match (error, caught.status()) {
            (Error::Cancelled, Some(status)) => {
                say("interrupted: nothing was written");
                Ok(ExitCode::from(status))
            }
            (error, _) => Err(error),
        };
    }
    files.commit()?;
    print(&format!("{}\n", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

async fn write(
    conversion: &crate::model::Conversion,
    files: &mut RunFiles,
    name: &str,
    path: &Path,
    caught: &Caught,
) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, files.create(name)?);
    let clock = platform::Clock::start();
    let (mut done, mut last) = (0, 0.0);
    conversion
        .write(&mut file, &path.display().to_string(), |bytes| {
            // the first signal ends it between two tensors
            if caught.status().is_some() {
                return Err(Error::Cancelled);
            }
            done += bytes;
            let seconds = clock.seconds();
            if seconds - last >= 1.0 {
                last = seconds;
                say(&format!("writing {}: {} of {}", path.display(), megabytes(done), megabytes(conversion.bytes())));
            }
            Ok(())
        })
        .await
}

/// Whether `--out` is the file itself.
fn is_file(out: &Path) -> bool {
    out.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) && !out.is_dir()
}

/// As llama.cpp's files are called: `name-Q8_0.gguf`.
fn file_name(loaded: &Loaded, quantization: Quantization) -> PathBuf {
    let name = &loaded.name;
    let stem = name.len().checked_sub(".gguf".len()).and_then(|at| Some((name.get(..at)?, name.get(at..)?)));
    let stem = stem.filter(|(_, end)| end.eq_ignore_ascii_case(".gguf")).map_or(name.as_str(), |(stem, _)| stem);
    format!("{stem}-{}.gguf", quantization.blocks().name()).into()
}

fn check(path: &Path, force: bool) -> Result<()> {
    if !replaceable(path) {
        return Err(Error::usage(
            format!("{} is a folder, where the file has to be", path.display()),
            "choose another place with `--out`",
        ));
    }
    if path.exists() && !force {
        return Err(Error::usage(
            format!("{} is there already", path.display()),
            "choose another place with `--out`, or replace it with `--force`",
        ));
    }
    Ok(())
}
