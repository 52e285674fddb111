use serde_json::json;

use super::*;

type Metadata = BTreeMap<String, MetaValue>;

fn metadata(prefix: &str, more: &[(&str, MetaValue)]) -> Metadata {
    let mut metadata = Metadata::new();
    for (key, value) in [
        ("context_length", 128),
        ("embedding_length", 64),
        ("block_count", 7),
        ("feed_forward_length", 96),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
    ] {
        metadata.insert(format!("{prefix}.{key}"), MetaValue::Int(value));
    }
    metadata.insert(format!("{prefix}.attention.layer_norm_rms_epsilon"), MetaValue::Float(1e-6));
    metadata.insert("tokenizer.ggml.bos_token_id".into(), MetaValue::Int(2));
    metadata.insert("general.name".into(), MetaValue::Text("tiny".into()));
    for (key, value) in more {
        metadata.insert(format!("{prefix}.{key}"), value.clone());
    }
    metadata
}

fn build(arch: Architecture, metadata: &Metadata, factors: Option<&[f32]>) -> Result<Value> {
    let tensors =
        Tensors { vocab_size: 300, tied: true, attention_bias: false, mlp_bias: false, rope_factors: factors };
    config(arch, "test.gguf", metadata, &tensors)
}

#[test]
fn llama_of_the_plain_kind() {
    let metadata =
        metadata("llama", &[("rope.freq_base", MetaValue::Float(1e5)), ("rope.dimension_count", MetaValue::Int(16))]);
    assert_eq!(
        build(Architecture::Llama, &metadata, None).unwrap(),
        json!({
            "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 7,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-6,
            "attention_bias": false, "max_position_embeddings": 128, "hidden_act": "silu", "mlp_bias": false,
            "rope_theta": 1e5, "rope_scaling": null, "vocab_size": 300, "tie_word_embeddings": true,
            "bos_token_id": 2,
        })
    );
}

/// What llama.cpp's converter writes for Llama 3.1 and later.
fn llama3_factors(theta: f64, head_dim: usize, factor: f64) -> Vec<f32> {
    (0..head_dim / 2)
        .map(|i| {
            let wavelength = std::f64::consts::TAU * theta.powf(2.0 * i as f64 / head_dim as f64);
            let smooth = (8192.0 / wavelength - 1.0) / 3.0;
            if wavelength < 2048.0 {
                1.0
            } else if wavelength > 8192.0 {
                factor as f32
            } else {
                (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
            }
        })
        .collect()
}

#[test]
fn llama_rope_scaling() {
    let linear = metadata(
        "llama",
        &[
            ("rope.freq_base", MetaValue::Float(5e5)),
            ("rope.scaling.type", MetaValue::Text("linear".into())),
            ("rope.scaling.factor", MetaValue::Float(4.0)),
        ],
    );
    let config = build(Architecture::Llama, &linear, None).unwrap();
    assert_eq!(config["rope_scaling"], json!({"rope_type": "linear", "factor": 4.0}));

    let mut plain = metadata("llama", &[("rope.freq_base", MetaValue::Float(5e5))]);
    plain.insert("llama.attention.key_length".into(), MetaValue::Int(64));
    let factors = llama3_factors(5e5, 64, 32.0);
    let config = build(Architecture::Llama, &plain, Some(&factors)).unwrap();
    let expected = json!({
        "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    });
    assert_eq!(config["rope_scaling"], expected);

    let mut other = factors.clone();
    other[20] *= 1.01;
    for factors in [other.as_slice(), &factors[1..], &[]] {
        let error = build(Architecture::Llama, &plain, Some(factors)).unwrap_err().to_string();
        assert!(error.contains("rope_freqs.weight"), "{error}");
    }
    let yarn = metadata("llama", &[("rope.scaling.type", MetaValue::Text("yarn".into()))]);
    assert!(build(Architecture::Llama, &yarn, None).unwrap_err().to_string().contains("yarn"));
}

#[test]
fn gemma2_and_what_llama_cpp_hard_codes() {
    let more = [
        ("attention.key_length", MetaValue::Int(32)),
        ("attention.value_length", MetaValue::Int(32)),
        ("attn_logit_softcapping", MetaValue::Float(50.0)),
        ("attention.sliding_window", MetaValue::Int(16)),
    ];
    let config = build(Architecture::Gemma2, &metadata("gemma2", &more), None).unwrap();
    assert_eq!(config["model_type"], "gemma2");
    assert_eq!(config["query_pre_attn_scalar"], 32);
    assert_eq!(config["attn_logit_softcapping"], 50.0);
    assert_eq!(config["final_logit_softcapping"], 30.0);
    assert_eq!(config["sliding_window"], 16);
    assert_eq!(config["rope_theta"], 10000.0);
    assert_eq!(config["sliding_window_pattern"], 2);

    let mut large = metadata("gemma2", &more);
    large.insert("gemma2.block_count".into(), MetaValue::Int(46));
    assert_eq!(build(Architecture::Gemma2, &large, None).unwrap()["query_pre_attn_scalar"], 16);
}

#[test]
fn gemma3_and_what_llama_cpp_hard_codes() {
    let more = [
        ("attention.key_length", MetaValue::Int(32)),
        ("attention.sliding_window", MetaValue::Int(16)),
        ("rope.freq_base", MetaValue::Float(1e6)),
        ("rope.scaling.type", MetaValue::Text("linear".into())),
        ("rope.scaling.factor", MetaValue::Float(8.0)),
    ];
    let config = build(Architecture::Gemma3, &metadata("gemma3", &more), None).unwrap();
    assert_eq!(config["model_type"], "gemma3_text");
    assert_eq!(config["rope_local_base_freq"], 10000.0);
    assert_eq!(config["rope_scaling"]["factor"], 8.0);
    let pattern = |config: &Value| (config["sliding_window_pattern"].clone(), config["layer_types"].clone());
    assert_eq!(pattern(&config), (json!(6), Value::Null));
    let mut other = metadata("gemma3", &more);
    other.insert("gemma3.attention.sliding_window_pattern".into(), MetaValue::Int(3));
    assert_eq!(pattern(&build(Architecture::Gemma3, &other, None).unwrap()), (json!(3), Value::Null));
    let flags = [true, false, true, true, true, true, false];
    other.insert("gemma3.attention.sliding_window_pattern".into(), MetaValue::Bools(flags.to_vec()));
    let kinds = flags.map(|local| if local { "sliding_attention" } else { "full_attention" });
    assert_eq!(pattern(&build(Architecture::Gemma3, &other, None).unwrap()), (Value::Null, json!(kinds)));
    other.remove("gemma3.attention.sliding_window");
    assert_eq!(pattern(&build(Architecture::Gemma3, &other, None).unwrap()), (json!(1), Value::Null));
    other.remove("gemma3.rope.freq_base");
    assert!(build(Architecture::Gemma3, &other, None).unwrap_err().to_string().contains("gemma3.rope.freq_base"));
}

#[test]
fn gpt2_under_its_own_names() {
    let mut gpt2 = metadata("gpt2", &[("attention.layer_norm_epsilon", MetaValue::Float(1e-5))]);
    gpt2.remove("gpt2.attention.layer_norm_rms_epsilon");
    gpt2.remove("gpt2.attention.head_count_kv");
    let config = build(Architecture::Gpt2, &gpt2, None).unwrap();
    assert_eq!(
        config,
        json!({
            "model_type": "gpt2", "n_embd": 64, "n_inner": 96, "n_layer": 7, "n_head": 4, "n_positions": 128,
            "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "vocab_size": 300,
            "tie_word_embeddings": true, "bos_token_id": 2,
        })
    );
}

#[test]
fn what_would_change_the_numbers_is_refused() {
    let cases: [(&str, MetaValue, &str); 10] = [
        ("attention.scale", MetaValue::Float(0.1), "attention.scale"),
        ("expert_count", MetaValue::Int(8), "mixture of experts"),
        ("rope.dimension_count", MetaValue::Int(8), "partly rotary"),
        ("attention.value_length", MetaValue::Int(8), "value_length"),
        ("attention.head_count", MetaValue::Ints(vec![4, 4, 2]), "differs between layers"),
        ("attention.head_count_kv", MetaValue::Int(3), "divisor"),
        ("block_count", MetaValue::Int(-1), "whole number"),
        ("block_count", MetaValue::Text("7".into()), "whole number"),
        ("attention.layer_norm_rms_epsilon", MetaValue::Float(f64::NAN), "positive"),
        ("rope.freq_base", MetaValue::Bool(true), "positive"),
    ];
    for (key, value, word) in cases {
        let error = build(Architecture::Llama, &metadata("llama", &[(key, value)]), None).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("test.gguf") && error.contains("hint:"), "{key}: {error}");
    }
    let alike = metadata("llama", &[("attention.head_count", MetaValue::Ints(vec![4; 7]))]);
    assert_eq!(build(Architecture::Llama, &alike, None).unwrap()["num_attention_heads"], 4);
    let mut without = metadata("llama", &[]);
    without.remove("llama.block_count");
    assert!(build(Architecture::Llama, &without, None).unwrap_err().to_string().contains("llama.block_count"));
}
