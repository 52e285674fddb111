//! `saescope inspect`: one text, its tokens, and what its features stand for.

use super::args::Inspect;
use super::setup;
use super::{labels, print};
use crate::dataset::neuronpedia_url;
use crate::engine::{self, Question, SaeAt};
use crate::error::{Error, Result, shown as foreign};
use crate::metrics::{SINK_MEDIANS, is_sink, median_norm, residual_norm};
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
    let last_layer = model.dims().n_layers - 1;
    let mut layers: Vec<usize> = loaded.saes.iter().map(|s| s.layer).collect();
    if args.logprob {
        layers.push(last_layer);
    }
    let d = model.dims().d_model;
    // ordinary texts beside it: the yardstick of residual norms
    let mut texts = vec![tokens.clone()];
    texts.extend(engine::ordinary_texts(model));
    let residuals = engine::residuals(model, &compute, &texts, &layers).await?;
    let sinks: Vec<(usize, Sinks)> =
        loaded.saes.iter().filter_map(|at| Some((at.layer, Sinks::find(residuals.get(&at.layer)?, d)))).collect();
    print(&format!("{}\n", token_line(model, &tokens, &sinks)))?;
    for (layer, found) in &sinks {
        if let Some(line) = found.line(*layer, tokens.len()) {
            print(&format!("{line}\n"))?;
        }
    }
    let last_row = |layer: usize| residuals.get(&layer).and_then(|r| r.first()).map(|r| &r[r.len() - d..]);

    let id_of = |at: &SaeAt| {
        let entry = loaded.known.as_ref().and_then(|k| k.saes.iter().find(|s| s.layer == at.layer));
        entry.and_then(|s| s.neuronpedia.as_deref()).or(at.sae.neuronpedia_id.as_deref()).map(str::to_owned)
    };
    let ids: Vec<String> = loaded.saes.iter().filter_map(id_of).collect();
    let labels = labels::read_or_cached(&args.labels, &ids)?;
    for at in &loaded.saes {
        let Some(x) = last_row(at.layer) else { continue };
        let id = id_of(at);
        let id = id.as_deref();
        let labelled = labels.as_ref().and_then(|labels| Some((labels, labels::dictionary(labels, id, at.layer)?)));
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
        if sinks.iter().any(|(layer, found)| *layer == at.layer && found.holds(tokens.len() - 1)) {
            print(
                "the last token is an attention sink here: these features stand for the position, not for the text\n",
            )?;
        }
        print(&format!("{:>9} {:>11}  promotes\n", "feature", "activation"))?;
        for (f, promoted) in features.iter().zip(&promoted) {
            let words: Vec<String> = promoted.iter().map(|&(t, _)| shown(model, t)).collect();
            print(&format!("{:>9} {:>11.4}  {}", f.index, f.activation, words.join(" ")))?;
            if let Some(label) = labelled.and_then(|(labels, dictionary)| labels.label(dictionary, f.index)) {
                print(&format!("  \"{}\"", foreign(label)))?;
            }
            match labelled.map(|(_, dictionary)| dictionary).or(id).and_then(|id| neuronpedia_url(id, f.index)) {
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

/// Attention sinks of one text at one layer.
struct Sinks {
    /// median residual norm of ordinary text
    median: Option<f64>,
    /// places in the text, with their norms
    found: Vec<(usize, f64)>,
}

impl Sinks {
    /// From the residuals of the text and, after it, of ordinary ones; each `[tokens, d]` row-major.
    fn find(residuals: &[Vec<f32>], d: usize) -> Self {
        let (text, ordinary) = residuals.split_first().map_or((&[][..], &[][..]), |(t, o)| (t.as_slice(), o));
        let median = median_norm(ordinary.iter().flat_map(|rows| rows.chunks_exact(d)).map(residual_norm));
        let norms = text.chunks_exact(d).map(residual_norm).enumerate();
        Self { median, found: norms.filter(|(_, norm)| is_sink(*norm, median, SINK_MEDIANS)).collect() }
    }

    fn holds(&self, token: usize) -> bool {
        self.found.iter().any(|(place, _)| *place == token)
    }

    /// What there is to say; nothing where there is none.
    fn line(&self, layer: usize, tokens: usize) -> Option<String> {
        let largest = self.found.iter().map(|(_, norm)| *norm).reduce(f64::max)?;
        Some(format!(
            "layer {layer}: {} of {tokens} tokens at an attention sink (*): residual norm up to {largest:.0}, above \
             {SINK_MEDIANS} times the median {:.0} of ordinary text",
            self.found.len(),
            self.median?,
        ))
    }
}

/// The tokens, a `*` after those that are attention sinks at one layer or more.
fn token_line(model: &Model, tokens: &[u32], sinks: &[(usize, Sinks)]) -> String {
    let marked = tokens.iter().enumerate().map(|(i, &token)| {
        let mark = if sinks.iter().any(|(_, found)| found.holds(i)) { "*" } else { "" };
        format!("{}{mark}", shown(model, token))
    });
    marked.collect::<Vec<_>>().join(" ")
}

/// A token as a reader wants to see it: in quotes where it starts or ends with white space.
pub(super) fn shown(model: &Model, token: u32) -> String {
    let text = model.tokenizer.token_text(token);
    format!("{text:?}")
}
