//! How well facts and hallucinations are told apart by the residual stream itself, read linearly: beside it, "no metric
//! survives" is that nothing is there to be read, or that the metrics do not see it.

use super::classifier::{Scores, Triples, WithSwaps};
use super::features::Design;
use super::gather::{Active, FeatureSource};
use super::ridge::{Kernel, Probe};
use super::settings::Settings;
use crate::error::Result;
use crate::metrics::TextKind;
use crate::platform::par_map;

/// What a [`super::Classifier`] of the residual stream reads.
pub const RESIDUAL: &str = "residual";

/// Triples that take part at most: of more, every so many. A factorisation takes the time of their cube.
pub const MOST_PROBED: usize = 500;

/// Layers whose rows are in memory at once.
const AT_ONCE: usize = 4;

/// Linear probes of the residual stream at the last token, one a layer: ridge regression of hallucination against fact
/// ([`Probe`]), with folds and swaps that are drawn as those of the other classifiers. Empty where there are too few
/// clusters; a layer is left out where the source has not every triple's, or nothing varies.
///
/// # Errors
/// Of the source.
pub(super) fn residual_classifiers(
    layers: &[usize],
    source: &dyn FeatureSource,
    design: &Design,
    settings: Settings,
) -> Result<Vec<WithSwaps>> {
    if !source.has_residual() {
        return Ok(Vec::new());
    }
    let Some(triples) = Triples::new(design, settings, MOST_PROBED) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for layers in layers.chunks(AT_ONCE) {
        let rows = gathered(layers, source, design, &triples)?;
        let probed = par_map(layers.len(), |i| probed(layers[i], &rows[i], &triples, design));
        found.extend(probed.into_iter().flatten());
    }
    Ok(found)
}

/// By layer: the residual of the fact of triple i in row 2 i, of its hallucination in the next; empty where the source
/// has none.
fn gathered(
    layers: &[usize],
    source: &dyn FeatureSource,
    design: &Design,
    triples: &Triples,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let triple = triples.places(design);
    let mut rows = vec![vec![Vec::new(); 2 * triples.len()]; layers.len()];
    source.each(&mut |Active { sample, text, layer, x, .. }| {
        let Some(of_layer) = layers.iter().position(|known| *known == layer) else { return };
        let Some(x) = x.filter(|_| text != TextKind::Prompt) else { return };
        if let Some(i) = triple(sample) {
            rows[of_layer][2 * i + usize::from(text == TextKind::Hall)] = x.to_vec();
        }
    })?;
    Ok(rows)
}

/// The probe of one layer.
fn probed(layer: usize, rows: &[Vec<f32>], triples: &Triples, design: &Design) -> Option<WithSwaps> {
    let width = rows.first().map(Vec::len).filter(|width| *width > 0)?;
    if rows.iter().any(|row| row.len() != width || row.iter().any(|x| !x.is_finite())) {
        return None;
    }
    let kernel = Kernel::standardised(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let fold: Vec<usize> = (0..rows.len()).map(|row| triples.fold_of(row)).collect();
    let probe = Probe::new(&kernel, kernel.penalty(), &fold)?;
    let scores = (0..triples.runs()).map(|run| {
        let label = |row: usize| if triples.is_hall(row, run) { 1.0 } else { -1.0 };
        probe.scores(&(0..rows.len()).map(label).collect::<Vec<f64>>())
    });
    let scores =
        Scores { reads: RESIDUAL, layer: Some(layer), columns: width, kept: width as f64, runs: scores.collect() };
    Some(scores.classifier(triples, design))
}

#[cfg(test)]
mod tests {
    use super::super::resample::stream;
    use super::super::simulation::normal;
    use super::super::{Classifier, Features, Samples, compare_features};
    use super::*;
    use crate::metrics::{Cell, Column, Kind, Table};

    const LAYERS: [usize; 2] = [3, 9];
    const WIDTH: usize = 24;

    /// Residuals of facts and hallucinations in memory, the same of every layer but for its sign.
    struct Residuals {
        of: Vec<[Vec<f32>; 2]>,
        /// A layer that has no residual of one text.
        without: Option<usize>,
    }

    impl FeatureSource for Residuals {
        fn each(&self, take: &mut dyn FnMut(Active<'_>)) -> Result<()> {
            for (sample, [fact, hall]) in self.of.iter().enumerate() {
                for layer in LAYERS {
                    for (text, x) in [(TextKind::Prompt, fact), (TextKind::Fact, fact), (TextKind::Hall, hall)] {
                        let x: Vec<f32> = x.iter().map(|x| if layer == 9 { -x } else { *x }).collect();
                        let there = (self.without, sample, text) != (Some(layer), 7, TextKind::Hall);
                        let x = there.then_some(x.as_slice());
                        take(Active { sample, text, layer, features: &[], activations: &[], x });
                    }
                }
            }
            Ok(())
        }

        fn has_residual(&self) -> bool {
            true
        }
    }

    /// So many triples of three tokens, two a cluster.
    fn samples(n: usize) -> Samples {
        let mut columns = vec![Column::new("domain", Kind::Utf8), Column::new("cluster", Kind::Utf8)];
        columns.extend(["prompt", "fact", "hall"].map(|text| Column::new(format!("n_tokens_{text}"), Kind::Int64)));
        let row = |i: usize| {
            let text = [Cell::Text("a".into()), Cell::Text((i / 2).to_string())];
            text.into_iter().chain([2, 3, 3].map(Cell::Int)).collect()
        };
        (&Table { columns, rows: (0..n).map(row).collect() }).try_into().unwrap()
    }

    /// Residuals of a subject and noise; hallucinations are moved so far along one direction.
    fn residuals(n: usize, seed: u64, moved: f64) -> Residuals {
        let mut random = stream("residuals", seed, "test");
        let one = |_| {
            let subject: Vec<f64> = (0..WIDTH).map(|_| 3.0 * normal(&mut random)).collect();
            [0.0, moved].map(|moved| {
                let of = |(j, s): (usize, &f64)| (s + normal(&mut random) + if j == 5 { moved } else { 0.0 }) as f32;
                subject.iter().enumerate().map(of).collect::<Vec<f32>>()
            })
        };
        Residuals { of: (0..n).map(one).collect(), without: None }
    }

    fn found(source: &Residuals) -> Vec<Classifier> {
        let Features { classifiers, .. } = compare_features(&samples(source.of.len()), &LAYERS, source, 1).unwrap();
        classifiers.into_iter().filter(|of| of.reads == RESIDUAL).collect()
    }

    #[test]
    fn what_is_there_is_found_and_what_is_not_is_not() {
        let n = 80;
        let there = found(&residuals(n, 1, 6.0));
        assert_eq!(there.iter().map(|of| of.layer).collect::<Vec<_>>(), [Some(3), Some(9)]);
        for of in &there {
            assert_eq!((of.n, of.columns, of.n_matched), (n, WIDTH, n));
            let (area, chance) = (of.auroc.unwrap().area, of.swapped.unwrap());
            assert!(area > 0.85 && !chance.is_chance(), "{of:?}");
            assert_eq!(of.matched.unwrap().area, area);
        }
        // a sign is no matter
        assert!((there[0].auroc.unwrap().area - there[1].auroc.unwrap().area).abs() < 1e-12);
        let not = found(&residuals(n, 2, 0.0));
        assert!((0.3..0.7).contains(&not[0].auroc.unwrap().area), "{not:?}");
    }

    #[test]
    fn scores_are_of_fits_to_other_clusters() {
        // beside noise a dimension for each cluster that tells its sides apart, and no other's: a fit that saw the
        // other triple of a cluster would tell all
        let n = 80;
        let mut source = residuals(n, 3, 0.0);
        for (i, sides) in source.of.iter_mut().enumerate() {
            for (x, side) in sides.iter_mut().zip([-1.0, 1.0]) {
                let own = (0..n / 2).map(|cluster| if cluster == i / 2 { 50.0 * side } else { 0.0 });
                x.extend(own);
            }
        }
        let area = found(&source)[0].auroc.unwrap().area;
        assert!((0.3..0.7).contains(&area), "{area}");
    }

    #[test]
    fn a_layer_that_cannot_be_probed_is_left_out() {
        let source = Residuals { without: Some(9), ..residuals(30, 4, 6.0) };
        assert_eq!(found(&source).iter().map(|of| of.layer).collect::<Vec<_>>(), [Some(3)]);
        let mut source = residuals(30, 4, 6.0);
        source.of[7][1][3] = f32::NAN;
        assert!(found(&source).is_empty(), "no number");
        let constant = vec![[vec![1.0; WIDTH], vec![1.0; WIDTH]]; 30];
        assert!(found(&Residuals { of: constant, without: None }).is_empty(), "nothing varies");
        assert!(found(&residuals(8, 4, 6.0)).is_empty(), "too few clusters");
    }
}
