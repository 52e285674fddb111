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
    n: i64,
    matched: i64,
    dz: Option<f64>,
    detectable: Option<f64>,
    q: Option<f64>,
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
/// as many as `lengths` draws, out of the words that `from` gives each; the rows of `stats.parquet`, with which what stands on
/// the terminal was compared.
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
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    let rows = rows(&dir.path().join("out/stats.parquet"));
    terminal_agrees(&rows, &said);
    rows
}

/// What stands on the terminal is what the file has: how many rows have each verdict, the strongest of them with its
/// figures, and where nothing survives, what would have.
fn terminal_agrees(rows: &[Row], said: &str) {
    let lines: Vec<&str> = said.lines().collect();
    let listed = [
        ("survives_length_control", "survives its length control"),
        ("explained_by_length", "explained by length"),
        ("no_length_control", "no length control possible"),
    ];
    for (verdict, words) in listed {
        let of: Vec<&Row> =
            rows.iter().filter(|row| row.verdict == verdict && !row.metric.ends_with("_diff")).collect();
        let head = lines.iter().position(|line| line.starts_with(words));
        assert_eq!(head.is_some(), !of.is_empty(), "{words}: {} rows\n{said}", of.len());
        let Some(head) = head else { continue };
        let counted = lines[head].split(": ").nth(1).and_then(|rest| rest.split_whitespace().next());
        assert_eq!(counted, Some(of.len().to_string().as_str()), "{said}");
        // where the screen is full, later groups are counted alone
        if !lines[head + 1].starts_with("  ") {
            assert!(head > 0 && lines[head - 1].starts_with("  "), "no row at all:\n{said}");
            continue;
        }
        let cells: Vec<&str> = lines[head + 1].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let [metric, domain, n, _, interval, dz, q] = cells[..] else { panic!("{cells:?}\n{said}") };
        let row = of.iter().find(|row| row.metric == metric).unwrap_or_else(|| panic!("{metric} in\n{said}"));
        assert_eq!(domain, row.domain);
        assert!(interval.starts_with('[') && interval.ends_with(']'), "{said}");
        let shown = |q: Option<f64>| q.map(|q| if q < 0.001 { "<0.001".to_owned() } else { format!("{q:.3}") });
        // a survivor's figures are those at equal length
        if verdict == "survives_length_control" {
            assert_eq!(n, row.matched.to_string(), "{said}");
            assert!(lines[head].starts_with("survives its length control (figures at equal length): "), "{said}");
        } else {
            assert_eq!((n, Some(q.to_owned())), (row.n.to_string().as_str(), shown(row.q)), "{said}");
            assert_eq!(dz, format!("{:+.2}", row.dz.unwrap()), "{said}");
            let strongest = of.iter().filter_map(|row| row.dz).fold(0.0, |most: f64, dz| most.max(dz.abs()));
            assert_eq!(row.dz.unwrap().abs(), strongest, "{said}");
        }
    }
    let nothing = lines.iter().find(|line| line.starts_with("nothing survives: "));
    assert_eq!(nothing.is_some(), count(rows, "survives_length_control") == 0, "{said}");
    if let Some(line) = nothing {
        let visible = rows.iter().any(|row| row.matched > 0);
        assert_eq!(line.contains("finds |d_z| >= 0."), visible, "{said}");
        let least = rows.iter().filter_map(|row| row.detectable).fold(f64::INFINITY, f64::min);
        assert!(!visible || line.contains(&format!("finds |d_z| >= {least:.2}")), "{least}:\n{said}");
        assert_eq!(line.contains("too few triples match in length"), !visible, "{said}");
    }
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
        let integer = |name: &str| match cell(name) {
            Field::Long(n) => n,
            other => panic!("{name} is {other}"),
        };
        let number = |name: &str| match cell(name) {
            Field::Double(x) => Some(x),
            Field::Null => None,
            other => panic!("{name} is {other}"),
        };
        Row {
            metric: text("metric"),
            domain: text("domain"),
            direction: text("direction"),
            n: integer("n"),
            matched: integer("n_length_matched"),
            dz: number("cohens_dz"),
            detectable: number("length_detectable_dz"),
            q: number("q_value"),
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
