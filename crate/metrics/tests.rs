//! Every column against reference/golden_metrics.py, and runs of unusual shape.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::*;

#[derive(Deserialize)]
struct Golden {
    layers: Vec<usize>,
    d: usize,
    scale: f64,
    decoders: Vec<Vec<Vec<i32>>>,
    medians: Vec<f64>,
    samples: Vec<GoldenSample>,
    rows: Vec<Map<String, Value>>,
    health: Vec<GoldenHealth>,
}

#[derive(Deserialize)]
struct GoldenSample {
    sample_id: String,
    domain: String,
    complexity: i64,
    prompt: GoldenText,
    fact: GoldenText,
    hall: GoldenText,
}

#[derive(Deserialize)]
struct GoldenText {
    n_tokens: usize,
    layers: Vec<GoldenLayer>,
    noisy: Vec<(u32, f64)>,
    logprob: f64,
}

#[derive(Deserialize)]
struct GoldenLayer {
    x: Vec<f64>,
    x_hat: Vec<f64>,
    features: Vec<(u32, f64)>,
}

#[derive(Deserialize)]
struct GoldenHealth {
    sinks: usize,
    mean_l0: f64,
    fvu: f64,
    dead_share: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/golden/metrics/metrics.json")).unwrap()
}

impl Golden {
    fn text(&self, text: &GoldenText, kind: TextKind) -> TextMeasure {
        let scaled = |values: &[f64]| values.iter().map(|v| (v / self.scale) as f32).collect::<Vec<f32>>();
        let split = |features: &[(u32, f64)]| -> (Vec<u32>, Vec<f32>) {
            features.iter().map(|&(i, v)| (i, (v / self.scale) as f32)).unzip()
        };
        let layers = text.layers.iter().zip(&self.layers).zip(&self.decoders).enumerate();
        let layers = layers.map(|(order, ((input, &layer), decoder))| {
            let (indices, activations) = split(&input.features);
            let rows: Vec<f32> = indices
                .iter()
                .flat_map(|&i| decoder[i as usize].iter().map(|&v| (f64::from(v) / self.scale) as f32))
                .collect();
            assert_eq!(rows.len(), indices.len() * self.d);
            let x_hat: Vec<f64> = input.x_hat.iter().map(|v| v / self.scale).collect();
            let x = scaled(&input.x);
            let input = LayerInput {
                layer,
                x: &x,
                x_hat: &x_hat,
                indices: &indices,
                activations: &activations,
                rows: &rows,
                d_sae: decoder.len(),
                median_norm: Some(self.medians[order]),
            };
            measure(&input, Keep::needed(order, kind)).unwrap()
        });
        TextMeasure {
            n_tokens: text.n_tokens,
            last_token: 3,
            last_token_rank: Some(12),
            layers: layers.collect(),
            noisy: (kind != TextKind::Prompt).then(|| split(&text.noisy)),
            logprob: Some(text.logprob),
            scored_tokens: 2,
        }
    }

    fn measured(&self) -> Vec<SampleMeasure> {
        let samples = self.samples.iter().map(|s| SampleMeasure {
            sample_id: s.sample_id.clone(),
            domain: s.domain.clone(),
            complexity: s.complexity,
            cluster: s.sample_id.clone(),
            prompt: self.text(&s.prompt, TextKind::Prompt),
            fact: self.text(&s.fact, TextKind::Fact),
            hall: self.text(&s.hall, TextKind::Hall),
        });
        samples.collect()
    }
}

/// Angles come from an arc cosine in the reference, which is good to 1e-6 degrees.
fn is_angle(column: &str) -> bool {
    ["centroid_drift", "axis_twist", "misalignment_angle"].iter().any(|name| column.contains(name))
}

#[test]
fn every_column_agrees_with_the_reference() {
    let golden = golden();
    let table = table(&golden.measured(), &golden.layers, true, "run 1").unwrap();
    assert_eq!(table.rows.len(), golden.rows.len());
    let mut columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    let mut expected: Vec<&str> = golden.rows[0].keys().map(String::as_str).collect();
    // what the data set or the run gives
    assert_eq!((columns.pop(), columns.pop()), (Some("run_id"), Some("cluster")));
    // controls that the tokenizer gives, or one division
    let controls = ["last_token_", "logprob_per_token_"];
    columns.retain(|name| !controls.iter().any(|control| name.starts_with(control)));
    for row in 0..table.rows.len() {
        for text in ["fact", "hall"] {
            let cell = |name: &str| table.cell(row, &format!("{name}_{text}")).unwrap().clone();
            assert_eq!((cell("last_token"), cell("last_token_rank")), (Cell::Int(3), Cell::Int(12)));
            let half = cell("logprob").number().unwrap() / 2.0;
            assert_eq!(cell("logprob_per_token"), Cell::Float(half));
        }
    }
    columns.sort_unstable();
    expected.sort_unstable();
    assert_eq!(columns, expected);

    let mut largest = (0.0, String::new());
    for (row, expected) in table.rows.iter().zip(&golden.rows) {
        assert_eq!(row.len(), table.columns.len());
        let [row @ .., cluster, run_id] = row.as_slice() else { panic!("two columns at least") };
        assert_eq!(*cluster, row[0]);
        assert_eq!(*run_id, Cell::Text("run 1".into()));
        let is_control = |name: &str| controls.iter().any(|control| name.starts_with(control));
        for (cell, column) in row.iter().zip(&table.columns).filter(|(_, column)| !is_control(&column.name)) {
            let (name, wanted) = (&column.name, &expected[&column.name]);
            match cell {
                Cell::Text(text) => assert_eq!(wanted, text, "{name}"),
                Cell::Int(number) => assert_eq!(wanted.as_i64(), Some(*number), "{name}"),
                Cell::Float(number) => {
                    let wanted = wanted.as_f64().unwrap();
                    let (error, limit) = if is_angle(name) {
                        ((number - wanted).abs(), 4e-6)
                    } else {
                        ((number - wanted).abs() / wanted.abs().max(1.0), 1e-9)
                    };
                    assert!(error <= limit, "{} {name}: {number} against {wanted}", expected["sample_id"]);
                    if error / limit > largest.0 {
                        largest = (error / limit, format!("{name}: {number} against {wanted}"));
                    }
                }
                Cell::Bool(is) => assert_eq!(wanted.as_bool(), Some(*is), "{name}"),
                Cell::Null => panic!("{name}: {cell:?}"),
            }
        }
    }
    println!("largest difference, as a share of its limit: {largest:?}");
}

#[test]
fn health_agrees_with_the_reference() {
    let golden = golden();
    let found = health(&golden.measured(), &golden.layers, &[Some(10.0), None]).unwrap();
    assert_eq!(found.len(), golden.health.len());
    for (found, wanted) in found.iter().zip(&golden.health) {
        assert!(wanted.sinks > 0, "the rule has something to find");
        assert_eq!((found.sinks, found.texts), (wanted.sinks, 2 * golden.samples.len() - wanted.sinks));
        for (found, wanted) in
            [(found.mean_l0, wanted.mean_l0), (found.fvu, wanted.fvu), (found.dead_share, wanted.dead_share)]
        {
            let found = found.unwrap();
            assert!((found - wanted).abs() <= 1e-12 * wanted.abs(), "{found} {wanted}");
        }
    }
    assert_eq!((found[0].declared_l0, found[1].declared_l0, found[2].declared_l0), (Some(10.0), None, None));
}

#[test]
fn the_first_pass_is_the_mean_of_the_texts_and_of_those_off_sinks() {
    let golden = golden();
    let samples = golden.measured();
    let mut pass = FirstPass::new(&golden.layers);
    samples.iter().try_for_each(|sample| pass.add(sample)).unwrap();
    let pooled = pass.finish();
    for (order, found) in pooled.layers.iter().enumerate() {
        let texts = || samples.iter().flat_map(|s| [&s.fact.layers[order], &s.hall.layers[order]]);
        assert!(texts().any(LayerMeasure::is_sink), "there is something to leave out");
        let mean = |texts: Vec<&LayerMeasure>, i: usize| {
            texts.iter().map(|m| f64::from(m.x.as_ref().unwrap()[i])).sum::<f64>() / texts.len() as f64
        };
        assert_eq!((found.mean.len(), found.ordinary_mean.len()), (golden.d, golden.d));
        for i in 0..golden.d {
            assert_eq!(found.mean[i], mean(texts().collect(), i));
            assert_eq!(found.ordinary_mean[i], mean(texts().filter(|m| !m.is_sink()).collect(), i));
        }
    }
    assert_eq!(FirstPass::new(&[5]).finish().layers[0].mean, Vec::<f64>::new());
    assert!(HealthPass::new(&[5], &[], &pooled).unwrap_err().to_string().contains("first pass"));
}

#[test]
fn noise_agrees_with_the_reference() {
    #[derive(Deserialize)]
    struct Case {
        seed: String,
        sample_id: String,
        text: String,
        layer: usize,
        z: Vec<f64>,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/golden/metrics/noise.json")).unwrap();
    for case in cases {
        let kind = TextKind::ALL.into_iter().find(|kind| kind.as_str() == case.text).unwrap();
        let zeros = vec![0.0; case.z.len()];
        let found = noisy(&zeros, Noise::Absolute(1.0), case.seed.parse().unwrap(), &case.sample_id, kind, case.layer);
        for (found, wanted) in found.iter().zip(&case.z) {
            assert!((f64::from(*found) - wanted).abs() <= 1e-6 * wanted.abs(), "{found} {wanted}");
        }
    }
}

#[test]
fn fewer_than_three_layers_leave_the_cross_layer_columns_null() {
    let mut golden = golden();
    golden.layers.truncate(2);
    let mut samples = golden.measured();
    let two = table(&samples, &golden.layers, false, "").unwrap();
    let nulls: Vec<&str> = two
        .columns
        .iter()
        .zip(&two.rows[4])
        .filter(|(_, cell)| **cell == Cell::Null)
        .map(|(column, _)| column.name.as_str())
        .collect();
    assert_eq!(
        nulls,
        [
            "cross_layer_consistency_fact",
            "cross_layer_consistency_hall",
            "cross_layer_consistency_diff",
            "cross_layer_reconstruction_cosine_fact",
            "cross_layer_reconstruction_cosine_hall",
        ]
    );
    // without noise and log-probabilities their columns are null, not zero
    samples[4].fact.noisy = None;
    samples[4].hall.logprob = None;
    let found = table(&samples, &golden.layers, true, "").unwrap();
    for name in ["stability_fact", "stability_diff", "logprob_hall"] {
        assert_eq!(found.cell(4, name), Some(&Cell::Null), "{name}");
    }
    assert!(matches!(found.cell(4, "stability_hall"), Some(Cell::Float(_))));
}

#[test]
fn residuals_that_do_not_vary_explain_nothing() {
    let golden = golden();
    let mut samples = golden.measured();
    samples.drain(..12);
    let sample = &mut samples[0];
    sample.hall = sample.fact.clone();
    let found = table(&samples, &golden.layers, false, "").unwrap();
    assert_eq!(found.cell(0, "l3_fact_explained_variance"), Some(&Cell::Null));
    assert_eq!(found.cell(0, "centroid_drift_diff"), Some(&Cell::Float(0.0)));
    assert_eq!(found.cell(0, "l3_ghost_count"), Some(&Cell::Int(0)));
    assert_eq!(health(&samples, &golden.layers, &[]).unwrap()[0].fvu, None);
}

#[test]
fn sinks_are_told_with_their_counts_and_condemn_no_sae() {
    let golden = golden();
    let mut samples = golden.measured();
    let warnings = sink_warnings(&samples);
    let prompts = samples.iter().filter(|s| s.prompt.layers[0].is_sink()).count();
    assert!(prompts > 0 && prompts < samples.len());
    let [texts, drift] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(texts.starts_with("of 26 fact and hallucination texts ") && texts.contains(" at layer 11"), "{texts}");
    assert!(drift.starts_with(&format!("{prompts} of 13 prompts")) && drift.contains("axis_twist"), "{drift}");

    // an L0 that only sinks have is no sign of a wrong SAE
    for sample in &mut samples {
        for (kind, indices) in [(TextKind::Fact, 0..3), (TextKind::Hall, 0..2000)] {
            let text = if kind == TextKind::Fact { &mut sample.fact } else { &mut sample.hall };
            let measured = &mut text.layers[0];
            measured.indices = indices.collect();
            measured.residual_norm = if kind == TextKind::Fact { 1.0 } else { 100.0 };
            measured.median_norm = Some(1.0);
        }
    }
    let found = &health(&samples, &golden.layers, &[Some(3.0)]).unwrap()[0];
    assert_eq!((found.texts, found.sinks, found.mean_l0, found.median_norm), (13, 13, Some(3.0), Some(1.0)));
    assert!(found.warnings.iter().all(|w| !w.contains("mean L0")), "{:?}", found.warnings);
    samples.iter_mut().for_each(|s| s.hall.layers[0].median_norm = None);
    let found = &health(&samples, &golden.layers, &[Some(3.0)]).unwrap()[0];
    assert!(found.warnings.iter().any(|w| w.contains("mean L0 is 1001.5")), "{:?}", found.warnings);
}

#[test]
fn an_empty_run_is_a_table_without_rows() {
    assert_eq!(table(&[], &[5], false, "").unwrap().rows.len(), 0);
    let found = &health(&[], &[5], &[]).unwrap()[0];
    assert_eq!((found.mean_l0, found.fvu, found.dead_share), (None, None, None));
    assert!(table(&[], &[], false, "").is_err());
}

#[test]
fn runs_that_lack_something_are_refused() {
    let golden = golden();
    let refused = |change: fn(&mut SampleMeasure)| {
        let mut samples = golden.measured();
        change(&mut samples[3]);
        table(&samples, &golden.layers, false, "").unwrap_err().to_string()
    };
    assert!(refused(|s| s.fact.layers.truncate(2)).contains("s03"));
    assert!(refused(|s| s.hall.layers.swap(0, 1)).contains("hallucination"));
    assert!(refused(|s| s.hall.layers[1].x = None).contains("layer 7: residual"));
    assert!(refused(|s| s.fact.layers[2].x_hat = None).contains("layer 11: reconstruction"));
    assert!(refused(|s| s.fact.layers[2].geometry = None).contains("layer 11: geometry"));
    assert!(refused(|s| s.prompt.layers[0].position = None).contains("layer 3: position"));
    assert!(refused(|s| s.hall.layers[0].x = Some(vec![1.0])).contains("24 values"));
}

#[test]
fn input_that_cannot_be_is_refused() {
    let good = LayerInput {
        layer: 5,
        x: &[1.0, 2.0],
        x_hat: &[1.0, 2.0],
        indices: &[3, 7],
        activations: &[0.5, 1.0],
        rows: &[1.0, 0.0, 0.0, 1.0],
        d_sae: 8,
        median_norm: None,
    };
    let keep = Keep::needed(0, TextKind::Fact);
    assert!(measure(&good, keep).is_ok());
    for (what, bad) in [
        ("8", LayerInput { indices: &[3, 8], ..good }),
        ("ascending", LayerInput { indices: &[7, 3], ..good }),
        ("ascending", LayerInput { indices: &[3, 3], ..good }),
        ("activations", LayerInput { activations: &[0.5], ..good }),
        ("positive", LayerInput { activations: &[0.5, 0.0], ..good }),
        ("positive", LayerInput { activations: &[0.5, f32::NAN], ..good }),
        ("residual", LayerInput { x: &[1.0, f32::INFINITY], ..good }),
        ("reconstruction", LayerInput { x_hat: &[1.0, f64::NAN], ..good }),
        ("reconstruction", LayerInput { x_hat: &[1.0], ..good }),
        ("decoder rows", LayerInput { rows: &[1.0, 0.0], ..good }),
        ("decoder row", LayerInput { rows: &[1.0, 0.0, f32::NAN, 1.0], ..good }),
    ] {
        let message = measure(&bad, keep).unwrap_err().to_string();
        assert!(message.contains(what) && message.contains("hint:"), "{what}: {message}");
    }
    // without geometry no rows are asked for
    let bare = measure(&LayerInput { rows: &[], ..good }, Keep::needed(1, TextKind::Prompt)).unwrap();
    assert_eq!((bare.geometry, bare.position), (None, None));
    assert_eq!(bare.energy, 1.5);
}
