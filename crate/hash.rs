//! SHA-256 (FIPS 180-4), the one hash of the program: of files, of keys, of what a run depends on.

use std::io;

use sha2::{Digest, Sha256};

/// Takes bytes piece by piece; also a writer, for [`io::copy`].
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that follow.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// The hash.
    pub fn bytes(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The hash in lower-case hexadecimal.
    pub fn hex(self) -> String {
        hex(&self.bytes())
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The hash of these bytes.
pub fn bytes(of: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(of).into()
}

/// The hash of these bytes in lower-case hexadecimal.
pub fn sha256(of: impl AsRef<[u8]>) -> String {
    hex(&bytes(of))
}

/// The hash of everything that a reader gives, in lower-case hexadecimal.
///
/// # Errors
/// The reader's own.
pub fn of_reader(mut reader: impl io::Read) -> io::Result<String> {
    let mut hasher = Hasher::new();
    io::copy(&mut reader, &mut hasher)?;
    Ok(hasher.hex())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // a `String` takes everything
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of [`hex`]; none where the text is not hexadecimal.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |i| text.get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of NIST's SHA-256 test vectors.
    #[test]
    fn as_published() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256("abc"), known);
        let mut hasher = Hasher::new();
        hasher.update("a");
        io::copy(&mut &b"bc"[..], &mut hasher).unwrap();
        assert_eq!(hasher.hex(), known);
        assert_eq!(of_reader(&b"abc"[..]).unwrap(), known);
        assert_eq!(unhex(known).unwrap(), bytes("abc"));
    }

    #[test]
    fn only_hexadecimal_is_read() {
        for wrong in ["a", "zz", "0g", "a\u{e4}"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
