//! What users' files do wrong, format by format.

use proptest::prelude::*;

use super::*;

mod builtin;
mod columns;
mod doubts;
mod hostile;
mod memory;
mod parquet;

const GOOD: &str =
    r#"{"id": "a", "domain": "entity", "complexity": 2, "prompt": "P", "fact": "F", "hallucination": "H"}"#;

fn read(format: Format, text: impl AsRef<[u8]>) -> Result<Dataset> {
    parse("data", format, text.as_ref(), None)
}

/// The one rejected row of `row` beside a good one, as JSON lines.
fn fault(row: &str) -> Rejected {
    let set = read(Format::Jsonl, format!("{GOOD}\n{row}\n")).unwrap();
    assert_eq!((set.samples.len(), set.rejected.len()), (1, 1), "{set:?}");
    set.rejected[0].clone()
}

fn ids(set: &Dataset) -> Vec<&str> {
    set.samples.iter().map(|sample| sample.id.as_str()).collect()
}

fn error(result: Result<Dataset>) -> String {
    let text = result.unwrap_err().to_string();
    assert_eq!(text.matches("hint: ").count(), 1, "{text}");
    text
}

#[test]
fn texts_join_with_one_space_and_keep_theirs() {
    let set = read(Format::Json, r#"[{"id":1,"prompt":" The é ","fact":"","hallucination":"x "}]"#).unwrap();
    let sample = &set.samples[0];
    assert_eq!(sample.prompt_text(), " The é ");
    assert_eq!(sample.fact_text(DEFAULT_JOIN), " The é  ");
    assert_eq!(sample.hall_text(DEFAULT_JOIN), " The é  x ");
    assert_eq!((sample.fact_text(""), sample.hall_text("")), (" The é ".to_owned(), " The é x ".to_owned()));
    assert_eq!((sample.id.as_str(), sample.domain.as_str(), sample.complexity), ("1", UNSPECIFIED_DOMAIN, 0));
}

#[test]
fn every_text_format_reads_the_same_sample() {
    let wrapped = format!("{{\"note\": [1, {{\"samples\": 0}}], \"samples\": [{GOOD}]}}");
    let cases = [
        (Format::Json, format!("[{GOOD}]")),
        (Format::Json, wrapped),
        (Format::Json, format!("\u{feff} [\r\n{GOOD}\r\n]\n")),
        (Format::Jsonl, format!("\u{feff}{GOOD}")),
        (Format::Jsonl, format!("\r\n{GOOD}\r\n\r\n")),
        (Format::Csv, "id,domain,complexity,prompt,fact,hallucination\na,entity,2,P,F,H".to_owned()),
        (
            Format::Csv,
            "\u{feff}\"ID\"; Prompt;FACT;Hallucination;extra;Domain;complexity\r\na;P;F;H;\"x;y\"; entity ; 2 \r\n"
                .to_owned(),
        ),
        (Format::Csv, "prompt\tfact\thallucination\tid\tdomain\tcomplexity\nP\tF\tH\ta\tentity\t2.0\n".to_owned()),
        (Format::Csv, "\n\nid|prompt|fact|hallucination|domain|complexity\n\na|P|F|H|entity|2\n\n\n".to_owned()),
    ];
    for (format, text) in cases {
        let set = read(format, &text).and_then(Dataset::strict).unwrap_or_else(|error| panic!("{text}: {error}"));
        let sample = Sample {
            id: "a".into(),
            domain: "entity".into(),
            complexity: 2,
            cluster: None,
            prompt: "P".into(),
            fact: "F".into(),
            hallucination: "H".into(),
        };
        assert_eq!(set.samples, [sample], "{text}");
    }
}

#[test]
fn a_row_is_rejected_with_every_reason() {
    let row = |fields: &str| fault(&format!("{{{fields}}}")).reason;
    let rest = r#""prompt": "p", "fact": "f", "hallucination": "h""#;
    assert_eq!(row(rest), "id is missing");
    assert_eq!(row(&format!(r#""id": null, {rest}"#)), "id is null");
    assert_eq!(row(&format!(r#""id": " ", {rest}"#)), "id is empty");
    assert_eq!(row(&format!(r#""id": 1.5, {rest}"#)), "id: expected text or an integer, found 1.5");
    assert_eq!(row(&format!(r#""id": [1], {rest}"#)), "id: expected text or an integer, found an array");
    assert_eq!(row(r#""id": 7, "prompt": "", "fact": "f", "hallucination": "h""#), "prompt is empty");
    assert_eq!(row(r#""id": 7, "prompt": " \t\u00a0", "fact": "f", "hallucination": "h""#), "prompt is empty");
    assert_eq!(row(r#""id": 7, "prompt": "p", "hallucination": null"#), "fact is missing; hallucination is null");
    assert_eq!(
        row(r#""id": 7, "prompt": 3, "fact": true, "hallucination": {}"#),
        "prompt: expected text, found 3; fact: expected text, found true; hallucination: expected text, found an object"
    );
    for (value, found) in
        [("1.5", "1.5"), ("\"3\"", "text \"3\""), ("9223372036854775808", "9223372036854775808"), ("1e300", "1e300")]
    {
        let reason = row(&format!(r#""id": 7, "complexity": {value}, {rest}"#));
        assert_eq!(reason, format!("complexity: expected a 64-bit integer, found {found}"));
    }
    assert_eq!(row(&format!(r#""id": 7, "domain": 3, {rest}"#)), "domain: expected text, found 3");
    assert_eq!(row(&format!(r#""id": 7, "Prompt": "q", {rest}"#)), "prompt is given twice");
    assert_eq!(fault("3").reason, "expected an object, found 3");
    assert_eq!(fault("[{}]").reason, "expected an object, found an array");
    assert_eq!(fault("null").reason, "expected an object, found null");
}

#[test]
fn a_cluster_is_the_data_sets_own_or_the_prompts() {
    let text = r#"[{"prompt":"P","fact":"F","hallucination":"H","cluster":" source 7 "},
        {"prompt":"P","fact":"F","hallucination":"H","cluster":7},
        {"prompt":"P","fact":"F","hallucination":"H","cluster":" "},
        {"prompt":"P","fact":"G","hallucination":"H"},
        {"prompt":"P ","fact":"G","hallucination":"H","cluster":null}]"#;
    let set = parse("x", Format::Json, text.as_bytes(), None).unwrap().strict().unwrap();
    let given: Vec<_> = set.samples.iter().map(|s| s.cluster.as_deref()).collect();
    assert_eq!(given, [Some("source 7"), Some("7"), None, None, None]);
    let clusters: Vec<String> = set.samples.iter().map(Sample::cluster).collect();
    assert_eq!(clusters[..2], ["source 7", "7"]);
    assert_eq!(clusters[2], clusters[3]);
    assert!(clusters[3] != clusters[4] && clusters[4].starts_with("prompt "), "{clusters:?}");
    let wrong = r#"[{"prompt":"P","fact":"F","hallucination":"H","cluster":1.5}]"#;
    let message = parse("x", Format::Json, wrong.as_bytes(), None).unwrap_err().to_string();
    assert!(message.contains("cluster: expected text or an integer, found 1.5"), "{message}");
}

#[test]
fn absent_null_and_empty_optional_fields_take_their_defaults() {
    let text = r#"[{"id":"a","domain":null,"complexity":null,"prompt":"p","fact":"f","hallucination":"h"},
        {"id":"b","domain":" ","complexity":-3.0,"prompt":"p","fact":"f","hallucination":"h"}]"#;
    let set = read(Format::Json, text).and_then(Dataset::strict).unwrap();
    assert_eq!(set.samples[0].domain, UNSPECIFIED_DOMAIN);
    assert_eq!(set.samples[1].domain, UNSPECIFIED_DOMAIN);
    assert_eq!((set.samples[0].complexity, set.samples[1].complexity), (0, -3));
}

#[test]
fn a_given_domain_replaces_the_rows_own() {
    let bad = r#"{"id":"b","domain":4,"prompt":"p","fact":"f","hallucination":"h"}"#;
    let set = parse("data", Format::Jsonl, format!("{GOOD}\n{bad}").as_bytes(), Some(" mine ")).unwrap();
    assert!(set.rejected.is_empty());
    assert!(set.samples.iter().all(|sample| sample.domain == "mine"));
    assert!(error(parse("data", Format::Jsonl, GOOD.as_bytes(), Some(" "))).contains("domain"));
}

#[test]
fn rows_that_share_an_id_are_all_rejected() {
    let row = |id: &str| format!(r#"{{"id":{id},"prompt":"p","fact":"f","hallucination":"h"}}"#);
    let text = [row("\"7\""), row("\"b\""), row("7"), row("\" 7 \"")].join("\n");
    let set = read(Format::Jsonl, text).unwrap();
    assert_eq!(ids(&set), ["b"]);
    let reasons: Vec<String> = set.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(reasons[0], r#"line 1 (row 1), id "7": id is not unique: also on line 3"#);
    assert_eq!(reasons[1], r#"line 3 (row 3), id "7": id is not unique: also on line 1"#);
    assert_eq!(reasons[2], r#"line 4 (row 4), id "7": id is not unique: also on line 1"#);
}

#[test]
fn malformed_json_tells_its_line_and_column() {
    let text = error(read(Format::Json, "[\n  {\"id\": \"a\",}\n]"));
    assert!(text.starts_with("data: line 2, column 14: expected valid JSON, found trailing comma"), "{text}");
    let text = error(read(Format::Json, "[{\"id\": \"a\"}"));
    assert!(text.contains("line 1, column 12") && text.contains("ends too early"), "{text}");
    assert!(error(read(Format::Json, format!("{GOOD}\n{GOOD}"))).contains("without `samples`"));
    assert!(error(read(Format::Json, format!("{{\"samples\": []}}\n{GOOD}"))).contains(".jsonl"));
    assert!(error(read(Format::Json, b"[\n{\"id\": \"\xff\"}]")).contains("line 2"));
    assert!(error(read(Format::Json, "[".repeat(100_000))).contains("ends too early"));
    assert!(error(read(Format::Json, "")).contains("line 1, column 0"));
}

#[test]
fn json_of_another_shape_is_refused() {
    for (text, found) in [
        ("3", "found integer `3`"),
        ("\"text\"", "found string \"text\""),
        ("null", "found null"),
        ("{\"a\": 1}", "found an object without `samples`"),
        ("{\"samples\": 1}", "found integer `1`"),
        ("{\"samples\": [], \"samples\": []}", "found an object with `samples` twice"),
    ] {
        let text = error(read(Format::Json, text));
        assert!(text.contains("expected an array of objects") && text.contains(found), "{text}");
    }
    assert!(error(read(Format::Json, "[]")).contains("rows: expected at least one, found none"));
}

#[test]
fn json_rows_know_their_lines() {
    let text = "[\n 3,\n\n {\"id\":\n \"a\",\"prompt\":1,\"fact\":1,\"hallucination\":1}, 4\n,\"x\\n\",\n[\n1], null\n\n, true, 1.5\n]";
    let rows = json::read_array("data", text.as_bytes(), &Columns::default()).unwrap();
    let lines: Vec<_> = rows.iter().filter_map(|row| row.line).collect();
    assert_eq!(lines, [2, 4, 5, 6, 7, 8, 10, 10]);
}

#[test]
fn a_bad_json_line_costs_only_itself() {
    let set = read(Format::Jsonl, [GOOD.as_bytes(), b"\n{\"id\": 1,\n\xff\xfe\n{} {}\n"].concat()).unwrap();
    assert_eq!(ids(&set), ["a"]);
    let lines: Vec<_> = set.rejected.iter().map(|row| row.line.unwrap()).collect();
    assert_eq!(lines, [2, 3, 4]);
    assert!(set.rejected[0].reason.starts_with("not valid JSON at column 9: EOF"), "{}", set.rejected[0].reason);
    assert!(set.rejected[2].reason.contains("trailing characters"));
    assert!(error(read(Format::Jsonl, format!("[\n{GOOD}\n]")).and_then(Dataset::strict)).contains("name it .json)"));
}

#[test]
fn strict_names_the_first_rows_at_fault() {
    let bad: Vec<String> = (0..8).map(|i| format!(r#"{{"id":{i},"prompt":""}}"#)).collect();
    let set = read(Format::Jsonl, format!("{GOOD}\n\n{}", bad.join("\n"))).unwrap();
    assert_eq!(set.rejected.len(), 8);
    let text = error(set.strict());
    assert!(text.starts_with("data: rows: expected 9 usable rows, found 8 at fault\n  8 rows: prompt is empty; fact is missing; hallucination is missing: line 3 (row 2), id \"0\"; line 4 (row 3), id \"1\"; line 5 (row 4), id \"2\"; and 5 more\n  hint: "), "{text}");
    assert!(text.contains("--skip-invalid"), "{text}");
    // No usable row is an error even for a caller that skips.
    assert!(error(read(Format::Jsonl, "{}")).contains("no row is usable"));
}

#[test]
fn csv_quotes_newlines_and_lines() {
    let text = "id,prompt,fact,hallucination\r\na,\"two\r\nlines, \"\"quoted\"\"\",f,h\r\n\r\nb,,f,h\r\nc,p,f\r\nd,p,f,h,x\r\n,p,f,h\r\ne,p,,";
    let set = read(Format::Csv, text).unwrap();
    assert_eq!(ids(&set), ["a", "e"]);
    assert_eq!(set.samples[0].prompt, "two\r\nlines, \"quoted\"");
    assert_eq!(set.samples[1].fact_text(DEFAULT_JOIN), "p ");
    let rejected: Vec<String> = set.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(rejected[0], "line 5 (row 2), id \"b\": prompt is empty");
    assert!(
        rejected[1].starts_with("line 6 (row 3), id \"c\": expected 4 fields as in the header, found 3"),
        "{rejected:?}"
    );
    assert!(rejected[2].starts_with("line 7 (row 4), id \"d\": expected 4 fields as in the header, found 5"));
    assert_eq!(rejected[3], "line 8 (row 5): id is empty");
    assert!(
        error(read(Format::Csv, "\rid,prompt,fact,hallucination\ra,p,f,h\rb,,f,h\r").and_then(Dataset::strict))
            .contains("line 4 (row 2)")
    );
}

#[test]
fn csv_of_another_shape_is_refused() {
    let text = error(read(Format::Csv, "id,Frage,fact\n1,2,3\n"));
    assert!(
        text.contains("columns prompt, hallucination missing") && text.contains(r#"found "id", "Frage", "fact""#),
        "{text}"
    );
    assert!(error(read(Format::Csv, "id,prompt,fact,hallucination,Fact\n")).contains(r#"two: "fact" and "Fact""#));
    assert!(error(read(Format::Csv, "id,prompt,fact,hallucination\n")).contains("at least one"));
    assert!(error(read(Format::Csv, "")).contains("empty"));
    assert!(error(read(Format::Csv, "\n \n")).contains("missing"));
    let text = error(read(Format::Csv, "id,prompt,fact,hallucination\na,p,f,h\n\nb,p,f,\"h\nc,p,f,h\n"));
    assert!(text.contains("line 4") && text.contains("closing quote"), "{text}");
    assert!(error(read(Format::Csv, "id,prompt,fact,hallucination\na,p,f,\"h")).contains("line 2"));
}

#[test]
fn csv_values_are_checked_row_by_row() {
    let text =
        b"id,prompt,fact,hallucination,complexity\na,p,f,h,x\nb,p,\xe9,h,1\nc,p,f,h,\nd,p,f,h,1e3\ne,p,f,h,2.5\n";
    let set = read(Format::Csv, text).unwrap();
    assert_eq!(ids(&set), ["c", "d"]);
    assert_eq!(set.samples[1].complexity, 1000);
    assert_eq!(set.rejected[0].reason, "complexity: expected a 64-bit integer, found text \"x\"");
    assert_eq!(set.rejected[1].reason, "fact: expected text, found bytes that are not UTF-8");
    assert_eq!(set.rejected[2].reason, "complexity: expected a 64-bit integer, found 2.5");
}

#[test]
fn text_that_is_no_utf8_text_is_refused() {
    let files: [(&[u8], &str); 5] = [
        (b"\xff\xfei\0", "UTF-16"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"PAR1", "Parquet"),
        (b"\x89PNG\r\n\x1a\n\0\0", "binary"),
    ];
    for format in [Format::Json, Format::Jsonl, Format::Csv] {
        for (bytes, found) in files {
            assert!(error(read(format, bytes)).contains(found));
        }
    }
}

#[test]
fn formats_by_name_and_by_content() {
    for (name, format) in [
        ("a.JSON", Format::Json),
        ("x/b.jsonl", Format::Jsonl),
        ("b.ndjson", Format::Jsonl),
        ("c.tsv", Format::Csv),
        ("d.pq", Format::Parquet),
        ("d.x.parquet", Format::Parquet),
    ] {
        assert_eq!(Format::from_name(name), Some(format));
        assert_eq!(Format::detect(name, b"?"), format);
    }
    for name in ["json", "a.txt", "", "a.", "a.json.gz"] {
        assert_eq!(Format::from_name(name), None);
    }
    let sniffed = |bytes: &[u8]| Format::detect("data.txt", bytes);
    assert_eq!(sniffed(b"PAR1.."), Format::Parquet);
    assert_eq!(sniffed(b"\xef\xbb\xbf \n[{}]"), Format::Json);
    assert_eq!(sniffed(b"{\"samples\": []}"), Format::Json);
    assert_eq!(sniffed(b"{\n\"samples\": []}"), Format::Json);
    assert_eq!(sniffed(GOOD.as_bytes()), Format::Jsonl);
    assert_eq!(sniffed(b"{\"id\": 1}\r\n{\"id\": 2}"), Format::Jsonl);
    assert_eq!(sniffed(b"id,prompt"), Format::Csv);
    assert_eq!(sniffed(b""), Format::Csv);
}

#[test]
fn hashes_are_of_the_bytes() {
    let set = read(Format::Jsonl, GOOD).unwrap();
    assert_eq!(set.sha256, hash::sha256(GOOD));
    assert_eq!(set.sha256.len(), 64);
    assert_eq!(hash::unhex(&set.sha256).unwrap(), hash::bytes(GOOD));
}

#[test]
fn merging_keeps_order_and_refuses_shared_ids() {
    let set = |name: &str, ids: &[&str]| {
        let rows: Vec<String> =
            ids.iter().map(|id| format!(r#"{{"id":"{id}","prompt":"p","fact":"f","hallucination":"h"}}"#)).collect();
        parse(name, Format::Jsonl, format!("{}\n{{}}", rows.join("\n")).as_bytes(), None).unwrap()
    };
    let one = set("x", &["a", "b"]);
    assert_eq!(merge(vec![one.clone()]).unwrap(), one);
    let both = merge(vec![one.clone(), set("y", &["c"])]).unwrap();
    assert_eq!((both.name.as_str(), ids(&both)), ("x, y", vec!["a", "b", "c"]));
    assert_eq!(both.rejected.iter().map(|row| row.file.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert_ne!(both.sha256, merge(vec![set("y", &["c"]), one.clone()]).unwrap().sha256);
    let text = error(merge(vec![one, set("y", &["c", "b"])]));
    assert!(text.contains("id \"b\" in y") && text.contains("the same id in x"), "{text}");
    assert!(error(merge(Vec::new())).contains("no data set"));
}

/// Text that often gets past the first check of some format.
fn likely_text() -> impl Strategy<Value = String> {
    let pieces = [
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        "\r\n",
        ";",
        "\t",
        "|",
        "\u{feff}",
        "é",
        " ",
        "1",
        "-2.5",
        "1e999",
        "null",
        "true",
        "\"id\":",
        "\"prompt\":",
        "\"fact\":\"f\"",
        "\"hallucination\":\"h\"",
        "\"samples\":[",
        "id,prompt,fact,hallucination,complexity\n",
        "a,p,f,h,1\n",
        GOOD,
        "\\ud800",
        "PAR1",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..24).prop_map(|pieces| pieces.concat())
}

fn every_format(bytes: &[u8]) {
    for format in [Format::Json, Format::Jsonl, Format::Csv, Format::Parquet, Format::detect("x", bytes)] {
        match read(format, bytes) {
            Ok(set) => {
                assert!(!set.samples.is_empty());
                let _ = set.strict();
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

proptest! {
    #[test]
    fn no_panic_on_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        every_format(&bytes);
    }

    #[test]
    fn no_panic_on_likely_text(text in likely_text()) {
        every_format(text.as_bytes());
    }

    #[test]
    fn csv_and_json_lines_agree(fields in proptest::collection::vec(("[a-z]{1,6}", "\\PC{1,12}", ".{0,12}", "[\"\\n\\r,; x]{0,6}"), 1..6)) {
        let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        csv.write_record(["id", "prompt", "fact", "hallucination"]).unwrap();
        let mut lines = String::new();
        for (i, (id, prompt, fact, hallucination)) in fields.iter().enumerate() {
            let id = format!("{id}{i}");
            csv.write_record([&id, prompt, fact, hallucination]).unwrap();
            let object = serde_json::json!({"id": id, "prompt": prompt, "fact": fact, "hallucination": hallucination});
            lines.push_str(&format!("{object}\n"));
        }
        let csv = read(Format::Csv, csv.into_inner().unwrap());
        let jsonl = read(Format::Jsonl, lines);
        match (csv, jsonl) {
            (Ok(csv), Ok(jsonl)) => {
                prop_assert_eq!(csv.samples, jsonl.samples);
                prop_assert_eq!(csv.rejected.len(), jsonl.rejected.len());
            }
            (csv, jsonl) => prop_assert!(csv.is_err() && jsonl.is_err()),
        }
    }
}
