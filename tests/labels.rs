//! `fetch --labels` from a bucket of Neuronpedia's exports, and what finds them then.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Output;

use crate::cli::{Run, golden};
use crate::durable::{analyze, done, manifest, triples};

const NAME: &str = "gpt2-small/3-res-jb";

/// A bucket on loopback that has two batches of one dictionary, and its address.
fn bucket() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let batch =
                (0..2).find(|n| request.starts_with(&format!("GET /v1/{NAME}/explanations/batch-{n}.jsonl.gz HTTP")));
            let answer = match batch {
                Some(n) => {
                    let body = packed(n * 256..(n + 1) * 256);
                    let head =
                        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                    [head.into_bytes(), body].concat()
                }
                None => b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(),
            };
            // the client may hang up first
            let _ = stream.write_all(&answer);
        }
    });
    address
}

/// Labels of these features as an export has them.
fn packed(features: std::ops::Range<usize>) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for feature in features {
        let label = format!("words of {feature}");
        let line = serde_json::json!({"modelId": "gpt2-small", "layer": "3-res-jb", "index": feature.to_string(), "description": label});
        writeln!(packed, "{line}").unwrap();
    }
    packed.finish().unwrap()
}

fn said(out: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&out.stdout), text(&out.stderr))
}

#[test]
fn fetched_labels_are_found() {
    let run = Run::new();
    let address = bucket();
    let fetch =
        |name: &str| run.command(&["fetch", name, "--labels"]).env("SAESCOPE_LABELS", &address).output().unwrap();
    let fetched = fetch(NAME);
    let (out, err) = said(&fetched);
    assert!(fetched.status.success() && err.contains("fetched explanations of gpt2-small/3-res-jb, 2 files"), "{err}");
    assert_eq!(out.lines().count(), 2);
    assert!(out.lines().all(|line| line.contains("labels") && std::path::Path::new(line).is_file()), "{out}");
    // a known model has dictionaries that this bucket has not; the default one is on no bucket at all
    let (_, err) = said(&fetch("gpt2-small"));
    assert!(err.contains("explanations of gpt2-small/7-res-jb") && err.contains("hint: "), "{err}");
    let none = fetch("smollm2-135m-instruct");
    let (_, err) = said(&none);
    assert!(none.status.code() == Some(1) && err.contains("on Neuronpedia") && err.contains("hint: "), "{err}");
    assert_eq!(fetch("gpt2-small/..").status.code(), Some(2));

    // a text's features, by the name that the SAE's own config gives
    std::fs::create_dir(run.path("sae")).unwrap();
    std::fs::copy(golden("llama", "saes/layer_2/sae_weights.safetensors"), run.path("sae/sae_weights.safetensors"))
        .unwrap();
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden("llama", "saes/layer_2/cfg.json")).unwrap()).unwrap();
    config["metadata"]["neuronpedia_id"] = NAME.into();
    run.write("sae/cfg.json", config.to_string());
    let model = golden("llama", "model");
    let args = ["inspect", "A text to look at", "--model", &model, "--sae", "2=sae", "--device", "cpu"];
    let (out, err) = said(&run.saescope(&args));
    assert!(out.contains("\"words of "), "{out}{err}");

    // and a run's, by those of a known model; of another SAE of that layer nothing is said
    run.write("t.jsonl", triples(24));
    done(&analyze(&run, &["--out", "out"]).output().unwrap());
    let place = run.path("out/manifest.json");
    for (declared, labelled) in [(23.0, true), (60.0, false)] {
        let mut known = manifest(&run.path("out"));
        known["model"]["name"] = "gpt2-small".into();
        let sae = known["saes"].as_array_mut().unwrap().iter_mut().find(|sae| sae["layer"] == 2).unwrap();
        sae["declared_l0"] = declared.into();
        std::fs::write(&place, known.to_string()).unwrap();
        let (_, err) = said(&run.saescope(&["report", "out", "--force"]));
        let document = std::fs::read_to_string(run.path("out/report.html")).unwrap();
        assert_eq!(document.contains("data-file=\"labels.json\""), labelled, "{declared}: {err}");
    }
}
