use tokenizers::Tokenizer;

use super::*;

type Metadata = BTreeMap<String, MetaValue>;

fn texts(values: &[&str]) -> MetaValue {
    MetaValue::Texts(values.iter().map(|v| (*v).to_owned()).collect())
}

fn ids(metadata: &Metadata, text: &str) -> Vec<u32> {
    let json = tokenizer_json(metadata).unwrap();
    let tokenizer = Tokenizer::from_bytes(&json).unwrap();
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

fn decoded(metadata: &Metadata, ids: &[u32]) -> String {
    Tokenizer::from_bytes(tokenizer_json(metadata).unwrap()).unwrap().decode(ids, false).unwrap()
}

/// Bytes as GPT-2 spells them, for ASCII: Ġ is the space, Ċ the line end.
fn byte_level(pre: &str) -> Metadata {
    let mut tokens = vec!["<|end|>", "<tool>", "Ġ", "Ċ", "Ã", "©"];
    tokens.extend(["a", "b", "c", "1", "2", "3", "4", "Ġa", "ab", "Ġab", "12", "123", "bc", "abc"]);
    let types = tokens
        .iter()
        .map(|t| {
            if t.starts_with("<|") {
                3
            } else if t.starts_with('<') {
                4
            } else {
                1
            }
        })
        .collect();
    Metadata::from([
        ("tokenizer.ggml.model".into(), MetaValue::Text("gpt2".into())),
        ("tokenizer.ggml.pre".into(), MetaValue::Text(pre.into())),
        ("tokenizer.ggml.tokens".into(), texts(&tokens)),
        ("tokenizer.ggml.token_type".into(), MetaValue::Ints(types)),
        ("tokenizer.ggml.merges".into(), texts(&["Ġ a", "a b", "Ġa b", "1 2", "12 3"])),
        ("tokenizer.ggml.bos_token_id".into(), MetaValue::Int(0)),
    ])
}

#[test]
fn byte_level_pre_tokenizers() {
    // 123 together, 1 2 3 apart, and by threes
    for (pre, expected) in [
        ("default", vec![15, 17, 12]),
        ("gpt-2", vec![15, 17, 12]),
        ("smollm", vec![15, 9, 10, 11, 12]),
        ("qwen2", vec![15, 9, 10, 11, 12]),
    ] {
        assert_eq!(ids(&byte_level(pre), " ab1234"), expected, "{pre}");
    }
    let mut unnamed = byte_level("");
    unnamed.remove("tokenizer.ggml.pre");
    assert_eq!(ids(&unnamed, " ab1234"), [15, 17, 12]);
    // Llama 3: a begin token unless the file says otherwise, and whole tokens before merges
    let mut llama3 = byte_level("llama-bpe");
    assert_eq!(ids(&llama3, "abc 1234"), [0, 19, 2, 17, 12]);
    llama3.insert("tokenizer.ggml.add_bos_token".into(), MetaValue::Bool(false));
    assert_eq!(ids(&llama3, "abc"), [19]);
    assert_eq!(ids(&byte_level("gpt-2"), "abc"), [14, 8]);
}

#[test]
fn byte_level_special_tokens_and_bytes() {
    let metadata = byte_level("gpt-2");
    assert_eq!(ids(&metadata, "é a<|end|>b<tool>\n"), [4, 5, 13, 0, 7, 1, 3]);
    assert_eq!(decoded(&metadata, &[4, 5, 13, 0, 7, 1, 3]), "é a<|end|>b<tool>\n");
    let tokenizer = Tokenizer::from_bytes(tokenizer_json(&metadata).unwrap()).unwrap();
    assert_eq!(tokenizer.decode(&[0, 1, 6], true).unwrap(), "<tool>a");
}

#[test]
fn begin_and_end_tokens() {
    let mut metadata = byte_level("gpt-2");
    metadata.insert("tokenizer.ggml.add_bos_token".into(), MetaValue::Bool(true));
    metadata.insert("tokenizer.ggml.add_eos_token".into(), MetaValue::Bool(true));
    metadata.insert("tokenizer.ggml.eos_token_id".into(), MetaValue::Int(1));
    assert_eq!(ids(&metadata, "a"), [0, 6, 1]);
    let tokenizer = Tokenizer::from_bytes(tokenizer_json(&metadata).unwrap()).unwrap();
    assert_eq!(tokenizer.encode(("a", "b"), true).unwrap().get_ids(), [0, 6, 1, 0, 7, 1]);
    assert_eq!(tokenizer.encode("a", false).unwrap().get_ids(), [6]);
}

fn sentencepiece(prefix: bool) -> Metadata {
    let mut tokens: Vec<String> = ["<pad>", "<eos>", "<bos>", "<unk>"].map(String::from).to_vec();
    tokens.extend((0..256).map(|b| format!("<0x{b:02X}>")));
    let first = tokens.len();
    // 260 on; runs of spaces as llama.cpp's converter writes them
    let pieces = ["\n", "\n\n", "  ", "   ", "▁", "a", "b", "▁a", "ab", "▁ab", "é"];
    tokens.extend(pieces.map(String::from));
    let kind = |id: usize| match id {
        0..=2 => 3,
        3 => 2,
        4..260 => 6,
        260..264 => 4,
        _ => 1,
    };
    let score = |id: usize| match kind(id) {
        1 => match tokens[id].chars().count() {
            1 => -100.0,
            _ => (first as f32) - id as f32,
        },
        6 => 0.0,
        _ => -1000.0,
    };
    Metadata::from([
        ("tokenizer.ggml.model".into(), MetaValue::Text("llama".into())),
        ("tokenizer.ggml.scores".into(), MetaValue::Floats((0..tokens.len()).map(score).collect())),
        ("tokenizer.ggml.token_type".into(), MetaValue::Ints((0..tokens.len()).map(kind).collect())),
        ("tokenizer.ggml.bos_token_id".into(), MetaValue::Int(2)),
        ("tokenizer.ggml.unknown_token_id".into(), MetaValue::Int(3)),
        ("tokenizer.ggml.add_space_prefix".into(), MetaValue::Bool(prefix)),
        ("tokenizer.ggml.tokens".into(), MetaValue::Texts(tokens)),
    ])
}

#[test]
fn sentencepiece_as_gemma() {
    let gemma = sentencepiece(false);
    assert_eq!(ids(&gemma, "a ab"), [2, 265, 269]);
    // runs of spaces and line ends go whole, the longest first
    assert_eq!(ids(&gemma, "a   b\n\n\n"), [2, 265, 263, 266, 261, 260]);
    assert_eq!(ids(&gemma, "  a"), [2, 262, 265]);
    // bytes for what has no piece
    assert_eq!(ids(&gemma, "éü"), [2, 270, 4 + 0xc3, 4 + 0xbc]);
    assert_eq!(ids(&gemma, "<eos>a<0x0A>")[..3], [2, 1, 265]);
    // a byte without a token of its own, as Gemma 2 lacks one, takes nothing from the others
    let mut lacking = gemma.clone();
    if let Some(MetaValue::Ints(types)) = lacking.get_mut("tokenizer.ggml.token_type") {
        types[4 + 0x09] = 5;
    }
    assert_eq!(ids(&lacking, "éü"), ids(&gemma, "éü"));
    assert_eq!(decoded(&gemma, &[265, 269, 4 + 0xc3, 4 + 0xbc]), "a abü");
    let json: Value = serde_json::from_slice(&tokenizer_json(&gemma).unwrap()).unwrap();
    assert_eq!(json["model"]["byte_fallback"], true);
    assert_eq!(json["model"]["unk_token"], "<unk>");
}

#[test]
fn sentencepiece_as_llama() {
    let llama = sentencepiece(true);
    assert_eq!(ids(&llama, "ab"), [2, 269]);
    // the two spaces are a user-defined run, which goes first
    assert_eq!(ids(&llama, " ab"), [2, 262, 268]);
    assert_eq!(decoded(&llama, &[269, 267]), "ab a");
    let mut without_bos = llama;
    without_bos.insert("tokenizer.ggml.add_bos_token".into(), MetaValue::Bool(false));
    assert_eq!(ids(&without_bos, "ab"), [269]);
}

#[test]
fn vocabularies_that_give_none_say_why() {
    let with = |base: Metadata, key: &str, value: Option<MetaValue>| {
        let mut metadata = base;
        let key = format!("tokenizer.ggml.{key}");
        match value {
            Some(value) => metadata.insert(key, value),
            None => metadata.remove(&key),
        };
        tokenizer_json(&metadata).unwrap_err()
    };
    let int = |n| Some(MetaValue::Int(n));
    let text = |t: &str| Some(MetaValue::Text(t.into()));
    let bpe = || byte_level("gpt-2");
    assert!(with(bpe(), "tokens", None).contains("no vocabulary"));
    assert!(with(bpe(), "tokens", int(1)).contains("list of texts"));
    assert!(with(bpe(), "model", text("t5")).contains("model t5"));
    assert!(with(bpe(), "model", None).contains("tokenizer.ggml.model"));
    assert!(with(bpe(), "pre", text("tekken")).contains("tekken"));
    assert!(with(bpe(), "merges", None).contains("merges"));
    assert!(with(bpe(), "merges", Some(texts(&["a z"]))).contains("a z"));
    assert!(with(bpe(), "token_type", Some(MetaValue::Ints(vec![1]))).contains("token_type"));
    assert!(with(bpe(), "add_bos_token", int(1)).contains("add_bos_token"));
    assert!(with(sentencepiece(true), "bos_token_id", int(1 << 40)).contains("past"));
    assert!(with(sentencepiece(true), "bos_token_id", int(-1)).contains("past"));
    assert!(with(sentencepiece(true), "bos_token_id", None).contains("bos_token_id"));
    assert!(with(sentencepiece(true), "scores", Some(MetaValue::Floats(vec![0.0]))).contains("scores"));
    assert!(with(sentencepiece(true), "remove_extra_whitespaces", Some(MetaValue::Bool(true))).contains("whitespaces"));
}
