//! Columns under other names, rows without ids, parts of a set.

use super::*;

fn named(format: Format, text: &str, columns: &str) -> Result<Dataset> {
    parse_as("data", format, text.as_bytes(), None, &columns.parse().unwrap())
}

const HALU: [(Format, &str); 3] = [
    (Format::Json, r#"[{"knowledge":"k","question":"q","right_answer":"r","hallucinated_answer":"h","x":1}]"#),
    (
        Format::Jsonl,
        "{\"knowledge\":\"k\",\"question\":\"q\",\"right_answer\":\"r\",\"hallucinated_answer\":\"h\",\"x\":1}\n",
    ),
    (Format::Csv, "knowledge;question;right_answer;hallucinated_answer;x\nk;q;r;h;1\n"),
];

#[test]
fn other_names_are_listed_with_the_mapping_that_reads_them() {
    for (format, text) in HALU {
        let message = error(read(format, text));
        let kind = if format == Format::Csv { "column" } else { "key" };
        let start = format!(
            "data: {kind}s prompt, fact, hallucination missing: expected the {kind}s prompt, fact, hallucination \
             (id, domain, complexity and cluster are optional), found \"knowledge\", \"question\", \"right_answer\", \
             \"hallucinated_answer\", \"x\""
        );
        assert!(message.starts_with(&start), "{message}");
        let mapping = "prompt=question,fact=right_answer,hallucination=hallucinated_answer";
        assert!(message.ends_with(&format!("--columns {mapping}")), "{message}");
        let set = named(format, text, mapping).unwrap();
        let s = &set.samples[0];
        assert_eq!((s.prompt.as_str(), s.fact.as_str(), s.hallucination.as_str()), ("q", "r", "h"));
        assert!(set.made_ids && s.id == "row-000001", "{s:?}");
    }
    // what cannot be guessed is left open; what was given stays
    let message = error(named(Format::Jsonl, r#"{"a":"1","b":"2","c":"3"}"#, "prompt=a,domain=zz"));
    assert!(message.contains("keys zz (for domain), fact, hallucination missing"), "{message}");
    assert!(message.ends_with("--columns domain=…,prompt=a,fact=…,hallucination=…"), "{message}");
}

#[test]
fn a_key_that_some_rows_have_is_a_fault_of_the_others() {
    let set = read(Format::Jsonl, format!("{GOOD}\n{{\"id\":\"b\",\"question\":\"q\"}}")).unwrap();
    assert_eq!((set.samples.len(), set.rejected.len()), (1, 1));
}

#[test]
fn a_mapped_field_is_read_from_its_column_alone() {
    let text = "{\"prompt\":\"not this\",\"Question, full\":\"q\",\"fact\":\"f\",\"hallucination\":\"h\",\"id\":\"i\"}";
    let set = named(Format::Jsonl, text, "prompt=question, full").unwrap();
    assert_eq!((set.samples[0].prompt.as_str(), set.samples[0].id.as_str()), ("q", "i"));
    let columns: Columns = "prompt=question, full,id=key".parse().unwrap();
    assert_eq!(columns.to_string(), "id=key,prompt=question, full");
    assert_eq!(columns.to_string().parse(), Ok(columns));
    for (text, words) in [
        ("question=prompt", "is prompt=question meant?"),
        ("prompt", "found \"prompt\""),
        ("prompt=a,prompt=b", "prompt is given twice"),
        ("prompt=", "empty"),
        ("prompt=fact", "would be both prompt and fact"),
        ("prompt=x,fact=X", "would be both prompt and fact"),
    ] {
        let message = text.parse::<Columns>().unwrap_err();
        assert!(message.contains(words), "{text}: {message}");
    }
    assert!(Columns::default().is_empty() && !"id=a".parse::<Columns>().unwrap().is_empty());
}

#[test]
fn ids_are_made_where_no_row_has_one_and_stay_apart() {
    let rows = |n: usize| {
        (0..n).map(|i| format!("{{\"prompt\":\"p{i}\",\"fact\":\"f\",\"hallucination\":\"h\"}}\n")).collect::<String>()
    };
    let set = |name: &str, text: &str| parse(name, Format::Jsonl, text.as_bytes(), None).unwrap();
    let alone = set("x", &format!("{}{{\"prompt\":\"p\"}}\n{}", rows(1), rows(1)));
    assert_eq!(ids(&alone), ["row-000001", "row-000003"]);
    assert_eq!(alone.rejected[0].to_string(), "line 2 (row 2): fact is missing; hallucination is missing");
    let merged = merge(vec![set("x", &rows(2)), set("y", GOOD), set("z", &rows(1))]).unwrap();
    assert_eq!(ids(&merged), ["file1-row-000001", "file1-row-000002", "a", "file3-row-000001"]);
    assert!(merged.made_ids);
    // a column that is there and empty everywhere is none
    let csv = read(Format::Csv, "id,prompt,fact,hallucination\n,p,f,h\n ,p,f,h\n").unwrap();
    assert_eq!(ids(&csv), ["row-000001", "row-000002"]);
    assert!(!read(Format::Jsonl, GOOD).unwrap().made_ids);
}

#[test]
fn equal_faults_are_told_once_with_their_count() {
    let rows: String = (0..748).map(|i| format!("{{\"id\":{i},\"prompt\":\"p\",\"fact\":\"f\"}}\n")).collect();
    let set = read(Format::Jsonl, format!("{GOOD}\n{rows}3\n")).unwrap();
    let table = set.fault_table();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "data: 749 of 750 rows cannot be used");
    assert_eq!(
        lines[1],
        "  748 rows: hallucination is missing: line 2 (row 2), id \"0\"; line 3 (row 3), id \"1\"; \
         line 4 (row 4), id \"2\"; and 745 more"
    );
    assert_eq!(lines[2], "  line 750 (row 750): expected an object, found 3");
    assert_eq!(lines.len(), 3);
    // many reasons are cut
    let rows: String = (0..30).map(|i| format!("{{\"id\":{i},\"prompt\":{i},\"fact\":\"f\"}}\n")).collect();
    let table = read(Format::Jsonl, format!("{GOOD}\n{rows}")).unwrap().fault_table();
    assert!(table.ends_with("\n  and 20 more, for 20 other reasons"), "{table}");
}

#[test]
fn a_limit_takes_from_every_domain_and_keeps_the_order() {
    let whole = super::super::builtin().unwrap();
    let order: Vec<&str> = ids(&whole);
    let part = |n: usize, seed: u64| {
        let mut set = super::super::builtin().unwrap();
        set.limit(n, seed);
        set
    };
    for (n, each) in [(8, 2), (40, 10), (100, 25)] {
        let set = part(n, 0);
        assert_eq!(set.samples.len(), n);
        for domain in ["entity", "temporal", "logical", "adversarial"] {
            assert_eq!(set.samples.iter().filter(|s| s.domain == domain).count(), each, "{domain} of {n}");
        }
        let places: Vec<usize> = ids(&set).iter().map(|id| order.iter().position(|o| o == id).unwrap()).collect();
        assert!(places.is_sorted());
        assert_eq!(ids(&set), ids(&part(n, 0)));
        assert_ne!(ids(&set), ids(&part(n, 1)), "the seed draws");
    }
    // one more sample is one more, not another draw
    let (eight, forty) = (part(8, 3), part(40, 3));
    assert!(ids(&eight).iter().all(|id| ids(&forty).contains(id)));
    assert_eq!(part(3, 0).samples.len(), 3);
    assert_eq!(part(0, 0).samples.len(), 0);
    assert_eq!(part(1000, 0), whole);
    // uneven domains, in proportion
    let rows: String = (0..100)
        .map(|i| {
            let domain = if i < 90 { "big" } else { "small" };
            format!("{{\"id\":{i},\"domain\":\"{domain}\",\"prompt\":\"p\",\"fact\":\"f\",\"hallucination\":\"h\"}}\n")
        })
        .collect();
    let mut set = read(Format::Jsonl, rows).unwrap();
    set.limit(20, 0);
    assert_eq!(set.samples.iter().filter(|s| s.domain == "small").count(), 2);
}
