//! Challenge ACKs: their rates, of one connection and of the stack, and what they never hold back (RFC 5961 section 7).

use super::*;

//= https://www.rfc-editor.org/rfc/rfc5961#section-7
//= type=test
//# An implementation SHOULD include an ACK throttling mechanism to be conservative (5961:7-3).
#[test]
fn a_stack_grants_so_many_a_second_but_never_the_same_number() {
    let config = TcpConfig { challenge_acks: u32::MAX, challenge_acks_stack: 100, ..plain() };
    let mut host = Host::established_with(config, setup(ISS));
    let mut seconds = Vec::new();
    for _ in 0..20 {
        let mut sent = 0;
        for _ in 0..300 {
            send!(host, seq 2, ack 1, flag RST);
            sent += host.polls().len();
        }
        assert!((50..150).contains(&sent), "{sent}");
        seconds.push(sent);
        host.now += Duration::from_secs(1);
    }
    let total: usize = seconds.iter().sum();
    assert!((1700..2300).contains(&total), "about its rate: {total}");
    seconds.sort_unstable();
    seconds.dedup();
    assert!(seconds.len() > 10, "whoever counts learns nothing: {seconds:?}");
    assert_eq!(host.counters.tcp_challenge_acks_held, 20 * 300 - total as u64);
}

//= https://www.rfc-editor.org/rfc/rfc5961#section-7
//= type=test
//# The values for both the time and number of ACKs SHOULD be tunable by the system administrator (5961:7-2).
#[test]
fn rate_and_interval_are_settings() {
    let interval = Duration::from_secs(5);
    let config = TcpConfig { challenge_acks: 3, challenge_interval: interval, ..plain() };
    let mut host = Host::established_with(config, setup(ISS));
    let mut flood = |after: u64| {
        host.now += Duration::from_millis(after);
        for _ in 0..20 {
            send!(host, seq 2, ack 1, flag RST);
            host.polls();
        }
        host.counters.tcp_challenge_acks
    };
    assert_eq!([flood(0), flood(4999), flood(1)], [3, 3, 6]);
}

#[test]
fn a_stack_without_challenges_sends_none() {
    let config = TcpConfig { challenge_acks_stack: 0, ..plain() };
    let mut host = Host::established_with(config, setup(ISS));
    send!(host, seq 2, ack 1, flag RST);
    host.silent();
    assert_eq!(host.counters.tcp_challenge_acks_held, 1);
}

/// Whatever its sender waits for is answered though every account is empty.
#[test]
fn what_is_owed_is_sent_when_all_challenges_are_used_up() {
    type Script = fn(&mut Host);
    let owed: [(&str, Script); 6] = [
        ("a retransmission", |host| send!(host, seq 0, ack 1, data b"x")),
        ("data beyond the window", |host| send!(host, seq 70_001, ack 1, data b"x")),
        ("a keep-alive", |host| send!(host, seq 0, ack 1)),
        ("a keep-alive with an octet", |host| send!(host, seq 0, ack 1, data b"g")),
        ("data out of order", |host| send!(host, seq 3, ack 1, data b"x")),
        ("a FIN once more", |host| send!(host, seq 0, ack 1, flag FIN)),
    ];
    for (what, script) in owed {
        let config = TcpConfig { challenge_acks: 0, challenge_acks_stack: 0, ..plain() };
        let mut host = Host::established_with(config, setup(ISS));
        for _ in 0..30 {
            script(&mut host);
            recv!(host, seq 1, ack 1, flags "", len 0);
        }
        assert_eq!(host.counters.tcp_challenge_acks, 0, "{what}");
    }
}

/// Two hosts that disagree on the numbers answer each other at a bounded rate.
//= https://www.rfc-editor.org/rfc/rfc5961#section-7
//= type=test
//# An implementation SHOULD include an ACK throttling mechanism to be conservative (5961:7-3).
#[test]
fn a_war_of_acks_is_bounded() {
    let mut host = Host::established();
    let mut answers = 0;
    for _ in 0..1000 {
        send!(host, seq 0, ack 2);
        answers += host.polls().len();
        send!(host, seq 70_001, ack 1);
        answers += host.polls().len();
    }
    assert_eq!(answers, 10);
}

#[test]
fn an_ack_that_goes_anyway_serves_as_the_challenge() {
    let mut host = Host::established();
    send!(host, seq 2, ack 1, flag RST);
    host.write(b"data");
    recv!(host, seq 1, ack 1, len 4);
    host.silent();
    assert_eq!(host.counters.tcp_challenge_acks, 1);
}

/// A SYN is answered whatever its number, and nothing else in its segment counts: neither text nor FIN, also where they would be next without it.
//= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
//= type=test
//# If the SYN bit is set, irrespective of the sequence number, TCP MUST send an ACK (also referred to as challenge ACK) to the remote peer (5961:4.2-2).
//= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
//= type=test
//# After sending the acknowledgment, TCP MUST drop the unacceptable segment and stop processing further (5961:4.2-3).
#[test]
fn what_a_syn_carries_does_not_count() {
    let cases: [(u32, &[u8]); 7] =
        [(0, b""), (0, b"x"), (1, b""), (1, b"x"), (u32::MAX, b"xyz"), (2, b"x"), (70_000, b"x")];
    for (seq, data) in cases {
        for acked in [false, true] {
            let mut host = Host::established();
            if acked {
                send!(host, seq seq, ack 1, flag SYN, flag FIN, data data);
            } else {
                send!(host, seq seq, flag SYN, flag FIN, data data);
            }
            recv!(host, seq 1, ack 1, flags "", len 0);
            host.silent();
            assert_eq!((host.state(), host.read()), (State::Established, Vec::new()), "{seq} {data:?}");
            assert_eq!(host.counters.tcp_challenge_acks, 1, "within its rate: {seq} {data:?}");
        }
    }
}
