//! Which samples of a data set a run is to measure.

use serde::{Deserialize, Serialize};

use super::shard::Shard;
use crate::error::{Error, Result};

/// All samples of a data set, or those of one part of it. A part says where in the data set its own samples
/// stand and nothing of the others, so that a thousand parts of a million samples name each sample once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Ids, in the data set's order.
    ids: Vec<String>,
    /// Their places in the data set, from 0, ascending; none where these are all.
    rows: Option<Vec<usize>>,
    /// Samples in the data set.
    of: usize,
}

impl Wanted {
    /// Those of `ids`, a data set's, that fall to `shard`.
    pub fn new<'a>(ids: impl Iterator<Item = &'a str>, shard: Option<Shard>) -> Self {
        let Some(shard) = shard else {
            let ids: Vec<String> = ids.map(str::to_owned).collect();
            let of = ids.len();
            return Self { ids, rows: None, of };
        };
        let (mut own, mut rows, mut of) = (Vec::new(), Vec::new(), 0);
        for id in ids {
            if shard.takes(id) {
                own.push(id.to_owned());
                rows.push(of);
            }
            of += 1;
        }
        Self { ids: own, rows: Some(rows), of }
    }

    /// Those of a part whose samples have these ids and stand at these `rows` of the `of` of their data set.
    pub fn part(ids: Vec<String>, rows: Vec<usize>, of: usize) -> Self {
        Self { ids, rows: Some(rows), of }
    }

    /// What parts of one data set want together.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where they are of data sets of different sizes, or two call a place by different
    /// ids: their files were changed.
    pub fn joined(parts: &[&Self]) -> Result<Self> {
        let of = parts.first().map_or(0, |part| part.of);
        let mut all: Vec<Option<&str>> = vec![None; of];
        let unlike = |what: String, expected: String, found: String| {
            Err(Error::mismatch(what, expected, found, "measure the parts anew, with one data set"))
        };
        for part in parts {
            if part.of != of {
                return unlike("samples of the data set".into(), of.to_string(), part.of.to_string());
            }
            for (row, id) in part.places() {
                match all.get(row) {
                    None => return unlike(format!("row of sample {id}"), format!("below {of}"), row.to_string()),
                    Some(Some(there)) if *there != id => {
                        return unlike(format!("row {} of the data set", row + 1), (*there).into(), id.into());
                    }
                    Some(_) => all[row] = Some(id),
                }
            }
        }
        let places = || all.iter().enumerate().filter_map(|(row, id)| id.map(|id| (row, id)));
        let ids: Vec<String> = places().map(|(_, id)| id.to_owned()).collect();
        let rows = (ids.len() < of).then(|| places().map(|(row, _)| row).collect());
        Ok(Self { ids, rows, of })
    }

    /// Ids, in the data set's order.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Place in the data set, from 0, and id.
    fn places(&self) -> impl Iterator<Item = (usize, &str)> {
        let row = |i: usize| self.rows.as_ref().map_or(Some(i), |rows| rows.get(i).copied());
        self.ids.iter().enumerate().filter_map(move |(i, id)| Some((row(i)?, id.as_str())))
    }

    /// Places in the data set, from 0, of which nothing is known here.
    pub fn others(&self) -> impl Iterator<Item = usize> {
        let own = self.rows.as_deref().unwrap_or_default();
        let all = if self.rows.is_some() { self.of } else { 0 };
        let mut next = own.iter().copied().peekable();
        (0..all).filter(move |row| next.next_if_eq(row).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("s-{i}")).collect()
    }

    fn part(ids: &[String], index: u32, of: u32) -> Wanted {
        Wanted::new(ids.iter().map(String::as_str), Some(Shard { index, of }))
    }

    #[test]
    fn parts_make_the_whole_in_any_order() {
        let ids = ids(50);
        let whole = Wanted::new(ids.iter().map(String::as_str), None);
        let parts: Vec<Wanted> = [3, 1, 4, 2].map(|index| part(&ids, index, 4)).into();
        assert!(parts.iter().all(|p| p.ids().len() < 50 && p.others().count() == 50 - p.ids().len()));
        let joined = Wanted::joined(&parts.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(joined, whole);
        assert_eq!(joined.others().count(), 0);
    }

    #[test]
    fn what_no_part_has_is_known_by_its_place() {
        let ids = ids(50);
        let parts = [part(&ids, 1, 3), part(&ids, 3, 3)];
        let missing = part(&ids, 2, 3);
        let joined = Wanted::joined(&parts.iter().collect::<Vec<_>>()).unwrap();
        let expected: Vec<usize> = missing.places().map(|(row, _)| row).collect();
        assert!(!expected.is_empty());
        assert_eq!(joined.others().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn parts_of_unlike_data_are_refused() {
        let (many, few) = (ids(50), ids(40));
        let refused = |a: &Wanted, b: &Wanted, words: &str| {
            let message = Wanted::joined(&[a, b]).unwrap_err().to_string();
            assert!(message.contains(words) && message.contains("hint:"), "{message}");
        };
        refused(&part(&many, 1, 2), &part(&few, 2, 2), "samples of the data set");
        let mut renamed = part(&many, 1, 2);
        renamed.ids[0] = "other".into();
        refused(&part(&many, 1, 2), &renamed, "of the data set");
        let mut outside = part(&many, 2, 2);
        outside.rows.as_mut().unwrap()[0] = 50;
        refused(&part(&many, 1, 2), &outside, "row of sample");
    }
}
