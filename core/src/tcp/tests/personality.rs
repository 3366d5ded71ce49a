//! What a personality decides of one connection: scales, windows, the timing of acknowledgements, data in a SYN that crosses ours.

use super::*;
use crate::config::{Config, OfferedWindow, Personality};

/// The settings of a FreeBSD host; no timestamps, so that numbers are round.
fn freebsd() -> TcpConfig {
    TcpConfig { timestamps: false, ..Config::of(Personality::FreeBsd).tcp }
}

/// A connection of such a host, whose peer scales its windows if asked to.
fn established(scale: Option<u8>, limit: usize) -> Host {
    let mut host = Host::connecting_with(freebsd(), setup(ISS), limit);
    let syn = recv!(host, seq 0, flags "S");
    assert_eq!(syn.options.window_scale, Some(6));
    let mut answer = segment(0, Some(1), Flags::SYN, b"").mss(MSS as u16);
    answer.header.options.window_scale = scale;
    host.deliver(answer);
    host
}

#[test]
fn the_scale_allows_for_what_the_buffer_may_become() {
    for (most, shift) in [(0, 0), (73_728, 1), (2_097_152, 6), (15_728_640, 8), (4_294_967_295, 14)] {
        let config = TcpConfig { window_scale_for: most, ..freebsd() };
        let mut host = Host::connecting_with(config.clone(), setup(ISS), 65_535);
        assert_eq!(recv!(host, win 65_535).options.window_scale, Some(shift), "{most}");
        let mut host = Host::accepting(config, setup(ISS), &segment(0, None, Flags::SYN, b"").scale(3));
        assert_eq!(recv!(host, seq 0).options.window_scale, Some(shift), "{most}");
    }
}

#[test]
fn the_linux_window_is_that_of_its_buffer() {
    let config = Config::default();
    let mut host = Host::connecting_with(config.tcp, setup(ISS), config.buffers.receive);
    assert_eq!(recv!(host, win 65_535).options.window_scale, Some(10));
}

#[test]
fn an_exact_window_is_what_is_free() {
    let mut host = established(Some(7), 65_700);
    recv!(host, ack 1, win 1027);
    let mut host = established(None, 65_700);
    recv!(host, ack 1, win 65_535);
    send!(host, seq 1, ack 1, data &[0; 99]);
    send!(host, seq 200, ack 1, data &[0; 100]);
    recv!(host, ack 100, win 65_535);
    send!(host, seq 100, ack 1, data &[0; 700]);
    recv!(host, ack 800, win 64_901);
    host.publish();
    host.consume(799);
    send!(host, seq 800, ack 1, flag FIN);
    recv!(host, ack 801, win 65_535);
}

#[test]
fn an_exact_window_is_not_silly_either() {
    let mut host = established(None, 8000);
    recv!(host, ack 1, win 8000);
    for at in 0..8 {
        send!(host, seq 1 + 1000 * at, ack 1, data &[0; 1000]);
    }
    host.publish();
    recv!(host, ack 8001, win 0);
    host.silent();
    host.consume(999);
    host.silent();
    send!(host, seq 8001, ack 1, data b"x");
    recv!(host, ack 8001, win 0);
    host.consume(1);
    recv!(host, ack 8001, win 1000);
}

#[test]
fn rounding_up_never_adds_up() {
    let mut host = established(Some(7), 10_000);
    host.polls();
    let mut seq = 1;
    while seq < 12_000 {
        send!(host, seq seq, ack 1, data b"x");
        if host.buffers.recv.len() < (seq as usize) {
            break;
        }
        host.polls();
        seq += 1;
    }
    assert!(host.buffers.recv.len() <= 10_000 + 64 + 10_000 / 8, "{}", host.buffers.recv.len());
}

#[test]
fn crumbs_behind_a_closed_exact_window_leave_it_closed() {
    let mut host = established(None, 8000);
    recv!(host, ack 1, win 8000);
    for at in 0..8 {
        send!(host, seq 1 + 1000 * at, ack 1, data &[0; 1000]);
    }
    host.publish();
    host.polls();
    for at in 0..10 {
        host.consume(900);
        send!(host, seq 8001 + 900 * at, ack 1, data &[0; 900]);
        recv!(host, ack 8001 + 900 * at, win 0);
        send!(host, seq 8001 + 900 * at, ack 1, data &[0; 900]);
        host.publish();
        host.timeout();
        recv!(host, ack 8901 + 900 * at, win 0);
    }
}

#[test]
fn every_second_segment_is_acknowledged_at_once_however_small() {
    let mut host = established(None, 65_700);
    recv!(host, ack 1);
    for seq in [1, 21, 41] {
        send!(host, seq seq, ack 1, data &[0; 10]);
        host.silent();
        send!(host, seq seq + 10, ack 1, data &[0; 10]);
        recv!(host, ack seq + 20);
        host.silent();
    }
    send!(host, seq 61, ack 1, data &[0; 10]);
    assert_eq!(host.timeout(), Duration::from_millis(40), "from the first segment on");
    recv!(host, ack 71);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3
//= type=test
//# If there are other controls or text in the segment, queue them for processing after the ESTABLISHED state has been reached, return.
#[test]
fn data_of_a_syn_that_crosses_ours_waits_for_the_handshake() {
    let cases: [(u32, &[u8], &[u8]); 4] =
        [(4, b"", b"abc"), (4, b"x", b"abcx"), (2, b"bcde", b"abcde"), (1, b"ab", b"abc")];
    for (seq, data, wanted) in cases {
        let mut host = Host::connecting(freebsd(), setup(ISS));
        recv!(host, seq 0, flags "S");
        send!(host, seq 0, flag SYN, flag FIN, data b"abc"; mss(1000));
        recv!(host, seq 0, ack 1, flags "S");
        host.silent();
        assert_eq!((host.state(), host.read()), (State::SynReceived, Vec::new()));
        send!(host, seq seq, ack 1, data data);
        assert_eq!((host.state(), &host.read()[..]), (State::Established, wanted));
        if wanted.len() == 3 {
            assert_eq!(host.timeout(), Duration::from_millis(40));
        }
        recv!(host, ack 1 + wanted.len() as u32);
        host.silent();
    }
}

#[test]
fn a_linux_host_lets_it_come_again() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, seq 0, flags "S");
    send!(host, seq 0, flag SYN, data b"abc"; mss(1000));
    recv!(host, seq 0, ack 1, flags "S");
    send!(host, seq 1, ack 1, data b"abc");
    assert_eq!(host.read(), b"abc");
}

#[test]
fn data_of_a_syn_for_nobody_is_answered_by_a_reset() {
    let mut host = Host::connecting(freebsd(), setup(ISS));
    recv!(host, seq 0, flags "S");
    send!(host, seq 0, flag SYN, data b"abc"; mss(1000));
    recv!(host, seq 0, ack 1, flags "S");
    host.connection.orphan(host.now);
    send!(host, seq 4, ack 1);
    recv!(host, flags "R");
    assert_eq!(host.connection.ended(), Some(EndReason::Unread));
}

#[test]
fn data_of_a_syn_beyond_the_window_is_left_to_the_peer() {
    let mut host = Host::connecting_with(freebsd(), setup(ISS), 2048);
    recv!(host, win 2048);
    send!(host, seq 0, flag SYN, data &[7; 3000]; mss(1000));
    recv!(host, ack 1);
    send!(host, seq 1, ack 1);
    assert_eq!(host.read().len(), 2048);
}

/// FreeBSD's retransmission of a FIN needs no time-out where an ACK goes anyway.
#[test]
fn a_fin_goes_along_with_acks_until_it_is_acknowledged() {
    for (fin_with_acks, flags) in [(true, "F"), (false, "")] {
        let mut host = Host::established_with(
            TcpConfig { fin_with_acks, wary_acks: Duration::ZERO, ..plain() },
            setup(ISS),
        );
        host.write(b"last");
        recv!(host, seq 1, len 4, flags "P");
        host.close();
        recv!(host, seq 5, flags "F");
        send!(host, seq 2, ack 1, data b"x");
        recv!(host, seq 6, ack 1, len 0, flags "");
        send!(host, seq 1, ack 5, data b"y");
        let seq = if fin_with_acks { 5 } else { 6 };
        recv!(host, seq seq, ack 3, len 0, flags flags);
        send!(host, seq 3, ack 6, data b"z");
        host.timeout();
        recv!(host, seq 6, ack 4, len 0, flags "");
        host.silent();
    }
}

#[test]
fn an_acknowledgement_in_what_is_old_counts_only_where_it_may() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
    //= type=test
    //# If an incoming segment is not acceptable, an acknowledgment should be sent in reply (unless the RST bit is set, if so drop the segment and return) (SM-5)
    let cases: [(u32, &[u8]); 3] = [(1, b"data"), (3, b"ta"), (0, b"")];
    for (seq, data) in cases {
        for old_segments_acknowledge in [true, false] {
            let config = TcpConfig { old_segments_acknowledge, ..plain() };
            let mut host = Host::established_with(config, setup(ISS));
            send!(host, seq 1, ack 1, data b"data");
            host.write(b"answer");
            recv!(host, seq 1, ack 5, len 6);
            send!(host, seq seq, ack 7, data data);
            recv!(host, seq 7, ack 5, len 0);
            assert_eq!(host.info().unacked, u32::from(!old_segments_acknowledge), "{seq} {data:?}");
        }
    }
}

#[test]
fn an_old_segment_acknowledges_nothing_that_was_never_sent() {
    let mut host = Host::established_with(freebsd(), setup(ISS));
    send!(host, seq 1, ack 1, data b"data"; window(50_000));
    assert_eq!(host.timeout(), Duration::from_millis(40));
    recv!(host, ack 5);
    send!(host, seq 1, ack 9, data b"data"; window(7));
    recv!(host, seq 1, ack 5, len 0);
    host.silent();
    assert_eq!(host.info().snd_wnd, 50_000);
}

#[test]
fn super_frames_are_pushed_as_the_personality_says() {
    for (config, flags) in [(plain(), "P"), (TcpConfig { push_super_frames: false, ..plain() }, "")] {
        let mut host = Host::established_with(config, setup(ISS));
        host.limits.super_frame = 4000;
        host.write_zeros(9000);
        recv!(host, seq 1, len 4000, gso 1000, flags flags);
        recv!(host, seq 4001, len 4000, gso 1000, flags flags);
        recv!(host, seq 8001, len 1000, flags "P");
        assert_eq!(
            host.timeout(),
            Duration::from_micros(host.info().rto.into()) / 2,
            "half of it was the timer"
        );
    }
}

#[test]
fn a_reset_behind_the_fin_is_told_as_the_personality_says() {
    for (reset_in_close_wait_is_epipe, errno) in [(true, Errno::EPIPE), (false, Errno::ECONNRESET)] {
        let config = TcpConfig { reset_in_close_wait_is_epipe, ..plain() };
        let mut host = Host::established_with(config, setup(ISS));
        send!(host, seq 1, ack 1, flag FIN);
        recv!(host, ack 2);
        send!(host, seq 2, ack 1, flag RST);
        assert_eq!((host.state(), host.connection.take_error()), (State::Closed, Some(errno)));
        assert_eq!(host.counters.tcp_resets_in, 1);
    }
}

/// All that is free is taken, also what a field without scale cannot say.
#[test]
fn an_exact_window_honors_what_its_field_cannot_say() {
    for (offered_window, wanted) in [(OfferedWindow::Exact, 70_001), (OfferedWindow::Stepped, 65_536)] {
        let config = TcpConfig { offered_window, ..plain() };
        let mut host = Host::connecting_with(config, setup(ISS), 70_000);
        recv!(host, win 65_535);
        send!(host, seq 0, ack 1, flag SYN; mss(1000));
        recv!(host, ack 1, win 65_535);
        send!(host, seq 1, ack 1, data &[0; 65_000]; merged(1000));
        send!(host, seq 65_001, ack 1, data &[0; 6000]; merged(1000));
        assert_eq!(host.buffers.recv.len() + 1, wanted);
    }
}
