//! Fragments in any order, against a model that has a byte for each byte.

use super::*;
use crate::ip::{Arrival, arrival};
use crate::link::Frame;
use crate::wire::checksum;
use proptest::prelude::*;

/// A part of a packet of UDP, as it comes from the link.
#[derive(Clone, Debug)]
struct Part {
    six: bool,
    offset: usize,
    more: bool,
    data: Vec<u8>,
    protocol: u8,
    class: u8,
    id: u8,
}

impl Part {
    fn new(six: bool, offset: usize, more: bool, data: &[u8]) -> Self {
        Self { six, offset, more, data: data.to_vec(), protocol: 17, class: 0, id: 9 }
    }

    fn bytes(&self) -> Vec<u8> {
        let place = (self.offset as u16).to_be_bytes();
        let mut head = if self.six {
            let mut head = vec![0x60 | self.class >> 4, self.class << 4, 0, 0];
            head.extend(((self.data.len() + 8) as u16).to_be_bytes());
            head.extend([44, 64]);
            for host in [1, 2] {
                head.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
            }
            head.extend([self.protocol, 0, place[0], place[1] | u8::from(self.more), 0, 0, 0, self.id]);
            head
        } else {
            let total = ((self.data.len() + 20) as u16).to_be_bytes();
            let place = ((self.offset as u16 / 8) | if self.more { 0x2000 } else { 0 }).to_be_bytes();
            let mut head = vec![0x45, self.class, total[0], total[1], 0, self.id, place[0], place[1], 64];
            head.extend([self.protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
            let sum = checksum(&head).to_be_bytes();
            head[10..12].copy_from_slice(&sum);
            head
        };
        head.extend(&self.data);
        head
    }

    fn fragment(&self) -> Fragment {
        match arrival(&Frame { bytes: self.bytes().into(), meta: FrameMeta::default() }) {
            Ok(Arrival::Part(fragment)) => fragment,
            other => panic!("{other:?}"),
        }
    }
}

struct Bench {
    reassembly: Reassembly,
    counters: Counters,
    now: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(&mut IpConfig)) -> Self {
        let mut config = IpConfig::default();
        change(&mut config);
        let now = Instant::from_millis(5000);
        Self { reassembly: Reassembly::new(&config), counters: Counters::default(), now }
    }

    fn add(&mut self, part: &Part) -> Result<Option<Vec<u8>>, Drop> {
        let added = self.reassembly.add(self.now, part.fragment(), &mut self.counters);
        added.map(|done| done.map(|(packet, _)| packet.payload.to_vec())).map_err(|refused| refused.reason)
    }
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256) as u8).collect()
}

const FAMILIES: [bool; 2] = [false, true];

//= https://www.rfc-editor.org/rfc/rfc791#section-2.3
//= type=test
//# placing the data portion of each fragment in the relative position indicated by the fragment offset in that fragment's internet header. (791:2.3-9)
#[test]
fn parts_come_together_in_any_order() {
    for six in FAMILIES {
        let whole = data(40);
        let parts = [
            Part::new(six, 0, true, &whole[..16]),
            Part::new(six, 16, true, &whole[16..32]),
            Part::new(six, 32, false, &whole[32..]),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut bench = Bench::new(|_| {});
            assert_eq!(bench.add(&parts[order[0]]), Ok(None));
            assert_eq!(bench.add(&parts[order[0]]), Ok(None), "a copy");
            assert_eq!(bench.add(&parts[order[1]]), Ok(None));
            assert_eq!(bench.add(&parts[order[2]]), Ok(Some(whole.clone())));
            assert_eq!((bench.reassembly.waiting(), bench.reassembly.next()), ((0, 0), None));
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc791#section-2.3
//= type=test
//# combines internet datagrams that all have the same value for the four fields: identification, source, destination, and protocol. (791:2.3-8)
#[test]
fn packets_are_told_apart() {
    for six in FAMILIES {
        let mut bench = Bench::new(|_| {});
        let first = Part::new(six, 0, true, &data(16));
        let last = Part::new(six, 16, false, &data(5));
        assert_eq!(bench.add(&first), Ok(None));
        assert_eq!(bench.add(&Part { id: 10, ..last.clone() }), Ok(None), "another identification");
        assert_eq!(bench.reassembly.waiting().0, 2);
        assert!(bench.add(&last).unwrap().is_some());
    }
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.add(&Part::new(false, 0, true, &data(16))), Ok(None));
    let other = Part { protocol: 47, ..Part::new(false, 16, false, &data(5)) };
    assert_eq!(bench.add(&other), Ok(None), "another protocol");
}

//= https://www.rfc-editor.org/rfc/rfc5722#section-4
//= type=test
//# When reassembling an IPv6 datagram, if one or more its constituent fragments is determined to be an overlapping fragment, the entire datagram (and any constituent fragments, including those not yet received) MUST be silently discarded. (5722:4-2)
#[test]
fn an_overlap_spoils_the_packet_for_good() {
    for six in FAMILIES {
        let whole = data(48);
        for (offset, length, more) in
            [(8, 8, true), (8, 16, true), (0, 24, true), (16, 8, true), (16, 32, false)]
        {
            let mut bench = Bench::new(|_| {});
            assert_eq!(bench.add(&Part::new(six, 0, true, &whole[..16])), Ok(None));
            assert_eq!(bench.add(&Part::new(six, 16, true, &whole[16..32])), Ok(None));
            let bad = Part::new(six, offset, more, &whole[offset..offset + length]);
            assert_eq!(bench.add(&bad), Err(Drop::FragmentOverlap), "{offset} {length}");
            assert_eq!(
                bench.add(&Part::new(six, 32, false, &whole[32..])),
                Err(Drop::FragmentOverlap),
                "late"
            );
            // Its name is free again when its time is over, and nobody is told.
            bench.now += Duration::from_secs(61);
            assert!(bench.reassembly.expire(bench.now).is_none());
            assert_eq!(bench.reassembly.waiting(), (0, 0));
        }
        let mut bench = Bench::new(|_| {});
        assert_eq!(bench.add(&Part::new(six, 0, true, &whole[..16])), Ok(None));
        let other = Part::new(six, 0, true, &[9; 16]);
        assert_eq!(bench.add(&other), Err(Drop::FragmentOverlap), "a copy with other bytes");
    }
}

#[test]
fn ends_that_disagree_spoil_the_packet() {
    for six in FAMILIES {
        let spoiled = |parts: &[(usize, usize, bool)]| {
            let mut bench = Bench::new(|_| {});
            let mut last = Ok(None);
            for (offset, length, more) in parts {
                last = bench.add(&Part::new(six, *offset, *more, &data(*length)));
            }
            last
        };
        assert_eq!(spoiled(&[(16, 8, false), (24, 8, true)]), Err(Drop::FragmentLength), "behind the end");
        assert_eq!(spoiled(&[(16, 8, false), (32, 8, false)]), Err(Drop::FragmentLength), "two ends");
        assert_eq!(spoiled(&[(32, 8, true), (16, 8, false)]), Err(Drop::FragmentLength), "an end too early");
        assert_eq!(spoiled(&[(16, 8, true), (16, 8, false)]), Err(Drop::FragmentOverlap), "an end in a copy");
    }
}

#[test]
fn fragments_that_cannot_be() {
    for six in FAMILIES {
        let mut bench = Bench::new(|_| {});
        let mut refused = |offset: usize, more, length, protocol| {
            let part = Part { protocol, ..Part::new(six, offset, more, &data(length)) };
            bench.reassembly.add(bench.now, part.fragment(), &mut bench.counters).map(|_| ()).unwrap_err()
        };
        let pointer = |pointer| six.then_some(Fault::ParameterProblem { pointer });
        let length = |fault| Refused { reason: Drop::FragmentLength, fault };
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //= type=test
        //# If the length of a fragment, as derived from the fragment packet's Payload Length field, is not a multiple of 8 octets and the M flag of that fragment is 1, then that fragment must be discarded and an ICMP Parameter Problem, Code 0, message should be sent to the source of the fragment, pointing to the Payload Length field of the fragment packet. (8200:4.5-11)
        assert_eq!(refused(8, true, 12, 17), length(pointer(4)), "not of whole eights");
        assert_eq!(refused(8, false, 0, 17), length(None), "empty");
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //= type=test
        //# If the length and offset of a fragment are such that the Payload Length of the packet reassembled from that fragment would exceed 65,535 octets, then that fragment must be discarded and an ICMP Parameter Problem, Code 0, message should be sent to the source of the fragment, pointing to the Fragment Offset field of the fragment packet. (8200:4.5-12)
        assert_eq!(refused(65_528, false, 8, 17), length(pointer(42)), "beyond the longest packet");
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //= type=test
        //# If the first fragment does not include all headers through an Upper-Layer header, then that fragment should be discarded and an ICMP Parameter Problem, Code 3, message should be sent to the source of the fragment, with the Pointer field set to zero. (8200:4.5-13)
        let tiny = Refused { reason: Drop::FragmentTiny, fault: six.then_some(Fault::HeaderChain) };
        //= https://www.rfc-editor.org/rfc/rfc3128#section-3
        //= type=test
        //# if FO=0 and PROTOCOL=TCP and TRANSPORTLEN < tmin then DROP PACKET (3128:3-1)
        assert_eq!(refused(0, true, 16, 6), tiny, "half a TCP header");
        if !six {
            //= https://www.rfc-editor.org/rfc/rfc3128#section-3
            //= type=test
            //# if FO=1 and PROTOCOL=TCP then DROP PACKET (3128:3-2)
            assert_eq!(refused(8, false, 9, 6), tiny, "the other half");
        }
        assert_eq!(bench.reassembly.waiting(), (0, 0), "nothing of it is kept");
        let longest = Part::new(six, 65_504, false, &data(11));
        assert_eq!(bench.add(&longest), Ok(None));
    }
    let mut bench = Bench::new(|_| {});
    let mut chain = vec![17, 0, 1, 4, 0, 0, 0, 0];
    let with_options = Part { protocol: 60, ..Part::new(true, 0, true, &chain) };
    assert_eq!(bench.add(&with_options), Err(Drop::FragmentTiny), "a chain of headers cut in two");
    let cut_off = Part { protocol: 60, ..Part::new(true, 0, true, &[17, 1, 1, 4, 0, 0, 0, 0]) };
    assert_eq!(bench.add(&cut_off), Err(Drop::FragmentTiny), "a header cut in two");
    let routed = Part { protocol: 43, ..Part::new(true, 0, true, &[17, 0, 4, 1, 0, 0, 0, 0]) };
    let refused = bench.reassembly.add(bench.now, routed.fragment(), &mut bench.counters).unwrap_err();
    let fault = Some(Fault::ParameterProblem { pointer: 50 });
    assert_eq!(refused, Refused { reason: Drop::IpSourceRoute, fault }, "behind the Fragment header");
    chain.extend([0; 8]);
    assert_eq!(bench.add(&Part { data: chain.clone(), ..with_options }), Ok(None));
    assert_eq!(bench.add(&Part::new(true, 16, false, b"end")), Ok(Some([&chain[8..], b"end"].concat())));
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-5.3
//= type=test
//# Reassembly of a fragmented packet MUST NOT lose indications of congestion (3168:5.3-1).
//= https://www.rfc-editor.org/rfc/rfc3168#section-5.3
//= type=test
//# this MUST NOT occur if any of the other fragments contributing to this reassembly carries the Not-ECT codepoint (3168:5.3-2).
//= https://www.rfc-editor.org/rfc/rfc3168#section-5.3
//= type=test
//# Reassembly of a fragmented packet MUST NOT change the ECN codepoint when all of the fragments carry the same codepoint (3168:5.3-3).
#[test]
fn congestion_seen_by_any_part_is_seen_by_the_packet() {
    for six in FAMILIES {
        let class = |classes: [u8; 2]| {
            let mut bench = Bench::new(|_| {});
            let parts = [Part::new(six, 0, true, &data(16)), Part::new(six, 16, false, &data(5))];
            let mut last = Ok(None);
            for (part, class) in parts.into_iter().zip(classes) {
                last =
                    bench.reassembly.add(bench.now, Part { class, ..part }.fragment(), &mut bench.counters);
            }
            last.map(|done| done.map(|(packet, _)| packet.traffic_class)).map_err(|refused| refused.reason)
        };
        for same in 0x28..=0x2b {
            assert_eq!(class([same, same]), Ok(Some(same)));
        }
        assert_eq!(class([0x2a, 0x2b]), Ok(Some(0x2b)));
        assert_eq!(class([0x2b, 0x2a]), Ok(Some(0x2b)));
        assert_eq!(class([0x28, 0x2b]), Err(Drop::FragmentEcn));
        assert_eq!(class([0x2b, 0x28]), Err(Drop::FragmentEcn));
    }
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
//= type=test
//# If insufficient fragments are received to complete reassembly of a packet within 60 seconds of the reception of the first-arriving fragment of that packet, reassembly of that packet must be abandoned and all the fragments that have been received for that packet must be discarded. (8200:4.5-9)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.2
//= type=test
//# There MUST be a reassembly timeout. The reassembly timeout value SHOULD be a fixed value, not set from the remaining TTL. It is recommended that the value lie between 60 seconds and 120 seconds. (1122:3.3.2-4)
#[test]
fn time_is_limited() {
    for (six, seconds) in [(false, 60), (true, 60)] {
        let mut bench = Bench::new(|_| {});
        let first = Part::new(six, 0, true, &data(16));
        bench.add(&first).unwrap();
        bench.add(&Part { id: 10, ..Part::new(six, 16, false, &data(5)) }).unwrap();
        let until = bench.now + Duration::from_secs(seconds);
        assert_eq!(bench.reassembly.next(), Some(until));
        // Later fragments do not lengthen it.
        bench.now += Duration::from_secs(seconds - 1);
        bench.add(&Part::new(six, 24, false, &data(5))).unwrap();
        assert!(bench.reassembly.expire(bench.now).is_none());
        let mut firsts = Vec::new();
        while let Some(expired) = bench.reassembly.expire(until) {
            firsts.extend(expired.first);
        }
        assert_eq!(firsts, [first.bytes()], "the one with its first fragment");
        assert_eq!((bench.reassembly.waiting(), bench.reassembly.next()), ((0, 0), None));
    }
}

#[test]
fn memory_and_number_are_limited_and_the_newest_stays() {
    let mut bench = Bench::new(|config| {
        config.reassembly_bytes = 65_536;
        config.reassembly_packets = 40;
        config.reassembly_fragments = 3;
    });
    for id in 0..200 {
        bench.now += Duration::from_millis(1);
        bench.add(&Part { id, ..Part::new(true, 0, true, &data(64)) }).unwrap();
        bench.add(&Part { id, ..Part::new(true, 512, true, &data(1400)) }).unwrap();
        let (packets, bytes) = bench.reassembly.waiting();
        assert!(packets <= 40 && bytes <= 65_536, "{packets} {bytes}");
    }
    let kept = bench.reassembly.waiting().0 as u64;
    assert_eq!(bench.counters.dropped(Drop::FragmentLimit), 200 - kept);
    assert!(kept > 20);
    bench.add(&Part { id: 199, ..Part::new(true, 64, true, &data(64)) }).unwrap();
    let fourth = Part { id: 199, ..Part::new(true, 128, true, &data(64)) };
    assert_eq!(bench.add(&fourth), Err(Drop::FragmentLimit));
    assert!(bench.reassembly.deadlines.len() == bench.reassembly.partial.len());
}

/// A byte for each byte.
struct Model {
    bytes: Vec<Option<u8>>,
    seen: Vec<(usize, Vec<u8>, bool)>,
    total: Option<usize>,
    spoiled: bool,
}

impl Model {
    /// The packet, if it is whole now.
    fn add(&mut self, offset: usize, data: &[u8], more: bool) -> Result<Option<Vec<u8>>, ()> {
        if self.spoiled {
            return Err(());
        }
        if self.seen.iter().any(|(o, d, m)| *o == offset && d == data && *m == more) {
            return Ok(None);
        }
        let end = offset + data.len();
        let overlaps = (offset..end).any(|at| self.bytes[at].is_some());
        let beyond = self.total.is_some_and(|total| end > total || !more);
        let early = !more && self.bytes[end..].iter().any(Option::is_some);
        if overlaps || beyond || early {
            self.spoiled = true;
            return Err(());
        }
        (offset..end).for_each(|at| self.bytes[at] = Some(data[at - offset]));
        self.seen.push((offset, data.to_vec(), more));
        if !more {
            self.total = Some(end);
        }
        let Some(total) = self.total else { return Ok(None) };
        Ok(self.bytes[..total].iter().copied().collect())
    }
}

proptest! {
    #[test]
    fn as_a_byte_for_each_byte_would_have_it(
        six: bool,
        cuts in proptest::collection::btree_set(1usize..32, 0..8),
        tail in 1usize..9,
        order in proptest::collection::vec((0usize..64, 0usize..20), 1..40),
    ) {
        let whole = data(32 * 8 + tail);
        let edges: Vec<usize> = [0].into_iter().chain(cuts.iter().map(|cut| cut * 8)).chain([whole.len()]).collect();
        let mut bench = Bench::new(|_| {});
        let mut model = Model { bytes: vec![None; 1024], seen: Vec::new(), total: None, spoiled: false };
        for (pick, odd) in order {
            let at = pick % (edges.len() - 1);
            let (mut start, mut end) = (edges[at], edges[at + 1]);
            // Now and then a part that is of another cut.
            match odd {
                0 => start = start.saturating_sub(8),
                1 => end = (end + 8).min(whole.len()),
                2 => end = start + 8,
                _ => {}
            }
            let end = end.min(whole.len());
            let more = end != whole.len();
            if start == 0 && !more {
                continue;
            }
            let part = Part::new(six, start, more, &whole[start..end]);
            let expected = model.add(start, &whole[start..end], more);
            let found = bench.add(&part).map_err(|_| ());
            prop_assert_eq!(&found, &expected);
            if matches!(found, Ok(Some(_))) {
                prop_assert_eq!(found, Ok(Some(whole.clone())));
                prop_assert_eq!(bench.reassembly.waiting(), (0, 0));
                return Ok(());
            }
        }
    }

    #[test]
    fn no_fragments_make_it_panic_or_grow(
        parts in proptest::collection::vec(
            (any::<bool>(), 0usize..8192, any::<bool>(), 0usize..200, any::<u8>(), any::<u8>(), 0u8..3), 0..60),
    ) {
        let mut bench = Bench::new(|config| (config.reassembly_packets, config.reassembly_fragments) = (4, 8));
        for (six, offset, more, length, protocol, class, id) in parts {
            if !more && offset == 0 {
                continue;
            }
            let part = Part { six, offset: offset * 8, more, data: data(length), protocol, class, id };
            let _ = bench.add(&part);
            bench.now += Duration::from_secs(1);
            while bench.reassembly.expire(bench.now).is_some() {}
            prop_assert!(bench.reassembly.waiting().0 <= 4);
            prop_assert_eq!(bench.reassembly.deadlines.len(), bench.reassembly.partial.len());
            let cost: usize = bench.reassembly.partial.values().map(Partial::cost).sum();
            prop_assert_eq!(bench.reassembly.waiting().1, cost);
        }
    }
}
