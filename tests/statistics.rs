//! Nulls and clusters through the program, and `stats`, which makes a run's comparisons again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::cli::{Run, model_args, with};
use crate::durable::{TABLES, analyze, done, draws, manifest, tables, triples};

/// Words that triples are made of.
pub(crate) const WORDS: [&str; 12] =
    ["the", "white", "whale", "was", "seen", "by", "Alice", "who", "peeped", "into", "a", "hole"];

/// Triples of one-word completions, drawn from these lots, no two of one prompt.
pub(crate) fn distinct(n: usize, [facts, halls]: [&[&str]; 2]) -> String {
    let mut drawn = draws(2 * n).map(|draw| (draw >> 32) as usize);
    let mut word = |lot: &[&str]| lot[drawn.next().unwrap() % lot.len()].to_owned();
    let line = |i: usize| {
        let prompt = [i, i / 12, i / 144].map(|digit| WORDS[digit % 12]).join(" ");
        let (fact, hall) = (word(facts), word(halls));
        let domain = ["x", "y"][i % 2];
        let line = serde_json::json!({"id": format!("{i:03}"), "domain": domain, "prompt": prompt, "fact": fact,
            "hallucination": hall});
        format!("{line}\n")
    };
    (0..n).map(line).collect()
}

/// A run of these triples, none of which may fail.
pub(crate) fn finished(run: &Run, triples: String, args: &[&str]) {
    run.write("t.jsonl", triples);
    let out = analyze(run, args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

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

pub(crate) fn texts(file: &Path, name: &str) -> Vec<String> {
    let text = |field| match field {
        Field::Str(text) => text,
        other => panic!("{name} is {other}"),
    };
    column(file, name).into_iter().map(text).collect()
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
    std::fs::remove_file(run.path("out/stats_features.parquet")).unwrap();
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
    let of_nulls = |name: &&String| ["_z", "_tail", "_token_cosine"].iter().any(|end| name.ends_with(end));
    assert_eq!(without, with.iter().filter(|name| !of_nulls(name)).cloned().collect::<Vec<_>>());
    // two numbers of four shapes beside three nulls, of two texts at each layer; and ghosts beside the fact's token
    let layers = manifest(&run.path("a"))["layers"].as_array().unwrap().len();
    assert_eq!(with.iter().filter(of_nulls).count(), (24 * 2 + 4) * layers);
    for name in with.iter().filter(|name| name.ends_with("_token_cosine")) {
        let (cosines, z) = (numbers(&run.path("a/metrics.parquet"), name), format!("{name}_z"));
        assert!(cosines.iter().flatten().all(|cosine| (0.0..=1.0).contains(cosine)), "{name}: {cosines:?}");
        assert!(cosines.iter().flatten().count() > 8, "{name}");
        assert!(numbers(&run.path("a/metrics.parquet"), &z).iter().flatten().all(|z| z.abs() < 20.0), "{z}");
    }
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

/// Holm's adjusted p, and the q of Benjamini and Hochberg, of one of a family.
fn corrected(family: &[f64], p: f64) -> [f64; 2] {
    let m = family.len() as f64;
    let below = |limit: f64| family.iter().filter(|p| **p < limit).count() as f64;
    let up_to = |limit: f64| family.iter().filter(|p| **p <= limit).count() as f64;
    let stepped_down = family.iter().filter(|other| **other <= p).map(|&other| other * (m - below(other)));
    let stepped_up = family.iter().filter(|other| **other >= p).map(|&other| other * m / up_to(other));
    [stepped_down.fold(0.0, f64::max).min(1.0), stepped_up.fold(1.0, f64::min)]
}

/// A family is a domain's metrics, or the z-scores of their nulls.
#[test]
fn every_row_is_corrected_for_the_tests_of_its_own_family() {
    let run = Run::new();
    // other words: most metrics differ
    finished(&run, distinct(40, [&WORDS[..2], &WORDS[2..4]]), &["--out", "out", "--logprob"]);
    let stats = run.path("out/stats.parquet");
    let [metrics, domains, verdicts] = ["metric", "domain", "verdict"].map(|name| texts(&stats, name));
    let [p, holm, q] = ["p_permutation", "p_holm", "q_value"].map(|name| numbers(&stats, name));
    let mut families: BTreeMap<(&str, bool), Vec<usize>> = BTreeMap::new();
    let mut controls = 0;
    for (row, metric) in metrics.iter().enumerate() {
        if verdicts[row] == "control" {
            assert_eq!((holm[row], q[row]), (None, None), "{metric}");
            controls += usize::from(p[row].is_some());
        } else if let Some(asked) = metric.strip_suffix("_diff") {
            let of = (0..row).find(|&of| metrics[of] == asked && domains[of] == domains[row]).unwrap();
            assert_eq!((holm[row], q[row]), (holm[of], q[of]), "{metric}");
        } else {
            assert_eq!((holm[row].is_some(), q[row].is_some()), (p[row].is_some(), p[row].is_some()), "{metric}");
            families.entry((domains[row].as_str(), metric.ends_with("_z"))).or_default().push(row);
        }
    }
    assert!(controls > 0, "what is controlled for was tested, too");
    let names: Vec<(&str, bool)> = families.keys().copied().collect();
    assert_eq!(names, [("all", false), ("all", true), ("x", false), ("x", true), ("y", false), ("y", true)]);
    // rows that another correction would not fit: none, Bonferroni's, the other one
    let mut telling = 0;
    for (name, rows) in &families {
        let family: Vec<f64> = rows.iter().filter_map(|&row| p[row]).collect();
        assert!(family.len() > 10, "{name:?}: {family:?}");
        for &row in rows {
            let (Some(p), Some(holm), Some(q)) = (p[row], holm[row], q[row]) else { continue };
            for (found, wanted) in [holm, q].into_iter().zip(corrected(&family, p)) {
                assert!((found - wanted).abs() <= 1e-12, "{name:?} {}: {found} {wanted}", metrics[row]);
            }
            let whole = (p * family.len() as f64).min(1.0);
            telling += usize::from(p < q && q < holm && holm < whole);
        }
    }
    assert!(telling > 5, "{telling} rows");
}

#[test]
fn likelihood_tells_as_a_classifier_where_it_was_measured() {
    let run = Run::new();
    for (out, more) in [("with", &["--logprob"][..]), ("without", &[][..])] {
        finished(&run, distinct(24, [&WORDS; 2]), &[&["--out", out, "--nulls", "off"][..], more].concat());
    }
    let reading = |out: &str, reads: &str| -> Vec<serde_json::Value> {
        let manifest = manifest(&run.path(out));
        let all = manifest["statistics"]["classifiers"].as_array().unwrap();
        all.iter().filter(|of| of["reads"] == reads).cloned().collect()
    };
    let found = reading("with", "logprob");
    let [of] = &found[..] else { panic!("{found:?}") };
    assert!(of["layer"].is_null() && of["samples"] == 24 && of["columns"] == 1, "{of}");
    assert!((0.0..=1.0).contains(&of["auroc"].as_f64().unwrap()), "{of}");
    assert!((0.0..=1.0).contains(&of["swapped_p"].as_f64().unwrap()), "{of}");
    assert_eq!(reading("without", "logprob").len(), 0);
    assert_eq!([reading("with", "n_tokens").len(), reading("without", "n_tokens").len()], [1, 1]);
}

/// What is counted is what features.parquet has, feature by feature.
#[test]
fn features_are_counted_as_they_are_active() {
    let run = Run::new();
    run.write("t.jsonl", triples(24));
    done(&analyze(&run, &["--out", "out"]).output().unwrap());
    let (active, stats) = (run.path("out/features.parquet"), run.path("out/stats_features.parquet"));
    let text = |field: &Field| match field {
        Field::Str(text) => text.clone(),
        other => panic!("{other} is no text"),
    };
    let whole = |field: &Field| match field {
        Field::Long(n) => *n,
        Field::Int(n) => i64::from(*n),
        other => panic!("{other} is no whole number"),
    };
    // by layer and feature: samples whose fact has it, and whose hallucination has it
    let mut sides: BTreeMap<(i64, i64), [BTreeSet<String>; 2]> = BTreeMap::new();
    let [samples, texts, layers, features] =
        ["sample_id", "text", "layer", "feature"].map(|name| column(&active, name));
    for (((sample, side), layer), feature) in samples.iter().zip(&texts).zip(&layers).zip(&features) {
        let of_feature = sides.entry((whole(layer), whole(feature))).or_default();
        match text(side).as_str() {
            "fact" => drop(of_feature[0].insert(text(sample))),
            "hall" => drop(of_feature[1].insert(text(sample))),
            _ => {}
        }
    }
    let wanted = |layer: i64, feature: i64| {
        let [fact, hall] = &sides[&(layer, feature)];
        [fact.len(), hall.len(), hall.difference(fact).count(), fact.difference(hall).count()].map(|n| n as i64)
    };
    let known: Vec<&str> = saescope::stats::FEATURE_STAT_COLUMNS.iter().map(|column| column.name).collect();
    assert_eq!(names(&stats), known);
    let verdicts = column(&stats, "verdict");
    let counts = ["layer", "feature", "n_fact", "n_hall", "n_ghost", "n_missing"].map(|name| column(&stats, name));
    let mut compared = BTreeSet::new();
    for row in (0..verdicts.len()).filter(|&row| verdicts[row] != Field::Null) {
        let [layer, feature, found @ ..] = [0, 1, 2, 3, 4, 5].map(|i| whole(&counts[i][row]));
        assert_eq!(found, wanted(layer, feature), "layer {layer}, feature {feature}");
        assert!(compared.insert((layer, feature)), "twice");
    }
    // every feature that is there in enough independent samples, and no other
    let metrics = run.path("out/metrics.parquet");
    let ids = column(&metrics, "sample_id").into_iter().map(|id| text(&id));
    let cluster: BTreeMap<String, Field> = ids.zip(column(&metrics, "cluster")).collect();
    let clusters = |[fact, hall]: &[BTreeSet<String>; 2]| {
        fact.union(hall).map(|id| text(&cluster[id])).collect::<BTreeSet<String>>().len()
    };
    let often = sides.iter().filter(|(_, sides)| clusters(sides) >= 6).map(|(key, _)| *key);
    assert_eq!(compared, often.collect());
    assert!(compared.len() > 10, "{}", compared.len());
    let q = numbers(&stats, "q_value");
    assert!(q.iter().flatten().all(|q| (0.0..=1.0).contains(q)));

    // together: every layer's features, their number, and length
    let classifiers = &manifest(&run.path("out"))["statistics"]["classifiers"];
    let reads: Vec<&str> = classifiers.as_array().unwrap().iter().map(|c| c["reads"].as_str().unwrap()).collect();
    assert_eq!(
        reads.iter().filter(|reads| **reads == "features").count(),
        reads.iter().filter(|r| **r == "l0").count()
    );
    assert!(reads.contains(&"n_tokens"));
    // and the residual stream, which is in no file: comparisons made anew keep what the run found
    let residual = |run: &serde_json::Value| -> Vec<serde_json::Value> {
        let all = run["statistics"]["classifiers"].as_array().unwrap();
        all.iter().filter(|c| c["reads"] == "residual").cloned().collect()
    };
    let found = residual(&manifest(&run.path("out")));
    assert_eq!(found.len(), reads.iter().filter(|r| **r == "features").count());
    assert!(found.iter().all(|c| c["auroc"].as_f64().is_some() && c["columns"].as_u64().unwrap() > 1), "{found:?}");
    assert!(!again(&run, &["out"]).contains("is left out"));
    assert_eq!(residual(&manifest(&run.path("out"))), found);
    let said = again(&run, &["out", "--seed", "77"]);
    assert!(said.contains("note: what a probe of the residual stream found is left out"), "{said}");
    assert!(residual(&manifest(&run.path("out"))).is_empty(), "its folds and swaps were drawn by another seed");
    let p = |of: &serde_json::Value, name: &str| of[name].as_f64().unwrap();
    for one in classifiers.as_array().unwrap() {
        let (own, over) = (p(one, "swapped_p"), p(one, "swapped_p_over_layers"));
        // of many layers the largest area is reached more often; what has one layer stands beside itself
        assert!(one["samples"] == 23 && own <= over && over <= 1.0, "{one}");
        assert!(!one["layer"].is_null() || own == over, "{one}");
    }
    assert!(classifiers.as_array().unwrap().iter().any(|one| p(one, "swapped_p") < p(one, "swapped_p_over_layers")));

    // a run that lacks the file, as those of earlier versions do, is shown, reported and packed
    std::fs::remove_file(&stats).unwrap();
    let said = run.saescope(&["report", "out"]);
    assert_eq!(said.status.code(), Some(1), "its manifest names the file");
    assert!(String::from_utf8_lossy(&said.stderr).contains("stats_features.parquet"));
    let place = run.path("out/manifest.json");
    let mut earlier = manifest(&run.path("out"));
    earlier["files"].as_array_mut().unwrap().retain(|file| file["path"] != "stats_features.parquet");
    std::fs::write(&place, earlier.to_string()).unwrap();
    let said = run.saescope(&["report", "out"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    again(&run, &["out"]);
    assert_eq!(names(&stats), known);
}

/// Words of an export of Neuronpedia, in the report and beside one text's features.
#[test]
fn labels_stand_beside_features() {
    let run = Run::new();
    run.write("t.jsonl", triples(24));
    done(&analyze(&run, &["--out", "out"]).output().unwrap());
    let layer = manifest(&run.path("out"))["layers"][0].as_u64().unwrap();
    let lines: String = (0..512)
        .map(|feature| {
            let layer = format!("{layer}-tiny-res");
            let label = format!("</script> words of {feature}");
            let line = serde_json::json!({"modelId": "tiny", "layer": layer, "index": feature.to_string(), "description": label});
            format!("{line}\n")
        })
        .collect();
    run.write("labels.jsonl", &lines);
    let report = run.saescope(&["report", "out", "--labels", "labels.jsonl"]);
    let said = String::from_utf8_lossy(&report.stderr).into_owned();
    assert!(report.status.success() && said.contains("no labels for layer"), "{said}");
    let document = std::fs::read_to_string(run.path("out/report.html")).unwrap();
    assert!(document.contains("data-file=\"labels.json\"") && !document.contains("words of 1"), "as base64 alone");
    let tail = ["A text to look at", "--device", "cpu", "--labels", "labels.jsonl"];
    let inspected = run.saescope(&with(&["inspect"], &model_args("llama"), &tail));
    let text = String::from_utf8_lossy(&inspected.stdout).into_owned();
    assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
    assert!(text.contains(" words of ") && text.contains("https://www.neuronpedia.org/tiny/"), "{text}");
    // what they promote, by the run's own model and no other
    let block = |document: &str| {
        let (_, rest) = document.split_once("data-file=\"labels.json\"").expect("no such block");
        rest.split_once('>').and_then(|(_, rest)| rest.split_once('<')).map(|(text, _)| text.len())
    };
    let report = run.saescope(&with(&["report", "out", "--force", "--promoted"], &model_args("llama"), &[]));
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    let promoted = std::fs::read_to_string(run.path("out/report.html")).unwrap();
    assert!(block(&promoted) > Some(1000), "{:?}", block(&promoted));
    let refused = run.saescope(&with(&["report", "out", "--force", "--promoted"], &model_args("gpt2"), &[]));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("model: expected model of width"), "{said}");
    // what is no export
    run.write("other.jsonl", "{\"a\": 1}\n");
    let refused = run.saescope(&["report", "out", "--force", "--labels", "other.jsonl"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(1) && said.contains("other.jsonl: line 1") && said.contains("hint: "),
        "{said}"
    );
}
