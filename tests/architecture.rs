//! The shape of the crate, kept by force: imports go downward, platforms are told apart in one place,
//! files stay short and belong to the crate.
//!
//! The rules read lines as rustfmt leaves them, which `cargo xtask check` holds. What calls may be made
//! is clippy's to say: `crate/lib.rs` denies printing and unfinished code, `scripts/clippy_wasm` bans from
//! the library what a browser does not have.

use std::path::{Path, PathBuf};

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
    layer("hash", &[], false),
    layer("platform", &["error", "hash"], true),
    layer("random", &["hash"], false),
    // loops that are compiled for the vectors of each kind of processor
    layer("geometry", &["error", "platform", "random"], false),
    layer("dataset", &["error", "hash", "platform", "random"], false),
    layer("metrics", &["error", "random", "geometry"], false),
    // the bootstrap runs on all cores
    layer("stats", &["error", "platform", "random", "metrics"], false),
    layer("batch", &[], false),
    layer("json", &["error", "platform"], false),
    layer("checkpoint", &["error", "hash", "platform"], false),
    layer("sae", &["error", "platform", "json", "checkpoint"], false),
    // the manifest tells an SAE's architecture and format in the loader's own words
    layer("output", &["error", "metrics", "sae"], false),
    layer("model", &["error", "platform", "json", "checkpoint", "batch"], true),
    layer("engine", &["error", "platform", "dataset", "metrics", "batch", "sae", "model"], true),
    // what the two front doors have in common: it puts a run's files together
    layer(
        "run",
        &["error", "hash", "platform", "dataset", "metrics", "stats", "output", "checkpoint", "sae", "model", "engine"],
        false,
    ),
    // what a run's statistics, model and SAEs say where the truth is known
    layer(
        "calibrate",
        &["error", "platform", "random", "dataset", "metrics", "stats", "output", "model", "engine"],
        false,
    ),
    // what the page and the engine say to each other
    // its tests write what the page says of a calibration's size
    layer("protocol", &["error", "platform", "dataset", "output", "calibrate"], false),
    layer("cli", EVERYTHING, false),
    layer("web", EVERYTHING, false),
];

/// The two front doors see the whole library, not each other.
const EVERYTHING: &[&str] = &[
    "error",
    "hash",
    "platform",
    "random",
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
    "calibrate",
    "protocol",
];

/// Libraries whose types are tensors or devices.
const TENSOR_LIBRARIES: &[&str] = &["burn", "cubecl", "wgpu"];

/// Names inside a `cfg` that tell one target from another.
const TARGETS: &[&str] = &["native", "web", "unix", "windows", "wasm"];

const MAX_LINES: usize = 600;

/// One source file.
struct Source {
    /// Relative to the repository.
    path: PathBuf,
    /// `["engine", "stream"]`; empty for the crate's roots.
    module: Vec<String>,
    /// Without comments.
    code: String,
}

impl Source {
    fn new(path: PathBuf, module: Vec<String>, text: &str) -> Self {
        let uncommented = |line: &str| {
            // not the slashes of an address
            let end = line.find(" //").or_else(|| line.starts_with("//").then_some(0)).unwrap_or(line.len());
            format!("{}\n", &line[..end])
        };
        Self { path, module, code: text.lines().map(uncommented).collect() }
    }

    /// The modules that it declares in files of their own, with the `#[path]` before them.
    fn declared(&self) -> Vec<(&str, Option<&str>)> {
        let mut declared = Vec::new();
        let mut path = None;
        for line in self.code.lines().map(str::trim) {
            if let Some(given) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
                path = Some(given);
            } else if !line.starts_with("#[") {
                let names = after(line, "mod ").filter_map(|rest| rest.strip_suffix(';'));
                declared.extend(names.map(|name| (name, path)));
                path = None;
            }
        }
        declared
    }
}

/// The library's files and the program's.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    ["crate/lib.rs", "crate/main.rs"].into_iter().for_each(|root| read(root.into(), Vec::new(), true, &mut sources));
    sources
}

/// A file and those that it declares; one that `owns_folder` has them beside it, else in a folder of its name.
fn read(path: PathBuf, module: Vec<String>, owns_folder: bool, sources: &mut Vec<Source>) {
    let text = std::fs::read_to_string(repository().join(&path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let source = Source::new(path, module, &text);
    let folder = source.path.parent().unwrap().to_owned();
    let below = if owns_folder { folder.clone() } else { source.path.with_extension("") };
    let declared = source.declared().into_iter().map(|(name, path)| {
        let own_folder = below.join(name).join("mod.rs");
        let (path, owns) = match path {
            Some(path) => (folder.join(path), true),
            None if repository().join(&own_folder).exists() => (own_folder, true),
            None => (below.join(format!("{name}.rs")), false),
        };
        (path, [&source.module[..], &[name.to_owned()]].concat(), owns)
    });
    let declared: Vec<_> = declared.collect();
    sources.push(source);
    declared.into_iter().for_each(|(path, module, owns)| read(path, module, owns, sources));
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name that `code` begins with.
fn name(code: &str) -> &str {
    &code[..code.find(|c| !is_name(c)).unwrap_or(code.len())]
}

/// What stands after each `word` that is a word of its own.
fn after<'a>(code: &'a str, word: &str) -> impl Iterator<Item = &'a str> {
    let starts = code.match_indices(word).map(|(at, _)| at);
    let whole = |at: &usize| !code[..*at].ends_with(is_name);
    starts.filter(whole).map(|at| &code[at + word.len()..]).collect::<Vec<_>>().into_iter()
}

/// The inside of the bracket that `code` begins with.
fn bracketed(code: &str) -> &str {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[1..at];
        }
    }
    &code[1..]
}

/// The parts of a `{…}` of paths.
fn members(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let separates = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c == ','
    };
    group.split(separates).map(str::trim).filter(|member| !member.is_empty()).collect()
}

/// The top-level modules that a path leads to after `ups` steps up; `root` steps lead to the crate's root.
fn led_to(path: &str, ups: usize, root: usize, found: &mut Vec<String>) {
    let path = path.trim_start();
    if let Some(rest) = path.strip_prefix("super::") {
        led_to(rest, ups + 1, root, found);
    } else if path.starts_with('{') {
        members(bracketed(path)).into_iter().for_each(|member| led_to(member, ups, root, found));
    } else if ups == root {
        found.push(if path.starts_with('*') { "*" } else { name(path) }.to_owned());
    }
}

/// The top-level modules that a file names, with the lines: after `crate::`, and after as many `super::`
/// as lead to the crate's root.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut imports = Vec::new();
    // indentations of the inline modules that are open
    let mut inline: Vec<usize> = Vec::new();
    let mut start = 0;
    for (number, line) in source.code.split_inclusive('\n').enumerate() {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        if text.starts_with('}') && inline.last() == Some(&indent) {
            inline.pop();
        }
        let root = source.module.len() + inline.len();
        let mut found = Vec::new();
        for word in ["crate::", "super::"] {
            for rest in after(line, word) {
                let at = start + line.len() - rest.len();
                // a chain of `super::` is followed from its first
                if word == "super::" && source.code[..at - word.len()].ends_with("super::") {
                    continue;
                }
                let ups = if word == "crate::" { root } else { 1 };
                led_to(&source.code[at..], ups, root, &mut found);
            }
        }
        imports.extend(found.into_iter().map(|module| (number + 1, module)));
        if after(text, "mod ").any(|rest| rest.ends_with('{')) {
            inline.push(indent);
        }
        start += line.len();
    }
    imports
}

/// Everything wrong with one file, one line each.
fn violations(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut report = |line: usize, text: String| wrong.push(format!("{}:{line}: {text}", source.path.display()));
    let own = source.module.first().map_or("", String::as_str);
    let layer = LAYERS.iter().find(|l| l.name == own);
    if layer.is_none() && !own.is_empty() {
        report(1, format!("module `{own}` is in no layer; add it to LAYERS in tests/architecture.rs"));
    }
    for (line, to) in imports(source) {
        // the root re-exports the error type
        let to = if matches!(to.as_str(), "Error" | "Result") { "error" } else { &to };
        if let Some(layer) = layer
            && to != layer.name
            && !layer.below.contains(&to)
        {
            report(line, format!("`{own}` must not import `{to}`"));
        }
    }
    for (number, line) in source.code.lines().enumerate() {
        let sees = |library: &&&str| {
            let path = |rest: &str| rest.starts_with("::") || rest.starts_with(';') || rest.starts_with(" as ");
            after(line, library).any(path) && !line.contains(&format!("::{library}"))
        };
        if layer.is_some_and(|l| !l.tensors)
            && let Some(library) = TENSOR_LIBRARIES.iter().find(sees)
        {
            report(number + 1, format!("`{own}` must not see a tensor or a device ({library})"));
        }
    }
    let apart = own == "platform" || own.is_empty();
    for cfg in ["cfg(", "cfg!(", "cfg_attr("] {
        for rest in after(&source.code, cfg).filter(|_| !apart) {
            let start = source.code.len() - rest.len();
            let mut words = bracketed(&source.code[start - 1..]).split(|c| !is_name(c));
            let target = |word: &&str| TARGETS.contains(word) || word.starts_with("target_");
            let line = source.code[..start].lines().count();
            if let Some(word) = words.find(target) {
                report(line, format!("a target check (`{word}`) outside platform/"));
            }
        }
    }
    let lines = source.code.lines().count();
    if lines > MAX_LINES {
        report(lines, format!("{lines} lines, at most {MAX_LINES}; one idea a file"));
    }
    wrong
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

/// Whoever wrote them: scripts and pages are held to the same length. What is generated is as long as it comes.
#[test]
fn files_of_every_language_are_short() {
    const ENDINGS: &[&str] = &["rs", "py", "pyi", "ts", "mjs", "css", "sh"];
    const ELSEWHERE: &[&str] = &["node_modules", "target", "dist", "generated", "golden"];
    let (mut seen, mut wrong) = (0, Vec::new());
    let mut folders: Vec<PathBuf> =
        ["bench", "benches", "cluster", "crate", "fuzz", "python", "reference", "scripts", "tests", "www", "xtask"]
            .map(|folder| repository().join(folder))
            .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !ELSEWHERE.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| ENDINGS.iter().any(|ending| e == *ending)) {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                seen += 1;
                if lines > MAX_LINES {
                    wrong.push(format!("{}: {lines} lines, at most {MAX_LINES}; one idea a file", path.display()));
                }
            }
        }
    }
    assert!(seen > 400, "{seen} files");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_file_belongs_to_the_crate() {
    let sources = sources();
    let mut folders = vec![repository().join("crate")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let known = sources.iter().any(|s| repository().join(&s.path) == path);
                assert!(known, "{} is declared by no module", path.display());
            }
        }
    }
}

/// What is wrong with `text` as the file of `module`.
fn check(module: &str, text: &str) -> Vec<String> {
    let module = module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    violations(&Source::new("x.rs".into(), module, text))
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
        "use crate::{\n    engine::{\n        self,\n    },\n    error::Error,\n};",
        "use crate::{engine as e};",
        "use crate::engine;",
        "use crate::engine::*;",
        "fn f() -> crate::engine::Options { g() }",
        "fn f() { let v = vec![crate::engine::f()]; }",
        "let s = \"https://example.org\"; crate::engine::f()",
        "use super::engine::Options;",
        "use super::{engine::Options, Error};",
        "mod a {\n    mod b {\n        use super::super::super::engine::f;\n    }\n}",
        "mod a {\n    use self::super::super::engine::f;\n}\nuse super::Error;",
        "mod a {\n    use super::{f, super::{Error, engine::f}};\n}",
        "#[cfg(test)]\nmod tests {\n    use crate::engine::f;\n}",
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
    fine("sae", "mod tests {\n    use super::engine::f;\n}");
    fine("error", "//! [`crate::engine`]\n/// See crate::engine. \nconst X: u8 = 1; // crate::engine");
}

#[test]
fn tensors_are_kept_out_of_the_pure_layers() {
    caught("metrics", "use burn::Tensor;", "must not see a tensor");
    caught("metrics", "use burn as b;", "must not see a tensor");
    caught("geometry", "fn f(x: burn::tensor::Tensor<2>) {}", "must not see a tensor");
    caught("cli", "use wgpu::Instance;", "must not see a tensor");
    fine("engine", "use burn::tensor::Tensor;");
    fine("cli", "use crate::platform::wgpu::f;");
}

#[test]
fn target_checks_are_caught_outside_platform() {
    for text in [
        "#[cfg(target_arch = \"wasm32\")]\nfn f() {}",
        "#[cfg(not(native))]\nuse a::b;",
        "#[cfg_attr(web, derive(Debug))]\nstruct S;",
        "fn f() { if cfg!(target_family = \"wasm\") {} }",
        "#[cfg(all(test, web))]\nmod tests {}",
        "#![cfg(native)]",
    ] {
        caught("engine", text, "a target check");
    }
    fine("platform", "#[cfg(native)]\nmod imp;");
    fine("", "#[cfg(native)]\npub mod cli;");
    fine("engine", "#[cfg(test)]\nmod tests {}\n#[cfg(debug_assertions)]\nfn native() {}");
}

#[test]
fn long_files_are_caught() {
    caught("model", &"\n".repeat(601), "601 lines");
    fine("model", &"\n".repeat(600));
}
