//! What features say, in two lines of a terminal; `stats_features.parquet` has every row.

use crate::stats::{Auroc, Classifier, Features, RESIDUAL, Verdict};

/// How many features survive, and how well all of a layer's together tell hallucinations from facts beside what
/// length alone does. Empty where no feature was compared.
pub fn feature_lines(features: &Features) -> Vec<String> {
    let verdicts: Vec<Verdict> =
        features.rows.iter().filter_map(|row| row.tested.as_ref()).map(|tests| tests.verdict).collect();
    if verdicts.is_empty() {
        return Vec::new();
    }
    let count = |verdict: Verdict| verdicts.iter().filter(|v| **v == verdict).count();
    let mut line = format!(
        "features: {} of {} survive their length control",
        count(Verdict::SurvivesLengthControl),
        verdicts.len()
    );
    for (verdict, words) in
        [(Verdict::ExplainedByLength, "explained by length"), (Verdict::NoLengthControl, "without length control")]
    {
        let n = count(verdict);
        if n > 0 {
            line.push_str(&format!("; {n} {words}"));
        }
    }
    std::iter::once(line).chain(classifier_line(&features.classifiers)).collect()
}

/// The best layer's classifier beside length and the best layer's residual stream.
fn classifier_line(classifiers: &[Classifier]) -> Option<String> {
    let of = |reads: &'static str| classifiers.iter().filter(move |c| c.reads == reads);
    let area = |c: &Classifier| c.auroc.map(|auroc| auroc.area);
    let layers = of("features").count();
    let best = of("features").filter(|c| c.auroc.is_some()).max_by(|a, b| {
        let [a, b] = [a, b].map(|c| area(c).unwrap_or_default());
        a.total_cmp(&b)
    })?;
    let mut line = format!("all features: AUROC {}", interval(best.auroc?));
    if let Some(length) = of("n_tokens").find_map(area) {
        line.push_str(&format!(", length {length:.2}"));
    }
    if let Some(matched) = best.matched {
        line.push_str(&format!(", equal length {:.2}", matched.area));
    }
    // what a narrow screen can do without stands last
    match (best.layer, layers) {
        (Some(layer), 1) => line.push_str(&format!(" (layer {layer})")),
        (Some(layer), n) => line.push_str(&format!(" (layer {layer}, best of {n})")),
        (None, _) => {}
    }
    if best.swapped.is_some_and(|swapped| swapped.is_chance()) {
        line.push_str("; chance does as well");
    }
    if let Some(residual) = of(RESIDUAL).filter_map(area).max_by(f64::total_cmp) {
        line.push_str(&format!("; a linear probe of the residual stream: {residual:.2}"));
    }
    Some(line)
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
            swapped: Some(Chance { mean: 0.5, p: if area > 0.6 { 0.025 } else { 0.4 } }),
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
        let wanted = "all features: AUROC 0.61 [0.56, 0.66], length 0.74, equal length 0.50 (layer 14, best of 2); \
                      a linear probe of the residual stream: 0.72";
        assert_eq!(line, wanted);
        let alone = classifier_line(&all[..1]).unwrap();
        assert!(alone.contains("equal length 0.50 (layer 6); chance does as well"), "{alone}");
        assert_eq!(classifier_line(&all[3..]), None);
    }
}
