use super::*;

const V6: &str = r#"{"architecture": "standard", "d_in": 8, "d_sae": 32, "metadata": {}}"#;
const FLAT: &str = r#"{"model_name": "gpt2-small", "hook_point": "blocks.8.hook_resid_pre",
    "hook_point_layer": 8, "hook_point_head_index": null, "d_in": 8, "d_sae": 32, "dtype": "torch.float32",
    "use_ghost_grads": true, "lr": 0.0004, "expansion_factor": 4}"#;

fn config(json: &str) -> Result<Config> {
    Config::new(fields::fields("folder/cfg.json", serde_json::from_str(json).unwrap())?)
}

/// `V6` or `FLAT` with more fields.
fn with(base: &str, field: &str) -> Result<Config> {
    config(&base.replacen('{', &format!("{{{field}, "), 1))
}

fn with_architecture(architecture: &str, field: &str) -> Result<Config> {
    config(&V6.replace("\"standard\"", &format!("\"{architecture}\", {field}")))
}

#[track_caller]
fn refused(result: Result<Config>, words: &[&str]) {
    let error = result.expect_err("should have been refused").to_string();
    for word in words.iter().chain(&["folder/cfg.json"]) {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn defaults_are_those_of_saelens() {
    let v6 = config(V6).unwrap();
    assert!(v6.apply_b_dec_to_input && !v6.center_input);
    assert_eq!((v6.normalize.as_str(), v6.prepend_bos), ("none", None));
    let flat = config(FLAT).unwrap();
    assert_eq!((flat.architecture, flat.prepend_bos), (Architecture::Standard, Some(true)));
    assert_eq!((flat.hook.as_deref(), flat.hook_layer), (Some("blocks.8.hook_resid_pre"), Some(8)));
}

#[test]
fn old_spellings() {
    assert_eq!(with(FLAT, r#""normalize_activations": true"#).unwrap().normalize, "expected_average_only_in");
    assert_eq!(with(FLAT, r#""normalize_activations": false"#).unwrap().normalize, "none");
    let topk = with(FLAT, r#""activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5}"#).unwrap();
    assert_eq!((topk.architecture, topk.declared_l0), (Architecture::TopK { k: 5 }, Some(5.0)));
}

#[test]
fn topk_needs_a_k_that_fits() {
    assert_eq!(with_architecture("topk", r#""k": 32"#).unwrap().architecture, Architecture::TopK { k: 32 });
    for k in ["0", "33", "2.5", "-1"] {
        refused(with_architecture("topk", &format!("\"k\": {k}")), &["field k", "32"]);
    }
    refused(with_architecture("topk", r#""lr": null"#), &["field k", "nothing"]);
    refused(with_architecture("topk", r#""k": "7""#), &["field k", "a number"]);
}

#[test]
fn decoder_norms_are_rescaled_only_where_the_class_does() {
    assert!(!with_architecture("topk", r#""k": 3"#).unwrap().rescale);
    assert!(with_architecture("batchtopk", r#""k": 3"#).unwrap().rescale);
    assert!(!with_architecture("batchtopk", r#""rescale_acts_by_decoder_norm": false"#).unwrap().rescale);
    refused(
        with_architecture("jumprelu", r#""rescale_acts_by_decoder_norm": true"#),
        &["rescale_acts_by_decoder_norm"],
    );
}

#[test]
fn what_would_change_the_numbers_is_refused() {
    for (field, word) in [
        (r#""reshape_activations": "hook_z""#, "hook_z"),
        (r#""d_out": 768"#, "transcoder"),
        (r#""activation_fn": "tanh-relu""#, "tanh-relu"),
        (r#""k": 4"#, "field k"),
        (r#""input_scale": 2.0"#, "input_scale"),
        (r#""model_kwargs": {"fast_ssm": true}"#, "model_kwargs"),
    ] {
        refused(with(V6, field), &[word]);
        refused(with(FLAT, field), &[word]);
    }
    for (field, word) in [
        (r#""hook_head_index": 3"#, "attention head"),
        (r#""hook_name_out": "blocks.1.hook_mlp_out""#, "transcoder"),
        (r#""model_from_pretrained_kwargs": {"revision": "step1000"}"#, "revision"),
        (r#""input_scale": 0.5"#, "input_scale"),
    ] {
        refused(config(&V6.replace("\"metadata\": {", &format!("\"metadata\": {{{field}"))), &[word]);
        refused(with(FLAT, field), &[word]);
    }
    // notes of whoever trained it, which SAELens reads nothing from
    let notes = V6.replace("\"metadata\": {", r#""metadata": {"corpus": "brown", "l0": 45.5, "temperature": 0.5"#);
    assert_eq!(config(&notes).unwrap().declared_l0, Some(45.5));
    refused(with(FLAT, r#""temperature": 0.5"#), &["temperature"]);
    // a training field is no part of a v6 top level
    refused(with(V6, r#""lr": 0.1"#), &["field lr"]);
    for architecture in ["temporal", "matching_pursuit", "abstopk"] {
        refused(with_architecture(architecture, r#""lr": null"#), &[architecture]);
    }
    refused(with_architecture("jumprelu_skip_transcoder", r#""lr": null"#), &["transcoder"]);
}

#[test]
fn unknown_fields_that_ask_for_nothing_pass() {
    for field in [r#""new": null"#, r#""new": false"#, r#""new": "none""#, r#""new": []"#, r#""new": {}"#] {
        assert!(with(V6, field).is_ok(), "{field}");
    }
}

#[test]
fn types_and_required_fields() {
    refused(config(r#"{"d_sae": 4, "metadata": {}}"#), &["d_in"]);
    refused(config(r#"{"d_in": 4, "metadata": {}}"#), &["d_sae"]);
    refused(config(r#"{"d_in": "4", "d_sae": 4}"#), &["d_in", "non-negative integer", "\"4\""]);
    refused(config(r#"{"d_in": 4, "d_sae": 4, "metadata": 1}"#), &["metadata", "an object"]);
    refused(
        config(r#"{"d_in": 4, "d_sae": 4, "apply_b_dec_to_input": 1}"#),
        &["apply_b_dec_to_input", "true or false"],
    );
}

#[test]
fn centred_models() {
    let kwargs =
        |v: &str| format!(r#""model_from_pretrained_kwargs": {{"center_writing_weights": {v}, "fold_ln": true}}"#);
    assert!(with(FLAT, &kwargs("true")).unwrap().center_input);
    assert!(!with(FLAT, &kwargs("false")).unwrap().center_input);
}

#[test]
fn the_declared_l0_of_a_finished_batchtopk() {
    let json = r#"{"architecture": "jumprelu", "d_in": 8, "d_sae": 32, "metadata":
        {"training_architecture": "batchtopk", "training_architecture_details": {"k": 6.5, "topk_threshold_lr": 0.01}}}"#;
    assert_eq!(config(json).unwrap().declared_l0, Some(6.5));
}

#[test]
fn every_field_of_the_oldest_files_is_known() {
    let json = r#"{"model_name": "gpt2-small", "hook_point": "blocks.0.hook_resid_pre", "hook_point_layer": 0,
        "hook_point_head_index": null, "dataset_path": "openwebtext", "is_dataset_tokenized": false,
        "context_size": 128, "use_cached_activations": false, "cached_activations_path": "activations/x",
        "d_in": 768, "n_batches_in_buffer": 128, "total_training_tokens": 300000000, "store_batch_size": 32,
        "device": "mps", "seed": 42, "dtype": "torch.float32", "b_dec_init_method": "geometric_median",
        "expansion_factor": 32, "from_pretrained_path": null, "l1_coefficient": 8e-05, "lr": 0.0004,
        "lr_scheduler_name": null, "lr_warm_up_steps": 5000, "train_batch_size": 4096, "use_ghost_grads": false,
        "feature_sampling_window": 1000, "feature_sampling_method": null, "resample_batches": 1028,
        "feature_reinit_scale": 0.2, "dead_feature_window": 5000, "dead_feature_estimation_method": "no_fire",
        "dead_feature_threshold": 1e-08, "log_to_wandb": true, "wandb_project": "p", "wandb_entity": null,
        "wandb_log_frequency": 100, "n_checkpoints": 10, "checkpoint_path": "checkpoints/y", "d_sae": 24576,
        "tokens_per_buffer": 67108864, "run_name": "24576-L1-8e-05"}"#;
    let found = config(json).unwrap();
    assert_eq!((found.d_sae, found.architecture), (24576, Architecture::Standard));
    assert!(found.apply_b_dec_to_input && found.prepend_bos == Some(true));
}

#[test]
fn numbers_that_were_f32_are_told_by_their_own_digits() {
    assert_eq!(shortest(45.000_003_814_697_266), 45.000_004);
    assert_eq!(shortest(f64::from(0.1f32)), 0.1);
    assert_eq!((shortest(45.0), shortest(0.1), shortest(71.3)), (45.0, 0.1, 71.3));
}
