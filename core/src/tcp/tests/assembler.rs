//! The assembler against a naive model: any order, overlaps, duplicates.

use crate::tcp::assembler::{Assembler, Inserted};
use bytes::Bytes;
use proptest::prelude::*;

const STREAM: usize = 6000;

fn stream() -> Vec<u8> {
    (0..STREAM).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// Takes everything whose turn has come.
fn drain(assembler: &mut Assembler, out: &mut Vec<u8>) {
    while let Some(piece) = assembler.take(out.len() as u64) {
        assert!(!piece.is_empty());
        out.extend_from_slice(&piece);
    }
}

proptest! {
    #[test]
    fn what_comes_out_is_the_longest_prefix(pieces in proptest::collection::vec((0usize..STREAM, 1usize..3000), 1..60)) {
        let stream = stream();
        let mut assembler = Assembler::default();
        let mut seen = vec![false; STREAM];
        let mut out = Vec::new();
        for (start, len) in pieces {
            let end = (start + len).min(STREAM);
            seen[start..end].iter_mut().for_each(|byte| *byte = true);
            let from = start.max(out.len());
            if from < end {
                let payload = Bytes::copy_from_slice(&stream[from..end]);
                prop_assert_eq!(assembler.insert(from as u64, payload, 4096), Inserted::Kept);
            }
            drain(&mut assembler, &mut out);
            let prefix = seen.iter().position(|byte| !byte).unwrap_or(STREAM);
            prop_assert_eq!(out.len(), prefix);
        }
        prop_assert_eq!(&out[..], &stream[..out.len()]);
    }

    #[test]
    fn pieces_stay_within_their_limit(pieces in proptest::collection::vec((0usize..STREAM, 1usize..300), 1..200), limit in 1usize..20) {
        let stream = stream();
        let mut assembler = Assembler::default();
        for (start, len) in pieces {
            let payload = Bytes::copy_from_slice(&stream[start..(start + len).min(STREAM)]);
            assembler.insert(start as u64 + 1, payload, limit);
            prop_assert!(assembler.pieces() <= limit);
        }
    }
}

#[test]
fn a_small_part_of_a_page_does_not_keep_it() {
    let pages: Vec<_> = (0..3).map(|n| Bytes::from(vec![n; 256 << 10])).collect();
    let mut assembler = Assembler::default();
    // Two segments that the device has merged, as a peer may send them with anything in between.
    assembler.insert(10, pages[0].slice(1000..3920), 4096);
    assert!(pages[0].is_unique(), "copied out of it");
    // A large part is worth its page, but not what little of it is new.
    assembler.insert(100_000, pages[1].slice(..60_000), 4096);
    assembler.insert(100_001, pages[2].slice(..60_000), 4096);
    assert!(!pages[1].is_unique());
    assert!(pages[2].is_unique());
    let taken = assembler.take(100_000);
    assert_eq!(taken.map(|piece| piece.as_ptr()), Some(pages[1].as_ptr()), "not copied");
    assert_eq!(assembler.take(160_000).as_deref(), Some(&[2][..]));
}

#[test]
fn a_full_assembler_says_so_and_keeps_what_it_has() {
    let mut assembler = Assembler::default();
    assert_eq!(assembler.insert(10, Bytes::from_static(b"ab"), 1), Inserted::Kept);
    assert_eq!(assembler.insert(20, Bytes::from_static(b"cd"), 1), Inserted::Full { until: 20 });
    assert_eq!(
        assembler.insert(10, Bytes::from_static(b"ab"), 1),
        Inserted::Kept,
        "a duplicate needs no room"
    );
    assert_eq!(assembler.take(9), None);
    assert_eq!(assembler.take(11).unwrap(), "b");
    assert!(assembler.is_empty());
}

#[test]
fn a_small_piece_does_not_pin_its_page() {
    let page = Bytes::from(vec![1; 65_536]);
    let mut assembler = Assembler::default();
    assembler.insert(5, page.slice(100..200), 10);
    let piece = assembler.take(5).unwrap();
    assert!(!page.as_ptr_range().contains(&piece.as_ptr()));
}
