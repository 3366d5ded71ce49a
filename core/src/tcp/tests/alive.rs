//! Keep-alive and the user timeout: what a silent peer or a closed window costs, and what does not (RFC 9293 3.8.3, 3.8.4, RFC 5482).

use super::*;

fn with(change: impl FnOnce(&mut Options)) -> Host {
    let mut setup = setup(ISS);
    change(&mut setup.options);
    Host::established_with(plain(), setup)
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
//= type=test
//# the application MUST be able to turn them on or off for each TCP connection (MUST-24), and they MUST default to off (MUST-25).
#[test]
fn it_is_off_until_asked_for_and_again_when_it_is_no_more() {
    let mut host = Host::established();
    assert_eq!(host.connection.poll_timeout(), None);
    host.connection.options_mut().keep_alive = true;
    host.silent();
    assert_eq!(host.timeout(), Duration::from_secs(7200));
    recv!(host, seq 0);
    host.connection.options_mut().keep_alive = false;
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None);
    host.after(10_000_000);
    assert_eq!((host.state(), host.counters.tcp_keepalives), (State::Established, 1));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
//= type=test
//# Keep-alive packets MUST only be sent when no sent data is outstanding, and no data or acknowledgment packets have been received for the connection within an interval (MUST-26).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
//= type=test
//# Implementers MAY include "keep-alives" in their TCP implementations (MAY-5), although this practice is not universally accepted.
#[test]
fn only_an_idle_connection_is_probed() {
    let mut host = with(|options| {
        options.keep_alive = true;
        options.keep_idle = Duration::from_secs(10);
    });
    for _ in 0..5 {
        host.after(9000);
        send!(host, seq 1, ack 1);
        host.silent();
    }
    host.write(b"data in flight");
    recv!(host, len 14);
    let end = host.now + Duration::from_secs(60);
    while host.now < end {
        host.timeout();
        host.polls();
    }
    assert_eq!(host.counters.tcp_keepalives, 0, "retransmission does that work");
    send!(host, seq 1, ack 15; window(0));
    host.write(b"behind a closed window");
    let end = host.now + Duration::from_secs(60);
    while host.now < end {
        host.timeout();
        host.polls();
        send!(host, seq 1, ack 15; window(0));
    }
    assert_eq!(host.counters.tcp_keepalives, 0, "window probes do");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
//= type=test
//# This interval MUST be configurable (MUST-27) and MUST default to no less than two hours (MUST-28).
//# An implementation SHOULD send a keep-alive segment with no data (SHLD-12)
#[test]
fn interval_probes_and_their_number_are_settings() {
    assert_eq!(TcpConfig::default().keepalive_idle, Duration::from_secs(2 * 3600));
    let mut host = with(|options| {
        options.keep_alive = true;
        options.keep_idle = Duration::from_secs(5);
        options.keep_interval = Duration::from_secs(2);
        options.keep_probes = 4;
    });
    for expected in [5, 2, 2, 2] {
        assert_eq!(host.timeout(), Duration::from_secs(expected));
        recv!(host, seq 0, ack 1, flags "", len 0);
    }
    assert_eq!(host.timeout(), Duration::from_secs(2));
    assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
    recv!(host, seq 1, flags "R");
}

#[test]
fn it_goes_on_in_half_closed_states() {
    for peer_closed in [true, false] {
        let mut host = with(|options| options.keep_alive = true);
        if peer_closed {
            send!(host, seq 1, ack 1, flag FIN);
        } else {
            host.close();
            host.polls();
            send!(host, seq 1, ack 2);
        }
        host.polls();
        assert_eq!(host.timeout(), Duration::from_secs(7200));
        recv!(host, seq u32::from(!peer_closed), ack 1 + u32::from(peer_closed), len 0);
    }
}

#[test]
fn with_a_user_timeout_that_counts_instead_of_the_probes() {
    let mut host = with(|options| {
        options.keep_alive = true;
        options.keep_idle = Duration::from_secs(10);
        options.keep_interval = Duration::from_secs(1);
        options.keep_probes = 2;
        options.user_timeout = Some(Duration::from_secs(15));
    });
    let start = host.now;
    while host.state() == State::Established {
        host.timeout();
        host.polls();
    }
    assert_eq!((host.now.since(start), host.counters.tcp_keepalives), (Duration::from_secs(15), 5));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# An application MUST (MUST-21) be able to set the value for R2 for a particular connection.
#[test]
fn the_user_timeout_is_the_programs_r2() {
    for seconds in [2, 300] {
        let mut host = with(|options| options.user_timeout = Some(Duration::from_secs(seconds)));
        host.write(b"x");
        host.polls();
        let start = host.now;
        while host.state() == State::Established {
            host.timeout();
            host.polls();
        }
        assert_eq!(host.now.since(start), Duration::from_secs(seconds));
    }
}

/// Longer than any number of retransmissions takes, and of probes behind a window that is shut.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# An application MUST (MUST-21) be able to set the value for R2 for a particular connection.
#[test]
fn a_long_user_timeout_counts_instead_of_the_retries() {
    let config = TcpConfig { data_retries: 3, ..plain() };
    let patience = Duration::from_secs(3 * 3600);
    for shut in [false, true] {
        let mut setup = setup(ISS);
        setup.options.user_timeout = Some(patience);
        let mut host = Host::established_with(config.clone(), setup);
        if shut {
            send!(host, seq 1, ack 1; window(0));
        }
        host.write(b"x");
        host.polls();
        let start = host.now;
        while host.state() == State::Established {
            host.timeout();
            host.polls();
        }
        assert_eq!((host.now.since(start), host.timed_out()), (patience, Some(Timeout::User)), "{shut}");
    }
}

/// Nobody waits for what becomes of it then: that it ends soon is in the interest of all the others.
#[test]
fn the_number_of_retries_counts_again_once_nobody_holds_the_connection() {
    for shut in [false, true] {
        let mut setup = setup(ISS);
        setup.options.user_timeout = Some(Duration::from_secs(3 * 3600));
        let config = TcpConfig { orphan_retries: 4, ..plain() };
        let mut host = Host::established_with(config, setup);
        if shut {
            send!(host, seq 1, ack 1; window(0));
        }
        host.write(b"x");
        host.close();
        host.connection.orphan(host.now);
        host.polls();
        let mut sent = 0;
        while host.state() != State::Closed {
            host.timeout();
            sent += host.polls().iter().filter(|sent| !sent.flags.has(Flags::RST)).count();
        }
        assert_eq!(sent, 4, "{shut}");
    }
}

#[test]
fn a_user_timeout_counts_behind_a_closed_window_that_the_peer_confirms() {
    let mut host = with(|options| options.user_timeout = Some(Duration::from_secs(30)));
    send!(host, seq 1, ack 1; window(0));
    host.write(b"x");
    host.silent();
    let start = host.now;
    while host.state() == State::Established {
        host.timeout();
        if !host.polls().is_empty() && host.state() == State::Established {
            send!(host, seq 1, ack 1; window(0));
        }
    }
    assert_eq!(host.now.since(start), Duration::from_secs(30), "as in Linux");
}

#[test]
fn a_window_that_opens_begins_a_new_wait() {
    let mut host = with(|options| options.user_timeout = Some(Duration::from_secs(30)));
    send!(host, seq 1, ack 1; window(0));
    host.write(b"x");
    host.silent();
    host.after(29_000);
    host.polls();
    send!(host, seq 1, ack 1; window(100));
    host.polls();
    let opened = host.now;
    while host.state() == State::Established {
        host.timeout();
        host.polls();
    }
    assert_eq!(host.now.since(opened), Duration::from_secs(30));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# When the number of transmissions of the same segment reaches or exceeds threshold R1, pass negative advice (see Section 3.3.1.4 of [19]) to the IP layer, to trigger dead-gateway diagnosis. (MUST-20)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# The value of R1 SHOULD correspond to at least 3 retransmissions, at the current RTO (SHLD-10).
#[test]
fn r1_gives_advice_once() {
    let mut host = Host::established();
    host.write(b"x");
    host.polls();
    let mut told = Vec::new();
    for _ in 0..6 {
        host.timeout();
        host.polls();
        told.push(host.connection.take_advice());
    }
    assert_eq!(told, [false, false, true, false, false, false]);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# The value of R2 SHOULD correspond to at least 100 seconds (SHLD-11).
//# In particular, R2 for a SYN segment MUST be set large enough to provide retransmission of the segment for at least 3 minutes (MUST-23).
#[test]
fn patience_is_as_long_as_is_asked() {
    let mut host = Host::established();
    host.write(b"x");
    while host.state() == State::Established {
        host.polls();
        host.timeout();
    }
    assert!(host.now.since(START) >= Duration::from_secs(100));
    let mut host = Host::connecting(plain(), setup(ISS));
    let mut last = host.now;
    while host.state() == State::SynSent {
        last = if host.polls().is_empty() { last } else { host.now };
        host.timeout();
    }
    assert!(host.now.since(START) >= Duration::from_secs(180), "{:?}", last.since(START));
}
