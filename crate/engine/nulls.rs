//! The pools that a run's nulls are drawn from: made when a layer is first measured, kept for later passes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::options::Options;
use crate::error::Result;
use crate::metrics::{Pool, pool_features, random_pool, unit};
use crate::platform;
use crate::sae::Sae;

/// Pools of an analysis.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// Of decoder rows, by layer.
    rows: BTreeMap<usize, Arc<Pool>>,
    /// The rows themselves, each of norm 1, by layer.
    units: BTreeMap<usize, Arc<Vec<f32>>>,
    /// Of random directions, by their dimensions.
    random: BTreeMap<usize, Arc<Pool>>,
}

/// What the nulls of one layer are drawn from.
#[derive(Debug, Clone)]
pub(super) struct LayerPools {
    pub(super) rows: Arc<Pool>,
    pub(super) random: Arc<Pool>,
    /// Those rows, each of norm 1, shape \[n, d\].
    pub(super) units: Arc<Vec<f32>>,
    /// Draws of each null.
    pub(super) draws: usize,
    pub(super) seed: u64,
}

impl Pools {
    /// Those of a layer; none where no nulls are asked for.
    ///
    /// # Errors
    /// Reading the decoder's rows.
    pub(super) async fn layer(&mut self, layer: usize, sae: &Sae, options: &Options) -> Result<Option<LayerPools>> {
        let Options { nulls: draws, seed, .. } = *options;
        if draws == 0 {
            return Ok(None);
        }
        let d = sae.d_in;
        let wanted = match self.rows.get(&layer) {
            Some(_) => None,
            None => {
                let features = pool_features(sae.d_sae, layer, seed);
                let n = features.len();
                Some((sae.distinct_decoder_rows(features.iter().copied()).await?.gather(features)?.data, n))
            }
        };
        // two at a time
        let fresh = !self.random.contains_key(&d);
        let mut made = platform::par_map(2, |which| match (which, &wanted) {
            (0, Some((rows, n))) => Some(Pool::new(rows, *n, d)),
            (1, _) if fresh => Some(random_pool(d, seed)),
            _ => None,
        })
        .into_iter();
        let (rows, random) = (made.next().flatten(), made.next().flatten());
        let rows = self.rows.entry(layer).or_insert_with(|| Arc::new(rows.unwrap_or_default())).clone();
        let random = self.random.entry(d).or_insert_with(|| Arc::new(random.unwrap_or_default())).clone();
        if let Some((rows, _)) = wanted {
            let units = rows.chunks_exact(d).flat_map(unit).collect();
            self.units.insert(layer, Arc::new(units));
        }
        let units = self.units.entry(layer).or_default().clone();
        Ok(Some(LayerPools { rows, random, units, draws, seed }))
    }
}
