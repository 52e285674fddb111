//! Features that only one completion has, beside the token that the fact ends on.

use crate::metrics::column::Family;
use crate::metrics::layer::LayerMeasure;
use crate::metrics::metric::{BLANK, Compute, Group, Metric};
use crate::metrics::token_cosine::Aligned;

pub(super) const GROUP: Group =
    Group { title: "Features beside the fact's token", metrics: &[GHOST, GHOST_Z, MISSING, MISSING_Z] };

const GHOST: Metric = Metric {
    name: "ghost_token_cosine",
    label: "Ghost features beside the fact's token",
    unit: "cosine",
    texts: &[],
    null: Some("there is no ghost feature, or more than 256 features are active"),
    with_nulls: true,
    family: Family::None,
    range: "0 to 1",
    meaning: "How near the ghost features point to the token that the fact ends on, whichever way",
    formula: "mean over A_hall ∖ A_fact of |cos(r_i, e)|, e the row of the token embedding of the fact's last token, without \
              scale or position",
    confounded: "the layer, since decoders of later ones write nearer to the unembedding; tokens with a large common \
                 direction, which every row has something of",
    compute: Compute::Layer(|at| ghost(at.fact, at.hall).map(|a| a.mean).into()),
    ..BLANK
};

const GHOST_Z: Metric = Metric {
    name: "ghost_token_cosine_z",
    label: "Ghost features beside the fact's token (z)",
    unit: "standard deviations",
    null: Some("there is no ghost feature, or more than 256 features are active, or random rows do not vary"),
    range: "any",
    meaning: "How far that is from what as many rows of the decoder, drawn at random, have with the same token",
    formula: "(number − mean of |cos(r, e)|) / (σ √((N − k) / (k (N − 1)))), mean and σ over the N = 1,024 random rows of the \
              nulls, k ghost features: mean and spread of k of them exactly, without draws",
    source: "W. G. Cochran, “Sampling Techniques”, 3rd ed., 1977, §2.6",
    confounded: "active features being no random rows: what is active at all is nearer to the text's tokens than the rest \
                 of the dictionary, so that it is to be read beside `missing_token_cosine_z`",
    compute: Compute::Layer(|at| ghost(at.fact, at.hall).and_then(|a| a.z).into()),
    ..GHOST
};

const MISSING: Metric = Metric {
    name: "missing_token_cosine",
    label: "Missing features beside the fact's token",
    null: Some("there is no missing feature, or more than 256 features are active"),
    meaning: "How near the features that the fact alone has point to the token that it ends on: what ghost features are \
              to be read beside",
    formula: "mean over A_fact ∖ A_hall of |cos(r_i, e)|, e as for `ghost_token_cosine`",
    compute: Compute::Layer(|at| ghost(at.hall, at.fact).map(|a| a.mean).into()),
    ..GHOST
};

const MISSING_Z: Metric = Metric {
    name: "missing_token_cosine_z",
    label: "Missing features beside the fact's token (z)",
    null: Some("there is no missing feature, or more than 256 features are active, or random rows do not vary"),
    meaning: "How far that is from what as many rows of the decoder, drawn at random, have with the same token",
    formula: "as `ghost_token_cosine_z`",
    confounded: "active features being no random rows",
    compute: Compute::Layer(|at| ghost(at.hall, at.fact).and_then(|a| a.z).into()),
    ..GHOST_Z
};

/// The features of `of` that `other` has not.
fn ghost(other: &LayerMeasure, of: &LayerMeasure) -> Option<Aligned> {
    of.token_cosines.as_ref()?.aligned(&of.indices, &other.indices)
}
