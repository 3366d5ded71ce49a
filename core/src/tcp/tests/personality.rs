//! What a personality decides of one connection: scales, windows, the timing of acknowledgements, data in a SYN that crosses ours.

use super::*;
use crate::config::{Config, Personality};

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
    assert_eq!(recv!(host, win 65_535).options.window_scale, Some(7));
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
