//! Files read back, and writers that fail.

use std::fs::File;
use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::error::Error;
use crate::metrics::{Cell, Column, Kind, LayerHealth, LayerMeasure, SampleMeasure, Table, TextMeasure, schema};
use crate::sae;

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// All rows of a file as one batch; none where there are no rows.
fn read(bytes: &[u8]) -> Option<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file(bytes)).unwrap().with_batch_size(1 << 20);
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
    assert!(batches.len() < 2);
    batches.into_iter().next()
}

pub(crate) fn layer(layer: usize, features: &[(u32, f32)]) -> LayerMeasure {
    LayerMeasure {
        layer,
        d_sae: 100,
        indices: features.iter().map(|f| f.0).collect(),
        activations: features.iter().map(|f| f.1).collect(),
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
    }
}

pub(crate) fn sample(id: &str, fact: Vec<LayerMeasure>) -> SampleMeasure {
    let text = |layers| TextMeasure {
        n_tokens: 3,
        last_token: 7,
        last_token_rank: Some(2),
        layers,
        noisy: None,
        logprob: None,
        scored_tokens: 0,
    };
    SampleMeasure {
        sample_id: id.into(),
        domain: "d".into(),
        complexity: 1,
        cluster: id.into(),
        prompt: text(vec![layer(20, &[(1, 0.5)]), layer(5, &[])]),
        fact: text(fact),
        hall: text(vec![layer(5, &[(2, 1.5), (9, 2.5)])]),
    }
}

#[test]
fn features_come_back_sorted_by_the_first_four() {
    let samples = [
        sample("b", vec![layer(12, &[(0, 4.0)]), layer(5, &[(3, 1.0), (70, 2.0)])]),
        sample("a", vec![]),
        sample("B", vec![layer(5, &[(8, 0.25)])]),
    ];
    let batch = read(&features_parquet(&samples).unwrap()).unwrap();
    let types: Vec<(&str, DataType, bool)> = batch
        .schema_ref()
        .fields()
        .iter()
        .map(|f| (f.name().as_str(), f.data_type().clone(), f.is_nullable()))
        .collect();
    let types: Vec<_> = types.iter().map(|(n, t, null)| (*n, t, *null)).collect();
    assert_eq!(
        types,
        [
            ("sample_id", &DataType::Utf8, false),
            ("text", &DataType::Utf8, false),
            ("layer", &DataType::Int64, false),
            ("feature", &DataType::Int32, false),
            ("activation", &DataType::Float32, false),
        ]
    );
    let rows: Vec<(&str, &str, i64, i32)> = (0..batch.num_rows())
        .map(|i| {
            (
                batch.column(0).as_string::<i32>().value(i),
                batch.column(1).as_string::<i32>().value(i),
                batch.column(2).as_primitive::<Int64Type>().value(i),
                batch.column(3).as_primitive::<Int32Type>().value(i),
            )
        })
        .collect();
    assert!(rows.is_sorted());
    assert_eq!(rows.len(), 3 * 3 + 3 + 1);
    let at = rows.iter().position(|r| *r == ("b", "fact", 5, 70)).unwrap();
    assert_eq!(batch.column(4).as_primitive::<Float32Type>().value(at), 2.0);
}

#[test]
fn metrics_keep_names_types_and_values() {
    let columns = schema(&[5, 12, 20], false);
    let row = columns.iter().enumerate().map(|(i, c)| match c.kind {
        Kind::Int64 => Cell::Int(i as i64),
        Kind::Float64 if c.nullable => Cell::Null,
        Kind::Float64 => Cell::Float(i as f64 / 3.0),
        Kind::Utf8 => Cell::Text(format!("naïve {i}")),
        Kind::Bool => Cell::Bool(true),
    });
    let table = Table { rows: vec![row.collect()], columns };
    let bytes = metrics_parquet(&table).unwrap();
    let batch = read(&bytes).unwrap();
    assert_eq!(batch.num_columns(), table.columns.len());
    for (i, (field, column)) in batch.schema_ref().fields().iter().zip(&table.columns).enumerate() {
        assert_eq!((field.name(), field.is_nullable()), (&column.name, column.nullable));
        let array = batch.column(i);
        let found = match field.data_type() {
            _ if array.is_null(0) => Cell::Null,
            DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(0)),
            DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(0)),
            DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(0).into()),
            DataType::Boolean => Cell::Bool(array.as_boolean().value(0)),
            other => panic!("{}: {other}", field.name()),
        };
        assert_eq!(found, table.rows[0][i], "{}", field.name());
    }
    let reader = SerializedFileReader::new(file(&bytes)).unwrap();
    let metadata = reader.metadata();
    assert_eq!(metadata.row_group(0).column(0).compression(), Compression::SNAPPY);
    let version = metadata.file_metadata().key_value_metadata().unwrap();
    assert!(version.iter().any(|kv| kv.key == "saescope.schema_version" && kv.value.as_deref() == Some("4")));
}

#[test]
fn tables_without_rows_keep_their_columns() {
    let table = Table { columns: schema(&[5], true), rows: vec![] };
    let bytes = metrics_parquet(&table).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file(&bytes)).unwrap();
    assert_eq!(reader.schema().fields().len(), table.columns.len());
    assert!(read(&bytes).is_none());
    assert!(read(&features_parquet(&[]).unwrap()).is_none());
}

#[test]
fn booleans_and_nulls_of_statistics() {
    let columns = vec![Column::new("metric", Kind::Utf8), Column::nullable("survives", Kind::Bool)];
    let row = |name: &str, cell| vec![Cell::Text(name.into()), cell];
    let table = Table { columns, rows: vec![row("a", Cell::Bool(true)), row("b", Cell::Null)] };
    let batch = read(&stats_parquet(&table).unwrap()).unwrap();
    let survives = batch.column(1).as_boolean();
    assert!(survives.value(0) && survives.is_null(1));
}

#[test]
fn cells_of_another_kind_are_refused() {
    let columns = vec![Column::new("n", Kind::Int64)];
    for cell in [Cell::Null, Cell::Float(1.0), Cell::Text("1".into())] {
        let table = Table { columns: columns.clone(), rows: vec![vec![Cell::Int(1)], vec![cell]] };
        let message = metrics_parquet(&table).unwrap_err().to_string();
        assert!(message.contains("column n, row 1") && message.contains("Int64"), "{message}");
    }
    let short = Table { columns, rows: vec![vec![]] };
    assert!(metrics_parquet(&short).unwrap_err().to_string().contains("no cell"));
    let wide = sample("a", vec![layer(5, &[(u32::MAX, 1.0)])]);
    assert!(features_parquet(&[wide]).unwrap_err().to_string().contains("4294967295"));
}

#[test]
fn rows_come_back_from_many_batches_and_row_groups() {
    let columns = vec![Column::new("n", Kind::Int64), Column::nullable("x", Kind::Float64)];
    let rows = 10_000;
    let row = |i: i64| vec![Cell::Int(i), if i % 3 == 0 { Cell::Null } else { Cell::Float(i as f64 / 7.0) }];
    let mut bytes = Vec::new();
    let mut writer = TableWriter::new("t.parquet", &columns, &mut bytes).unwrap();
    (0..rows).try_for_each(|i| writer.push(row(i))).unwrap();
    writer.close().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file(&bytes)).unwrap();
    // what is encoded and not yet written is bounded
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|g| g.num_rows()).collect();
    assert_eq!(groups, [4096, 4096, 10_000 - 2 * 4096]);
    let mut seen = 0;
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let (n, x) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Float64Type>());
        for i in 0..batch.num_rows() {
            let found = vec![Cell::Int(n.value(i)), if x.is_null(i) { Cell::Null } else { Cell::Float(x.value(i)) }];
            assert_eq!(found, row(seen));
            seen += 1;
        }
    }
    assert_eq!(seen, rows);
    // a misfit past the first batch is told by its row
    let mut writer = TableWriter::new("t.parquet", &columns, Vec::new()).unwrap();
    let mut push = |i| writer.push(if i == 1_500 { vec![Cell::Null, Cell::Null] } else { row(i) });
    let error = (0..3_000).try_for_each(&mut push).unwrap_err().to_string();
    assert!(error.contains("column n, row 1500"), "{error}");
}

#[test]
fn features_are_taken_in_the_order_of_ids() {
    let (first, second) = (sample("a", vec![layer(5, &[(3, 1.0)])]), sample("b", vec![]));
    let mut bytes = Vec::new();
    let mut writer = FeaturesWriter::new(&mut bytes).unwrap();
    writer.add(&first).unwrap();
    writer.add(&second).unwrap();
    let error = writer.add(&first).unwrap_err().to_string();
    assert!(error.contains("sample a") && error.contains("an id after b"), "{error}");
    writer.close().unwrap();
    assert_eq!(bytes, features_parquet(&[second, first]).unwrap());
}

/// A disk with this many bytes left.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = bytes.len().min(self.0);
        self.0 -= n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_at_every_byte() {
    let samples = [sample("a", vec![layer(5, &[(3, 1.0)])])];
    let table = Table { columns: schema(&[5], false), rows: vec![] };
    let sizes = [features_parquet(&samples).unwrap().len(), metrics_parquet(&table).unwrap().len()];
    for room in (0..sizes[0].min(sizes[1])).step_by(7) {
        for (file, error) in [
            ("features.parquet", write_features(&samples, Full(room)).unwrap_err()),
            ("metrics.parquet", write_table(METRICS_FILE, &table, Full(room)).unwrap_err()),
        ] {
            let Error::Io { source, action: "write", .. } = &error else { panic!("{error:?}") };
            assert_eq!(source.kind(), io::ErrorKind::StorageFull, "{error}");
            assert!(error.to_string().starts_with(file), "{error}");
        }
    }
    assert!(write_features(&samples, Full(sizes[0])).is_ok());
}

pub(crate) fn manifest() -> Manifest {
    let file = FileInfo { path: "model.safetensors".into(), bytes: 7, sha256: Some("00ff".into()) };
    Manifest {
        schema_version: SCHEMA_VERSION,
        run_id: "20240229_120000".into(),
        started_at: "2024-02-29T12:00:00Z".parse().unwrap(),
        program: ProgramInfo::this(),
        model: ModelInfo {
            name: "tiny".into(),
            architecture: "llama".into(),
            source: "local".into(),
            revision: None,
            d_model: 8,
            n_layers: 2,
            quantization: "BF16".into(),
            quantized: None,
            files: vec![file.clone()],
            ignored_config_fields: vec![IgnoredField { name: "_x".into(), value: "1".into(), asked: false }],
        },
        tokenizer: TokenizerInfo { file: file.clone(), bos_rule: "post-processor".into() },
        layers: vec![1],
        saes: vec![SaeInfo {
            layer: 1,
            id: "sae".into(),
            architecture: sae::Architecture::TopK { k: 64 },
            format: sae::Format::GemmaScope,
            d_sae: 16,
            declared_l0: Some(68.0),
            hook: None,
            prepend_bos: Some(true),
            apply_b_dec_to_input: false,
            normalize_activations: sae::NormalizeActivations::None,
            norm_scaling_factor: None,
            center_input: false,
            rescale_acts_by_decoder_norm: false,
            decoder_rows: DecoderRows::AsStored,
            files: vec![file.clone()],
        }],
        dataset: DatasetInfo {
            files: vec![file],
            samples: 2,
            limit: None,
            shard: None,
            join: " ".into(),
            columns: None,
            made_ids: false,
            skipped_rows: vec![],
        },
        noise: NoiseInfo { rule: "relative:0.1".into(), seed: u64::MAX },
        nulls: Some(NullsInfo { draws: 200, seed: u64::MAX, pool_rows: 1024, most_features: 256 }),
        statistics: Some(StatisticsInfo {
            seed: u64::MAX,
            resamples: 10_000,
            equivalence_bound: 0.3,
            clusters: true,
            classifiers: Vec::new(),
        }),
        compute: ComputeInfo {
            precision: Precision::F32,
            device: "cpu".into(),
            adapter: None,
            backend: Backend::Flex,
            threads: 2,
            weights: Weights::Streamed,
        },
        batch: BatchInfo { batch_size: 8, batches: 1, texts: 6, tokens: 60, tokens_computed: 20 },
        timings: Timings {
            stages: vec![StageTiming { stage: "model".into(), seconds: 0.1 }],
            total_seconds: 0.3,
            parts: 1,
            samples_per_second: 0.1 + 0.2,
            peak_memory_bytes: None,
            peak_gpu_buffer_bytes: None,
            moved: None,
        },
        timeline: None,
        sae_health: vec![LayerHealth {
            layer: 1,
            texts: 4,
            sinks: 0,
            median_norm: Some(157.0),
            mean_l0: Some(70.5),
            declared_l0: Some(68.0),
            fvu: None,
            dead_share: Some(0.0),
            warnings: vec![],
        }],
        warnings: vec!["loud".into()],
        failed_samples: vec![FailedSample { sample_id: "x".into(), reason: "empty prompt".into() }],
        files: vec![FileInfo { path: "metrics.parquet".into(), bytes: 3, sha256: Some("0a".into()) }],
    }
}

#[test]
fn the_manifest_comes_back_as_it_was() {
    let manifest = manifest();
    let text = String::from_utf8(manifest_json(&manifest).unwrap()).unwrap();
    assert!(text.starts_with("{\n  \"schema_version\": 4,\n  \"run_id\"") && text.ends_with("}\n"));
    assert!(text.contains(r#""started_at": "2024-02-29T12:00:00Z""#));
    assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
}

#[test]
fn closed_sets_have_one_spelling_and_older_ones_are_read() {
    let value = serde_json::to_value(manifest()).unwrap();
    let compute = &value["compute"];
    assert_eq!(
        (&compute["precision"], &compute["backend"], &compute["weights"]),
        (&"f32".into(), &"flex".into(), &"streamed".into())
    );
    assert_eq!(serde_json::from_str::<Weights>("\"streaming\"").unwrap(), Weights::Streamed);
    for (backend, text) in [(Backend::FlexWasm, "flex (wasm simd)"), (Backend::WgpuVulkan, "wgpu (vulkan)")] {
        assert_eq!(serde_json::to_value(backend).unwrap(), text);
    }
}

#[test]
fn a_manifest_of_version_1_is_read() {
    let mut old = serde_json::to_value(manifest()).unwrap();
    for (part, field) in [
        ("model", "ignored_config_fields"),
        ("dataset", "join"),
        ("dataset", "columns"),
        ("dataset", "made_ids"),
        ("timings", "peak_gpu_buffer_bytes"),
        ("timings", "moved"),
    ] {
        assert!(old[part].as_object_mut().unwrap().remove(field).is_some(), "{field}");
    }
    let health = old["sae_health"][0].as_object_mut().unwrap();
    assert!(health.remove("sinks").is_some() && health.remove("median_norm").is_some());
    assert!(old.as_object_mut().unwrap().remove("timeline").is_some());
    let read: Manifest = serde_json::from_value(old).unwrap();
    assert_eq!((read.dataset.join.as_str(), read.sae_health[0].sinks, read.timeline), (" ", 0, None));
}
