//! What a completion does to the cloud of features, and how stable and consistent the features are.

use crate::error::Result;
use crate::geometry::{angle_degrees, line_angle_degrees};
use crate::metrics::column::Direction;
use crate::metrics::layer::{Position, features, lacking};
use crate::metrics::metric::{BLANK, Compute, Group, Metric, OneText};
use crate::metrics::sparse::{ENTROPY_TOP, STABILITY_TOP, cosine, entropy, top_jaccard};
use crate::metrics::text::TextMeasure;

pub(super) const GROUP: Group = Group {
    title: "Texts, and their difference",
    metrics: &[CENTROID_DRIFT, AXIS_TWIST, STABILITY, ENTROPY, CROSS_LAYER_CONSISTENCY],
};

/// Where the clouds of the prompt and of a text lie, first SAE layer.
fn positions<'a>(of: &OneText<'a>) -> Result<[&'a Position; 2]> {
    let position = |text: &'a TextMeasure| {
        let measured = &text.layers[0];
        measured.position.as_ref().ok_or_else(|| lacking("position", &of.sample.sample_id, measured.layer))
    };
    Ok([position(&of.sample.prompt)?, position(of.text)?])
}

const CENTROID_DRIFT: Metric = Metric {
    name: "centroid_drift",
    label: "Centroid drift",
    unit: "degrees",
    difference: Some(Direction::HallMinusFact),
    range: "0 to 180",
    meaning: "How far the completion turns the centroid of the features away from the prompt's",
    formula: "angle between the centroids of prompt and text, first SAE layer; 0 with a zero vector",
    confounded: "token count; a prompt at an attention sink (`prompt_is_sink`), from which it means little",
    compute: Compute::Text(|of| {
        let [from, to] = positions(of)?;
        Ok(angle_degrees(&from.centroid, &to.centroid).into())
    }),
    ..BLANK
};

const AXIS_TWIST: Metric = Metric {
    name: "axis_twist",
    label: "Axis twist",
    unit: "degrees",
    difference: Some(Direction::HallMinusFact),
    range: "0 to 90",
    meaning: "How far the completion turns the leading axis of the features away from the prompt's",
    formula: "angle between the lines through the leading eigenvectors of prompt and text, first SAE layer; 0 with a \
              zero vector",
    confounded: "λ1 ≈ λ2, where the leading axis is hardly determined; token count; a prompt at an attention sink \
                 (`prompt_is_sink`), from which it means little",
    compute: Compute::Text(|of| {
        let [from, to] = positions(of)?;
        Ok(line_angle_degrees(&from.axis, &to.axis).into())
    }),
    ..BLANK
};

const STABILITY: Metric = Metric {
    name: "stability",
    label: "Stability",
    unit: "ratio",
    difference: Some(Direction::FactMinusHall),
    null: Some("the text was not encoded with noise"),
    range: "0 to 1",
    term: Some("Jaccard similarity of top features under noise"),
    meaning: "How many of the strongest features stay when noise is added to the residual",
    formula: "Jaccard of the top-10 features (positive ones only) of x and of x + noise, first SAE layer; see Noise",
    source: "P. Jaccard, 1912",
    confounded: "n below 10; the noise's size against the margin of the tenth feature; one draw of noise a text",
    compute: Compute::Text(|of| {
        let stability = of.text.noisy.as_ref().map(|(indices, activations)| {
            top_jaccard(features(&of.text.layers[0]), (indices, activations), STABILITY_TOP)
        });
        Ok(stability.into())
    }),
    ..BLANK
};

const ENTROPY: Metric = Metric {
    name: "entropy",
    label: "Entropy",
    unit: "nats",
    difference: Some(Direction::HallMinusFact),
    range: "0 to ln 50",
    term: Some("Shannon entropy of the top-50 activations"),
    meaning: "How evenly the strongest activations are spread",
    formula: "−Σ q ln q over the top-50 positive activations, q normalised to sum 1, first SAE layer; 0 if n = 0",
    source: "C. E. Shannon, 1948",
    confounded: "n below 50, which bounds it by ln n; token count",
    compute: Compute::Text(|of| Ok(entropy(&of.text.layers[0].activations, ENTROPY_TOP).into())),
    ..BLANK
};

const CROSS_LAYER_CONSISTENCY: Metric = Metric {
    name: "cross_layer_consistency",
    label: "Cross-layer consistency",
    unit: "cosine",
    difference: Some(Direction::FactMinusHall),
    null: Some("the run has fewer than three SAE layers"),
    range: "0 to 1",
    meaning: "How alike the activations of the second and third SAE layers are, feature number by feature number",
    formula: "cosine of the two feature-activation vectors of the second and third SAE layers, by feature index, over \
              the shorter width; 0 with a zero vector",
    confounded: "the numbering of features, which two dictionaries do not share: it compares unrelated features and is \
                 near 0 but for chance; `cross_layer_reconstruction_cosine` means something",
    compute: Compute::Text(|of| {
        let layers = of.text.layers.get(1).zip(of.text.layers.get(2));
        let cosine =
            layers.map(|(second, third)| cosine(features(second), features(third), second.d_sae.min(third.d_sae)));
        Ok(cosine.into())
    }),
    ..BLANK
};
