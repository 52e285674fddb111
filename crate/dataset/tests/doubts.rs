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
