//! Rows in memory are read like a file's.

use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, RecordBatch, StringArray, StringViewArray};

use super::super::*;

fn table(columns: Vec<(&str, ArrayRef)>) -> Rows {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    Rows::Table { schema: batch.schema(), batches: vec![batch.slice(0, 1), batch.slice(1, batch.num_rows() - 1)] }
}

#[test]
fn a_table_and_objects_give_the_samples_that_a_file_gives() {
    let json = br#"[{"id": "a", "domain": "x", "complexity": 3, "prompt": "p", "fact": "f", "hallucination": "h"},
{"id": "b", "prompt": "q", "fact": "g", "hallucination": ""}]"#;
    let of_file = parse("t.json", Format::Json, json, None).unwrap();
    let objects = Rows::Json(json.to_vec()).read(&Columns::default()).unwrap();
    assert_eq!((&objects.samples, &objects.sha256), (&of_file.samples, &of_file.sha256));
    let domain: DictionaryArray<Int8Type> = [Some("x"), None].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("Prompt", Arc::new(StringViewArray::from(vec!["p", "q"]))),
        ("right", Arc::new(StringArray::from(vec!["f", "g"]))),
        ("hallucination", Arc::new(StringArray::from(vec!["h", ""]))),
        ("id", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("domain", Arc::new(domain)),
        ("complexity", Arc::new(Float64Array::from(vec![3.0, f64::NAN]))),
    ];
    let named: Columns = "fact=right".parse().unwrap();
    let read = table(columns).read(&named).unwrap();
    assert_eq!(read.samples, of_file.samples);
    let lines: String = of_file.samples.iter().map(|s| serde_json::to_string(s).unwrap() + "\n").collect();
    assert_eq!((read.sha256, read.files[0].bytes), (hash::sha256(lines.as_bytes()), lines.len() as u64));
    assert!(!read.made_ids);
}

#[test]
fn a_table_that_is_no_data_set_says_what_it_lacks() {
    let column = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let numbers = Arc::new(Float64Array::from(vec![1.0, 2.0])) as ArrayRef;
    let some = || column(vec![Some("a"), Some("b")]);
    let error = |rows: Rows| rows.read(&Columns::default()).and_then(Dataset::strict).unwrap_err().to_string();
    let missing = error(table(vec![("prompt", some()), ("fact", some())]));
    assert!(missing.contains("hallucination"), "{missing}");
    let wrong = error(table(vec![("prompt", numbers), ("fact", some()), ("hallucination", some())]));
    assert!(wrong.contains("column prompt: expected text, found type Float64"), "{wrong}");
    let gap = column(vec![Some("a"), None]);
    let row = error(table(vec![("prompt", some()), ("fact", gap), ("hallucination", some())]));
    assert!(row.contains("rows in memory") && row.contains("row 2: fact is null"), "{row}");
}
