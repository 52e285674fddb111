//! What is doubtful about samples that can be used: it changes numbers without an error.

use super::Dataset;

impl Dataset {
    /// What a reader of the results has to know of the texts, with counts; `join` is what stands
    /// between prompt and completion. Empty is good.
    pub fn warnings(&self, join: &str) -> Vec<String> {
        [self.doubled_space(join), self.no_space(join), self.same_twice()].into_iter().flatten().collect()
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
