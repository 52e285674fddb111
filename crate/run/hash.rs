//! sha256 of whole sources.

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::platform::Source;

/// Bytes hashed at once.
const CHUNK: u64 = 8 << 20;

/// sha256 of a whole source in lower-case hexadecimal.
///
/// # Errors
/// Reading errors.
pub async fn sha256(file: &Source) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut at = 0;
    while at < file.len() {
        let end = (at + CHUNK).min(file.len());
        hasher.update(file.read(at..end).await?);
        at = end;
    }
    Ok(hex(&hasher.finalize()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
