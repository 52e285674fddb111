//! Files that are made from the library and committed: that they are as it makes them now.
//!
//! `cargo xtask generate` (or `SAESCOPE_GENERATE=1 cargo test … generated::`) writes them anew.

use std::fmt::Write;
use std::path::Path;

use saescope::metrics::{Extras, GROUPS, markdown_cell, metric_tables, page_entries, schema};
use saescope::model::registry;
use saescope::output::{FEATURE_COLUMNS, SCHEMA_VERSION};
use saescope::stats::{FEATURE_STAT_COLUMNS, STAT_COLUMNS};

/// The variable that has them written instead of compared.
const WRITE: &str = "SAESCOPE_GENERATE";

/// The first line of what no one edits by hand.
const MARK: &str = "made by `cargo xtask generate` from";

/// Compares a committed file with what it should hold, or writes it.
fn committed(path: &str, wanted: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default().replace("\r\n", "\n");
    if let Some((i, (found, wanted))) =
        found.lines().chain([""; 1]).zip(wanted.lines().chain([""; 1])).enumerate().find(|(_, (a, b))| a != b)
    {
        panic!("{path}:{}: has\n  {found}\nand not\n  {wanted}\nrun `cargo xtask generate`", i + 1);
    }
    assert_eq!(found.len(), wanted.len(), "{path}: run `cargo xtask generate`");
}

/// A table of columns that are not metrics: name, type, unit, null, meaning.
fn table(rows: impl Iterator<Item = [String; 5]>) -> String {
    let mut text = String::from("| column | type | unit | null where | what it is |\n|---|---|---|---|---|\n");
    for [name, kind, unit, null, meaning] in rows {
        let blank = |text: &str| if text.is_empty() { "–".to_owned() } else { markdown_cell(text) };
        writeln!(text, "| `{name}` | {kind} | {} | {} | {} |", blank(&unit), blank(&null), blank(&meaning)).unwrap();
    }
    text.trim_end().to_owned()
}

#[test]
fn the_dictionary() {
    let template = include_str!("../docs/METRICS.in.md");
    let stats = STAT_COLUMNS
        .iter()
        .map(|c| [c.name, c.kind.as_str(), c.unit, c.null.unwrap_or_default(), c.meaning].map(str::to_owned));
    let feature_stats = FEATURE_STAT_COLUMNS
        .iter()
        .map(|c| [c.name, c.kind.as_str(), c.unit, c.null.unwrap_or_default(), c.meaning].map(str::to_owned));
    let features = FEATURE_COLUMNS.iter().map(|c| {
        let kind = match c.data_type.to_string().as_str() {
            "Utf8" => "string".to_owned(),
            other => other.to_lowercase(),
        };
        [c.name.to_owned(), kind, c.unit.to_owned(), String::new(), c.meaning.to_owned()]
    });
    let mut text = template.to_owned();
    for (place, with) in [
        ("<!-- made -->", format!("<!-- {MARK} docs/METRICS.in.md and the library; edit those -->")),
        ("<!-- schema version -->", SCHEMA_VERSION.to_string()),
        ("<!-- metrics -->", metric_tables(GROUPS)),
        ("<!-- stats -->", table(stats)),
        ("<!-- features -->", table(features)),
        ("<!-- feature stats -->", table(feature_stats)),
    ] {
        assert_eq!(template.matches(place).count(), 1, "docs/METRICS.in.md: {place}");
        text = text.replace(place, &with);
    }
    committed("docs/METRICS.md", &text);
}

#[test]
fn the_words_of_the_page() {
    let mut text = format!("// {MARK} crate/metrics/registry; edit that\n\n");
    text.push_str(
        "/** A metric as the library declares it. `{L}` stands for an SAE layer. */\n\
         export interface Entry {\n\
         \x20 /** Without layer and text: `gini`. */\n\
         \x20 name: string;\n\
         \x20 /** Its name in stats.parquet: `l{L}_gini`. */\n\
         \x20 series: string;\n\
         \x20 /** Its columns in metrics.parquet, by what they hold. */\n\
         \x20 columns: { prompt?: string; fact?: string; hall?: string; diff?: string; whole?: string };\n\
         \x20 label: string;\n\
         \x20 /** Empty for what is not a quantity. */\n\
         \x20 unit: string;\n\
         \x20 /** What its `*_diff` column is, where it has one. */\n\
         \x20 difference: \"hall_minus_fact\" | \"fact_minus_hall\" | null;\n\
         \x20 /** What it is, in a sentence without the full stop. */\n\
         \x20 help: string;\n\
         \x20 /** Where a number of the geometry stands among draws of a null. */\n\
         \x20 nulls?: true;\n\
         }\n\n\
         /** Every metric, in the order of the file. */\n\
         export const ENTRIES: readonly Entry[] = [\n",
    );
    for entry in page_entries(GROUPS) {
        writeln!(text, "  {entry},").unwrap();
    }
    text.push_str("];\n\n/** What each column of stats.parquet is (crate/stats/table.rs). */\n");
    text.push_str("export const STATISTICS: Readonly<Record<string, string>> = {\n");
    for column in STAT_COLUMNS {
        writeln!(text, "  {}: {},", column.name, serde_json::to_string(&column.meaning.replace('`', "")).unwrap())
            .unwrap();
    }
    text.push_str("};\n\n/** What each column of stats_features.parquet is (crate/stats/feature_table.rs). */\n");
    text.push_str("export const FEATURE_STATISTICS: Readonly<Record<string, string>> = {\n");
    for column in FEATURE_STAT_COLUMNS {
        writeln!(text, "  {}: {},", column.name, serde_json::to_string(&column.meaning.replace('`', "")).unwrap())
            .unwrap();
    }
    text.push_str("};\n");
    committed("www/generated/metrics.ts", &text);
}

/// The page knows a run's SAEs on Neuronpedia by their model, layer and declared L0, without asking the engine.
#[test]
fn the_known_saes() {
    let mut text = format!("// {MARK} models/; edit that\n\n");
    text.push_str("/** The SAEs of known models that Neuronpedia has. */\n");
    text.push_str("export const KNOWN_SAES: readonly { model: string; layer: number; l0: number; id: string }[] = [\n");
    for model in registry::all().unwrap() {
        for sae in &model.saes {
            let (Some(l0), Some(id)) = (sae.declared_l0, &sae.neuronpedia) else { continue };
            writeln!(text, "  {{ model: {:?}, layer: {}, l0: {l0}, id: {id:?} }},", model.name, sae.layer).unwrap();
        }
    }
    text.push_str("];\n");
    committed("www/generated/known.ts", &text);
}

#[test]
fn the_schema() {
    let mut text = format!("# {MARK} crate/metrics/registry: the columns of metrics.parquet\n");
    for (logprob, nulls) in [(false, false), (true, false), (true, true)] {
        let with = |there| if there { "with" } else { "without" };
        writeln!(text, "\n# layers 5, 12, 20, {} log-probabilities, {} nulls", with(logprob), with(nulls)).unwrap();
        for column in schema(&[5, 12, 20], Extras { logprob, nulls }) {
            let null = if column.nullable { " null" } else { "" };
            writeln!(text, "{} {}{null}", column.name, column.kind.as_str()).unwrap();
        }
    }
    committed("tests/golden/schema.txt", &text);
}
