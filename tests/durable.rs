//! Runs that are killed, cut into parts, or begun twice: what comes of them is what an unbroken run gives,
//! byte for byte.

use std::path::Path;
use std::process::{Output, Stdio};

use crate::cli::{Run, model_args, with};
use crate::reliability::{row, tries};

pub(crate) const TABLES: [&str; 4] = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet"];
pub(crate) const SPOOL: &str = "unfinished.spool";
const PART: &str = "part.spool";

/// Triples of several lengths, one of which is too long for the model.
pub(crate) fn triples(n: usize) -> String {
    let words = ["the", "white", "whale", "was", "seen", "by", "Alice", "who", "peeped", "into", "a", "hole"];
    let text = |seed: usize, len: usize| -> String {
        (0..len).map(|i| words[(seed * 7 + i * i + i * seed) % words.len()]).collect::<Vec<_>>().join(" ")
    };
    let mut lines = String::new();
    for i in 0..n {
        let prompt = if i == n / 2 { "far too long ".repeat(4000) } else { text(i, 3 + i % 3) };
        let (fact, hall) = (text(i + 1, 1 + i % 2), text(i + 5, 1 + (i + 1) % 2));
        let (id, domain) = (format!("s-{i:03}"), ["x", "y"][i % 2]);
        lines += &serde_json::json!({"id": id, "domain": domain, "complexity": i % 3, "prompt": prompt,
            "fact": fact, "hallucination": hall})
        .to_string();
        lines.push('\n');
    }
    lines
}

/// Few draws, where a test is not about them.
pub(crate) const NULLS: [&str; 2] = ["--nulls", "20"];

/// `analyze` of a tiny model on `t.jsonl`, two samples a pass, with [`NULLS`] where `extra` says nothing of them.
pub(crate) fn analyze(run: &Run, extra: &[&str]) -> std::process::Command {
    let args = model_args("llama");
    let tail = ["--dataset", "t.jsonl", "--device", "cpu", "--pass", "2", "--run-id", "mine"];
    let nulls = if extra.contains(&NULLS[0]) { &[] } else { &NULLS[..] };
    run.command(&with(&["analyze"], &args, &[&tail[..], nulls, extra].concat()))
}

/// One sample fails, which the status says.
#[track_caller]
pub(crate) fn done(out: &Output) -> String {
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().filter(|l| l.starts_with("failed: ")).count(), 1, "{text}");
    text
}

pub(crate) fn tables(folder: &Path) -> Vec<Vec<u8>> {
    TABLES.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

pub(crate) fn manifest(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

/// Numbers that look random and are the same in every test run.
pub(crate) fn draws(n: usize) -> impl Iterator<Item = u64> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    (0..n).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    let whole = tables(&run.path("whole"));
    assert!(!run.path("whole").join(SPOOL).exists(), "the spool goes when the run is finished");
    done(&analyze(&run, &["--out", "part", "--shard", "1/1"]).output().unwrap());
    let length = std::fs::metadata(run.path("part").join(PART)).unwrap().len();

    let (mut broken, mut parts) = (0, 0);
    for draw in draws(20) {
        // killed as soon as the spool is so long, wherever in a frame that is; and once more on the way
        let spool = run.path("out").join(SPOOL);
        let mut command = analyze(&run, &["--out", "out"]);
        for at in [draw % length, length / 2 + draw % (length / 2)] {
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            while child.try_wait().unwrap().is_none() {
                if std::fs::metadata(&spool).is_ok_and(|m| m.len() > at) {
                    child.kill().unwrap();
                    break;
                }
            }
            child.wait().unwrap();
            if !spool.exists() {
                break;
            }
            assert!(!run.path("out/manifest.json").exists(), "a folder with a manifest is a whole run");
            broken += 1;
            command = run.command(&["analyze", "--resume", "out"]);
        }
        if spool.exists() {
            let text = done(&run.saescope(&["analyze", "--resume", "out"]));
            assert!(text.contains("going on with out: "), "{text}");
        }
        assert_eq!(tables(&run.path("out")), whole, "killed at {} of {length} bytes", draw % length);
        let manifest = manifest(&run.path("out"));
        let measured = manifest["timings"]["parts"].as_u64().unwrap();
        assert_eq!(manifest["timeline"]["parts"].as_array().unwrap().len() as u64, measured);
        parts = parts.max(measured);
        assert_eq!(manifest["batch"]["texts"], 39 * 3, "every sample was counted once");
        let left: Vec<_> = std::fs::read_dir(run.path("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 5, "{left:?}");
        std::fs::remove_dir_all(run.path("out")).unwrap();
    }
    assert!(broken >= 20 && parts >= 3, "{broken} kills, at most {parts} parts");
}

#[test]
fn three_parts_are_the_whole() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    let mut failed = 0;
    for i in 1..=3 {
        let (shard, out) = (format!("{i}/3"), format!("part{i}"));
        let output = analyze(&run, &["--out", &out, "--shard", &shard]).output().unwrap();
        failed += usize::from(output.status.code() == Some(1));
        let manifest = manifest(&run.path(&out));
        assert_eq!(manifest["dataset"]["shard"], shard);
        assert!(manifest["dataset"]["samples"].as_u64().unwrap() < 40);
    }
    assert_eq!(failed, 1, "the sample that fails is in one part");
    // in any order
    done(&run.saescope(&["merge", "part3", "part1", "part2", "--out", "merged"]));
    assert_eq!(tables(&run.path("merged")), tables(&run.path("whole")));
    let (merged, whole) = (manifest(&run.path("merged")), manifest(&run.path("whole")));
    for field in ["sae_health", "failed_samples", "dataset", "run_id", "noise", "saes"] {
        assert_eq!(merged[field], whole[field], "{field}");
    }
    assert_eq!(merged["timings"]["parts"], 3);
    assert_eq!(merged["timeline"]["parts"].as_array().unwrap().len(), 3);

    let refused = |args: &[&str], words: &[&str]| {
        let out = run.saescope(&[args, &["--out", "out"]].concat());
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && !run.path("out").exists(), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{words:?}\n{text}");
    };
    refused(&["merge", "part1", "part2"], &["are missing: the data set's sample ", "hint:"]);
    refused(&["merge", "part1", "part2", "part3", "./part3"], &["part.spool: part ./part3 twice"]);
    refused(&["merge", "whole"], &["part.spool", "--shard I/N"]);
    // a run that replaces a part leaves nothing of it, and a merge nothing of an unfinished run
    done(&analyze(&run, &["--out", "again", "--shard", "1/1"]).output().unwrap());
    assert!(run.path("again").join(PART).exists());
    done(&analyze(&run, &["--out", "again", "--force"]).output().unwrap());
    assert!(!run.path("again").join(PART).exists());
    run.write("merged/unfinished.spool", "of a run that was broken");
    done(&run.saescope(&["merge", "part1", "part2", "part3", "--out", "merged", "--force"]));
    assert!(!run.path("merged").join(SPOOL).exists());
    // a part of another run
    let other = analyze(&run, &["--out", "other", "--shard", "3/3", "--seed", "5"]).output().unwrap();
    assert!(run.path("other/manifest.json").exists(), "{}", String::from_utf8_lossy(&other.stderr));
    refused(
        &["merge", "part1", "part2", "other"],
        &["other is not of one run with part1", "--seed", "expected 0, found 5"],
    );
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn comparisons_of_a_part_may_be_left_to_the_merge() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    // the one with the sample that fails
    let failing = |out: &str, extra: &[&str]| {
        let shards = ["1/2", "2/2"].map(|shard| analyze(&run, &[&["--out", out, "--shard", shard], extra].concat()));
        shards.map(|mut command| command.output().unwrap().status.code())
    };
    let full = failing("full", &["--force"]);
    let bare: Vec<String> = ["1/2", "2/2"]
        .map(|shard| {
            let out = format!("bare{}", &shard[..1]);
            let output = analyze(&run, &["--out", &out, "--shard", shard, "--no-stats"]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("come with the merge") && text.contains("saescope stats bare"), "{text}");
            out
        })
        .into();
    assert!(full.contains(&Some(1)));
    for out in &bare {
        assert_eq!(names(&run.path(out)), ["features.parquet", "manifest.json", "metrics.parquet", PART]);
        let manifest = manifest(&run.path(out));
        assert!(manifest["statistics"].is_null(), "{}", manifest["statistics"]);
        let files: Vec<&str> =
            manifest["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
        assert_eq!(files, ["metrics.parquet", "features.parquet"]);
    }
    done(&run.saescope(&["merge", &bare[0], &bare[1], "--out", "merged"]));
    assert_eq!(tables(&run.path("merged")), tables(&run.path("whole")));

    // alone it is not shown, and told how it can be; then it is as it would have been
    for command in ["report", "compare"] {
        let args = if command == "report" { vec![command, "bare2"] } else { vec![command, "bare2", "full"] };
        let text = run.fails(&args, 1, &["bare2", "hint:"]);
        assert!(text.contains("saescope stats bare2"), "{text}");
    }
    let made = run.saescope(&["stats", "bare2"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(tables(&run.path("bare2")), tables(&run.path("full")), "part 2/2, measured with its comparisons");
    assert!(run.saescope(&["report", "bare2"]).status.success());
    // and replaced by one without, it has none of before
    analyze(&run, &["--out", "bare2", "--shard", "2/2", "--no-stats", "--force"]).output().unwrap();
    assert_eq!(names(&run.path("bare2")), ["features.parquet", "manifest.json", "metrics.parquet", PART]);
    run.fails(&[&["analyze", "--no-stats"][..]].concat(), 2, &["--shard"]);
}

#[test]
fn what_was_made_of_a_run_does_not_pass_for_the_next_ones() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    done(&analyze(&run, &["--out", "a"]).output().unwrap());
    done(&analyze(&run, &["--out", "p1", "--shard", "1/1"]).output().unwrap());
    let own = names(&run.path("a"));
    let made = ["report.html", "calibration.json", "timeline.json"];
    let place = || made.iter().for_each(|name| drop(run.write(&format!("a/{name}"), "of the first run")));
    place();
    run.write("a/notes.txt", "mine");
    let left = || names(&run.path("a")).into_iter().filter(|name| !own.contains(name)).collect::<Vec<_>>();
    done(&analyze(&run, &["--out", "a", "--force", "--seed", "5"]).output().unwrap());
    assert_eq!(left(), ["notes.txt"]);
    place();
    done(&run.saescope(&["merge", "p1", "--out", "a", "--force"]));
    assert_eq!(left(), ["notes.txt"]);
    // a folder that has nothing but what was made of a run
    std::fs::create_dir(run.path("b")).unwrap();
    run.write("b/report.html", "of a run that is gone");
    let refused = analyze(&run, &["--out", "b"]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && text.contains("report.html") && text.contains("--force"), "{text}");
    assert_eq!(names(&run.path("b")), ["report.html"]);
}

#[test]
fn a_part_without_samples_is_no_failure() {
    let run = Run::new();
    run.write("t.jsonl", triples(3));
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    let (mut parts, mut empty) = (Vec::new(), 0);
    for index in 1..=8 {
        let (shard, out) = (format!("{index}/8"), format!("part{index}"));
        let output = analyze(&run, &["--out", &out, "--shard", &shard]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        if run.path(&out).exists() {
            parts.push(out);
            continue;
        }
        empty += 1;
        assert!(output.status.success() && output.stdout.is_empty(), "{text}");
        assert!(text.contains(&format!("no sample falls to part {shard}")), "{text}");
    }
    assert!(empty >= 5 && !parts.is_empty());
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    done(&run.saescope(&[&["merge"][..], &parts, &["--out", "merged"]].concat()));
    assert_eq!(tables(&run.path("merged")), tables(&run.path("whole")));
}

/// Kills a run once it has a pass, and says what it has.
fn begun(run: &Run) {
    let spool = run.path("mine").join(SPOOL);
    let part = analyze(run, &["--out", "probe", "--shard", "1/1"]).output().unwrap();
    assert_eq!(part.status.code(), Some(1));
    let length = std::fs::metadata(run.path("probe").join(PART)).unwrap().len();
    let mut child = analyze(run, &["--out", "mine"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while std::fs::metadata(&spool).map_or(0, |m| m.len()) < length / 3 {
        assert!(child.try_wait().unwrap().is_none(), "it was done too soon");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_unfinished_run_is_not_written_over_and_what_changed_is_refused() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    begun(&run);
    let spool = std::fs::read(run.path("mine").join(SPOOL)).unwrap();
    let out = analyze(&run, &["--out", "mine"]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("mine holds an unfinished run") && text.contains("analyze --resume mine"), "{text}");
    // other arguments do not go with it
    let out = run.saescope(&["analyze", "--resume", "mine", "--seed", "4"]);
    assert_eq!(out.status.code(), Some(2));

    let original = std::fs::read(run.path("t.jsonl")).unwrap();
    run.write("t.jsonl", String::from_utf8(original.clone()).unwrap().replace("whale", "Whale"));
    run.fails(&["analyze", "--resume", "mine"], 1, &["changed since the run began: data set", "hint:"]);
    assert_eq!(std::fs::read(run.path("mine").join(SPOOL)).unwrap().len(), spool.len(), "what is there stays");

    run.write("t.jsonl", &original);
    done(&run.saescope(&["analyze", "--resume", "mine"]));
    let again = run.fails(&["analyze", "--resume", "mine"], 1, &["an unfinished run not found", "complete"]);
    assert!(again.contains("hint:"), "{again}");
    run.fails(&["analyze", "--resume", "nothing"], 1, &["nothing: an unfinished run not found"]);
}

#[test]
fn a_run_goes_on_from_another_folder_and_two_do_not_write_one() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    begun(&run);
    let elsewhere = run.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    // whoever holds the spool keeps it
    let held = std::fs::File::open(run.path("mine").join(SPOOL)).unwrap();
    held.lock().unwrap();
    let out = run.command(&["analyze", "--resume", "../mine"]).current_dir(&elsewhere).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(2) && text.contains("another process"), "{text}");
    drop(held);
    let out = run.command(&["analyze", "--resume", "../mine"]).current_dir(&elsewhere).output().unwrap();
    done(&out);
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "../mine");
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    assert_eq!(tables(&run.path("mine")), tables(&run.path("whole")));
}

#[test]
fn a_dry_run_says_what_a_run_does_and_does_nothing() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    let out = analyze(&run, &["--dry-run"]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!run.path("runs").exists());
    done(&analyze(&run, &["--out", "out"]).output().unwrap());
    let batch = &manifest(&run.path("out"))["batch"];
    let tokens =
        format!("tokens: {} in {} texts, {} to be computed", batch["tokens"], batch["texts"], batch["tokens_computed"]);
    let passes = format!("passes: 20 of at most 2 samples; micro-batches: {}", batch["batches"]);
    for line in ["samples: 39, 1 more will fail", &tokens, &passes, "to fetch: nothing"] {
        assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
    }
    // a known model that is not here: its size is told, and nothing is fetched
    let out = run.saescope(&["analyze", "--dry-run", "--dataset", "t.jsonl"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("to fetch: smollm2-135m-instruct, 98.4 MB"), "{text}");
}

/// What was measured of a sample does not stay in memory: what does is the data set and its tokens, the same
/// for every model. `cargo test --release --package saescope kilobytes -- --nocapture` prints the figures.
#[test]
fn a_sample_takes_a_few_kilobytes_of_memory() {
    let run = Run::new();
    let words = std::fs::read_to_string(crate::cli::golden("llama", "texts.json")).unwrap();
    let texts: Vec<serde_json::Value> = serde_json::from_str(&words).unwrap();
    let mut peaks = Vec::new();
    let sizes = [tries(1_000, 10_000), tries(10_000, 100_000)];
    for n in sizes {
        let line = |i: usize| {
            let mut row = texts[i % texts.len()].clone();
            row["id"] = format!("s{i:05}").into();
            row["prompt"] = format!("{} {}", row["prompt"].as_str().unwrap(), i % 977).into();
            row.to_string() + "\n"
        };
        let data = run.write("many.jsonl", (0..n).map(line).collect::<String>());
        let args = model_args("llama");
        let out = format!("out{n}");
        let output = run.saescope(&with(
            &["analyze"],
            &args,
            &[&["--dataset", &data, "--device", "cpu", "--out", &out], &NULLS[..]].concat(),
        ));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let timings = &manifest(&run.path(&out))["timings"];
        let peak = timings["peak_memory_bytes"].as_u64().unwrap() as f64;
        println!("{n} triples: at most {:.0} MB, {:.1} s", peak / 1e6, timings["total_seconds"].as_f64().unwrap());
        peaks.push(peak);
    }
    let each = (peaks[1] - peaks[0]) / (sizes[1] - sizes[0]) as f64;
    let outcome = format!("at most {:.0} and {:.0} MB: {each:.0} bytes a sample", peaks[0] / 1e6, peaks[1] / 1e6);
    row(&format!("memory of runs over {} and {} triples", sizes[0], sizes[1]), 2, &outcome);
    assert!(each < 5e3, "{each:.0} bytes a sample");
}
