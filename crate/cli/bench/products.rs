//! `saescope bench --gemm`: matrix products in every form that is for this processor, or for a graphics device.

use std::time::Duration;

use super::{median, spread};
use crate::checkpoint::HostTensor;
use crate::error::Result;
use crate::metrics::{Cell, Column, Kind, Table};
use crate::model::ops::{Compute, Linear, Matrix, Order, Panels, Precision, Rows, Tile, read_back};
use crate::platform::{self, Clock};

/// Rows, d_in, d_out: the products of a block of Gemma-2-2B and of the default model, over many rows and few.
const SHAPES: [[usize; 3]; 10] = [
    [2000, 2304, 2304],
    [2000, 2304, 9216],
    [2000, 9216, 2304],
    [96, 2304, 9216],
    [16, 2304, 9216],
    [3200, 576, 576],
    [3200, 576, 1536],
    [3200, 1536, 576],
    [96, 576, 1536],
    [600, 576, 4096],
];

/// How long a form is timed at least, after one product that is not counted.
const LEAST: Duration = Duration::from_millis(300);

/// One form at one shape.
pub(super) struct Product {
    shape: [usize; 3],
    form: &'static str,
    /// of every product
    seconds: Vec<f64>,
}

impl Product {
    fn gflops(&self, seconds: f64) -> f64 {
        2.0 * self.shape.iter().map(|&n| n as f64).product::<f64>() / seconds / 1e9
    }
}

/// Times all of them, the forms of a shape in turn, `repeat` rounds.
pub(super) fn time(repeat: u32) -> Vec<Product> {
    let mut out = Vec::new();
    for shape @ [rows, d_in, d_out] in SHAPES {
        let (x, values) = (values(rows * d_in, 1), values(d_in * d_out, 2));
        let w = Matrix { values: &values, d_in, d_out, by_in: 1, by_out: d_in };
        let every = Panels::every(w);
        // plain loops take minutes where they are not the best there is
        let best = |kind: bool| every.iter().position(|(form, _)| form.to_lowercase().contains("bf16") == kind);
        let plain = [best(false), best(true)];
        let mut forms: Vec<(Panels, Product)> = every
            .into_iter()
            .enumerate()
            .filter(|(i, (form, _))| !form.starts_with("plain") || plain.contains(&Some(*i)))
            .map(|(_, form)| form)
            .map(|(form, panels)| (panels, Product { shape, form, seconds: Vec::new() }))
            .collect();
        for _ in 0..repeat {
            for (panels, product) in &mut forms {
                let mut x = Rows::new(x.clone(), rows);
                panels.multiply(&mut x);
                let begin = Clock::start();
                while product.seconds.is_empty() || begin.seconds() < LEAST.as_secs_f64() {
                    let clock = Clock::start();
                    std::hint::black_box(panels.multiply(&mut x));
                    product.seconds.push(clock.seconds());
                }
            }
        }
        out.extend(forms.into_iter().map(|(_, product)| product));
    }
    out
}

/// Products that a device is given before it is waited for.
const QUEUED: u32 = 4;
/// Multiplications of a product that a rasteriser on the CPU is still asked for.
const FEW: usize = 1 << 30;

/// The same on a graphics device, small ones only where it is a rasteriser: this program's kernel with both tiles, on
/// weights stored in 32 and in 16 bits, and burn's matmul.
///
/// # Errors
/// Those of the device.
pub(super) async fn time_on_device(repeat: u32, compute: &Compute, software: bool) -> Result<Vec<Product>> {
    let on = |precision| Compute::gpu(compute.device.clone(), precision, compute.max_buffer);
    let plain = Compute::gpu_plain(compute.device.clone(), Precision::F32, compute.max_buffer);
    let forms = [
        ("kernel, f32", on(Precision::F32), Tile::Tall),
        ("kernel, f16 stored", on(Precision::F16), Tile::Tall),
        ("8 x 8, f32", on(Precision::F32), Tile::Square),
        ("8 x 8, f16 stored", on(Precision::F16), Tile::Square),
        ("burn, f32", plain, Tile::default()),
    ];
    let mut out = Vec::new();
    let shapes = SHAPES.into_iter().filter(|shape| !software || shape.iter().product::<usize>() < FEW);
    for shape @ [rows, d_in, d_out] in shapes {
        let (x, w) = (values(rows * d_in, 1), values(d_in * d_out, 2));
        let mut products: Vec<_> = forms
            .iter()
            .map(|(form, compute, tile)| {
                let weight = HostTensor { shape: Order::OutIn.shape(d_in, d_out).to_vec(), data: w.clone() };
                let map = Linear::out_in(weight, None, compute).tiled(*tile);
                (map, compute.tensor2(x.clone(), rows, d_in), Product { shape, form, seconds: Vec::new() })
            })
            .collect();
        for _ in 0..repeat {
            for (map, x, product) in &mut products {
                // the first one is compiled
                read_back(map.forward(x.clone()).slice([0..1, 0..1])).await?;
                let begin = Clock::start();
                let timed = product.seconds.len();
                while product.seconds.len() == timed || begin.seconds() < LEAST.as_secs_f64() {
                    let clock = Clock::start();
                    let mut last = map.forward(x.clone());
                    for _ in 1..QUEUED {
                        last = map.forward(x.clone());
                    }
                    read_back(last.slice([0..1, 0..1])).await?;
                    product.seconds.push(clock.seconds() / f64::from(QUEUED));
                }
            }
        }
        out.extend(products.into_iter().map(|(_, _, product)| product));
    }
    Ok(out)
}

/// Megabytes of buffers that are given to a device, from the smallest weight to an MLP's.
const UPLOADS: [usize; 3] = [1, 16, 64];

/// How fast a device takes buffers, for a terminal: until it has them, which a byte that is read back tells.
///
/// # Errors
/// Those of the device.
pub(super) async fn uploads(repeat: u32, compute: &Compute) -> Result<String> {
    let mut out = format!("{:<18} {:>9} {:>13} {:>9}\n", "upload", "buffers", "GB/s", "fastest");
    for megabytes in UPLOADS {
        let values = values(megabytes * (1 << 20) / 4, 3);
        let mut seconds = Vec::new();
        // the first one is not counted
        for i in 0..=3 * repeat {
            let values = values.clone();
            let clock = Clock::start();
            compute.read_back(compute.tensor1(values).slice(0..1)).await?;
            if i > 0 {
                seconds.push(clock.seconds());
            }
        }
        let pace = |seconds: f64| megabytes as f64 * f64::from(1 << 20) / seconds / 1e9;
        let (usual, fastest) = (pace(median(&seconds)), pace(spread(&seconds).0));
        let what = format!("{megabytes} MiB");
        out.push_str(&format!("{what:<18} {:>9} {usual:>13.2} {fastest:>9.2}\n", seconds.len()));
    }
    Ok(out)
}

/// Deterministic values in [−1, 1).
fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut s = seed;
    (0..n)
        .map(|_| {
            s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (s >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// For a terminal: the median, and the fastest; how many times the pace of the first f32 form.
pub(super) fn text(products: &[Product]) -> String {
    let mut out = format!(
        "{:<18} {:<18} {:>9} {:>13} {:>9} {:>11}   ({} threads)\n",
        "rows x in x out",
        "form",
        "products",
        "GFLOP/s",
        "fastest",
        "x first",
        platform::threads(),
    );
    for product in products {
        let [rows, d_in, d_out] = product.shape;
        let pace = product.gflops(median(&product.seconds));
        let first = products
            .iter()
            .find(|other| other.shape == product.shape)
            .map_or(f64::NAN, |p| p.gflops(median(&p.seconds)));
        out.push_str(&format!(
            "{:<18} {:<18} {:>9} {:>13.1} {:>9.1} {:>11.2}\n",
            format!("{rows}x{d_in}x{d_out}"),
            product.form,
            product.seconds.len(),
            pace,
            product.gflops(spread(&product.seconds).0),
            pace / first,
        ));
    }
    out
}

/// `gemm.parquet`.
///
/// # Errors
/// None in practice.
pub(super) fn table(products: &[Product]) -> Result<Table> {
    let count = |n: usize| i64::try_from(n).map_or(Cell::Null, Cell::Int);
    Ok(Table {
        columns: vec![
            Column::new("rows", Kind::Int64),
            Column::new("d_in", Kind::Int64),
            Column::new("d_out", Kind::Int64),
            Column::new("form", Kind::Utf8),
            Column::new("products", Kind::Int64),
            Column::new("gflops", Kind::Float64),
            Column::new("gflops_fastest", Kind::Float64),
            Column::new("threads", Kind::Int64),
        ],
        rows: products
            .iter()
            .map(|product| {
                let [rows, d_in, d_out] = product.shape.map(count);
                vec![
                    rows,
                    d_in,
                    d_out,
                    Cell::Text(product.form.to_owned()),
                    count(product.seconds.len()),
                    Cell::Float(product.gflops(median(&product.seconds))),
                    Cell::Float(product.gflops(spread(&product.seconds).0)),
                    count(platform::threads()),
                ]
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_are_told_beside_the_first_form() {
        let product = |form, seconds: &[f64]| Product { shape: [10, 100, 1000], form, seconds: seconds.to_vec() };
        let products = [product("AVX-512", &[1e-3, 2e-3, 1e-3]), product("AVX2", &[1e-2])];
        let text = text(&products);
        let row = |form: &str| {
            let line = text.lines().find(|line| line.contains(form)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        // 2 million operations in a millisecond
        assert_eq!(row("AVX-512")[2..], ["3", "2.0", "2.0", "1.00"]);
        assert_eq!(row("AVX2")[2..], ["1", "0.2", "0.2", "0.10"]);
        let table = table(&products).unwrap();
        assert_eq!(table.cell(0, "gflops").and_then(Cell::number), Some(2.0));
    }
}
