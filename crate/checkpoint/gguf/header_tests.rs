use proptest::prelude::*;

use super::super::super::testing::Gguf;
use super::*;

fn all(bytes: &[u8]) -> Result<Header> {
    Ok(parse(bytes, bytes.len() as u64, "test.gguf")?.expect("the whole file is here"))
}

fn message(bytes: &[u8]) -> String {
    let text = all(bytes).unwrap_err().to_string();
    assert!(text.contains("test.gguf") && text.contains("hint:"), "{text}");
    text
}

fn sample() -> Gguf {
    Gguf::default()
        .text("general.architecture", "llama")
        .float("eps", 1e-5)
        .flag("flag", true)
        .key("list", MetaValue::Ints(vec![-1, 2]))
        .key("words", MetaValue::Texts(vec!["a".into(), "ü".into()]))
        .key("scores", MetaValue::Floats(vec![0.5, -1.0]))
        .f32("w", &[2, 1], &[1.0, 2.0])
        .f32("v", &[1], &[3.0])
}

#[test]
fn everything_comes_out() {
    for version in [2, 3] {
        let mut file = sample();
        file.version = Some(version);
        let bytes = file.build();
        let header = all(&bytes).unwrap();
        assert_eq!(header.metadata["eps"], MetaValue::Float(1e-5));
        assert_eq!(header.metadata["flag"], MetaValue::Bool(true));
        assert_eq!(header.metadata["list"], MetaValue::Ints(vec![-1, 2]));
        assert_eq!(header.metadata["words"], MetaValue::Texts(vec!["a".into(), "ü".into()]));
        assert_eq!(header.metadata["scores"], MetaValue::Floats(vec![0.5, -1.0]));
        assert_eq!(header.tensors[0], TensorHeader { name: "w".into(), dims: vec![2, 1], kind: 0, offset: 0 });
        assert_eq!(header.tensors[1].offset, 32);
        assert_eq!(header.data % 32, 0);
        assert_eq!(bytes[header.data as usize..][..4], 1f32.to_le_bytes());
    }
}

#[test]
fn every_integer_width() {
    let values: [(u32, &[u8], i64); 6] = [
        (0, &[200], 200),
        (1, &[200], -56),
        (2, &[255, 255], 65535),
        (3, &[255, 255], -1),
        (4, &[255, 255, 255, 255], 0xffff_ffff),
        (10, &[1, 0, 0, 0, 0, 0, 0, 1], (1 << 56) + 1),
    ];
    for (kind, bytes, expected) in values {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend(0u64.to_le_bytes());
        file.extend(1u64.to_le_bytes());
        file.extend(1u64.to_le_bytes());
        file.push(b'k');
        file.extend(kind.to_le_bytes());
        file.extend(bytes);
        assert_eq!(all(&file).unwrap().metadata["k"], MetaValue::Int(expected), "type {kind}");
    }
}

#[test]
fn a_prefix_asks_for_more() {
    let bytes = sample().build();
    let header = all(&bytes).unwrap();
    for end in 0..header.data as usize - 32 {
        assert_eq!(parse(&bytes[..end], bytes.len() as u64, "test.gguf").unwrap(), None, "{end}");
    }
}

#[test]
fn truncated_files_are_named_so() {
    let bytes = sample().build();
    for end in 0..all(&bytes).unwrap().data as usize - 32 {
        assert!(message(&bytes[..end]).contains("remaining"), "{end}");
    }
}

#[test]
fn wrong_beginnings() {
    let good = sample().build();
    let mut file = good.clone();
    file[..4].copy_from_slice(b"GGML");
    assert!(message(&file).contains("GGML"));
    for (version, word) in [(1u32, "version 1"), (4, "found 4"), (3 << 24, "big-endian"), (0, "found 0")] {
        let mut file = good.clone();
        file[4..8].copy_from_slice(&version.to_le_bytes());
        assert!(message(&file).contains(word), "{}", message(&file));
    }
}

#[test]
fn absurd_counts_and_lengths() {
    let good = sample().build();
    for absurd in [u64::MAX, 1 << 60, good.len() as u64] {
        // tensors, values, length of the first key, length of the first text
        for (at, word) in
            [(8, "number of tensors"), (16, "number of metadata"), (24, "metadata key"), (56, "general.arch")]
        {
            let mut file = good.clone();
            file[at..at + 8].copy_from_slice(&absurd.to_le_bytes());
            assert!(message(&file).contains(word), "{at}: {}", message(&file));
        }
    }
    // a list that claims 2^60 values
    let at = good.windows(4).position(|w| w == b"list").unwrap() + 12;
    let mut file = good.clone();
    file[at..at + 8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(message(&file).contains("metadata list"), "{}", message(&file));
}

#[test]
fn odd_values() {
    let twice = Gguf::default().int("k", 1).int("k", 2).build();
    assert!(message(&twice).contains("each key once"));
    for alignment in [0, -32, 3, 1 << 40] {
        let file = Gguf::default().int("general.alignment", alignment).build();
        assert!(message(&file).contains("power of two"));
    }
    let file = Gguf::default().f32("w", &[1, 1, 1, 1, 1], &[1.0]).build();
    assert!(message(&file).contains("4 dimensions"));
    let mut file = Gguf::default().text("k", "ab").build();
    let at = file.windows(2).position(|w| w == b"ab").unwrap();
    file[at] = 0xff;
    assert!(message(&file).contains("UTF-8"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend(&bytes);
        let _ = parse(&file, file.len() as u64, "x");
        let _ = parse(&file, 1 << 40, "x");
        let _ = parse(&bytes, bytes.len() as u64, "x");
    }

    #[test]
    fn mutations_never_panic(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut file = sample().build();
        let at = at.index(file.len());
        file[at] = to;
        let _ = parse(&file, file.len() as u64, "x");
        file.truncate(cut.index(file.len()));
        let _ = parse(&file, file.len() as u64, "x");
        let _ = parse(&file, 1 << 50, "x");
    }
}
