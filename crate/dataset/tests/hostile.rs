//! Parquet files that say more than they hold, and those that hold more than they look like; tables without
//! an end.

use std::io::Write;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, Encoding};
use ::parquet::column::writer::ColumnCloseResult;
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use ::parquet::schema::types::ColumnPath;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;

use super::super::limits::MAX_ROWS;
use super::super::pages::check_footer;
use super::*;

fn zigzag(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)) as u64)
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Fields 1, 2, … of a struct, all i32, and its end.
fn integers(values: &[i64]) -> Vec<u8> {
    let fields = values.iter().flat_map(|v| [vec![0x15], zigzag(*v)].concat());
    fields.chain([0]).collect()
}

/// What a page's header claims.
#[derive(Clone, Copy)]
struct Claims {
    unpacked: i64,
    values: i64,
    encoding: i64,
}

fn page(claims: Claims, body: &[u8]) -> Vec<u8> {
    let Claims { unpacked, values, encoding } = claims;
    let mut page = integers(&[0, unpacked, body.len() as i64]);
    page.pop();
    page.push(0x2c);
    page.extend(integers(&[values, encoding, 3, 3]));
    page.push(0);
    page.extend(body);
    page
}

fn dictionary(claims: Claims, body: &[u8]) -> Vec<u8> {
    let mut page = integers(&[2, claims.unpacked, body.len() as i64]);
    page.pop();
    page.push(0x4c);
    page.extend(integers(&[claims.values, 0]));
    page.push(0);
    page.extend(body);
    page
}

/// Texts as plain values.
fn plain(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()).collect()
}

/// A file of one row in which the column `prompt` is `chunk`.
fn with_prompts(chunk: Vec<u8>, codec: Compression) -> Vec<u8> {
    let one = page(Claims { unpacked: 5, values: 1, encoding: 0 }, &plain(&["a"]));
    let schema = "message m { required binary prompt (UTF8); required binary fact (UTF8); \
                  required binary hallucination (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let columns = writer.schema_descr().columns().to_vec();
    let mut group = writer.next_row_group().unwrap();
    let chunks = [(chunk, codec), (one.clone(), Compression::UNCOMPRESSED), (one, Compression::UNCOMPRESSED)];
    for (column, (chunk, codec)) in columns.into_iter().zip(chunks) {
        let len = chunk.len() as i64;
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(codec)
            .set_encodings(vec![Encoding::PLAIN])
            .set_num_values(1)
            .set_total_compressed_size(len)
            .set_total_uncompressed_size(len)
            .set_data_page_offset(0)
            .build()
            .unwrap();
        let close = ColumnCloseResult {
            bytes_written: len as u64,
            rows_written: 1,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        group.append_column(&Bytes::from(chunk), close).unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

fn prompts(chunk: Vec<u8>) -> Result<Dataset> {
    read(Format::Parquet, with_prompts(chunk, Compression::UNCOMPRESSED))
}

#[test]
fn pages_by_hand_are_read_when_they_are_right() {
    let good = Claims { unpacked: 5, values: 1, encoding: 0 };
    assert_eq!(prompts(page(good, &plain(&["p"]))).unwrap().samples[0].prompt, "p");
    // index 0 of one bit, in a run of one
    let keys = page(Claims { unpacked: 3, values: 1, encoding: 8 }, &[1, 2, 0]);
    let chunk = [dictionary(good, &plain(&["q"])), keys].concat();
    assert_eq!(prompts(chunk).unwrap().samples[0].prompt, "q");
}

#[test]
fn nothing_is_allocated_by_what_a_header_claims() {
    let body = plain(&["p"]);
    let claims = Claims { unpacked: 5, values: 1, encoding: 0 };
    let huge = i64::from(i32::MAX);
    let refused = |chunk: Vec<u8>, codec: Compression, words: &str| {
        let text = error(read(Format::Parquet, with_prompts(chunk, codec)));
        assert!(text.contains(words), "{text}");
    };
    let plain = Compression::UNCOMPRESSED;
    for codec in [Compression::SNAPPY, Compression::ZSTD(Default::default()), Compression::LZ4_RAW] {
        refused(page(Claims { unpacked: huge, ..claims }, &body), codec, "more than 1073741824 bytes");
    }
    refused(page(Claims { unpacked: -5, ..claims }, &body), plain, "impossible size");
    refused(page(Claims { values: huge, ..claims }, &body), plain, "a page of 2147483647 values, at most 1 fit");
    refused(dictionary(Claims { values: huge, ..claims }, &body), plain, "values, at most 5 fit");
    // lengths of 2^40 texts, and of two texts where there is one
    for count in [1 << 40, 2] {
        let deltas = [varint(128), varint(4), varint(count), zigzag(1)].concat();
        for encoding in [6, 7] {
            let claims = Claims { unpacked: deltas.len() as i64, values: 1, encoding };
            refused(page(claims, &deltas), plain, &format!("a page of lengths with {count} of 1 values"));
        }
    }
    let second = [varint(128), varint(4), varint(1), zigzag(0), varint(128), varint(4), varint(1 << 40), zigzag(1)];
    let second = second.concat();
    let claims = Claims { unpacked: second.len() as i64, values: 1, encoding: 7 };
    refused(page(claims, &second), plain, "1099511627776 of 1 values");
    // a page that leaves its column
    let mut cut = page(Claims { unpacked: 5, values: 1, encoding: 0 }, &body);
    cut.pop();
    refused(cut, plain, "leaves its column");
}

#[test]
fn a_page_that_inflates_to_more_than_it_says_is_not_inflated() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = packed.finish().unwrap();
    assert!(bomb.len() < 100_000);
    let claims = Claims { unpacked: 5, values: 1, encoding: 0 };
    let text = error(read(Format::Parquet, with_prompts(page(claims, &bomb), Compression::GZIP(Default::default()))));
    assert!(text.contains("inflates to more than its 5 bytes"), "{text}");
    let chunk = page(claims, &vec![0; 2 << 20]);
    assert!(error(read(Format::Parquet, with_prompts(chunk, Compression::LZ4))).contains("the old LZ4"));
}

/// A file of `rows` rows that all have this prompt, once in a dictionary.
fn repeated(prompt: &str, rows: usize, version: WriterVersion, encoding: Option<Encoding>) -> Vec<u8> {
    let same = |text: &str| {
        let keys = Int32Array::from(vec![0; rows]);
        Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![text])))) as ArrayRef
    };
    let batch =
        RecordBatch::try_from_iter([("prompt", same(prompt)), ("fact", same("f")), ("hallucination", same("h"))]);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_page_size_limit(1 << 30)
        .set_writer_version(version);
    if let Some(encoding) = encoding {
        properties = properties.set_dictionary_enabled(false).set_column_encoding(ColumnPath::from("prompt"), encoding);
    }
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn every_encoding_is_read() {
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for encoding in
            [None, Some(Encoding::PLAIN), Some(Encoding::DELTA_BYTE_ARRAY), Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)]
        {
            let set = read(Format::Parquet, repeated("a prompt", 3000, version, encoding)).unwrap();
            assert_eq!(set.samples.len(), 3000);
            assert!(set.samples.iter().all(|s| s.prompt == "a prompt"), "{encoding:?}");
        }
    }
}

#[test]
fn a_small_file_of_one_giant_text_repeated_is_refused() {
    // 600 times two megabytes
    let prompt = "x".repeat(2 << 20);
    for encoding in [None, Some(Encoding::DELTA_BYTE_ARRAY)] {
        let file = repeated(&prompt, 600, WriterVersion::PARQUET_2_0, encoding);
        assert!(file.len() < 200_000, "{}", file.len());
        let text = error(read(Format::Parquet, file));
        assert!(text.contains("more than 1073741824 bytes of text"), "{text}");
    }
}

#[test]
fn there_is_an_end_to_rows_and_to_a_row() {
    let nulls = Arc::new(Int64Array::from(vec![None::<i64>; MAX_ROWS + 1])) as ArrayRef;
    let columns = ["prompt", "fact", "hallucination"].map(|name| {
        let none = Arc::new(StringArray::from(vec![None::<&str>; MAX_ROWS + 1])) as ArrayRef;
        (name, none, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().chain([("complexity", nulls, true)]));
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let file = writer.into_inner().unwrap();
    assert!(file.len() < 100_000, "{}", file.len());
    assert!(error(read(Format::Parquet, file)).contains("at most 2000000 are read"));
    assert!(error(read(Format::Json, format!("[{}{{}}]", "{},".repeat(MAX_ROWS)))).contains("more than 2000000 rows"));
    assert!(error(read(Format::Jsonl, "{}\n".repeat(MAX_ROWS + 1))).contains("at most 2000000"));
    let header = "prompt,fact,hallucination\n";
    assert!(error(read(Format::Csv, format!("{header}{}", "a\n".repeat(MAX_ROWS + 1)))).contains("at most 2000000"));
    for wide in [",".repeat(20 << 20), format!("{header}a,b,c\n{}\nd,e,f", ",".repeat(20 << 20))] {
        assert!(error(read(Format::Csv, wide)).contains("a row of more than 16777216 bytes"));
    }
}

#[test]
fn a_field_without_an_end_costs_its_row() {
    let long = "x".repeat(17 << 20);
    let row = |field: &str| {
        format!("{{\"id\": \"b\", \"prompt\": \"p\", \"fact\": \"f\", \"hallucination\": \"h\", {field}: \"{long}\"}}")
    };
    let set = read(Format::Jsonl, format!("{GOOD}\n{}", row("\"domain\""))).unwrap();
    assert_eq!(set.rejected[0].reason, "domain is longer than 16777216 bytes");
}

/// A file that ends with this footer.
fn with_footer(footer: &[u8]) -> Vec<u8> {
    [b"PAR1", footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

#[test]
fn footers_are_walked_before_they_are_believed() {
    let check = |footer: &[u8]| check_footer(&with_footer(footer)).unwrap_err();
    // version 1, then a schema of so many entries, each of a name and a number of columns below
    let schema = |children: &[i64]| {
        let mut footer = vec![0x15, 2, 0x19, 0xfc];
        footer.extend(varint(children.len() as u64));
        for n in children {
            footer.extend([0x48, 1, b'a', 0x15]);
            footer.extend(zigzag(*n));
            footer.push(0);
        }
        footer.push(0);
        footer
    };
    assert_eq!(check_footer(&with_footer(&schema(&[2, 0, 1, 0]))), Ok(()));
    assert!(check(&schema(&[i64::from(i32::MAX), 0])).contains("entry 0 has 2147483647 columns"));
    assert!(check(&schema(&[-1])).contains("columns below it"));
    assert!(check(&schema(&vec![1; 100_000])).contains("more than 64 deep"));
    assert!(error(read(Format::Parquet, with_footer(&schema(&vec![1; 100_000])))).contains("more than 64 deep"));
    // a list of 2^31 row groups
    let groups = [&[0x49, 0xfc][..], &varint(1 << 31)].concat();
    assert!(check(&groups).contains("a list of 2147483648 entries"));
    let long = [&b"PAR1"[..], &u32::MAX.to_le_bytes(), b"PAR1"].concat();
    assert!(check_footer(&long).unwrap_err().contains("more than 67108864"));
    let short = [&b"PAR1"[..], &1000u32.to_le_bytes(), b"PAR1"].concat();
    assert!(check_footer(&short).unwrap_err().contains("in a file of 12"));
    // what is no Parquet file is the reader's to name
    assert_eq!(check_footer(b"not parquet at all"), Ok(()));
}
