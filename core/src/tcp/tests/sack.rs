//! What is told of data out of order: negotiation, SACK blocks (RFC 2018), duplicates (RFC 2883).

use super::*;
use crate::tcp::sack::Sack;
use proptest::prelude::*;

/// `count` bytes of stream from `seq` on.
fn data(host: &mut Host, seq: u32, count: usize) {
    let bytes = vec![0; count];
    send!(host, seq seq, ack 1, data &bytes);
}

/// The next segment is an ACK that tells `blocks`; numbers count from zero, as in the examples of the RFCs.
#[track_caller]
fn told(host: &mut Host, ack: u32, blocks: &[(u32, u32)]) {
    let blocks: Vec<_> = blocks.iter().map(|(left, right)| (left + 1, right + 1)).collect();
    recv!(host, ack ack + 1, sack blocks, len 0);
}

//= https://www.rfc-editor.org/rfc/rfc2018#section-2
//= type=test
//# This two-byte option may be sent in a SYN by a TCP that has been extended to receive (and presumably process) the SACK option once the connection has opened (2018:2-1).
//= https://www.rfc-editor.org/rfc/rfc2018#section-4
//= type=test
//# If the data receiver has received a SACK-Permitted option on the SYN for this connection, the data receiver MAY elect to generate SACK options (2018:4-1).
#[test]
fn both_syns_carry_the_option_or_nobody_uses_it() {
    for (own, peer) in [(true, true), (true, false), (false, true), (false, false)] {
        let config = TcpConfig { sack: own, ..plain() };
        let negotiated = own && peer;
        let permit = |segment: Segment| if peer { segment.permit() } else { segment };

        let mut host = Host::connecting(config.clone(), setup(ISS));
        assert_eq!(host.poll().unwrap().options.sack_permitted, own);
        host.deliver(permit(segment(0, Some(1), Flags::SYN, b"")));
        recv!(host, ack 1);
        data(&mut host, 101, 100);
        assert_eq!(host.poll().unwrap().options.sack.len(), usize::from(negotiated));
        assert_eq!(host.info().options & 2 != 0, negotiated);

        let syn = permit(segment(0, None, Flags::SYN, b""));
        let mut host = Host::accepting(config.clone(), setup(ISS), &syn);
        assert_eq!(host.poll().unwrap().options.sack_permitted, negotiated, "what we answer");
        send!(host, seq 1, ack 1);
        data(&mut host, 101, 100);
        assert_eq!(host.poll().unwrap().options.sack.len(), usize::from(negotiated));

        // Both open at once.
        let mut host = Host::connecting(config, setup(ISS));
        host.poll();
        host.deliver(permit(segment(0, None, Flags::SYN, b"")));
        assert_eq!(host.poll().unwrap().options.sack_permitted, negotiated, "SYN/ACK of a simultaneous open");
        host.deliver(permit(segment(0, Some(1), Flags::SYN, b"")));
        host.polls();
        data(&mut host, 101, 100);
        assert_eq!(host.poll().unwrap().options.sack.len(), usize::from(negotiated));
    }
}

//= https://www.rfc-editor.org/rfc/rfc2018#section-4
//= type=test
//# If the data receiver has not received a SACK-Permitted option for a given connection, it MUST NOT send SACK options on that connection (2018:4-3).
#[test]
fn a_peer_that_did_not_permit_gets_no_blocks() {
    let mut host = Host::established();
    data(&mut host, 1001, 1000);
    recv!(host, ack 1, sack []);
    data(&mut host, 1001, 1000);
    recv!(host, ack 1, sack []);
    assert_eq!(host.counters.tcp_dsacks_out, 0);
}

//= https://www.rfc-editor.org/rfc/rfc2018#section-2
//= type=test
//# It MUST NOT be sent on non-SYN segments (2018:2-2).
#[test]
fn only_a_syn_permits() {
    let mut host = Host::selective();
    host.write_zeros(1000);
    data(&mut host, 1001, 1000);
    host.close();
    let mut sent = host.polls();
    host.timeout();
    sent.extend(host.polls());
    assert!(sent.len() > 3 && sent.iter().all(|sent| !sent.options.sack_permitted), "{sent:?}");
}

/// RFC 2018 section 7, case 2: the first of eight segments is lost.
#[test]
fn one_block_grows() {
    let mut host = Host::selective();
    for n in 1..8 {
        data(&mut host, 1 + 500 * n, 500);
        told(&mut host, 0, &[(500, 500 + 500 * n)]);
        host.silent();
    }
    data(&mut host, 1, 500);
    told(&mut host, 4000, &[]);
}

/// RFC 2018 section 7, case 3: the 2nd, 4th, 6th and 8th of eight segments are lost, and then the fourth and the second come.
//= https://www.rfc-editor.org/rfc/rfc2018#section-4
//= type=test
//# The first SACK block (i.e., the one immediately following the kind and length fields in the option) MUST specify the contiguous block of data containing the segment which triggered this ACK, unless that segment advanced the Acknowledgment Number field in the header (2018:4-6).
#[test]
fn the_block_of_the_segment_that_came_is_the_first() {
    let mut host = Host::selective();
    data(&mut host, 1, 500);
    host.timeout();
    told(&mut host, 500, &[]);
    data(&mut host, 1001, 500);
    told(&mut host, 500, &[(1000, 1500)]);
    data(&mut host, 2001, 500);
    told(&mut host, 500, &[(2000, 2500), (1000, 1500)]);
    data(&mut host, 3001, 500);
    told(&mut host, 500, &[(3000, 3500), (2000, 2500), (1000, 1500)]);
    data(&mut host, 1501, 500);
    told(&mut host, 500, &[(1000, 2500), (3000, 3500)]);
    data(&mut host, 501, 500);
    told(&mut host, 2500, &[(3000, 3500)]);
}

//= https://www.rfc-editor.org/rfc/rfc2018#section-4
//= type=test
//# The data receiver SHOULD include as many distinct SACK blocks as possible in the SACK option (2018:4-7).
//= https://www.rfc-editor.org/rfc/rfc2018#section-4
//= type=test
//# The SACK option SHOULD be filled out by repeating the most recently reported SACK blocks (based on first SACK blocks in previous SACK options) that are not subsets of a SACK block already included in the SACK option being constructed (2018:4-8).
#[test]
fn four_blocks_and_three_beside_timestamps() {
    let islands = |host: &mut Host, stamp: bool| {
        for n in 1..=6 {
            let island = segment(1 + 200 * n, Some(1), Flags::default(), &[0; 100]);
            host.deliver(if stamp { island.stamp(2, 1000) } else { island });
        }
        host.polls().pop().unwrap()
    };
    let mut host = Host::selective();
    let sent = islands(&mut host, false);
    expected!(sent, sack, [(1201, 1301), (1001, 1101), (801, 901), (601, 701)]);
    // What was reported longer ago comes back when there is room.
    data(&mut host, 1101, 100);
    recv!(host, sack [(1001, 1301), (801, 901), (601, 701), (401, 501)]);

    let mut host = Host::connecting(TcpConfig { timestamps: true, ..plain() }, setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN; stamp(1, 1000); permit());
    host.polls();
    let sent = islands(&mut host, true);
    expected!(sent, sack, [(1201, 1301), (1001, 1101), (801, 901)]);
}

/// Segments that arrive before anything is sent are each answered as if they had come alone.
//= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
//= type=test
//# Out-of-order data segments SHOULD be acknowledged immediately, in order to accelerate loss recovery (5681:4.2-6).
//= https://www.rfc-editor.org/rfc/rfc2018#section-4
//= type=test
//# The receiver SHOULD send an ACK for every valid segment that arrives containing new data, and each of these "duplicate" ACKs SHOULD bear a SACK option (2018:4-5).
#[test]
fn each_segment_of_a_burst_is_answered() {
    let mut host = Host::selective();
    for n in 1..=6 {
        data(&mut host, 1 + 200 * n, 100);
    }
    for n in 1..=6 {
        let sent = host.poll().unwrap();
        let first = sent.options.sack[0];
        assert_eq!(SeqNum(first.0).since(SeqNum(IRS)), 1 + 200 * n);
    }
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
//= type=test
//# A TCP receiver MUST NOT generate more than one ACK for every incoming segment, other than to update the offered window as the receiving application consumes new data (5681:4.2-9).
#[test]
fn a_super_frame_is_held_as_its_segments_would_be() {
    let mut host = Host::selective();
    send!(host, seq 1001, ack 1, data &[0; 10_000]; merged(1000));
    for _ in 0..3 {
        told(&mut host, 0, &[(1000, 11_000)]);
    }
    host.silent();
    // Two of its segments again, and three more.
    send!(host, seq 9001, ack 1, data &[0; 5000]; merged(1000));
    told(&mut host, 0, &[(9000, 11_000), (1000, 14_000)]);
    assert!(host.polls().iter().all(|sent| sent.options.sack.len() == 1));
    assert_eq!(host.counters.tcp_dsacks_out, 1);
}

/// Blocks go on whatever is sent, and what is sent still fits.
//= https://www.rfc-editor.org/rfc/rfc6691#section-2
//= type=test
//# The sender MUST make its data shorter by the options that it sends (6691:2-3).
//= https://www.rfc-editor.org/rfc/rfc2018#section-4
//= type=test
//# If sent at all, SACK options SHOULD be included in all ACKs which do not ACK the highest sequence number in the data receiver's queue (2018:4-4).
#[test]
fn segments_with_data_carry_blocks_and_are_shorter_by_them() {
    let mut host = Host::selective();
    host.limits.super_frame = 60_000;
    data(&mut host, 2001, 1000);
    data(&mut host, 4001, 1000);
    host.polls();
    host.write_zeros(4900);
    let sent = recv!(host, seq 1, len 4900, gso 980);
    expected!(sent, sack, [(4001, 5001), (2001, 3001)]);
    data(&mut host, 1, 2000);
    data(&mut host, 3001, 1000);
    host.polls();
    host.write_zeros(3000);
    recv!(host, seq 4901, len 3000, gso 1000, sack []);
}

//= https://www.rfc-editor.org/rfc/rfc2883#section-4
//= type=test
//# When D-SACK is used, the first block of the SACK option should be a D-SACK block specifying the sequence numbers for the duplicate segment that triggers the acknowledgement (2883:4-1).
//= https://www.rfc-editor.org/rfc/rfc2883#section-4
//= type=test
//# If the duplicate segment is part of a larger block of non-contiguous data in the receiver's data queue, then the following SACK block should be used to specify this larger block (2883:4-2).
//= https://www.rfc-editor.org/rfc/rfc2883#section-4
//= type=test
//# A D-SACK block is only used to report a duplicate contiguous sequence of data received by the receiver in the most recent packet (2883:4-3).
//= https://www.rfc-editor.org/rfc/rfc2883#section-4
//= type=test
//# Each duplicate contiguous sequence of data received is reported in at most one D-SACK block (2883:4-4).
//= https://www.rfc-editor.org/rfc/rfc2883#section-4
//= type=test
//# The left edge of the D-SACK block specifies the first sequence number of the duplicate contiguous sequence, and the right edge of the D-SACK block specifies the sequence number immediately following the last sequence in the duplicate contiguous sequence (2883:4-5).
#[test]
fn duplicates_as_in_the_examples_1_to_3() {
    let mut host = Host::selective();
    data(&mut host, 1, 4000);
    host.polls();
    data(&mut host, 3001, 500);
    told(&mut host, 4000, &[(3000, 3500)]);
    host.silent();
    data(&mut host, 4501, 500);
    told(&mut host, 4000, &[(4500, 5000)]);
    data(&mut host, 3001, 500);
    told(&mut host, 4000, &[(3000, 3500), (4500, 5000)]);
    data(&mut host, 5001, 500);
    told(&mut host, 4000, &[(4500, 5500)]);
    data(&mut host, 5001, 500);
    told(&mut host, 4000, &[(5000, 5500), (4500, 5500)]);
    host.silent();
    assert_eq!(host.counters.tcp_dsacks_out, 3);
}

//= https://www.rfc-editor.org/rfc/rfc2883#section-4.2
//= type=test
//# When the SACK option is used for reporting partial duplicate segments, the first D-SACK block reports the first duplicate sub-segment (2883:4.2-1).
//= https://www.rfc-editor.org/rfc/rfc2883#section-4.2
//= type=test
//# If the data packet being acknowledged contains multiple partial duplicate sub-segments, then only the first such duplicate sub-segment is reported in the SACK option (2883:4.2-2).
#[test]
fn partial_duplicates_as_in_the_examples_4_to_6() {
    // Example 4: part of it was acknowledged.
    let mut host = Host::selective();
    data(&mut host, 1, 1000);
    host.polls();
    data(&mut host, 2001, 500);
    told(&mut host, 1000, &[(2000, 2500)]);
    data(&mut host, 1001, 500);
    told(&mut host, 1500, &[(2000, 2500)]);
    data(&mut host, 1001, 1000);
    told(&mut host, 2500, &[(1000, 1500)]);
    host.silent();

    // Example 5: two parts that are acknowledged now.
    let mut host = Host::selective();
    data(&mut host, 1, 1000);
    host.polls();
    data(&mut host, 3001, 500);
    told(&mut host, 1000, &[(3000, 3500)]);
    data(&mut host, 1001, 500);
    told(&mut host, 1500, &[(3000, 3500)]);
    data(&mut host, 2001, 500);
    told(&mut host, 1500, &[(2000, 2500), (3000, 3500)]);
    data(&mut host, 1001, 1500);
    told(&mut host, 2500, &[(1000, 1500), (3000, 3500)]);
    host.silent();

    // Example 6: two parts that are not.
    let mut host = Host::selective();
    data(&mut host, 1, 1000);
    host.polls();
    data(&mut host, 3501, 500);
    told(&mut host, 1000, &[(3500, 4000)]);
    data(&mut host, 1501, 500);
    told(&mut host, 1000, &[(1500, 2000), (3500, 4000)]);
    data(&mut host, 2001, 500);
    told(&mut host, 1000, &[(1500, 2500), (3500, 4000)]);
    let mut host = Host::selective();
    data(&mut host, 1, 1000);
    host.polls();
    data(&mut host, 3501, 500);
    data(&mut host, 1501, 500);
    data(&mut host, 2501, 500);
    host.polls();
    data(&mut host, 1501, 1500);
    told(&mut host, 1000, &[(1500, 2000), (1500, 3000), (3500, 4000)]);
    host.silent();
}

/// What comes in order may repeat what was held.
#[test]
fn an_old_part_of_what_fills_a_gap() {
    let mut host = Host::selective();
    data(&mut host, 1001, 1000);
    told(&mut host, 0, &[(1000, 2000)]);
    data(&mut host, 1, 1500);
    told(&mut host, 2000, &[(1000, 1500)]);
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc2883#section-4.3
//= type=test
//# The D-SACK block can be included in the SACK option of the ACK, as outlined in Section 4, independently of the use of PAWS by the TCP receiver (2883:4.3-1).
#[test]
fn a_duplicate_that_fails_paws_is_reported_too() {
    let mut host = Host::connecting(TcpConfig { timestamps: true, ..plain() }, setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN; stamp(100, 1000); permit());
    host.polls();
    send!(host, seq 1, ack 1, data b"abc"; stamp(101, 1000));
    host.timeout();
    recv!(host, ack 4, sack []);
    send!(host, seq 1, ack 1, data b"abc"; stamp(50, 1000));
    recv!(host, ack 4, sack [(1, 4)]);
    assert_eq!(host.counters.drop_tcp_paws, 1);
}

#[test]
fn a_fin_before_its_turn_is_held_and_told() {
    let mut host = Host::selective();
    send!(host, seq 1001, ack 1, flag FIN, data &[0; 500]);
    told(&mut host, 0, &[(1000, 1501)]);
    host.silent();
    data(&mut host, 1, 1000);
    told(&mut host, 1501, &[]);
    assert_eq!(host.state(), State::CloseWait);
    send!(host, seq 1001, ack 1, flag FIN, data &[0; 500]);
    told(&mut host, 1501, &[(1000, 1501)]);

    let mut host = Host::selective();
    send!(host, seq 501, ack 1, flag FIN);
    told(&mut host, 0, &[(500, 501)]);
    host.silent();
    data(&mut host, 1, 500);
    recv!(host, ack 502, sack []);
    assert_eq!(host.state(), State::CloseWait);
}

#[test]
fn what_finds_no_place_is_not_told() {
    let mut host = Host::selective();
    host.config.reassembly_segments = 2;
    for seq in [1001, 2001] {
        data(&mut host, seq, 10);
    }
    host.polls();
    data(&mut host, 3001, 10);
    told(&mut host, 0, &[(2000, 2010), (1000, 1010)]);
    // Its middle is held, its end is not.
    data(&mut host, 2001, 20);
    told(&mut host, 0, &[(2000, 2010), (2000, 2010), (1000, 1010)]);
    assert_eq!(host.counters.drop_tcp_reassembly, 2);
}

#[test]
fn acks_owed_are_bounded() {
    let mut host = Host::selective();
    for n in 0..1000 {
        data(&mut host, 3 + 2 * n, 1);
        data(&mut host, 3 + 2 * n, 1);
    }
    assert!(host.polls().len() < 100);
}

/// Octets held, and when their block changed last.
#[derive(Default)]
struct Naive {
    held: Vec<Option<u32>>,
    position: usize,
    clock: u32,
}

impl Naive {
    fn blocks(&self) -> Vec<(u32, usize, usize)> {
        let mut blocks: Vec<(u32, usize, usize)> = Vec::new();
        for (at, stamp) in self.held.iter().enumerate().skip(self.position) {
            let Some(stamp) = *stamp else { continue };
            match blocks.last_mut() {
                Some(block) if block.2 == at => *block = (block.0.max(stamp), block.1, at + 1),
                _ => blocks.push((stamp, at, at + 1)),
            }
        }
        blocks.sort_by_key(|block| std::cmp::Reverse(block.0));
        blocks
    }
}

proptest! {
    #[test]
    fn blocks_agree_with_a_list_of_octets(
        steps in prop::collection::vec((0usize..300, 1usize..40, 0u8..10), 1..80),
        stamped: bool,
    ) {
        let most = if stamped { 3 } else { 4 };
        let mut sack = Sack::new(stamped);
        let mut naive = Naive { held: vec![None; 400], ..Naive::default() };
        for (at, length, what) in steps {
            if what == 0 {
                // A gap is filled: everything up to the end of a block has come.
                let Some((_, _, end)) = naive.blocks().pop() else { continue };
                naive.position = end;
                sack.advance(end as u64);
            } else {
                let at = at.max(naive.position + 1);
                let span = at..(at + length).min(400);
                if span.is_empty() {
                    continue;
                }
                naive.clock += 1;
                let old = naive.held[span.clone()].iter().filter(|stamp| stamp.is_some()).count();
                let told = sack.hold(span.start as u64..span.end as u64);
                let counted: u64 = told.iter().map(|part| part.end - part.start).sum();
                if told.len() < 4 {
                    prop_assert_eq!(counted, old as u64);
                }
                for part in told {
                    prop_assert!((part.start..part.end).all(|at| naive.held[at as usize].is_some()));
                }
                naive.held[span].fill(Some(naive.clock));
                sack.report(at as u64, None);
            }
            let nxt = SeqNum(IRS) + naive.position as u32;
            let blocks: Vec<_> = sack.next(naive.position as u64, nxt).into_iter().collect();
            let seq = |at: usize| (SeqNum(IRS) + at as u32).0;
            let wanted: Vec<_> =
                naive.blocks().iter().map(|(_, from, to)| (seq(*from), seq(*to))).take(most).collect();
            prop_assert_eq!(blocks, wanted);
            prop_assert!(!sack.due());
        }
    }
}

/// One FIN is kept, so one is told of; a peer that sends many makes us remember no more.
#[test]
fn of_many_fins_before_their_turn_one_is_told() {
    let mut host = Host::selective();
    send!(host, seq 1001, ack 1, flag FIN);
    told(&mut host, 0, &[(1000, 1001)]);
    for n in 0..100 {
        send!(host, seq 1101 + 2 * n, ack 1, flag FIN);
        recv!(host, ack 1, sack [(1001, 1002)], len 0);
        host.silent();
    }
    data(&mut host, 1, 1000);
    recv!(host, ack 1002, sack [], len 0);
    assert_eq!(host.connection.state(), State::CloseWait);
}

//= https://www.rfc-editor.org/rfc/rfc2883#section-4.3
//= type=test
//# The D-SACK block can be included in the SACK option of the ACK, as outlined in Section 4, independently of the use of PAWS by the TCP receiver (2883:4.3-1).
#[test]
fn a_segment_without_data_repeats_nothing() {
    let mut host = Host::selective();
    send!(host, seq 1, ack 1, data b"data");
    host.timeout();
    recv!(host, ack 5);
    send!(host, seq 4, ack 1);
    recv!(host, ack 5, sack []);
    send!(host, seq 2, ack 1);
    recv!(host, ack 5, sack []);
    // A SYN in front of what is next: challenged, and it took a block along.
    send!(host, seq 4, ack 1, flag SYN);
    recv!(host, ack 5, sack []);
    send!(host, seq 4, ack 1, data b"a");
    recv!(host, ack 5, sack [(4, 5)]);
}
