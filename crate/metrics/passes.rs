//! A run in two passes over its samples, so that none has to stay in memory: what depends on all of
//! them first ([`FirstPass`]), then rows, health and warnings, sample by sample.
//!
//! Sums are taken in the order in which samples are added. That is the data set's order, whoever
//! calls: on the CPU a run gives the same bits from memory, from disk, and from parts.

use super::column::{Cell, Column};
use super::layer::{LayerMeasure, residual};
use super::metric::{Extras, Group, OneSample};
use super::pooled::{LayerPooled, Pooled};
use super::registry::{GROUPS, Placed, place};
use super::text::SampleMeasure;
use super::text_kind::{COMPARED, TextKind};
use crate::error::{Error, Result};

/// The first pass over a run's samples.
#[derive(Debug, Clone)]
pub struct FirstPass {
    layers: Vec<usize>,
    sums: Vec<[Sum; 2]>,
}

/// A mean in the making.
#[derive(Debug, Clone, Default)]
struct Sum {
    sum: Vec<f64>,
    counted: usize,
}

impl Sum {
    fn add(&mut self, x: &[f32], sample: &str, layer: usize) -> Result<()> {
        if self.sum.is_empty() {
            self.sum.resize(x.len(), 0.0);
        }
        if x.len() != self.sum.len() {
            return Err(Error::mismatch(
                format!("sample {sample}: layer {layer}: residual"),
                format!("{} values", self.sum.len()),
                x.len().to_string(),
                "all texts of a run share one model; please report this",
            ));
        }
        self.counted += 1;
        self.sum.iter_mut().zip(x).for_each(|(s, &x)| *s += f64::from(x));
        Ok(())
    }

    fn mean(mut self) -> Vec<f64> {
        self.sum.iter_mut().for_each(|s| *s /= self.counted as f64);
        self.sum
    }
}

impl FirstPass {
    /// Of a run with SAEs at these `layers`.
    pub fn new(layers: &[usize]) -> Self {
        Self { layers: layers.to_vec(), sums: vec![Default::default(); layers.len()] }
    }

    /// Takes one sample, in the data set's order.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where it lacks a layer or a residual, or a residual has another length than
    /// the others.
    pub fn add(&mut self, sample: &SampleMeasure) -> Result<()> {
        check(sample, &self.layers)?;
        let id = &sample.sample_id;
        for (order, [all, ordinary]) in self.sums.iter_mut().enumerate() {
            for &kind in COMPARED {
                let measured = &sample.text(kind).layers[order];
                let x = residual(measured, id)?;
                all.add(x, id, measured.layer)?;
                if !measured.is_sink() {
                    ordinary.add(x, id, measured.layer)?;
                }
            }
        }
        Ok(())
    }

    /// What all samples together say.
    pub fn finish(self) -> Pooled {
        let layers = self
            .sums
            .into_iter()
            .map(|[all, ordinary]| LayerPooled { mean: all.mean(), ordinary_mean: ordinary.mean() });
        Pooled { layers: layers.collect() }
    }
}

/// Every text has the run's layers, in order.
pub(super) fn check(sample: &SampleMeasure, layers: &[usize]) -> Result<()> {
    for kind in TextKind::ALL {
        let text: &[LayerMeasure] = &sample.text(kind).layers;
        if !text.iter().map(|m| m.layer).eq(layers.iter().copied()) {
            let found: Vec<usize> = text.iter().map(|m| m.layer).collect();
            return Err(Error::mismatch(
                format!("sample {}: SAE layers of the {} text", sample.sample_id, kind.as_str()),
                format!("{layers:?}"),
                format!("{found:?}"),
                "every text is measured at every SAE layer; please report this",
            ));
        }
    }
    Ok(())
}

/// What is pooled is of these layers.
pub(super) fn check_pooled(pooled: &Pooled, layers: &[usize]) -> Result<()> {
    if pooled.layers.len() == layers.len() {
        return Ok(());
    }
    Err(Error::mismatch(
        "first pass over the samples",
        format!("{} SAE layers", layers.len()),
        pooled.layers.len().to_string(),
        "both passes are of one run; please report this",
    ))
}

/// The second pass: samples as rows of `metrics.parquet`.
#[derive(Debug, Clone)]
pub struct Rows {
    layers: Vec<usize>,
    run_id: String,
    pooled: Pooled,
    placed: Vec<Placed>,
    columns: Vec<Column>,
}

impl Rows {
    /// Of a run with SAEs at these `layers`, and with these extras.
    ///
    /// # Errors
    /// [`Error::Usage`] without layers; [`Error::Mismatch`] where `pooled` is of other layers.
    pub fn new(layers: &[usize], extras: impl Into<Extras>, run_id: &str, pooled: Pooled) -> Result<Self> {
        Self::of(GROUPS, layers, extras, run_id, pooled)
    }

    /// [`Rows::new`] with the metrics of these groups.
    ///
    /// # Errors
    /// As [`Rows::new`].
    pub fn of(
        groups: &'static [Group],
        layers: &[usize],
        extras: impl Into<Extras>,
        run_id: &str,
        pooled: Pooled,
    ) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::usage(
                "a run without SAE layers has nothing to measure",
                "give at least one --sae LAYER=PATH",
            ));
        }
        check_pooled(&pooled, layers)?;
        let placed = place(groups, layers, extras.into());
        let columns = placed.iter().map(|p| p.column.clone()).collect();
        Ok(Self { layers: layers.to_vec(), run_id: run_id.to_owned(), pooled, placed, columns })
    }

    /// The columns, as [`super::schema()`] lists them.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The row of one sample.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the sample lacks a layer, or was measured with less than
    /// [`super::Keep::needed`] says.
    pub fn row(&self, sample: &SampleMeasure) -> Result<Vec<Cell>> {
        check(sample, &self.layers)?;
        let of = OneSample { sample, run_id: &self.run_id };
        let mut row = Vec::with_capacity(self.placed.len());
        for placed in &self.placed {
            let cell = placed.cell(&of, &self.pooled.layers, &row)?;
            row.push(cell);
        }
        Ok(row)
    }
}
