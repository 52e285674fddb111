// made by `cargo xtask generate` from crate/metrics/registry; edit that

/** A metric as the library declares it. `{L}` stands for an SAE layer. */
export interface Entry {
  /** Without layer and text: `gini`. */
  name: string;
  /** Its name in stats.parquet: `l{L}_gini`. */
  series: string;
  /** Its columns in metrics.parquet, by what they hold. */
  columns: { prompt?: string; fact?: string; hall?: string; diff?: string; whole?: string };
  label: string;
  /** Empty for what is not a quantity. */
  unit: string;
  /** What its `*_diff` column is, where it has one. */
  difference: "hall_minus_fact" | "fact_minus_hall" | null;
  /** What it is, in a sentence without the full stop. */
  help: string;
  /** Where a number of the geometry stands among draws of a null. */
  nulls?: true;
}

/** Every metric, in the order of the file. */
export const ENTRIES: readonly Entry[] = [
  {"name":"sample_id","series":"sample_id","columns":{"whole":"sample_id"},"label":"Sample","unit":"","difference":null,"help":"The sample's id in the data set"},
  {"name":"domain","series":"domain","columns":{"whole":"domain"},"label":"Domain","unit":"","difference":null,"help":"What the sample is about; statistics are made for each domain and for all together"},
  {"name":"complexity","series":"complexity","columns":{"whole":"complexity"},"label":"Complexity","unit":"grade","difference":null,"help":"The data set's own grade of the sample"},
  {"name":"l0_norm","series":"l{L}_l0_norm","columns":{"fact":"l{L}_fact_l0_norm","hall":"l{L}_hall_l0_norm"},"label":"L0","unit":"features","difference":null,"help":"How many features are active"},
  {"name":"reconstruction_error","series":"l{L}_reconstruction_error","columns":{"fact":"l{L}_fact_reconstruction_error","hall":"l{L}_hall_reconstruction_error"},"label":"Reconstruction error","unit":"residual units","difference":null,"help":"How far the SAE's reconstruction is from the residual"},
  {"name":"gini","series":"l{L}_gini","columns":{"fact":"l{L}_fact_gini","hall":"l{L}_hall_gini"},"label":"Gini of activations","unit":"ratio","difference":null,"help":"How unequally the activation is spread over the active features"},
  {"name":"sphericity","series":"l{L}_sphericity","columns":{"fact":"l{L}_fact_sphericity","hall":"l{L}_hall_sphericity"},"label":"Sphericity","unit":"ratio","difference":null,"help":"The third semi-axis of the cloud of features over its first (axis ratio c/a of the inertia ellipsoid)"},
  {"name":"shape_class","series":"l{L}_shape_class","columns":{"fact":"l{L}_fact_shape_class","hall":"l{L}_hall_shape_class"},"label":"Shape class","unit":"","difference":null,"help":"The form of the cloud of features by its two axis ratios"},
  {"name":"dimensionality","series":"l{L}_dimensionality","columns":{"fact":"l{L}_fact_dimensionality","hall":"l{L}_hall_dimensionality"},"label":"Dimensionality","unit":"dimensions","difference":null,"help":"How many directions the cloud of features effectively has (participation ratio)"},
  {"name":"centroid_drift","series":"centroid_drift","columns":{"fact":"centroid_drift_fact","hall":"centroid_drift_hall","diff":"centroid_drift_diff"},"label":"Centroid drift","unit":"degrees","difference":"hall_minus_fact","help":"How far the completion turns the centroid of the features away from the prompt's"},
  {"name":"axis_twist","series":"axis_twist","columns":{"fact":"axis_twist_fact","hall":"axis_twist_hall","diff":"axis_twist_diff"},"label":"Axis twist","unit":"degrees","difference":"hall_minus_fact","help":"How far the completion turns the leading axis of the features away from the prompt's"},
  {"name":"stability","series":"stability","columns":{"fact":"stability_fact","hall":"stability_hall","diff":"stability_diff"},"label":"Stability","unit":"ratio","difference":"fact_minus_hall","help":"How many of the strongest features stay when noise is added to the residual (Jaccard similarity of top features under noise)"},
  {"name":"entropy","series":"entropy","columns":{"fact":"entropy_fact","hall":"entropy_hall","diff":"entropy_diff"},"label":"Entropy","unit":"nats","difference":"hall_minus_fact","help":"How evenly the strongest activations are spread (Shannon entropy of the top-50 activations)"},
  {"name":"cross_layer_consistency","series":"cross_layer_consistency","columns":{"fact":"cross_layer_consistency_fact","hall":"cross_layer_consistency_hall","diff":"cross_layer_consistency_diff"},"label":"Cross-layer consistency","unit":"cosine","difference":"fact_minus_hall","help":"How alike the activations of the second and third SAE layers are, feature number by feature number"},
  {"name":"n_tokens","series":"n_tokens","columns":{"prompt":"n_tokens_prompt","fact":"n_tokens_fact","hall":"n_tokens_hall"},"label":"Tokens","unit":"tokens","difference":null,"help":"How many tokens the text has, BOS included"},
  {"name":"energy","series":"l{L}_energy","columns":{"fact":"l{L}_fact_energy","hall":"l{L}_hall_energy"},"label":"Energy","unit":"activation","difference":null,"help":"The sum of the activations (L1 norm of the activations (no square is taken))"},
  {"name":"elongation","series":"l{L}_elongation","columns":{"fact":"l{L}_fact_elongation","hall":"l{L}_hall_elongation"},"label":"Elongation","unit":"ratio","difference":null,"help":"The second semi-axis of the cloud of features over its first (axis ratio b/a, which is 1 for a disc and falls as the cloud gets longer)"},
  {"name":"eigenvalue_entropy","series":"l{L}_eigenvalue_entropy","columns":{"fact":"l{L}_fact_eigenvalue_entropy","hall":"l{L}_hall_eigenvalue_entropy"},"label":"Eigenvalue entropy","unit":"nats","difference":null,"help":"How evenly the cloud of features is spread over its axes (spectral entropy; its exponential is the effective rank)"},
  {"name":"misalignment_angle","series":"l{L}_misalignment_angle","columns":{"fact":"l{L}_fact_misalignment_angle","hall":"l{L}_hall_misalignment_angle"},"label":"Misalignment angle","unit":"degrees","difference":null,"help":"How far the leading axis of the cloud of features is from pointing at its centroid"},
  {"name":"explained_variance","series":"l{L}_explained_variance","columns":{"fact":"l{L}_fact_explained_variance","hall":"l{L}_hall_explained_variance"},"label":"Explained variance","unit":"ratio","difference":null,"help":"How much of the residual's deviation from the run's mean the SAE reconstructs"},
  {"name":"ghost_count","series":"l{L}_ghost_count","columns":{"whole":"l{L}_ghost_count"},"label":"Ghost features","unit":"features","difference":null,"help":"How many features are active in the hallucination and not in the fact (size of the set difference hallucination ∖ fact)"},
  {"name":"ghost_energy","series":"l{L}_ghost_energy","columns":{"whole":"l{L}_ghost_energy"},"label":"Ghost energy","unit":"activation","difference":null,"help":"The sum of the activations of features that are active in the hallucination and not in the fact (L1 norm of the activations outside the shared features)"},
  {"name":"missing_count","series":"l{L}_missing_count","columns":{"whole":"l{L}_missing_count"},"label":"Missing features","unit":"features","difference":null,"help":"How many features are active in the fact and not in the hallucination (size of the set difference fact ∖ hallucination)"},
  {"name":"missing_energy","series":"l{L}_missing_energy","columns":{"whole":"l{L}_missing_energy"},"label":"Missing energy","unit":"activation","difference":null,"help":"The sum of the activations of features that are active in the fact and not in the hallucination (L1 norm of the activations outside the shared features)"},
  {"name":"cross_layer_reconstruction_cosine","series":"cross_layer_reconstruction_cosine","columns":{"fact":"cross_layer_reconstruction_cosine_fact","hall":"cross_layer_reconstruction_cosine_hall"},"label":"Cross-layer reconstruction cosine","unit":"cosine","difference":null,"help":"How alike the reconstructions at the second and third SAE layers are"},
  {"name":"logprob","series":"logprob","columns":{"fact":"logprob_fact","hall":"logprob_hall"},"label":"Log-probability","unit":"nats","difference":null,"help":"How likely the model holds the completion given the prompt: the baseline that any geometric signal has to beat"},
  {"name":"residual_norm","series":"l{L}_residual_norm","columns":{"prompt":"l{L}_prompt_residual_norm","fact":"l{L}_fact_residual_norm","hall":"l{L}_hall_residual_norm"},"label":"Residual norm","unit":"residual units","difference":null,"help":"The length of the residual that the text is read at"},
  {"name":"prompt_is_sink","series":"prompt_is_sink","columns":{"whole":"prompt_is_sink"},"label":"Prompt ends at an attention sink","unit":"","difference":null,"help":"Whether the prompt is read at an attention sink of the first SAE layer, so that `centroid_drift` and `axis_twist`, which start from it, mean little"},
  {"name":"sphericity_random_rows_z","series":"l{L}_sphericity_random_rows_z","columns":{"fact":"l{L}_fact_sphericity_random_rows_z","hall":"l{L}_hall_sphericity_random_rows_z"},"label":"Sphericity beside random rows (z)","unit":"standard deviations","difference":null,"help":"How far the sphericity is from that of the same activations on rows of the decoder that are drawn at random","nulls":true},
  {"name":"sphericity_random_rows_tail","series":"l{L}_sphericity_random_rows_tail","columns":{"fact":"l{L}_fact_sphericity_random_rows_tail","hall":"l{L}_hall_sphericity_random_rows_tail"},"label":"Sphericity beside random rows (share)","unit":"probability","difference":null,"help":"How many of the draws have a sphericity as large: the same activations on rows of the decoder that are drawn at random","nulls":true},
  {"name":"elongation_random_rows_z","series":"l{L}_elongation_random_rows_z","columns":{"fact":"l{L}_fact_elongation_random_rows_z","hall":"l{L}_hall_elongation_random_rows_z"},"label":"Elongation beside random rows (z)","unit":"standard deviations","difference":null,"help":"How far the elongation is from that of the same activations on rows of the decoder that are drawn at random","nulls":true},
  {"name":"elongation_random_rows_tail","series":"l{L}_elongation_random_rows_tail","columns":{"fact":"l{L}_fact_elongation_random_rows_tail","hall":"l{L}_hall_elongation_random_rows_tail"},"label":"Elongation beside random rows (share)","unit":"probability","difference":null,"help":"How many of the draws have a elongation as large: the same activations on rows of the decoder that are drawn at random","nulls":true},
  {"name":"dimensionality_random_rows_z","series":"l{L}_dimensionality_random_rows_z","columns":{"fact":"l{L}_fact_dimensionality_random_rows_z","hall":"l{L}_hall_dimensionality_random_rows_z"},"label":"Dimensionality beside random rows (z)","unit":"standard deviations","difference":null,"help":"How far the dimensionality is from that of the same activations on rows of the decoder that are drawn at random","nulls":true},
  {"name":"dimensionality_random_rows_tail","series":"l{L}_dimensionality_random_rows_tail","columns":{"fact":"l{L}_fact_dimensionality_random_rows_tail","hall":"l{L}_hall_dimensionality_random_rows_tail"},"label":"Dimensionality beside random rows (share)","unit":"probability","difference":null,"help":"How many of the draws have a dimensionality as large: the same activations on rows of the decoder that are drawn at random","nulls":true},
  {"name":"eigenvalue_entropy_random_rows_z","series":"l{L}_eigenvalue_entropy_random_rows_z","columns":{"fact":"l{L}_fact_eigenvalue_entropy_random_rows_z","hall":"l{L}_hall_eigenvalue_entropy_random_rows_z"},"label":"Eigenvalue entropy beside random rows (z)","unit":"standard deviations","difference":null,"help":"How far the eigenvalue_entropy is from that of the same activations on rows of the decoder that are drawn at random","nulls":true},
  {"name":"eigenvalue_entropy_random_rows_tail","series":"l{L}_eigenvalue_entropy_random_rows_tail","columns":{"fact":"l{L}_fact_eigenvalue_entropy_random_rows_tail","hall":"l{L}_hall_eigenvalue_entropy_random_rows_tail"},"label":"Eigenvalue entropy beside random rows (share)","unit":"probability","difference":null,"help":"How many of the draws have a eigenvalue_entropy as large: the same activations on rows of the decoder that are drawn at random","nulls":true},
  {"name":"sphericity_permuted_z","series":"l{L}_sphericity_permuted_z","columns":{"fact":"l{L}_fact_sphericity_permuted_z","hall":"l{L}_hall_sphericity_permuted_z"},"label":"Sphericity beside permuted activations (z)","unit":"standard deviations","difference":null,"help":"How far the sphericity is from that of the same rows with the activations permuted","nulls":true},
  {"name":"sphericity_permuted_tail","series":"l{L}_sphericity_permuted_tail","columns":{"fact":"l{L}_fact_sphericity_permuted_tail","hall":"l{L}_hall_sphericity_permuted_tail"},"label":"Sphericity beside permuted activations (share)","unit":"probability","difference":null,"help":"How many of the draws have a sphericity as large: the same rows with the activations permuted","nulls":true},
  {"name":"elongation_permuted_z","series":"l{L}_elongation_permuted_z","columns":{"fact":"l{L}_fact_elongation_permuted_z","hall":"l{L}_hall_elongation_permuted_z"},"label":"Elongation beside permuted activations (z)","unit":"standard deviations","difference":null,"help":"How far the elongation is from that of the same rows with the activations permuted","nulls":true},
  {"name":"elongation_permuted_tail","series":"l{L}_elongation_permuted_tail","columns":{"fact":"l{L}_fact_elongation_permuted_tail","hall":"l{L}_hall_elongation_permuted_tail"},"label":"Elongation beside permuted activations (share)","unit":"probability","difference":null,"help":"How many of the draws have a elongation as large: the same rows with the activations permuted","nulls":true},
  {"name":"dimensionality_permuted_z","series":"l{L}_dimensionality_permuted_z","columns":{"fact":"l{L}_fact_dimensionality_permuted_z","hall":"l{L}_hall_dimensionality_permuted_z"},"label":"Dimensionality beside permuted activations (z)","unit":"standard deviations","difference":null,"help":"How far the dimensionality is from that of the same rows with the activations permuted","nulls":true},
  {"name":"dimensionality_permuted_tail","series":"l{L}_dimensionality_permuted_tail","columns":{"fact":"l{L}_fact_dimensionality_permuted_tail","hall":"l{L}_hall_dimensionality_permuted_tail"},"label":"Dimensionality beside permuted activations (share)","unit":"probability","difference":null,"help":"How many of the draws have a dimensionality as large: the same rows with the activations permuted","nulls":true},
  {"name":"eigenvalue_entropy_permuted_z","series":"l{L}_eigenvalue_entropy_permuted_z","columns":{"fact":"l{L}_fact_eigenvalue_entropy_permuted_z","hall":"l{L}_hall_eigenvalue_entropy_permuted_z"},"label":"Eigenvalue entropy beside permuted activations (z)","unit":"standard deviations","difference":null,"help":"How far the eigenvalue_entropy is from that of the same rows with the activations permuted","nulls":true},
  {"name":"eigenvalue_entropy_permuted_tail","series":"l{L}_eigenvalue_entropy_permuted_tail","columns":{"fact":"l{L}_fact_eigenvalue_entropy_permuted_tail","hall":"l{L}_hall_eigenvalue_entropy_permuted_tail"},"label":"Eigenvalue entropy beside permuted activations (share)","unit":"probability","difference":null,"help":"How many of the draws have a eigenvalue_entropy as large: the same rows with the activations permuted","nulls":true},
  {"name":"sphericity_random_dictionary_z","series":"l{L}_sphericity_random_dictionary_z","columns":{"fact":"l{L}_fact_sphericity_random_dictionary_z","hall":"l{L}_hall_sphericity_random_dictionary_z"},"label":"Sphericity beside a random dictionary (z)","unit":"standard deviations","difference":null,"help":"How far the sphericity is from that of the same activations on directions drawn uniformly: an untrained dictionary","nulls":true},
  {"name":"sphericity_random_dictionary_tail","series":"l{L}_sphericity_random_dictionary_tail","columns":{"fact":"l{L}_fact_sphericity_random_dictionary_tail","hall":"l{L}_hall_sphericity_random_dictionary_tail"},"label":"Sphericity beside a random dictionary (share)","unit":"probability","difference":null,"help":"How many of the draws have a sphericity as large: the same activations on directions drawn uniformly: an untrained dictionary","nulls":true},
  {"name":"elongation_random_dictionary_z","series":"l{L}_elongation_random_dictionary_z","columns":{"fact":"l{L}_fact_elongation_random_dictionary_z","hall":"l{L}_hall_elongation_random_dictionary_z"},"label":"Elongation beside a random dictionary (z)","unit":"standard deviations","difference":null,"help":"How far the elongation is from that of the same activations on directions drawn uniformly: an untrained dictionary","nulls":true},
  {"name":"elongation_random_dictionary_tail","series":"l{L}_elongation_random_dictionary_tail","columns":{"fact":"l{L}_fact_elongation_random_dictionary_tail","hall":"l{L}_hall_elongation_random_dictionary_tail"},"label":"Elongation beside a random dictionary (share)","unit":"probability","difference":null,"help":"How many of the draws have a elongation as large: the same activations on directions drawn uniformly: an untrained dictionary","nulls":true},
  {"name":"dimensionality_random_dictionary_z","series":"l{L}_dimensionality_random_dictionary_z","columns":{"fact":"l{L}_fact_dimensionality_random_dictionary_z","hall":"l{L}_hall_dimensionality_random_dictionary_z"},"label":"Dimensionality beside a random dictionary (z)","unit":"standard deviations","difference":null,"help":"How far the dimensionality is from that of the same activations on directions drawn uniformly: an untrained dictionary","nulls":true},
  {"name":"dimensionality_random_dictionary_tail","series":"l{L}_dimensionality_random_dictionary_tail","columns":{"fact":"l{L}_fact_dimensionality_random_dictionary_tail","hall":"l{L}_hall_dimensionality_random_dictionary_tail"},"label":"Dimensionality beside a random dictionary (share)","unit":"probability","difference":null,"help":"How many of the draws have a dimensionality as large: the same activations on directions drawn uniformly: an untrained dictionary","nulls":true},
  {"name":"eigenvalue_entropy_random_dictionary_z","series":"l{L}_eigenvalue_entropy_random_dictionary_z","columns":{"fact":"l{L}_fact_eigenvalue_entropy_random_dictionary_z","hall":"l{L}_hall_eigenvalue_entropy_random_dictionary_z"},"label":"Eigenvalue entropy beside a random dictionary (z)","unit":"standard deviations","difference":null,"help":"How far the eigenvalue_entropy is from that of the same activations on directions drawn uniformly: an untrained dictionary","nulls":true},
  {"name":"eigenvalue_entropy_random_dictionary_tail","series":"l{L}_eigenvalue_entropy_random_dictionary_tail","columns":{"fact":"l{L}_fact_eigenvalue_entropy_random_dictionary_tail","hall":"l{L}_hall_eigenvalue_entropy_random_dictionary_tail"},"label":"Eigenvalue entropy beside a random dictionary (share)","unit":"probability","difference":null,"help":"How many of the draws have a eigenvalue_entropy as large: the same activations on directions drawn uniformly: an untrained dictionary","nulls":true},
  {"name":"cluster","series":"cluster","columns":{"whole":"cluster"},"label":"Cluster","unit":"","difference":null,"help":"What the sample is not independent of: the statistics draw samples of one cluster together"},
  {"name":"run_id","series":"run_id","columns":{"whole":"run_id"},"label":"Run","unit":"","difference":null,"help":"The run that a row comes from, so that runs can be stacked"},
];

/** What each column of stats.parquet is (crate/stats/table.rs). */
export const STATISTICS: Readonly<Record<string, string>> = {
  metric: "The metric with its layer, without the text: l5_gini, centroid_drift, or the name of a *_diff column",
  domain: "The domain, or all for all samples together ((all) where one of several domains has that name); with one domain only, there are no rows but those",
  direction: "Sign of every difference of the row: hall_minus_fact, except that the row of a *_diff column keeps its column's sign, which for some is fact_minus_hall",
  n: "Samples that have the metric on both sides",
  n_clusters: "Clusters that they are in: what counts as independent, is resampled, and has its signs flipped",
  mean_fact: "Mean over facts",
  mean_hall: "Mean over hallucinations",
  mean_diff: "Mean difference, in the row's direction",
  cohens_dz: "Cohen's d of the paired difference: its mean over its standard deviation",
  hedges_g: "Hedges' g of the paired difference: Cohen's d, corrected for small samples",
  cohens_d: "Cohen's d with the pooled standard deviation of facts and hallucinations: the mean difference over √((s_f² + s_h²) / 2)",
  auroc: "Area under the ROC curve of the metric alone: the chance that it is larger for a hallucination than for a fact (of a *_diff row whose sign is fact − hall, smaller), ties counted half; the row of n_tokens is that of length alone, that of logprob that of likelihood alone",
  auroc_ci_low: "Lower end of its 95 % interval (paired and by clusters, on the logit)",
  auroc_ci_high: "Its upper end",
  ci_low: "Lower end of the 95 % bootstrap interval of the mean difference (bias-corrected and accelerated, by clusters, over all samples drawn within domains)",
  ci_high: "Its upper end",
  p_permutation: "Sign-flip permutation test of the mean difference, two-sided",
  p_wilcoxon: "Wilcoxon signed-rank test, two-sided",
  q_value: "Benjamini–Hochberg q of p_permutation over the domain's metrics; a *_diff row is its metric's hypothesis again and shares its q, token counts are no member",
  p_holm: "Holm's adjusted p of p_permutation over the same family",
  equivalence_p: "Two one-sided t-tests against the bound (|d_z| = 0.3 unless the manifest says otherwise): small where a difference as large as that is ruled out",
  excluded_dz: "The smallest |d_z| that those tests would rule out at 5 %: the difference is smaller than this",
  detectable_dz: "The smallest |d_z| that so many clusters show in a single test with a chance of 80 %",
  length_r: "Pearson's r of the metric with the token count over fact and hallucination texts; of a *_diff row, with the difference (hall − fact) in token counts",
  n_length_matched: "Triples in closed chains, which carry the length control: among them facts and hallucinations have the same token counts",
  n_length_chains: "How many chains they make; a chain is what the test's signs are flipped for",
  length_adjusted_diff: "Mean difference over the triples in closed chains: the one at equal length",
  length_adjusted_ci_low: "Lower end of its 95 % interval",
  length_adjusted_ci_high: "Upper end of its 95 % interval",
  length_adjusted_p: "Sign-flip test of it over chains, two-sided",
  length_adjusted_q: "Benjamini–Hochberg q of length_adjusted_p over the domain's metrics",
  length_detectable_dz: "The smallest |d_z| at equal length that the matched triples show in a single test with a chance of 80 %",
  n_logprob_matched: "Triples in closed chains of equal log-probability, by sixteen grades of it in the place of token counts",
  logprob_adjusted_diff: "Mean difference over those: the one at equal log-probability; no verdict reads it",
  logprob_adjusted_ci_low: "Lower end of its 95 % interval",
  logprob_adjusted_ci_high: "Upper end of its 95 % interval",
  logprob_adjusted_p: "Sign-flip test of it over chains, two-sided",
  logprob_adjusted_q: "Benjamini–Hochberg q of logprob_adjusted_p over the domain's metrics",
  n_equal_length: "Samples whose fact and hallucination have equally many tokens; they are part of the matched ones",
  equal_length_diff: "Mean difference over the samples with equally many tokens; the verdict does not read it",
  equal_length_p: "Sign-flip test of it, two-sided",
  equal_length_q: "Benjamini–Hochberg q of equal_length_p over the domain's metrics",
  survives_length_control: "Whether there is a difference at equal length",
  verdict: "What the row amounts to after its length control",
};

/** What each column of stats_features.parquet is (crate/stats/feature_table.rs). */
export const FEATURE_STATISTICS: Readonly<Record<string, string>> = {
  layer: "The SAE layer",
  feature: "The feature's number in that layer's dictionary",
  domain: "all for all samples together ((all) where one of several domains has that name), which is where features are tested; or a domain in which the feature is active: counts and means alone. With one domain only, or more than 64, there are no rows but those of all samples",
  n: "Samples",
  n_fact: "Samples whose fact has the feature at its last token",
  n_hall: "Samples whose hallucination has it there",
  n_ghost: "Samples whose hallucination has it and whose fact has not: where it is a ghost",
  n_missing: "Samples whose fact has it and whose hallucination has not",
  mean_fact: "Mean over facts, 0 where it is not active",
  mean_hall: "Mean over hallucinations, 0 where it is not active",
  ghost_activation: "Mean activation where it is a ghost",
  missing_activation: "Mean activation in the facts whose hallucination has it not",
  n_clusters: "Clusters of samples in which it is active: six at least",
  presence_p: "Exact sign test of presence (McNemar's test): of clusters that have it in more hallucinations than facts against those that have it in fewer, two-sided",
  presence_q: "Benjamini–Hochberg q of it over all tested features of all layers; it has no length control, and no verdict reads it",
  mean_diff: "Mean difference of activation, hallucination − fact",
  cohens_dz: "Cohen's d of the paired difference of activation",
  auroc: "Area under the ROC curve of the activation alone: the chance that it is larger for a hallucination than for a fact, ties counted half",
  auroc_ci_low: "Lower end of its 95 % interval (paired and by clusters, on the logit)",
  auroc_ci_high: "Its upper end",
  p_permutation: "Sign-flip test of the mean difference of activation, two-sided, from its whole null distribution",
  q_value: "Benjamini–Hochberg q of it over all tested features of all layers",
  equivalence_p: "Two one-sided t-tests against the bound (|d_z| = 0.3 unless the manifest says otherwise): small where a difference as large as that is ruled out",
  length_r: "Pearson's r of the activation with the token count over fact and hallucination texts",
  n_length_chains: "Closed chains of equal length in which its differences do not cancel: what the length control rests on",
  length_adjusted_diff: "Mean difference of activation over the triples in closed chains: the one at equal length",
  length_adjusted_ci_low: "Lower end of its 95 % interval",
  length_adjusted_ci_high: "Upper end of its 95 % interval",
  length_adjusted_p: "Sign-flip test of it over chains, two-sided, from its whole null distribution",
  length_adjusted_q: "Benjamini–Hochberg q of it over all tested features of all layers",
  survives_length_control: "Whether there is a difference of activation at equal length",
  verdict: "What the difference of activation amounts to after its length control, by the rule of stats.parquet",
};
