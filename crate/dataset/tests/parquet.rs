//! Parquet files as data frames write them, and damaged ones.

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, Float64Array, Int8Array, Int64Array, LargeStringArray, NullArray,
    RecordBatch, StringArray, StringViewArray, UInt32Array, UInt64Array,
};
use proptest::prelude::*;

use super::*;

/// A Parquet file of the columns.
fn parquet(columns: Vec<(&str, ArrayRef)>, compression: Compression) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let properties =
        WriterProperties::builder().set_compression(compression).set_max_row_group_row_count(Some(2)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn with_prompts(prompts: ArrayRef, extra: Vec<(&'static str, ArrayRef)>) -> Vec<u8> {
    let mut columns = vec![
        ("id", text(&["a", "b", "c"])),
        ("prompt", prompts),
        ("Fact", text(&["f"; 3])),
        ("hallucination", text(&["h"; 3])),
    ];
    columns.extend(extra);
    parquet(columns, Compression::SNAPPY)
}

#[test]
fn parquet_text_columns_of_every_kind() {
    let values = ["p", "é", "r"];
    let dictionary: DictionaryArray<Int32Type> = values.into_iter().collect();
    let kinds: [ArrayRef; 5] = [
        text(&values),
        Arc::new(LargeStringArray::from(values.to_vec())),
        Arc::new(StringViewArray::from(values.to_vec())),
        Arc::new(BinaryArray::from(values.map(str::as_bytes).to_vec())),
        Arc::new(dictionary),
    ];
    for prompts in kinds {
        let kind = prompts.data_type().clone();
        let set = read(Format::Parquet, with_prompts(prompts, vec![])).and_then(Dataset::strict).unwrap();
        assert_eq!(ids(&set), ["a", "b", "c"]);
        assert_eq!(set.samples.iter().map(|s| s.prompt.as_str()).collect::<Vec<_>>(), values, "{kind}");
    }
}

#[test]
fn parquet_integer_columns_of_every_kind() {
    let kinds: [ArrayRef; 6] = [
        Arc::new(Int8Array::from(vec![Some(-1), None, Some(7)])),
        Arc::new(Int64Array::from(vec![Some(-1), None, Some(7)])),
        Arc::new(UInt32Array::from(vec![Some(3), None, Some(7)])),
        Arc::new(UInt64Array::from(vec![Some(3), None, Some(7)])),
        Arc::new(Float64Array::from(vec![Some(3.0), None, Some(7.0)])),
        Arc::new(Float64Array::from(vec![3.0, f64::NAN, 7.0])),
    ];
    for complexity in kinds {
        let kind = complexity.data_type().clone();
        let set = read(Format::Parquet, with_prompts(text(&["p"; 3]), vec![("complexity", complexity)])).unwrap();
        assert!(set.rejected.is_empty(), "{kind}: {:?}", set.rejected);
        assert_eq!((set.samples[1].complexity, set.samples[2].complexity), (0, 7), "{kind}");
    }
    let nulls: ArrayRef = Arc::new(NullArray::new(3));
    let set =
        read(Format::Parquet, with_prompts(text(&["p"; 3]), vec![("complexity", nulls.clone()), ("domain", nulls)]))
            .unwrap();
    assert_eq!((set.samples[2].complexity, set.samples[2].domain.as_str()), (0, UNSPECIFIED_DOMAIN));
    let ids_as_numbers = vec![
        ("id", Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef),
        ("prompt", text(&["p"])),
        ("fact", text(&["f"])),
        ("hallucination", text(&["h"])),
    ];
    assert_eq!(
        ids(&read(Format::Parquet, parquet(ids_as_numbers, Compression::UNCOMPRESSED)).unwrap()),
        ["18446744073709551615"]
    );
}

#[test]
fn parquet_rows_are_checked_one_by_one() {
    let prompts = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"p"), None, Some(b"\xff")]));
    let complexity = Arc::new(UInt64Array::from(vec![1, 2, u64::MAX]));
    let set = read(Format::Parquet, with_prompts(prompts, vec![("complexity", complexity)])).unwrap();
    assert_eq!(ids(&set), ["a"]);
    let rejected: Vec<String> = set.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(rejected[0], "row 2, id \"b\": prompt is null");
    assert_eq!(
        rejected[1],
        "row 3, id \"c\": prompt: expected text, found bytes that are not UTF-8; complexity: expected a 64-bit integer, found 18446744073709551615"
    );
}

#[test]
fn parquet_of_another_shape_is_refused() {
    let wrong = error(read(Format::Parquet, with_prompts(Arc::new(Int64Array::from(vec![1, 2, 3])), vec![])));
    assert!(wrong.contains("column prompt: expected text, found type Int64"), "{wrong}");
    let missing =
        error(read(Format::Parquet, parquet(vec![("id", text(&["a"])), ("text", text(&["p"]))], Compression::SNAPPY)));
    assert!(
        missing.contains("columns prompt, fact, hallucination missing") && missing.contains("\"text\""),
        "{missing}"
    );
    let doubled = error(read(Format::Parquet, with_prompts(text(&["p"; 3]), vec![("PROMPT", text(&["p"; 3]))])));
    assert!(doubled.contains("two:"), "{doubled}");
    for bytes in [&b""[..], b"PAR1", b"PAR1PAR1", b"not parquet at all"] {
        assert!(error(read(Format::Parquet, bytes)).contains("expected a Parquet file"));
    }
    let whole = with_prompts(text(&["p"; 3]), vec![]);
    for end in 0..whole.len() {
        assert!(read(Format::Parquet, &whole[..end]).is_err());
    }
    let none =
        RecordBatch::try_from_iter(["id", "prompt", "fact", "hallucination"].map(|name| (name, text(&[])))).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), none.schema(), None).unwrap();
    writer.write(&none).unwrap();
    assert!(error(read(Format::Parquet, writer.into_inner().unwrap())).contains("at least one"));
}

#[test]
fn parquet_compressions() {
    let columns = || {
        vec![("id", text(&["a"])), ("prompt", text(&["p"])), ("fact", text(&["f"])), ("hallucination", text(&["h"]))]
    };
    for compression in
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4_RAW, Compression::GZIP(Default::default())]
    {
        assert_eq!(ids(&read(Format::Parquet, parquet(columns(), compression)).unwrap()), ["a"]);
    }
    assert_eq!(
        ids(&read(Format::Parquet, parquet(columns(), Compression::ZSTD(ZstdLevel::default()))).unwrap()),
        ["a"]
    );
    let text = super::super::columnar::damaged("data", "Disabled feature at compile time: brotli").to_string();
    assert!(text.starts_with("data: compression brotli is not supported") && text.contains("snappy"), "{text}");
}

proptest! {
    #[test]
    fn no_panic_on_damaged_parquet(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = with_prompts(text(&["p", "q", "r"]), vec![("complexity", Arc::new(Int64Array::from(vec![1, 2, 3])))]);
        for (place, byte) in places {
            let at = place.index(file.len());
            file[at] = byte;
        }
        every_format(&file);
    }
}
