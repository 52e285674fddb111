//! The shape of the crate, kept by force: imports go downward, platforms are told apart in one
//! place, the library neither blocks nor prints, files stay short, nothing is left to do.

mod source;

use std::path::Path;

use source::{Source, facts, read_crate};

/// A module of the crate, what it may import from the crate, and which tensor libraries it sees.
struct Layer {
    name: &'static str,
    below: &'static [&'static str],
    tensors: bool,
}

const fn layer(name: &'static str, below: &'static [&'static str], tensors: bool) -> Layer {
    Layer { name, below, tensors }
}

/// From the ground up; the strictest table that holds. Whoever adds to it says why.
const LAYERS: &[Layer] = &[
    layer("error", &[], false),
    layer("platform", &["error"], true),
    layer("geometry", &["error"], false),
    layer("dataset", &["error"], false),
    layer("metrics", &["error", "geometry"], false),
    // the bootstrap runs on all cores
    layer("stats", &["error", "platform", "metrics"], false),
    layer("output", &["error", "metrics"], false),
    layer("batch", &[], false),
    layer("checkpoint", &["error", "platform"], false),
    layer("sae", &["error", "platform", "checkpoint"], false),
    layer("model", &["error", "platform", "checkpoint", "batch"], true),
    layer("engine", &["error", "platform", "dataset", "metrics", "batch", "sae", "model"], true),
    // what the two front doors have in common: it puts the four files together
    layer(
        "run",
        &["error", "platform", "dataset", "metrics", "stats", "output", "checkpoint", "sae", "model", "engine"],
        false,
    ),
    // what the page and the engine say to each other
    layer("protocol", &["error", "platform", "dataset", "output"], false),
    layer("cli", EVERYTHING, false),
    layer("web", EVERYTHING, false),
];

/// The two front doors see the whole library, not each other.
const EVERYTHING: &[&str] = &[
    "error",
    "platform",
    "geometry",
    "dataset",
    "metrics",
    "stats",
    "output",
    "batch",
    "checkpoint",
    "sae",
    "model",
    "engine",
    "run",
    "protocol",
];

/// Libraries whose types are tensors or devices.
const TENSOR_LIBRARIES: &[&str] = &["burn", "cubecl", "wgpu"];

/// Paths that only `platform`, `cli` and tests may use: the web has no files, threads, processes,
/// sockets or blocking, and its clock is another one.
const NATIVE_ONLY: &[&str] = &[
    "std::fs",
    "std::thread",
    "std::process",
    "std::net",
    "std::env",
    "std::time::Instant",
    "std::time::SystemTime",
    "futures::executor",
    "rayon",
];

/// Names inside a `cfg` that tell one target from another.
const TARGETS: &[&str] = &["native", "web", "unix", "windows", "wasm"];

const PRINTS: &[&str] = &["println", "eprintln", "print", "eprint", "dbg"];
const UNFINISHED: &[&str] = &["todo", "unimplemented"];
const MAX_LINES: usize = 600;

/// Everything wrong with one file, one line each.
fn violations(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut report = |line: usize, text: String| wrong.push(format!("{}:{line}: {text}", source.path.display()));
    let name = source.module.first().map_or("", String::as_str);
    let layer = LAYERS.iter().find(|l| l.name == name);
    if layer.is_none() && !source.module.is_empty() {
        report(1, format!("module `{name}` is in no layer; add it to LAYERS in tests/architecture.rs"));
    }
    let platform = name == "platform";
    let front = matches!(name, "cli" | "web");

    for found in &source.facts.paths {
        let test = source.test || found.test;
        let mut parts = found.what.split("::");
        let first = parts.next().unwrap_or("");
        if let ("crate", Some(layer), Some(to)) = (first, layer, parts.next()) {
            // the root re-exports the error type
            let to = if matches!(to, "Error" | "Result") { "error" } else { to };
            if to != layer.name && !layer.below.contains(&to) {
                report(found.line, format!("`{}` must not import `{to}` ({})", layer.name, found.what));
            }
        }
        if layer.is_some_and(|l| !l.tensors) && TENSOR_LIBRARIES.contains(&first) {
            report(found.line, format!("`{name}` must not see a tensor or a device ({})", found.what));
        }
        let native = NATIVE_ONLY.iter().find(|p| found.what == **p || found.what.starts_with(&format!("{p}::")));
        if let Some(native) = native
            && !(platform || front || test || source.module.is_empty())
        {
            report(found.line, format!("`{native}` belongs in platform/ or cli/"));
        }
    }
    for found in &source.facts.cfgs {
        let target = TARGETS.contains(&found.what.as_str()) || found.what.starts_with("target_");
        if target && !platform && !source.module.is_empty() {
            report(found.line, format!("a target check (`{}`) outside platform/", found.what));
        }
    }
    for found in &source.facts.macros {
        let what = found.what.as_str();
        if UNFINISHED.contains(&what) {
            report(found.line, format!("`{what}!` is not finished work"));
        }
        let test = source.test || found.test;
        if PRINTS.contains(&what) && !test {
            report(
                found.line,
                format!("`{what}!` panics where nobody listens; return it, use tracing, or cli's `say`"),
            );
        }
    }
    if source.lines > MAX_LINES {
        report(source.lines, format!("{} lines, at most {MAX_LINES}; one idea a file", source.lines));
    }
    wrong
}

/// The library's files and the program's.
fn sources() -> Vec<Source> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["crate/lib.rs", "crate/main.rs"].into_iter().flat_map(|root| read_crate(repository, root)).collect()
}

#[test]
fn the_crate_keeps_its_shape() {
    let sources = sources();
    for layer in LAYERS {
        assert!(sources.iter().any(|s| s.module == [layer.name]), "no module `{}`: mend LAYERS", layer.name);
    }
    let wrong: Vec<String> = sources.iter().flat_map(violations).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_file_belongs_to_the_crate() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = sources();
    let mut folders = vec![repository.join("crate")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let known = sources.iter().any(|s| repository.join(&s.path) == path);
                assert!(known, "{} is declared by no module", path.display());
            }
        }
    }
}

/// What is wrong with `text` as the file of `module`.
fn check(module: &str, text: &str) -> Vec<String> {
    let module: Vec<String> = module.split("::").filter(|m| !m.is_empty()).map(str::to_owned).collect();
    let facts = facts(text, &module);
    violations(&Source { path: "x.rs".into(), module, test: false, facts, lines: text.lines().count() })
}

#[track_caller]
fn caught(module: &str, text: &str, words: &str) {
    let wrong = check(module, text);
    assert!(wrong.len() == 1 && wrong[0].contains(words), "{module}: {text}: {wrong:?}");
}

#[track_caller]
fn fine(module: &str, text: &str) {
    let wrong = check(module, text);
    assert!(wrong.is_empty(), "{module}: {text}: {wrong:?}");
}

#[test]
fn upward_imports_are_caught_however_they_are_written() {
    for text in [
        "use crate::engine::Options;",
        "use crate::{error::{Error, Result}, engine::{self}};",
        "use crate::{engine as e};",
        "use crate::engine;",
        "use crate::engine::*;",
        "fn f() -> crate::engine::Options { g() }",
        "fn f() { let v = vec![crate::engine::f()]; }",
        "use super::engine::Options;",
        "mod a { mod b { use super::super::super::engine::f; } }",
        "mod a { use self::super::super::engine::f; }",
        "#[cfg(test)] mod tests { use crate::engine::f; }",
        "macro_rules! m { () => { $crate::engine::f() } }",
    ] {
        caught("sae", text, "`sae` must not import `engine`");
    }
    caught("sae::saelens", "use super::super::model::f;", "must not import `model`");
    caught("metrics", "use crate::*;", "must not import `*`");
    caught("model", "use crate::sae::Sae;", "must not import `sae`");
    caught("cli", "use crate::web::f;", "must not import `web`");
    caught("novel", "", "is in no layer");

    fine("engine", "use crate::{model::{ops::Compute, Model}, sae::Sae, Error};");
    fine("sae", "use super::super::sae::f; use self::input::f; use super::Error;");
    fine("sae::saelens::tests", "use super::super::encoder::f;");
    fine(
        "error",
        "//! [`crate::engine`]\n/// See crate::engine. \nconst X: &str = \"use crate::engine::f;\"; // crate::engine",
    );
}

#[test]
fn tensors_are_kept_out_of_the_pure_layers() {
    caught("metrics", "use burn::Tensor;", "must not see a tensor");
    caught("geometry", "fn f(x: burn::tensor::Tensor<2>) {}", "must not see a tensor");
    caught("cli", "use wgpu::Instance;", "must not see a tensor");
    fine("engine", "use burn::tensor::Tensor;");
}

#[test]
fn target_checks_are_caught_outside_platform() {
    for text in [
        "#[cfg(target_arch = \"wasm32\")] fn f() {}",
        "#[cfg(not(native))] use a::b;",
        "#[cfg_attr(web, derive(Debug))] struct S;",
        "fn f() { if cfg!(target_family = \"wasm\") {} }",
        "#[cfg(all(test, web))] mod tests {}",
        "#![cfg(native)]",
    ] {
        caught("engine", text, "a target check");
    }
    fine("platform", "#[cfg(native)] mod imp;");
    fine("", "#[cfg(native)] pub mod cli;");
    fine("engine", "#[cfg(test)] mod tests {} #[cfg(debug_assertions)] fn native() {}");
}

#[test]
fn unfinished_long_and_talkative_code_is_caught() {
    caught("model", "fn f() { todo!() }", "`todo!`");
    caught("model", "#[test] fn f() { unimplemented!(\"later\") }", "`unimplemented!`");
    caught("model", "fn f() { println!(\"{}\", 1) }", "`println!` panics");
    caught("model", "fn f() { if true { eprintln!() } }", "`eprintln!` panics");
    caught("model", "#[cfg(test)] use a::b;\nfn f() { dbg!(1); }", ":2: `dbg!` panics");
    fine("model", "#[cfg(test)] mod tests { fn f() { println!() } } #[test] fn g() { println!() }");
    caught("cli", "fn f() { eprintln!() }", "`eprintln!` panics");
    caught("model", &"\n".repeat(601), "601 lines");
    fine("model", &"\n".repeat(600));
}

#[test]
fn native_only_calls_are_caught_outside_platform_and_cli() {
    for text in [
        "fn f() { std::fs::read(\"x\"); }",
        "use std::{io::Read, fs::File};",
        "use std::{io, fs};",
        "use std::thread;",
        "use std::time::{Duration, Instant};",
        "fn f() { futures::executor::block_on(g()) }",
        "use rayon::prelude::*;",
        "#[cfg(not(test))] use std::fs;",
    ] {
        caught("model", text, "belongs in platform/ or cli/");
        fine("platform", text);
        fine("cli", text);
    }
    fine("model", "#[cfg(test)] mod tests { use std::fs; } use std::time::Duration; use std::fmt;");
    fine("model", "#[cfg(test)] fn f() { std::fs::read(\"x\"); }");
}
