//! Texts that can be used and should be looked at.

use super::*;

fn set(rows: &[(&str, &str, &str)]) -> Dataset {
    let rows: String = rows
        .iter()
        .map(|(p, f, h)| format!("{}\n", serde_json::json!({"prompt": p, "fact": f, "hallucination": h})))
        .collect();
    read(Format::Jsonl, rows).unwrap()
}

#[test]
fn clean_texts_are_quiet() {
    assert_eq!(builtin().unwrap().warnings(DEFAULT_JOIN), Vec::<String>::new());
    assert_eq!(set(&[("p", "", "h")]).warnings(DEFAULT_JOIN), Vec::<String>::new());
    assert_eq!(set(&[("p ", "f", "h"), ("p", " f", " h")]).warnings(""), Vec::<String>::new());
}

#[test]
fn white_space_at_the_join_is_counted() {
    let rows = [("p ", "f", "h"), ("p", " f", "h"), ("p", "\tf", "\u{a0}h"), ("p", "f", "h")];
    let [warning] = &set(&rows).warnings(DEFAULT_JOIN)[..] else { panic!("one warning") };
    assert!(
        warning.contains(
            "joined by \" \": 1 of 4 prompts end with it, 2 facts and 1 hallucinations begin with it; in 1 samples"
        ),
        "{warning}"
    );
    assert!(warning.contains("--join \"\""), "{warning}");
    // joined as they are, white space on both sides is still two
    let [warning, touching] = &set(&[("p ", " f", "h"), ("p", " f", "h")]).warnings("")[..] else { panic!("two") };
    assert!(warning.contains("0 of 2 prompts end with it, 1 facts and 0 hallucinations"), "{warning}");
    assert_eq!(touching, "1 of 4 texts have no white space between prompt and completion");
    // a join without white space doubles nothing
    assert_eq!(set(&[("p ", " f", " h")]).warnings("-"), Vec::<String>::new());
}

#[test]
fn a_fact_that_is_its_hallucination_is_counted() {
    let [warning] = &set(&[("p", "f", "f"), ("p", "f", "h"), ("p", "f", "f ")]).warnings(DEFAULT_JOIN)[..] else {
        panic!("one warning")
    };
    // a space at the end is a token: another text
    assert!(warning.starts_with("1 of 3 samples have the same text as fact and as hallucination"), "{warning}");
}

/// So many samples, of which these make the completions.
fn of(n: usize, fact: impl Fn(usize) -> String, hall: impl Fn(usize) -> String) -> Vec<String> {
    let rows: Vec<(String, String)> = (0..n).map(|i| (fact(i), hall(i))).collect();
    let rows: Vec<(&str, &str, &str)> = rows.iter().map(|(fact, hall)| ("p", fact.as_str(), hall.as_str())).collect();
    set(&rows).warnings(DEFAULT_JOIN)
}

#[test]
fn completions_that_end_alike() {
    let [warning] = &of(12, |i| format!("the {i} river."), |i| format!("a {} lake.", i + 40))[..] else {
        panic!("one warning")
    };
    assert!(warning.starts_with("12 of 12 samples end on the same word or mark"), "{warning}");
    let word = of(12, |i| format!("{i} km"), |i| if i < 3 { format!("{}  km ", i + 50) } else { format!("{i} m") });
    assert!(word.len() == 1 && word[0].starts_with("3 of 12 "), "{word:?}");
    // a letter that is the same is no word
    assert!(of(12, |i| format!("a{i}"), |i| format!("b{i}")).is_empty());
    assert!(
        of(12, |i| format!("{i} km"), |i| if i < 2 { format!("{} km", i + 50) } else { format!("{i} m") }).is_empty()
    );
    assert!(of(9, |i| format!("{i}."), |i| format!("{i}!.")).is_empty(), "too few");
}

#[test]
fn a_side_of_few_completions() {
    let found = of(10, |i| format!("fact {i}"), |i| if i % 2 == 0 { "No".into() } else { format!("{i} no") });
    assert!(
        found.len() == 1 && found[0].starts_with("7 of 10 hallucinations are one of a few completions: No (5), "),
        "{found:?}"
    );
    let both = of(20, |i| ["Yes", "No"][i % 2].into(), |i| ["No", "Yes"][i % 2].into());
    assert!(
        both.len() == 2 && both[0].starts_with("20 of 20 facts ") && both[0].contains("No (10), Yes (10);"),
        "{both:?}"
    );
    assert!(of(10, |i| format!("{i}"), |i| format!("x{}", i % 7)).len() == 1, "six of ten");
    assert!(of(20, |i| format!("{i}"), |i| format!("x{}", i % 7)).is_empty(), "nine of twenty");
}
