//! RFC 2525, known TCP implementation problems: each of the list, by its section.

use super::*;
use crate::config::Config;
use crate::link::pipe::{Offload, pipe};
use crate::sim;
use crate::tcp::congestion::{Acked, Controller};
use std::collections::BTreeMap;

fn payload(sent: &Outgoing) -> Vec<u8> {
    sent.payload.iter().flatten().copied().collect()
}

fn bytes(sent: &[Outgoing]) -> usize {
    sent.iter().map(|one| payload(one).len()).sum()
}

/// Lets timers run until something is sent again from `seq` on.
fn until_sent_again(host: &mut Host, seq: u32) -> Vec<Outgoing> {
    for _ in 0..5 {
        host.timeout();
        let sent = host.polls();
        if sent.iter().any(|one| one.seq == SeqNum(ISS) + seq && !one.payload.is_empty()) {
            return sent;
        }
    }
    panic!("nothing is sent again");
}

#[test]
fn p_2_1_no_initial_slow_start() {
    let mut host = Host::established();
    host.write_zeros(50_000);
    assert_eq!(bytes(&host.polls()), 10_000, "the initial window of RFC 6928");
}

#[test]
fn p_2_2_no_slow_start_after_a_timeout() {
    let mut host = Host::established();
    host.write_zeros(50_000);
    host.polls();
    assert_eq!(bytes(&until_sent_again(&mut host, 1)), 1000);
    send!(host, seq 1, ack 1001);
    assert!(bytes(&host.polls()) <= 2000);
}

#[test]
fn p_2_3_uninitialized_congestion_window() {
    let mut host = Host::connecting(plain(), setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN);
    host.write_zeros(50_000);
    assert_eq!(bytes(&host.polls()), 5360, "a SYN/ACK without MSS");
    let mut host = Host::accepting(plain(), setup(ISS), &segment(0, None, Flags::SYN, b""));
    host.poll();
    send!(host, seq 1, ack 1, data b"request");
    host.write_zeros(50_000);
    assert_eq!(bytes(&host.polls()), 5360, "the last ACK with data");
}

#[test]
fn p_2_4_inconsistent_retransmission() {
    let mut host = Host::established();
    let text: Vec<u8> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut copies: BTreeMap<u32, u8> = BTreeMap::new();
    let mut acked = 1;
    for (index, piece) in text.chunks(700).enumerate() {
        host.write(piece);
        let mut sent = host.polls();
        if index % 4 == 3 {
            host.timeout();
            sent.extend(host.polls());
        }
        for sent in sent {
            for (offset, byte) in (sent.seq.since(SeqNum(ISS))..).zip(payload(&sent)) {
                assert_eq!(*copies.entry(offset).or_insert(byte), byte, "at {offset}");
                assert_eq!(byte, text[offset as usize - 1]);
            }
        }
        acked = (acked + 333).min(copies.len() as u32 + 1);
        send!(host, seq 1, ack acked);
    }
    assert!(host.counters.tcp_retransmits > 3);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# Segments with higher beginning sequence numbers SHOULD be held for later processing (SHLD-31).
#[test]
fn p_2_5_failure_to_retain_above_sequence_data() {
    let mut host = Host::established();
    for seq in [1001, 2001, 3001] {
        send!(host, seq seq, ack 1, data &[7; 1000]);
    }
    host.polls();
    send!(host, seq 1, ack 1, data &[7; 1000]);
    recv!(host, ack 4001);
}

#[test]
fn p_2_6_extra_additive_constant_in_congestion_avoidance() {
    let mut reno = super::congestion::reno(1000, 20_000, 2);
    reno.on_congestion(START, 20_000);
    reno.on_recovered(START);
    for trip in 1..=10 {
        let segments = reno.window() / 1000;
        for _ in 0..segments {
            let acked = Acked { bytes: 1000, window_limited: true, ..Acked::default() };
            reno.on_ack(START, acked);
        }
        assert_eq!(reno.window(), 10_000 + trip * 1000);
    }
}

#[test]
fn p_2_7_initial_rto_too_low() {
    let mut host = Host::connecting(plain(), setup(ISS));
    host.polls();
    assert!(host.connection.poll_timeout().unwrap().since(host.now) >= Duration::from_secs(1));
    host.after(900);
    send!(host, seq 0, ack 1, flag SYN; mss(1000));
    host.polls();
    host.write_zeros(5000);
    host.polls();
    host.after(900);
    host.silent();
    assert_eq!(host.counters.tcp_retransmits, 0, "a long path needs no more than one copy");
}

#[test]
fn p_2_8_failure_of_window_deflation_after_loss_recovery() {
    let mut host = Host::established();
    host.write_zeros(100_000);
    assert_eq!(bytes(&host.polls()), 10_000);
    for _ in 0..9 {
        send!(host, seq 1, ack 1);
        host.polls();
    }
    let all = host.info().unacked * 1000 + 1;
    send!(host, seq 1, ack all);
    assert!(bytes(&host.polls()) <= 6000, "half of what was in flight, and no burst");
}

#[test]
fn p_2_9_excessively_short_keepalive_connection_timeout() {
    let mut alive = setup(ISS);
    alive.options.keep_alive = true;
    let mut host = Host::established_with(plain(), alive);
    let start = host.now;
    while host.state() == State::Established {
        host.timeout();
        host.polls();
    }
    assert!(host.now.since(start) >= Duration::from_secs(7200 + 9 * 75));
    assert_eq!(host.counters.tcp_keepalives, 9);
}

#[test]
fn p_2_10_failure_to_back_off_the_retransmission_timeout() {
    let mut host = Host::established();
    host.write_zeros(500);
    host.polls();
    until_sent_again(&mut host, 1);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let start = host.now;
        until_sent_again(&mut host, 1);
        waits.push(host.now.since(start));
    }
    assert!(waits.windows(2).all(|pair| pair[1] == pair[0] * 2), "{waits:?}");
}

#[test]
fn p_2_11_insufficient_interval_between_keepalives() {
    let mut alive = setup(ISS);
    alive.options.keep_alive = true;
    let mut host = Host::established_with(plain(), alive);
    assert_eq!(host.timeout(), Duration::from_secs(7200), "RFC 9293 MUST-28: two hours");
    host.polls();
    send!(host, seq 1, ack 1);
    assert_eq!(host.timeout(), Duration::from_secs(7200), "an answer counts as life");
}

#[test]
fn p_2_12_window_probe_deadlock() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(0));
    host.write_zeros(10_000);
    let mut acked = 1;
    for _ in 0..10 {
        host.timeout();
        let sent = host.polls();
        assert_eq!((sent[0].seq.since(SeqNum(ISS)), bytes(&sent)), (acked, 1), "a probe carries new data");
        acked += 1;
        send!(host, seq 1, ack acked; window(0));
    }
    send!(host, seq 1, ack acked; window(1));
    host.timeout();
    assert_eq!(bytes(&host.polls()), 1, "a window that stays silly is used in time");
    acked += 1;
    send!(host, seq 1, ack acked; window(50_000));
    assert!(bytes(&host.polls()) >= 5000, "and an open one at once");
}

/// The problem as its trace shows it: of a full window a few bytes are read, the peer probes, and its acknowledgements have to count all the same.
#[test]
fn p_2_12_window_probe_deadlock_of_the_receiver() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data &[7; 60_000]; merged(1000));
    assert_eq!(host.polls().last().unwrap().window, 0);
    host.publish();
    host.consume(3);
    host.silent();
    send!(host, seq 60_001, ack 1, data b"p");
    let next = host.poll().unwrap().ack.unwrap().since(SeqNum(IRS));
    host.write_zeros(100_000);
    let mut acked = 1;
    for _ in 0..50 {
        acked += bytes(&host.polls()) as u32;
        send!(host, seq next, ack acked);
    }
    assert_eq!(acked, 100_001);
}

#[test]
fn p_2_13_stretch_ack_violation() {
    let mut host = Host::established();
    let mut acks = 0;
    for index in 0..40 {
        send!(host, seq 1 + index * 1000, ack 1, data &[7; 1000]);
        host.read();
        acks += host.polls().len();
    }
    assert!(acks >= 20, "{acks} for 40 segments");
}

#[test]
fn p_2_14_retransmission_sends_multiple_packets() {
    let mut host = Host::established();
    host.limits.super_frame = 60_000;
    host.write_zeros(10_000);
    host.polls();
    assert_eq!(bytes(&until_sent_again(&mut host, 1)), 1000, "after a timeout");
    let mut host = Host::established();
    host.limits.super_frame = 60_000;
    host.write_zeros(10_000);
    host.polls();
    for _ in 0..3 {
        send!(host, seq 1, ack 1);
    }
    let again: Vec<_> =
        host.polls().into_iter().filter(|sent| sent.seq.before(SeqNum(ISS) + 10_001)).collect();
    assert_eq!(bytes(&again), 1000, "by three duplicate ACKs");
}

#[test]
fn p_2_15_failure_to_send_fin_notification_promptly() {
    let mut host = Host::established();
    host.close();
    recv!(host, seq 1, flags "F");
    let mut host = Host::established();
    host.write(b"a");
    recv!(host, len 1);
    host.write(b"b");
    host.close();
    recv!(host, seq 2, len 1, flags "FP");
}

#[test]
fn p_2_16_failure_to_send_a_rst_after_half_duplex_close() {
    let mut host = Host::established();
    host.close();
    host.connection.orphan(host.now);
    recv!(host, seq 1, flags "F");
    send!(host, seq 1, ack 2, data b"for nobody");
    recv!(host, seq 2, flags "R");
}

/// How a close ends is for the stack to say: two hosts play it.
#[test]
fn p_2_17_failure_to_rst_on_close_with_data_pending() {
    let (left, right) = pipe(1500, 100, Offload::Off);
    let host = |number: u8, device| {
        let prefix = format!("192.0.2.{number}/24").parse().unwrap();
        let config = Config { addresses: vec![prefix], secret: [number; 16], ..Config::default() };
        sim::Host::new(config, device).unwrap()
    };
    let mut net = sim::Network::new(START, vec![host(1, Box::new(left)), host(2, Box::new(right))]);
    let address = "192.0.2.2:80".parse().unwrap();
    let listener = net.listen(1, address, 5).unwrap();
    let client = net.connect(0, address).unwrap();
    net.settle();
    let server = net.accept(&listener).unwrap();
    net.send(&client, b"never read").unwrap();
    net.settle();
    net.close(&server);
    net.settle();
    assert_eq!(net.hosts[1].stack.counters().tcp_resets_out, 1);
    assert_eq!(net.send(&client, b"x"), Err(Errno::ECONNRESET));
}

#[test]
fn p_2_18_options_missing_from_the_mss_calculation() {
    let mut host = Host::connecting(TcpConfig { timestamps: true, ..plain() }, setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN; mss(1000); stamp(1, 1000));
    host.polls();
    host.write_zeros(5000);
    let sent = host.polls();
    assert!(sent.iter().all(|one| payload(one).len() <= 1000 - 12), "options count");
    assert!(sent.iter().all(|one| one.options.timestamps.is_some()));
}
