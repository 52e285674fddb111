use std::sync::Arc;

use super::super::super::testing::{Gguf, source, wait};
use super::super::names::{Architecture, Place, Undo, place, stored};
use super::super::{Named, Subject, open};
use super::*;
use crate::checkpoint::Quantization;
use crate::platform::MemorySource;

#[test]
fn names_go_there_and_back() {
    for arch in [Architecture::Llama, Architecture::Gemma2, Architecture::Gemma3, Architecture::Gpt2] {
        let mut found = 0;
        for part in [
            "token_embd",
            "position_embd",
            "output_norm",
            "output",
            "blk.3.attn_norm",
            "blk.3.attn_q",
            "blk.3.attn_k",
            "blk.3.attn_v",
            "blk.3.attn_qkv",
            "blk.3.attn_q_norm",
            "blk.3.attn_k_norm",
            "blk.3.attn_output",
            "blk.3.post_attention_norm",
            "blk.3.ffn_norm",
            "blk.3.ffn_gate",
            "blk.3.ffn_up",
            "blk.3.ffn_down",
            "blk.3.post_ffw_norm",
            "blk.4.attn_q",
        ] {
            for kind in ["weight", "bias"] {
                let name = format!("{part}.{kind}");
                if let Place::Named(presented, undo) = place(arch, &name, 4) {
                    assert_eq!(stored(arch, &presented, 4), Some((name, undo)), "{arch:?}");
                    found += 1;
                }
            }
        }
        assert!(found >= 12, "{arch:?}: {found}");
        assert_eq!(stored(arch, "model.layers.4.self_attn.q_proj.weight", 4), None);
        assert_eq!(stored(arch, "model.layers.x.self_attn.q_proj.weight", 4), None);
    }
    let bias = stored(Architecture::Llama, "model.layers.0.self_attn.q_proj.bias", 4);
    assert_eq!(bias, Some(("blk.0.attn_q.bias".to_owned(), Undo::QueryRows)));
}

/// A llama of one block, as far as a plan looks at it.
fn model() -> (Checkpoint, Vec<Named>) {
    let values = |n: usize| (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect::<Vec<f32>>();
    let file = Gguf::default()
        .text("general.architecture", "llama")
        .int("llama.block_count", 1)
        .int("llama.embedding_length", 256)
        .int("llama.feed_forward_length", 33)
        .int("llama.attention.head_count", 2)
        .float("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .f32("token_embd.weight", &[256, 3], &values(768))
        .f32("blk.0.attn_norm.weight", &[256], &values(256))
        .f32("blk.0.attn_q.weight", &[256, 8], &values(2048))
        .f32("blk.0.attn_output.weight", &[96, 4], &values(384))
        .f32("blk.0.ffn_down.weight", &[33, 4], &values(132));
    let names = [
        "model.embed_tokens.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
    ];
    let named = names.map(|name| Named { from: name.to_owned(), name: name.to_owned() }).to_vec();
    (wait(open(source(file.build()))).unwrap().checkpoint, named)
}

fn description() -> Description {
    let mut d = Description::default();
    for (key, count) in
        [("block_count", 1), ("embedding_length", 256), ("feed_forward_length", 33), ("attention.head_count", 2)]
    {
        d.count(key, count);
    }
    d.number("attention.layer_norm_rms_epsilon", 1e-5);
    d.others = [
        ("general.name", MetaValue::Text("a model".into())),
        ("tokenizer.ggml.token_type", MetaValue::Ints(vec![1, -3, 6])),
        ("tokenizer.ggml.scores", MetaValue::Floats(vec![0.5, -1e9])),
        ("tokenizer.ggml.tokens", MetaValue::Texts(vec!["a".into(), "▁b".into(), String::new()])),
        ("tokenizer.ggml.add_bos_token", MetaValue::Bool(true)),
        ("tokenizer.flags", MetaValue::Bools(vec![true, false])),
        ("tokenizer.large", MetaValue::Int(1 << 40)),
        ("tokenizer.negative", MetaValue::Int(-1)),
        ("tokenizer.long", MetaValue::Ints(vec![1 << 40])),
        ("tokenizer.double", MetaValue::Float(0.1 + 0.2)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    d
}

#[test]
fn what_is_written_is_what_is_read() {
    let (checkpoint, tensors) = model();
    let subject = Subject { file: "m", architecture: "llama", layers: 1, heads: [2, 2], tensors: &tensors };
    for (quantization, kinds) in [
        (Quantization::Q8, ["Q8_0", "F32", "Q8_0", "Q8_0", "F32"]),
        (Quantization::Q4, ["Q8_0", "F32", "Q4_K", "Q5_0", "F32"]),
    ] {
        let plan = Plan::new(&subject, &checkpoint, quantization, false).unwrap();
        let quantized = plan.apply(&checkpoint);
        let (mut file, mut told) = (Vec::new(), 0);
        wait(plan.write(&quantized, &description(), &mut file, "out.gguf", |bytes| {
            told += bytes;
            Ok(())
        }))
        .unwrap();
        assert!(told <= plan.bytes() && plan.bytes() < file.len() as u64);
        let read = wait(open(Arc::new(MemorySource::new("out.gguf", file)))).unwrap();
        for (key, value) in &description().others {
            assert_eq!(&read.metadata[key], value, "{key}");
        }
        assert_eq!(read.config, plan.config(&description(), "m").unwrap());
        for (Named { from, .. }, kind) in tensors.iter().zip(kinds) {
            let (there, read) = (quantized.info(from).unwrap(), read.checkpoint.info(from).unwrap().clone());
            assert_eq!((&there.shape, there.dtype.as_str()), (&read.shape, kind), "{from}");
            assert_eq!(read.dtype, kind);
            assert_eq!(quantized.packed_bytes(from).unwrap(), read.nbytes);
        }
        let rows = [2, 0, 2];
        for Named { from, .. } in &tensors {
            let (here, there) = (wait(quantized.read(from)).unwrap(), wait(read.checkpoint.read(from)).unwrap());
            assert_eq!(here, there, "{from}");
            let shape = &there.shape;
            let packed = |checkpoint: &Checkpoint| wait(checkpoint.read_packed(from, shape)).unwrap();
            assert_eq!(packed(&quantized).dense().unwrap(), here, "{from}");
            if let [_, columns] = shape[..] {
                let some = wait(quantized.read_rows(from, &rows)).unwrap().data;
                let all: Vec<f32> =
                    rows.iter().flat_map(|row| here.data[row * columns..][..columns].to_vec()).collect();
                assert_eq!(some, all, "{from}");
            }
        }
    }
}

#[test]
fn who_is_told_can_end_it() {
    let (checkpoint, tensors) = model();
    let subject = Subject { file: "m", architecture: "llama", layers: 1, heads: [2, 2], tensors: &tensors };
    let plan = Plan::new(&subject, &checkpoint, Quantization::Q8, false).unwrap();
    let (mut file, mut tensors) = (Vec::new(), 0);
    let told = |_| {
        tensors += 1;
        if tensors == 2 { Err(Error::Cancelled) } else { Ok(()) }
    };
    let ended = wait(plan.write(&plan.apply(&checkpoint), &description(), &mut file, "out.gguf", told));
    assert!(matches!(ended, Err(Error::Cancelled)) && tensors == 2);
}

#[test]
fn a_tensor_without_a_place_is_refused() {
    let (checkpoint, mut tensors) = model();
    tensors[1].name = "model.layers.0.self_attn.sinks".into();
    let subject = Subject { file: "m", architecture: "llama", layers: 1, heads: [2, 2], tensors: &tensors };
    let text = Plan::new(&subject, &checkpoint, Quantization::Q8, false).unwrap_err().to_string();
    assert!(text.contains("input_layernorm") && text.contains("llama") && text.contains("hint:"), "{text}");
    // and nothing is to be done where no row is of whole blocks
    let none = [Named { from: tensors[4].from.clone(), name: tensors[4].name.clone() }];
    let subject = Subject { tensors: &none, ..subject };
    let text = Plan::new(&subject, &checkpoint, Quantization::Q4, false).unwrap_err().to_string();
    assert!(text.contains("whole blocks"), "{text}");
}
