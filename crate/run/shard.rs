//! Parts of a data set that are measured apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::hash;

/// `index` of `of`, from 1: the samples whose id's hash falls to it. Which these are depends on the id
/// alone, not on its place, so that data sets that grow or are sorted otherwise are cut the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// From 1.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl Shard {
    /// The part of `of` that a sample is in: its id's sha256, first eight bytes, little-endian, modulo `of`.
    pub fn of(of: u32, sample_id: &str) -> Self {
        let digest = hash::bytes(sample_id);
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        let of = of.max(1);
        // below `of`, which is a u32
        let index = (u64::from_le_bytes(first) % u64::from(of)) as u32 + 1;
        Self { index, of }
    }

    /// Whether a sample is in this part.
    pub fn takes(self, sample_id: &str) -> bool {
        Self::of(self.of, sample_id).index == self.index
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
        let (index, of) = parsed.ok_or_else(|| format!("expected I/N, such as 1/3, found {text:?}"))?;
        if of == 0 || index == 0 || index > of {
            return Err(format!("I goes from 1 to N in I/N, found {text}"));
        }
        Ok(Self { index, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_one_part() {
        for of in [1, 2, 3, 7] {
            let parts: Vec<Shard> = (1..=of).map(|index| Shard { index, of }).collect();
            let mut sizes = vec![0; of as usize];
            for id in (0..700).map(|i| format!("entity-{i:03}")) {
                let takers: Vec<_> = parts.iter().filter(|part| part.takes(&id)).collect();
                assert_eq!(takers.len(), 1, "{id}");
                sizes[takers[0].index as usize - 1] += 1;
            }
            assert!(sizes.iter().all(|n| *n > 500 / of as usize), "{sizes:?}");
        }
    }

    #[test]
    fn which_part_stays_for_good() {
        let ids = ["entity-001", "entity-002", "ünïcode", ""];
        let taken: Vec<u32> =
            ids.iter().map(|id| (1..=3).find(|&index| Shard { index, of: 3 }.takes(id)).unwrap()).collect();
        assert_eq!(
            taken,
            ids.map(|id| {
                // the rule, written out once more
                let digest = hash::bytes(id);
                let number = digest[..8].iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
                (number % 3) as u32 + 1
            })
        );
    }

    #[test]
    fn only_parts_that_there_are() {
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, of: 3 }));
        for wrong in ["0/3", "4/3", "1/0", "1", "a/b", "-1/3", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
