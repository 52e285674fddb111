//! A metric that is declared here and nowhere else gets all that follows from a declaration: columns,
//! rows, statistics, descriptions in the file, a line in the documents, words for the page.

use parquet::file::reader::{FileReader, SerializedFileReader};
use saescope::metrics::{
    BLANK, Cell, Compute, Direction, Group, Kind, LayerMeasure, LayerPooled, Metric, Pooled, Rows, SampleMeasure,
    Table, TextMeasure, metric_tables, page_entries,
};
use saescope::output::{COLUMNS_KEY, metrics_parquet};
use saescope::stats;

/// What the statistics read beside the metrics, and three metrics that the program does not have.
static GROUPS: &[Group] = &[Group {
    title: "Of a test",
    metrics: &[
        Metric {
            name: "domain",
            kind: Kind::Utf8,
            texts: &[],
            compute: Compute::Sample(|of| Cell::Text(of.sample.domain.clone())),
            ..BLANK
        },
        Metric {
            name: "n_tokens",
            kind: Kind::Int64,
            compute: Compute::Text(|of| Ok(Cell::Int(of.text.n_tokens as i64))),
            ..BLANK
        },
        Metric {
            name: "loudness",
            label: "Loudness",
            unit: "decibels",
            difference: Some(Direction::FactMinusHall),
            null: Some("the text is silent"),
            range: "any",
            meaning: "How loud the text is",
            formula: "10 lg |text|",
            confounded: "length",
            compute: Compute::Text(|of| {
                let tokens = of.text.n_tokens as f64;
                Ok((tokens > 0.0).then_some(10.0 * tokens).into())
            }),
            ..BLANK
        },
        Metric {
            name: "depth",
            kind: Kind::Int64,
            unit: "blocks",
            compute: Compute::TextAtLayer(|at| Ok(Cell::Int(at.measured.layer as i64))),
            ..BLANK
        },
        Metric {
            name: "width",
            texts: &[],
            compute: Compute::Layer(|at| Cell::Float((at.fact.d_sae + at.hall.d_sae) as f64)),
            ..BLANK
        },
    ],
}];

fn sample(id: &str, fact_tokens: usize, hall_tokens: usize) -> SampleMeasure {
    let layer = |layer| LayerMeasure {
        layer,
        d_sae: 8,
        indices: vec![],
        activations: vec![],
        residual_norm: 1.0,
        median_norm: None,
        squared_error: 0.0,
        gini: 0.0,
        energy: 0.0,
        geometry: None,
        nulls: None,
        token_cosines: None,
        position: None,
        x: None,
        x_hat: None,
    };
    let text = |n_tokens| TextMeasure {
        n_tokens,
        last_token: 0,
        last_token_rank: None,
        layers: vec![layer(5), layer(12)],
        noisy: None,
        logprob: None,
        scored_tokens: 0,
    };
    SampleMeasure {
        sample_id: id.into(),
        domain: "d".into(),
        complexity: 1,
        cluster: id.into(),
        prompt: text(1),
        fact: text(fact_tokens),
        hall: text(hall_tokens),
    }
}

fn rows() -> Rows {
    Rows::of(GROUPS, &[5, 12], false, "r", Pooled { layers: vec![LayerPooled::default(); 2] }).unwrap()
}

fn table() -> Table {
    let rows = rows();
    let samples = [(3, 7), (4, 6), (5, 9), (2, 2), (6, 0)];
    let samples = samples.iter().enumerate().map(|(i, &(fact, hall))| sample(&i.to_string(), fact, hall));
    Table { columns: rows.columns().to_vec(), rows: samples.map(|s| rows.row(&s).unwrap()).collect() }
}

#[test]
fn a_declared_metric_has_its_columns() {
    let rows = rows();
    let found: Vec<(&str, Kind, bool)> = rows.columns().iter().map(|c| (c.name.as_str(), c.kind, c.nullable)).collect();
    assert_eq!(
        found,
        [
            ("l5_fact_depth", Kind::Int64, false),
            ("l5_hall_depth", Kind::Int64, false),
            ("l5_width", Kind::Float64, false),
            ("l12_fact_depth", Kind::Int64, false),
            ("l12_hall_depth", Kind::Int64, false),
            ("l12_width", Kind::Float64, false),
            ("domain", Kind::Utf8, false),
            ("n_tokens_fact", Kind::Int64, false),
            ("n_tokens_hall", Kind::Int64, false),
            ("loudness_fact", Kind::Float64, true),
            ("loudness_hall", Kind::Float64, true),
            ("loudness_diff", Kind::Float64, true),
        ]
    );
}

#[test]
fn a_declared_metric_has_its_rows() {
    let table = table();
    assert_eq!(table.rows[0][..3], [Cell::Int(5), Cell::Int(5), Cell::Float(16.0)]);
    assert_eq!(table.rows[0][9..], [Cell::Float(30.0), Cell::Float(70.0), Cell::Float(-40.0)]);
    // a difference of nothing is nothing
    assert_eq!(table.rows[4][9..], [Cell::Float(60.0), Cell::Null, Cell::Null]);
    let mut lacking = sample("x", 1, 1);
    lacking.hall.layers.truncate(1);
    assert!(rows().row(&lacking).unwrap_err().to_string().contains("hallucination"));
    // the first pass and the rows are of one run
    assert!(Rows::of(GROUPS, &[5], false, "r", Pooled::default()).unwrap_err().to_string().contains("first pass"));
}

#[test]
fn a_declared_metric_is_compared() {
    let comparisons = stats::compare(&table(), 0).unwrap();
    let found: Vec<(&str, Direction, Option<&str>, usize)> =
        comparisons.iter().map(|c| (c.metric.as_str(), c.direction, c.difference_of.as_deref(), c.n)).collect();
    assert_eq!(
        found,
        [
            ("l5_depth", Direction::HallMinusFact, None, 5),
            ("l12_depth", Direction::HallMinusFact, None, 5),
            ("n_tokens", Direction::HallMinusFact, None, 5),
            ("loudness", Direction::HallMinusFact, None, 4),
            ("loudness_diff", Direction::FactMinusHall, Some("loudness"), 4),
        ]
    );
    assert_eq!(comparisons[3].mean_diff, Some(25.0));
    assert_eq!(comparisons[4].mean_diff, Some(-25.0));
}

#[test]
fn a_declared_metric_is_described_in_the_file() {
    let bytes = metrics_parquet(&table()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    std::fs::write(&path, bytes).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let text = pairs.iter().find(|pair| pair.key == COLUMNS_KEY).and_then(|pair| pair.value.clone()).unwrap();
    let described: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        described["loudness_diff"],
        serde_json::json!({
            "description": "How loud the text is (fact − hall)",
            "unit": "decibels",
            "metric": "loudness",
            "part": "fact_minus_hall",
        })
    );
    assert_eq!(described["loudness_hall"]["description"], "How loud the text is (hallucination text)");
}

#[test]
fn a_declared_metric_is_in_the_documents_and_on_the_page() {
    let text = metric_tables(GROUPS);
    let line = r"| `loudness_{fact,hall,diff}` | double | decibels | any | How loud the text is | 10 lg \|text\|; diff is fact − hall |";
    assert!(text.lines().any(|l| l == line), "{text}");
    assert!(text.contains("- `loudness`. Confounded with length. Null where the text is silent."), "{text}");
    let entries = page_entries(GROUPS);
    let columns = r#""columns":{"fact":"loudness_fact","hall":"loudness_hall","diff":"loudness_diff"}"#;
    assert!(entries[2].contains(columns), "{}", entries[2]);
    assert!(entries[4].contains(r#""series":"l{L}_width","columns":{"whole":"l{L}_width"}"#), "{}", entries[4]);
}
