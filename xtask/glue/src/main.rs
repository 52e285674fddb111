//! `xtask-glue WASM FOLDER`: JavaScript glue of wasm-bindgen's `web` kind, and the WASM it belongs to.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let [wasm, out] = args.as_slice() else {
        eprintln!("usage: xtask-glue WASM FOLDER");
        return ExitCode::from(2);
    };
    match bind(Path::new(wasm), Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The page says where the WASM is.
fn bind(wasm: &Path, out: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(wasm)
        .web(true)?
        .typescript(true)
        // the page names the WASM itself; two names would be two copies
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)
}
