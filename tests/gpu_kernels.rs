//! Every kernel of this program's own against its twin on the CPU and, where the same sums are made in the same
//! order, bit for bit. Ignored by a bare `cargo test`, as `tests/gpu.rs` is; `cargo xtask test` runs them.

use futures::executor::block_on;
use saescope::batch::Trie;
use saescope::checkpoint::{BlockType, Blocks, Halves, HostTensor, Narrow};
use saescope::engine::self_test;
use saescope::model::ops::{
    Activation, Active, ActiveRow, ActiveRule, AttentionParams, Compute, LayerNorm, Linear, Order, Precision, RmsNorm,
    RopeScaling, RopeTable, Threshold, Tile, TrieContext, activate, attention, gated_activation, inverse_frequencies,
    kernels_are_exact, read_back, unpack_on_device,
};

use crate::gpu::compute;

/// Deterministic values in [−1, 1).
fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut s = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn close(name: &str, a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len(), "{name}: lengths");
    assert!(a.iter().chain(b).all(|v| v.is_finite()), "{name}: not finite");
    let scale = b.iter().fold(1e-30f32, |m, v| m.max(v.abs()));
    let worst = a.iter().zip(b).fold(0f32, |m, (x, y)| m.max((x - y).abs()));
    assert!(worst <= tolerance * scale, "{name}: largest difference {worst:e} at scale {scale:e}");
}

/// Texts that share beginnings, one of them longer than several of the kernel's chunks.
fn trie() -> Trie {
    let mut trie = Trie::new();
    let long: Vec<u32> = (0..300).map(|i| i * 7 % 101).collect();
    for text in [&[0, 1, 2, 3, 4, 5, 6][..], &[0, 1, 2, 9, 9, 9], &[0, 7], &long, &long[..65], &[5, 5, 5, 5]] {
        trie.insert(text);
    }
    trie
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_kernel_attention() {
    let (gpu, trie) = (compute(), trie());
    let n = trie.len();
    for (heads, kv_heads, head_dim) in [(4, 2, 12), (3, 3, 64), (8, 4, 256), (2, 1, 320)] {
        for (softcap, window) in [(None, None), (Some(2.0), None), (None, Some(3)), (Some(50.0), Some(100))] {
            let p = AttentionParams { heads, kv_heads, head_dim, scale: 0.4, softcap, window };
            let (qw, kw) = (heads * head_dim, kv_heads * head_dim);
            let run = |c: &Compute, announced: &[Option<usize>]| {
                let q = c.tensor2(random(n * qw, 1), n, qw);
                let k = c.tensor2(random(n * kw, 2), n, kw);
                let v = c.tensor2(random(n * kw, 3), n, kw);
                let context = TrieContext::new(&trie, announced, c);
                block_on(read_back(attention(q, k, v, &context, &p, c))).unwrap()
            };
            let announced = run(&gpu, &[window]);
            close(&format!("{p:?}"), &announced, &run(&Compute::cpu(), &[]), 1e-5);
            assert_eq!(announced, run(&gpu, &[]), "a window that was not announced");
        }
    }
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_kernel_norm_rope_and_gate() {
    let (gpu, cpu) = (compute(), Compute::cpu());
    // the last ones have no kernel: odd widths are computed plainly
    for (rows, heads, head_dim) in [(1, 1, 8), (7, 4, 64), (300, 8, 256), (2, 3, 12), (3, 1, 6), (5, 1, 2)] {
        let width = heads * head_dim;
        let x = random(rows * width, 1);
        let positions: Vec<u32> = (0..rows as u32).map(|i| i * 37 % 4000).collect();
        let run = |c: &Compute| {
            let tensor = || c.tensor2(x.clone(), rows, width);
            // a mean that is large beside what varies
            let shifted = || tensor() + 3.0;
            let weight = |n: usize| HostTensor { shape: vec![n], data: random(n, 2) };
            let bias = |n: usize| HostTensor { shape: vec![n], data: random(n, 6) };
            let table = RopeTable::new(&positions, &inverse_frequencies(head_dim, 1e4, RopeScaling::None), c);
            [
                ("norm", RmsNorm::unit_offset(weight(width), 1e-6, c).forward(tensor())),
                ("norm of heads", RmsNorm::new(weight(head_dim), 1e-6, c).forward_heads(tensor(), heads)),
                (
                    "norm added",
                    RmsNorm::new(weight(width), 1e-6, c).add_to(
                        c.tensor2(random(rows * width, 5), rows, width),
                        tensor(),
                        c,
                    ),
                ),
                ("layer norm", LayerNorm::new(weight(width), bias(width), 1e-5, c).forward(shifted())),
                ("rope", table.apply(tensor(), heads)),
            ]
            .map(|(name, tensor)| (name, block_on(read_back(tensor)).unwrap()))
        };
        for ((name, gpu), (_, cpu)) in run(&gpu).iter().zip(&run(&cpu)) {
            close(&format!("{name} {rows}x{width}"), gpu, cpu, 2e-6);
        }
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Relu] {
            let wide: Vec<f32> = x.iter().map(|v| v * 200.0).collect();
            let run = |c: &Compute| {
                let (gate, up) =
                    (c.tensor2(wide.clone(), rows, width), c.tensor2(random(rows * width, 3), rows, width));
                let alone = block_on(read_back(activate(gate.clone(), activation, c))).unwrap();
                [alone, block_on(read_back(gated_activation(gate, up, activation, c))).unwrap()]
            };
            for (name, (gpu, cpu)) in ["alone", "gate"].iter().zip(run(&gpu).iter().zip(&run(&cpu))) {
                close(&format!("{activation:?} {name} {rows}x{width}"), gpu, cpu, 2e-6);
            }
        }
    }
}

/// Values that f16 and bf16 hold exactly.
fn short(n: usize, seed: u64) -> Vec<f32> {
    random(n, seed).iter().map(|v| (v * 128.0).round() / 128.0).collect()
}

fn product(c: &Compute, order: Order, w: &[f32], sizes: [usize; 2], x: &[f32]) -> Vec<f32> {
    product_in(Tile::default(), c, order, w, sizes, x)
}

fn product_in(tile: Tile, c: &Compute, order: Order, w: &[f32], sizes: [usize; 2], x: &[f32]) -> Vec<f32> {
    let [d_in, d_out] = sizes;
    let weight = HostTensor { shape: order.shape(d_in, d_out).to_vec(), data: w.to_vec() };
    let map = Linear::new(weight.into(), order, None, c).unwrap().tiled(tile);
    let rows = x.len() / d_in;
    block_on(read_back(map.forward(c.tensor2(x.to_vec(), rows, d_in)))).unwrap()
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_kernel_matmul() {
    let gpu = compute();
    let half = Compute::gpu(gpu.device.clone(), Precision::F16, None);
    // whole tiles and ragged ones, outputs that are no fours; the last has no kernel
    for sizes in [[64, 64], [16, 4], [576, 192], [48, 100], [2304, 260], [64, 65], [16, 1], [64, 1105], [33, 8]] {
        let [d_in, d_out] = sizes;
        for order in [Order::OutIn, Order::InOut] {
            let w = random(d_in * d_out, 2);
            let rounded = short(d_in * d_out, 2);
            for rows in [1, 5, 64, 131] {
                let x = random(rows * d_in, 1);
                let name = format!("{rows}x{d_in}x{d_out} {order:?}");
                let y = product(&gpu, order, &w, sizes, &x);
                close(&name, &y, &product(&Compute::cpu(), order, &w, sizes, &x), 2e-6);
                // stored in 16 bits it is the same matrix
                let wide = product(&gpu, order, &rounded, sizes, &x);
                if d_in % 16 == 0 {
                    // however the outputs are shared out among threads
                    let square = |c: &Compute, w: &[f32]| product_in(Tile::Square, c, order, w, sizes, &x);
                    assert!(square(&gpu, &w) == y, "{name}: 8 x 8");
                    assert!(square(&half, &rounded) == wide, "{name}: 8 x 8, f16");
                    assert!(product(&half, order, &rounded, sizes, &x) == wide, "{name}: f16");
                    // a row does not depend on its neighbours
                    let last = product(&gpu, order, &w, sizes, &x[(rows - 1) * d_in..]);
                    assert!(last == y[(rows - 1) * d_out..], "{name}: the last row alone");
                    let pieces = Compute::gpu(gpu.device.clone(), Precision::F32, Some((d_in * 4 * 24) as u64));
                    assert!(product(&pieces, order, &w, sizes, &x) == y, "{name}: in pieces");
                    let pieces = Compute::gpu(gpu.device.clone(), Precision::F16, Some((d_in * 4 * 24) as u64));
                    assert!(product(&pieces, order, &rounded, sizes, &x) == wide, "{name}: f16 in pieces");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_kernel_reads_every_f16() {
    // 0x3555 and its like, the small ones without a leading one, both zeros, the largest
    let gpu = compute();
    let half = Compute::gpu(gpu.device.clone(), Precision::F16, None);
    let values: Vec<f32> =
        (0..=u16::MAX).map(half::f16::from_bits).filter(|v| v.is_finite()).map(half::f16::to_f32).collect();
    // a row with a single 1 picks the weights of one input, unrounded
    let [d_in, d_out] = [16, values.len() / 16];
    let x: Vec<f32> = (0..16 * 16).map(|i| if i % 17 == 0 { 1.0 } else { 0.0 }).collect();
    let y = product(&half, Order::InOut, &values, [d_in, d_out], &x);
    let differs = y.iter().zip(&values).position(|(a, b)| a != b);
    assert_eq!(differs.map(|i| (y[i], values[i])), None);
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_kernel_rounds_blocks_to_f16_as_the_host_does() {
    // scales of every size, small ones without a leading one among them, each with every integer
    let scales = (0..=u16::MAX).step_by(37).filter(|bits| half::f16::from_bits(*bits).is_finite());
    let bytes: Vec<u8> = scales
        .flat_map(|scale| {
            (0..=u8::MAX)
                .collect::<Vec<_>>()
                .chunks(32)
                .flat_map(move |q| [&scale.to_le_bytes()[..], q].concat())
                .collect::<Vec<_>>()
        })
        .collect();
    let values = bytes.len() / BlockType::Q8_0.bytes() * BlockType::Q8_0.values();
    let blocks = Blocks { shape: vec![values / 32, 32], kind: BlockType::Q8_0, bytes };
    let known = Narrow::Blocks(blocks.clone()).dense().data;
    let f16 = Compute::gpu(compute().device, Precision::F16, None);
    let found = block_on(unpack_on_device(blocks, &f16)).unwrap();
    assert_eq!(found.len(), known.len());
    let rounded = |v: f32| half::f16::from_f32(v).to_f32();
    let differs = found.iter().zip(&known).position(|(found, known)| found.to_bits() != rounded(*known).to_bits());
    assert_eq!(differs.map(|i| (found[i], known[i])), None);
    // too large ones, small ones without a leading one, and ones that were rounded; all are multiples of 2^-24, so none
    // is rounded to zero
    let some = |of: &dyn Fn(f32) -> bool| known.iter().any(|v| of(*v));
    assert!(some(&|v| rounded(v).is_infinite()) && some(&|v| v != 0.0 && v.abs() < 6e-5));
    assert!(some(&|v| rounded(v).is_finite() && rounded(v) != v));
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_kernel_takes_weights_as_they_are_stored() {
    let gpu = compute();
    let x = random(3 * 256, 5);
    let product = |weight: Narrow, compute: &Compute| {
        let map = Linear::narrow(weight, Order::OutIn, None, compute);
        block_on(read_back(map.forward(compute.tensor2(x.clone(), 3, 256)))).unwrap()
    };
    let values = random(8 * 256, 6);
    let halves = |bits: fn(f32) -> u16| Halves {
        shape: vec![8, 256],
        bytes: values.iter().flat_map(|v| bits(*v).to_le_bytes()).collect(),
    };
    for weight in [
        Narrow::Bf16(halves(|v| half::bf16::from_f32(v).to_bits())),
        Narrow::F16(halves(|v| half::f16::from_f32(v).to_bits())),
    ] {
        let dense = product(Narrow::Dense(weight.clone().dense()), &gpu);
        assert!(product(weight.clone(), &gpu) == dense, "{weight:?}");
        let square = Linear::narrow(weight.clone(), Order::OutIn, None, &gpu).tiled(Tile::Square);
        let square = block_on(read_back(square.forward(gpu.tensor2(x.clone(), 3, 256)))).unwrap();
        assert!(square == dense, "{weight:?}: 8 x 8");
    }

    let half = Compute::gpu(gpu.device.clone(), Precision::F16, None);
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/quants.json")).unwrap();
    let unhex = |hex: &serde_json::Value| saescope::hash::unhex(hex.as_str().unwrap()).unwrap();
    for kind in BlockType::ALL {
        let bytes = unhex(&golden[kind.name()]["bytes"]);
        let bits: Vec<u32> =
            unhex(&golden[kind.name()]["values"]).as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        // several times over, so that blocks begin at every place of a word
        let times = 5;
        let shape = vec![times, bits.len()];
        let blocks = Blocks { shape, kind, bytes: bytes.repeat(times) };
        let values = block_on(unpack_on_device(blocks.clone(), &gpu)).unwrap();
        for (i, (value, expected)) in values.iter().zip(bits.iter().cycle()).enumerate() {
            assert_eq!(value.to_bits(), *expected, "{} value {i}: {value}", kind.name());
        }
        assert_eq!(values.len(), times * bits.len());
        let values = block_on(unpack_on_device(blocks, &half)).unwrap();
        for (i, (value, expected)) in values.iter().zip(bits.iter().cycle()).enumerate() {
            let expected = half::f16::from_f32(f32::from_bits(*expected));
            assert_eq!(value.to_bits(), expected.to_f32().to_bits(), "{} value {i} in f16: {value}", kind.name());
        }
        assert_eq!(values.len(), times * bits.len());

        // a linear map of such blocks is that of their values, also where it has to be cut
        let row = 256 / kind.values() * kind.bytes();
        let blocks = Blocks { shape: vec![8, 256], kind, bytes: bytes.iter().copied().cycle().take(8 * row).collect() };
        let packed = Narrow::Blocks(blocks);
        let dense = product(Narrow::Dense(packed.clone().dense()), &gpu);
        assert!(product(packed.clone(), &gpu) == dense, "{}: packed", kind.name());
        let small = Compute::gpu(gpu.device.clone(), Precision::F32, Some(256 * 4 * 4));
        assert!(product(packed.clone(), &small) == dense, "{}: in pieces", kind.name());
        let dense = product(Narrow::Dense(packed.clone().dense()), &half);
        assert!(product(packed.clone(), &half) == dense, "{}: packed, in f16", kind.name());
        let small = Compute::gpu(gpu.device.clone(), Precision::F16, Some(256 * 2 * 4));
        assert!(product(packed, &small) == dense, "{}: in pieces, in f16", kind.name());
    }
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_kernels_pass_the_self_test() {
    let worst = block_on(self_test(&compute())).unwrap();
    assert!(worst < 1e-5, "{worst:e}");
    assert!(block_on(kernels_are_exact(&compute())).unwrap());
    let half = Compute::gpu(compute().device, Precision::F16, None);
    assert!(block_on(kernels_are_exact(&half)).unwrap());
}

/// What the host's rules choose.
fn expected(rule: &ActiveRule<'_>, pre: &[f32]) -> ActiveRow {
    let third = |i: usize| rule.third.map_or(1.0, |v| v[i]);
    let second = |i: usize| rule.second.map_or(0.0, |v| v[i]);
    let scaled =
        |i: usize| if rule.third.is_some() { (pre[i] + rule.bias[i]) * third(i) } else { pre[i] + rule.bias[i] };
    let mut chosen: Vec<usize> = (0..pre.len()).collect();
    let value = |i: usize| match rule.threshold {
        Threshold::Gate => pre[i] * third(i) + second(i),
        _ => scaled(i),
    };
    match rule.threshold {
        Threshold::Zero => {}
        Threshold::Above => chosen.retain(|&i| scaled(i) > second(i)),
        Threshold::Gate => chosen.retain(|&i| pre[i] + rule.bias[i] > 0.0),
        Threshold::Largest(k) => {
            chosen.sort_by(|&a, &b| scaled(b).total_cmp(&scaled(a)).then(a.cmp(&b)));
            chosen.truncate(k);
            chosen.sort_unstable();
        }
    }
    chosen.retain(|&i| value(i) > 0.0);
    let finite = pre.iter().all(|v| v.is_finite()) && chosen.iter().all(|&i| value(i).is_finite());
    finite.then(|| chosen.into_iter().map(|i| (i as u32, value(i))).collect())
}

#[test]
#[ignore = "needs a graphics adapter; cargo xtask test runs it"]
fn gpu_kernel_active_features() {
    let gpu = compute();
    for d_sae in [4, 64, 1024, 1028, 16384] {
        let rows = 9;
        // coarse values, so that equal ones occur at every place
        let mut pre: Vec<f32> = random(rows * d_sae, 1).iter().map(|v| (v * 32.0).round() / 32.0).collect();
        // a row without any, one with all, and three that cannot be used
        pre[..d_sae].fill(-3.0);
        pre[d_sae..2 * d_sae].fill(0.5);
        for (row, bad) in [(2, f32::NAN), (3, f32::INFINITY), (4, f32::NEG_INFINITY)] {
            pre[row * d_sae + d_sae / 2] = bad;
        }
        let bias: Vec<f32> = random(d_sae, 2).iter().map(|v| (v * 4.0).round() / 32.0).collect();
        let threshold: Vec<f32> = random(d_sae, 3).iter().map(|v| v.abs() * 0.5).collect();
        let norms: Vec<f32> = random(d_sae, 4).iter().map(|v| (v * 2.0).round() + 3.0).collect();
        let mut rules = vec![
            ActiveRule { threshold: Threshold::Zero, bias: &bias, second: None, third: None },
            ActiveRule { threshold: Threshold::Gate, bias: &bias, second: Some(&threshold), third: Some(&norms) },
        ];
        for third in [None, Some(&norms[..])] {
            rules.push(ActiveRule { threshold: Threshold::Above, bias: &bias, second: Some(&threshold), third });
            for k in [1, 3, 50, 700, d_sae] {
                rules.push(ActiveRule { threshold: Threshold::Largest(k), bias: &bias, second: None, third });
            }
        }
        for rule in rules {
            let active = Active::new(&rule, &gpu).expect("a kernel");
            let found = block_on(active.rows(gpu.tensor2(pre.clone(), rows, d_sae), &gpu)).unwrap();
            for (row, (found, pre)) in found.iter().zip(pre.chunks_exact(d_sae)).enumerate() {
                let expected = expected(&rule, pre);
                let name = format!("{:?}, {d_sae} features, row {row}", rule.threshold);
                if rule.threshold != Threshold::Gate {
                    assert!(*found == expected, "{name}");
                    continue;
                }
                // a fused multiply-add is another number in its last bit
                let split =
                    |row: &ActiveRow| row.clone().map(|row| row.into_iter().unzip::<u32, f32, Vec<_>, Vec<_>>());
                let (found, expected) = (split(found), split(&expected));
                assert_eq!(found.as_ref().map(|r| &r.0), expected.as_ref().map(|r| &r.0), "{name}");
                if let (Some((_, found)), Some((_, expected))) = (found, expected) {
                    close(&name, &found, &expected, 1e-6);
                }
            }
        }
    }
}
