//! How many instructions the CPU's parts take, counted by callgrind: the same on a quiet machine and on a loud
//! one, so that a part that became slower is found without a clock. Ignored by a bare `cargo test`, since not
//! every machine has valgrind; `cargo xtask test` runs it.
//!
//! `tests/golden/instructions.json` holds what was last accepted. After a change that is meant to cost more, or
//! that costs less:
//!
//! ```text
//! SAESCOPE_GENERATE=1 cargo test --release --test tests -- --ignored instructions
//! ```

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use futures::executor::block_on;
use saescope::batch::Trie;
use saescope::checkpoint::Checkpoint;
use saescope::dataset::{self, Format};
use saescope::engine::{SaeAt, encode};
use saescope::geometry::{Cloud, Null, Pool, SHAPES, standings};
use saescope::model::ops::{AttentionParams, Compute, Matrix, Panels, Rows, TrieContext, attention};
use saescope::platform::MemorySource;
use saescope::random;

use crate::golden_models::load;

/// The variable that names the part which this process is to run.
const PART: &str = "SAESCOPE_COUNTED_PART";
/// A part may take this much more or less than was accepted: compilers differ a little.
const TOLERANCE: f64 = 0.1;
/// Where the accepted counts are.
const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/instructions.json");

/// What is counted, once it is made ready.
type Work = Box<dyn FnMut() + Send>;

/// Its name, and how it is made ready.
type Part = (&'static str, fn() -> Work);

const PARTS: [Part; 10] = [
    ("matmul of 96 x 576 x 1536", || {
        let (x, w) = (values(96 * 576), values(576 * 1536));
        let panels = Panels::f32(Matrix { values: &w, d_in: 576, d_out: 1536, by_in: 1, by_out: 576 });
        Box::new(move || drop(black_box(panels.multiply(&mut Rows::new(x.clone(), 96)))))
    }),
    // by the portable form: the counted processor has no other
    ("matmul of 96 x 576 x 1536 in bf16", || {
        let (x, w) = (values(96 * 576), values(576 * 1536));
        let panels = Panels::bf16(Matrix { values: &w, d_in: 576, d_out: 1536, by_in: 1, by_out: 576 });
        Box::new(move || drop(black_box(panels.multiply(&mut Rows::new(x.clone(), 96)))))
    }),
    ("panels of 576 x 1536", || {
        let w = values(576 * 1536);
        Box::new(move || {
            let matrix = Matrix { values: &w, d_in: 576, d_out: 1536, by_in: 1, by_out: 576 };
            drop(black_box(Panels::f32(matrix)));
        })
    }),
    ("attention of 20 texts of 16 tokens", || {
        let mut trie = Trie::new();
        (0..20).for_each(|text| {
            drop(trie.insert(&(0..16).map(|i| if i < 4 { i } else { text * 16 + i }).collect::<Vec<_>>()))
        });
        let compute = Compute::cpu();
        let context = TrieContext::new(&trie, &[None], &compute);
        let params = AttentionParams { heads: 9, kv_heads: 3, head_dim: 64, scale: 0.125, softcap: None, window: None };
        Box::new(move || {
            let tensor = |width: usize| compute.tensor2(values(trie.len() * width), trie.len(), width);
            drop(black_box(attention(tensor(576), tensor(192), tensor(192), &context, &params, &compute)));
        })
    }),
    ("geometry of 100 features in 2304 dimensions", || {
        let (rows, masses) = (values(100 * 2304), values(100).iter().map(|v| v.abs()).collect::<Vec<_>>());
        Box::new(move || drop(black_box(Cloud::new(&rows, &masses, 2304).unwrap())))
    }),
    // along one direction more than along others, so that it is found by steps
    ("leading axis of 700 features in 576 dimensions", || {
        let (mut rows, along, masses) = (values(700 * 576), values(576), vec![1.0; 700]);
        for (i, row) in rows.chunks_exact_mut(576).enumerate() {
            row.iter_mut().zip(&along).for_each(|(value, a)| *value += a * (i % 7) as f32);
        }
        Box::new(move || drop(black_box(Cloud::centroid_and_axis(&rows, &masses, 576).unwrap())))
    }),
    ("active features of 64 rows", || {
        let SaeAt { sae, .. } = load("llama").saes.remove(0);
        let rows = values(64 * sae.d_in);
        let compute = Compute::cpu();
        Box::new(move || {
            let rows: Vec<&[f32]> = rows.chunks_exact(sae.d_in).collect();
            drop(black_box(block_on(encode(&sae, &rows, &compute)).unwrap()));
        })
    }),
    ("200 draws of a null of 48 features", || {
        let pool = Pool::random(64, &mut random::keyed(&[b"instructions"]));
        let masses: Vec<f32> = values(48).iter().map(|v| v.abs()).collect();
        Box::new(move || {
            let mut random = random::keyed(&[b"draws"]);
            let _ = black_box(standings(&masses, &[0.5; SHAPES], Null::Rows(&pool), 200, &mut random));
        })
    }),
    ("reading 576 x 1536 values in bf16", || {
        let bytes: Vec<u8> = values(576 * 1536).iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
        let header =
            serde_json::json!({"w": {"dtype": "BF16", "shape": [1536, 576], "data_offsets": [0, bytes.len()]}});
        let header = header.to_string().into_bytes();
        let file = [&(header.len() as u64).to_le_bytes(), &header[..], &bytes].concat();
        let source = Arc::new(MemorySource::new("w.safetensors", file));
        let checkpoint = block_on(Checkpoint::open_safetensors(vec![source])).unwrap();
        Box::new(move || drop(black_box(block_on(checkpoint.read("w")).unwrap())))
    }),
    ("parsing the built-in triples", || {
        let bytes = include_bytes!("../crate/dataset/builtin.jsonl");
        Box::new(move || {
            let format = Format::detect("builtin.jsonl", bytes);
            drop(black_box(dataset::parse_as("builtin.jsonl", format, bytes, None, &Default::default()).unwrap()));
        })
    }),
];

/// Deterministic values in [−1, 1).
fn values(n: usize) -> Vec<f32> {
    let mut s = 7u64;
    (0..n)
        .map(|_| {
            s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (s >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// What callgrind counts in: everything below this function, and nothing else.
#[unsafe(no_mangle)]
#[inline(never)]
fn saescope_counted(work: &mut dyn FnMut()) {
    work();
}

/// Instructions of a part, in a process of its own.
fn count(part: &str) -> u64 {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .args(["--toggle-collect=saescope_counted"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "instructions::instructions_are_as_many_as_were_accepted", "--ignored", "--test-threads=1"])
        .env(PART, part)
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .expect("valgrind; on Debian: apt-get install valgrind");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{part}: {text}{}", String::from_utf8_lossy(&out.stdout));
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, n)| n.trim().parse::<u64>());
    collected.and_then(Result::ok).unwrap_or_else(|| panic!("{part}: no count in {text}"))
}

#[test]
#[ignore = "needs valgrind on x86-64; cargo xtask test runs it"]
fn instructions_are_as_many_as_were_accepted() {
    if let Ok(part) = std::env::var(PART) {
        let (_, make) = PARTS.iter().find(|(name, _)| *name == part).unwrap();
        let mut work = make();
        // what is made once is not counted
        work();
        // on the pool's one thread, so that nothing is handed to another: what that does is not counted
        rayon::scope(|_| saescope_counted(&mut *work));
        return;
    }
    let counts: BTreeMap<&str, u64> = PARTS.iter().map(|(part, _)| (*part, count(part))).collect();
    if std::env::var_os("SAESCOPE_GENERATE").is_some() {
        std::fs::write(ACCEPTED, format!("{}\n", serde_json::to_string_pretty(&counts).unwrap())).unwrap();
    }
    let accepted: BTreeMap<String, u64> = serde_json::from_slice(&std::fs::read(ACCEPTED).unwrap()).unwrap();
    assert!(accepted.keys().map(String::as_str).eq(counts.keys().copied()), "parts: {counts:?}");
    let mut wrong = Vec::new();
    for (part, count) in counts {
        let ratio = count as f64 / accepted[part] as f64;
        println!("{part}: {count} instructions, {ratio:.3} of what was accepted");
        if (ratio - 1.0).abs() > TOLERANCE {
            wrong.push(format!("{part}: {count} instructions, {} accepted", accepted[part]));
        }
    }
    assert!(wrong.is_empty(), "more, or fewer: {wrong:#?}");
}
