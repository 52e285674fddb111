//! What else than length may explain a difference: where a text is read, and how likely it is token by token.

use crate::metrics::column::{Cell, Family, Kind};
use crate::metrics::metric::{BLANK, Compute, Group, Metric};

pub(super) const GROUP: Group =
    Group { title: "Controls beside length", metrics: &[LAST_TOKEN, LAST_TOKEN_RANK, LOGPROB_PER_TOKEN] };

const LAST_TOKEN: Metric = Metric {
    name: "last_token",
    label: "Last token",
    kind: Kind::Int64,
    unit: "token id",
    family: Family::None,
    range: "below the vocabulary's size",
    meaning: "The token that the text is read at, by its number in the vocabulary: a name, not a quantity",
    formula: "by the model's own tokenizer",
    confounded: "what the completions are about, which their last words tell",
    compute: Compute::Text(|of| Ok(Cell::Int(of.text.last_token.into()))),
    ..BLANK
};

const LAST_TOKEN_RANK: Metric = Metric {
    name: "last_token_rank",
    label: "Rank of the last token",
    kind: Kind::Int64,
    unit: "rank",
    null: Some("the tokenizer has neither merges nor scores"),
    family: Family::Controls,
    range: "0 (commonest) to the number of merges",
    term: Some("frequency rank of the last token in the corpus that the tokenizer was learned from"),
    meaning: "How common the token is that the text is read at, by its place among the tokenizer's merges",
    formula: "place, from 1, of the first merge that makes the token; 0 for letters, bytes and special tokens; of a unigram \
              model, how many tokens have a higher score",
    source: "R. Sennrich et al., “Neural machine translation of rare words with subword units”, 2016: the most frequent pair \
             is merged first",
    confounded: "the tokenizer's corpus, which is not the model's; rare letters, which have no merge and count as common",
    compute: Compute::Text(|of| Ok(of.text.last_token_rank.map_or(Cell::Null, |rank| Cell::Int(rank.into())))),
    ..BLANK
};

const LOGPROB_PER_TOKEN: Metric = Metric {
    name: "logprob_per_token",
    label: "Log-probability per token",
    unit: "nats",
    null: Some("it was not computed, or the completion has no token that has a probability"),
    with_logprob: true,
    family: Family::Controls,
    range: "≤ 0",
    term: Some("mean log-probability; its exponential's inverse is the completion's perplexity"),
    meaning: "How likely the model holds the completion given the prompt, token by token",
    formula: "`logprob` over the number of tokens that it is the sum over",
    confounded: "words that are cut into several tokens, of which the later ones are nearly certain",
    compute: Compute::Text(|of| {
        let tokens = of.text.scored_tokens;
        Ok(of.text.logprob.filter(|_| tokens > 0).map(|logprob| logprob / tokens as f64).into())
    }),
    ..BLANK
};
