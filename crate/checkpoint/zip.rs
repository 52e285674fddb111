//! The directory of a zip archive, zip64 included, over byte ranges.
//!
//! Format: PKWARE's APPNOTE 6.3.10, sections 4.3 to 4.5.

use super::pieces::fetch;
use crate::error::{Error, Result, shown};
use crate::platform::Source;

const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;
/// Fixed parts of the records.
const END_LEN: usize = 22;
const LOCATOR64_LEN: usize = 20;
const END64_LEN: usize = 56;
const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: usize = 30;
/// A directory of a million tensors stays below this.
const MAX_DIRECTORY: u64 = 128 << 20;

/// A file in the archive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    /// Deflated, or else stored.
    pub(super) deflated: bool,
    /// Bytes in the archive.
    pub(super) compressed: u64,
    /// Bytes of the file.
    pub(super) size: u64,
    /// CRC-32 of the file.
    pub(super) crc: u32,
    /// Where its local header begins.
    header: u64,
}

impl Member {
    /// Where the member's bytes begin: after its local header, whose length only it knows.
    pub(super) async fn data(&self, source: &Source) -> Result<u64> {
        let local = fetch(source, self.header, LOCAL_LEN).await?;
        if u32_at(&local, 0) != LOCAL {
            return malformed(source, format!("header of {}", shown(&self.name)), "a local file header", "other bytes");
        }
        let data = self.header + LOCAL_LEN as u64 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
        // the directory has been held against the file's length already, so this cannot overflow
        if data.checked_add(self.compressed).is_none_or(|end| end > source.len()) {
            return malformed(
                source,
                format!("member {}", shown(&self.name)),
                format!("{} bytes from {data} on", self.compressed),
                format!("a file of {} bytes", source.len()),
            );
        }
        Ok(data)
    }
}

/// All members, in the order of the directory.
pub(super) async fn members(source: &Source) -> Result<Vec<Member>> {
    let (start, len, count) = directory(source).await?;
    let end = start.checked_add(len).filter(|&end| end <= source.len());
    if end.is_none() || len > MAX_DIRECTORY || count.checked_mul(CENTRAL_LEN as u64).is_none_or(|least| least > len) {
        return malformed(
            source,
            "directory of the archive",
            format!("at most {} bytes inside the file", source.len().min(MAX_DIRECTORY)),
            format!("{count} entries in {len} bytes at {start}"),
        );
    }
    let bytes = fetch(source, start, len as usize).await?;
    let mut rest = bytes.as_slice();
    let mut members = Vec::new();
    for _ in 0..count {
        let (member, used) = member(source, rest)?;
        members.push(member);
        rest = &rest[used..];
    }
    Ok(members)
}

/// Offset, length and number of entries of the central directory.
async fn directory(source: &Source) -> Result<(u64, u64, u64)> {
    let not_zip = || malformed(source, "end of the file", "a zip archive's end record", "none");
    // the end record is followed by a comment of at most 65535 bytes
    let tail_len = source.len().min((END_LEN + 0xffff) as u64);
    let tail_start = source.len() - tail_len;
    let tail = fetch(source, tail_start, tail_len as usize).await?;
    let last = tail.len().checked_sub(END_LEN);
    let ends_here =
        |at: &usize| u32_at(&tail, *at) == END && at + END_LEN + usize::from(u16_at(&tail, at + 20)) == tail.len();
    let Some(at) = last.and_then(|last| (0..=last).rev().find(ends_here)) else { return not_zip() };
    let end = &tail[at..];
    let (count, len, start) = (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16));
    let split = |disks: &[u32]| disks.iter().any(|&disk| disk != 0 && disk != 0xffff && disk != u32::MAX);
    if split(&[u16_at(end, 4).into(), u16_at(end, 6).into()]) {
        return Err(Error::unsupported(format!("{}: a zip archive of several files", source.name()), "join its parts"));
    }
    if count != u16::MAX && len != u32::MAX && start != u32::MAX {
        return Ok((start.into(), len.into(), count.into()));
    }
    let Some(locator_at) = (tail_start + at as u64).checked_sub(LOCATOR64_LEN as u64) else { return not_zip() };
    let locator = fetch(source, locator_at, LOCATOR64_LEN).await?;
    if u32_at(&locator, 0) != LOCATOR64 {
        // exactly 65535 members, and no zip64 after all
        return Ok((start.into(), len.into(), count.into()));
    }
    let end64 = fetch(source, u64_at(&locator, 8), END64_LEN).await?;
    if u32_at(&end64, 0) != END64 {
        return malformed(source, "zip64 end record", "its signature", "other bytes");
    }
    Ok((u64_at(&end64, 48), u64_at(&end64, 40), u64_at(&end64, 32)))
}

/// The first member of the directory's rest, and how many bytes its entry takes.
fn member(source: &Source, rest: &[u8]) -> Result<(Member, usize)> {
    let cut = || malformed(source, "directory of the archive", "a whole entry", "its end");
    if rest.len() < CENTRAL_LEN {
        return cut();
    }
    if u32_at(rest, 0) != CENTRAL {
        return malformed(source, "directory of the archive", "an entry's signature", "other bytes");
    }
    let lengths = [28, 30, 32].map(|at| usize::from(u16_at(rest, at)));
    let used = CENTRAL_LEN + lengths.iter().sum::<usize>();
    if rest.len() < used {
        return cut();
    }
    let name = String::from_utf8_lossy(&rest[CENTRAL_LEN..][..lengths[0]]).into_owned();
    let extra = &rest[CENTRAL_LEN + lengths[0]..][..lengths[1]];
    let [mut compressed, mut size, mut header] = [20, 24, 42].map(|at| u64::from(u32_at(rest, at)));
    // zip64: those that are all ones follow in full, in this order
    let mut long = extra64(extra);
    for value in [&mut size, &mut compressed, &mut header] {
        if *value == u64::from(u32::MAX)
            && let Some((first, more)) = long.split_at_checked(8)
        {
            *value = u64_at(first, 0);
            long = more;
        }
    }
    if u16_at(rest, 8) & 1 != 0 {
        return Err(Error::unsupported(
            format!("{}: encrypted member {}", source.name(), shown(&name)),
            "unpack the archive and pack it again without a password",
        ));
    }
    let deflated = match u16_at(rest, 10) {
        0 if size == compressed => false,
        0 => {
            return malformed(
                source,
                format!("member {}", shown(&name)),
                format!("{size} stored bytes"),
                compressed.to_string(),
            );
        }
        8 => true,
        other => {
            return Err(Error::unsupported(
                format!("{}: member {} of compression method {other}", source.name(), shown(&name)),
                "save it with numpy.savez or numpy.savez_compressed",
            ));
        }
    };
    if header
        .checked_add(LOCAL_LEN as u64)
        .and_then(|end| end.checked_add(compressed))
        .is_none_or(|end| end > source.len())
    {
        return malformed(
            source,
            format!("member {}", shown(&name)),
            format!("{compressed} bytes from {header} on"),
            format!("a file of {} bytes", source.len()),
        );
    }
    let crc = u32_at(rest, 16);
    Ok((Member { name, deflated, compressed, size, crc, header }, used))
}

/// The zip64 field among an entry's extra fields; empty when there is none.
fn extra64(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let Some((field, rest)) = rest.split_at_checked(u16_at(head, 2).into()) else { break };
        if u16_at(head, 0) == 1 {
            return field;
        }
        extra = rest;
    }
    &[]
}

fn malformed<T>(
    source: &Source,
    what: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Result<T> {
    Err(Error::malformed(
        source.name(),
        what,
        expected,
        found,
        "the file is damaged or not an npz file; fetch it again",
    ))
}

// callers have made sure that the bytes are there

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
