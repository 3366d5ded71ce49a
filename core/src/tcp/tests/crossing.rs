//! SYNs and FINs that cross on the way: simultaneous open and close through every state.

use super::*;

/// Our SYN and the peer's have crossed: SYN-RECEIVED by an active open, its SYN/ACK sent.
fn crossed() -> Host {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, seq 0, flags "S");
    send!(host, seq 0, flag SYN; mss(1000));
    recv!(host, seq 0, ack 1, flags "S");
    assert_eq!(host.state(), State::SynReceived);
    host
}

#[test]
fn the_peers_syn_ack_or_a_mere_ack_completes_it() {
    for syn in [true, false] {
        let mut host = crossed();
        if syn {
            send!(host, seq 0, ack 1, flag SYN);
        } else {
            send!(host, seq 1, ack 1);
        }
        assert_eq!((host.state(), host.connection.established()), (State::Established, true));
        assert_eq!(host.polls().len(), usize::from(syn), "a SYN/ACK has to be acknowledged");
    }
}

#[test]
fn the_syn_ack_is_sent_again_until_it_is_answered() {
    let mut host = crossed();
    for expected in [1, 2, 4] {
        assert_eq!(host.timeout(), Duration::from_secs(expected));
        recv!(host, seq 0, ack 1, flags "S");
    }
    send!(host, seq 0, flag SYN);
    recv!(host, seq 0, ack 1, flags "S");
    host.silent();
    for _ in 0..3 {
        assert_eq!(host.state(), State::SynReceived);
        host.timeout();
        host.poll();
    }
    assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
}

#[test]
fn the_user_timeout_goes_on_from_the_first_syn() {
    let mut setup = setup(ISS);
    setup.options.user_timeout = Some(Duration::from_secs(5));
    let mut host = Host::connecting(plain(), setup);
    host.poll();
    host.after(600);
    send!(host, seq 0, flag SYN);
    while host.state() == State::SynReceived {
        host.polls();
        host.timeout();
    }
    assert_eq!(host.now.since(START), Duration::from_secs(5));
    assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.5
//= type=test
//# a TCP implementation MUST keep track of whether a connection has reached SYN-RECEIVED state as the result of a passive OPEN or an active OPEN (MUST-11).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If this connection was initiated with an active OPEN (i.e., came from SYN-SENT state), then the connection was refused; signal the user "connection refused" (SM-7).
#[test]
fn a_reset_refuses_an_active_opener() {
    let mut host = crossed();
    send!(host, seq 1, ack 1, flag RST);
    assert_eq!(
        (host.state(), host.connection.ended()),
        (State::Closed, Some(EndReason::Reset { seq: (SeqNum(IRS) + 1).0, errno: Errno::ECONNREFUSED }))
    );
    assert_eq!(host.connection.take_error(), Some(Errno::ECONNREFUSED));
    host.silent();
}

#[test]
fn what_was_written_and_closed_before_goes_once_it_is_open() {
    let mut host = crossed();
    host.write(b"early");
    host.close();
    host.silent();
    assert_eq!(host.state(), State::SynReceived);
    send!(host, seq 0, ack 1, flag SYN);
    recv!(host, seq 1, ack 1, flags "FP", len 5);
    assert_eq!(host.state(), State::FinWait1);
    send!(host, seq 1, ack 7);
    assert_eq!(host.state(), State::FinWait2);
}

#[test]
fn text_and_fin_with_the_ack_count() {
    let mut host = crossed();
    send!(host, seq 1, ack 1, flag FIN, data b"all of it");
    assert_eq!((host.state(), host.read()), (State::CloseWait, b"all of it".to_vec()));
    recv!(host, seq 1, ack 11, flags "");
    let mut host = crossed();
    send!(host, seq 0, ack 1, flag SYN, flag FIN, data b"with the SYN");
    assert_eq!((host.state(), host.read()), (State::CloseWait, b"with the SYN".to_vec()));
    recv!(host, ack 14);
}

#[test]
fn a_fin_without_ack_is_no_end() {
    let mut host = crossed();
    send!(host, seq 1, flag FIN, data b"no ACK");
    assert_eq!((host.state(), host.counters.drop_tcp_no_ack), (State::SynReceived, 1));
    host.silent();
}

#[test]
fn a_wrong_ack_is_answered_by_rst_and_harms_nothing() {
    let mut host = crossed();
    for ack in [0, 2, 900] {
        send!(host, seq 1, ack ack);
        recv!(host, seq ack, flags "R");
        assert_eq!(host.state(), State::SynReceived);
    }
}

/// Both FINs are under way: CLOSING.
fn closing() -> Host {
    let mut host = Host::established();
    host.write(b"mine");
    host.close();
    recv!(host, seq 1, ack 1, flags "FP", len 4);
    send!(host, seq 1, ack 1, flag FIN, data b"yours");
    assert_eq!((host.state(), host.read()), (State::Closing, b"yours".to_vec()));
    recv!(host, seq 6, ack 7, flags "");
    host
}

#[test]
fn crossing_fins_meet_in_time_wait() {
    let mut host = closing();
    assert_eq!(host.connection.ended(), None, "ours may still be lost");
    send!(host, seq 7, ack 5);
    assert_eq!(host.state(), State::Closing, "the data, not the FIN");
    send!(host, seq 7, ack 6);
    assert_eq!((host.state(), host.connection.ended()), (State::TimeWait, Some(EndReason::Finished)));
    assert_eq!(host.timeout(), Duration::from_secs(60));
    assert_eq!(host.state(), State::Closed);
}

#[test]
fn a_lost_fin_is_sent_again_in_closing_and_last_ack() {
    let mut host = closing();
    host.timeout();
    recv!(host, seq 1, ack 7, flags "FP", len 4);
    send!(host, seq 1, ack 1, flag FIN, data b"yours");
    recv!(host, ack 7);
    assert_eq!(host.state(), State::Closing, "their FIN once more is no ACK of ours");
    send!(host, seq 7, ack 6);
    assert_eq!(host.state(), State::TimeWait);

    let mut host = Host::established();
    send!(host, seq 1, ack 1, flag FIN);
    recv!(host, ack 2);
    host.close();
    recv!(host, seq 1, flags "F");
    assert_eq!(host.state(), State::LastAck);
    host.timeout();
    recv!(host, seq 1, ack 2, flags "F");
    send!(host, seq 2, ack 2);
    assert_eq!(host.state(), State::Closed);
}

#[test]
fn whoever_hears_nothing_more_while_closing_gives_up() {
    let mut host = closing();
    host.connection.orphan(host.now);
    while host.state() == State::Closing {
        host.polls();
        host.timeout();
    }
    assert_eq!(host.counters.tcp_timeouts, u64::from(host.config.orphan_retries));
    assert!(matches!(host.connection.ended(), Some(EndReason::TimedOut { network: None, .. })));
}

#[test]
fn a_reset_that_crosses_ours_leaves_nobody_to_tell() {
    let mut host = Host::established();
    host.connection.abort(host.now, EndReason::Aborted);
    send!(host, seq 1, ack 1, flag RST);
    host.silent();
    let mut host = Host::established();
    host.connection.abort(host.now, EndReason::Aborted);
    send!(host, seq 2, ack 1, flag RST);
    recv!(host, seq 1, ack 1, flags "R");
}
