//! Segments that come and go in fragments: the rules see them whole.

mod build;

use build::*;
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header};
use usertcp_tracecheck::Direction::{In, Out};
use usertcp_tracecheck::Kind;

/// A packet in pieces of `size` bytes.
fn cut(packet: &[u8], identification: u16, size: usize) -> Vec<Vec<u8>> {
    let head = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let count = (packet.len() - head).div_ceil(size);
    let piece = |(number, bytes): (usize, &[u8])| {
        let offset = IpFragOffset::try_new((number * size / 8) as u16).unwrap();
        let more = number + 1 < count;
        if head == 20 {
            let mut ip = Ipv4Header::from_slice(packet).unwrap().0;
            (ip.identification, ip.dont_fragment) = (identification, false);
            (ip.more_fragments, ip.fragment_offset) = (more, offset);
            ip.total_len = (20 + bytes.len()) as u16;
            ip.header_checksum = ip.calc_header_checksum();
            return [&ip.to_bytes()[..], bytes].concat();
        }
        let mut ip = Ipv6Header::from_slice(packet).unwrap().0;
        let fragment = Ipv6FragmentHeader::new(ip.next_header, offset, more, u32::from(identification) << 16);
        ip.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
        ip.payload_length = (8 + bytes.len()) as u16;
        [&ip.to_bytes()[..], &fragment.to_bytes()[..], bytes].concat()
    };
    packet[head..].chunks(size).enumerate().map(piece).collect()
}

fn over(here: &str, peer: &str) -> Trace {
    let mut t = Trace::new(here, peer);
    t.options.allowed = vec![Kind::MayFragment];
    t
}

fn traces() -> [Trace; 2] {
    [over(HERE, PEER), over("2001:db8::1", "2001:db8::2")]
}

#[test]
fn what_comes_in_pieces_is_acknowledged_whole() {
    for mut t in traces() {
        let packet = t.open().packet(&received(1, 1, 1000));
        let mut pieces = cut(&packet, 7, 400);
        pieces.swap(0, 2);
        pieces.swap(1, 2);
        for piece in pieces {
            t.wait(1).record(In, piece);
        }
        t.put(sent(1, 1001, 0)).put(received(1001, 1, 100)).wait(400).put(sent(1, 1101, 0));
        t.clean();
        assert_eq!(t.report().fragments, 3);
    }
}

/// Its receiver does not wait for ever for the others.
#[test]
fn a_piece_that_is_lost() {
    for mut t in traces() {
        let packet = t.open().packet(&received(1, 1, 1000));
        for piece in cut(&packet, 7, 400).into_iter().skip(1) {
            t.record(In, piece);
        }
        t.wait(130_000).record(In, cut(&packet, 7, 400).remove(0)).wait(1000);
        t.clean();
        let mut t = t;
        t.put(sent(1, 1001, 0));
        assert_eq!(t.kinds(), [Kind::AckOfUnsent]);
    }
}

/// Nor is it held to the time in which it answers: the pieces may have come too late for it.
#[test]
fn an_answer_to_pieces_may_be_missing() {
    for mut t in traces() {
        let packet = t.open().packet(&received(1, 1, 1000));
        for piece in cut(&packet, 7, 400) {
            t.wait(20_000).record(In, piece);
        }
        t.wait(5000);
        t.clean();
    }
}

#[test]
fn what_goes_in_pieces_is_judged_whole() {
    for mut t in traces() {
        let first = t.open().packet(&sent(1, 1, 1000));
        cut(&first, 1, 400).into_iter().for_each(|piece| _ = t.record(Out, piece));
        t.wait(1000);
        let again = t.packet(&Seg { payload: vec![9; 1000], ..sent(1, 1, 0) });
        cut(&again, 2, 400).into_iter().for_each(|piece| _ = t.record(Out, piece));
        assert_eq!(t.kinds(), [Kind::DataChanged]);

        let damaged = &mut t.records.last_mut().unwrap().2;
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(t.kinds(), [Kind::TcpChecksum, Kind::DataChanged]);
    }
}

#[test]
fn what_was_damaged_in_pieces_is_nobodys_fault() {
    for mut t in traces() {
        let packet = t.open().packet(&received(1, 1, 1000));
        let mut pieces = cut(&packet, 7, 400);
        *pieces[1].last_mut().unwrap() ^= 1;
        pieces.into_iter().for_each(|piece| _ = t.record(In, piece));
        t.wait(900);
        let report = t.report();
        assert_eq!((report.violations.len(), report.damaged), (0, 1));
    }
}

/// However many datagrams are begun, few are kept.
#[test]
fn beginnings_without_end() {
    let mut t = over(HERE, PEER);
    let packet = t.open().packet(&received(1, 1, 1000));
    for number in 0..10_000 {
        t.record(In, cut(&packet, number, 400).remove(0));
    }
    t.clean();
}
