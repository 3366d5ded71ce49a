//! Explicit congestion notification: what SYNs agree on, marks and their echo, the window that gets smaller for it (RFC 3168).

use super::*;
use crate::config::Ecn;
use Codepoint::{Ce, Ect0, NotEct};

fn wanting(ecn: Ecn) -> TcpConfig {
    TcpConfig { ecn, ..plain() }
}

/// Both sides agree on it, this one having asked.
fn agreed_with(config: TcpConfig, permits: bool) -> Host {
    let mut host = Host::connecting(TcpConfig { ecn: Ecn::On, ..config }, setup(ISS));
    recv!(host, flags "SEW", ecn NotEct);
    let answer = segment(0, Some(1), Flags::SYN.with(Flags::ECE), b"").mss(MSS as u16);
    host.deliver(if permits { answer.permit() } else { answer });
    recv!(host, flags "", ecn NotEct, ack 1);
    host
}

fn agreed() -> Host {
    agreed_with(plain(), false)
}

/// Ten segments are in flight, ten more are queued.
fn in_flight(permits: bool) -> Host {
    let mut host = agreed_with(plain(), permits);
    host.write_zeros(20_000);
    for at in 0..10 {
        recv!(host, seq at * 1000 + 1, len 1000, flags "", ecn Ect0);
    }
    host.silent();
    host
}

fn flags(host: &mut Host) -> Vec<String> {
    host.polls().iter().map(|sent| format!("{:?}", sent.flags)).collect()
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
//= type=test
//# If a host has received an ECN-setup SYN packet, then it MAY send an ECN-setup SYN-ACK packet. Otherwise, it MUST NOT send an ECN-setup SYN-ACK packet (3168:6.1.1-1).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
//= type=test
//# A host that is not willing to use ECN on a TCP connection SHOULD clear both the ECE and CWR flags in all non-ECN-setup SYN and/or SYN-ACK packets that it sends to indicate this unwillingness (3168:6.1.1-6).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
//= type=test
//# Receivers MUST correctly handle all forms of the non-ECN-setup SYN and SYN-ACK packets (3168:6.1.1-7).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
//= type=test
//# A host MUST NOT set ECT on SYN or SYN-ACK packets (3168:6.1.1-8).
#[test]
fn it_is_granted_to_who_asks_for_it_with_both_flags() {
    let (ece, cwr) = (Flags::SYN.with(Flags::ECE), Flags::SYN.with(Flags::CWR));
    let both = ece.with(Flags::CWR);
    for ecn in [Ecn::Off, Ecn::On, Ecn::Passive] {
        for (asks, flags) in [(false, Flags::SYN), (false, ece), (false, cwr), (true, both)] {
            let mut host = Host::accepting(wanting(ecn), setup(ISS), &segment(0, None, flags, b""));
            let granted = asks && ecn != Ecn::Off;
            recv!(host, flags if granted { "SE" } else { "S" }, ecn NotEct, ack 1);
            send!(host, seq 1, ack 1);
            assert_eq!(host.info().options, if granted { 8 } else { 0 }, "{ecn} {flags:?}");
            host.write(b"data");
            recv!(host, ecn if granted { Ect0 } else { NotEct }, len 4);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.2
//= type=test
//# A TCP endpoint SHOULD implement ECN as described in RFC 3168 (SHLD-8).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
//= type=test
//# A host MUST NOT set ECT on data packets unless it has sent at least one ECN-setup SYN or ECN-setup SYN-ACK packet, and has received at least one ECN-setup SYN or ECN-setup SYN-ACK packet, and has sent no non-ECN-setup SYN or non-ECN-setup SYN-ACK packet (3168:6.1.1-2).
#[test]
fn it_is_asked_for_and_used_if_the_answer_agrees() {
    let answers = [(Flags::default(), false), (Flags::ECE, true), (Flags::CWR, false)];
    let both = (Flags::ECE.with(Flags::CWR), false);
    for (answer, agrees) in answers.into_iter().chain([both]) {
        for ecn in [Ecn::Off, Ecn::On, Ecn::Passive] {
            let mut host = Host::connecting(wanting(ecn), setup(ISS));
            recv!(host, flags if ecn == Ecn::On { "SEW" } else { "S" }, ecn NotEct);
            host.deliver(segment(0, Some(1), Flags::SYN.with(answer), b""));
            recv!(host, flags "", ecn NotEct);
            host.write(b"data");
            let used = agrees && ecn == Ecn::On;
            recv!(host, ecn if used { Ect0 } else { NotEct }, len 4);
            assert_eq!(host.info().options, if used { 8 } else { 0 }, "{ecn} {answer:?}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1.1
//= type=test
//# A host that receives no reply to an ECN-setup SYN within the normal SYN retransmission timeout interval MAY resend the SYN and any subsequent SYN retransmissions with CWR and ECE cleared (3168:6.1.1.1-2).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
//= type=test
//# If a host has sent at least one ECN-setup SYN or ECN-setup SYN-ACK packet, and has received no non-ECN-setup SYN or non-ECN-setup SYN-ACK packet, then if that host receives TCP data packets with ECT and CE codepoints set in the IP header, then that host MUST process these packets as specified for an ECN-capable connection (3168:6.1.1-5).
#[test]
fn a_syn_sent_again_does_not_ask_and_the_promise_of_the_first_is_kept() {
    for retries in 0..3 {
        let config = TcpConfig { ecn_retries: retries, ..wanting(Ecn::On) };
        let mut host = Host::connecting(config, setup(ISS));
        for _ in 0..=retries {
            recv!(host, flags "SEW");
            host.timeout();
        }
        recv!(host, flags "S");
        // The answer to the first was late.
        host.deliver(segment(0, Some(1), Flags::SYN.with(Flags::ECE), b"").mss(MSS as u16));
        recv!(host, flags "");
        host.write(b"data");
        recv!(host, len 4, ecn NotEct);
        send!(host, seq 1, ack 5, data b"x"; ecn(Ce));
        recv!(host, flags "E", ecn NotEct);
        send!(host, seq 2, ack 5, flag ECE);
        assert_eq!(host.counters.tcp_ecn_reductions, 0, "nothing was marked that is new");
    }
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1
//= type=test
//# If a host has received at least one non-ECN-setup SYN or non-ECN-setup SYN-ACK packet, then it SHOULD NOT set ECT on data packets (3168:6.1.1-3).
#[test]
fn a_peer_that_has_given_up_asking_is_not_granted_it() {
    let asking = Flags::SYN.with(Flags::ECE).with(Flags::CWR);
    let mut host = Host::accepting(wanting(Ecn::Passive), setup(ISS), &segment(0, None, asking, b""));
    recv!(host, flags "SE");
    host.deliver(segment(0, None, asking, b""));
    recv!(host, flags "SE");
    host.deliver(segment(0, None, Flags::SYN, b""));
    recv!(host, flags "S");
    send!(host, seq 1, ack 1);
    host.write(b"data");
    recv!(host, ecn NotEct);
}

#[test]
fn syns_that_cross_agree_like_others() {
    let asking = Flags::SYN.with(Flags::ECE).with(Flags::CWR);
    for (first, second, agree) in
        [(asking, Flags::ECE, true), (Flags::SYN, Flags::default(), false), (asking, Flags::default(), false)]
    {
        let mut host = Host::connecting(wanting(Ecn::On), setup(ISS));
        recv!(host, flags "SEW");
        host.deliver(segment(0, None, first, b""));
        recv!(host, flags if first == asking { "SE" } else { "S" });
        host.deliver(segment(0, Some(1), Flags::SYN.with(second), b""));
        assert_eq!(host.state(), State::Established);
        assert_eq!(host.counters.tcp_ecn_reductions, 0, "a SYN's flag is no echo");
        host.polls();
        host.write(b"data");
        recv!(host, ecn if agree { Ect0 } else { NotEct });
    }
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.3
//= type=test
//# When TCP receives a CE data packet at the destination end-system, the TCP data receiver sets the ECN-Echo flag in the TCP header of the subsequent ACK packet (3168:6.1.3-1).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.3
//= type=test
//# that TCP receiver continues to set the ECN-Echo flag in all the ACK packets it sends (whether they acknowledge CE data packets or non-CE data packets) until it receives a CWR packet (a packet with the CWR flag set) (3168:6.1.3-2).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.3
//= type=test
//# After the receipt of the CWR packet, acknowledgments for subsequent non-CE data packets do not have the ECN-Echo flag set (3168:6.1.3-3).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.4
//= type=test
//# pure acknowledgement packets (e.g., packets that do not contain any accompanying data) MUST be sent with the not-ECT codepoint (3168:6.1.4-1).
#[test]
fn a_mark_is_echoed_until_the_peer_has_reduced_its_window() {
    let mut host = agreed();
    send!(host, seq 1, ack 1, data b"a"; ecn(Ect0));
    host.timeout();
    recv!(host, ack 2, flags "", ecn NotEct);
    assert_eq!(host.info().options, 8 | 16);
    // At once: its sender's window may be small.
    send!(host, seq 2, ack 1, data b"b"; ecn(Ce));
    recv!(host, ack 3, flags "E", ecn NotEct);
    send!(host, seq 3, ack 1, data b"c"; ecn(Ect0));
    recv!(host, ack 4, flags "E", ecn NotEct);
    // Out of order, and our own data.
    send!(host, seq 9, ack 1, data b"z");
    recv!(host, ack 4, flags "E", ecn NotEct);
    host.write(b"data");
    recv!(host, seq 1, flags "PE", ecn Ect0);
    send!(host, seq 4, ack 5, flag CWR, data b"d"; ecn(Ect0));
    recv!(host, ack 5, flags "");
    // Marked once more, the packet that tells of the reduction itself.
    send!(host, seq 5, ack 5, flag CWR, data b"e"; ecn(Ce));
    recv!(host, ack 6, flags "E");
    send!(host, seq 6, ack 5, flag CWR);
    send!(host, seq 6, ack 5, data b"f"; ecn(Ect0));
    recv!(host, ack 7, flags "");
    assert_eq!((host.counters.tcp_ecn_marks, host.info().received_ce), (2, 2));
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.5
//= type=test
//# the TCP data receiver SHOULD ignore the ECN field on arriving data packets that are outside of the receiver's current window (3168:6.1.5-2).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.6
//= type=test
//# Therefore, if a window probe arrives with the CE codepoint set, then the receiver SHOULD respond to the ECN indications (3168:6.1.6-2).
#[test]
fn marks_count_on_data_inside_the_window_and_on_window_probes() {
    let mut host = agreed();
    send!(host, seq 1, ack 1; ecn(Ce));
    host.silent();
    send!(host, seq 100_000, ack 1, data b"beyond"; ecn(Ce));
    recv!(host, flags "");
    host.buffers.recv_limit = 0;
    host.connection.on_read(host.now, &host.buffers);
    let mut host = agreed_with(plain(), false);
    send!(host, seq 1, ack 1, data &[0; 30_000]);
    send!(host, seq 30_001, ack 1, data &[0; 30_000]);
    host.publish();
    recv!(host, ack 60_001, win 0, flags "");
    send!(host, seq 60_001, ack 1, data b"p"; ecn(Ce));
    recv!(host, ack 60_001, win 0, flags "E");
    // What was received before, sent again.
    let mut host = agreed();
    send!(host, seq 1, ack 1, data b"old");
    host.timeout();
    recv!(host, ack 4);
    send!(host, seq 1, ack 1, data b"old"; ecn(Ce));
    recv!(host, ack 4, flags "");
}

#[test]
fn without_agreement_marks_and_flags_mean_nothing() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data b"a"; ecn(Ce));
    host.timeout();
    recv!(host, flags "", ecn NotEct);
    host.write_zeros(8000);
    assert_eq!(host.polls().len(), 8);
    send!(host, seq 2, ack 1001, flag ECE);
    assert_eq!((host.info().snd_cwnd, host.info().ca_state, host.info().delivered_ce), (11, 0, 0));
    assert_eq!(host.info().received_ce, 1, "seen all the same");
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
//= type=test
//# When only one ECT codepoint is needed by a sender for all packets sent on a TCP connection, ECT(0) SHOULD be used (3168:6.1.2-1).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
//= type=test
//# The indication of congestion should be treated just as a congestion loss in non-ECN-Capable TCP. That is, the TCP source halves the congestion window "cwnd" and reduces the slow start threshold "ssthresh" (3168:6.1.2-2).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
//= type=test
//# The sending TCP SHOULD NOT increase the congestion window in response to the receipt of an ECN-Echo ACK packet (3168:6.1.2-3).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
//= type=test
//# TCP should not react to congestion indications more than once every window of data (or more loosely, more than once every round-trip time) (3168:6.1.2-4).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
//= type=test
//# When an ECN-Capable TCP sender reduces its congestion window for any reason (because of a retransmit timeout, a Fast Retransmit, or in response to an ECN Notification), the TCP sender sets the CWR flag in the TCP header of the first new data packet sent after the window reduction (3168:6.1.2-6).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
//= type=test
//# When the TCP data sender is ready to set the CWR bit after reducing the congestion window, it SHOULD set the CWR bit only on the first new data packet that it transmits (3168:6.1.2-8).
#[test]
fn an_echo_halves_the_window_once_and_the_next_new_data_tells() {
    let mut host = in_flight(false);
    send!(host, seq 1, ack 1001, flag ECE);
    assert_eq!((host.info().ca_state, host.info().snd_ssthresh, host.info().delivered_ce), (2, 5, 1));
    recv!(host, seq 10_001, len 1000, flags "W", ecn Ect0);
    host.silent();
    // The peer goes on until that has come.
    for at in 2..=9 {
        send!(host, seq 1, ack at * 1000 + 1, flag ECE);
        assert!(flags(&mut host).iter().all(|flags| flags.is_empty()));
    }
    assert_eq!((host.info().ca_state, host.info().snd_cwnd, host.counters.tcp_ecn_reductions), (2, 5, 1));
    send!(host, seq 1, ack 10_001, flag ECE);
    assert_eq!((host.info().ca_state, host.info().snd_ssthresh), (2, 5), "not above where it began");
    host.polls();
    send!(host, seq 1, ack 11_001);
    assert_eq!((host.info().ca_state, host.info().snd_cwnd, host.info().snd_ssthresh), (0, 5, 5));
    host.polls();
    // What was sent since is marked as well: another window, another reduction.
    send!(host, seq 1, ack 12_001, flag ECE);
    assert_eq!((host.info().ca_state, host.info().snd_ssthresh), (2, 2));
    let told = host.polls().iter().filter(|sent| sent.flags.has(Flags::CWR)).count();
    assert!(told <= 1, "{told}");
    assert_eq!(host.counters.tcp_ecn_reductions, 2);
}

#[test]
fn the_way_down_is_that_of_prr_and_cubic_goes_less_far() {
    let config = TcpConfig { congestion: Congestion::Cubic, ..plain() };
    let mut options = setup(ISS);
    options.options.congestion = Congestion::Cubic;
    let mut host = Host::connecting(TcpConfig { ecn: Ecn::On, ..config }, options);
    recv!(host, flags "SEW");
    host.deliver(segment(0, Some(1), Flags::SYN.with(Flags::ECE), b"").mss(MSS as u16));
    host.polls();
    host.write_zeros(4000);
    assert_eq!(host.polls().len(), 4);
    send!(host, seq 1, ack 1001, flag ECE);
    assert_eq!((host.info().snd_ssthresh, host.info().snd_cwnd, host.info().ca_state), (7, 4, 2));
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
//= type=test
//# A reduction because of ECN MUST leave cwnd at one segment or more (9438:4.6-5).
//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
//= type=test
//# Therefore, the sending TCP MUST reset the retransmit timer on receiving the ECN-Echo packet when the congestion window is one (3168:6.1.2-5).
#[test]
fn a_window_of_one_segment_waits_for_the_timer() {
    let mut host = Host::connecting(TcpConfig { initial_window: 1, ..wanting(Ecn::On) }, setup(ISS));
    recv!(host, flags "SEW");
    host.deliver(segment(0, Some(1), Flags::SYN.with(Flags::ECE), b"").mss(MSS as u16));
    recv!(host, flags "");
    host.write_zeros(3000);
    recv!(host, seq 1, len 1000, ecn Ect0);
    host.silent();
    host.after(10);
    send!(host, seq 1, ack 1001, flag ECE);
    assert_eq!(host.info().snd_cwnd, 1);
    host.silent();
    let waited = host.timeout();
    assert!(waited >= Duration::from_millis(200), "{waited:?}");
    recv!(host, seq 1001, len 1000, flags "W", ecn Ect0);
    assert_eq!(host.counters.tcp_timeouts, 0);
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.5
//= type=test
//# This document specifies ECN-capable TCP implementations MUST NOT set either ECT codepoint (ECT(0) or ECT(1)) in the IP header for retransmitted data packets (3168:6.1.5-1).
#[test]
fn a_loss_is_repaired_without_marks_and_told_with_the_next_new_data() {
    let mut host = in_flight(false);
    for _ in 0..2 {
        send!(host, seq 1, ack 1);
        recv!(host, flags "", ecn Ect0, len 1000);
    }
    send!(host, seq 1, ack 1);
    recv!(host, seq 1, flags "", ecn NotEct);
    host.silent();
    send!(host, seq 1, ack 12_001, flag ECE);
    assert_eq!(host.counters.tcp_ecn_reductions, 0, "one reduction for one window");
    assert_eq!((host.info().snd_cwnd, host.info().ca_state), (5, 0));
    recv!(host, seq 12_001, flags "W", ecn Ect0);
    assert!(flags(&mut host).iter().all(|flags| flags.is_empty() || flags == "P"));
    // A timeout is told as well.
    host.timeout();
    recv!(host, seq 12_001, flags "", ecn NotEct);
    host.write_zeros(1000);
    send!(host, seq 1, ack 17_001, flag ECE);
    assert_eq!(host.counters.tcp_ecn_reductions, 0);
    recv!(host, seq 17_001, flags "W", ecn Ect0);
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
//= type=test
//# In addition, the TCP source should not decrease the slow-start threshold, ssthresh, if it has been decreased within the last round trip time (3168:6.1.2-9).
#[test]
fn a_loss_on_the_way_down_reduces_no_further() {
    let mut host = in_flight(true);
    send!(host, seq 1, ack 1001, flag ECE);
    recv!(host, seq 10_001, flags "W");
    assert_eq!(host.info().snd_ssthresh, 5);
    send!(host, seq 1, ack 1001, flag ECE; sack([(2001, 6001)]));
    assert_eq!((host.info().ca_state, host.info().snd_ssthresh), (3, 5));
    // Five are in flight, which is what may be.
    host.silent();
    send!(host, seq 1, ack 1001, flag ECE; sack([(2001, 7001)]));
    recv!(host, seq 1001, ecn NotEct, flags "");
    let mut host = in_flight(true);
    send!(host, seq 1, ack 1001, flag ECE);
    recv!(host, seq 10_001, flags "W");
    host.timeout();
    assert_eq!((host.info().ca_state, host.info().snd_ssthresh, host.info().snd_cwnd), (4, 5, 1));
    recv!(host, seq 1001, ecn NotEct, flags "");
}

//= https://www.rfc-editor.org/rfc/rfc4015#section-3.4
//= type=test
//# In that case, the TCP sender MUST refrain from reversing congestion control state (4015:3.4-1).
#[test]
fn a_reduction_that_a_mark_confirms_is_not_taken_back() {
    for (flag, threshold) in [(Flags::default(), i32::MAX as u32), (Flags::ECE, 5)] {
        let mut host = in_flight(true);
        send!(host, seq 1, ack 1; sack([(1001, 4001)]));
        recv!(host, seq 1, ecn NotEct);
        host.polls();
        // The copy was for nothing.
        let twice = segment(1, Some(4001), flag, b"").sack([(1, 1001)]);
        host.deliver(twice);
        assert_eq!(host.counters.tcp_undos, 1);
        assert_eq!(host.info().snd_ssthresh, threshold, "{flag:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.6
//= type=test
//# Therefore, the TCP data sender MUST NOT set either an ECT codepoint or the CWR bit on window probe packets (3168:6.1.6-1).
#[test]
fn a_window_probe_is_not_ect_and_neither_is_what_repeats_it() {
    let mut host = agreed();
    host.write_zeros(2000);
    recv!(host, seq 1, ecn Ect0);
    recv!(host, seq 1001, ecn Ect0);
    host.write_zeros(2000);
    send!(host, seq 1, ack 2001, flag ECE; window(0));
    host.silent();
    host.timeout();
    recv!(host, seq 2001, len 1, flags "P", ecn NotEct);
    send!(host, seq 1, ack 2001, flag ECE; window(5000));
    recv!(host, seq 2001, len 1000, flags "", ecn NotEct);
    recv!(host, seq 3001, len 1000, flags "PW", ecn Ect0);
}

#[test]
fn a_fin_alone_a_keep_alive_and_a_rst_are_not_ect() {
    let mut host = agreed();
    host.close();
    recv!(host, flags "F", ecn NotEct);
    let mut host = agreed();
    host.write(b"last");
    host.close();
    recv!(host, flags "FP", ecn Ect0);
    let mut host = agreed();
    send!(host, seq 1, ack 1, data b"marked"; ecn(Ce));
    host.connection.abort(host.now, EndReason::Aborted);
    recv!(host, flags "R", ecn NotEct);
}

#[test]
fn what_tells_of_a_reduction_is_no_super_frame() {
    let mut host = in_flight(false);
    host.limits.super_frame = 60_000;
    send!(host, seq 1, ack 9001, flag ECE);
    recv!(host, seq 10_001, len 1000, gso 0, flags "W", ecn Ect0);
    let rest = recv!(host, seq 11_001, flags "P", ecn Ect0);
    assert!(rest.gso_size > 0, "{rest:?}");
}
