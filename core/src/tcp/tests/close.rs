//! How connections end: FINs in every order, TIME-WAIT, retries, user timeout, keep-alive.

use super::*;

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
//= type=test
//# it MUST linger in the TIME-WAIT state for a time 2xMSL (Maximum Segment Lifetime) (MUST-13)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.8
//= type=test
//# If the time-wait timeout expires on a connection, delete the TCB, enter the CLOSED state, and return. (SM-17)
#[test]
fn closing_first() {
    let mut host = Host::established();
    host.write(b"last words");
    host.close();
    recv!(host, seq 1, ack 1, flags "FP", len 10);
    assert_eq!(host.state(), State::FinWait1);
    send!(host, seq 1, ack 12);
    assert_eq!(host.state(), State::FinWait2);
    send!(host, seq 1, ack 12, data b"more");
    assert_eq!(host.read(), b"more");
    send!(host, seq 5, ack 12, flag FIN);
    recv!(host, seq 12, ack 6, flags "");
    assert_eq!((host.state(), host.connection.ended()), (State::TimeWait, Some(EndReason::Finished)));
    assert_eq!(host.timeout(), Duration::from_secs(60));
    assert_eq!(host.state(), State::Closed);
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None);
}

#[test]
fn closing_second() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, flag FIN, data b"bye");
    assert_eq!((host.state(), host.connection.receive_ended()), (State::CloseWait, true));
    recv!(host, seq 1, ack 5);
    host.write(b"still here");
    recv!(host, seq 1, flags "P", len 10);
    host.close();
    recv!(host, seq 11, flags "F", len 0);
    assert_eq!(host.state(), State::LastAck);
    send!(host, seq 5, ack 12);
    assert_eq!((host.state(), host.connection.ended()), (State::Closed, Some(EndReason::Finished)));
}

#[test]
fn closing_at_once() {
    let mut host = Host::established();
    host.close();
    recv!(host, seq 1, ack 1, flags "F");
    send!(host, seq 1, ack 1, flag FIN);
    recv!(host, seq 2, ack 2, flags "");
    assert_eq!(host.state(), State::Closing);
    send!(host, seq 2, ack 2);
    assert_eq!(host.state(), State::TimeWait);
}

#[test]
fn the_peers_fin_with_the_ack_of_ours() {
    let mut host = Host::established();
    host.close();
    recv!(host, flags "F");
    send!(host, seq 1, ack 2, flag FIN);
    assert_eq!(host.state(), State::TimeWait);
    recv!(host, seq 2, ack 2);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# The only thing that can arrive in this state is a retransmission of the remote FIN. Acknowledge it, and restart the 2 MSL timeout. (SM-13)
#[test]
fn a_fin_sent_again_restarts_time_wait() {
    let mut host = Host::established();
    host.close();
    recv!(host, flags "F");
    send!(host, seq 1, ack 2, flag FIN);
    recv!(host, ack 2);
    host.after(50_000);
    send!(host, seq 1, ack 2, flag FIN);
    recv!(host, seq 2, ack 2);
    assert_eq!(host.timeout(), Duration::from_secs(60));
    assert_eq!(host.state(), State::Closed);
}

#[test]
fn time_wait_gives_way_to_a_newer_syn() {
    let mut host = Host::established();
    host.close();
    host.polls();
    send!(host, seq 1, ack 2, flag FIN);
    let reopens = |seq| host.connection.may_reopen(&segment(seq, None, Flags::SYN, b"").header, &plain());
    assert_eq!((reopens(1), reopens(0)), (None, None));
    let iss = reopens(2).unwrap();
    assert!(iss.since(SeqNum(ISS)) > 65_535, "{iss:?}");
    assert_eq!(
        Host::established().connection.may_reopen(&segment(3, None, Flags::SYN, b"").header, &plain()),
        None
    );
}

#[test]
fn a_fin_waits_for_what_is_missing() {
    let mut host = Host::established();
    send!(host, seq 4, ack 1, flag FIN, data b"def");
    recv!(host, ack 1);
    host.silent();
    assert_eq!(host.state(), State::Established);
    send!(host, seq 1, ack 1, data b"abc");
    assert_eq!((host.read(), host.state()), (b"abcdef".to_vec(), State::CloseWait));
    recv!(host, ack 8);
    host.silent();
}

#[test]
fn a_bare_fin_out_of_order() {
    let mut host = Host::established();
    send!(host, seq 4, ack 1, flag FIN);
    recv!(host, ack 1);
    send!(host, seq 1, ack 1, data b"abc");
    recv!(host, ack 5);
    assert_eq!(host.state(), State::CloseWait);
}

#[test]
fn a_lost_fin_is_sent_again() {
    let mut host = Host::established();
    host.write(b"abc");
    host.close();
    recv!(host, seq 1, flags "FP", len 3);
    host.timeout();
    recv!(host, seq 1, flags "FP", len 3);
    send!(host, seq 1, ack 4);
    host.timeout();
    recv!(host, seq 4, flags "F", len 0);
    send!(host, seq 1, ack 5);
    assert_eq!(host.state(), State::FinWait2);
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None, "FIN-WAIT-2 of a held connection has no limit");
}

#[test]
fn fin_wait_2_of_an_orphan_is_limited() {
    let mut host = Host::established();
    host.close();
    host.polls();
    send!(host, seq 1, ack 2);
    host.after(5000).connection.orphan(START + Duration::from_secs(5));
    assert_eq!(host.timeout(), Duration::from_secs(60));
    assert_eq!((host.state(), host.timed_out()), (State::Closed, Some(Timeout::FinWait2)));
    assert_eq!(host.connection.ended().and_then(|reason| reason.errno()), Some(Errno::ETIMEDOUT));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# The following procedure MUST be used to handle excessive retransmissions of data segments (MUST-20)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.8
//= type=test
//# For any state if the retransmission timeout expires on a segment in the retransmission queue, send the segment at the front of the retransmission queue again, reinitialize the retransmission timer, and return. (SM-17)
#[test]
fn data_is_given_up_after_its_retries() {
    for (orphan, most) in [(false, 4), (true, 2)] {
        let mut host =
            Host::established_with(TcpConfig { data_retries: 4, orphan_retries: 2, ..plain() }, setup(ISS));
        host.write(b"anybody?");
        if orphan {
            host.connection.orphan(host.now);
        }
        recv!(host, seq 1, len 8);
        let mut waited = Vec::new();
        for _ in 0..most {
            waited.push(host.timeout().as_millis());
            recv!(host, seq 1, len 8);
        }
        host.timeout();
        assert!(waited.windows(2).all(|pair| pair[1] == pair[0] * 2), "{waited:?}");
        assert_eq!(host.timed_out(), Some(Timeout::Retransmission));
        assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
        host.silent();
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.8
//= type=test
//# For any state if the user timeout expires, flush all queues, signal the user "error: connection aborted due to user timeout" (SM-17)
#[test]
fn the_user_timeout() {
    let mut host = Host::established();
    host.connection.options_mut().user_timeout = Some(Duration::from_secs(3));
    host.write(b"abc");
    recv!(host, len 3);
    let start = host.now;
    while host.state() == State::Established {
        host.timeout();
        if host.state() == State::Established {
            recv!(host, seq 1, len 3);
        }
    }
    assert_eq!(host.now.since(start), Duration::from_secs(3));
    assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
    host.silent();
}

#[test]
fn progress_restarts_the_user_timeout() {
    let mut host = Host::established();
    host.connection.options_mut().user_timeout = Some(Duration::from_secs(3));
    host.write(b"abcdef");
    recv!(host, len 6);
    host.after(2900);
    host.polls();
    send!(host, seq 1, ack 4);
    host.after(2900);
    assert_eq!(host.state(), State::Established);
    host.after(200);
    assert_eq!(host.state(), State::Closed);
}

fn kept_alive() -> Host {
    let mut setup = setup(ISS);
    setup.options.keep_alive = true;
    setup.options.keep_probes = 3;
    Host::established_with(plain(), setup)
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
//= type=test
//# it MUST NOT interpret failure to respond to any specific probe as a dead connection (MUST-29)
#[test]
fn keep_alive_probes_and_gives_up() {
    let mut host = kept_alive();
    assert_eq!(host.timeout(), Duration::from_secs(7200));
    recv!(host, seq 0, ack 1, flags "", len 0);
    for _ in 0..2 {
        assert_eq!(host.timeout(), Duration::from_secs(75));
        recv!(host, seq 0);
    }
    host.timeout();
    recv!(host, seq 1, flags "R");
    assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
    assert_eq!(host.counters.tcp_keepalives, 3);
}

#[test]
fn an_answer_restarts_keep_alive() {
    let mut host = kept_alive();
    host.timeout();
    recv!(host, seq 0);
    send!(host, seq 1, ack 1);
    assert_eq!(host.timeout(), Duration::from_secs(7200));
    recv!(host, seq 0);
}

#[test]
fn the_peers_keep_alive_is_answered() {
    let mut host = Host::established();
    send!(host, seq 0, ack 1);
    recv!(host, seq 1, ack 1, len 0);
    send!(host, seq 0, ack 1, data b"g");
    recv!(host, seq 1, ack 1, len 0);
    assert_eq!(host.read(), b"");
}
