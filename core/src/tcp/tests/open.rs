//! How connections begin: active, passive, simultaneous; what the SYNs negotiate.

use super::*;

fn syn() -> Segment {
    segment(0, None, Flags::SYN, b"").mss(1460).window(8000)
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
//= type=test
//# The MSS value to be sent in an MSS Option must be less than or equal to: MMS_R - 20 where MMS_R is the maximum size for a transport-layer message that can be received (and reassembled at the IP layer) (MUST-67).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# the SYN/ACK and the acknowledgment of the SYN/ACK MUST NOT increase the size of the congestion window (5681:3.1-6).
//= https://www.rfc-editor.org/rfc/rfc6691#section-2
//= type=test
//# The MSS option SHOULD tell the MTU less the fixed headers of IP and TCP (6691:2-1).
//= https://www.rfc-editor.org/rfc/rfc6691#section-2
//= type=test
//# The MSS option SHOULD NOT be smaller for options of IP or TCP (6691:2-2).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
//= type=test
//# The three-byte Window Scale option MAY be sent in a <SYN> segment by a TCP (7323:2.2-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
//= type=test
//# a TCP that is prepared to scale windows SHOULD send the option, even if its own scale factor is 1 and the exponent 0 (7323:2.2-2).
//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# If the ACK bit is not set in the outgoing TCP header, the sender of that segment SHOULD set the TSecr field to zero (7323:3.2-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# When the ACK bit is set in an outgoing segment, the sender MUST echo a recently received TSval sent by the remote TCP in the TSval field of a Timestamps option (7323:3.2-2).
//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# A TCP MAY send the TSopt in an initial <SYN> segment (7323:3.2-4).
#[test]
fn an_active_open() {
    let mut host = Host::connecting(TcpConfig::default(), setup(ISS));
    let sent = recv!(host, seq 0, flags "S", len 0, win 60_000);
    assert_eq!(sent.ack, None);
    assert_eq!(sent.options.mss, Some(1000));
    assert_eq!(sent.options.window_scale, Some(0));
    assert_eq!(sent.options.timestamps, Some((1000, 0)));
    assert!(sent.options.sack_permitted);
    host.now += Duration::from_millis(30);
    send!(host, seq 0, ack 1, flag SYN; mss(900); stamp(77, 1000); scale(3); window(100));
    let sent = recv!(host, seq 1, ack 1, flags "", len 0);
    assert_eq!(sent.options.timestamps, Some((1030, 77)));
    assert!(host.connection.established());
    let info = host.info();
    assert_eq!((info.state, info.snd_mss, info.snd_wscale, info.snd_wnd), (1, 888, 3, 100));
    assert_eq!((info.rtt, info.options, info.snd_cwnd), (30_000, 5, 10));
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
//= type=test
//# TCP implementations SHOULD send an MSS Option in every SYN segment when its receive MSS differs from the default 536 for IPv4 or 1220 for IPv6 (SHLD-5), and MAY send it always (MAY-3).
#[test]
fn a_passive_open() {
    let mut host = Host::accepting(plain(), setup(ISS), &syn());
    assert_eq!(host.state(), State::SynReceived);
    assert!(!host.connection.established());
    let sent = recv!(host, seq 0, ack 1, flags "S", win 60_000);
    assert_eq!(
        (sent.options.mss, sent.options.window_scale, sent.options.timestamps),
        (Some(1000), None, None)
    );
    send!(host, seq 1, ack 1, data b"hello");
    assert_eq!(host.state(), State::Established);
    assert_eq!(host.read(), b"hello");
    assert_eq!(host.counters.tcp_passive_opens, 1);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.5
//= type=test
//# A TCP implementation MUST support simultaneous open attempts (MUST-10)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3
//= type=test
//# Otherwise, enter SYN-RECEIVED, form a SYN,ACK segment (SM-3)
#[test]
fn a_simultaneous_open() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, seq 0, flags "S");
    send!(host, seq 0, flag SYN);
    assert_eq!(host.state(), State::SynReceived);
    recv!(host, seq 0, ack 1, flags "S");
    send!(host, seq 0, ack 1, flag SYN);
    assert_eq!(host.state(), State::Established);
    recv!(host, seq 1, ack 1, flags "");
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
//= type=test
//# If a Window Scale option was received in the initial <SYN> segment, then this option MAY be sent in the <SYN,ACK> segment (7323:2.2-4).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# If a TCP receives a <SYN> segment containing a Window Scale option, it SHOULD send its own Window Scale option in the <SYN,ACK> segment (7323:2.3-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# If a Window Scale option is received with a shift.cnt value larger than 14, the TCP SHOULD log the error (7323:2.3-8).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# MUST use 14 instead of the specified value (7323:2.3-9).
//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# MAY send a TSopt in <SYN,ACK> only if it received a TSopt in the initial <SYN> segment for the connection (7323:3.2-5).
#[test]
fn options_are_only_answered_when_offered_and_wanted() {
    let offer = || syn().scale(20).stamp(5, 0);
    let mut host = Host::accepting(TcpConfig::default(), setup(ISS), &offer());
    let sent = recv!(host, flags "S");
    assert_eq!((sent.options.window_scale, sent.options.timestamps), (Some(0), Some((1000, 5))));
    assert_eq!((host.info().snd_wscale, host.counters.tcp_scales_cut), (14, 1), "20 is read as 14");
    let mut host = Host::accepting(plain(), setup(ISS), &offer());
    let sent = recv!(host, flags "S");
    assert_eq!((sent.options.window_scale, sent.options.timestamps), (None, None));
    let mut host = Host::accepting(TcpConfig::default(), setup(ISS), &syn());
    let sent = recv!(host, flags "S");
    assert_eq!((sent.options.window_scale, sent.options.timestamps), (None, None));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
//= type=test
//# TCP implementations MUST assume a default send MSS of 536 (576 - 40) for IPv4 or 1220 (1280 - 60) for IPv6 (MUST-15)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
//= type=test
//# TCP endpoints MUST implement both sending and receiving the MSS Option (MUST-14).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
//= type=test
//# MUST be the smaller (MUST-16) of the send MSS (that reflects the available reassembly buffer size at the remote host, the EMTU_R [19]) and the largest transmission size permitted by the IP layer (EMTU_S [19])
//= https://www.rfc-editor.org/rfc/rfc6691#section-2
//= type=test
//# The sender MUST make its data shorter by the options that it sends (6691:2-3).
#[test]
fn the_send_mss() {
    let v6 = || Setup { remote: "[2001:db8::2]:2".parse().unwrap(), mss: 1440, ..setup(ISS) };
    let v4 = || Setup { mss: 1460, ..setup(ISS) };
    let capped = || Setup { options: Options { max_segment: Some(700), ..no_options() }, ..v4() };
    let bare = || segment(0, None, Flags::SYN, b"");
    let table = [
        (v4(), bare(), 536),
        (v6(), bare(), 1220),
        (v4(), bare().mss(9000), 1460),
        (v4(), bare().mss(1200), 1200),
        (v4(), bare().mss(1200).stamp(1, 0), 1188),
        (v4(), bare().mss(0), 64),
        (capped(), bare().mss(1460), 700),
    ];
    for (setup, syn, mss) in table {
        let host = Host::accepting(TcpConfig::default(), setup.clone(), &syn);
        assert_eq!(host.info().snd_mss, mss, "{:?} of {setup:?}", syn.header.options);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3
//= type=test
//# If the ACK was acceptable, then signal to the user "error: connection reset", drop the segment, enter CLOSED state, delete TCB, and return. (SM-4)
//= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
//= type=test
//# In the SYN-SENT state (a RST received in response to an initial SYN), the RST is acceptable if the ACK field acknowledges the SYN (5961:3.2-7).
#[test]
fn a_refused_connection() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, flags "S");
    send!(host, seq 0, ack 1, flag RST);
    assert_eq!(
        (host.state(), host.connection.ended()),
        (State::Closed, Some(EndReason::Reset { seq: IRS, errno: Errno::ECONNREFUSED }))
    );
    assert_eq!(host.connection.take_error(), Some(Errno::ECONNREFUSED));
    assert_eq!(host.connection.take_error(), None);
    assert_eq!(host.connection.poll_timeout(), Some(host.now));
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3
//= type=test
//# If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is set, if so drop the segment and return) ... if neither of the SYN or RST bits is set, then drop the segment and return (SM-3)
//= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
//= type=test
//# In all other cases the receiver MUST silently discard the segment (5961:3.2-8).
#[test]
fn what_does_not_answer_our_syn_is_reset_or_ignored() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, flags "S");
    send!(host, seq 5, ack 900, flag SYN);
    recv!(host, seq 900, flags "R");
    send!(host, seq 5, ack 900, flag RST);
    host.silent();
    send!(host, seq 5, flag RST);
    host.silent();
    send!(host, seq 5, ack 1, data b"x");
    host.silent();
    assert_eq!(host.state(), State::SynSent);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# SYN retransmissions MUST be handled in the general way just described for data retransmissions, including notification of the application layer (MUST-22).
//= https://www.rfc-editor.org/rfc/rfc1122#section-4.2.3.1
//= type=test
//# Retransmission of SYN segments SHOULD use the same algorithm as data segments (1122:4.2.3.1-3).
//= https://www.rfc-editor.org/rfc/rfc6298#section-2
//= type=test
//# Until a round-trip time (RTT) measurement has been made for a segment sent between the sender and receiver, the sender SHOULD set RTO <- 1 second (6298:2-1).
#[test]
fn a_syn_is_sent_again_with_backoff_and_then_given_up() {
    let mut host = Host::connecting(
        plain(),
        Setup { options: Options { syn_retries: 4, ..no_options() }, ..setup(ISS) },
    );
    recv!(host, flags "S");
    for (seconds, told) in [(1, false), (2, false), (4, true), (8, false)] {
        assert_eq!(host.timeout(), Duration::from_secs(seconds));
        recv!(host, seq 0, flags "S");
        assert_eq!(host.connection.take_advice(), told, "R1 is three retransmissions");
    }
    assert_eq!(host.timeout(), Duration::from_secs(16));
    assert_eq!(host.timed_out(), Some(Timeout::Handshake));
    assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# if the SYN or SYN/ACK is lost, the initial window used by a sender after a correctly transmitted SYN MUST be one segment consisting of at most SMSS bytes (5681:3.1-7).
//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# If the timer expires awaiting the ACK of a SYN segment and the TCP implementation is using an RTO less than 3 seconds, the RTO MUST be re-initialized to 3 seconds when data transmission begins (i.e., after the three-way handshake completes) (6298:5-8).
#[test]
fn a_lost_syn_costs_the_initial_window() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, flags "S");
    host.timeout();
    recv!(host, flags "S");
    send!(host, seq 0, ack 1, flag SYN; mss(1000));
    assert_eq!((host.info().snd_cwnd, host.info().rto, host.info().total_retrans), (1, 3_000_000, 1));
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# the SYN/ACK and the acknowledgment of the SYN/ACK MUST NOT increase the size of the congestion window (5681:3.1-6).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# if the SYN or SYN/ACK is lost, the initial window used by a sender after a correctly transmitted SYN MUST be one segment consisting of at most SMSS bytes (5681:3.1-7).
#[test]
fn a_lost_syn_ack_costs_the_initial_window_too() {
    type Script = fn(&mut Host);
    let scripts: [(Script, u32, u32); 3] = [
        (|_| {}, 10, 200_000),
        (|host| assert_eq!(host.timeout(), Duration::from_secs(1)), 1, 3_000_000),
        (|host| host.deliver(syn()), 1, 3_000_000),
    ];
    for (script, window, rto) in scripts {
        let mut host = Host::accepting(plain(), setup(ISS), &syn());
        recv!(host, flags "S");
        script(&mut host);
        host.polls();
        send!(host, seq 1, ack 1);
        assert_eq!(host.state(), State::Established);
        assert_eq!(host.info().snd_cwnd, window);
        assert!(host.info().rto / rto == 1, "{}", host.info().rto);
    }
}

/// The SYN/ACK that asks once more for data is not sent for a loss.
#[test]
fn patience_costs_no_window() {
    let options = Options { defer_accept: Duration::from_secs(1), ..no_options() };
    let mut host = Host::accepting(plain(), Setup { options, ..setup(ISS) }, &syn());
    recv!(host, flags "S");
    send!(host, seq 1, ack 1);
    assert_eq!(host.state(), State::SynReceived);
    host.timeout();
    recv!(host, flags "S");
    send!(host, seq 1, ack 1);
    assert_eq!((host.state(), host.info().snd_cwnd), (State::Established, 10));
}

#[test]
fn crossing_syns_cost_no_window() {
    for lost in [false, true] {
        let mut host = Host::connecting(plain(), setup(ISS));
        recv!(host, seq 0, flags "S");
        if lost {
            host.timeout();
            recv!(host, seq 0, flags "S");
        }
        send!(host, seq 0, flag SYN; mss(1000));
        recv!(host, seq 0, ack 1, flags "S");
        send!(host, seq 0, ack 1, flag SYN; mss(1000));
        assert_eq!(host.info().snd_cwnd, if lost { 1 } else { 10 });
        assert_eq!(host.info().rto, if lost { 3_000_000 } else { 1_000_000 });
    }
}

#[test]
fn a_syn_ack_is_sent_again_by_timer_and_on_demand() {
    let mut host = Host::accepting(TcpConfig { syn_ack_retries: 2, ..plain() }, setup(ISS), &syn());
    recv!(host, flags "S");
    host.deliver(syn());
    recv!(host, seq 0, ack 1, flags "S");
    host.silent();
    host.timeout();
    recv!(host, flags "S");
    host.timeout();
    recv!(host, flags "S");
    host.timeout();
    assert_eq!((host.state(), host.timed_out()), (State::Closed, Some(Timeout::Handshake)));
}

#[test]
fn data_with_the_answer_to_our_syn_counts() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, flags "S");
    send!(host, seq 0, ack 1, flag SYN, flag FIN, data b"bye");
    assert_eq!(host.state(), State::CloseWait);
    assert_eq!(host.read(), b"bye");
    recv!(host, seq 1, ack 5);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If the segment acknowledgment is not acceptable, form a reset segment <SEQ=SEG.ACK><CTL=RST> (SM-11)
#[test]
fn a_wrong_ack_in_syn_received_is_reset() {
    let mut host = Host::accepting(plain(), setup(ISS), &syn());
    recv!(host, flags "S");
    send!(host, seq 1, ack 2);
    recv!(host, seq 2, flags "R");
    assert_eq!(host.state(), State::SynReceived);
}

#[test]
fn closed_while_connecting() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, flags "S");
    host.close();
    assert_eq!(host.state(), State::Closed);
    host.silent();
    let mut host = Host::accepting(plain(), setup(ISS), &syn());
    recv!(host, flags "S");
    host.connection.abort(host.now, EndReason::Aborted);
    recv!(host, seq 1, ack 1, flags "R");
    host.silent();
}

/// For paths that drop what they do not know.
#[test]
fn a_syn_that_was_lost_often_is_plain() {
    let config = TcpConfig { syn_plain_after: Some(2), ..TcpConfig::default() };
    let mut host = Host::connecting(config, setup(ISS));
    for sent in 1..=5 {
        let options = recv!(host, seq 0, flags "S").options;
        let all = (options.timestamps.is_some(), options.window_scale.is_some(), options.sack_permitted);
        let plain = sent > 3;
        assert_eq!((options.mss, all), (Some(1000), (!plain, !plain, !plain)), "SYN {sent}");
        host.timeout();
    }
}

#[test]
fn a_syn_with_fin_is_dropped_where_that_is_asked_for() {
    for (drop_syn_fin, state) in [(false, State::CloseWait), (true, State::SynSent)] {
        let mut host = Host::connecting(TcpConfig { drop_syn_fin, ..plain() }, setup(ISS));
        recv!(host, seq 0);
        send!(host, seq 0, ack 1, flag SYN, flag FIN; mss(1000));
        assert_eq!((host.state(), host.counters.drop_tcp_flags), (state, u64::from(drop_syn_fin)));
        assert_eq!(host.polls().len(), usize::from(!drop_syn_fin));
    }
}
