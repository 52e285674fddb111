//! The header of numpy's npy format, versions 1 to 3.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

/// Numpy itself refuses longer ones by default.
const MAX_DICT: usize = 10_000;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What a header says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Npy {
    /// Storage type as numpy writes it: `<f4`.
    pub(super) descr: String,
    /// First index fastest.
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
    /// Bytes of the header.
    pub(super) len: usize,
}

/// Bytes that [`parse`] may want to see.
pub(super) const MAX_HEADER: usize = 12 + MAX_DICT;

/// Parses the header at the beginning of `bytes`; the error says what was expected and found.
pub(super) fn parse(bytes: &[u8]) -> Result<Npy, (&'static str, String)> {
    let Some((magic, rest)) = bytes.split_first_chunk::<6>() else {
        return Err(("an npy header", format!("{} bytes", bytes.len())));
    };
    if magic != MAGIC {
        return Err(("the npy magic", magic.escape_ascii().to_string()));
    }
    let short = || ("a whole npy header", "its end".to_owned());
    let (&[major, _minor], rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let (dict_len, rest) = match major {
        1 => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(short)?;
            (usize::from(u16::from_le_bytes(*len)), rest)
        }
        2 | 3 => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(short)?;
            (u32::from_le_bytes(*len) as usize, rest)
        }
        _ => return Err(("npy version 1, 2 or 3", major.to_string())),
    };
    if dict_len > MAX_DICT {
        return Err(("an npy header of at most 10000 bytes", dict_len.to_string()));
    }
    let dict = rest.get(..dict_len).ok_or_else(short)?;
    let len = bytes.len() - rest.len() + dict_len;
    let text = std::str::from_utf8(dict).map_err(|e| ("UTF-8 in the npy header", e.to_string()))?;
    let wrong = || ("a dictionary of descr, fortran_order and shape", text.trim_end().to_owned());
    let (descr, fortran, shape) = dictionary(text).ok_or_else(wrong)?;
    Ok(Npy { descr, fortran, shape, len })
}

/// The Python literal that an npy header is: exactly the three keys, in any order.
fn dictionary(text: &str) -> Option<(String, bool, Vec<u64>)> {
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    loop {
        if let Some(end) = rest.strip_prefix('}') {
            return if end.is_empty() { Some((descr?, fortran?, shape?)) } else { None };
        }
        let (key, after) = string(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        match key {
            "descr" if descr.is_none() => {
                // lists are structured types
                let (value, after) = string(rest)?;
                (descr, rest) = (Some(value.to_owned()), after);
            }
            "fortran_order" if fortran.is_none() => {
                let (value, after) = match rest.strip_prefix("True") {
                    Some(after) => (true, after),
                    None => (false, rest.strip_prefix("False")?),
                };
                (fortran, rest) = (Some(value), after);
            }
            "shape" if shape.is_none() => {
                let (inside, after) = rest.strip_prefix('(')?.split_once(')')?;
                (shape, rest) = (Some(sizes(inside)?), after);
            }
            _ => return None,
        }
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// A quoted string and what follows it; escapes do not occur.
fn string(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (inside, after) = text[1..].split_once(quote)?;
    (!inside.contains('\\')).then_some((inside, after))
}

/// The inside of a tuple of sizes: ``, `3,`, `3, 4`; Python 2 wrote `3L`.
fn sizes(text: &str) -> Option<Vec<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let text = text.strip_suffix(',').unwrap_or(text);
    text.split(',')
        .map(|size| {
            let size = size.trim();
            let size = size.strip_suffix('L').unwrap_or(size);
            size.bytes().all(|b| b.is_ascii_digit()).then(|| size.parse().ok()).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v1(dict: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        bytes
    }

    #[test]
    fn every_version_and_spelling() {
        let dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n";
        let expected = Npy { descr: "<f4".into(), fortran: false, shape: vec![3, 4], len: 10 + dict.len() };
        assert_eq!(parse(&v1(dict)).unwrap(), expected);
        for major in [2, 3] {
            let mut bytes = b"\x93NUMPY".to_vec();
            bytes.extend([major, 0]);
            bytes.extend((dict.len() as u32).to_le_bytes());
            bytes.extend(dict.as_bytes());
            bytes.extend([9; 50]);
            assert_eq!(parse(&bytes).unwrap(), Npy { len: 12 + dict.len(), ..expected.clone() });
        }
        let shape = |dict: &str| parse(&v1(dict)).unwrap().shape;
        assert_eq!(shape("{'descr': '<f8', 'fortran_order': True, 'shape': ()}"), [0u64; 0]);
        assert_eq!(shape("{\"shape\": (7L,), 'descr': '<f8','fortran_order':True}"), [7]);
        assert!(parse(&v1("{'shape': (7,), 'descr': '<f8', 'fortran_order': True}")).unwrap().fortran);
    }

    #[test]
    fn garbage() {
        for dict in [
            "",
            "{}",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (+1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,,2)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}",
        ] {
            assert!(parse(&v1(dict)).is_err(), "{dict}");
        }
        assert!(parse(b"").is_err());
        assert!(parse(b"\x93NUMPX\x01\0\0\0").unwrap_err().0.contains("magic"));
        assert!(parse(b"\x93NUMPY\x04\0\0\0").unwrap_err().0.contains("version"));
        assert!(parse(b"\x93NUMPY\x02\0\xff\xff\xff\xff").unwrap_err().0.contains("10000"));
        assert!(parse(b"\x93NUMPY\x01\0\x09\0{}").unwrap_err().0.contains("whole"));
    }

    proptest! {
        #[test]
        fn random_text_never_panics(dict in "[{}()',:a-z0-9 é\\\\L\"]{0,60}") {
            let _ = parse(&v1(&dict));
        }
    }
}
