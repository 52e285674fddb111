//! Writes the files that the fuzzer begins with: `seeds FOLDER RUN`, a folder a target. `RUN` is a finished part
//! of a run (`analyze --shard 1/1`), whose spool and manifest are among them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

type Any = Box<dyn std::error::Error>;

/// A value of GGUF's metadata.
enum Meta<'a> {
    Int(u32),
    Float(f32),
    Text(&'a str),
    Texts(&'a [&'a str]),
}

fn text(of: &str) -> Vec<u8> {
    [&(of.len() as u64).to_le_bytes()[..], of.as_bytes()].concat()
}

/// A model of one block in a GGUF file (version 3; `ggml/docs/gguf.md`).
fn gguf() -> Vec<u8> {
    let metadata = [
        ("general.architecture", Meta::Text("llama")),
        ("llama.block_count", Meta::Int(1)),
        ("llama.context_length", Meta::Int(16)),
        ("llama.embedding_length", Meta::Int(8)),
        ("llama.feed_forward_length", Meta::Int(12)),
        ("llama.attention.head_count", Meta::Int(2)),
        ("llama.attention.head_count_kv", Meta::Int(1)),
        ("llama.attention.layer_norm_rms_epsilon", Meta::Float(1e-6)),
        ("llama.rope.freq_base", Meta::Float(1e4)),
        ("tokenizer.ggml.model", Meta::Text("gpt2")),
        ("tokenizer.ggml.pre", Meta::Text("smollm")),
        ("tokenizer.ggml.tokens", Meta::Texts(&["<s>", "</s>", "a", "b", "ab", "Ġ"])),
        ("tokenizer.ggml.merges", Meta::Texts(&["a b"])),
        ("tokenizer.ggml.bos_token_id", Meta::Int(0)),
    ];
    let tensors: [(&str, &[u64]); 12] = [
        ("token_embd.weight", &[8, 6]),
        ("output_norm.weight", &[8]),
        ("output.weight", &[8, 6]),
        ("blk.0.attn_norm.weight", &[8]),
        ("blk.0.ffn_norm.weight", &[8]),
        ("blk.0.attn_q.weight", &[8, 8]),
        ("blk.0.attn_k.weight", &[8, 4]),
        ("blk.0.attn_v.weight", &[8, 4]),
        ("blk.0.attn_output.weight", &[8, 8]),
        ("blk.0.ffn_gate.weight", &[8, 12]),
        ("blk.0.ffn_up.weight", &[8, 12]),
        ("blk.0.ffn_down.weight", &[12, 8]),
    ];
    let mut file = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        file.extend(text(key));
        let (kind, bytes) = match value {
            Meta::Int(n) => (4u32, n.to_le_bytes().to_vec()),
            Meta::Float(x) => (6, x.to_le_bytes().to_vec()),
            Meta::Text(t) => (8, text(t)),
            Meta::Texts(list) => {
                let head = [&8u32.to_le_bytes()[..], &(list.len() as u64).to_le_bytes()].concat();
                (9, list.iter().fold(head, |all, one| [all, text(one)].concat()))
            }
        };
        file.extend(kind.to_le_bytes());
        file.extend(bytes);
    }
    let mut data = 0u64;
    for (name, sizes) in tensors {
        file.extend(text(name));
        file.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|n| file.extend(n.to_le_bytes()));
        file.extend(0u32.to_le_bytes());
        file.extend(data.to_le_bytes());
        data += (sizes.iter().product::<u64>() * 4).next_multiple_of(32);
    }
    file.resize(file.len().next_multiple_of(32) + data as usize, 0);
    file
}

/// A data set of three rows.
fn data_parquet(compression: Compression, dictionary: bool) -> Result<Vec<u8>, Any> {
    let columns = ["id", "prompt", "fact", "hallucination"].map(|name| {
        let values = (0..3).map(|i| format!("{name} {i}"));
        (name, Arc::new(StringArray::from_iter_values(values)) as ArrayRef)
    });
    let batch = RecordBatch::try_from_iter(columns)?;
    let properties = WriterProperties::builder().set_compression(compression).set_dictionary_enabled(dictionary);
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build()))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// The frames of a spool as the target `spool` takes them: kind, length, payload.
fn frames(mut spool: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [a, b, c, d, _, _, _, _, _, _, _, _, rest @ ..] = spool {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let Some((&[kind, ref payload @ ..], next)) = rest.split_at_checked(length) else { break };
        let short = payload.len().min(usize::from(u16::MAX));
        out.push(kind);
        out.extend((short as u16).to_le_bytes());
        out.extend_from_slice(&payload[..short]);
        spool = next;
    }
    out
}

fn main() -> Result<(), Any> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(run)) = (args.next(), args.next()) else { return Err("seeds FOLDER RUN".into()) };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let write = |target: &str, name: &str, bytes: &[u8]| -> Result<(), Any> {
        std::fs::create_dir_all(folder.join(target))?;
        Ok(std::fs::write(folder.join(target).join(name), bytes)?)
    };
    let copy = |target: &str, name: &str, prefix: &[u8], from: &str| -> Result<(), Any> {
        write(target, name, &[prefix, &std::fs::read(golden.join(from))?].concat())
    };
    for (i, family) in ["gemma2", "gemma3", "llama", "gpt2"].into_iter().enumerate() {
        copy("config", family, &[i as u8], &format!("models/{family}/model/config.json"))?;
        copy("tokenizer", family, &[i as u8], &format!("models/{family}/model/tokenizer.json"))?;
    }
    for (i, from) in [
        "models/llama/saes/layer_1/cfg.json",
        "sae/saelens_topk_none_no_b_dec_k7/cfg.json",
        "sae/saelens_jumprelu_expected_average_only_in_no_b_dec/cfg.json",
        "models/gemma3/saes/resid_post/layer_2_width_96_l0_small/config.json",
    ]
    .into_iter()
    .enumerate()
    {
        copy("sae_config", &i.to_string(), &[i as u8], from)?;
    }
    copy("safetensors", "sae", &[], "models/llama/saes/layer_1/sae_weights.safetensors")?;
    copy("safetensors", "small", &[], "sae/saelens_topk_none_no_b_dec_k7/sae_weights.safetensors")?;
    copy("shards", "index", &[], "models/llama3_sharded_bf16/model/model.safetensors.index.json")?;
    for name in ["stored", "deflated"] {
        copy("npz", name, &[], &format!("npz/{name}.npz"))?;
    }
    write("gguf", "llama", &gguf())?;

    let row = |id: &str| {
        format!(
            r#"{{"id": "{id}", "domain": "x", "complexity": 1, "prompt": "A b", "fact": "c", "hallucination": "d"}}"#
        )
    };
    write("data_json", "rows", format!("[{},\n{}]", row("a"), row("b")).as_bytes())?;
    write("data_json", "questions", br#"[{"question": "a", "correct": "b", "wrong": "c"}]"#)?;
    write("data_jsonl", "rows", format!("{}\n{}\n", row("a"), row("b")).as_bytes())?;
    write("data_csv", "rows", b"id,prompt,fact,hallucination\n1,\"a \"\"b\"\"\",c,d\n2,e,f,g\n")?;
    for (name, compression, dictionary) in [
        ("plain", Compression::UNCOMPRESSED, false),
        ("dictionary", Compression::UNCOMPRESSED, true),
        ("snappy", Compression::SNAPPY, true),
    ] {
        write("data_parquet", name, &data_parquet(compression, dictionary)?)?;
    }
    let spool = std::fs::read(run.join("part.spool"))?;
    write("spool", "raw", &spool)?;
    write("spool", "frames", &frames(&spool))?;
    write("run_folder", "manifest", &std::fs::read(run.join("manifest.json"))?)?;
    write(
        "run_folder",
        "catalog",
        br#"{"version": 1, "models": [], "runs": [{"name": "a", "title": "b", "url": "runs/a/"}]}"#,
    )
}
