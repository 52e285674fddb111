//! Active features of texts as a table in long form.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, Int32Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use saescope::cli::embed::Features;
use saescope::engine::Positions;

use crate::table::Table;

/// Rows of a batch, about: a text's are together.
const BATCH_ROWS: usize = 1 << 20;

/// One row per active feature, sorted by text, layer, position and feature.
pub fn table(found: &Features, positions: Positions) -> Result<Table, ArrowError> {
    let mut rows = Rows::default();
    let mut batches = Vec::new();
    for (text, of_text) in found.texts.iter().enumerate() {
        let (ids, words) = (&found.tokens[text], &found.words[text]);
        for (layer, of_layer) in found.layers.iter().zip(&of_text.layers) {
            for (i, features) in of_layer.iter().enumerate() {
                let position = if positions == Positions::Last { ids.len() - 1 } else { i };
                for feature in features {
                    rows.text.append_value(text as i64);
                    rows.layer.append_value(*layer as i64);
                    rows.position.append_value(position as i64);
                    rows.token_id.append_value(i64::from(ids[position]));
                    rows.token.append_value(&words[position]);
                    rows.feature.append_value(
                        i32::try_from(feature.index).map_err(|e| ArrowError::ComputeError(e.to_string()))?,
                    );
                    rows.activation.append_value(feature.activation);
                    rows.count += 1;
                }
            }
        }
        if rows.count >= BATCH_ROWS {
            batches.push(std::mem::take(&mut rows).batch()?);
        }
    }
    batches.push(rows.batch()?);
    Ok(Table { schema: batches[0].schema(), batches })
}

/// Columns under way.
#[derive(Default)]
struct Rows {
    count: usize,
    text: Int64Builder,
    layer: Int64Builder,
    position: Int64Builder,
    token_id: Int64Builder,
    token: StringBuilder,
    feature: Int32Builder,
    activation: Float32Builder,
}

impl Rows {
    fn batch(mut self) -> Result<RecordBatch, ArrowError> {
        let columns: [(&str, ArrayRef); 7] = [
            ("text", Arc::new(self.text.finish())),
            ("layer", Arc::new(self.layer.finish())),
            ("position", Arc::new(self.position.finish())),
            ("token_id", Arc::new(self.token_id.finish())),
            ("token", Arc::new(self.token.finish())),
            ("feature", Arc::new(self.feature.finish())),
            ("activation", Arc::new(self.activation.finish())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, false)))
    }
}
