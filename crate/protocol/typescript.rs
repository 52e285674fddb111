//! The page's types, written from these. `cargo xtask generate` writes them
//! anew; without it the tests say whether they are those of this code.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use ts_rs::{Config, TS, TypeVisitor};

use super::{Answer, Catalog, EngineError, Event, Request};
use crate::calibrate::{LIMIT, SWAPS};
use crate::dataset;
use crate::output::{CALIBRATION_VERSION, Calibration, Manifest, SCHEMA_VERSION};

/// Declarations of types and of everything that they are made of, each once, by name.
struct Declarations {
    config: Config,
    seen: Vec<TypeId>,
    head: String,
    by_name: BTreeMap<String, String>,
}

impl Declarations {
    /// A file that begins with what it is made from.
    fn of(source: &str) -> Self {
        // JSON and JavaScript have one kind of number
        let config = Config::new().with_large_int("number");
        let head = format!("// Written from {source} by its tests (see crate/protocol/typescript.rs): do not edit.\n");
        Self { config, seen: Vec::new(), head, by_name: BTreeMap::new() }
    }

    fn with<T: TS + 'static>(mut self) -> Self {
        self.visit::<T>();
        self
    }

    fn text(&self) -> String {
        let declared: String = self.by_name.values().map(|text| format!("\n{text}\n")).collect();
        format!("{}{declared}", self.head)
    }
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // lists, options and the like have no name of their own; they lead to what has
        if self.seen.contains(&TypeId::of::<T>()) {
            return;
        }
        self.seen.push(TypeId::of::<T>());
        if T::output_path().is_some() {
            let docs = T::docs().unwrap_or_default();
            let declared = format!("{docs}export {}", T::decl(&self.config));
            self.by_name.insert(T::ident(&self.config), laid_out(&declared));
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

/// A declaration as one reads it: documented fields and variants on lines of their own, short comments on one.
fn laid_out(declaration: &str) -> String {
    let mut out = String::new();
    // of each brace that is open: whether its fields have lines of their own
    let mut open: Vec<bool> = Vec::new();
    let mut union = false;
    let mut rest = declaration.trim();
    let line = |out: &mut String, deep: usize, union: bool| {
        out.truncate(out.trim_end().len());
        let _ = write!(out, "\n{:1$}", "", 2 * deep + if union && deep > 0 { 2 } else { 0 });
    };
    while let Some(c) = rest.chars().next() {
        let deep = open.iter().filter(|long| **long).count();
        if let Some((comment, after)) = rest.strip_prefix("/**").and_then(|inside| inside.split_once("*/")) {
            comment_into(&mut out, comment);
            line(&mut out, deep, union);
            rest = after.trim_start();
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => {
                let (text, after) = rest.split_once('"').unwrap_or((rest, ""));
                // names that are plain need no quotes
                let name = after.starts_with(':') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                let _ = if name { write!(out, "{text}") } else { write!(out, "\"{text}\"") };
                rest = after;
            }
            '{' => {
                out.push('{');
                open.push(rest.split('}').next().is_some_and(|inside| inside.contains("/**")));
                if open.last() == Some(&true) {
                    line(&mut out, deep + 1, union);
                    rest = rest.trim_start();
                }
            }
            '}' => {
                if open.pop() == Some(true) {
                    line(&mut out, deep - 1, union);
                    if union {
                        out.push_str("  ");
                    }
                }
                out.push('}');
            }
            ',' if open.last() == Some(&true) => {
                out.push(',');
                line(&mut out, deep, union);
                rest = rest.trim_start();
            }
            // names side by side need no lines of their own
            '|' if open.is_empty() && declaration.contains('{') => {
                union = true;
                line(&mut out, 0, union);
                out.push_str("  |");
            }
            c => out.push(c),
        }
    }
    out
}

/// A comment without its lines' stars, on one line where it has one.
fn comment_into(out: &mut String, comment: &str) {
    let lines: Vec<&str> = comment.lines().map(|l| l.trim().trim_start_matches('*').trim()).collect();
    let lines: Vec<&str> = lines.into_iter().filter(|l| !l.is_empty()).collect();
    let indent = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
    let _ = match &lines[..] {
        [one] => write!(out, "/** {one} */"),
        many => write!(out, "/** {} */", many.join(&format!("\n{:1$} * ", "", indent))),
    };
}

/// Compares a committed file with what this code says, or writes it.
fn check(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/generated").join(file);
    if std::env::var_os("SAESCOPE_GENERATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{file} is not what the code says: cargo xtask generate");
}

#[test]
fn generated_protocol() {
    let written = Declarations::of("crate/protocol/").with::<Request>().with::<Answer>().with::<Event>();
    check("protocol.ts", &written.with::<EngineError>().text());
}

#[test]
fn generated_catalog() {
    check("catalog.ts", &Declarations::of("crate/protocol/catalog.rs").with::<Catalog>().text());
}

#[test]
fn generated_manifest() {
    let mut written = Declarations::of("crate/output/manifest.rs");
    let _ = write!(written.head, "\n/** The version of the files' format that this program writes. */\n");
    let _ = writeln!(written.head, "export const SCHEMA_VERSION = {SCHEMA_VERSION};");
    check("manifest.ts", &written.with::<Manifest>().text());
}

#[test]
fn generated_calibration() {
    let mut written = Declarations::of("crate/output/calibration.rs");
    let _ = write!(written.head, "\n/** The version of calibration.json that this program writes. */\n");
    let _ = writeln!(written.head, "export const CALIBRATION_VERSION = {CALIBRATION_VERSION};");
    let pairs: usize = dataset::positive_controls().unwrap().iter().map(|control| control.pairs.samples.len()).sum();
    for (name, value, of) in [
        ("SWAPS", SWAPS, "How often fact and hallucination are swapped."),
        ("LIMIT", LIMIT, "Samples of the run, at most, that the length trap and the ceiling are made of."),
        ("CONTROL_PAIRS", pairs, "Built-in pairs of the positive controls."),
    ] {
        let _ = write!(written.head, "\n/** {of} */\nexport const {name} = {value};\n");
    }
    check("calibration.ts", &written.with::<Calibration>().text());
}
