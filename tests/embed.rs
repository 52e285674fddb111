//! The library as a part of another program: what it makes is what the command makes, and who asked for it ends it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use saescope::Error;
use saescope::cli::cluster::{Engine, Part, Survey};
use saescope::cli::embed::{self, Ask, FeaturesAsk};
use saescope::dataset::Rows;
use saescope::engine::{Observer, Positions, Progress, Silent};
use saescope::run::Shard;

use crate::cli::{Run, model_args, with};
use crate::durable::{NULLS, SPOOL, TABLES, analyze, done, manifest, tables, triples};

const ROWS: &str = r#"[{"id":"a","prompt":"The white whale was called","fact":"Moby Dick","hallucination":"Captain Ahab"},
{"id":"b","prompt":"Alice peeped","fact":"into the book","hallucination":"into the hole"},
{"id":"c","prompt":"Alice saw","fact":"a white rabbit","hallucination":"a whale"}]"#;

/// A run of the tiny model with `rows` in memory, into `out`.
fn ask(run: &Run, rows: &str, out: &str, extra: &[&str]) -> Ask {
    let out = run.path(out).display().to_string();
    let args = model_args("llama");
    let words = with(&[], &args, &[&["--device", "cpu", "--run-id", "r", "--out", &out], extra].concat());
    let words = words.into_iter().map(str::to_owned).collect();
    Ask { words, rows: Some(Rows::Json(rows.as_bytes().to_vec())), ..Ask::default() }
}

/// Ends a run at the first block after so many samples.
struct Until(f64);

impl Observer for Until {
    fn progress(&self, progress: &Progress) -> ControlFlow<()> {
        if progress.samples_done > self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn rows_in_memory_give_the_files_of_the_command() {
    let run = Run::new();
    run.write("t.json", ROWS);
    let args = model_args("llama");
    let tail = ["--dataset", "t.json", "--device", "cpu", "--run-id", "r", "--out", "command", "--layers", "1,3"];
    let out = run.saescope(&with(&["analyze"], &args, &tail));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(manifest(&run.path("command"))["layers"], serde_json::json!([1, 3]));

    let said = Arc::new(Mutex::new(Vec::new()));
    let hears = said.clone();
    let listener = Box::new(move |text: &str| hears.lock().unwrap().push(text.to_owned()));
    let folder = embed::analyze(&ask(&run, ROWS, "here", &["--layers", "1,3"]), &Silent, listener).unwrap();
    assert_eq!(folder, run.path("here"));
    assert!(tables(&folder) == tables(&run.path("command")), "the same bytes");
    assert!(said.lock().unwrap().iter().any(|text| text.starts_with("model on the CPU")), "{said:?}");
}

#[test]
fn a_layer_without_an_sae_is_named() {
    let run = Run::new();
    run.write("t.json", ROWS);
    let args = model_args("llama");
    run.fails(
        &with(&["analyze"], &args, &["--dataset", "t.json", "--out", "out", "--layers", "2,9"]),
        1,
        &["an SAE of layer 9", "hint: give one with `--sae 9=PATH`"],
    );
}

#[test]
fn who_asked_ends_it_and_goes_on_with_it() {
    let run = Run::new();
    let whole = embed::analyze(&ask(&run, ROWS, "whole", &[]), &Silent, Box::new(|_| {})).unwrap();

    // in the first pass: nothing was measured, so nothing stays
    let early = embed::analyze(&ask(&run, ROWS, "deep/early", &[]), &Until(0.0), Box::new(|_| {}));
    assert!(matches!(early, Err(Error::Cancelled)), "{early:?}");
    assert!(!run.path("deep").exists());

    // not wanted any more before it is begun
    let unwanted = ask(&run, ROWS, "deep/unwanted", &[]);
    assert!(!unwanted.steer.stop(), "nothing to wait for");
    assert!(matches!(embed::analyze(&unwanted, &Silent, Box::new(|_| {})), Err(Error::Cancelled)));
    assert!(!run.path("deep").exists());

    // in the second: the first is kept
    let said = Arc::new(Mutex::new(String::new()));
    let hears = said.clone();
    let listener = Box::new(move |text: &str| *hears.lock().unwrap() += text);
    let late = embed::analyze(&ask(&run, ROWS, "late", &["--pass", "1"]), &Until(1.0), listener);
    assert!(matches!(late, Err(Error::Cancelled)), "{late:?}");
    assert!(said.lock().unwrap().contains("1 of 3 samples are kept; go on with: saescope.analyze(data, resume="));
    let there: Vec<PathBuf> = std::fs::read_dir(run.path("late")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(there, [run.path("late").join(SPOOL)]);

    let again = |rows: Option<&str>| {
        let rows = rows.map(|rows| Rows::Json(rows.as_bytes().to_vec()));
        let ask = Ask { resume: Some(run.path("late")), rows, ..Ask::default() };
        embed::analyze(&ask, &Silent, Box::new(|_| {}))
    };
    let without = again(None).unwrap_err().to_string();
    assert!(without.contains("in a program's memory") && without.contains("resume=RUN"), "{without}");
    let others = again(Some(&ROWS.replace("whale", "rabbit"))).unwrap_err().to_string();
    assert!(others.contains("data set"), "{others}");
    let resumed = again(Some(ROWS)).unwrap();
    assert!(tables(&resumed) == tables(&whole), "the same bytes");
    assert!(TABLES.iter().all(|name| resumed.join(name).exists()) && !resumed.join(SPOOL).exists());
}

#[test]
fn features_of_texts_are_those_of_their_beginnings() {
    let args = model_args("llama");
    let words: Vec<String> = args.into_iter().chain(["--device".into(), "cpu".into()]).collect();
    let texts = vec!["The white whale was".to_owned(), "The white whale was called Moby Dick".to_owned()];
    let found = |positions| {
        let ask = FeaturesAsk { words: words.clone(), texts: texts.clone(), positions };
        embed::features(&ask, &Silent, Box::new(|_| {})).unwrap()
    };
    let (all, last) = (found(Positions::All), found(Positions::Last));
    assert_eq!((all.layers.as_slice(), &all.tokens), (&[1, 2, 3][..], &last.tokens));
    for at in 0..3 {
        let [short, long] = [0, 1].map(|text| &all.texts[text].layers[at]);
        assert_eq!((short.len(), long.len()), (all.tokens[0].len(), all.tokens[1].len()));
        assert!(long.len() > short.len() && long[..short.len()] == short[..]);
        assert!(long.iter().any(|features| !features.is_empty()));
        for text in 0..2 {
            assert_eq!(
                last.texts[text].layers[at].as_slice(),
                &all.texts[text].layers[at][all.tokens[text].len() - 1..]
            );
        }
    }
    let ended = FeaturesAsk { words, texts, positions: Positions::Last };
    assert!(matches!(embed::features(&ended, &Until(0.0), Box::new(|_| {})), Err(Error::Cancelled)));
}

#[test]
fn parts_of_an_engine_merge_into_the_run_of_one_machine() {
    let run = Run::new();
    let file = run.write("t.jsonl", triples(40));
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    let files = [("t.jsonl".to_owned(), None, std::fs::read(file).unwrap())];
    let survey = Survey::read(&[], &files, Box::new(|_| {})).unwrap();
    assert_eq!((survey.samples().len(), survey.rejected().len()), (40, 0));
    // the sample that cannot be measured is alone in its part
    let alone = |of: &u32| survey.parts(*of).unwrap().values().any(|places| places == &[20]);
    let of = (3..200).find(alone).unwrap();
    let parts = survey.parts(of).unwrap();
    assert_eq!(parts.values().flatten().count(), 40);
    assert!(matches!(survey.parts(0), Err(Error::Usage { .. })));
    assert_eq!(survey.parts(u32::MAX).unwrap().len(), 40, "as many as there are samples, and no more memory");

    let args = model_args("llama");
    let words: Vec<String> = with(&[], &args, &[&["--device", "cpu", "--pass", "2"], &NULLS[..]].concat())
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut engine = Engine::open(words.clone(), Box::new(|_| {})).unwrap();
    let part = |index: u32, out: &str| Part {
        rows: Rows::Json(
            serde_json::to_vec(&parts[&index].iter().map(|at| &survey.samples()[*at]).collect::<Vec<_>>()).unwrap(),
        ),
        places: parts[&index].clone(),
        whole: survey.whole().unwrap(),
        shard: Shard { index, of },
        out: run.path(out),
        run_id: "mine".into(),
        steer: Arc::default(),
    };
    let mut measured = |part: Part, observer: &dyn Observer| engine.part(part, observer, Box::new(|_| {}));
    let largest = *parts.keys().max_by_key(|at| parts[at].len()).unwrap();
    let mut folders = Vec::new();
    for index in parts.keys().copied().rev() {
        let out = format!("part{index}");
        if index == largest {
            // ended once a pass is kept, and gone on with
            assert!(matches!(measured(part(index, &out), &Until(2.5)), Err(Error::Cancelled)));
            let done = measured(part(index, &out), &Silent).unwrap();
            assert!(0 < done.kept && done.kept < done.measured, "{done:?}");
        }
        let done = measured(part(index, &out), &Silent).unwrap();
        assert_eq!(done.measured + done.failed.len(), parts[&index].len(), "{done:?}");
        if index == largest {
            assert_eq!(done.kept, done.measured, "it was there");
        }
        // of the whole run they come with the merge
        assert!(
            !run.path(&out).join("stats.parquet").exists() && !run.path(&out).join("stats_features.parquet").exists()
        );
        if parts[&index] == [20] {
            assert!(done.failed[0].sample_id == "s-020" && !run.path(&out).join("metrics.parquet").exists());
        }
        folders.push(out);
    }
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    done(&run.saescope(&[&["merge"][..], &folders, &["--out", "merged"]].concat()));
    assert!(tables(&run.path("merged")) == tables(&run.path("whole")), "the same bytes");
    let [merged, whole] = ["merged", "whole"].map(|name| manifest(&run.path(name)));
    for name in ["dataset", "warnings", "failed_samples"] {
        assert_eq!(merged[name], whole[name], "{name}");
    }

    // one without samples
    let none = Part { rows: Rows::Json(b"[]".to_vec()), places: Vec::new(), ..part(largest, "new") };
    let message = measured(none, &Silent).unwrap_err().to_string();
    assert!(message.contains("hint:") && !run.path("new").exists(), "{message}");

    // what is no part of it, or lies in another's folder
    let mut refused = |part: Part, words: &str| {
        let message = measured(part, &Silent).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains("hint:"), "{message}");
    };
    let at = largest;
    let full = format!("part{at}");
    refused(Part { run_id: "other".into(), ..part(at, &full) }, "name of the run");
    let another = Shard { index: at, of: of + 1 };
    refused(Part { shard: another, ..part(at, &full) }, "part.spool: part");
    refused(Part { shard: another, ..part(at, "new") }, "samples of a part");
    refused(Part { places: vec![0], ..part(at, "new") }, "places of a part");
    refused(Part { places: vec![99; parts[&at].len()], ..part(at, "new") }, "places of a part");
    refused(Part { whole: b"{}".to_vec(), ..part(at, "new") }, "description of the data set");
    assert!(!run.path("new").exists());
    let words = [words, vec!["--join=".to_owned()]].concat();
    let mut engine = Engine::open(words, Box::new(|_| {})).unwrap();
    let message = engine.part(part(at, "new"), &Silent, Box::new(|_| {})).unwrap_err().to_string();
    assert!(message.contains("text between prompt and completion"), "{message}");
    let run_of_its_own = |word: &str| Engine::open(vec![word.to_owned()], Box::new(|_| {})).is_err();
    assert!(run_of_its_own("--shard=1/2") && run_of_its_own("--out=x"));
}

#[test]
fn the_report_of_a_run_is_what_the_command_writes() {
    let run = Run::new();
    let folder = embed::analyze(&ask(&run, ROWS, "here", &[]), &Silent, Box::new(|_| {})).unwrap();
    assert!(run.saescope(&["report", "here"]).status.success());
    let document = embed::report(&folder, Box::new(|_| {})).unwrap();
    assert!(document == std::fs::read_to_string(folder.join("report.html")).unwrap());
    let again = embed::save_report(&document, &folder.join("report.html"), false).unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    embed::save_report(&document, &run.path("new.html"), false).unwrap();
    assert!(embed::report(&run.path("none"), Box::new(|_| {})).is_err());
}
