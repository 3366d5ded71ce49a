//! Windows large, closed, reopened and taken back: what the sender makes of them, and that no combination stops for ever (RFC 9293 3.8.6).

use super::*;

fn numbers(sent: &[Outgoing]) -> Vec<(u32, usize)> {
    let length = |one: &Outgoing| one.payload.iter().map(Bytes::len).sum();
    sent.iter().map(|one| (one.seq.since(SeqNum(ISS)), length(one))).collect()
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
//= type=test
//# The window size MUST be treated as an unsigned number, or else large window sizes will appear like negative windows and TCP will not work (MUST-1).
#[test]
fn a_window_above_32767_is_large() {
    let mut host = Host::established_with(TcpConfig { initial_window: 60, ..plain() }, setup(ISS));
    send!(host, seq 1, ack 1; window(65_535));
    host.write_zeros(60_000);
    assert_eq!(host.polls().len(), 60, "all of it fits");
    assert_eq!(host.info().snd_wnd, 65_535);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
//= type=test
//# a sending TCP peer MUST be robust against window shrinking, which may cause the "usable window" (see Section 3.8.6.2.1) to become negative (MUST-34).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
//= type=test
//# If this happens, the sender SHOULD NOT send new data (SHLD-15), but SHOULD retransmit normally the old unacknowledged data between SND.UNA and SND.UNA+SND.WND (SHLD-16).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
//= type=test
//# The initial transmission MUST be within the window announced by the most recent <ACK> (7323:2.4-4).
#[test]
fn a_window_taken_back_stops_new_data_and_lets_old_be_repaired() {
    let mut host = Host::established();
    host.write_zeros(20_000);
    assert_eq!(host.polls().len(), 10);
    send!(host, seq 1, ack 1001; window(3000));
    host.silent();
    let mut sent = Vec::new();
    while !sent.iter().any(|(seq, _)| *seq == 1001) {
        host.timeout();
        sent = numbers(&host.polls());
    }
    assert!(sent.iter().all(|(seq, length)| *seq as usize + length <= 4001), "inside the window: {sent:?}");
    send!(host, seq 1, ack 4001; window(3000));
    let sent = numbers(&host.polls());
    assert!(!sent.is_empty() && sent.iter().all(|(seq, length)| *seq as usize + length <= 7001), "{sent:?}");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
//= type=test
//# SHOULD retransmit normally the old unacknowledged data between SND.UNA and SND.UNA+SND.WND (SHLD-16).
#[test]
fn what_duplicate_acks_ask_for_stays_inside_a_window_taken_back() {
    let mut host = Host::established();
    host.write_zeros(10_000);
    host.polls();
    for _ in 0..3 {
        send!(host, seq 1, ack 1; window(300));
    }
    assert_eq!(numbers(&host.polls()), [(1, 300)]);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
//= type=test
//# SHOULD NOT time out the connection if data beyond the right window edge is not acknowledged (SHLD-17).
#[test]
fn data_beyond_a_window_taken_back_times_nothing_out() {
    let mut host = Host::established_with(TcpConfig { data_retries: 4, ..plain() }, setup(ISS));
    host.write_zeros(10_000);
    host.polls();
    let mut acked = 1001;
    send!(host, seq 1, ack acked; window(10));
    while acked < 1201 {
        assert_eq!(host.state(), State::Established);
        if host.polls().is_empty() {
            host.timeout();
            continue;
        }
        acked += 10;
        send!(host, seq 1, ack acked; window(10));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
//= type=test
//# SHOULD NOT time out the connection if data beyond the right window edge is not acknowledged (SHLD-17).
#[test]
fn a_window_closed_again_and_again_over_the_same_data_times_nothing_out() {
    let mut host = Host::established_with(TcpConfig { data_retries: 4, ..plain() }, setup(ISS));
    host.write_zeros(1000);
    for _ in 0..20 {
        host.polls();
        send!(host, seq 1, ack 1; window(0));
        host.timeout();
        host.polls();
        send!(host, seq 1, ack 1; window(5000));
        assert_eq!(host.state(), State::Established);
    }
    assert_eq!(numbers(&host.polls()), [(1, 1000)]);
}

/// Every way to a closed window and out of it again, the update that opens it being lost: only what answers a probe tells.
#[test]
fn no_lost_update_stops_a_connection() {
    type Script = fn(&mut Host);
    let table: [(&str, Script); 5] = [
        ("nothing in flight", |host| {
            send!(host, seq 1, ack 1; window(0));
            host.write_zeros(3000);
        }),
        ("closed over what is in flight", |host| {
            host.write_zeros(3000);
            host.polls();
            send!(host, seq 1, ack 1; window(0));
        }),
        ("a part acknowledged", |host| {
            host.write_zeros(3000);
            host.polls();
            send!(host, seq 1, ack 1501; window(0));
        }),
        ("a FIN behind data", |host| {
            send!(host, seq 1, ack 1; window(0));
            host.write_zeros(3000);
            host.close();
        }),
        ("after a timeout", |host| {
            host.write_zeros(3000);
            host.polls();
            host.timeout();
            host.polls();
            send!(host, seq 1, ack 1001; window(0));
        }),
    ];
    for (what, script) in table {
        for closed in [1, 5] {
            let mut host = Host::established();
            script(&mut host);
            let mut probes = 0;
            let mut next = 1 + host.info().bytes_acked as u32;
            let end = host.now + Duration::from_secs(1000);
            while host.info().bytes_acked < 3000 {
                assert!(host.now < end, "{what} stopped at {next}");
                let sent = numbers(&host.polls());
                if sent.is_empty() {
                    host.timeout();
                    continue;
                }
                probes += 1;
                let open = probes > closed;
                for (seq, length) in sent {
                    if open && seq == next {
                        next += length as u32;
                    }
                }
                send!(host, seq 1, ack next; window(if open { 5000 } else { 0 }));
            }
        }
    }
}

#[test]
fn a_fin_alone_behind_a_closed_window_gets_through() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(0));
    host.close();
    for _ in 0..3 {
        host.timeout();
        recv!(host, seq 1, flags "F", len 0);
        send!(host, seq 1, ack 1; window(0));
    }
    send!(host, seq 1, ack 2; window(0));
    assert_eq!(host.state(), State::FinWait2);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
//= type=test
//# The transmitting host SHOULD send the first zero-window probe when a zero window has existed for the retransmission timeout period (SHLD-29) (Section 3.8.1), and SHOULD increase exponentially the interval between successive probes (SHLD-30).
#[test]
fn the_first_probe_waits_for_the_retransmission_timeout() {
    let mut host = Host::established();
    let rto = Duration::from_micros(u64::from(host.info().rto));
    send!(host, seq 1, ack 1; window(0));
    host.write_zeros(10);
    for times in [1, 2, 4, 8] {
        assert_eq!(host.timeout(), rto * times);
        recv!(host, seq 1, len 1);
        send!(host, seq 1, ack 1; window(0));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
//= type=test
//# A TCP implementation MAY keep its offered receive window closed indefinitely (MAY-8).
#[test]
fn our_own_window_may_stay_closed_for_ever() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data &[0; 60_000]; merged(1000));
    host.polls();
    for _ in 0..50 {
        host.now += Duration::from_secs(120);
        send!(host, seq 60_001, ack 1, data b"p");
        recv!(host, ack 60_001, win 0);
    }
    assert_eq!(host.state(), State::Established);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# if the TCP endpoint is processing a series of queued segments, it MUST process them all before sending any ACK segments (MUST-59).
#[test]
fn segments_of_one_turn_are_acknowledged_together() {
    let mut host = Host::established();
    for index in 0..6 {
        send!(host, seq 1 + index * 1000, ack 1, data &[7; 1000]);
    }
    recv!(host, ack 6001);
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.5.3
//= type=test
//# TCP implementations SHOULD allow a received RST segment to include data (SHLD-2).
#[test]
fn a_reset_may_carry_words() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, flag RST, data b"because");
    assert_eq!(host.connection.take_error(), Some(Errno::ECONNRESET));
    assert_eq!(host.read(), b"");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.2
//= type=test
//# MUST NOT be sent in other segments (MUST-65).
#[test]
fn only_a_syn_tells_the_mss() {
    let mut host = Host::connecting(plain(), setup(ISS));
    assert!(recv!(host, flags "S").options.mss.is_some());
    send!(host, seq 0, ack 1, flag SYN; mss(1000));
    host.write_zeros(2500);
    host.close();
    let sent = host.polls();
    assert!(sent.len() >= 3 && sent.iter().all(|one| one.options.mss.is_none()));
    host.connection.abort(host.now, EndReason::Aborted);
    assert_eq!(recv!(host, flags "R").options.mss, None);
}
