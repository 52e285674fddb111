//! A run on a cluster: the scripts as Slurm calls them, and more parts than a process may have files open.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::cli::{Run, model_args, with};
use crate::durable::{NULLS, SPOOL, analyze, done, tables, triples};

/// What `cluster/slurm/NAME` does as a task of an array, `saescope` being this build's.
fn slurm(run: &Run, name: &str, task: Option<usize>, args: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/slurm").join(name);
    let program = Path::new(env!("CARGO_BIN_EXE_saescope")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(program.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let like = run.command(&[]);
    let mut command = Command::new("bash");
    command.current_dir(like.get_current_dir().unwrap()).arg(script).args(args).env("PATH", path.unwrap());
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs(task.map(|task| ("SLURM_ARRAY_TASK_ID", task.to_string())));
    command
}

#[track_caller]
fn fine(out: &Output) -> String {
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{text}");
    text
}

#[test]
fn an_array_whose_tasks_are_killed_and_queued_again_is_the_whole_run() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    let model = model_args("llama");
    let options = with(&[], &model, &["--dataset", "t.jsonl", "--device", "cpu", "--pass", "2"]);
    let args = [&["3", "mine", "parts"], &options[..], &NULLS[..]].concat();
    let task = |index| slurm(&run, "part.sh", Some(index), &args);
    // the node goes away once a pass is kept
    let mut child = task(2).process_group(0).stderr(Stdio::null()).spawn().unwrap();
    let spool = run.path("parts/part-2").join(SPOOL);
    while !std::fs::metadata(&spool).is_ok_and(|m| m.len() > 20_000) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // bash alone would leave the program running
    Command::new("bash").args(["-c", "kill -KILL -- -$0", &child.id().to_string()]).status().unwrap();
    child.wait().unwrap();
    assert!(spool.exists() && !run.path("parts/part-2/part.spool").exists(), "killed before its end");
    for index in [3, 2, 1] {
        fine(&task(index).output().unwrap());
    }
    assert!(fine(&task(3).output().unwrap()).contains("part 3 is there"), "a task that is done twice");
    done(&slurm(&run, "merge.sh", None, &["3", "parts"]).output().unwrap());
    assert_eq!(tables(&run.path("parts/whole")), tables(&run.path("whole")));
    // without the array, and without a part
    let alone = slurm(&run, "part.sh", None, &args).output().unwrap();
    assert!(!alone.status.success() && String::from_utf8_lossy(&alone.stderr).contains("--array=1-3"));
    std::fs::remove_dir_all(run.path("parts/part-1")).unwrap();
    let missing = slurm(&run, "merge.sh", None, &["3", "parts", "--force"]).output().unwrap();
    assert!(String::from_utf8_lossy(&missing.stderr).contains("are missing: the data set's sample "));
    assert_eq!(tables(&run.path("parts/whole")), tables(&run.path("whole")), "what was there stays");
}

#[test]
fn an_array_of_more_tasks_than_samples_ends_well() {
    let run = Run::new();
    run.write("t.jsonl", triples(3));
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    let model = model_args("llama");
    let options = with(&[], &model, &["--dataset", "t.jsonl", "--device", "cpu"]);
    let args = [&["8", "mine", "parts"], &options[..], &NULLS[..]].concat();
    let empty = (1..=8).filter(|task| {
        let said = fine(&slurm(&run, "part.sh", Some(*task), &args).output().unwrap());
        let there = run.path(&format!("parts/part-{task}")).exists();
        assert_eq!(there, !said.contains(&format!("no sample falls to part {task}/8")), "{said}");
        // the merge makes them
        assert!(!run.path(&format!("parts/part-{task}/stats.parquet")).exists());
        !there
    });
    assert!(empty.count() >= 5);
    done(&slurm(&run, "merge.sh", None, &["8", "parts"]).output().unwrap());
    assert_eq!(tables(&run.path("parts/whole")), tables(&run.path("whole")));
}

#[test]
fn more_parts_than_files_that_may_be_open() {
    let run = Run::new();
    run.write("t.jsonl", triples(40));
    done(&analyze(&run, &["--out", "whole"]).output().unwrap());
    let of = 24;
    let mut parts = Vec::new();
    for index in 1..=of {
        let (shard, out) = (format!("{index}/{of}"), format!("part{index}"));
        analyze(&run, &["--out", &out, "--shard", &shard]).output().unwrap();
        if run.path(&out).exists() {
            parts.push(out);
        }
    }
    assert!(parts.len() > 12, "{parts:?}");
    let merge = |limits: &str, out: &str| {
        let script = format!("{limits}; exec \"$0\" merge {} --out {out}", parts.join(" "));
        let base = run.command(&[]);
        Command::new("bash")
            .args(["-c", &script])
            .arg(base.get_program())
            .current_dir(base.get_current_dir().unwrap())
            .output()
            .unwrap()
    };
    // fewer than there are parts, until the program asks for more
    done(&merge("ulimit -Sn 12", "merged"));
    assert_eq!(tables(&run.path("merged")), tables(&run.path("whole")));
    let refused = merge("ulimit -n 12", "refused");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && !run.path("refused").exists(), "{text}");
    assert!(
        text.contains("are to be open at once, and this process may have 12") && text.contains("ulimit -n"),
        "{text}"
    );
}
