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
    host.after(0);
    send!(host, seq 1, ack ack; sack(blocks));
}

/// Numbers and lengths of everything sent now.
fn sent(host: &mut Host) -> Vec<(u32, usize)> {
    let number = |sent: &Outgoing| sent.seq.since(SeqNum(ISS));
    host.polls().iter().map(|sent| (number(sent), sent.payload.iter().map(Bytes::len).sum())).collect()
}

/// RFC 3042 as RFC 6675 has it: what has left the network makes room.
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
//= type=test
//# When [RFC3042] is in use, additional data sent in limited transmit MUST NOT be included in this calculation (5681:3.2-8).
//= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
//= type=test
//# until all lost segments in the window of data in question are repaired, the number of segments transmitted in each RTT MUST be no more than half the number of outstanding segments when the loss was detected (5681:4.3-2).
//= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
//= type=test
//# after all loss in the given window of segments has been successfully retransmitted, cwnd MUST be set to no more than ssthresh and congestion avoidance MUST be used to further increase cwnd (5681:4.3-3).
//= https://www.rfc-editor.org/rfc/rfc6675#section-2
//= type=test
//# Per [RFC5681], this threshold is defined to be 3 duplicate acknowledgments (6675:2-2).
//= https://www.rfc-editor.org/rfc/rfc6675#section-4
//= type=test
//# MUST set the "pipe" variable to an estimate of the number of octets that are currently in transit between the TCP sender and the TCP receiver (6675:4-5).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# The TCP MAY transmit previously unsent data segments as per Limited Transmit [RFC5681], except that the number of octets which may be sent is governed by pipe and cwnd (6675:5-6).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# RecoveryPoint = HighData (6675:5-7).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# The congestion window (cwnd) and slow start threshold (ssthresh) are reduced to half of FlightSize per [RFC5681] (6675:5-8).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# Retransmit the first data segment presumed dropped -- the segment starting with sequence number HighACK + 1 (6675:5-9).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# Once a TCP is in the loss recovery phase, the following procedure MUST be used for each arriving ACK (6675:5-11).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# An incoming cumulative ACK for a sequence number greater than RecoveryPoint signals the end of loss recovery, and the loss recovery phase MUST be terminated (6675:5-12).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# If cwnd - pipe >= 1 SMSS, the sender SHOULD transmit one or more segments (6675:5-15).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# If any of the data octets sent in (C.1) are above HighData, HighData must be updated to reflect the transmission of previously unsent data (6675:5-18).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# The estimate of the amount of data outstanding in the network must be updated by incrementing pipe by the number of octets transmitted in (C.1) (6675:5-19).
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
    assert_eq!((info.ca_state, info.snd_ssthresh), (3, 5), "half of 10, not of 12");
    assert_eq!((info.sacked, info.lost, info.retrans, info.unacked), (3, 1, 1, 12));
    // On the way from 12 to 5, five segments go for twelve ACKs.
    let mut new = Vec::new();
    for held in 4..12 {
        sack(&mut host, 1, [(1001, 1001 + 1000 * held)]);
        new.extend(sent(&mut host));
    }
    assert_eq!(new.first(), Some(&(12_001, 1000)), "rule 2");
    assert!((3..=5).contains(&new.len()), "{new:?}");
    let end = 12_001 + 1000 * new.len() as u32;
    sack(&mut host, end, []);
    let info = host.info();
    assert_eq!((info.ca_state, info.snd_cwnd, info.sacked, info.retrans), (0, 5, 0, 0));
    assert_eq!((host.counters.tcp_sack_recoveries, host.counters.tcp_fast_retransmits), (1, 1));
}

/// Three of ten are lost: all of them are sent again within one round trip.
//= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
//= type=test
//# We RECOMMEND that TCP implementors employ some form of advanced loss recovery that can cope with multiple losses in a window of data (5681:4.3-5).
//= https://www.rfc-editor.org/rfc/rfc2018#section-5
//= type=test
//# When receiving an ACK containing a SACK option, the data sender SHOULD record the selective acknowledgment for future reference (2018:5-1).
//= https://www.rfc-editor.org/rfc/rfc6675#section-4
//= type=test
//# NextSeg () MUST return the sequence number range of the next segment that is to be transmitted (6675:4-6).
//= https://www.rfc-editor.org/rfc/rfc6675#section-4
//= type=test
//# If there exists a smallest unSACKed sequence number 'S2' that meets the following three criteria for determining loss, the sequence range of one segment of up to SMSS octets starting with S2 MUST be returned (6675:4-7).
//= https://www.rfc-editor.org/rfc/rfc6675#section-4
//= type=test
//# If no sequence number 'S2' per rule (1) exists but there exists available unsent data and the receiver's advertised window allows, the sequence range of one segment of up to SMSS octets of previously unsent data starting with sequence number HighData+1 MUST be returned (6675:4-8).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# Upon receipt of an ACK that does not cover RecoveryPoint, the following actions MUST be taken (6675:5-14).
#[test]
fn holes_are_filled_as_they_turn_out_lost() {
    let mut host = in_flight(10, 10_000);
    sack(&mut host, 1, [(1001, 2001)]);
    sack(&mut host, 1, [(3001, 4001), (1001, 2001)]);
    assert_eq!(sent(&mut host).len(), 2);
    sack(&mut host, 1, [(5001, 6001), (3001, 4001), (1001, 2001)]);
    assert_eq!(sent(&mut host), [(1, 1000)], "three ranges above");
    assert_eq!(host.info().lost, 3, "all that was sent before what has arrived");
    let mut again = Vec::new();
    for held in 7..12 {
        sack(&mut host, 1, [(5001, 1 + 1000 * held)]);
        again.extend(sent(&mut host));
    }
    assert_eq!(again[..2], [(2001, 1000), (4001, 1000)], "rule 1");
    assert!(again[2..].iter().all(|(seq, _)| *seq > 12_000), "rule 2: {again:?}");
    assert_eq!(host.counters.tcp_retransmits, 3);
    let end = 1 + 1000 * host.info().unacked;
    sack(&mut host, 2001, [(5001, 12_001)]);
    sack(&mut host, 4001, [(5001, 12_001)]);
    assert_eq!(host.info().ca_state, 3);
    host.polls();
    let all = end.max(4001 + host.info().unacked * 1000);
    sack(&mut host, all, []);
    assert_eq!((host.info().ca_state, host.counters.tcp_retransmits), (0, 3));
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-4
//= type=test
//# The routine returns true when either DupThresh discontiguous SACKed sequences have arrived above 'SeqNum' or more than (DupThresh - 1) * SMSS bytes with sequence numbers greater than 'SeqNum' have been SACKed (6675:4-4).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# If DupAcks < DupThresh but IsLost (HighACK + 1) returns true (6675:5-5).
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

//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# the TCP MUST increase DupAcks by one and take the following steps (6675:5-3).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# If DupAcks >= DupThresh, go to step (4) (6675:5-4).
#[test]
fn segments_below_the_mss_are_counted() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 1101)]);
    sack(&mut host, 1, [(1001, 1201)]);
    host.silent();
    sack(&mut host, 1, [(1001, 1301)]);
    assert_eq!(sent(&mut host), [(1, 1000)], "by DupAcks, not by IsLost");
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# If the incoming ACK is a cumulative acknowledgment, the TCP MUST reset DupAcks to zero (6675:5-2).
#[test]
fn an_ack_of_more_begins_the_count_anew() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 1101)]);
    sack(&mut host, 1, [(1001, 1201)]);
    sack(&mut host, 501, [(1001, 1301)]);
    sack(&mut host, 501, [(1001, 1401)]);
    host.silent();
    assert_eq!(host.info().ca_state, 1);
    sack(&mut host, 501, [(1001, 1501)]);
    // What filled the hole was sent once: the path reorders, and what else is late is given its time.
    host.timeout();
    assert_eq!((sent(&mut host).first(), host.info().ca_state), (Some(&(501, 500)), 3));
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
//= type=test
//# a sender using SACK [RFC2018] MUST NOT send new data unless the incoming duplicate acknowledgment contains new SACK information (5681:3.2-6).
//= https://www.rfc-editor.org/rfc/rfc6675#section-2
//= type=test
//# we define a "duplicate acknowledgment" as a segment that arrives carrying a SACK block that identifies previously unacknowledged and un-SACKed octets between HighACK and HighData (6675:2-1).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# Upon the receipt of any ACK containing SACK information, the scoreboard MUST be updated via the Update () routine (6675:5-1).
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

//= https://www.rfc-editor.org/rfc/rfc2883#section-5
//= type=test
//# An implementation MUST NOT compare the sequence space in the SACK block to the TCP state variable snd.una (which carries the total cumulative ACK), as this may result in the wrong conclusion if ACK packets are reordered (2883:5-3).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# Upon the receipt of any ACK containing SACK information, the scoreboard MUST be updated via the Update () routine (6675:5-1).
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
//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# Any information contained in the scoreboard for sequence numbers greater than the new value of HighACK SHOULD NOT be cleared when leaving the loss recovery phase (6675:5-13).
#[test]
fn the_next_recovery_begins_where_the_last_one_ended() {
    for told_again in [true, false] {
        let mut host = in_flight(10, 8000);
        sack(&mut host, 1, [(1001, 10_001)]);
        assert_eq!(sent(&mut host)[0], (1, 1000));
        assert_eq!(host.info().unacked, 14);
        sack(&mut host, 1, [(11_001, 14_001), (1001, 10_001)]);
        assert!(sent(&mut host).contains(&(10_001, 1000)));
        let recoveries = host.counters.tcp_sack_recoveries;
        if told_again {
            sack(&mut host, 10_001, [(11_001, 14_001)]);
        } else {
            sack(&mut host, 10_001, []);
        }
        assert_eq!(host.counters.tcp_sack_recoveries, recoveries + 1);
        assert_eq!(host.info().ca_state, 3);
    }
}

#[test]
fn holes_smaller_than_a_segment_and_larger() {
    let mut host = in_flight(20, 0);
    host.limits.super_frame = 60_000;
    sack(&mut host, 1, [(5001, 5301), (5601, 20_001)]);
    assert_eq!(sent(&mut host), [(1, 5000), (5301, 300)]);
    assert_eq!(host.counters.tcp_retransmits, 6);
    assert_eq!(host.info().retrans, 6, "5.3 segments");

    let mut host = in_flight(20, 0);
    host.limits.super_frame = 60_000;
    sack(&mut host, 1, [(5001, 5301), (5601, 20_001)]);
    recv!(host, seq 1, len 5000, gso 1000);
    recv!(host, seq 5301, len 300, gso 0);
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
//= type=test
//# Subsequent retransmissions MAY only be sent if they are within the window announced by the most recent <ACK> (7323:2.4-6).
#[test]
fn holes_beyond_the_window_wait() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 2001)]);
    send!(host, seq 1, ack 1; sack([(4001, 9001)]); window(2500));
    assert_eq!(sent(&mut host), [(1, 1000), (2001, 500)]);
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
//= type=test
//# a SACK TCP sender SHOULD utilize all SACK information made available during the loss recovery following an RTO (6675:5.1-3).
#[test]
fn a_timeout_keeps_what_is_held_and_learns_more() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 2001)]);
    while host.info().ca_state != 4 {
        host.timeout();
        assert_eq!(sent(&mut host), [(1, 1000)]);
    }
    let info = host.info();
    assert_eq!((info.ca_state, info.sacked, info.lost, info.snd_cwnd), (4, 1, 9, 1));
    sack(&mut host, 2001, [(3001, 4001)]);
    assert_eq!(sent(&mut host)[0], (2001, 1000), "what is held is not sent");
    sack(&mut host, 4001, [(5001, 6001), (8001, 10_001)]);
    host.polls();
    sack(&mut host, 6001, [(8001, 10_001)]);
    host.polls();
    sack(&mut host, 10_001, []);
    assert_eq!((host.info().ca_state, host.info().unacked), (0, 0));
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
//= type=test
//# If an RTO occurs during loss recovery as specified in this document, RecoveryPoint MUST be set to HighData (6675:5.1-4).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
//= type=test
//# the new value of RecoveryPoint MUST be preserved and the loss recovery algorithm outlined in this document MUST be terminated (6675:5.1-5).
//= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
//= type=test
//# a new recovery phase (as described in Section 5) MUST NOT be initiated until HighACK is greater than or equal to the new value of RecoveryPoint (6675:5.1-6).
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

//= https://www.rfc-editor.org/rfc/rfc2018#section-5
//= type=test
//# The data sender MUST retransmit the segment at the left edge of the window after a retransmit timeout, whether or not the SACKed bit is on for that segment (2018:5-3).
//= https://www.rfc-editor.org/rfc/rfc2018#section-8
//= type=test
//# the sender MUST NOT discard data before it is acknowledged by the Acknowledgment Number field in the TCP header (2018:8-5).
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
//# the sender should compare the sequence space in the first SACK block to the cumulative ACK which is carried IN THE SAME PACKET (2883:5-1).
//= https://www.rfc-editor.org/rfc/rfc2883#section-5
//= type=test
//# If the SACK sequence space is less than this cumulative ACK, it is an indication that the segment identified by the SACK block has been received more than once by the receiver (2883:5-2).
//= https://www.rfc-editor.org/rfc/rfc2883#section-5
//= type=test
//# If the sequence space in the first SACK block is greater than the cumulative ACK, then the sender next compares the sequence space in the first SACK block with the sequence space in the second SACK block, if there is one (2883:5-4).
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
    // Absurd ones: of more than any segment, and of nothing.
    sack(&mut host, 5001, [(0x8000_2000, 5001)]);
    sack(&mut host, 5001, [(4001, 3001)]);
    assert_eq!((host.info().dsack_dups, host.counters.tcp_sack_ignored), (8, 2));
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

#[test]
fn a_peer_that_reneges_behind_a_closed_window_is_survived() {
    let mut host = in_flight(10, 0);
    sack(&mut host, 1, [(1001, 10_001)]);
    host.polls();
    send!(host, seq 1, ack 1001; window(0));
    host.polls();
    while host.counters.tcp_probes == 0 {
        host.timeout();
        host.polls();
    }
    // It held nothing behind the first segment, and now has room.
    send!(host, seq 1, ack 1001; window(50_000));
    let mut ack = 1001;
    for _ in 0..30 {
        let count: usize = sent(&mut host).iter().map(|(_, length)| *length).sum();
        if count == 0 && ack < 10_001 {
            host.timeout();
        }
        ack = (ack + count as u32).min(10_001);
        sack(&mut host, ack, []);
    }
    assert_eq!((host.info().unacked, host.info().ca_state), (0, 0));
}

/// ACKs that arrive together: what the first of them had made room for goes beside the repair, as it would have if each had been answered at once.
#[test]
fn a_loss_told_among_other_acks_does_not_take_back_what_they_let_go() {
    let sent = |apart: bool| {
        let mut host = in_flight(10, 40_000);
        let mut count = 0;
        let acks = [(3001, None), (5001, None), (5001, Some(7001)), (5001, Some(8001)), (5001, Some(9001))];
        for (ack, held) in acks {
            match held {
                None => sack(&mut host, ack, []),
                Some(end) => sack(&mut host, ack, [(6001, end)]),
            }
            if apart {
                count += host
                    .polls()
                    .iter()
                    .map(|one| one.payload.iter().map(|p| p.len()).sum::<usize>())
                    .sum::<usize>();
            }
        }
        assert_eq!(host.info().ca_state, 3);
        count +=
            host.polls().iter().map(|one| one.payload.iter().map(|p| p.len()).sum::<usize>()).sum::<usize>();
        count
    };
    let (apart, together) = (sent(true), sent(false));
    assert!(together + 2000 >= apart && together <= apart, "{together} bytes, and {apart} one by one");
}

/// After a timeout most of what is outstanding is lost: a lost copy takes half of the window, not of that.
//= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
//= type=test
//# Loss in two successive windows of data, or the loss of a retransmission, should be taken as two indications of congestion and, therefore, cwnd (and ssthresh) MUST be lowered twice in this case (5681:4.3-4).
#[test]
fn a_copy_lost_after_a_timeout_takes_half_of_the_window() {
    let mut host = in_flight(10, 0);
    host.timeout();
    assert_eq!(sent(&mut host), [(1, 1000)]);
    assert_eq!(host.info().snd_ssthresh, 5);
    host.after(50);
    sack(&mut host, 1001, []);
    assert_eq!(sent(&mut host), [(1001, 1000), (2001, 1000)]);
    host.after(50);
    sack(&mut host, 1001, [(2001, 3001)]);
    assert_eq!((host.info().ca_state, host.info().snd_ssthresh), (3, 2), "of two segments, not of nine");
}
