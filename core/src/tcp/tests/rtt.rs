//! The retransmission timer by the rules of RFC 6298 section 5.

use super::*;

/// When the timer expires.
fn armed(host: &Host) -> Option<Duration> {
    let left = host.connection.poll_timeout()?.since(host.now);
    Some(Duration::from_micros(left.as_micros() as u64))
}

fn rto(host: &Host) -> Duration {
    Duration::from_micros(host.info().rto.into())
}

//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# Every time a packet containing data is sent (including a retransmission), if the timer is not running, start it running so that it will expire after RTO seconds (for the current value of RTO) (6298:5-2).
//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# When all outstanding data has been acknowledged, turn off the retransmission timer (6298:5-3).
//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# When an ACK is received that acknowledges new data, restart the retransmission timer so that it will expire after RTO seconds (for the current value of RTO) (6298:5-4).
#[test]
fn the_timer_runs_while_something_is_in_flight() {
    let mut host = Host::established();
    assert_eq!(armed(&host), None);
    host.write_zeros(3000);
    host.polls();
    assert_eq!(armed(&host), Some(rto(&host)), "(5.1)");
    host.after(50);
    host.write_zeros(1000);
    host.polls();
    assert_eq!(armed(&host), Some(rto(&host) - Duration::from_millis(50)), "it runs already");
    send!(host, seq 1, ack 1001);
    host.silent();
    assert_eq!(armed(&host), Some(rto(&host)), "(5.3)");
    send!(host, seq 1, ack 4001);
    host.silent();
    assert_eq!(armed(&host), None, "(5.2)");
}

//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# Retransmit the earliest segment that has not been acknowledged by the TCP receiver (6298:5-5).
//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# The host MUST set RTO <- RTO * 2 ("back off the timer") (6298:5-6).
//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# Start the retransmission timer, such that it expires after RTO seconds (for the value of RTO after the doubling operation outlined in 5.5) (6298:5-7).
#[test]
fn its_expiry_sends_the_earliest_segment_and_doubles_it() {
    let mut host = Host::established();
    host.write_zeros(3000);
    host.polls();
    let mut wait = rto(&host);
    for _ in 0..4 {
        assert_eq!(host.timeout(), wait);
        recv!(host, seq 1, len 1000);
        host.silent();
        wait *= 2;
        assert_eq!(armed(&host), Some(wait), "(5.6)");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# An implementation MUST manage the retransmission timer(s) in such a way that a segment is never retransmitted too early, i.e., less than one RTO after the previous transmission of that segment (6298:5-1).
#[test]
fn what_was_just_sent_again_has_a_whole_timeout() {
    let mut host = Host::established();
    host.write_zeros(10_000);
    host.polls();
    host.after(150);
    for _ in 0..3 {
        send!(host, seq 1, ack 1);
    }
    recv!(host, seq 1, len 1000);
    host.polls();
    assert_eq!(armed(&host), Some(rto(&host)));
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# When the ACK bit is not set, the receiver MUST ignore the value of the TSecr field (7323:3.2-3).
//= https://www.rfc-editor.org/rfc/rfc7323#section-4.1
//= type=test
//# A TSecr value received in a segment MAY be used to update the averaged RTT measurement only if the segment advances the left edge of the send window (7323:4.1-2).
#[test]
fn an_ack_of_nothing_new_measures_nothing() {
    let mut host = Host::connecting(TcpConfig { quick_acks: 0, ..TcpConfig::default() }, setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN; stamp(1, 1000); mss(1000); window(50_000));
    host.polls();
    let before = host.info();
    host.now += Duration::from_millis(80);
    send!(host, seq 1, ack 1, data b"x"; stamp(2, 1000));
    send!(host, seq 2, ack 1; stamp(2, 1000));
    assert_eq!((host.info().rtt, host.info().rttvar), (before.rtt, before.rttvar));
    // A SYN acknowledges nothing, whatever it echoes.
    let host =
        Host::accepting(TcpConfig::default(), setup(ISS), &segment(0, None, Flags::SYN, b"").stamp(5, 900));
    assert_eq!(host.info().rtt, 0);
}

/// FreeBSD's allowance for a peer whose ACK is late: of all but the first SYN, and not doubled.
#[test]
fn slop_comes_on_top_of_all_but_the_first() {
    let slop = Duration::from_millis(200);
    let second = Duration::from_secs(1);
    let config = || TcpConfig { rto_slop: slop, ..plain() };
    let mut host = Host::connecting(config(), setup(ISS));
    for wait in [second, second * 2 + slop, second * 4 + slop, second * 8 + slop] {
        recv!(host, seq 0, flags "S");
        assert_eq!(host.timeout(), wait);
    }
    send!(host, seq 0, ack 1, flag SYN; mss(1000));
    host.write(b"data");
    host.polls();
    assert_eq!(host.timeout(), Duration::from_secs(3) + slop, "nothing is measured yet");
    let (mut with, mut without) = (Host::established_with(config(), setup(ISS)), Host::established());
    for host in [&mut with, &mut without] {
        host.write(b"data");
        recv!(host, seq 1);
    }
    for _ in 0..4 {
        assert_eq!(with.timeout(), without.timeout() + slop);
        with.polls();
        without.polls();
    }
    let config = TcpConfig { rto_max: second, ..config() };
    let mut host = Host::established_with(config, setup(ISS));
    host.write(b"data");
    host.polls();
    for _ in 0..6 {
        assert!(host.timeout() <= second, "no more than the largest");
        host.polls();
    }
}
