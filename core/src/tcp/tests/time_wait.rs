//! TIME-WAIT: how long, what ends it early, and what does not (RFC 9293 3.6.1, RFC 1337, RFC 6191).

use super::*;

fn waiting_with(config: TcpConfig) -> Host {
    let stamped = config.timestamps;
    let mut host = Host::connecting(config, setup(ISS));
    host.poll();
    if stamped {
        send!(host, seq 0, ack 1, flag SYN; stamp(100, 1000); mss(1000));
    } else {
        send!(host, seq 0, ack 1, flag SYN; mss(1000));
    }
    host.polls();
    host.close();
    host.polls();
    if stamped {
        send!(host, seq 1, ack 2, flag FIN; stamp(200, 1000));
    } else {
        send!(host, seq 1, ack 2, flag FIN);
    }
    host.polls();
    assert_eq!(host.state(), State::TimeWait);
    host
}

fn waiting() -> Host {
    waiting_with(plain())
}

//= https://www.rfc-editor.org/rfc/rfc1337#section-3
//= type=test
//# Ignore RST segments in TIME-WAIT state (1337:3-1).
#[test]
fn a_reset_does_not_end_it() {
    let mut host = waiting();
    send!(host, seq 2, ack 2, flag RST);
    assert_eq!((host.state(), host.counters.drop_tcp_rst), (State::TimeWait, 1));
    host.silent();
    assert_eq!(host.timeout(), Duration::from_secs(60));
    let mut host = waiting_with(TcpConfig { time_wait_ignores_reset: false, ..plain() });
    send!(host, seq 2, ack 2, flag RST);
    assert_eq!(host.state(), State::Closed, "as Linux does");
}

/// Hazard H1 to H3 of RFC 1337 begin with an old duplicate that is answered by an ACK, and that by a RST.
#[test]
fn old_duplicates_are_acknowledged_and_do_not_prolong_it() {
    let mut host = waiting();
    host.after(10_000);
    for (seq, data) in [(1u32.wrapping_sub(50), &b"old data"[..]), (2, b"new data"), (1, b"x")] {
        send!(host, seq seq, ack 2, data data);
        recv!(host, seq 2, ack 2, flags "", len 0);
    }
    send!(host, seq 1u32.wrapping_sub(500), ack 2);
    recv!(host, seq 2, ack 2);
    send!(host, seq 2, ack 2);
    host.silent();
    assert_eq!(host.timeout(), Duration::from_secs(50));
    assert_eq!(host.state(), State::Closed);
}

#[test]
fn a_fin_once_more_restarts_it_whatever_it_carries() {
    for data in [&b""[..], b"tail"] {
        let mut host = waiting();
        host.after(40_000);
        let seq = 1u32.wrapping_sub(data.len() as u32);
        send!(host, seq seq, ack 2, flag FIN, data data);
        recv!(host, seq 2, ack 2);
        assert_eq!(host.timeout(), Duration::from_secs(60));
    }
}

#[test]
fn nothing_is_kept_alive_or_retransmitted_in_it() {
    let mut host = waiting();
    host.connection.options_mut().keep_alive = true;
    host.connection.options_mut().user_timeout = Some(Duration::from_secs(1));
    host.connection.orphan(host.now);
    assert_eq!(host.timeout(), Duration::from_secs(60));
    assert_eq!(host.counters.tcp_keepalives, 0);
}

/// The table of RFC 6191 section 2.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
//= type=test
//# This algorithm for reducing TIME-WAIT is a Best Current Practice that SHOULD be implemented since Timestamp Options are commonly used, and using them to reduce TIME-WAIT provides benefits for busy Internet servers (SHLD-4).
//= https://www.rfc-editor.org/rfc/rfc6191#section-2
//= type=test
//# Processing of SYN segments received for connections in the TIME-WAIT state SHOULD occur as follows (6191:2-1).
//= https://www.rfc-editor.org/rfc/rfc6191#section-2
//= type=test
//# If TCP Timestamps would be enabled for the new incarnation of the connection, and the timestamp contained in the incoming SYN segment is greater than the last timestamp seen on the previous incarnation of the connection (for that direction of the data transfer), honor the connection request (6191:2-2).
//= https://www.rfc-editor.org/rfc/rfc6191#section-2
//= type=test
//# the timestamp contained in the incoming SYN segment is equal to the last timestamp seen on the previous incarnation of the connection (for that direction of the data transfer), and the Sequence Number of the incoming SYN segment is greater than the last sequence number seen on the previous incarnation of the connection (6191:2-3).
//= https://www.rfc-editor.org/rfc/rfc6191#section-2
//= type=test
//# If TCP Timestamps would not be enabled for the new incarnation of the connection, but the Sequence Number of the incoming SYN segment is greater than the last sequence number seen on the previous incarnation of the connection (for the same direction of the data transfer), honor the connection request (6191:2-4).
//= https://www.rfc-editor.org/rfc/rfc6191#section-2
//= type=test
//# If TCP Timestamps would be enabled for the new incarnation of the connection, honor the incoming connection request (6191:2-6).
//= https://www.rfc-editor.org/rfc/rfc6191#section-2
//= type=test
//# If TCP Timestamps would not be enabled for the new incarnation of the connection, but the Sequence Number of the incoming SYN segment is greater than the last sequence number seen on the previous incarnation of the connection (for the same direction of the data transfer), honor the incoming connection request (6191:2-7).
#[test]
fn what_a_syn_has_to_show() {
    let stamps = || TcpConfig { timestamps: true, ..plain() };
    // (timestamps before, wanted now, SEG.SEQ, TSval), honored
    let table = [
        ((true, true, 0u32, Some(201)), true),
        ((true, true, 3, Some(200)), true),
        ((true, true, 2, Some(200)), true),
        ((true, true, 1, Some(200)), false),
        ((true, true, 3, Some(199)), false),
        ((true, true, 3, None), true),
        ((true, true, 1, None), false),
        ((true, false, 3, Some(199)), true),
        ((true, false, 1, Some(201)), false),
        ((false, true, 0, Some(1)), true),
        ((false, false, 0, Some(1)), false),
        ((false, false, 3, None), true),
        ((false, false, 2, None), true),
        ((false, false, 1, None), false),
    ];
    for ((before, now, seq, tsval), honored) in table {
        let host = waiting_with(if before { stamps() } else { plain() });
        let syn = segment(seq, None, Flags::SYN, b"");
        let syn = match tsval {
            Some(tsval) => syn.stamp(tsval, 0),
            None => syn,
        };
        let config = if now { stamps() } else { plain() };
        let least = host.connection.may_reopen(&syn.header, &config);
        assert_eq!(least.is_some(), honored, "{before} {now} {seq} {tsval:?}");
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
        //= type=test
        //# it MAY accept a new SYN from the remote TCP endpoint to reopen the connection directly from TIME-WAIT state (MAY-2)
        assert!(
            least.is_none_or(|iss| iss.since(SeqNum(ISS) + 2) > 65_535),
            "an ISN beyond the largest used"
        );
    }
}

#[test]
fn no_other_state_gives_way_to_a_syn() {
    let mut host = Host::established();
    let syn = segment(3, None, Flags::SYN, b"");
    assert_eq!(host.connection.may_reopen(&syn.header, &plain()), None);
    host.close();
    host.polls();
    send!(host, seq 1, ack 2);
    assert_eq!(host.connection.may_reopen(&syn.header, &plain()), None, "FIN-WAIT-2");
}

/// Whoever sends beyond the end of its stream has lost count.
#[test]
fn what_lies_ahead_is_answered_and_what_is_next_is_not() {
    let mut host = waiting();
    for seq in [3, 1000, 60_000] {
        send!(host, seq seq, ack 2);
        recv!(host, seq 2, ack 2, flags "", len 0);
        host.silent();
    }
    send!(host, seq 2, ack 2);
    host.silent();
    assert_eq!(host.timeout(), Duration::from_secs(60));
}

//= https://www.rfc-editor.org/rfc/rfc1337#section-3
//= type=test
//# Ignore RST segments in TIME-WAIT state (1337:3-1).
#[test]
fn a_reset_is_not_even_challenged() {
    for (seq, in_window) in [(3, 1), (1000, 1), (60_000, 1), (1, 0), (60_001, 0)] {
        let mut host = waiting();
        send!(host, seq seq, ack 2, flag RST);
        host.silent();
        assert_eq!((host.state(), host.counters.drop_tcp_rst), (State::TimeWait, in_window), "{seq}");
    }
    let mut host = waiting_with(TcpConfig { time_wait_ignores_reset: false, ..plain() });
    send!(host, seq 3, ack 2, flag RST);
    recv!(host, seq 2, ack 2, flags "");
}
