//! Options of a socket that the protocol obeys: TCP_CORK, MSG_MORE, TCP_NODELAY, TCP_QUICKACK, TCP_LINGER2.

use super::*;

/// Established, with what `set` sets.
fn host(set: impl Fn(&mut Options)) -> Host {
    let mut host = Host::established();
    set(host.connection.options_mut());
    host.silent();
    host
}

#[test]
fn a_cork_holds_less_than_a_segment() {
    let mut host = host(|options| options.cork = true);
    host.write_zeros(100);
    host.silent();
    host.write_zeros(1000);
    recv!(host, seq 1, len 1000);
    host.silent();
    send!(host, seq 1, ack 1001);
    host.silent();
    host.connection.options_mut().cork = false;
    recv!(host, seq 1001, len 100);
    host.silent();
}

#[test]
fn a_cork_holds_for_200_milliseconds_from_where_it_began_to() {
    let mut host = host(|options| options.cork = true);
    host.write_zeros(100);
    host.silent();
    host.after(150).write_zeros(50);
    assert_eq!(host.timeout(), Duration::from_millis(50));
    recv!(host, seq 1, len 150, flags "P");
    send!(host, seq 1, ack 151);
    // What is written later is held again.
    host.write_zeros(10);
    assert_eq!(host.timeout(), Duration::from_millis(200));
    recv!(host, seq 151, len 10, flags "P");
}

#[test]
fn the_ceiling_of_a_cork_is_a_setting() {
    let config = TcpConfig { cork: Duration::from_millis(30), ..plain() };
    let mut host = Host::established_with(config, setup(ISS));
    host.connection.options_mut().cork = true;
    host.write_zeros(1);
    assert_eq!(host.timeout(), Duration::from_millis(30));
    recv!(host, seq 1, len 1);
}

#[test]
fn without_the_cork_nagle_decides() {
    let mut host = host(|options| options.cork = true);
    host.write_zeros(1);
    host.timeout();
    recv!(host, seq 1, len 1);
    host.write_zeros(1);
    host.silent();
    host.connection.options_mut().cork = false;
    host.silent();
    send!(host, seq 1, ack 2);
    recv!(host, seq 2, len 1);
}

#[test]
fn no_delay_pushes_what_is_queued_past_the_cork_and_nagle() {
    let mut host = host(|options| options.cork = true);
    host.write_zeros(1);
    host.silent();
    host.connection.options_mut().no_delay = true;
    host.silent();
    host.connection.push(host.now, &host.buffers);
    recv!(host, seq 1, len 1);
    // The cork holds what comes later, no_delay or not.
    host.write_zeros(1);
    host.silent();
    host.connection.options_mut().cork = false;
    recv!(host, seq 2, len 1);

    let mut host = self::host(|_| {});
    host.write_zeros(1);
    recv!(host, seq 1, len 1);
    host.write_zeros(1);
    host.silent();
    host.connection.push(host.now, &host.buffers);
    recv!(host, seq 2, len 1);
    host.write_zeros(1);
    host.silent();
    // Nothing to push is no promise for what comes later.
    send!(host, seq 1, ack 3);
    recv!(host, seq 3, len 1);
    host.connection.push(host.now, &host.buffers);
    host.write_zeros(1);
    host.silent();
}

#[test]
fn a_push_lasts_until_the_window_has_let_it_pass() {
    let mut host = host(|options| options.cork = true);
    send!(host, seq 1, ack 1; window(2000));
    host.write_zeros(2500);
    recv!(host, seq 1, len 1000);
    recv!(host, seq 1001, len 1000);
    host.silent();
    host.connection.push(host.now, &host.buffers);
    host.silent();
    send!(host, seq 1, ack 2001);
    recv!(host, seq 2001, len 500);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
//= type=test
//# A TCP endpoint MAY implement PUSH flags on SEND calls (MAY-15).
#[test]
fn more_waits_for_an_ack_at_most_and_pushes_nothing() {
    let mut host = host(|options| options.no_delay = true);
    host.connection.expect_more(true);
    host.write_zeros(1100);
    recv!(host, seq 1, len 1000, flags "");
    host.silent();
    send!(host, seq 1, ack 1001);
    recv!(host, seq 1001, len 100, flags "");
    host.connection.expect_more(true);
    host.write_zeros(10);
    host.silent();
    host.connection.expect_more(false);
    host.write_zeros(10);
    recv!(host, seq 1101, len 20, flags "P");
}

#[test]
fn more_is_a_cork_for_one_write() {
    let mut host = host(|options| options.no_delay = true);
    host.connection.expect_more(true);
    host.write_zeros(100);
    host.silent();
    host.connection.expect_more(false);
    host.write_zeros(50);
    recv!(host, seq 1, len 150);
    send!(host, seq 1, ack 151);
    host.connection.expect_more(true);
    host.write_zeros(10);
    assert_eq!(host.timeout(), Duration::from_millis(200));
    recv!(host, seq 151, len 10);
}

#[test]
fn a_fin_pulls_the_cork() {
    let mut host = host(|options| options.cork = true);
    host.connection.expect_more(true);
    host.write_zeros(100);
    host.silent();
    host.close();
    recv!(host, seq 1, len 100, flags "FP");
}

#[test]
fn quick_acks_for_a_while() {
    let mut host = host(|_| {});
    assert!(!host.connection.acks_quickly());
    send!(host, seq 1, ack 1, data b"delayed");
    host.silent();
    host.connection.quick_acks(host.now, 2);
    recv!(host, seq 1, ack 8, len 0);
    assert!(host.connection.acks_quickly());
    send!(host, seq 8, ack 1, data b"quick");
    recv!(host, ack 13);
    send!(host, seq 13, ack 1, data b"delayed again");
    host.silent();
    host.connection.quick_acks(host.now, 5);
    recv!(host, ack 26);
    host.connection.quick_acks(host.now, 0);
    send!(host, seq 26, ack 1, data b"x");
    host.silent();
    assert_eq!(host.timeout(), host.config.delayed_ack);
    recv!(host, ack 27);
}

#[test]
fn acks_are_quick_from_the_start_unless_told_otherwise() {
    for quick_ack in [true, false] {
        let options = Options { quick_ack, ..no_options() };
        let config = TcpConfig { quick_acks: 4, ..plain() };
        let mut host = Host::established_with(config, Setup { options, ..setup(ISS) });
        send!(host, seq 1, ack 1, data b"x");
        assert_eq!(host.poll().is_some(), quick_ack);
    }
}

/// In FIN-WAIT-2, held by nobody.
fn orphan(fin_wait_2: Option<Duration>) -> Host {
    let mut host = host(|options| options.fin_wait_2 = fin_wait_2);
    host.close();
    recv!(host, flags "F");
    send!(host, seq 1, ack 2);
    host.connection.orphan(host.now);
    host
}

#[test]
fn fin_wait_2_lasts_as_long_as_the_option_says() {
    let mut host = orphan(Some(Duration::from_secs(7)));
    assert_eq!(host.timeout(), Duration::from_secs(7));
    assert_eq!(host.timed_out(), Some(Timeout::FinWait2));
    host.silent();
    let mut host = orphan(None);
    host.silent();
    assert_eq!(host.connection.poll_timeout(), Some(host.now));
    host.run_timers();
    assert_eq!(host.timed_out(), Some(Timeout::FinWait2));
    recv!(host, seq 2, ack 1, flags "R");
}

#[test]
fn the_peers_fin_in_time_leads_to_time_wait() {
    let mut host = orphan(Some(Duration::from_secs(5)));
    host.after(4000);
    send!(host, seq 1, ack 2, flag FIN);
    recv!(host, seq 2, ack 2);
    assert_eq!(host.state(), State::TimeWait);
    assert_eq!(host.timeout(), Duration::from_secs(60));
}

#[test]
fn what_the_network_says_is_news_once_and_again_when_it_is_over() {
    let mut host = host(|_| {});
    assert_eq!(host.connection.soft_error(), None);
    host.write_zeros(1);
    recv!(host, seq 1);
    let from = "203.0.113.9".parse().unwrap();
    let told = Unreachable { errno: Errno::EHOSTUNREACH, kind: 3, code: 1, from };
    let heeded =
        host.connection.on_icmp(host.now, IcmpError::Unreachable(told), SeqNum(ISS) + 1, &host.config);
    assert_eq!(heeded, Ok(()));
    assert_eq!(host.connection.soft_error(), Some(Some(Errno::EHOSTUNREACH)));
    assert_eq!(host.connection.soft_error(), None);
    send!(host, seq 1, ack 2);
    assert_eq!(host.connection.soft_error(), Some(None));
    send!(host, seq 1, ack 2);
    assert_eq!(host.connection.soft_error(), None);
}
