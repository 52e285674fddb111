//! A prefix trie of token sequences.

use std::collections::HashMap;

/// The parent of a root.
pub const NO_PARENT: u32 = u32::MAX;

/// Token sequences merged by common prefix. A node is one (prefix, token) pair; its hidden state
/// depends on nothing but its ancestors and itself, so that texts that share a prefix share it.
///
/// Nodes are numbered in order of insertion; a parent always comes before its children.
#[derive(Debug, Clone, Default)]
pub struct Trie {
    /// Token id of each node.
    pub tokens: Vec<u32>,
    /// Parent of each node, [`NO_PARENT`] for a root.
    pub parents: Vec<u32>,
    /// Position of each node in its text: 0 for a root.
    pub depths: Vec<u32>,
    children: HashMap<(u32, u32), u32>,
}

impl Trie {
    /// An empty trie.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Adds a text and returns the node of each of its tokens, root first.
    pub fn insert(&mut self, tokens: &[u32]) -> Vec<u32> {
        let mut parent = NO_PARENT;
        tokens
            .iter()
            .enumerate()
            .map(|(depth, &token)| {
                parent = *self.children.entry((parent, token)).or_insert_with(|| {
                    let node = self.tokens.len() as u32;
                    self.tokens.push(token);
                    self.parents.push(parent);
                    self.depths.push(depth as u32);
                    node
                });
                parent
            })
            .collect()
    }

    /// How many nodes `tokens` would add.
    pub fn added_by(&self, tokens: &[u32]) -> usize {
        let mut parent = NO_PARENT;
        for (i, &token) in tokens.iter().enumerate() {
            match self.children.get(&(parent, token)) {
                Some(&node) => parent = node,
                None => return tokens.len() - i,
            }
        }
        0
    }

    /// `node` and its ancestors up to the root, nearest first.
    pub fn ancestors(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(Some(node), |&n| Some(self.parents[n as usize]).filter(|&p| p != NO_PARENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_prefixes_and_numbers_parents_first() {
        let mut t = Trie::new();
        assert_eq!(t.insert(&[7, 1, 2]), [0, 1, 2]);
        assert_eq!(t.insert(&[7, 1, 3, 3]), [0, 1, 3, 4]);
        assert_eq!(t.insert(&[7, 1]), [0, 1]);
        assert_eq!(t.insert(&[8]), [5]);
        assert_eq!(t.added_by(&[7, 1, 3, 9]), 1);
        assert_eq!(t.added_by(&[7, 1, 3]), 0);
        assert_eq!(t.ancestors(4).collect::<Vec<_>>(), [4, 3, 1, 0]);
        assert_eq!(t.depths, [0, 1, 2, 2, 3, 0]);
    }

    proptest! {
        #[test]
        fn every_text_can_be_read_back(texts in prop::collection::vec(prop::collection::vec(0u32..4, 0..12), 1..20)) {
            let mut t = Trie::new();
            let paths: Vec<_> = texts.iter().map(|x| t.insert(x)).collect();
            for (text, path) in texts.iter().zip(&paths) {
                let read: Vec<u32> = path.iter().map(|&n| t.tokens[n as usize]).collect();
                prop_assert_eq!(&read, text);
                if let Some(&end) = path.last() {
                    let mut up: Vec<u32> = t.ancestors(end).collect();
                    up.reverse();
                    prop_assert_eq!(&up, path);
                }
            }
            for (n, &p) in t.parents.iter().enumerate() {
                prop_assert!(p == NO_PARENT || (p as usize) < n);
            }
            let distinct: std::collections::HashSet<&[u32]> =
                texts.iter().flat_map(|x| (1..=x.len()).map(|k| &x[..k])).collect();
            prop_assert_eq!(t.len(), distinct.len());
        }
    }
}
