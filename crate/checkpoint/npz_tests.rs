use proptest::prelude::*;

use super::super::testing::{Watched, Zipped, f32_bytes, npy, source, wait, zip};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

fn open(bytes: impl Into<Vec<u8>>) -> Result<Checkpoint> {
    wait(Checkpoint::open_npz(source(bytes)))
}

fn message(bytes: impl Into<Vec<u8>>) -> String {
    let text = open(bytes).unwrap_err().to_string();
    assert!(text.contains("test.bin") && text.contains("hint:"), "{text}");
    text
}

fn halves(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 / 2.0).collect()
}

/// `tests/golden/npz` is written by `reference/npz_golden.py`.
#[test]
fn what_numpy_writes() {
    for bytes in [
        &include_bytes!("../../tests/golden/npz/stored.npz")[..],
        include_bytes!("../../tests/golden/npz/deflated.npz"),
    ] {
        let ck = open(bytes).unwrap();
        assert_eq!(
            ck.names(),
            ["W_dec", "W_enc", "b_enc", "big_endian", "cube", "cube_fortran", "empty", "half", "ids", "scalar"]
        );
        for (name, shape) in [
            ("W_enc", vec![12, 20]),
            ("W_dec", vec![20, 12]),
            ("b_enc", vec![20]),
            ("half", vec![3, 4]),
            ("scalar", vec![]),
            ("cube", vec![2, 3, 4]),
            ("empty", vec![0, 5]),
        ] {
            let tensor = wait(ck.read_shaped(name, &shape)).unwrap();
            assert_eq!(tensor.data, halves(shape.iter().product()), "{name}");
        }
        for name in ["W_enc", "W_dec"] {
            let all = wait(ck.read(name)).unwrap();
            let columns = all.shape[1];
            let rows = wait(ck.read_rows(name, &[7, 2, 2, 11])).unwrap();
            for (got, row) in rows.data.chunks(columns).zip([7, 2, 2, 11]) {
                assert_eq!(got, &all.data[row * columns..][..columns], "{name} {row}");
            }
        }
        assert_eq!(ck.info("W_enc").unwrap().dtype, "<f4");
        for (name, word) in [("big_endian", ">f4"), ("ids", "<i8"), ("cube_fortran", "Fortran order")] {
            let error = wait(ck.read(name)).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains(word), "{error}");
        }
    }
}

#[test]
fn zip64_comments_and_other_members() {
    let array = npy("<f4", false, "(2, 2)", &f32_bytes(&halves(4)));
    let members =
        [Zipped::stored("README.txt", b"hello"), Zipped::stored("a.npy", &array), Zipped::deflated("b.npy", &array)];
    for long in [false, true] {
        for comment in ["", "a comment with PK\u{5}\u{6} in it"] {
            let ck = open(zip(&members, long, comment)).unwrap();
            assert_eq!(ck.names(), ["a", "b"]);
            assert_eq!(wait(ck.read("a")).unwrap().data, halves(4));
            assert_eq!(wait(ck.read("b")).unwrap().data, halves(4));
        }
    }
}

#[test]
fn stored_rows_are_read_alone() {
    let (height, columns) = (50_000, 16);
    let values = halves(height * columns);
    let array = npy("<f4", false, "(50000, 16)", &f32_bytes(&values));
    let file = Watched::new(zip(&[Zipped::stored("W.npy", &array)], false, ""));
    let ck = wait(Checkpoint::open_npz(file.clone())).unwrap();
    let total = |file: &Watched| file.asked.lock().unwrap().drain(..).map(|r| r.end - r.start).sum::<u64>();
    assert!(total(&file) < 70_000, "opening reads the directory and the headers");
    for (first, read) in [(true, array.len() as u64 + 3 * 64), (false, 3 * 64)] {
        let rows = wait(ck.read_rows("W", &[49_999, 3, 4])).unwrap();
        assert_eq!(rows.data[..16], values[49_999 * 16..]);
        assert_eq!(rows.data[16..], values[3 * 16..5 * 16]);
        assert_eq!(total(&file), read, "all of it is checked the first time: {first}");
    }
    // a reading as a whole counts as well; over a network, rows alone are read
    for (at_hand, whole, read) in [(true, true, 64), (false, false, 64), (false, true, 64)] {
        let file = Watched::remote(zip(&[Zipped::stored("W.npy", &array)], false, ""), at_hand);
        let ck = wait(Checkpoint::open_npz(file.clone())).unwrap();
        if whole {
            wait(ck.read("W")).unwrap();
        }
        total(&file);
        wait(ck.read_rows("W", &[7])).unwrap();
        assert_eq!(total(&file), read, "{at_hand} {whole}");
    }
}

#[test]
fn a_member_is_what_its_checksum_says_or_refused() {
    let array = npy("<f4", false, "(64, 16)", &f32_bytes(&halves(1024)));
    let turned = npy("<f4", true, "(64, 16)", &f32_bytes(&halves(1024)));
    for member in [Zipped::stored("W.npy", &array), Zipped::stored("W.npy", &turned), Zipped::deflated("W.npy", &array)]
    {
        let good = zip(std::slice::from_ref(&member), false, "");
        assert!(wait(open(good.clone()).unwrap().read("W")).is_ok());
        // another sign of the last value; another checksum
        let mut flipped = member.clone();
        if member.method == 0 {
            *flipped.bytes.last_mut().unwrap() ^= 0x80;
        } else {
            flipped.crc ^= 1;
        }
        let ck = open(zip(&[flipped], false, "")).unwrap();
        let rows = wait(ck.read_rows("W", &[0])).unwrap_err();
        for error in [wait(ck.read("W")).unwrap_err(), rows] {
            let text = error.to_string();
            assert!(
                text.contains(&format!(
                    "member W: expected bytes of the checksum {:08x}",
                    member.crc ^ u32::from(member.method != 0)
                )),
                "{text}"
            );
        }
        assert!(wait(ck.read_packed("W", &[64, 16])).is_err());
    }
    // a header that was changed so that it still is one
    let mut spaced = Zipped::stored("W.npy", &array);
    let at = spaced.bytes.windows(9).position(|w| w == b"'shape': ").unwrap();
    spaced.bytes[at..at + 9].copy_from_slice(b"\"shape\": ");
    assert!(wait(open(zip(&[spaced], false, "")).unwrap().read("W")).is_err());
}

#[test]
fn large_deflated_member_in_pieces() {
    let n = 5_000_003;
    let values: Vec<f32> = (0..n).map(|i| (i % 1000) as f32).collect();
    let array = npy("<f4", false, &format!("({n},)"), &f32_bytes(&values));
    let ck = open(zip(&[Zipped::deflated("w.npy", &array)], false, "")).unwrap();
    assert!(wait(ck.read("w")).unwrap().data == values);
    assert!(ck.info("w").unwrap().nbytes < array.len() as u64 / 4);
}

#[test]
fn transposed_nan_is_found_where_it_is_presented() {
    let mut values = halves(6);
    values[4] = f32::NAN;
    // stored columns: [0 .5] [1 1.5] [NaN 2.5] of a 2 × 3 matrix
    let array = npy("<f4", true, "(2, 3)", &f32_bytes(&values));
    let ck = open(zip(&[Zipped::stored("W.npy", &array)], false, "")).unwrap();
    let error = wait(ck.read("W")).unwrap_err().to_string();
    assert!(error.contains("tensor W at [0, 2]"), "{error}");
}

#[test]
fn not_archives() {
    assert!(message([]).contains("zip archive"));
    assert!(message([0; 21]).contains("zip archive"));
    assert!(message([0; 100_000]).contains("zip archive"));
    let good = zip(&[Zipped::stored("a.npy", &npy("<f4", false, "(1,)", &[0; 4]))], false, "");
    for end in 0..good.len() {
        assert!(open(&good[..end]).is_err(), "{end}");
    }
}

#[test]
fn hostile_directories() {
    let array = npy("<f4", false, "(1,)", &[0; 4]);
    let good = zip(&[Zipped::stored("a.npy", &array)], false, "");
    let central = good.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let end = good.len() - 22;
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        message(file)
    };
    assert!(with(end + 4, &[1, 0]).contains("several files"));
    assert!(with(end + 10, &[0xff, 0xfe]).contains("directory"));
    assert!(with(end + 10, &[2, 0]).contains("directory"));
    assert!(with(end + 12, &[0xff, 0xff, 0xff, 0x7f]).contains("directory"));
    assert!(with(end + 16, &[0xff, 0xff, 0xff, 0x7f]).contains("directory"));
    assert!(with(end + 16, &[0xff, 0xff, 0xff, 0xff]).contains("directory"));
    assert!(with(central + 8, &[1, 0]).contains("encrypted"));
    assert!(with(central + 10, &[14, 0]).contains("method 14"));
    assert!(with(central + 20, &[0xff, 0xff, 0, 0]).contains("stored bytes"));
    assert!(with(central + 28, &[0xff, 0xff]).contains("directory"));
    assert!(with(central + 42, &[0xff, 0xff, 0xff, 0]).contains("member a"));
    assert!(with(central + 42, &[1, 0, 0, 0]).contains("local file header"));
    assert!(with(26, &[0xff, 0xff]).contains("member a"));

    let mut huge = Zipped::stored("a.npy", &array);
    huge.size = 1 << 60;
    assert!(message(zip(&[huge.clone()], true, "")).contains("member a"));
    huge.method = 8;
    assert!(message(zip(&[huge], true, "")).contains("at most"));
    let twice = [Zipped::stored("a.npy", &array), Zipped::stored("a.npy", &array)];
    assert!(message(zip(&twice, false, "")).contains("each name once"));
}

#[test]
fn bombs_and_broken_streams() {
    // 16 MiB of zeros behind a header that claims four bytes
    let bomb = npy("<f4", false, "(1,)", &vec![0; 16 << 20]);
    let mut member = Zipped::deflated("a.npy", &bomb);
    assert!(message(zip(&[member.clone()], false, "")).contains("as many bytes as [1]"));
    member.size = (bomb.len() - (16 << 20) + 4) as u64;
    let ck = open(zip(&[member], false, "")).unwrap();
    assert!(wait(ck.read("a")).unwrap_err().to_string().contains("found more"));

    // more than 4 GiB, at a ratio that deflate could reach
    let mut large = Zipped::deflated("a.npy", &npy("<f4", false, "(1,)", &vec![0; 1 << 20]));
    large.bytes.resize(8 << 20, 0);
    large.size = (4 << 30) + 1;
    assert!(message(zip(&[large], true, "")).contains("savez"));

    let array = npy("<f4", false, "(100000,)", &f32_bytes(&halves(100_000)));
    let whole = Zipped::deflated("a.npy", &array);
    let mut cut = whole.clone();
    cut.bytes.truncate(cut.bytes.len() / 2);
    let error = wait(open(zip(&[cut], false, "")).unwrap().read("a")).unwrap_err().to_string();
    assert!(error.contains("end of the compressed data"), "{error}");
    let mut broken = whole;
    let middle = broken.bytes.len() / 2;
    broken.bytes[middle..middle + 200].fill(0xff);
    let ck = open(zip(&[broken], false, "")).unwrap();
    assert!(wait(ck.read("a")).is_err());
    let mut empty = Zipped::deflated("a.npy", &array);
    empty.bytes.clear();
    assert!(message(zip(&[empty], false, "")).contains("at most 0"));
}

#[test]
fn arrays_that_cannot_be() {
    let of = |array: &[u8]| message(zip(&[Zipped::stored("a.npy", array)], false, ""));
    assert!(of(b"").contains("npy"));
    assert!(of(b"hello world").contains("magic"));
    assert!(of(&npy("<f4", false, "(3,)", &[0; 8])).contains("as many bytes as [3]"));
    assert!(of(&npy("<f4", false, "(1,)", &[0; 8])).contains("as many bytes as [1]"));
    assert!(of(&npy("<f4", false, "(1152921504606846976,)", &[0; 8])).contains("as many bytes"));
    assert!(of(&npy("<f4", false, "(4294967296, 4294967296)", &[0; 8])).contains("addressed"));
    assert!(of(&npy("<f4', 'x': '", false, "(1,)", &[0; 4])).contains("dictionary"));
    let deflated = zip(&[Zipped::deflated("a.npy", b"hello world")], false, "");
    assert!(message(deflated).contains("magic"));
    // a long header is read in a second go
    let spaces = format!("(2,){}", " ".repeat(5000));
    let ck = open(zip(&[Zipped::stored("a.npy", &npy("<f4", false, &spaces, &f32_bytes(&halves(2))))], false, ""));
    assert_eq!(wait(ck.unwrap().read("a")).unwrap().data, halves(2));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = open(bytes.clone());
        bytes.extend(b"PK\x05\x06");
        bytes.extend([0; 18]);
        let _ = open(bytes);
    }

    #[test]
    fn mutations_never_panic(
        long in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in 0usize..3,
    ) {
        let array = npy("<f4", false, "(4, 3)", &f32_bytes(&halves(12)));
        let turned = npy("<f2", true, "(3, 2)", &[0; 12]);
        let mut file = zip(
            &[Zipped::stored("a.npy", &array), Zipped::deflated("b.npy", &array), Zipped::stored("c.npy", &turned)],
            long,
            "",
        );
        for (at, to) in changes {
            let at = at.index(file.len());
            file[at] = to;
        }
        file.truncate(file.len() - cut);
        if let Ok(ck) = open(file) {
            for name in ck.names() {
                let _ = wait(ck.read(name));
                let _ = wait(ck.read_rows(name, &[1, 0]));
            }
        }
    }
}
