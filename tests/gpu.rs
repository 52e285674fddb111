//! The same golden comparisons on a graphics adapter (a software one will do), with this program's kernels and
//! with plain tensor operations. Ignored by a bare `cargo test`, since not every machine has an adapter;
//! `cargo xtask test` runs them.

use futures::executor::block_on;
use saescope::checkpoint::Quantization;
use saescope::engine;
use saescope::model::ops::{Compute, Form, Op, Precision};
use saescope::platform;

use crate::golden_models::{compare_metrics, compare_residuals, load, relative};

pub(crate) fn compute() -> Compute {
    compute_in(Precision::F32)
}

pub(crate) fn compute_in(precision: Precision) -> Compute {
    let adapters = block_on(platform::adapters());
    let adapter = adapters
        .first()
        .expect("no Vulkan, Metal or DX12 adapter; on Debian: apt-get install libvulkan1 mesa-vulkan-drivers");
    println!("adapter: {} ({:?}), software: {}", adapter.name, adapter.interface, adapter.software);
    let device = block_on(platform::open_adapter(adapter)).unwrap();
    Compute::gpu(device, precision, None)
}

fn plain() -> Compute {
    Compute::gpu_plain(compute().device, Precision::F32, None)
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_residuals() {
    for compute in [compute(), plain()] {
        for case in
            ["gemma2", "gemma3", "llama", "gpt2", "llama3_sharded_bf16", "gpt2_prefixed_f16", "gemma3_linear_f16"]
        {
            compare_residuals(case, &compute, 1e-3);
        }
    }
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_residuals_with_one_kernel_left_out() {
    let gpu = compute();
    for op in Op::ALL.into_iter().filter(|op| op.has_kernel()) {
        println!("{op:?} with plain tensors");
        compare_residuals("gemma2", &gpu.clone().with(op, Form::Plain).unwrap(), 1e-3);
    }
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_has_no_host_forms() {
    let compute = compute();
    assert!(!compute.on_host());
    for op in Op::ALL {
        assert_eq!(compute.form(op), if op.has_kernel() { Form::Kernel } else { Form::Plain });
        assert_eq!(plain().form(op), Form::Plain);
        let text = compute.clone().with(op, Form::Host).unwrap_err().to_string();
        assert!(text.contains(&format!("the host form of {op:?}")), "{text}");
    }
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_metrics() {
    for compute in [compute(), plain()] {
        for case in ["gemma2", "gemma3", "llama", "gpt2"] {
            compare_metrics(case, &compute, 1e-3);
        }
    }
}

/// Blocks are uploaded as they are and unpacked there.
#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_quantised_on_reading() {
    let gpu = compute();
    for (case, quantization) in [
        ("gemma2", Quantization::Q8),
        ("gemma3", Quantization::Q4),
        ("llama", Quantization::Q8),
        ("gpt2", Quantization::Q4),
    ] {
        let model = load(case).model.quantized(case, quantization, false).unwrap();
        let tokens =
            ["The white whale", "Alice peeped into the book"].map(|text| model.tokenizer.encode(text).unwrap());
        let layers: Vec<usize> = (0..model.dims().n_layers).collect();
        let residuals = |compute| block_on(engine::residuals(&model, compute, &tokens, &layers)).unwrap();
        let (there, here) = (residuals(&gpu), residuals(&Compute::cpu()));
        for layer in layers {
            for (there, here) in there[&layer].iter().zip(&here[&layer]) {
                let r = relative(there, here);
                assert!(r <= 1e-3, "{case}: block {layer}: {r:.2e}");
            }
        }
    }
}
