//! Which column or key of a file holds which field of a sample.

use std::fmt;
use std::str::FromStr;

use super::row::{CLUSTER, COMPLEXITY, DOMAIN, FIELDS, ID};
use crate::error::Error;

/// What other data sets call prompt, fact and hallucination, the likeliest first; lower case, letters
/// and digits only.
const USUAL_NAMES: [(&str, &[&str]); 3] = [
    (
        "prompt",
        &["question", "query", "input", "context", "stem", "sentence", "premise", "instruction", "prefix", "text"],
    ),
    (
        "fact",
        &[
            "correct",
            "correctanswer",
            "rightanswer",
            "bestanswer",
            "trueanswer",
            "groundtruth",
            "truth",
            "true",
            "gold",
            "reference",
            "target",
            "chosen",
            "factual",
            "answer",
        ],
    ),
    (
        "hallucination",
        &[
            "wrong",
            "wronganswer",
            "incorrect",
            "incorrectanswer",
            "hallucinatedanswer",
            "hallucinated",
            "falseanswer",
            "false",
            "distractor",
            "rejected",
            "counterfactual",
            "hall",
        ],
    ),
];

/// `--columns FIELD=COLUMN,…`: columns (or JSON keys) that are not called like their field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    named: [Option<String>; FIELDS.len()],
}

impl Columns {
    /// Whether every column is called like its field.
    pub fn is_empty(&self) -> bool {
        self.named.iter().all(Option::is_none)
    }

    /// The column of a field.
    fn name(&self, field: usize) -> &str {
        self.named[field].as_deref().unwrap_or(FIELDS[field])
    }

    /// The field that a column or key holds, without regard to case and outer white space.
    pub(super) fn field_index(&self, column: &str) -> Option<usize> {
        (0..FIELDS.len()).find(|&field| column.trim().eq_ignore_ascii_case(self.name(field).trim()))
    }

    /// Whether a file can do without the column: not where it was asked for by name.
    pub(super) fn is_optional(&self, field: usize) -> bool {
        matches!(field, ID | DOMAIN | COMPLEXITY | CLUSTER) && self.named[field].is_none()
    }

    /// The error for a file without some columns; `kind` is `column` or `key`, `found` are those there.
    pub(super) fn missing(&self, file: &str, kind: &str, fields: &[usize], found: &[String]) -> Error {
        let names: Vec<String> = fields
            .iter()
            .map(|&field| match &self.named[field] {
                Some(column) => format!("{column} (for {})", FIELDS[field]),
                None => FIELDS[field].to_owned(),
            })
            .collect();
        Error::malformed(
            file,
            format!("{kind}{} {} missing", if names.len() == 1 { "" } else { "s" }, names.join(", ")),
            format!("the {kind}s prompt, fact, hallucination (id, domain, complexity and cluster are optional)"),
            shown(found),
            format!("rename them, or say which {kind} holds which field: --columns {}", self.suggestion(fields, found)),
        )
    }

    /// A mapping that would name these fields: what was given, completed by what such columns are
    /// usually called.
    fn suggestion(&self, fields: &[usize], found: &[String]) -> String {
        let mut taken: Vec<&String> = Vec::new();
        let mut pairs = Vec::new();
        for (field, name) in FIELDS.iter().enumerate() {
            match &self.named[field] {
                Some(column) if !fields.contains(&field) => pairs.push(format!("{name}={column}")),
                _ if fields.contains(&field) => {
                    let usual = USUAL_NAMES.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, u)| u);
                    let free = |name: &&String| !taken.contains(name) && self.field_index(name).is_none();
                    let column = usual.iter().find_map(|u| found.iter().filter(free).find(|f| plain(f) == **u));
                    taken.extend(column);
                    pairs.push(format!("{name}={}", column.map_or("…", String::as_str)));
                }
                _ => {}
            }
        }
        pairs.join(",")
    }
}

/// A name's letters and digits in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Column names for a message, at most as many as fit in a line or two.
fn shown(found: &[String]) -> String {
    const MOST: usize = 12;
    const WIDEST: usize = 40;
    let mut names: Vec<String> =
        found.iter().take(MOST).map(|name| format!("{:?}", name.chars().take(WIDEST).collect::<String>())).collect();
    if found.len() > MOST {
        names.push(format!("and {} more", found.len() - MOST));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl FromStr for Columns {
    type Err = String;

    /// Reads `prompt=question,fact=correct answer`. A comma that no field name follows belongs to the
    /// column's name.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut columns = Self::default();
        let mut last = None;
        for part in text.split(',') {
            let pair = part.split_once('=').map(|(field, column)| (field.trim(), column));
            let field = pair.and_then(|(field, _)| FIELDS.iter().position(|f| field.eq_ignore_ascii_case(f)));
            match (field, pair, last) {
                (Some(field), Some((_, column)), _) => {
                    if columns.named[field].replace(column.to_owned()).is_some() {
                        return Err(format!("{} is given twice", FIELDS[field]));
                    }
                    last = Some(field);
                }
                (_, _, Some(field)) => {
                    let column: &mut Option<String> = &mut columns.named[field];
                    *column = column.take().map(|name| format!("{name},{part}"));
                }
                (_, pair, None) => {
                    let turned = pair.filter(|(_, right)| FIELDS.contains(&right.trim()));
                    let turned = turned.map_or(String::new(), |(l, r)| format!("; is {}={l} meant?", r.trim()));
                    return Err(format!(
                        "expected FIELD=COLUMN with a field of {}, found {part:?}{turned}",
                        FIELDS.join(", ")
                    ));
                }
            }
        }
        for (field, meant) in FIELDS.iter().enumerate() {
            let name = columns.name(field).trim();
            if name.is_empty() {
                return Err(format!("the column of {meant} is empty"));
            }
            if let Some(other) = (0..field).find(|&o| columns.name(o).trim().eq_ignore_ascii_case(name)) {
                return Err(format!(
                    "the column {name:?} would be both {} and {meant}; name another for one of them",
                    FIELDS[other]
                ));
            }
        }
        Ok(columns)
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.named.iter().zip(FIELDS).filter_map(|(c, field)| Some(format!("{field}={}", c.as_ref()?)));
        f.write_str(&pairs.collect::<Vec<_>>().join(","))
    }
}
