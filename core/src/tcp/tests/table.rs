//! Every state against every class of segment: what is answered, and what becomes of the state.

use super::*;

/// A connection brought to `state`. Numbers: what we have sent ends at `sent`, what the peer has sent at `got`.
fn at(state: State) -> (Host, u32, u32) {
    let syn = segment(0, None, Flags::SYN, b"").mss(1000);
    match state {
        State::SynSent => {
            let mut host = Host::connecting(plain(), setup(ISS));
            host.poll();
            return (host, 1, 0);
        }
        State::SynReceived => {
            let mut host = Host::accepting(plain(), setup(ISS), &syn);
            host.poll();
            return (host, 1, 1);
        }
        _ => {}
    }
    let mut host = Host::established();
    let peer_closes = matches!(state, State::CloseWait | State::LastAck);
    if peer_closes {
        send!(host, seq 1, ack 1, flag FIN);
        host.polls();
    }
    if !matches!(state, State::Established | State::CloseWait) {
        host.close();
        recv!(host, seq 1, flags "F");
    }
    match state {
        State::FinWait2 => send!(host, seq 1, ack 2),
        State::Closing => send!(host, seq 1, ack 1, flag FIN),
        State::TimeWait => send!(host, seq 1, ack 2, flag FIN),
        _ => {}
    }
    host.polls();
    assert_eq!(host.state(), state);
    let fin_sent = u32::from(!matches!(state, State::Established | State::CloseWait));
    let fin_got =
        u32::from(matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait));
    (host, 1 + fin_sent, 1 + fin_got)
}

const SYNCHRONIZED: [State; 8] = [
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
    State::SynReceived,
];

/// Exactly one bare ACK is sent, with these numbers.
#[track_caller]
fn acks(host: &mut Host, seq: u32, ack: u32, what: &str) {
    let sent = host.polls();
    assert_eq!(sent.len(), 1, "{what}: {sent:?}");
    let one = &sent[0];
    let numbers = (one.seq.since(SeqNum(ISS)), one.ack.map(|ack| ack.since(SeqNum(IRS))));
    assert_eq!((numbers, one.flags), ((seq, Some(ack)), Flags::default()), "{what}: {one:?}");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If the RST bit is set, then any outstanding RECEIVEs and SEND should receive "reset" responses. ... If the RST bit is set, then enter the CLOSED state, delete the TCB, and return. (SM-8)
//= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
//= type=test
//# If the RST bit is set and the sequence number exactly matches the next expected sequence number (RCV.NXT), then TCP MUST reset the connection (5961:3.2-3).
#[test]
fn an_rst_at_rcv_nxt_ends_every_state() {
    for state in SYNCHRONIZED {
        let (mut host, sent, got) = at(state);
        host.config.time_wait_ignores_reset = false;
        send!(host, seq got, ack sent, flag RST);
        assert_eq!(host.state(), State::Closed, "{state:?}");
        assert!(host.polls().is_empty(), "{state:?}");
        // As in Linux: what was sent last may be lost, which a program that has shut down its half wants to know.
        let errno = match state {
            State::SynReceived => Errno::ECONNREFUSED,
            State::CloseWait => Errno::EPIPE,
            _ => Errno::ECONNRESET,
        };
        let over = state == State::TimeWait;
        assert_eq!(host.connection.take_error(), (!over).then_some(errno), "{state:?}");
        let reset = EndReason::Reset { seq: (SeqNum(IRS) + got).0, errno };
        let expected = if over { EndReason::Finished } else { reset };
        assert_eq!(host.connection.ended(), Some(expected), "{state:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If the RST bit is set and the sequence number does not exactly match the next expected sequence value, yet is within the current receive window, TCP endpoints MUST send an acknowledgment (challenge ACK) (SM-6)
//= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
//= type=test
//# implementations SHOULD implement the following steps in place of those specified in [RFC0793] (5961:3.2-1).
//= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
//= type=test
//# If the RST bit is set and the sequence number does not exactly match the next expected sequence value, yet is within the current receive window (RCV.NXT < SEG.SEQ < RCV.NXT+RCV.WND), TCP MUST send an acknowledgment (challenge ACK) (5961:3.2-4).
//= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
//= type=test
//# After sending the challenge ACK, TCP MUST drop the unacceptable segment and stop processing the incoming packet further (5961:3.2-5).
#[test]
fn an_rst_elsewhere_in_the_window_is_challenged() {
    for state in SYNCHRONIZED.into_iter().filter(|state| *state != State::TimeWait) {
        let (mut host, sent, got) = at(state);
        send!(host, seq got + 1, ack sent, flag RST);
        acks(&mut host, sent, got, &format!("{state:?}"));
        assert_eq!((host.state(), host.counters.drop_tcp_rst), (state, 1));
        assert_eq!(host.counters.tcp_challenge_acks, 1);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If the RST bit is set and the sequence number is outside the current receive window, silently drop the segment (SM-6).
//= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
//= type=test
//# If the RST bit is set and the sequence number is outside the current receive window, silently drop the segment (5961:3.2-2).
#[test]
fn an_rst_outside_the_window_is_dropped() {
    for state in SYNCHRONIZED {
        let (mut host, sent, got) = at(state);
        let edge = got + host.info().rcv_wnd;
        for seq in [got + 100_000, got.wrapping_sub(1), edge] {
            send!(host, seq seq, ack sent, flag RST);
            assert!(host.polls().is_empty(), "{state:?} {seq}");
        }
        send!(host, seq got.wrapping_sub(1), ack sent, flag RST, data b"why");
        assert!(host.polls().is_empty(), "{state:?}: it begins before the window");
        assert_eq!((host.state(), host.counters.drop_tcp_window), (state, 4));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# RFC 5961 recommends that in these synchronized states, if the SYN bit is set, irrespective of the sequence number, TCP endpoints MUST send a "challenge ACK" to the remote peer (SM-9)
//= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
//= type=test
//# the handling of the SYN in the synchronized state SHOULD be performed as follows (5961:4.2-1).
//= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
//= type=test
//# If the SYN bit is set, irrespective of the sequence number, TCP MUST send an ACK (also referred to as challenge ACK) to the remote peer (5961:4.2-2).
//= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
//= type=test
//# After sending the acknowledgment, TCP MUST drop the unacceptable segment and stop processing further (5961:4.2-3).
#[test]
fn a_syn_is_challenged() {
    for state in SYNCHRONIZED {
        for offset in [0, 10, 100_000] {
            let (mut host, sent, got) = at(state);
            send!(host, seq got + offset, flag SYN);
            if state == State::SynReceived && offset < 100_000 {
                // Back to LISTEN: the connection is gone, and nobody is told.
                assert_eq!((host.state(), host.polls().len()), (State::Closed, 0));
                continue;
            }
            acks(&mut host, sent, got, &format!("{state:?} {offset}"));
            assert_eq!(host.state(), state);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If an incoming segment is not acceptable, an acknowledgment should be sent in reply ... After sending the acknowledgment, drop the unacceptable segment and return. (SM-5)
#[test]
fn data_outside_the_window_is_answered_by_an_ack() {
    for state in SYNCHRONIZED {
        let (mut host, sent, got) = at(state);
        send!(host, seq got + 70_000, ack sent, data b"late");
        acks(&mut host, sent, got, &format!("{state:?}"));
        send!(host, seq got.wrapping_sub(4), ack sent, data b"old!");
        acks(&mut host, sent, got, &format!("{state:?}"));
        assert_eq!((host.state(), host.counters.drop_tcp_window), (state, 2));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# if the ACK bit is off, drop the segment and return (SM-10)
#[test]
fn a_segment_without_ack_is_dropped() {
    for state in SYNCHRONIZED {
        let (mut host, _, got) = at(state);
        send!(host, seq got, data b"data");
        assert!(host.polls().is_empty(), "{state:?}");
        assert_eq!((host.state(), host.counters.drop_tcp_no_ack), (state, 1));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK, drop the segment, and return. (SM-12)
#[test]
fn an_ack_of_what_was_never_sent_is_answered() {
    for state in SYNCHRONIZED.into_iter().filter(|state| *state != State::SynReceived) {
        let (mut host, sent, got) = at(state);
        send!(host, seq got, ack sent + 1);
        acks(&mut host, sent, got, &format!("{state:?}"));
        assert_eq!((host.state(), host.counters.drop_tcp_ack_unsent), (state, 1));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# RFC 5961 [9], Section 5 describes a potential blind data injection attack, and mitigation that implementations MAY choose to include (MAY-12).
//= https://www.rfc-editor.org/rfc/rfc5961#section-5.2
//= type=test
//# TCP stacks that implement this mitigation MUST add an additional input check to any incoming segment. The ACK value is considered acceptable only if it is in the range of ((SND.UNA - MAX.SND.WND) <= SEG.ACK <= SND.NXT) (5961:5.2-2).
//= https://www.rfc-editor.org/rfc/rfc5961#section-5.2
//= type=test
//# All incoming segments whose ACK value doesn't satisfy the above condition MUST be discarded and an ACK sent back (5961:5.2-3).
//= https://www.rfc-editor.org/rfc/rfc5961#section-5.2
//= type=test
//# A new state variable MAX.SND.WND is defined as the largest window that the local sender has ever received from its peer (5961:5.2-4).
#[test]
fn an_ack_from_long_ago_is_challenged() {
    for state in SYNCHRONIZED.into_iter().filter(|state| *state != State::SynReceived) {
        let (mut host, sent, got) = at(state);
        send!(host, seq got, ack 1u32.wrapping_sub(60_000), data b"inject");
        acks(&mut host, sent, got, &format!("{state:?}"));
        assert_eq!((host.read(), host.counters.drop_tcp_ack_old), (Vec::new(), 1), "{state:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# Once in the ESTABLISHED state, it is possible to deliver segment data to user RECEIVE buffers. ... This should not occur since a FIN has been received from the remote side. Ignore the segment text. (SM-15)
#[test]
fn data_is_taken_where_the_peer_may_send() {
    for state in SYNCHRONIZED {
        let (mut host, sent, got) = at(state);
        let ack = if matches!(state, State::FinWait1 | State::Closing | State::LastAck) { 1 } else { sent };
        send!(host, seq got, ack ack, data b"data");
        let taken = state.receives() || state == State::SynReceived;
        assert_eq!(host.read() == b"data", taken, "{state:?}");
        assert_eq!(host.counters.drop_tcp_closed, u64::from(!taken), "{state:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
//= type=test
//# its TCP implementation SHOULD send a RST to show that data was lost (SHLD-3)
#[test]
fn data_for_nobody_is_reset() {
    for state in [State::Established, State::FinWait1, State::FinWait2] {
        let (mut host, sent, got) = at(state);
        host.connection.orphan(host.now);
        host.polls();
        send!(host, seq got, ack sent, data b"data");
        recv!(host, seq sent, flags "R");
        assert_eq!((host.state(), host.connection.ended()), (State::Closed, Some(EndReason::Unread)));
        host.silent();
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# advance RCV.NXT over the FIN, and send an acknowledgment for the FIN. ... Enter the CLOSE-WAIT state. ... otherwise, enter the CLOSING state. ... Enter the TIME-WAIT state. (SM-16)
#[test]
fn a_fin_moves_on() {
    let table = [
        (State::SynReceived, State::CloseWait),
        (State::Established, State::CloseWait),
        (State::FinWait1, State::Closing),
        (State::FinWait2, State::TimeWait),
        (State::CloseWait, State::CloseWait),
        (State::Closing, State::Closing),
        (State::LastAck, State::LastAck),
        (State::TimeWait, State::TimeWait),
    ];
    for (state, next) in table {
        let (mut host, sent, got) = at(state);
        let ack = if matches!(state, State::FinWait1 | State::Closing | State::LastAck) { 1 } else { sent };
        let again = state == next;
        send!(host, seq got - u32::from(again), ack ack, flag FIN);
        acks(&mut host, sent, got + u32::from(!again), &format!("{state:?}"));
        assert_eq!(host.state(), next, "{state:?}");
        assert!(host.connection.receive_ended());
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# if the FIN segment is now acknowledged, then enter FIN-WAIT-2 and continue processing in that state. ... if the ACK acknowledges our FIN, then enter the TIME-WAIT state ... If our FIN is now acknowledged, delete the TCB, enter the CLOSED state, and return. (SM-13)
#[test]
fn the_ack_of_our_fin_moves_on() {
    let table = [
        (State::FinWait1, State::FinWait2),
        (State::Closing, State::TimeWait),
        (State::LastAck, State::Closed),
    ];
    for (state, next) in table {
        let (mut host, sent, got) = at(state);
        send!(host, seq got, ack sent);
        assert_eq!(host.state(), next);
        assert!(host.polls().is_empty());
        let over = (next != State::FinWait2).then_some(EndReason::Finished);
        assert_eq!(host.connection.ended(), over);
    }
}

#[test]
fn abort_resets_where_the_rfc_says() {
    for state in SYNCHRONIZED.into_iter().chain([State::SynSent]) {
        let (mut host, sent, got) = at(state);
        host.connection.abort(host.now, EndReason::Aborted);
        assert_eq!(host.state(), State::Closed);
        let silent = matches!(state, State::Closing | State::LastAck | State::TimeWait | State::SynSent);
        if !silent {
            recv!(host, seq sent, ack got, flags "R", len 0);
        }
        host.silent();
        host.connection.abort(host.now, EndReason::Aborted);
        host.silent();
        assert_eq!(host.connection.poll_timeout(), None);
    }
}

#[test]
fn a_closed_connection_counts_what_comes() {
    let (mut host, sent, got) = at(State::Established);
    host.connection.abort(host.now, EndReason::Aborted);
    host.polls();
    send!(host, seq got, ack sent, data b"data");
    host.silent();
    assert_eq!(host.counters.drop_tcp_closed, 1);
}

#[test]
fn challenges_are_limited_but_owed_acks_are_not() {
    let (mut host, sent, got) = at(State::Established);
    let mut challenged = 0;
    for _ in 0..50 {
        send!(host, seq got + 1, ack sent, flag RST);
        challenged += host.polls().len();
    }
    assert_eq!(challenged, 10);
    send!(host, seq got - 1, ack sent, data b"x");
    acks(&mut host, sent, got, "a retransmission");
    host.after(1000);
    send!(host, seq got + 1, ack sent, flag RST);
    acks(&mut host, sent, got, "a second later");
}
