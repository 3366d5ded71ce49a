//! What is merged, what is not, and that nothing is lost or changed by it.

use super::*;
use crate::ip::{Envelope, tcp_transmit};
use crate::link::Capabilities;
use crate::link::segment::{from_frame, segment, to_frame};
use crate::wire::tcp::TcpHeader;
use crate::wire::{ipv4, ipv6};
use bytes::Bytes;
use proptest::prelude::*;
use smallvec::smallvec;
use std::collections::VecDeque;
use std::net::IpAddr;

/// A stretch of a stream as its sender's offload gets it.
#[derive(Clone, Debug)]
struct Stretch {
    six: bool,
    port: u16,
    bytes: usize,
    each: u16,
    flags: Flags,
    ack: u32,
    window: u16,
    stamp: Option<u32>,
    class: u8,
}

const PLAIN: Stretch = Stretch {
    six: false,
    port: 1000,
    bytes: 10_000,
    each: 1448,
    flags: Flags(0x18),
    ack: 77,
    window: 500,
    stamp: Some(5),
    class: 0,
};

impl Stretch {
    /// The packets that `seq` begins.
    fn packets(&self, seq: u32) -> Vec<Frame> {
        let [source, destination]: [IpAddr; 2] = if self.six {
            ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()]
        } else {
            ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]
        };
        let envelope = Envelope { traffic_class: self.class, ..Envelope::new(source, destination) };
        let mut header = TcpHeader {
            source: self.port,
            destination: 80,
            seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            ..TcpHeader::default()
        };
        header.options.timestamps = self.stamp.map(|stamp| (stamp, 9));
        let bytes: Vec<u8> = (0..self.bytes).map(|at| (seq as usize + at) as u8).collect();
        let link = Capabilities::plain(1500);
        let whole = tcp_transmit(&envelope, &header, smallvec![bytes.into()], self.each, &link);
        let mut out = VecDeque::new();
        segment(&whole, &mut out);
        out.iter().map(to_frame).collect()
    }
}

/// What comes out of `frames`.
fn merge(frames: impl IntoIterator<Item = Frame>) -> Vec<Frame> {
    merge_in(256 << 10, frames)
}

/// The same in pages of `page` bytes, where after each packet there is nothing once.
fn merge_in(page: usize, frames: impl IntoIterator<Item = Frame>) -> Vec<Frame> {
    let (mut coalescer, mut out) = (Coalescer::default(), Vec::new());
    for frame in frames {
        if coalescer.wants_page(ROOM) {
            out.extend(coalescer.replace_page(BytesMut::with_capacity(page)).1);
        }
        let received = coalescer.receive(|page| {
            page.extend_from_slice(&frame.bytes);
            Ok::<_, ()>(Some(FrameMeta::default()))
        });
        assert_eq!(received, Ok(Some(frame.bytes.len())));
        out.extend(std::iter::from_fn(|| coalescer.ready()));
        assert!(coalescer.receive(|_| Ok::<_, ()>(None)).expect("no error").is_none());
    }
    out.extend(coalescer.take());
    assert!(coalescer.take().is_none());
    out
}

/// Least room for a packet.
const ROOM: usize = 2048;

/// The packets that a super-frame becomes.
fn cut(frame: &Frame) -> Vec<Bytes> {
    let mut out = VecDeque::new();
    segment(&from_frame(frame), &mut out);
    out.iter().map(|packet| to_frame(packet).bytes).collect()
}

/// What a frame that came out was.
fn went(frame: &Frame) -> Vec<Bytes> {
    if frame.meta.gso_size == 0 { vec![frame.bytes.clone()] } else { cut(frame) }
}

fn sizes(frames: &[Frame]) -> Vec<(usize, u16)> {
    let payload = |frame: &Frame| Head::of(&frame.bytes, VALID).map_or(0, |head| head.payload);
    frames.iter().map(|frame| (payload(frame), frame.meta.gso_size)).collect()
}

#[test]
fn what_offload_has_cut_is_whole_again() {
    for six in [false, true] {
        let packets = Stretch { six, ..PLAIN }.packets(u32::MAX - 3000);
        assert_eq!(packets.len(), 7);
        let out = merge(packets);
        assert_eq!(sizes(&out), [(10_000, 1448)]);
        let header = if six { ipv6::HEADER } else { ipv4::HEADER } + 32;
        assert_eq!(out[0].bytes.len(), header + 10_000);
        let (parsed, at) = {
            let packet = crate::ip::ingress(&out[0]).expect("a sound packet");
            assert_eq!(packet.meta.checksum, ReceivedChecksum::Valid);
            tcp::parse(packet.source, packet.destination, &packet.payload, false).expect("a sound header")
        };
        assert_eq!((parsed.seq, parsed.flags.0, at), (u32::MAX - 3000, 0x18, 32));
    }
}

#[test]
fn a_super_frame_is_no_longer_than_a_packet_can_be() {
    let out = merge(
        Stretch { bytes: 64_000, each: 1000, ..PLAIN }
            .packets(1)
            .into_iter()
            .chain(Stretch { bytes: 64_000, each: 1000, ..PLAIN }.packets(64_001)),
    );
    assert_eq!(sizes(&out), [(64_000, 1000), (64_000, 1000)]);
    let long = Stretch { flags: Flags::ACK, bytes: 65_000, each: 1000, ..PLAIN };
    let out = merge(long.packets(1).into_iter().chain(long.packets(65_001)));
    assert_eq!(sizes(&out), [(65_000, 1000), (65_000, 1000)]);
}

#[test]
fn what_differs_is_not_merged() {
    let other = [
        Stretch { port: 1001, ..PLAIN },
        Stretch { ack: 78, ..PLAIN },
        Stretch { window: 501, ..PLAIN },
        Stretch { stamp: Some(6), ..PLAIN },
        Stretch { stamp: None, ..PLAIN },
        Stretch { class: 3, ..PLAIN },
        Stretch { six: true, ..PLAIN },
        Stretch { flags: Flags(0x11), ..PLAIN },
        Stretch { flags: Flags(0x50), ..PLAIN },
        Stretch { flags: Flags(0x30), ..PLAIN },
        Stretch { flags: Flags(0x14), ..PLAIN },
        Stretch { bytes: 1449, each: 1449, ..PLAIN },
        Stretch { bytes: 0, ..PLAIN },
    ];
    let first = Stretch { bytes: 1448, flags: Flags::ACK, ..PLAIN };
    // From the third packet on less is looked at.
    for (other, before) in other.iter().flat_map(|other| [(other, 1), (other, 2)]) {
        let second = Stretch { bytes: other.bytes.min(usize::from(other.each)), ..other.clone() };
        let train = Stretch { bytes: before * 1448, ..first.clone() };
        let out = merge(train.packets(1).into_iter().chain(second.packets(1 + before as u32 * 1448)));
        assert_eq!(out.len(), 2, "{other:?}");
        assert_eq!(out.iter().map(|frame| frame.meta.gso_size > 0).collect::<Vec<_>>(), [before > 1, false]);
    }
    let out = merge(first.packets(1).into_iter().chain(first.packets(1450)));
    assert_eq!(sizes(&out), [(1448, 0), (1448, 0)], "a gap");
    let out = merge(first.packets(1).into_iter().chain(first.packets(1)));
    assert_eq!(sizes(&out), [(1448, 0), (1448, 0)], "the same once more");
}

#[test]
fn a_short_one_or_a_push_is_the_last() {
    let stretch = |bytes, flags| Stretch { bytes, flags, ..PLAIN };
    let [whole, short] = [stretch(1448, Flags::ACK), stretch(100, Flags::ACK)];
    let pushed = stretch(1448, PLAIN.flags);
    let run = |parts: &[&Stretch]| {
        let mut seq = 1;
        let mut all = Vec::new();
        for part in parts {
            all.extend(part.packets(seq));
            seq += part.bytes as u32;
        }
        sizes(&merge(all))
    };
    assert_eq!(run(&[&whole, &whole, &short, &whole, &whole]), [(2996, 1448), (2896, 1448)]);
    assert_eq!(run(&[&whole, &pushed, &whole, &whole]), [(2896, 1448), (2896, 1448)]);
    assert_eq!(run(&[&pushed, &whole]), [(1448, 0), (1448, 0)]);
}

#[test]
fn a_page_that_is_full_ends_what_it_holds() {
    let whole = PLAIN.packets(1);
    let came: Vec<Bytes> = whole.iter().map(|frame| frame.bytes.clone()).collect();
    for page in [4000, 6000, 1 << 16] {
        let out = merge_in(page, whole.clone());
        let went: Vec<Bytes> = out.iter().flat_map(went).collect();
        assert_eq!(went.len(), came.len());
        assert!(went.iter().zip(&came).all(|(went, came)| anonymous(went) == anonymous(came)));
    }
}

#[test]
fn small_payloads_are_merged_too() {
    let small = Stretch { bytes: 300, each: 20, flags: Flags::ACK, ..PLAIN };
    let out = merge(small.packets(1).into_iter().chain(PLAIN.packets(301)));
    assert_eq!(sizes(&out), [(300, 20), (10_000, 1448)]);
}

#[test]
fn the_sum_of_what_is_not_merged_is_checked_once() {
    let [whole, mut damaged] = [1, 2].map(|seq| Stretch { bytes: 100, ..PLAIN }.packets(seq).remove(0));
    let mut bytes = damaged.bytes.to_vec();
    bytes[60] ^= 1;
    damaged.bytes = bytes.into();
    let udp = Frame { bytes: Bytes::from_static(&[0x45; 40]), meta: FrameMeta::default() };
    let sums: Vec<_> = merge([whole, damaged, udp]).iter().map(|frame| frame.meta.checksum).collect();
    use ReceivedChecksum::{Unverified, Valid};
    assert_eq!(sums, [Valid, Unverified, Unverified]);
}

#[test]
fn of_acknowledgements_the_last_stands_for_all() {
    let ack = |ack, window, stamp| Stretch {
        bytes: 0,
        flags: Flags::ACK,
        ack,
        window,
        stamp: Some(stamp),
        ..PLAIN
    };
    let run = |acks: &[Stretch]| {
        let frames: Vec<Frame> = acks.iter().flat_map(|ack| ack.packets(7)).collect();
        let heads: Vec<_> = merge(frames)
            .iter()
            .filter_map(|frame| Head::of(&frame.bytes, VALID))
            .map(|head| (head.ack, head.window))
            .collect();
        heads
    };
    let counts = |acks: &[Stretch]| -> Vec<u16> {
        let frames: Vec<Frame> = acks.iter().flat_map(|ack| ack.packets(7)).collect();
        merge(frames).iter().map(|frame| frame.meta.gso_size).collect()
    };
    let row: Vec<Stretch> = (1..=40).map(|number| ack(number * 2896, 500, 5)).collect();
    assert_eq!(counts(&row), [0, 39]);
    assert_eq!(counts(&row[..3]), [0, 2]);
    assert_eq!(counts(&row[..2]), [0, 0]);
    assert_eq!(
        counts(&[ack(100, 500, 5), ack(100, 500, 5), ack(200, 500, 5), ack(300, 500, 5)]),
        [0, 0, 2],
        "no more than those that it stands for"
    );
    let late = u32::MAX - 10;
    assert_eq!(
        run(&[ack(late, 500, 5), ack(late + 5, 400, 5), ack(100, 300, 5)]),
        [(late, 500), (100, 300)],
        "the first may repeat what was heard before"
    );
    assert_eq!(run(&[ack(100, 500, 5), ack(100, 500, 5)]), [(100, 500), (100, 500)], "a duplicate");
    assert_eq!(
        run(&[ack(100, 500, 5), ack(100, 500, 5), ack(100, 500, 5), ack(200, 500, 5), ack(300, 500, 5)]),
        [(100, 500), (100, 500), (100, 500), (300, 500)],
        "duplicates, and then more"
    );
    assert_eq!(run(&[ack(100, 500, 5), ack(100, 600, 5)]), [(100, 500), (100, 600)], "a window update");
    assert_eq!(run(&[ack(100, 500, 5), ack(90, 500, 5)]), [(100, 500), (90, 500)], "an old one");
    assert_eq!(run(&[ack(100, 500, 5), ack(200, 500, 6)]), [(100, 500), (200, 500)], "another time");
    assert_eq!(
        run(&[ack(100, 500, 5), Stretch { port: 7, ..ack(200, 500, 5) }]).len(),
        2,
        "another connection"
    );
    assert_eq!(
        run(&[ack(100, 500, 5), Stretch { flags: Flags(0x50), ..ack(200, 500, 5) }]).len(),
        1,
        "a mark told"
    );
    let far = 100 + (1 << 16);
    assert_eq!(run(&[ack(1, 500, 5), ack(100, 500, 5), ack(far, 500, 5)]), [(1, 500), (far, 500)]);
    assert_eq!(
        run(&[ack(1, 500, 5), ack(100, 500, 5), ack(far + 1, 500, 5), ack(200, 500, 5)]),
        [(1, 500), (100, 500), (far + 1, 500), (200, 500)],
        "one that may acknowledge what was never sent"
    );
    let data = Stretch { ack: 200, flags: Flags::ACK, bytes: 100, ..PLAIN };
    assert_eq!(run(&[ack(100, 500, 5), data.clone()]), [(100, 500), (200, 500)]);
    assert_eq!(run(&[data, ack(300, 500, 5)]), [(200, 500), (300, 500)]);
}

#[test]
fn a_damaged_acknowledgement_stands_for_nothing() {
    let ack = |ack| Stretch { bytes: 0, flags: Flags::ACK, ack, ..PLAIN }.packets(7).remove(0);
    for damaged in 0..2 {
        let mut frames = [ack(100), ack(200)];
        let mut bytes = frames[damaged].bytes.to_vec();
        bytes[35] ^= 1;
        frames[damaged].bytes = bytes.into();
        assert_eq!(merge(frames).len(), 2);
    }
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let bytes = prop_oneof![2 => 1usize..6000, 1 => Just(0usize)];
    let numbers = (any::<bool>(), 1000u16..1002, bytes, prop_oneof![Just(1448u16), 300..1449u16]);
    let marks = (
        prop_oneof![6 => Just(0x18u8), 2 => Just(0x10u8), 1 => any::<u8>()],
        prop_oneof![4 => 0u32..2, 2 => 0u32..6, 1 => Just(70_000u32)],
        0u16..2,
        0u32..3,
        0u8..2,
    );
    (numbers, marks).prop_map(|((six, port, bytes, each), (flags, ack, window, stamp, class))| Stretch {
        six,
        port,
        bytes,
        each,
        flags: Flags(flags),
        ack,
        window,
        stamp: stamp.checked_sub(1),
        class,
    })
}

/// Acknowledgements in a row, as of a receiver that takes what comes.
fn acknowledgements() -> impl Strategy<Value = Vec<(Stretch, u32)>> {
    let step = (prop_oneof![6 => 1u32..3000, 1 => Just(0u32), 1 => Just(70_000u32)], 0u16..2, 0u32..8);
    (any::<bool>(), any::<u32>(), prop::collection::vec(step, 1..10)).prop_map(|(six, first, steps)| {
        let mut ack = first;
        let row = steps.into_iter().map(|(step, window, stamp)| {
            ack = ack.wrapping_add(step);
            let stamp = Some(stamp / 7);
            (Stretch { six, bytes: 0, flags: Flags::ACK, ack, window, stamp, ..PLAIN }, 1)
        });
        row.collect()
    })
}

/// Whether `one`, an acknowledgement, may be left out for `other`, the next.
fn stands_for(other: &Bytes, one: &Bytes) -> bool {
    let heads = Head::of(one, FrameMeta::default()).zip(Head::of(other, FrameMeta::default()));
    let Some((one_head, other_head)) = heads else { return false };
    let ahead = other_head.ack.wrapping_sub(one_head.ack);
    let options =
        |packet: &Bytes, head: &Head| packet[head.layout.start + tcp::HEADER..head.payload_at].to_vec();
    (one_head.payload, other_head.payload) == (0, 0)
        && (one_head.seq, options(one, &one_head)) == (other_head.seq, options(other, &other_head))
        && one_head.is_like(one, &other_head, other)
        && (1..=1 << 16).contains(&ahead)
}

proptest! {
    /// However packets are mixed, repeated, lost and damaged: what was merged can be cut into what came, and nothing changes its place.
    #[test]
    fn what_comes_out_are_the_packets_that_went_in(
        stretches in prop::collection::vec(
            prop_oneof![3 => (stretch(), 0u32..3).prop_map(|one| vec![one]), 1 => acknowledgements()], 1..8
        ),
        disorder in prop::collection::vec((0usize..40, 0usize..40, 0u8..3), 0..4),
        damage in prop::collection::vec((0usize..40, any::<prop::sample::Index>()), 0..3),
    ) {
        let mut frames = Vec::new();
        let mut seq = u32::MAX - 5000;
        for (stretch, skip) in stretches.iter().flatten() {
            frames.extend(stretch.packets(seq));
            seq = seq.wrapping_add(stretch.bytes as u32).wrapping_add(skip.saturating_sub(1));
        }
        for (one, other, how) in disorder {
            let (one, other) = (one % frames.len(), other % frames.len());
            match how {
                0 => frames.swap(one, other),
                1 => frames.insert(one, frames[other].clone()),
                _ if frames.len() > 1 => drop(frames.remove(one)),
                _ => {}
            }
        }
        for (which, place) in damage {
            let which = which % frames.len();
            let mut bytes = frames[which].bytes.to_vec();
            let at = place.index(bytes.len());
            bytes[at] ^= 0x10;
            frames[which].bytes = bytes.into();
        }
        let came: Vec<Bytes> = frames.iter().map(|frame| frame.bytes.clone()).collect();
        let out = merge(frames);
        prop_assert!(out.len() <= came.len());
        let (mut came, mut last) = (came.iter(), None);
        for frame in &out {
            for went in went(frame) {
                // Those that are left out are acknowledgements that this one stands for.
                let mut left_out: Option<&Bytes> = None;
                let mut count = 0;
                loop {
                    let before = last;
                    let next = came.next().expect("what came");
                    last = Some(next);
                    count += 1;
                    if let Some(one) = left_out {
                        prop_assert!(stands_for(next, one));
                    }
                    if anonymous(next) == anonymous(&went) {
                        break;
                    }
                    // What may be a duplicate is never left out.
                    prop_assert!(before.is_some_and(|before| stands_for(next, before)));
                    left_out = Some(next);
                }
                if count > 1 {
                    prop_assert_eq!(frame.meta.gso_size, count);
                }
            }
        }
        prop_assert!(came.next().is_none());
    }
}

/// A packet of IPv4 without its identification, which says nothing, and the checksum that counts it.
fn anonymous(packet: &Bytes) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    if bytes.first().is_some_and(|first| first >> 4 == 4) && bytes.len() >= ipv4::HEADER {
        for at in [4, 5, 10, 11] {
            bytes[at] = 0;
        }
    }
    bytes
}
