//! What the built-in triples promise, as far as a program can tell. `reference/check_triples.py`
//! counts their tokens into `tests/golden/triples_tokens.json`.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const DOMAINS: [&str; 4] = ["entity", "temporal", "logical", "adversarial"];
const TOKEN_COUNTS: &str = include_str!("../../../tests/golden/triples_tokens.json");

fn samples() -> Vec<Sample> {
    builtin().unwrap().samples
}

/// How often each value occurs, the most frequent first.
fn frequencies(values: impl Iterator<Item = String>) -> Vec<(usize, String)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().map(|(value, n)| (n, value)).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts
}

fn first_words(text: &str, n: usize) -> String {
    text.split_whitespace().take(n).collect::<Vec<_>>().join(" ").to_lowercase()
}

#[test]
fn fifty_of_each_domain_five_of_each_complexity() {
    let set = builtin().unwrap();
    assert_eq!((set.name.as_str(), set.samples.len(), set.rejected.len()), ("builtin", 200, 0));
    for (i, sample) in set.samples.iter().enumerate() {
        let (domain, number) = (DOMAINS[i / 50], i % 50 + 1);
        assert_eq!(sample.domain, domain, "{}", sample.id);
        assert_eq!(sample.id, format!("{domain}_{number:03}"));
        assert_eq!(sample.complexity, (number as i64 - 1) / 5 + 1, "{}", sample.id);
    }
}

#[test]
fn nothing_is_said_twice() {
    let unique = |texts: Vec<String>| texts.iter().map(|text| text.to_lowercase()).collect::<BTreeSet<_>>().len();
    let samples = samples();
    assert_eq!(unique(samples.iter().map(|sample| sample.prompt.clone()).collect()), 200);
    assert_eq!(
        unique(
            samples
                .iter()
                .flat_map(|sample| [sample.fact_text(DEFAULT_JOIN), sample.hall_text(DEFAULT_JOIN)])
                .collect()
        ),
        400
    );
}

#[test]
fn wording_is_clean() {
    for Sample { id, prompt, fact, hallucination, .. } in samples() {
        for text in [&prompt, &fact, &hallucination] {
            assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), *text, "{id}: white space in {text:?}");
            assert!(!text.is_empty() && !text.ends_with(['.', '!', '?', ';', ':']), "{id}: {text:?} is finished");
            assert!(text.chars().all(|c| !c.is_control()), "{id}");
        }
        assert!(prompt.starts_with(|c: char| c.is_uppercase()), "{id}: {prompt:?}");
        for completion in [&fact, &hallucination] {
            assert!((1..=6).contains(&completion.split_whitespace().count()), "{id}: {completion:?}");
        }
        assert_ne!(fact.to_lowercase(), hallucination.to_lowercase(), "{id}");
    }
}

#[test]
fn templates_and_topics_vary() {
    let samples = samples();
    assert!(samples.iter().filter(|sample| sample.prompt.to_lowercase().contains("capital")).count() <= 3);
    let most = |n| frequencies(samples.iter().map(|sample| first_words(&sample.prompt, n))).swap_remove(0);
    assert!(most(3).0 <= 6, "{:?}", most(3));
    assert!(most(2).0 <= 8, "{:?}", most(2));
    // A completion that recurs, or is right here and wrong there, would stand for its domain.
    let completions = samples.iter().flat_map(|sample| [sample.fact.clone(), sample.hallucination.clone()]);
    let most = frequencies(completions.map(|text| text.to_lowercase())).swap_remove(0);
    assert!(most.0 <= 6, "{most:?}");
}

#[test]
fn every_fact_names_its_source() {
    for line in BUILTIN_JSONL.lines() {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let fields: Vec<&str> = row.keys().map(String::as_str).collect();
        assert_eq!(fields, ["id", "domain", "complexity", "prompt", "fact", "hallucination", "source"]);
        let source = row["source"].as_str().unwrap();
        assert!(source.trim().len() >= 8, "{}: {source:?}", row["id"]);
    }
}

#[test]
fn length_explains_nothing() {
    let counts: BTreeMap<String, [i64; 3]> = serde_json::from_str(TOKEN_COUNTS).unwrap();
    let ids: BTreeSet<String> = samples().into_iter().map(|sample| sample.id).collect();
    assert_eq!(counts.keys().cloned().collect::<BTreeSet<_>>(), ids);
    assert!(counts.values().all(|[prompt, fact, hall]| (1..=*fact.min(hall) - 1).contains(prompt)));
    let equal = counts.values().filter(|[_, fact, hall]| fact == hall).count();
    let difference: i64 = counts.values().map(|[_, fact, hall]| hall - fact).sum();
    assert!(equal >= 190, "{equal} of 200 have equal counts");
    assert!(difference.abs() < 20, "{difference} tokens over 200 triples");
}
