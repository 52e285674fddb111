//! Rust source as the rules see it: paths, macro calls and `cfg`s, with their lines; comments,
//! strings and documentation are not code.

use std::path::{Path, PathBuf};

use ra_ap_rustc_lexer::{FrontmatterAllowed, TokenKind, tokenize};

/// One source file and where it hangs in the crate.
#[derive(Debug)]
pub struct Source {
    /// Relative to the repository.
    pub path: PathBuf,
    /// Its own module: `["engine", "stream"]`; empty for the crate's root.
    pub module: Vec<String>,
    /// Reached only through a `#[cfg(test)]` declaration.
    pub test: bool,
    pub facts: Facts,
    pub lines: usize,
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Facts {
    /// Every path of two names or more, `use` groups written out, `self` and `super` resolved
    /// where they leave the file's own module.
    pub paths: Vec<Found>,
    /// Macro calls, by name.
    pub macros: Vec<Found>,
    /// Names inside `cfg(…)`, `cfg!(…)` and `cfg_attr(…)`.
    pub cfgs: Vec<Found>,
    /// `mod name;` declarations.
    modules: Vec<Declared>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// `crate::model::Model`, `println`, `target_arch`.
    pub what: String,
    /// Counted from 1.
    pub line: usize,
    /// Under `#[cfg(test)]` or `#[test]`.
    pub test: bool,
}

#[derive(Debug)]
struct Declared {
    name: String,
    path: Option<String>,
    test: bool,
}

/// Every file that `root` (a `lib.rs` or `main.rs`) declares, itself first.
pub fn read_crate(repository: &Path, root: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    read_module(repository, PathBuf::from(root), Vec::new(), false, true, &mut sources);
    sources
}

fn read_module(
    repository: &Path,
    path: PathBuf,
    module: Vec<String>,
    test: bool,
    owns_folder: bool,
    sources: &mut Vec<Source>,
) {
    let text = std::fs::read_to_string(repository.join(&path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let facts = facts(&text, &module);
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    // a file that is not a mod.rs keeps its modules in a folder of its own name
    let below = if owns_folder { folder.clone() } else { path.with_extension("") };
    let mut declared = Vec::new();
    for Declared { name, path: given, test: in_test } in &facts.modules {
        let (path, owns) = match given {
            Some(given) => (folder.join(given), true),
            None if repository.join(below.join(name).join("mod.rs")).exists() => {
                (below.join(name).join("mod.rs"), true)
            }
            None => (below.join(format!("{name}.rs")), false),
        };
        declared.push((path, [module.clone(), vec![name.clone()]].concat(), test || *in_test, owns));
    }
    sources.push(Source { lines: text.lines().count(), path, module, test, facts });
    for (path, module, test, owns) in declared {
        read_module(repository, path, module, test, owns, sources);
    }
}

/// The facts of one file that is the module `module`.
pub fn facts(text: &str, module: &[String]) -> Facts {
    let mut facts = Facts::default();
    scan(&trees(text), module, false, &mut facts);
    facts
}

/// A token, or what a pair of brackets holds.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    /// With its line.
    Ident(String, usize),
    /// Anything else that is not a bracket; a string or number by its text.
    Other(String),
    /// By its opening bracket.
    Group(char, Vec<Tree>),
}

/// The tokens of a file without comments, documentation among them.
fn trees(text: &str) -> Vec<Tree> {
    let mut open: Vec<(char, Vec<Tree>)> = Vec::new();
    let mut trees = Vec::new();
    let (mut at, mut line) = (0, 1);
    for token in tokenize(text, FrontmatterAllowed::No) {
        let piece = &text[at..at + token.len as usize];
        match token.kind {
            TokenKind::Whitespace | TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => {}
            TokenKind::Ident => trees.push(Tree::Ident(piece.to_owned(), line)),
            TokenKind::RawIdent => trees.push(Tree::Ident(piece.trim_start_matches("r#").to_owned(), line)),
            TokenKind::OpenParen => open.push(('(', std::mem::take(&mut trees))),
            TokenKind::OpenBrace => open.push(('{', std::mem::take(&mut trees))),
            TokenKind::OpenBracket => open.push(('[', std::mem::take(&mut trees))),
            TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket => {
                let (bracket, before) = open.pop().expect("the compiler takes this file, so its brackets close");
                let inner = std::mem::replace(&mut trees, before);
                trees.push(Tree::Group(bracket, inner));
            }
            _ => trees.push(Tree::Other(piece.to_owned())),
        }
        line += piece.matches('\n').count();
        at += piece.len();
    }
    trees
}

/// The tokens as one string, for attributes.
fn joined(trees: &[Tree]) -> String {
    let piece = |tree: &Tree| match tree {
        Tree::Ident(text, _) | Tree::Other(text) => text.clone(),
        Tree::Group(open, inner) => format!("{open}{}", joined(inner)),
    };
    trees.iter().map(piece).collect()
}

fn scan(tokens: &[Tree], module: &[String], test: bool, facts: &mut Facts) {
    // what an attribute says about the item after it
    let mut item_test = false;
    let mut item_path = None;
    let mut i = 0;
    while i < tokens.len() {
        let now = test || item_test;
        match &tokens[i] {
            Tree::Other(text) if text == "#" => {
                // `#[…]` of an item, or `#![…]` of the file
                let at = i + 1 + usize::from(is(tokens.get(i + 1), "!"));
                if let Some(Tree::Group('[', inner)) = tokens.get(at) {
                    let text = joined(inner);
                    item_test |= text == "test" || text == "cfg(test" || text.starts_with("cfg(all(test,");
                    if let Some(path) = text.strip_prefix("path=") {
                        item_path = Some(path.trim_matches('"').to_owned());
                    }
                    scan(inner, module, now, facts);
                    i = at;
                }
            }
            Tree::Ident(word, _) if word == "mod" && matches!(tokens.get(i + 1), Some(Tree::Ident(..))) => {
                let Some(Tree::Ident(name, _)) = tokens.get(i + 1) else { unreachable!("matched above") };
                match tokens.get(i + 2) {
                    Some(Tree::Group('{', inner)) => {
                        scan(inner, &[module, std::slice::from_ref(name)].concat(), now, facts)
                    }
                    _ => facts.modules.push(Declared { name: name.clone(), path: item_path.take(), test: now }),
                }
                item_test = false;
                i += 2;
            }
            Tree::Ident(name, line) => {
                let line = *line;
                let group = match (tokens.get(i + 1), tokens.get(i + 2)) {
                    (Some(Tree::Group(_, inner)), _) => Some((inner, false)),
                    (Some(Tree::Other(text)), Some(Tree::Group(_, inner))) if text == "!" => Some((inner, true)),
                    _ => None,
                };
                if let Some((inner, call)) = group {
                    if name == "cfg" || name == "cfg_attr" {
                        names(inner, now, facts);
                    } else if call {
                        facts.macros.push(Found { what: name.clone(), line, test: now });
                    }
                }
                for path in path_tree(tokens, &mut i).into_iter().filter(|path| path.len() > 1) {
                    facts.paths.push(Found { what: resolve(path, module).join("::"), line, test: now });
                }
            }
            Tree::Group(open, inner) => {
                scan(inner, module, now, facts);
                item_test &= *open != '{';
            }
            Tree::Other(text) if text == ";" => item_test = false,
            Tree::Other(_) => {}
        }
        i += 1;
    }
}

/// The paths that start at `tokens[*i]`; leaves `*i` at their last token. `a::{b, c::d}` is two
/// paths, `a::b` and `a::c::d`. A path that ends in a turbofish or a call ends before it.
fn path_tree(tokens: &[Tree], i: &mut usize) -> Vec<Vec<String>> {
    let mut path = Vec::new();
    loop {
        match &tokens[*i] {
            Tree::Ident(name, _) => path.push(name.clone()),
            Tree::Other(text) => path.push(text.clone()),
            Tree::Group(_, inner) => {
                let mut paths = Vec::new();
                let mut at = 0;
                while at < inner.len() {
                    paths.extend(path_tree(inner, &mut at).into_iter().map(|tail| [path.clone(), tail].concat()));
                    // past `as name` and the comma
                    while at < inner.len() && !is(inner.get(at), ",") {
                        at += 1;
                    }
                    at += 1;
                }
                return paths;
            }
        }
        let more = is(tokens.get(*i + 1), ":") && is(tokens.get(*i + 2), ":");
        let goes_on = match tokens.get(*i + 3) {
            Some(Tree::Ident(..) | Tree::Group('{', _)) => true,
            next => is(next, "*"),
        };
        if !(more && goes_on) {
            return vec![path];
        }
        *i += 3;
    }
}

/// Writes a path that starts in `self` or `super` from the crate's root.
fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    match path[0].as_str() {
        "super" => {
            let base = &module[..module.len().saturating_sub(ups)];
            [&["crate".to_owned()], base, &path[ups..]].concat()
        }
        "self" if path.get(1).is_some_and(|name| name == "super") => resolve(path[1..].to_vec(), module),
        "self" => [&["crate".to_owned()], module, &path[1..]].concat(),
        _ => path,
    }
}

/// Notes every name inside a `cfg`.
fn names(tokens: &[Tree], test: bool, facts: &mut Facts) {
    for token in tokens {
        match token {
            Tree::Ident(name, line) => facts.cfgs.push(Found { what: name.clone(), line: *line, test }),
            Tree::Group(_, inner) => names(inner, test, facts),
            Tree::Other(_) => {}
        }
    }
}

fn is(token: Option<&Tree>, text: &str) -> bool {
    matches!(token, Some(Tree::Other(other)) if other == text)
}
