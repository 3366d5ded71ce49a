//! TCP headers through bytes and back.

use super::*;
use proptest::prelude::*;

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const DESTINATION: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

/// A segment without payload with these raw options, padded with END to whole words.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut bytes = TcpHeader { source: 1, destination: 2, ..Default::default() }.emit().to_vec();
    bytes.extend_from_slice(options);
    bytes.resize(HEADER + options.len().next_multiple_of(4), 0);
    bytes[12] = ((bytes.len() / 4) << 4) as u8;
    bytes
}

fn options_of(raw: &[u8]) -> TcpOptions {
    let bytes = with_options(raw);
    let (header, length) = parse(SOURCE, DESTINATION, &bytes, false).unwrap();
    assert_eq!(length, bytes.len());
    header.options
}

fn mss(mss: u16) -> TcpOptions {
    TcpOptions { mss: Some(mss), ..Default::default() }
}

#[test]
fn options_in_any_order_and_alignment() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //= type=test
    //# A TCP implementation MUST be able to receive a TCP Option in any segment (MUST-5).
    assert_eq!(options_of(&[2, 4, 5, 180]), mss(1460));
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.2
    //= type=test
    //# receivers MUST be prepared to process options even if they do not begin on a word boundary (MUST-64).
    assert_eq!(options_of(&[1, 1, 1, 2, 4, 5, 180]), mss(1460));
    let all = options_of(&[4, 2, 3, 3, 7, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 2, 4, 5, 180]);
    let expected = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some((1, 2)),
        ..Default::default()
    };
    assert_eq!(all, expected);
}

#[test]
fn unknown_options_are_skipped_by_length() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //= type=test
    //# A TCP implementation MUST (MUST-6) ignore without error any TCP Option it does not implement, assuming that the option has a length field
    assert_eq!(options_of(&[254, 6, 2, 4, 1, 1, 2, 4, 5, 180]), mss(1460));
    assert_eq!(options_of(&[34, 2, 2, 4, 5, 180]), mss(1460));
}

#[test]
fn the_end_option_ends() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //= type=test
    //# the following options MUST be supported (MUST-4)
    assert_eq!(options_of(&[2, 4, 5, 180, 0, 3, 3, 7]), mss(1460));
}

#[test]
fn illegal_lengths_end_the_options() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //= type=test
    //# TCP implementations MUST be prepared to handle an illegal option length (e.g., zero); a suggested procedure is to reset the connection and log the error cause (MUST-7).
    for bad in [&[8, 0][..], &[8, 1], &[254, 0], &[2, 0, 5, 180], &[254, 200], &[8, 255, 1, 1]] {
        let raw = [&[2, 4, 5, 180][..], bad, &[3, 3, 7]].concat();
        assert_eq!(options_of(&raw), mss(1460), "{bad:?}");
    }
    assert_eq!(options_of(&[2, 4, 5, 180, 1, 1, 1, 8]), mss(1460), "a kind without a length");
}

#[test]
fn known_kinds_of_foreign_length_are_skipped() {
    assert_eq!(options_of(&[2, 3, 9, 2, 4, 5, 180]), mss(1460));
    assert_eq!(options_of(&[3, 2, 4, 3, 0, 2, 4, 5, 180]), mss(1460));
    assert_eq!(options_of(&[5, 2, 5, 6, 1, 2, 3, 4, 2, 4, 5, 180]), mss(1460));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
//= type=test
//# All TCP Options except End of Option List Option (EOL) and No-Operation (NOP) MUST have length fields, including all future options (MUST-68).
#[test]
fn options_are_laid_out_as_linux_does() {
    let emit = |options: TcpOptions| TcpHeader { options, ..Default::default() }.emit()[HEADER..].to_vec();
    let syn = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some((0x0102_0304, 0)),
        sack: ArrayVec::new(),
        ..Default::default()
    };
    assert_eq!(emit(syn), [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7]);
    let no_timestamps =
        TcpOptions { mss: Some(1460), window_scale: Some(7), sack_permitted: true, ..Default::default() };
    assert_eq!(emit(no_timestamps), [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7]);
    let no_sack = TcpOptions { mss: Some(1460), window_scale: Some(7), ..Default::default() };
    assert_eq!(emit(no_sack.clone()), [2, 4, 5, 180, 1, 3, 3, 7]);
    let stamped = TcpOptions { timestamps: Some((1, 2)), ..no_sack };
    assert_eq!(emit(stamped), [2, 4, 5, 180, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7]);
    let data = TcpOptions { timestamps: Some((1, 2)), ..Default::default() };
    assert_eq!(emit(data.clone()), [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    let sack = TcpOptions { sack: [(1, 2)].into_iter().collect(), ..data };
    assert_eq!(emit(sack), [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
//= type=test
//# The content of the header beyond the End of Option List Option MUST be header padding of zeros (MUST-69).
#[test]
fn nothing_but_zeros_follows_the_last_option() {
    for bits in 0..64u8 {
        let with = |bit: u8| bits & (1 << bit) != 0;
        let options = TcpOptions {
            mss: with(0).then_some(1460),
            window_scale: with(1).then_some(7),
            sack_permitted: with(2),
            timestamps: with(3).then_some((u32::MAX, u32::MAX)),
            sack: if with(4) { [(1, u32::MAX)].into_iter().collect() } else { ArrayVec::new() },
            layout: if with(5) { Layout::ScaleFirst } else { Layout::TimestampsFirst },
        };
        let header = TcpHeader { source: 1, destination: 2, options: options.clone(), ..Default::default() };
        let bytes = header.emit();
        let back = parse(SOURCE, DESTINATION, &bytes, false).unwrap().0.options;
        assert_eq!(TcpOptions { layout: options.layout, ..back }, options);
        let mut rest = &bytes[HEADER..];
        while let [kind @ 1..=255, ..] = *rest {
            rest = &rest[if kind == 1 { 1 } else { usize::from(rest[1]) }..];
        }
        assert!(rest.iter().all(|byte| *byte == 0), "{options:?}: {bytes:?}");
    }
}

#[test]
fn options_are_laid_out_as_freebsd_does() {
    let emit = |mss: Option<u16>, scale: Option<u8>, sack_permitted, timestamps| {
        let options = TcpOptions {
            mss,
            window_scale: scale,
            sack_permitted,
            timestamps,
            layout: Layout::ScaleFirst,
            ..Default::default()
        };
        TcpHeader { options, ..Default::default() }.emit()[HEADER..].to_vec()
    };
    let (mss, stamps) = (Some(1460), Some((0x0102_0304, 0)));
    assert_eq!(
        emit(mss, Some(6), true, stamps),
        [2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0]
    );
    assert_eq!(emit(mss, None, true, None), [2, 4, 5, 180, 4, 2, 0, 0]);
    assert_eq!(emit(mss, Some(6), true, None), [2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 0, 0]);
    assert_eq!(emit(mss, Some(6), false, None), [2, 4, 5, 180, 1, 3, 3, 6]);
    assert_eq!(emit(mss, None, true, stamps), [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0]);
    assert_eq!(
        emit(mss, Some(6), false, stamps),
        [2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0]
    );
    assert_eq!(emit(None, None, false, Some((1, 2))), [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(emit(mss, None, false, None), [2, 4, 5, 180]);
}

//= https://www.rfc-editor.org/rfc/rfc2018#section-3
//= type=test
//# A SACK option that specifies n blocks will have a length of 8*n+2 bytes (2018:3-1).
#[test]
fn four_sack_blocks_fit_without_timestamps_and_three_with() {
    let sack: ArrayVec<_, 4> = [(1, 2), (3, 4), (5, 6), (7, 8)].into();
    for (timestamps, fit) in [(None, 4), (Some((1, 2)), 3)] {
        let options = TcpOptions { timestamps, sack: sack.clone(), ..Default::default() };
        let bytes = TcpHeader { source: 1, destination: 2, options, ..Default::default() }.emit();
        let (header, _) = parse(SOURCE, DESTINATION, &bytes, false).unwrap();
        assert_eq!(header.options.sack[..], sack[..fit]);
        assert_eq!(header.options.timestamps, timestamps);
    }
}

#[test]
fn each_reason_to_drop() {
    let good = with_options(&[]);
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        parse(SOURCE, DESTINATION, &bytes, false).unwrap_err()
    };
    assert_eq!(broken(&|b| b.truncate(0)), Drop::Truncated);
    assert_eq!(broken(&|b| b.truncate(19)), Drop::Truncated);
    assert_eq!(broken(&|b| b[12] = 0x40), Drop::TcpHeaderLength);
    assert_eq!(broken(&|b| b[12] = 0x60), Drop::TcpHeaderLength);
    assert_eq!(broken(&|b| b[1] = 0), Drop::TcpPort);
    assert_eq!(broken(&|b| b[3] = 0), Drop::TcpPort);
    assert_eq!(broken(&|b| b[13] = 0x06), Drop::TcpFlags);
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //= type=test
    //# the receiver MUST check it (MUST-3).
    assert_eq!(parse(SOURCE, DESTINATION, &good, true), Err(Drop::TcpChecksum));
}

fn any_options() -> impl Strategy<Value = TcpOptions> {
    let sack = proptest::collection::vec(any::<(u32, u32)>(), 0..=2);
    (any::<Option<u16>>(), any::<Option<u8>>(), any::<bool>(), any::<Option<(u32, u32)>>(), sack).prop_map(
        |(mss, window_scale, sack_permitted, timestamps, sack)| TcpOptions {
            mss,
            window_scale: window_scale.filter(|_| sack.is_empty()),
            sack_permitted: sack_permitted && timestamps.is_some(),
            timestamps,
            sack: sack.into_iter().collect(),
            ..Default::default()
        },
    )
}

prop_compose! {
    fn any_header()(
        source in 1u16..,
        destination in 1u16..,
        seq: u32,
        ack: u32,
        flags: u8,
        window: u16,
        urgent: u16,
        options in any_options(),
    ) -> TcpHeader {
        let flags = if flags & 6 == 6 { Flags(flags & !4) } else { Flags(flags) };
        TcpHeader { source, destination, seq, ack, flags, window, urgent, options }
    }
}

proptest! {
    #[test]
    fn what_is_emitted_is_parsed(header in any_header()) {
        let bytes = header.emit();
        let (parsed, length) = parse(SOURCE, DESTINATION, &bytes, false).unwrap();
        prop_assert_eq!(parsed, header);
        prop_assert_eq!(length, bytes.len());
    }

    #[test]
    fn etherparse_reads_the_same(header in any_header()) {
        let bytes = header.emit();
        let (theirs, rest) = etherparse::TcpHeader::from_slice(&bytes).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(theirs.source_port, header.source);
        prop_assert_eq!(theirs.sequence_number, header.seq);
        prop_assert_eq!(theirs.acknowledgment_number, header.ack);
        prop_assert_eq!(theirs.window_size, header.window);
        prop_assert_eq!(theirs.syn, header.flags.has(Flags::SYN));
        prop_assert_eq!(theirs.cwr, header.flags.has(Flags::CWR));
        prop_assert_eq!(theirs.urg, header.flags.has(Flags::URG));
        let mut read = TcpOptions::default();
        for element in theirs.options.elements_iter() {
            use etherparse::TcpOptionElement as E;
            match element.unwrap() {
                E::Noop => {}
                E::MaximumSegmentSize(mss) => read.mss = Some(mss),
                E::WindowScale(shift) => read.window_scale = Some(shift),
                E::SelectiveAcknowledgementPermitted => read.sack_permitted = true,
                E::Timestamp(value, echo) => read.timestamps = Some((value, echo)),
                E::SelectiveAcknowledgement(first, more) => {
                    read.sack = std::iter::once(first).chain(more.into_iter().flatten()).collect();
                }
            }
        }
        prop_assert_eq!(read, header.options);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), length: Option<u8>) {
        if let (Some(length), Some(offset)) = (length, bytes.get_mut(12)) {
            *offset = length << 4;
        }
        if let Ok((_, length)) = parse(SOURCE, DESTINATION, &bytes, false) {
            prop_assert!(length <= bytes.len());
        }
        let _ = parse(SOURCE, DESTINATION, &bytes, true);
    }

    #[test]
    fn no_options_make_it_panic(raw in proptest::collection::vec(prop_oneof![0u8..12, any::<u8>()], 0..=40)) {
        options_of(&raw);
    }
}
