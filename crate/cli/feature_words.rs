//! What features and the residual stream say, in a few lines of a terminal; `stats_features.parquet` has every row.

use super::control_words::survivor_lines;
use crate::stats::{Auroc, Classifier, FeatureTests, Features, RESIDUAL, Verdict};

/// How many features survive, and what is left of those by other controls; how well all of a layer's together tell
/// hallucinations from facts beside what length alone does, and a probe of the residual stream. Empty where no feature was
/// compared.
pub fn feature_lines(features: &Features) -> Vec<String> {
    let tested: Vec<&FeatureTests> = features.rows.iter().filter_map(|row| row.tested.as_ref()).collect();
    if tested.is_empty() {
        return Vec::new();
    }
    let count = |verdict: Verdict| tested.iter().filter(|tests| tests.verdict == verdict).count();
    let mut line =
        format!("features: {} of {} survive their length control", count(Verdict::SurvivesLengthControl), tested.len());
    for (verdict, words) in
        [(Verdict::ExplainedByLength, "explained by length"), (Verdict::NoLengthControl, "without length control")]
    {
        let n = count(verdict);
        if n > 0 {
            line.push_str(&format!("; {n} {words}"));
        }
    }
    let all = &features.classifiers;
    let lines = std::iter::once(line).chain(survivor_lines(&tested));
    lines.chain(classifier_line(all)).chain(residual_line(all)).collect()
}

/// The best layer's classifier of features beside length.
fn classifier_line(classifiers: &[Classifier]) -> Option<String> {
    let (best, layers) = best(classifiers, "features")?;
    let mut line = format!("all features: AUROC {}", interval(best.auroc?));
    if let Some(length) = classifiers.iter().find(|c| c.reads == "n_tokens").and_then(|c| c.auroc) {
        line.push_str(&format!(", length {:.2}", length.area));
    }
    Some(line + &at_equal_length(best) + &which(best, layers))
}

/// The best layer's probe of the residual stream.
fn residual_line(classifiers: &[Classifier]) -> Option<String> {
    let (best, layers) = best(classifiers, RESIDUAL)?;
    let (area, equal) = (interval(best.auroc?), at_equal_length(best));
    Some(format!("linear probe of the residual stream: AUROC {area}{equal}{}", which(best, layers)))
}

/// Its area over the triples whose texts have equally many tokens.
fn at_equal_length(of: &Classifier) -> String {
    of.matched.map_or_else(String::new, |matched| format!(", equal length {:.2}", matched.area))
}

/// The one with the largest area, and of how many layers.
fn best<'a>(classifiers: &'a [Classifier], reads: &str) -> Option<(&'a Classifier, usize)> {
    let of = || classifiers.iter().filter(|c| c.reads == reads);
    let area = |c: &Classifier| c.auroc.map(|auroc| auroc.area).unwrap_or_default();
    let best = of().filter(|c| c.auroc.is_some()).max_by(|a, b| area(a).total_cmp(&area(b)))?;
    Some((best, of().count()))
}

/// Its layer, and what chance does: what a narrow screen can do without stands last.
fn which(best: &Classifier, layers: usize) -> String {
    let layer = match (best.layer, layers) {
        (Some(layer), 1) => format!(" (layer {layer})"),
        (Some(layer), n) => format!(" (layer {layer}, best of {n})"),
        (None, _) => String::new(),
    };
    let chance = best.swapped.is_some_and(|swapped| swapped.is_chance());
    layer + if chance { "; chance does as well" } else { "" }
}

fn interval(auroc: Auroc) -> String {
    let ends = auroc.interval.map(|(low, high)| format!(" [{low:.2}, {high:.2}]"));
    format!("{:.2}{}", auroc.area, ends.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Chance;

    fn classifier(reads: &'static str, layer: Option<usize>, area: f64) -> Classifier {
        let auroc = |area: f64| Some(Auroc { area, interval: Some((area - 0.05, area + 0.05)) });
        Classifier {
            reads,
            layer,
            n: 90,
            columns: 4,
            kept: 2.5,
            auroc: auroc(area),
            n_matched: 50,
            matched: auroc(0.5),
            swapped: Some(Chance { mean: 0.5, p: 0.025, p_over_layers: if area > 0.6 { 0.05 } else { 0.4 } }),
        }
    }

    #[test]
    fn nothing_compared_says_nothing() {
        assert!(feature_lines(&Features::default()).is_empty());
    }

    #[test]
    fn the_best_layer_stands_beside_length() {
        let all = [
            classifier("features", Some(6), 0.55),
            classifier("l0", Some(6), 0.9),
            classifier("features", Some(14), 0.61),
            classifier("n_tokens", None, 0.74),
            classifier(RESIDUAL, Some(6), 0.72),
            classifier(RESIDUAL, Some(14), 0.71),
        ];
        let line = classifier_line(&all).unwrap();
        let wanted = "all features: AUROC 0.61 [0.56, 0.66], length 0.74, equal length 0.50 (layer 14, best of 2)";
        assert_eq!(line, wanted);
        let wanted =
            "linear probe of the residual stream: AUROC 0.72 [0.67, 0.77], equal length 0.50 (layer 6, best of 2)";
        assert_eq!(residual_line(&all).as_deref(), Some(wanted));
        assert_eq!(residual_line(&all[..4]), None);
        let alone = classifier_line(&all[..1]).unwrap();
        assert!(alone.contains("equal length 0.50 (layer 6); chance does as well"), "{alone}");
        assert_eq!(classifier_line(&all[3..]), None);
    }
}
