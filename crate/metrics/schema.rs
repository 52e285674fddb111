//! The columns of `metrics.parquet`.

use super::column::Column;
use super::metric::Extras;
use super::registry::{GROUPS, place};

/// The columns of `metrics.parquet` for SAEs at these `layers`, in file order: those of
/// [`super::GROUPS`].
///
/// The first SAE layer is `layers[0]`, the second and third are `layers[1]` and `layers[2]`. With
/// fewer than three layers the cross-layer columns stay and are null; of more than three, the rest
/// take no part in them.
pub fn schema(layers: &[usize], extras: impl Into<Extras>) -> Vec<Column> {
    place(GROUPS, layers, extras.into()).into_iter().map(|placed| placed.column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Kind;

    #[test]
    fn names_are_distinct_and_types_follow_the_contract() {
        let columns = schema(&[5, 12, 20], Extras { logprob: true, nulls: true });
        for (i, column) in columns.iter().enumerate() {
            assert!(columns[..i].iter().all(|c| c.name != column.name), "{} twice", column.name);
            let kind = match column.name.as_str() {
                "sample_id" | "domain" | "cluster" | "run_id" => Kind::Utf8,
                name if name.ends_with("_shape_class") => Kind::Utf8,
                name if name == "complexity" || name.ends_with("_l0_norm") => Kind::Int64,
                name if name.starts_with("last_token_") => Kind::Int64,
                name if name.starts_with("n_tokens_") || name.ends_with("_count") => Kind::Int64,
                "prompt_is_sink" => Kind::Bool,
                _ => Kind::Float64,
            };
            assert_eq!(column.kind, kind, "{}", column.name);
        }
    }

    #[test]
    fn the_first_group_of_metrics_has_51_columns() {
        // 3 layers × 2 texts × 6, and 5 metrics × (fact, hall, diff)
        let columns = schema(&[5, 12, 20], false);
        let end = columns.iter().position(|c| c.name == "n_tokens_prompt").unwrap();
        assert_eq!(end - 3, 3 * 2 * 6 + 5 * 3);
        // scripts of the experiment that this generalises read these names: they are not ours to change
        let mut names = Vec::new();
        for layer in [5, 12, 20] {
            for text in ["fact", "hall"] {
                let of = ["l0_norm", "reconstruction_error", "gini", "sphericity", "shape_class", "dimensionality"];
                names.extend(of.map(|name| format!("l{layer}_{text}_{name}")));
            }
        }
        for metric in ["centroid_drift", "axis_twist", "stability", "entropy", "cross_layer_consistency"] {
            names.extend(["fact", "hall", "diff"].map(|of| format!("{metric}_{of}")));
        }
        let mut found: Vec<&str> = columns[3..end].iter().map(|c| c.name.as_str()).collect();
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names);
        assert_eq!(["sample_id", "domain", "complexity"], [0, 1, 2].map(|i| columns[i].name.as_str()));
    }
}
