//! The length control through the program: triples of words that know nothing of fact and falsehood,
//! run through a model, its SAEs and `stats.parquet`.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::golden_models::folder;

/// Words that facts and hallucinations are drawn from: few, so that length is most of what differs.
const FEW: [&str; 2] = ["ago", "so"];

/// Words that prompts are drawn from.
const WORDS: [&str; 20] = [
    "Alice",
    "year",
    "ago",
    "so",
    "picture",
    "book",
    "me",
    "that",
    "thought",
    "long",
    "sea",
    "having",
    "whale",
    "sister",
    "part",
    "pictures",
    "conversations",
    "dedicated",
    "little",
    "nothing",
];

/// Triples of a data set.
const TRIPLES: usize = 150;

/// A row of `stats.parquet`.
struct Row {
    metric: String,
    domain: String,
    direction: String,
    matched: i64,
    verdict: String,
}

/// Uniform integer from `low` to `high`, both included.
fn integer(random: &mut ChaCha8Rng, low: u32, high: u32) -> u32 {
    low + random.next_u32() % (high - low + 1)
}

/// That many words out of these, with a space between.
fn words(random: &mut ChaCha8Rng, from: &[&str], n: u32) -> String {
    let drawn: Vec<&str> = (0..n).map(|_| from[random.next_u32() as usize % from.len()]).collect();
    drawn.join(" ")
}

/// Runs `saescope analyze` over triples of random words: a prompt of two, fact and hallucination of
/// as many as `lengths` draws, out of the words that `from` gives each; the rows of `stats.parquet`.
fn analyze(seed: u64, lengths: fn(&mut ChaCha8Rng) -> [u32; 2], from: [&[&str]; 2]) -> Vec<Row> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut lines = String::new();
    for i in 0..TRIPLES {
        let [fact, hall] = lengths(&mut random);
        let prompt = words(&mut random, &WORDS, 2);
        let (fact, hall) = (words(&mut random, from[0], fact), words(&mut random, from[1], hall));
        writeln!(
            lines,
            r#"{{"id":"{i}","domain":"words","prompt":"{prompt}","fact":"{fact}","hallucination":"{hall}"}}"#
        )
        .unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("words.jsonl"), lines).unwrap();

    let golden = folder("gemma3");
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden.join("expected.json")).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_saescope"));
    command.args(["analyze", "--device", "cpu", "--dataset", "words.jsonl", "--out", "out", "--model"]);
    command.arg(golden.join("model")).current_dir(dir.path()).env("SAESCOPE_CACHE", dir.path().join("cache"));
    for (layer, path) in expected["saes"].as_object().unwrap() {
        let sae = golden.join(path.as_str().unwrap());
        command.arg("--sae").arg(format!("{layer}={}", sae.display()));
    }
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    rows(&dir.path().join("out/stats.parquet"))
}

fn rows(file: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let cell = |name: &str| {
            let (_, cell) = row.get_column_iter().find(|(column, _)| *column == name).unwrap_or_else(|| {
                panic!("no column {name} in stats.parquet");
            });
            cell.clone()
        };
        let text = |name: &str| match cell(name) {
            Field::Str(text) => text,
            other => panic!("{name} is {other}"),
        };
        let Field::Long(matched) = cell("n_length_matched") else { panic!("n_length_matched is no integer") };
        Row {
            metric: text("metric"),
            domain: text("domain"),
            direction: text("direction"),
            matched,
            verdict: text("verdict"),
        }
    });
    rows.filter(|row| row.metric != "n_tokens").collect()
}

fn count(rows: &[Row], verdict: &str) -> usize {
    rows.iter().filter(|row| row.verdict == verdict).count()
}

#[test]
fn lengths_apart_certify_nothing() {
    for seed in [1, 2] {
        let rows = analyze(seed, |r| [1, integer(r, 2, 24)], [&FEW; 2]);
        // the length effect is there in many rows, and nothing controls for it
        let without = count(&rows, "no_length_control");
        println!("{} rows, {without} without control", rows.len());
        assert!(without > rows.len() / 3, "{without} of {}", rows.len());
        assert_eq!(count(&rows, "survives_length_control") + count(&rows, "explained_by_length"), 0);
        assert!(rows.iter().all(|row| row.matched == 0));
        // one domain is tested once
        assert!(rows.iter().all(|row| row.domain == "all"));
        for row in &rows {
            let falls = ["stability_diff", "cross_layer_consistency_diff"].contains(&row.metric.as_str());
            assert_eq!(row.direction, if falls { "fact_minus_hall" } else { "hall_minus_fact" }, "{}", row.metric);
        }
    }
}

#[test]
fn overlapping_lengths_of_the_same_words_certify_few_rows() {
    let rows: Vec<Row> =
        (1..=6).flat_map(|seed| analyze(seed, |r| [integer(r, 1, 6), integer(r, 1, 24)], [&FEW; 2])).collect();
    let survive = count(&rows, "survives_length_control");
    let found = rows.len() - count(&rows, "no_difference") - count(&rows, "undecided");
    println!("{} rows, {found} with a raw difference, {survive} survive", rows.len());
    assert!(rows.iter().all(|row| row.matched > 0));
    assert!(found > rows.len() / 4, "{found} of {} differ", rows.len());
    assert!(survive * 20 <= rows.len(), "{survive} of {} survive", rows.len());
}

#[test]
fn other_words_of_overlapping_lengths_are_told_apart() {
    let mut rows = analyze(7, |r| [integer(r, 1, 6), integer(r, 1, 12)], [&WORDS[2..6], &WORDS[6..10]]);
    // which words they are moves the clouds; whether a cloud is more than its nulls is another question
    rows.retain(|row| !row.metric.contains("_z"));
    let survive = count(&rows, "survives_length_control");
    println!("{} rows, {survive} survive", rows.len());
    assert!(survive * 5 > rows.len(), "{survive} of {} survive", rows.len());
}
