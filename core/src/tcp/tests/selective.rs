//! Loss recovery by selective acknowledgement (RFC 6675), rule by rule.

use super::*;

/// `count` segments are in flight, and so is the congestion window; `queued` more bytes wait.
fn in_flight(count: u32, queued: usize) -> Host {
    let mut host = Host::selective_with(TcpConfig { initial_window: count, ..plain() });
    host.write_zeros((count * MSS) as usize + queued);
    assert_eq!(host.polls().len() as u32, count);
    host
}

/// An ACK with SACK blocks.
fn sack<const N: usize>(host: &mut Host, ack: u32, blocks: [(u32, u32); N]) {
    host.after(1);
    send!(host, seq 1, ack ack; sack(blocks));
}

/// Numbers and lengths of everything sent now.
fn sent(host: &mut Host) -> Vec<(u32, usize)> {
    let number = |sent: &Outgoing| sent.seq.since(SeqNum(ISS));
    host.polls().iter().map(|sent| (number(sent), sent.payload.iter().map(Bytes::len).sum())).collect()
}

/// RFC 3042 as RFC 6675 has it: what has left the network makes room.
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# (1) If DupAcks >= DupThresh, go to step (4).
#[test]
fn limited_transmit_then_recovery_then_the_pipe_rules() {
    let mut host = in_flight(10, 10_000);
    sack(&mut host, 1, [(1001, 2001)]);
    assert_eq!(sent(&mut host), [(10_001, 1000)]);
    assert_eq!((host.info().ca_state, host.info().sacked), (1, 1));
    sack(&mut host, 1, [(1001, 3001)]);
    assert_eq!(sent(&mut host), [(11_001, 1000)]);
    sack(&mut host, 1, [(1001, 4001)]);
    assert_eq!(sent(&mut host), [(1, 1000)]);
    let info = host.info();
    assert_eq!((info.ca_state, info.snd_cwnd, info.snd_ssthresh), (3, 5, 5), "half of 10, not of 12");
    assert_eq!((info.sacked, info.lost, info.retrans, info.unacked), (3, 1, 1, 12));
    // In flight: 12 less 1 lost, 3 held, and 1 once more. The window is 5.
    for held in 4..8 {
        sack(&mut host, 1, [(1001, 1001 + 1000 * held)]);
        host.silent();
    }
    sack(&mut host, 1, [(1001, 9001)]);
    assert_eq!(sent(&mut host), [(12_001, 1000)], "rule 2");
    sack(&mut host, 12_001, []);
    let info = host.info();
    assert_eq!((info.ca_state, info.snd_cwnd, info.sacked, info.retrans), (0, 5, 0, 0));
    assert_eq!((host.counters.tcp_sack_recoveries, host.counters.tcp_fast_retransmits), (1, 1));
}

/// Three of ten are lost: all of them are sent again within one round trip.
#[test]
fn holes_are_filled_as_they_turn_out_lost() {
    let mut host = in_flight(10, 10_000);
    sack(&mut host, 1, [(1001, 2001)]);
    sack(&mut host, 1, [(3001, 4001), (1001, 2001)]);
    assert_eq!(sent(&mut host).len(), 2);
    sack(&mut host, 1, [(5001, 6001), (3001, 4001), (1001, 2001)]);
    assert_eq!(sent(&mut host), [(1, 1000)], "three ranges above");
    assert_eq!(host.info().lost, 1);
    sack(&mut host, 1, [(5001, 7001)]);
    assert_eq!(host.info().lost, 2, "3000 bytes above 2001");
    sack(&mut host, 1, [(5001, 8001)]);
    assert_eq!(host.info().lost, 3);
    host.silent();
    sack(&mut host, 1, [(5001, 9001)]);
    assert_eq!(sent(&mut host), [(2001, 1000)], "rule 1");
    sack(&mut host, 1, [(5001, 10_001)]);
    assert_eq!(sent(&mut host), [(4001, 1000)], "rule 1");
    sack(&mut host, 1, [(5001, 11_001)]);
    assert_eq!(sent(&mut host), [(12_001, 1000)], "rule 2");
    assert_eq!(host.counters.tcp_retransmits, 3);
    sack(&mut host, 2001, [(5001, 12_001)]);
    sack(&mut host, 4001, [(5001, 12_001)]);
    assert_eq!(host.info().ca_state, 3);
    sack(&mut host, 12_001, []);
    assert_eq!((host.info().ca_state, host.counters.tcp_retransmits), (0, 3));
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-4
//= type=test
//# The routine returns true when either DupThresh discontiguous SACKed sequences have arrived above 'SeqNum' or more than (DupThresh - 1) * SMSS bytes with sequence numbers greater than 'SeqNum' have been SACKed.
#[test]
fn one_ack_can_tell_enough() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 3001)]);
    host.silent();
    assert_eq!(host.info().ca_state, 1);
    sack(&mut host, 1, [(1001, 3002)]);
    assert_eq!(sent(&mut host), [(1, 1000)]);
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 1002), (3001, 3002), (5001, 5002)]);
    assert_eq!(sent(&mut host)[0], (1, 1000));
}

#[test]
fn segments_below_the_mss_are_counted() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 1101)]);
    sack(&mut host, 1, [(1001, 1201)]);
    host.silent();
    sack(&mut host, 1, [(1001, 1301)]);
    assert_eq!(sent(&mut host), [(1, 1000)], "by DupAcks, not by IsLost");
}

#[test]
fn duplicate_acks_without_news_are_none() {
    let mut host = in_flight(10, 10_000);
    for _ in 0..10 {
        send!(host, seq 1, ack 1);
    }
    sack(&mut host, 1, [(1001, 2001)]);
    host.polls();
    for _ in 0..10 {
        sack(&mut host, 1, [(1001, 2001)]);
    }
    host.silent();
    assert_eq!((host.info().ca_state, host.counters.tcp_fast_retransmits), (1, 0));
    // News count on data, with another window, and beside an ACK of more.
    send!(host, seq 1, ack 1, data b"abc"; sack([(1001, 2001), (3001, 3002)]));
    send!(host, seq 4, ack 1; sack([(3001, 3003)]); window(40_000));
    assert_eq!(host.info().ca_state, 3);
}

#[test]
fn what_overtaken_acks_tell_counts() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 2001, []);
    sack(&mut host, 1001, [(3001, 6001)]);
    assert_eq!(sent(&mut host), [(2001, 1000)]);
    sack(&mut host, 1, [(1001, 2001)]);
    assert_eq!(host.counters.tcp_sack_ignored, 0, "old, but sound");
    assert_eq!(host.counters.tcp_dsacks_in, 0, "above the ACK beside it");
}

/// A segment sent during a recovery is lost, and everything behind it has come when the recovery ends.
#[test]
fn the_next_recovery_begins_where_the_last_one_ended() {
    let mut host = in_flight(10, 8000);
    sack(&mut host, 1, [(1001, 10_001)]);
    assert_eq!(sent(&mut host)[0], (1, 1000));
    assert_eq!(host.info().unacked, 14);
    sack(&mut host, 1, [(11_001, 14_001), (1001, 10_001)]);
    host.polls();
    let recoveries = host.counters.tcp_sack_recoveries;
    sack(&mut host, 10_001, [(11_001, 14_001)]);
    assert_eq!(host.counters.tcp_sack_recoveries, recoveries + 1);
    assert_eq!(sent(&mut host)[0], (10_001, 1000));
}

/// The end of the queue does not overtake what is lost while there is no room for a whole segment.
#[test]
fn new_data_of_less_than_a_segment_waits_for_room_too() {
    let mut host = in_flight(10, 100);
    sack(&mut host, 1, [(1001, 4501)]);
    recv!(host, seq 1, len 1000);
    // In flight: 5500 and 1000 once more, then 4500: the window of 5000 leaves 500.
    sack(&mut host, 1, [(1001, 6501)]);
    host.silent();
    sack(&mut host, 1, [(1001, 7001)]);
    recv!(host, seq 10_001, len 100);
}

#[test]
fn rule_3_when_nothing_new_can_be_sent() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 7001)]);
    assert_eq!(sent(&mut host), [(1, 1000)]);
    sack(&mut host, 1, [(8001, 9001), (1001, 7001)]);
    assert_eq!(host.info().lost, 1);
    assert_eq!(sent(&mut host), [(7001, 1000)], "not lost for sure, but below what is held");
    assert_eq!(host.info().retrans, 2);
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-4
//= type=test
//# then one segment of up to SMSS octets that MUST include the highest outstanding unSACKed sequence number SHOULD be returned
#[test]
fn rule_4_rescues_the_tail_once() {
    let mut host = in_flight(10, 0);
    host.close();
    host.polls();
    sack(&mut host, 1, [(1001, 8001)]);
    assert_eq!(sent(&mut host), [(1, 1000)]);
    sack(&mut host, 8001, []);
    let last = recv!(host, seq 9002, len 999);
    assert!(last.flags.has(Flags::FIN));
    host.silent();
    sack(&mut host, 8001, [(9002, 10_002)]);
    assert_eq!(sent(&mut host), [(8001, 1000), (9001, 1)], "rule 3");
    sack(&mut host, 10_002, []);
    assert_eq!((host.state(), host.info().ca_state), (State::FinWait2, 0));
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# To prevent repeated retransmission of the same data or a premature rescue retransmission, set both HighRxt and RescueRxt to the highest sequence number in the retransmitted segment.
#[test]
fn no_rescue_before_more_is_acknowledged() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(2001, 8001)]);
    assert_eq!(sent(&mut host), [(1, 1000), (1001, 1000)]);
    sack(&mut host, 1001, [(2001, 8001)]);
    host.silent();
    sack(&mut host, 8001, []);
    assert_eq!(sent(&mut host), [(9001, 1000)]);
}

#[test]
fn holes_smaller_than_a_segment_and_larger() {
    let mut host = in_flight(20, 0);
    host.limits.super_frame = 60_000;
    sack(&mut host, 1, [(5001, 5301), (5601, 20_001)]);
    assert_eq!(sent(&mut host)[0], (1, 1000));
    assert_eq!(host.counters.tcp_retransmits, 6);
    assert_eq!(host.info().retrans, 6, "5.3 segments");

    let mut host = in_flight(20, 0);
    host.limits.super_frame = 60_000;
    sack(&mut host, 1, [(5001, 5301), (5601, 20_001)]);
    recv!(host, seq 1, len 1000, gso 0);
    recv!(host, seq 1001, len 4000, gso 1000);
    recv!(host, seq 5301, len 300, gso 0);
    host.silent();
}

#[test]
fn holes_beyond_the_window_wait() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 2001)]);
    send!(host, seq 1, ack 1; sack([(4001, 9001)]); window(2500));
    assert_eq!(sent(&mut host), [(1, 1000), (2001, 500)]);
}

//= https://www.rfc-editor.org/rfc/rfc2018#section-5
//= type=test
//# when a retransmit timeout occurs the data sender MUST ignore prior SACK information in determining which data to retransmit.
#[test]
fn a_timeout_forgets_and_learns_anew() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 2001)]);
    host.timeout();
    let info = host.info();
    assert_eq!((info.ca_state, info.sacked, info.lost, info.snd_cwnd), (4, 0, 10, 1));
    assert_eq!(sent(&mut host), [(1, 1000)]);
    sack(&mut host, 1001, [(2001, 4001)]);
    assert_eq!(
        sent(&mut host),
        [(1001, 1000), (4001, 1000)],
        "what was told before is sent, what is told now is not"
    );
    sack(&mut host, 4001, [(5001, 6001), (8001, 10_001)]);
    assert_eq!(sent(&mut host), [(6001, 1000), (7001, 1000)]);
    sack(&mut host, 10_001, []);
    assert_eq!((host.info().ca_state, host.counters.tcp_retransmits), (0, 5));
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
//= type=test
//# a new recovery phase (as described in Section 5) MUST NOT be initiated until HighACK is greater than or equal to the new value of RecoveryPoint.
#[test]
fn no_recovery_while_a_timeout_is_repaired() {
    let mut host = in_flight(10, 20_000);
    sack(&mut host, 1, [(1001, 5001)]);
    host.polls();
    assert_eq!(host.info().ca_state, 3);
    host.timeout();
    assert_eq!(sent(&mut host), [(1, 1000)]);
    let recover = 1 + host.info().unacked * MSS;
    sack(&mut host, 1001, [(2001, 9001)]);
    host.polls();
    sack(&mut host, 9001, [(10_001, recover)]);
    host.polls();
    assert_eq!((host.info().ca_state, host.counters.tcp_sack_recoveries), (4, 1));
    sack(&mut host, recover, []);
    assert_eq!(host.info().ca_state, 0);
    host.polls();
    let mut una = recover;
    while host.info().unacked < 4 {
        una += host.info().unacked * MSS;
        sack(&mut host, una, []);
        host.polls();
    }
    sack(&mut host, una, [(una + 1000, una + 4000)]);
    assert_eq!((host.info().ca_state, host.counters.tcp_sack_recoveries), (3, 2));
}

#[test]
fn a_peer_that_reneges_is_survived() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 9001)]);
    assert_eq!(sent(&mut host)[0], (1, 1000));
    sack(&mut host, 1001, []);
    host.polls();
    // It holds nothing of it any more, and says nothing.
    host.timeout();
    assert_eq!(host.counters.tcp_sack_reneges, 1);
    let mut ack = 1001;
    for _ in 0..20 {
        ack += sent(&mut host).iter().map(|(_, length)| *length as u32).sum::<u32>();
        sack(&mut host, ack.min(10_001), []);
    }
    assert_eq!((host.info().unacked, host.info().ca_state), (0, 0));
}

#[test]
fn blocks_that_make_no_sense_are_counted_and_ignored() {
    let mut host = in_flight(10, 10_000);
    send!(host, seq 1, ack 1001);
    host.polls();
    let before = host.info();
    let nonsense: [(u32, u32); 6] =
        [(5001, 4001), (5001, 5001), (1001, 2001), (9001, 40_001), (40_001, 50_001), (2001, 0x7000_0000)];
    for (count, block) in (1..).zip(nonsense) {
        sack(&mut host, 1001, [block]);
        host.silent();
        assert_eq!(host.counters.tcp_sack_ignored, count, "{block:?}");
    }
    let info = host.info();
    assert_eq!((info.sacked, info.ca_state, info.lost), (before.sacked, 0, 0));
}

#[test]
fn ranges_are_bounded() {
    let mut host = Host::selective_with(TcpConfig { sack_ranges: 16, ..plain() });
    host.write_zeros(10_000);
    host.polls();
    for n in 0..2000 {
        send!(host, seq 1, ack 1; sack([(1001 + 4 * n, 1002 + 4 * n)]));
        host.polls();
    }
    assert_eq!(host.counters.tcp_sack_ignored, 2000 - 16);
    assert_eq!(host.info().sacked, 1);
    sack(&mut host, 10_001, []);
    assert_eq!(host.info().unacked, 0);
}

//= https://www.rfc-editor.org/rfc/rfc2883#section-5
//= type=test
//# If the SACK sequence space is less than this cumulative ACK, it is an indication that the segment identified by the SACK block has been received more than once by the receiver.
#[test]
fn duplicates_that_the_peer_reports_mark_nothing() {
    let mut host = in_flight(10, 10_000);
    sack(&mut host, 5001, [(1001, 3001)]);
    host.polls();
    assert_eq!((host.counters.tcp_dsacks_in, host.info().dsack_dups, host.info().sacked), (1, 2, 0));
    for _ in 0..5 {
        sack(&mut host, 5001, [(4001, 5001)]);
    }
    host.silent();
    assert_eq!((host.info().ca_state, host.info().dsack_dups), (0, 7));
    // Within a block above, which is news by itself.
    sack(&mut host, 5001, [(7001, 8001), (6001, 8001)]);
    assert_eq!((host.info().sacked, host.info().dsack_dups), (2, 8));
    // An absurd one.
    sack(&mut host, 5001, [(0x8000_2000, 5001)]);
    sack(&mut host, 5001, [(4001, 3001)]);
    assert_eq!((host.info().dsack_dups, host.counters.tcp_sack_ignored), (8, 1));
}

#[test]
fn a_smaller_path_keeps_what_is_held() {
    let mut host = in_flight(10, 0);
    host.limits.mss = 1500;
    sack(&mut host, 1, [(3001, 4001)]);
    host.limits.mss = 500;
    let error = IcmpError::TooBig { mss: 500, sent: 1000 };
    host.connection.on_icmp(host.now, error, SeqNum(ISS) + 1, &host.config).unwrap();
    let again = sent(&mut host);
    assert!(again.iter().all(|(seq, length)| *seq + *length as u32 <= 3001 || *seq >= 4001), "{again:?}");
    assert_eq!(again.iter().map(|(_, length)| length).sum::<usize>(), 5000, "ten segments");
}

#[test]
fn a_closed_window_over_what_is_held() {
    let mut host = in_flight(10, 0);
    send!(host, seq 1, ack 1; sack([(1001, 2001)]); window(0));
    host.polls();
    for _ in 0..3 {
        host.timeout();
        host.polls();
    }
    send!(host, seq 1, ack 1; window(50_000));
    assert_eq!(sent(&mut host)[0], (1, 1000));
    let mut ack = 1001;
    while ack < 10_001 {
        sack(&mut host, ack, []);
        host.polls();
        ack += 1000;
    }
    sack(&mut host, 10_001, []);
    assert_eq!((host.info().unacked, host.info().ca_state), (0, 0));
}
