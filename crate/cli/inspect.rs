//! `saescope inspect`: one text, its tokens, and what its features stand for.

use super::args::Inspect;
use super::print;
use super::setup;
use crate::engine::{self, Question};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::ops::Compute;

/// Prints the inspection on stdout.
///
/// # Errors
/// Whatever the engine says.
pub async fn run(args: &Inspect) -> Result<()> {
    let devices = setup::devices(&args.device).await?;
    let compute = devices.computes.first().cloned().unwrap_or_else(Compute::cpu);
    let has_saes = !args.model.saes.is_empty() || !std::path::Path::new(&args.model.model).exists();
    let loaded = setup::load(&args.model, has_saes).await?;
    let model = &loaded.model;
    let tokens = model.tokenizer.encode(&args.text)?;
    if tokens.is_empty() {
        return Err(Error::usage("the text has no tokens", "give a text that is not empty"));
    }
    model.check_length("inspected", &tokens)?;
    print(&format!("{} tokens (BOS: {})\n", tokens.len(), model.tokenizer.bos_reason()))?;
    print(&format!("{}\n", tokens.iter().map(|&t| shown(model, t)).collect::<Vec<_>>().join(" ")))?;

    let last_layer = model.dims().n_layers - 1;
    let mut layers: Vec<usize> = loaded.saes.iter().map(|s| s.layer).collect();
    if args.logprob {
        layers.push(last_layer);
    }
    let d = model.dims().d_model;
    let residuals = engine::residuals(model, &compute, std::slice::from_ref(&tokens), &layers).await?;
    let last_row = |layer: usize| residuals.get(&layer).and_then(|r| r.first()).map(|r| &r[r.len() - d..]);

    for at in &loaded.saes {
        let Some(x) = last_row(at.layer) else { continue };
        let mut features = engine::encode(&at.sae, &[x], &compute).await?.pop().unwrap_or_default();
        let active = features.len();
        features.sort_by(|a, b| b.activation.total_cmp(&a.activation).then(a.index.cmp(&b.index)));
        features.truncate(args.top);
        let indices: Vec<usize> = features.iter().map(|f| f.index as usize).collect();
        let promoted = engine::promoted(model, &at.sae, &indices, args.top.min(6), &compute).await?;
        print(&format!(
            "\nlayer {} at the last token: {active} active features of {} (sae {})\n",
            at.layer, at.sae.d_sae, at.sae.id
        ))?;
        print(&format!("{:>9} {:>11}  promotes\n", "feature", "activation"))?;
        for (f, promoted) in features.iter().zip(&promoted) {
            let words: Vec<String> = promoted.iter().map(|&(t, _)| shown(model, t)).collect();
            print(&format!("{:>9} {:>11.4}  {}", f.index, f.activation, words.join(" ")))?;
            let entry = loaded.known.as_ref().and_then(|k| k.saes.iter().find(|s| s.layer == at.layer));
            match entry.and_then(|s| s.feature_url(f.index)) {
                Some(url) => print(&format!("  {url}\n"))?,
                None => print("\n")?,
            }
        }
    }
    if args.logprob {
        let x = last_row(last_layer).unwrap_or_default().to_vec();
        let x = compute.tensor2(x, 1, d);
        let question = Question { targets: Vec::new(), top: args.top };
        let answers = engine::next_token_logprobs(model, x, &[question], &compute).await?;
        print(&format!("\nlikeliest next tokens\n{:>9} {:>9}  token\n", "log p", "p"))?;
        for (token, log_p) in answers.iter().flat_map(|a| &a.top) {
            print(&format!("{log_p:>9.4} {:>9.4}  {}\n", log_p.exp(), shown(model, *token)))?;
        }
    }
    Ok(())
}

/// A token as a reader wants to see it: in quotes where it starts or ends with white space.
fn shown(model: &Model, token: u32) -> String {
    let text = model.tokenizer.token_text(token);
    format!("{text:?}")
}
