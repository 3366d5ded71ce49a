//! ICMP errors: believed about what is in flight, fatal only while connecting.

use super::*;
use crate::counters::Drop;

fn seq(offset: u32) -> SeqNum {
    SeqNum(ISS) + offset
}

fn too_big(host: &mut Host, mss: u16, sent: u16, at: u32) -> Result<(), Drop> {
    let heeded = host.connection.on_icmp(host.now, IcmpError::TooBig { mss, sent }, seq(at), &host.config);
    if heeded.is_ok() {
        host.limits.mss = mss;
    }
    heeded
}

/// A router has no way to the peer.
fn told() -> Unreachable {
    let from = "203.0.113.9".parse().unwrap();
    Unreachable { errno: Errno::EHOSTUNREACH, kind: 3, code: 1, from }
}

fn unreachable(host: &mut Host, at: u32) -> Result<(), Drop> {
    host.connection.on_icmp(host.now, IcmpError::Unreachable(told()), seq(at), &host.config)
}

//= https://www.rfc-editor.org/rfc/rfc8201#section-5.4
//= type=test
//# The packet size used in the retransmission should be no larger than the new PMTU. (8201:5.4-3)
//= https://www.rfc-editor.org/rfc/rfc1191#section-6.4
//= type=test
//# One MUST not retransmit in response to every Datagram Too Big message, since a burst of several oversized segments will give rise to several such messages and hence several retransmissions of the same data. (1191:6.4-4)
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.7
//= type=test
//# any TCP implementation that implements PAWS MUST also implement Path MTU Discovery (7323:5.7-1).
#[test]
fn a_smaller_path_cuts_what_is_in_flight_again() {
    let mut host = Host::established();
    host.limits.super_frame = 65_000;
    host.write_zeros(3000);
    recv!(host, seq 1, len 3000, gso 1000);
    assert_eq!(too_big(&mut host, 600, 1000, 1001), Ok(()));
    recv!(host, seq 1, len 3000, gso 600);
    host.silent();
    // The same comes for the other segments, and for the one after.
    assert_eq!(too_big(&mut host, 600, 1000, 2001), Ok(()));
    host.silent();
    assert_eq!((host.info().snd_mss, host.info().total_retrans), (600, 5));
    send!(host, seq 1, ack 3001);
    assert_eq!(host.info().ca_state, 0);
}

//= https://www.rfc-editor.org/rfc/rfc1191#section-6.4
//= type=test
//# the TCP layer must be able to recognize when a Datagram Too Big notification actually decreases the PMTU that it has already used to send a datagram on the given connection, and should ignore any other notifications. (1191:6.4-5)
//= https://www.rfc-editor.org/rfc/rfc5927#section-4.1
//= type=test
//# the TCP sequence number contained in the payload of the ICMP error message is within the range SND.UNA =< SEG.SEQ < SND.NXT. (5927:4.1-1)
#[test]
fn a_message_about_nothing_in_flight_is_not_believed() {
    let mut host = Host::established();
    host.write_zeros(1000);
    recv!(host, seq 1, len 1000);
    for (mss, at) in [(600, 1001), (600, 0), (600, u32::MAX)] {
        assert_eq!(too_big(&mut host, mss, 1000, at), Err(Drop::IcmpStale));
        assert_eq!(unreachable(&mut host, at), Err(Drop::IcmpStale));
        host.silent();
    }
    for (mss, sent) in [(1000, 1000), (1000, 2000), (2000, 3000), (900, 900), (900, 40)] {
        assert_eq!(too_big(&mut host, mss, sent, 1), Err(Drop::IcmpMtu));
        host.silent();
    }
    assert_eq!(host.info().snd_mss, 1000);
    assert_eq!(too_big(&mut host, 0, 1000, 1), Ok(()));
    assert_eq!(host.info().snd_mss, 64);
}

//= https://www.rfc-editor.org/rfc/rfc8201#section-5.4
//= type=test
//# A packetization layer (e.g., TCP) must use the PMTU for the path(s) in use by a connection; it should not send segments that would result in packets larger than the PMTU, except to probe during PMTU Discovery (8201:5.4-1)
#[test]
fn a_path_known_to_be_smaller_cuts_what_comes_next_and_grows_again() {
    let mut host = Host::established();
    host.limits.mss = 700;
    host.write_zeros(1400);
    recv!(host, seq 1, len 700);
    recv!(host, seq 701, len 700);
    send!(host, seq 1, ack 1401);
    host.write_zeros(700);
    recv!(host, seq 1401, len 700);
    //= https://www.rfc-editor.org/rfc/rfc1191#section-6.3
    //= type=test
    //# An upper layer MUST not retransmit datagrams in response to an increase in the PMTU estimate (1191:6.3-4)
    host.limits.mss = u16::MAX;
    host.silent();
    send!(host, seq 1, ack 2101);
    host.write_zeros(2000);
    recv!(host, seq 2101, len 1000);
    recv!(host, seq 3101, len 1000);
    // Another connection found out about the path, but these segments are lost all the same.
    host.limits.mss = 700;
    host.write_zeros(10);
    assert_eq!(host.polls().len(), 1);
    assert_eq!(too_big(&mut host, 700, 1000, 2101), Ok(()));
    recv!(host, seq 2101, len 700);
    recv!(host, seq 2801, len 700);
    recv!(host, seq 3501, len 610);
    host.silent();
    assert_eq!(too_big(&mut host, 700, 1000, 3101), Ok(()));
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc8201#section-5.4
//= type=test
//# A loss caused by a PMTU probe indicated by the reception of a Packet Too Big message must not be considered as a congestion notification, and hence the congestion window may not change. (8201:5.4-4)
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# the congestion window cwnd SHOULD be reduced to prevent large bursts of smaller segments (5681:3.1-8).
#[test]
fn a_smaller_path_is_no_congestion() {
    let mut host = Host::established();
    let window = host.info().snd_cwnd;
    host.write_zeros(30_000);
    assert_eq!(host.polls().len() as u32, window);
    assert_eq!(too_big(&mut host, 500, 1000, 1), Ok(()));
    assert_eq!(host.polls().len() as u32, window, "no burst of smaller segments");
    assert_eq!(host.info().snd_cwnd, window);
    assert_eq!(host.info().snd_ssthresh, i32::MAX as u32);
    assert_eq!(host.counters.tcp_timeouts, 0);
}

#[test]
fn unreachable_ends_a_connection_that_is_being_opened() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, flags "S");
    assert_eq!(unreachable(&mut host, 7), Err(Drop::IcmpStale));
    assert_eq!(host.state(), State::SynSent);
    assert_eq!(unreachable(&mut host, 0), Ok(()));
    assert_eq!((host.state(), host.connection.take_error()), (State::Closed, Some(Errno::EHOSTUNREACH)));
    assert_eq!(host.connection.ended(), Some(EndReason::Unreachable(told())));
}

/// What RFC 9293 asks while a connection is being opened; the default is what Linux does.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
//= type=test
//# Since these Unreachable messages indicate soft error conditions, a TCP implementation MUST NOT abort the connection (MUST-56)
#[test]
fn a_soft_error_does_not_end_an_opening_that_is_to_outlast_it() {
    let config = || TcpConfig { soft_errors_end_opening: false, ..plain() };
    let passive = || Host::accepting(config(), setup(ISS), &segment(0, None, Flags::SYN, b""));
    for mut host in [Host::connecting(config(), setup(ISS)), passive()] {
        let state = host.state();
        recv!(host, flags "S");
        assert_eq!(unreachable(&mut host, 0), Ok(()));
        assert_eq!((host.state(), host.connection.take_error()), (state, None));
        assert_eq!(host.connection.soft_error(), Some(Some(Errno::EHOSTUNREACH)));
        while host.state() == state {
            host.timeout();
            host.polls();
        }
        assert_eq!(host.connection.take_error(), Some(Errno::EHOSTUNREACH), "why it timed out");
    }
    let mut host = Host::connecting(config(), setup(ISS));
    recv!(host, flags "S");
    let refused = Unreachable { errno: Errno::ECONNREFUSED, code: 3, ..told() };
    let told = host.connection.on_icmp(host.now, IcmpError::Unreachable(refused), seq(0), &host.config);
    assert_eq!((told, host.state()), (Ok(()), State::Closed), "a hard error does");
}

#[test]
fn soft_errors_are_those_of_the_rfc() {
    let (v4, v6) = ("203.0.113.9".parse().unwrap(), "2001:db8::9".parse().unwrap());
    let soft =
        |from, kind| (0..=16).filter(move |code| Unreachable { from, kind, code: *code, ..told() }.is_soft());
    let table: [(std::net::IpAddr, u8, &[u8]); 6] = [
        (v4, 3, &[0, 1, 5]),
        (v4, 11, &[0, 1]),
        (v4, 12, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        (v6, 1, &[0, 3]),
        (v6, 3, &[0, 1]),
        (v6, 4, &[0, 1, 2]),
    ];
    for (from, kind, codes) in table {
        assert_eq!(soft(from, kind).collect::<Vec<u8>>(), codes, "{from} {kind}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
//= type=test
//# a TCP implementation MUST NOT abort the connection (MUST-56)
//= https://www.rfc-editor.org/rfc/rfc5927#section-8
//= type=test
//# the processing of ICMP "hard errors" as "soft errors" when they are received for connections in any of the synchronized states. (5927:8-1)
#[test]
fn unreachable_is_soft_once_open() {
    let mut host = Host::established();
    host.write_zeros(10);
    recv!(host, seq 1);
    assert_eq!(unreachable(&mut host, 1), Ok(()));
    assert_eq!((host.state(), host.connection.take_error()), (State::Established, None));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
//= type=test
//# and it SHOULD make the information available to the application (SHLD-25)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.8
//= type=test
//# There MUST be a mechanism for reporting soft TCP error conditions to the application (MUST-47).
#[test]
fn a_soft_error_is_why_a_connection_times_out_unless_the_peer_was_heard_since() {
    for heard in [false, true] {
        let mut host = Host::established();
        host.write_zeros(10);
        recv!(host, seq 1);
        assert_eq!(unreachable(&mut host, 1), Ok(()));
        if heard {
            send!(host, seq 1, ack 1);
        }
        while host.state() == State::Established {
            host.timeout();
            host.polls();
        }
        let error = if heard { Errno::ETIMEDOUT } else { Errno::EHOSTUNREACH };
        assert_eq!(host.connection.take_error(), Some(error));
        let network = (!heard).then(told);
        let timer = Timeout::Retransmission;
        assert_eq!(host.connection.ended(), Some(EndReason::TimedOut { timer, network }));
    }
}

/// A protocol that is not spoken, or a port where nobody listens.
#[test]
fn a_hard_error_ends_an_opening_under_its_own_number_or_as_refused() {
    let hard = Unreachable { errno: Errno::ENOPROTOOPT, code: 2, ..told() };
    for (hard_errors_refuse, errno) in [(false, Errno::ENOPROTOOPT), (true, Errno::ECONNREFUSED)] {
        let mut host = Host::connecting(TcpConfig { hard_errors_refuse, ..plain() }, setup(ISS));
        recv!(host, flags "S");
        let heeded = host.connection.on_icmp(host.now, IcmpError::Unreachable(hard), seq(0), &host.config);
        assert_eq!((heeded, host.connection.take_error()), (Ok(()), Some(errno)));
        assert_eq!(host.connection.ended(), Some(EndReason::Unreachable(Unreachable { errno, ..hard })));
        let mut host = Host::connecting(TcpConfig { hard_errors_refuse, ..plain() }, setup(ISS));
        recv!(host, flags "S");
        assert_eq!(unreachable(&mut host, 0), Ok(()));
        assert_eq!(host.connection.take_error(), Some(Errno::EHOSTUNREACH), "a soft one keeps its own");
    }
}

#[test]
fn a_hard_error_does_not_end_an_opening_that_is_to_outlast_it() {
    let hard = Unreachable { errno: Errno::ECONNREFUSED, code: 3, ..told() };
    let config = TcpConfig { hard_errors_end_opening: false, ..plain() };
    let mut host = Host::connecting(config, setup(ISS));
    recv!(host, flags "S");
    let heeded = host.connection.on_icmp(host.now, IcmpError::Unreachable(hard), seq(0), &host.config);
    assert_eq!((heeded, host.state()), (Ok(()), State::SynSent));
    while host.state() == State::SynSent {
        host.timeout();
        host.polls();
    }
    assert_eq!(host.connection.take_error(), Some(Errno::ECONNREFUSED), "why it timed out");
}
