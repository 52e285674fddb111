//! The tensors behind an SAE: which there must be, of which shapes, and how they are read.

use super::batchtopk::BatchTopK;
use super::encoder::{Activation, Encoder, row_norm};
use super::gated::Gated;
use super::input::{InputRule, Normalization};
use super::jumprelu::JumpRelu;
use super::standard::Standard;
use super::topk::TopK;
use super::{Architecture, Sae};
use crate::checkpoint::{Checkpoint, HostTensor};
use crate::error::{Error, Result, listed};

/// Names of the two matrices; the biases have one name everywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) w_enc: &'static str,
    pub(super) w_dec: &'static str,
}

/// As SAELens and Gemma Scope write them.
pub(super) const UPPER: Names = Names { w_enc: "W_enc", w_dec: "W_dec" };
/// As Gemma Scope 2 writes them.
pub(super) const LOWER: Names = Names { w_enc: "w_enc", w_dec: "w_dec" };

/// Decoder norms are read in pieces of about this many values.
const NORM_CHUNK_VALUES: usize = 1 << 21;

/// A checkpoint that is no SAE of a known layout.
pub(super) fn unknown_layout(file: &str, names: &[&str]) -> Error {
    let found = if names.is_empty() { "no tensors".to_owned() } else { listed(names) };
    let known_elsewhere = names.iter().any(|n| n.starts_with("encoder") || n.starts_with("decoder"));
    let hint = if known_elsewhere {
        "this looks like a sparsify or dictionary_learning file; load it in SAELens and save it again"
    } else {
        "expected W_enc, W_dec, b_enc, b_dec (SAELens) or w_enc, w_dec, b_enc, b_dec, threshold (Gemma Scope 2)"
    };
    Error::malformed(file, "tensors", "the tensors of an SAE", found, hint)
}

/// d_in and d_sae from the shape of `W_enc`.
pub(super) fn sizes(file: &str, checkpoint: &Checkpoint, names: Names) -> Result<(usize, usize)> {
    let shape = &checkpoint.info(names.w_enc)?.shape;
    match shape[..] {
        [d_in, d_sae] if d_in > 0 && d_sae > 0 && u32::try_from(d_sae).is_ok() => Ok((d_in, d_sae)),
        _ => Err(Error::malformed(
            file,
            format!("shape of {}", names.w_enc),
            "[d_in, d_sae]",
            format!("{shape:?}"),
            "check that this is an SAE",
        )),
    }
}

/// Checks that the file holds exactly the tensors of `architecture`, in their shapes.
///
/// `also` may be there besides; their reader has dealt with them.
pub(super) fn check(
    file: &str,
    checkpoint: &Checkpoint,
    names: Names,
    architecture: Architecture,
    (d_in, d_sae): (usize, usize),
    also: &[&str],
) -> Result<()> {
    let mut expected: Vec<(&str, Vec<usize>)> =
        vec![(names.w_enc, vec![d_in, d_sae]), (names.w_dec, vec![d_sae, d_in]), ("b_dec", vec![d_in])];
    let wide: &[&str] = match architecture {
        Architecture::Standard | Architecture::TopK { .. } => &["b_enc"],
        Architecture::JumpRelu if checkpoint.contains("log_threshold") => &["b_enc", "log_threshold"],
        Architecture::JumpRelu => &["b_enc", "threshold"],
        Architecture::BatchTopK if checkpoint.contains("topk_threshold") => &["b_enc"],
        Architecture::BatchTopK => &["b_enc", "threshold"],
        Architecture::Gated => &["b_gate", "b_mag", "r_mag"],
    };
    expected.extend(wide.iter().map(|name| (*name, vec![d_sae])));
    if architecture == Architecture::BatchTopK && checkpoint.contains("topk_threshold") {
        expected.push(("topk_threshold", vec![]));
    }
    for (name, shape) in &expected {
        if !checkpoint.contains(name) {
            return Err(Error::missing(
                format!("tensor {name} in {file}"),
                format!("a {architecture} SAE has it; found {}", listed(&checkpoint.names())),
            ));
        }
        let found = &checkpoint.info(name)?.shape;
        let one_value = shape.is_empty() && found.iter().product::<usize>() == 1;
        if found != shape && !one_value {
            return Err(Error::mismatch(
                format!("shape of {name} in {file}"),
                format!("{shape:?} (d_in {d_in}, d_sae {d_sae})"),
                format!("{found:?}"),
                "the config and the tensors must belong to one SAE; a matrix may be stored transposed",
            ));
        }
    }
    for name in checkpoint.names() {
        let skip = ["W_skip", "w_skip", "affine_skip_connection"].contains(&name);
        if skip {
            return Err(transcoder(file, &format!("tensor {name}")));
        }
        if !expected.iter().any(|(known, _)| *known == name) && !also.contains(&name) {
            return Err(Error::unsupported(
                format!("tensor {name} in {file}"),
                format!("a {architecture} SAE has no such tensor, and ignoring it could change the numbers"),
            ));
        }
    }
    Ok(())
}

/// The refusal of transcoders, by whatever sign they are recognised.
pub(super) fn transcoder(file: &str, sign: &str) -> Error {
    Error::unsupported(
        format!("a transcoder ({sign} in {file})"),
        "a transcoder maps one place of the model to another; take an SAE of the residual stream (resid_post)",
    )
}

/// Old SAELens files carry `scaling_factor`: all ones where it was never fine-tuned.
pub(super) async fn check_scaling_factor(file: &str, checkpoint: &Checkpoint) -> Result<()> {
    if !checkpoint.contains("scaling_factor") {
        return Ok(());
    }
    let factors = checkpoint.read("scaling_factor").await?;
    // torch.allclose against ones, as SAELens has it
    match factors.data.iter().find(|v| (f64::from(**v) - 1.0).abs() > 1e-8 + 1e-5) {
        None => Ok(()),
        Some(v) => Err(Error::unsupported(
            format!("a fine-tuned scaling_factor (a value of {v}) in {file}"),
            "fold it into W_dec, remove the tensor, and set finetuning_scaling_factor to false",
        )),
    }
}

/// Reads everything but `W_dec`.
pub(super) async fn load_encoder(sae: &Sae) -> Result<Encoder> {
    let Sae { checkpoint, names, d_in, d_sae, .. } = sae;
    let w_enc = checkpoint.read_shaped(names.w_enc, &[*d_in, *d_sae]).await?;
    let b_dec = checkpoint.read_shaped("b_dec", &[*d_in]).await?.data;
    // the fold that SAELens would do divides W_dec, and with it the norms, by the factor
    let norm_divisor = match sae.normalization {
        Normalization::ExpectedAverage { factor } => factor,
        _ => 1.0,
    };
    let norms = if sae.rescale_acts_by_decoder_norm { Some(decoder_norms(sae, norm_divisor).await?) } else { None };
    let activation = match sae.architecture {
        Architecture::Standard => Activation::Standard(Standard { b_enc: wide(sae, "b_enc").await? }),
        Architecture::JumpRelu => {
            let threshold = if checkpoint.contains("log_threshold") {
                wide(sae, "log_threshold").await?.into_iter().map(libm::expf).collect()
            } else {
                wide(sae, "threshold").await?
            };
            Activation::JumpRelu(JumpRelu { b_enc: wide(sae, "b_enc").await?, threshold })
        }
        Architecture::TopK { k } => Activation::TopK(TopK { b_enc: wide(sae, "b_enc").await?, k, norms }),
        Architecture::BatchTopK => {
            let threshold = if checkpoint.contains("topk_threshold") {
                let divisor = if sae.rescale_acts_by_decoder_norm { norm_divisor } else { 1.0 };
                let scalar = scalar(sae, "topk_threshold").await?;
                vec![(f64::from(scalar) / divisor) as f32; *d_sae]
            } else {
                wide(sae, "threshold").await?
            };
            Activation::BatchTopK(BatchTopK { b_enc: wide(sae, "b_enc").await?, threshold, norms })
        }
        Architecture::Gated => Activation::Gated(Gated {
            b_gate: wide(sae, "b_gate").await?,
            b_mag: wide(sae, "b_mag").await?,
            mag_scale: wide(sae, "r_mag").await?.into_iter().map(libm::expf).collect(),
        }),
    };
    Ok(Encoder {
        w_enc,
        name: sae.id.clone(),
        d_in: *d_in,
        d_sae: *d_sae,
        activation,
        input: InputRule {
            normalization: sae.normalization,
            center: sae.center_input,
            b_dec: sae.apply_b_dec_to_input.then(|| b_dec.clone()),
        },
        b_dec,
        divide_by_norm: sae.rescale_acts_by_decoder_norm.then_some(norm_divisor),
    })
}

/// A vector of shape `[d_sae]`.
async fn wide(sae: &Sae, name: &str) -> Result<Vec<f32>> {
    Ok(sae.checkpoint.read_shaped(name, &[sae.d_sae]).await?.data)
}

/// ‖row‖ / `divisor` for every row of `W_dec`, read in pieces.
async fn decoder_norms(sae: &Sae, divisor: f64) -> Result<Vec<f32>> {
    let step = (NORM_CHUNK_VALUES / sae.d_in.max(1)).max(1);
    let mut norms = Vec::with_capacity(sae.d_sae);
    let mut start = 0;
    while start < sae.d_sae {
        let rows: Vec<usize> = (start..(start + step).min(sae.d_sae)).collect();
        let chunk: HostTensor = sae.checkpoint.read_rows(sae.names.w_dec, &rows).await?;
        norms.extend(chunk.data.chunks_exact(sae.d_in).map(|row| (row_norm(row) / divisor) as f32));
        start += rows.len();
    }
    Ok(norms)
}

async fn scalar(sae: &Sae, name: &str) -> Result<f32> {
    let tensor = sae.checkpoint.read(name).await?;
    match tensor.data[..] {
        [value] => Ok(value),
        _ => Err(Error::mismatch(
            format!("tensor {name} of SAE {}", sae.id),
            "one value",
            format!("{} values", tensor.data.len()),
            "",
        )),
    }
}
