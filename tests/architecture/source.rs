//! Rust source as the rules see it: paths, macro calls and `cfg`s, with their lines; comments,
//! strings and documentation are not code.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

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
    let facts = facts(&text, &module).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
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
pub fn facts(text: &str, module: &[String]) -> Result<Facts, proc_macro2::LexError> {
    let tokens: TokenStream = text.parse()?;
    let mut facts = Facts::default();
    scan(tokens, module, false, &mut facts);
    Ok(facts)
}

fn scan(tokens: TokenStream, module: &[String], test: bool, facts: &mut Facts) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    // what an attribute says about the item after it
    let mut item_test = false;
    let mut item_path = None;
    let mut i = 0;
    while i < tokens.len() {
        let line = tokens[i].span().start().line;
        let now = test || item_test;
        match &tokens[i] {
            TokenTree::Punct(p) if p.as_char() == '#' => {
                // `#[…]` of an item, or `#![…]` of the file
                let at = i + 1 + usize::from(is_punct(tokens.get(i + 1), '!'));
                if let Some(TokenTree::Group(group)) = tokens.get(at)
                    && group.delimiter() == Delimiter::Bracket
                {
                    let text = group.stream().to_string().replace(' ', "");
                    item_test |= text == "test" || text == "cfg(test)" || text.starts_with("cfg(all(test,");
                    if let Some(path) = text.strip_prefix("path=") {
                        item_path = Some(path.trim_matches('"').to_owned());
                    }
                    scan(group.stream(), module, now, facts);
                    i = at;
                }
            }
            TokenTree::Ident(ident) if ident == "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(next)) = (tokens.get(i + 1), tokens.get(i + 2)) {
                    let name = name.to_string();
                    match next {
                        TokenTree::Punct(p) if p.as_char() == ';' => {
                            facts.modules.push(Declared { name, path: item_path.take(), test: now });
                            item_test = false;
                            i += 2;
                        }
                        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                            scan(group.stream(), &[module, &[name]].concat(), now, facts);
                            item_test = false;
                            i += 2;
                        }
                        _ => {}
                    }
                }
            }
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                let group = match (tokens.get(i + 1), tokens.get(i + 2)) {
                    (Some(TokenTree::Group(g)), _) => Some((g, false)),
                    (Some(TokenTree::Punct(p)), Some(TokenTree::Group(g))) if p.as_char() == '!' => Some((g, true)),
                    _ => None,
                };
                if let Some((group, call)) = group {
                    if name == "cfg" || name == "cfg_attr" {
                        names(group.stream(), now, facts);
                    } else if call {
                        facts.macros.push(Found { what: name.clone(), line, test: now });
                    }
                }
                let paths = path_tree(&tokens, &mut i);
                for path in paths.into_iter().filter(|p| p.len() > 1) {
                    facts.paths.push(Found { what: resolve(path, module).join("::"), line, test: now });
                }
            }
            TokenTree::Group(group) => {
                scan(group.stream(), module, now, facts);
                if group.delimiter() == Delimiter::Brace {
                    item_test = false;
                }
            }
            TokenTree::Punct(p) if p.as_char() == ';' => item_test = false,
            _ => {}
        }
        i += 1;
    }
}

/// The paths that start at `tokens[*i]`; leaves `*i` at their last token. `a::{b, c::d}` is two
/// paths, `a::b` and `a::c::d`. A path that ends in a turbofish or a call ends before it.
fn path_tree(tokens: &[TokenTree], i: &mut usize) -> Vec<Vec<String>> {
    let mut path = Vec::new();
    loop {
        match &tokens[*i] {
            TokenTree::Ident(ident) => path.push(ident.to_string()),
            TokenTree::Punct(p) if p.as_char() == '*' => path.push("*".into()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut paths = Vec::new();
                let mut at = 0;
                while at < inner.len() {
                    if matches!(inner[at], TokenTree::Ident(_)) || is_punct(inner.get(at), '*') {
                        paths.extend(path_tree(&inner, &mut at).into_iter().map(|tail| [path.clone(), tail].concat()));
                    }
                    // past `as name` and the comma
                    while at < inner.len() && !is_punct(inner.get(at), ',') {
                        at += 1;
                    }
                    at += 1;
                }
                return paths;
            }
            _ => {}
        }
        let more = is_punct(tokens.get(*i + 1), ':') && is_punct(tokens.get(*i + 2), ':');
        let next = tokens.get(*i + 3);
        let goes_on = match next {
            Some(TokenTree::Ident(_)) => true,
            Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
            next => is_punct(next, '*'),
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
fn names(tokens: TokenStream, test: bool, facts: &mut Facts) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                facts.cfgs.push(Found { what: ident.to_string(), line: ident.span().start().line, test });
            }
            TokenTree::Group(group) => names(group.stream(), test, facts),
            _ => {}
        }
    }
}

fn is_punct(token: Option<&TokenTree>, c: char) -> bool {
    matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == c)
}
