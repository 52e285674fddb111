//! Nulls and clusters through the program, and `stats`, which makes a run's comparisons again.

use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::cli::Run;
use crate::durable::{TABLES, analyze, done, manifest, tables, triples};

/// The values of a column.
fn column(file: &Path, name: &str) -> Vec<Field> {
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        row.get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field.clone())
    });
    rows.map(|field| field.unwrap_or_else(|| panic!("{}: no column {name}", file.display()))).collect()
}

fn names(file: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema();
    schema.get_fields().iter().map(|field| field.name().to_owned()).collect()
}

fn numbers(file: &Path, name: &str) -> Vec<Option<f64>> {
    let number = |field| match field {
        Field::Double(x) => Some(x),
        Field::Long(n) => Some(n as f64),
        Field::Null => None,
        other => panic!("{name} is {other}"),
    };
    column(file, name).into_iter().map(number).collect()
}

/// `stats`, which must do.
fn again(run: &Run, args: &[&str]) -> String {
    let out = run.saescope(&[&["stats"], args].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn statistics_made_again_are_the_same_bytes_and_others_where_asked() {
    let run = Run::new();
    run.write("t.jsonl", triples(24));
    done(&analyze(&run, &["--out", "out", "--nulls", "24", "--logprob", "--seed", "3"]).output().unwrap());
    let (out, stats) = (run.path("out"), run.path("out/stats.parquet"));
    let (before, of_before) = (tables(&out), manifest(&out));
    std::fs::remove_file(&stats).unwrap();
    let said = again(&run, &["out"]);
    assert!(said.contains("comparisons of hallucination with fact"), "{said}");
    assert_eq!(tables(&out), before);
    assert_eq!(manifest(&out), of_before);
    assert_eq!(of_before["statistics"]["equivalence_bound"], 0.3);
    assert_eq!(of_before["statistics"]["resamples"], 10_000);

    // a bound that rules out nothing, another seed, fewer resamples
    again(&run, &["out", "--bound", "0.01", "--seed", "9", "--resamples", "500"]);
    let made = manifest(&out);
    assert_eq!(made["statistics"]["equivalence_bound"], 0.01);
    assert_eq!((&made["statistics"]["seed"], &made["noise"]["seed"]), (&9.into(), &3.into()));
    assert_ne!(std::fs::read(&stats).unwrap(), before[2]);
    let verdicts = column(&stats, "verdict");
    let is = |verdict: &str| verdicts.iter().filter(|v| **v == Field::Str(verdict.into())).count();
    assert_eq!(is("no_difference"), 0);
    assert!(is("undecided") > 0);
    // what was written is what the manifest names
    let checked = run.saescope(&["compare", "out", "out"]);
    let text = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && !text.contains("warning"), "{text}");
    // the same arguments again give the run's own
    again(&run, &["out", "--seed", "3"]);
    assert_eq!(tables(&out), before);

    // numbers that are not the run's own do not get its name
    let file = run.path("out/metrics.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.push(0);
    std::fs::write(&file, bytes).unwrap();
    let none = run.saescope(&["stats", "out2"]);
    let text = String::from_utf8_lossy(&none.stderr);
    assert!(
        none.status.code() == Some(1) && text.contains("out2: a finished run") && text.contains("hint: "),
        "{text}"
    );
    let refused = run.saescope(&["stats", "out"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && text.contains("metrics.parquet: expected"), "{text}");
    assert_eq!(run.saescope(&["stats", "out", "--bound", "0"]).status.code(), Some(2));
}

#[test]
fn nulls_are_a_runs_own_whatever_its_batches_and_can_be_left_out() {
    let run = Run::new();
    run.write("t.jsonl", triples(16));
    let analyze = |extra: &[&str]| done(&analyze(&run, extra).output().unwrap());
    analyze(&["--out", "a", "--nulls", "40"]);
    analyze(&["--out", "b", "--nulls", "40", "--batch-size", "1"]);
    assert_eq!(tables(&run.path("a")), tables(&run.path("b")));
    analyze(&["--out", "off", "--nulls", "off"]);
    let (with, without) = (names(&run.path("a/metrics.parquet")), names(&run.path("off/metrics.parquet")));
    let of_nulls = |name: &&String| name.ends_with("_z") || name.ends_with("_tail");
    assert_eq!(without, with.iter().filter(|name| !of_nulls(name)).cloned().collect::<Vec<_>>());
    // two numbers of four shapes beside three nulls, of two texts at each layer
    let layers = manifest(&run.path("a"))["layers"].as_array().unwrap().len();
    assert_eq!(with.iter().filter(of_nulls).count(), 24 * 2 * layers);
    assert_eq!(
        (&manifest(&run.path("a"))["nulls"]["draws"], manifest(&run.path("off")).get("nulls")),
        (&40.into(), Some(&serde_json::Value::Null))
    );
    // what else is measured, and its corrections for many tests, do not know of them
    for name in without.iter().filter(|name| name.contains("sphericity") || name.contains("_gini")) {
        let of = |run_name: &str| column(&run.path(run_name).join(TABLES[0]), name);
        assert_eq!(of("a"), of("off"), "{name}");
    }
    let q = |name: &str| -> Vec<(Field, Field)> {
        let file = run.path(name).join(TABLES[2]);
        let rows = column(&file, "metric").into_iter().zip(column(&file, "q_value"));
        rows.filter(|(metric, _)| !metric.to_string().contains("_z\"")).collect()
    };
    assert_eq!(q("a"), q("off"));
    // they are numbers, and compared
    let z = numbers(
        &run.path("a/metrics.parquet"),
        with.iter().find(|n| n.ends_with("fact_dimensionality_random_rows_z")).unwrap(),
    );
    let there: Vec<f64> = z.iter().flatten().copied().collect();
    assert!(there.len() > 10 && there.iter().any(|z| z.abs() > 0.1), "{z:?}");
    let tail = numbers(
        &run.path("a/metrics.parquet"),
        with.iter().find(|n| n.ends_with("hall_sphericity_permuted_tail")).unwrap(),
    );
    assert!(tail.iter().flatten().all(|t| (1.0 / 41.0..=1.0).contains(t)), "{tail:?}");
    let metrics = column(&run.path("a/stats.parquet"), "metric");
    let compared = |end: &str| metrics.iter().any(|m| m.to_string().contains(end));
    assert!(compared("sphericity_random_dictionary_z") && !compared("_tail"), "{metrics:?}");
    let bad = run.saescope(&["analyze", "--nulls", "3"]);
    assert!(String::from_utf8_lossy(&bad.stderr).contains("expected off or a number from 20"), "{bad:?}");
}

#[test]
fn samples_of_one_prompt_are_one_cluster() {
    let run = Run::new();
    let mut lines = String::new();
    for i in 0..12 {
        let prompt = ["The white whale was", "Alice peeped", "The hole into"][i % 3];
        lines += &format!(
            r#"{{"prompt":"{prompt}","fact":"seen {}","hallucination":"a whale {}"}}"#,
            ["by", "into", "the"][i / 4],
            ["by", "hole"][i % 2]
        );
        lines.push('\n');
    }
    run.write("t.jsonl", lines);
    let out = analyze(&run, &["--out", "out", "--nulls", "off"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let clusters: std::collections::BTreeSet<String> =
        column(&run.path("out/metrics.parquet"), "cluster").iter().map(ToString::to_string).collect();
    assert_eq!(clusters.len(), 3);
    let stats = run.path("out/stats.parquet");
    assert!(numbers(&stats, "n_clusters").iter().all(|n| *n == Some(3.0)));
    again(&run, &["out", "--independent"]);
    assert!(numbers(&stats, "n_clusters").iter().all(|n| *n == Some(12.0)));
    assert_eq!(manifest(&run.path("out"))["statistics"]["clusters"], false);
}
