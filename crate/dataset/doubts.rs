//! What is doubtful about samples that can be used: it changes numbers without an error.

use std::collections::HashMap;

use super::{Dataset, Sample};
use crate::error::shown;

/// Samples below which ends and repetitions are no pattern.
const FEWEST: usize = 10;

/// Share of the samples from which a common end is told.
const SAME_END: f64 = 0.25;

/// Completions that make up half of a side where it is said to repeat itself.
const REPEATED: usize = 3;

impl Dataset {
    /// What a reader of the results has to know of the texts, with counts; `join` is what stands
    /// between prompt and completion. Empty is good.
    pub fn warnings(&self, join: &str) -> Vec<String> {
        let found = [
            self.doubled_space(join),
            self.no_space(join),
            self.same_twice(),
            self.same_end(),
            self.repeated("facts", |sample| &sample.fact),
            self.repeated("hallucinations", |sample| &sample.hallucination),
        ];
        found.into_iter().flatten().collect()
    }

    /// Features are read at the last token: where that is the same, they differ by what stands before it alone.
    fn same_end(&self) -> Option<String> {
        let same =
            |s: &&Sample| s.fact != s.hallucination && !s.fact.is_empty() && end(&s.fact) == end(&s.hallucination);
        let n = self.samples.iter().filter(same).count();
        let many = self.samples.len() >= FEWEST && n as f64 >= SAME_END * self.samples.len() as f64;
        many.then(|| {
            format!(
                "{n} of {} samples end on the same word or mark in fact and hallucination: what is measured at the last \
                 token differs there by what stands before it alone; end completions on what differs",
                self.samples.len()
            )
        })
    }

    /// Where a side has few completions, features that tell them apart tell fact from hallucination, whatever is true.
    fn repeated(&self, side: &str, completion: fn(&Sample) -> &str) -> Option<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        self.samples.iter().for_each(|sample| *counts.entry(completion(sample).trim()).or_default() += 1);
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let n: usize = counts.iter().take(REPEATED).map(|(_, n)| n).sum();
        let many = self.samples.len() >= FEWEST && 2 * n >= self.samples.len();
        many.then(|| {
            let named = counts.iter().take(REPEATED).map(|(text, n)| format!("{} ({n})", shown(text)));
            format!(
                "{n} of {} {side} are one of a few completions: {}; what tells these words apart tells fact from \
                 hallucination, whatever is true",
                self.samples.len(),
                named.collect::<Vec<_>>().join(", ")
            )
        })
    }

    /// White space of the prompt or the completion beside that of the join: tokens of their own, and
    /// where only one completion has them a length difference that the texts do not have.
    fn doubled_space(&self, join: &str) -> Option<String> {
        let opens = join.is_empty() || begins(join);
        let closes = join.is_empty() || ends(join);
        let (mut prompts, mut facts, mut halls, mut uneven) = (0, 0, 0, 0);
        for sample in &self.samples {
            let after_prompt = ends(&sample.prompt) && opens && !join.is_empty();
            let doubled = |completion: &str| begins(completion) && closes && (!join.is_empty() || ends(&sample.prompt));
            let (fact, hall) = (doubled(&sample.fact), doubled(&sample.hallucination));
            prompts += usize::from(after_prompt);
            facts += usize::from(fact);
            halls += usize::from(hall);
            uneven += usize::from(fact != hall);
        }
        if prompts + facts + halls == 0 {
            return None;
        }
        let way_out =
            if join.is_empty() { "trim them" } else { "trim them, or join them as they are with --join \"\"" };
        let uneven = match uneven {
            0 => String::new(),
            n => format!("; in {n} samples on one side only, which makes a length difference of its own"),
        };
        Some(format!(
            "white space meets white space where prompt and completion are joined by {join:?}: {prompts} of {} prompts \
             end with it, {facts} facts and {halls} hallucinations begin with it{uneven}: {way_out}",
            self.samples.len(),
        ))
    }

    /// Words that run into one another where the texts are joined without a space.
    fn no_space(&self, join: &str) -> Option<String> {
        if !join.is_empty() {
            return None;
        }
        let touches = |prompt: &str, completion: &str| !ends(prompt) && !begins(completion) && !completion.is_empty();
        let texts = self.samples.iter().flat_map(|s| [(&s.prompt, &s.fact), (&s.prompt, &s.hallucination)]);
        let n = texts.filter(|(prompt, completion)| touches(prompt, completion)).count();
        (n > 0).then(|| {
            format!("{n} of {} texts have no white space between prompt and completion", 2 * self.samples.len())
        })
    }

    /// Samples that compare a text with itself.
    fn same_twice(&self) -> Option<String> {
        let n = self.samples.iter().filter(|s| s.fact == s.hallucination).count();
        (n > 0).then(|| {
            format!(
                "{n} of {} samples have the same text as fact and as hallucination: they show no difference whatever \
                 the model does",
                self.samples.len()
            )
        })
    }
}

fn begins(text: &str) -> bool {
    text.starts_with(char::is_whitespace)
}

fn ends(text: &str) -> bool {
    text.ends_with(char::is_whitespace)
}

/// What a text ends on: its last mark of punctuation, which is a token of its own, else its last word.
fn end(text: &str) -> &str {
    let text = text.trim_end();
    match text.char_indices().next_back() {
        Some((at, last)) if !last.is_alphanumeric() => &text[at..],
        _ => text.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or(text),
    }
}
