//! Packing groups of texts (a triple's three) into micro-batches, one trie each.

use super::Trie;

/// How large a micro-batch may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchLimit {
    /// At most this many groups (triples) in one trie.
    Groups(usize),
    /// At most this many trie nodes, at least one group.
    Nodes(usize),
}

/// Where one text ended up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSlot {
    /// Which group (index into the input).
    pub group: usize,
    /// Which text of the group.
    pub text: usize,
    /// The trie node of each of its tokens, root first. Never empty.
    pub path: Vec<u32>,
}

impl TextSlot {
    /// The node of the last real token.
    pub fn end(&self) -> u32 {
        self.path.last().copied().unwrap_or_default()
    }
}

/// One trie and the texts in it.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The merged tokens.
    pub trie: Trie,
    /// The texts, in input order.
    pub texts: Vec<TextSlot>,
}

/// Packs groups of token sequences, in order, into micro-batches. Empty texts are left out (there
/// is no last token to read); the caller reports them.
pub fn pack(groups: &[Vec<&[u32]>], limit: BatchLimit) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut current = Batch::default();
    let mut in_current = 0;
    for (g, texts) in groups.iter().enumerate() {
        let full = match limit {
            BatchLimit::Groups(n) => in_current >= n.max(1),
            BatchLimit::Nodes(n) => {
                let adds: usize = texts.iter().map(|t| current.trie.added_by(t)).sum();
                in_current > 0 && current.trie.len() + adds > n
            }
        };
        if full {
            batches.push(std::mem::take(&mut current));
            in_current = 0;
        }
        in_current += 1;
        for (i, tokens) in texts.iter().enumerate().filter(|(_, t)| !t.is_empty()) {
            let path = current.trie.insert(tokens);
            current.texts.push(TextSlot { group: g, text: i, path });
        }
    }
    batches.push(current);
    batches.retain(|b| !b.texts.is_empty());
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_nothing_is_lost() {
        let texts: Vec<Vec<u32>> = (0..10).flat_map(|g| [vec![0, g], vec![0, g, 1], vec![0, g, 2]]).collect();
        let groups: Vec<Vec<&[u32]>> = texts.chunks(3).map(|c| c.iter().map(Vec::as_slice).collect()).collect();
        let by_groups = pack(&groups, BatchLimit::Groups(4));
        assert_eq!(by_groups.iter().map(|b| b.texts.len()).collect::<Vec<_>>(), [12, 12, 6]);
        let by_nodes = pack(&groups, BatchLimit::Nodes(7));
        assert!(by_nodes.iter().all(|b| b.trie.len() <= 7));
        assert_eq!(by_nodes.iter().map(|b| b.texts.len()).sum::<usize>(), 30);
        // one group larger than the limit still gets a batch of its own
        assert_eq!(pack(&groups, BatchLimit::Nodes(1)).len(), 10);
        assert_eq!(pack(&groups, BatchLimit::Groups(0)).len(), 10);
    }

    #[test]
    fn empty_texts_have_no_slot() {
        let batches = pack(&[vec![&[][..], &[1, 2][..]], vec![&[][..]]], BatchLimit::Groups(8));
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].texts.len(), 1);
        assert_eq!((batches[0].texts[0].group, batches[0].texts[0].text), (0, 1));
    }
}
