//! Numpy archives: a zip archive of npy files.

use std::collections::BTreeMap;

use super::TensorInfo;
use super::dtype::DType;
use super::entry::Entry;
use super::layout::Transform;
use super::npy::{self, Npy};
use super::pieces::{Compression, Inflater, Sum, fetch};
use super::zip::{self, Member};
use crate::error::{Error, Result, shown};
use crate::platform::Source;

/// No deflated byte stands for more than this many: 258 of a two-bit match.
const MAX_RATIO: u64 = 1032;
/// Deflated members are inflated as a whole, so there is an end to it; trained weights hardly
/// deflate, and larger ones are stored.
const MAX_INFLATED: u64 = 4 << 30;
/// Enough for the header of any real array.
const HEADER_BYTES: u64 = 512;
const AGAIN: &str = "the archive is damaged; fetch it again";

/// The npy members of the archive.
pub(super) async fn index(source: &Source) -> Result<BTreeMap<String, Entry>> {
    let mut entries = BTreeMap::new();
    for member in zip::members(source).await? {
        let Some(name) = member.name.strip_suffix(".npy") else { continue };
        let entry = entry(source, name, &member).await?;
        if entries.insert(name.to_owned(), entry).is_some() {
            return malformed(source, name, "each name once", "the same name again");
        }
    }
    Ok(entries)
}

fn malformed<T>(source: &Source, name: &str, expected: impl Into<String>, found: impl Into<String>) -> Result<T> {
    Err(Error::malformed(source.name(), format!("member {}", shown(name)), expected, found, AGAIN))
}

async fn entry(source: &Source, name: &str, member: &Member) -> Result<Entry> {
    let data = member.data(source).await?;
    if member.deflated {
        let most = member.compressed.saturating_mul(MAX_RATIO);
        if member.size > most {
            return malformed(
                source,
                name,
                format!("at most {most} bytes out of {}", member.compressed),
                member.size.to_string(),
            );
        }
        if member.size > MAX_INFLATED {
            return Err(Error::unsupported(
                format!("{}: deflated member {} of {} bytes", source.name(), shown(name), member.size),
                "save it with numpy.savez, which does not compress",
            ));
        }
    }
    let npy = header(source, name, member, data).await?;
    let shape: Option<Vec<usize>> = npy.shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    let numel = npy.shape.iter().try_fold(1u64, |n, &size| n.checked_mul(size));
    let numel = numel.and_then(|n| usize::try_from(n).ok());
    let (Some(shape), Some(numel)) = (shape, numel) else {
        return malformed(source, name, "a size that can be addressed", format!("shape {:?}", npy.shape));
    };
    let mut dtype = match npy.descr.as_str() {
        "<f2" => Some(DType::F16),
        "<f4" => Some(DType::F32),
        "<f8" => Some(DType::F64),
        // integers, flags and big-endian numbers are listed, and refused when read as weights
        _ => None,
    };
    if let Some(dtype) = dtype {
        let expected = dtype.bytes_of(numel).and_then(|bytes| bytes.checked_add(npy.len as u64));
        if expected != Some(member.size) {
            return malformed(
                source,
                name,
                format!("as many bytes as {:?} values of {} take", npy.shape, npy.descr),
                format!("{} after the header", member.size.saturating_sub(npy.len as u64)),
            );
        }
    }
    let mut dtype_name = npy.descr.clone();
    let transform = match shape.len() {
        2 if npy.fortran => Transform::Transpose,
        3.. if npy.fortran => {
            dtype = None;
            dtype_name += " in Fortran order of more than two dimensions";
            Transform::None
        }
        _ => Transform::None,
    };
    let (offset, nbytes, compression) = if member.deflated {
        (data, member.compressed, Compression::Deflated { compressed: member.compressed, skip: npy.len })
    } else {
        (data + npy.len as u64, member.size - npy.len as u64, Compression::Stored)
    };
    let info = TensorInfo { name: name.to_owned(), shape, nbytes, dtype: dtype_name };
    let sum = Some(Sum::new(member.crc, npy.len));
    Ok(Entry { info, source: 0, offset, dtype, transform, compression, sum, recode: None })
}

/// The npy header of a member, of which no more is read than that takes.
async fn header(source: &Source, name: &str, member: &Member, data: u64) -> Result<Npy> {
    let mut result = Err(("an npy header", "nothing".to_owned()));
    for most in [HEADER_BYTES, npy::MAX_HEADER as u64] {
        let len = most.min(member.size) as usize;
        let bytes = if member.deflated {
            Inflater::new(source, name, data, member.compressed).take(len).await?
        } else {
            fetch(source, data, len).await?
        };
        result = npy::parse(&bytes);
        if result.is_ok() || len as u64 == member.size {
            break;
        }
    }
    result.or_else(|(expected, found)| malformed(source, name, expected, shown(&found)))
}

#[cfg(test)]
#[path = "npz_tests.rs"]
mod tests;
