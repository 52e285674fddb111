//! Thrift's compact protocol, as far as it takes to look at the integers of a Parquet file's footer and page
//! headers before anything is allocated by them.
//!
//! Format: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

/// Most entries of one list: of a schema, of row groups, of a group's columns.
const MAX_LIST: u64 = 1 << 20;
/// Deepest structs and lists in one another; Parquet's own are about ten deep.
const MAX_DEPTH: usize = 16;

/// What a [`Compact::walk`] tells.
pub(super) enum Seen {
    /// A struct in a list begins.
    Begin,
    /// An integer.
    Integer(i64),
}

/// Told of what is seen, by the ids of the fields that lead there.
type Tell<'t> = dyn FnMut(&[i16], Seen) + 't;

/// Bytes with a place in them.
pub(super) struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes through a struct.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn walk(&mut self, tell: &mut Tell<'_>) -> Result<(), String> {
        self.structure(&mut Vec::new(), tell)
    }

    fn structure(&mut self, path: &mut Vec<i16>, tell: &mut Tell<'_>) -> Result<(), String> {
        let mut id = 0i16;
        loop {
            let head = self.byte()?;
            let kind = head & 15;
            if kind == 0 {
                return Ok(());
            }
            id = match i16::from(head >> 4) {
                0 => self.zigzag()? as i16,
                delta => id.wrapping_add(delta),
            };
            path.push(id);
            // a truth value is in its type
            if !matches!(kind, 1 | 2) {
                self.value(kind, path, tell)?;
            }
            path.pop();
        }
    }

    fn value(&mut self, kind: u8, path: &mut Vec<i16>, tell: &mut Tell<'_>) -> Result<(), String> {
        if self.depth == MAX_DEPTH {
            return Err(format!("values more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let done = self.any_value(kind, path, tell);
        self.depth -= 1;
        done
    }

    fn any_value(&mut self, kind: u8, path: &mut Vec<i16>, tell: &mut Tell<'_>) -> Result<(), String> {
        match kind {
            1 | 2 => self.skip(1),
            3 => {
                let value = i64::from(self.byte()? as i8);
                tell(path, Seen::Integer(value));
                Ok(())
            }
            4..=6 => {
                let value = self.zigzag()?;
                tell(path, Seen::Integer(value));
                Ok(())
            }
            7 => self.skip(8),
            8 => {
                let len = self.varint()?;
                self.skip(len)
            }
            9 | 10 => self.list(path, tell),
            11 => self.map(path, tell),
            12 => self.structure(path, tell),
            13 => self.skip(16),
            other => Err(format!("a value of type {other}")),
        }
    }

    fn list(&mut self, path: &mut Vec<i16>, tell: &mut Tell<'_>) -> Result<(), String> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        self.room(count)?;
        for _ in 0..count {
            if head & 15 == 12 {
                tell(path, Seen::Begin);
            }
            self.value(head & 15, path, tell)?;
        }
        Ok(())
    }

    fn map(&mut self, path: &mut Vec<i16>, tell: &mut Tell<'_>) -> Result<(), String> {
        let count = self.varint()?;
        if count == 0 {
            return Ok(());
        }
        self.room(count)?;
        let kinds = self.byte()?;
        for _ in 0..count {
            self.value(kinds >> 4, path, tell)?;
            self.value(kinds & 15, path, tell)?;
        }
        Ok(())
    }

    /// There must be bytes for so many entries.
    fn room(&self, count: u64) -> Result<(), String> {
        let left = (self.bytes.len() - self.at) as u64;
        if count > left.min(MAX_LIST) {
            return Err(format!("a list of {count} entries in {left} bytes"));
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = self.bytes.get(self.at).copied().ok_or("its end")?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, len: u64) -> Result<(), String> {
        let left = (self.bytes.len() - self.at) as u64;
        if len > left {
            return Err(format!("{len} bytes where {left} are left"));
        }
        self.at += len as usize;
        Ok(())
    }

    /// An unsigned integer in bytes of seven bits, the lowest first (LEB128).
    pub(super) fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("an integer of more than 64 bits".to_owned())
    }

    /// A signed one: 0, −1, 1, −2 … for 0, 1, 2, 3 …
    pub(super) fn zigzag(&mut self) -> Result<i64, String> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_told_by_their_path() {
        // 1: i32 −2; 2: [struct {1: i32 5}, struct {}]; 20: binary; 21: true; 22: struct {3: i64 300}
        let bytes =
            [0x15, 3, 0x19, 0x2c, 0x15, 10, 0, 0, 0x08, 40, 2, b'a', b'b', 0x11, 0x1c, 0x36, 0xd8, 0x04, 0, 0, 77];
        let mut seen = Vec::new();
        let mut compact = Compact::new(&bytes);
        let tell = &mut |path: &[i16], what: Seen| {
            seen.push((path.to_vec(), if let Seen::Integer(i) = what { Some(i) } else { None }));
        };
        compact.walk(tell).unwrap();
        assert_eq!(
            seen,
            [(vec![1], Some(-2)), (vec![2], None), (vec![2, 1], Some(5)), (vec![2], None), (vec![22, 3], Some(300)),]
        );
        assert_eq!(compact.at(), bytes.len() - 1);
    }

    #[test]
    fn nothing_is_believed_that_the_bytes_do_not_hold() {
        let walk = |bytes: &[u8]| Compact::new(bytes).walk(&mut |_, _| {}).unwrap_err();
        assert!(walk(&[0x18, 0xff, 0xff, 0xff, 0xff, 0x07]).contains("bytes where 0 are left"));
        assert!(walk(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0x07]).contains("a list of"));
        assert!(walk(&[0x1b, 0xff, 0x07, 0x55]).contains("a list of"));
        assert!(walk(&[0x1c; 1000]).contains("deep"));
        assert!(walk(&[[0x19].as_slice(), &[0x19; 1000]].concat()).contains("deep"));
        assert!(walk(&[0x15]).contains("its end"));
        assert!(walk(&[[0x16].as_slice(), &[0xff; 11]].concat()).contains("64 bits"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Compact::new(&bytes).walk(&mut |_, _| {});
        }
    }
}
