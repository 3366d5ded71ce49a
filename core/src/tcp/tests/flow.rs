//! Flow control: windows offered and obeyed, silly windows, zero windows and their probes.

use super::*;
use crate::config::OfferedWindow;
use proptest::prelude::*;

fn fill(host: &mut Host, bytes: usize) {
    let mut seq = host.info().bytes_received as u32 + 1;
    let end = seq + bytes as u32;
    while seq < end {
        let count = (end - seq).min(1000);
        let bytes = vec![0; count as usize];
        send!(host, seq seq, ack 1, data &bytes);
        seq += count;
    }
}

#[test]
fn the_window_is_what_is_left_of_the_buffer() {
    let mut host = Host::established();
    fill(&mut host, 10_000);
    let sent = host.polls();
    assert_eq!(sent.last().unwrap().window, 50_000);
    fill(&mut host, 50_000);
    assert_eq!(host.polls().last().unwrap().window, 0);
    send!(host, seq 60_001, ack 1, data b"x");
    recv!(host, ack 60_001, win 0);
    assert_eq!(host.buffers.recv.len(), 60_000, "nothing beyond the window is taken");
}

#[test]
fn what_the_program_holds_counts() {
    let mut host = Host::established();
    fill(&mut host, 10_000);
    host.publish();
    host.consume(0);
    let sent = host.polls();
    assert_eq!(sent.last().unwrap().window, 50_000);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.2
//= type=test
//# A TCP implementation MUST include a SWS avoidance algorithm in the receiver (MUST-39)
#[test]
fn the_window_reopens_by_a_segment_at_least() {
    let mut host = Host::established();
    fill(&mut host, 60_000);
    host.publish();
    host.polls();
    assert_eq!(host.connection.read_edge(&host.buffers), 1000);
    host.consume(999);
    host.silent();
    assert_eq!(host.connection.read_edge(&host.buffers), 1);
    host.write(b"x");
    recv!(host, len 1, win 0);
    host.consume(1);
    recv!(host, ack 60_001, win 1000);
    assert_eq!(host.connection.read_edge(&host.buffers), 1000, "the next update doubles the window");
}

#[test]
fn what_a_syn_could_not_offer_for_want_of_a_scale_is_no_window_update() {
    let config = TcpConfig { window_scaling: true, quick_acks: 0, timestamps: false, ..TcpConfig::default() };
    let mut syn = segment(0, None, Flags::SYN, b"").window(50_000).mss(1000);
    syn.header.options.window_scale = Some(3);
    let mut host = Host::accepting_with(config, setup(ISS), &syn, 500_000);
    recv!(host, flags "S", win 65_535);
    send!(host, seq 1, ack 1);
    host.publish();
    host.consume(0);
    host.silent();
    send!(host, seq 1, ack 1, data b"hello");
    host.publish();
    assert!(host.connection.read_edge(&host.buffers) > 5);
    host.consume(5);
    host.silent();
    host.timeout();
    let ack = recv!(host, ack 6);
    assert!(u32::from(ack.window) << 3 > 490_000, "the first ACK says it");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
//= type=test
//# A TCP receiver SHOULD NOT shrink the window, i.e., move the right window edge to the left (SHLD-14).
#[test]
fn a_window_is_never_taken_back() {
    let mut host = Host::established();
    host.buffers.recv_limit = 10_000;
    send!(host, seq 1, ack 1, data &[0; 1000]);
    send!(host, seq 1001, ack 1, data &[0; 1000]);
    recv!(host, ack 2001, win 58_000);
}

#[test]
fn the_queue_of_the_device_bounds_what_is_offered_and_takes_nothing_back() {
    let mut host = Host::established();
    host.buffers.recv_window_most = Some(10_000);
    fill(&mut host, 40_000);
    host.polls();
    send!(host, seq 40_001, ack 1, data &[0; 1000]);
    send!(host, seq 41_001, ack 1, data &[0; 1000]);
    recv!(host, ack 42_001, win 18_000);
    host.read();
    host.silent();
    for seq in (42_001..50_001).step_by(2000) {
        host.read();
        send!(host, seq seq, ack 1, data &[0; 1000]);
        send!(host, seq seq + 1000, ack 1, data &[0; 1000]);
        recv!(host, ack seq + 2000, win u16::try_from(60_001 - (seq + 2000)).unwrap());
    }
}

#[test]
fn the_queue_of_the_device_is_offered_by_halves() {
    let mut host = Host::established();
    host.buffers.recv_window_most = Some(10_000);
    fill(&mut host, 50_000);
    host.read();
    host.polls();
    let mut windows = Vec::new();
    for seq in (50_001..70_001).step_by(2000) {
        send!(host, seq seq, ack 1, data &[0; 1000]);
        send!(host, seq seq + 1000, ack 1, data &[0; 1000]);
        windows.push(host.polls().last().unwrap().window);
        host.read();
        host.silent();
    }
    assert_eq!(windows, [8000, 6000, 10_000, 8000, 6000, 10_000, 8000, 6000, 10_000, 8000]);
}

#[test]
fn a_window_of_a_share_of_the_queue_reopens_when_half_of_it_is_read() {
    let mut host = Host::established();
    host.buffers.recv_window_most = Some(10_000);
    host.buffers.recv_limit = 12_000;
    fill(&mut host, 60_000);
    host.publish();
    host.polls();
    host.consume(52_999);
    host.silent();
    host.consume(1);
    recv!(host, ack 60_001, win 5000);
}

#[test]
fn a_large_share_of_the_queue_is_offered_by_half_a_megabyte() {
    let config = TcpConfig { window_scaling: true, quick_acks: 0, timestamps: false, ..TcpConfig::default() };
    let mut syn = segment(0, None, Flags::SYN, b"").window(50_000).mss(1000);
    syn.header.options.window_scale = Some(3);
    let mut host = Host::accepting_with(config, setup(ISS), &syn, 4 << 20);
    host.polls();
    host.buffers.recv_window_most = Some(3 << 20);
    send!(host, seq 1, ack 1);
    let mut edge = 0;
    let mut steps = Vec::new();
    for seq in (1..8_000_001).step_by(2000) {
        send!(host, seq seq, ack 1, data &[0; 1000]);
        send!(host, seq seq + 1000, ack 1, data &[0; 1000]);
        let ack = host.polls().pop().expect("an ACK for two segments");
        host.read();
        let next = seq + 2000 + (u32::from(ack.window) << host.info().rcv_wscale);
        if next > edge + 1000 {
            steps.push(next - edge);
        }
        edge = edge.max(next);
    }
    assert!(
        steps.len() > 4 && steps.iter().skip(1).all(|step| (500_000..560_000).contains(step)),
        "{steps:?}"
    );
}

#[test]
fn a_small_buffer_moves_by_half_of_itself() {
    let mut host = Host::established();
    fill(&mut host, 60_000);
    host.publish();
    host.polls();
    host.buffers.recv_limit = 1200;
    host.buffers.recv_held = 1200;
    host.consume(599);
    host.silent();
    host.consume(1);
    recv!(host, win 600);
}

#[test]
fn while_segments_are_missing_the_window_stays() {
    let mut host = Host::established();
    fill(&mut host, 10_000);
    host.polls();
    for seq in [11_001, 12_001, 13_001] {
        host.read();
        send!(host, seq seq, ack 1, data &[0; 1000]);
        recv!(host, ack 10_001, win 50_000);
    }
}

/// In steps of 8 bytes, and segments that are no multiple of it: the edge moves by less than a step to the right, never to the left.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
//= type=test
//# It is RECOMMENDED that implementations will reserve 32-bit fields for the send and receive window sizes in the connection record and do all window computations with 32 bits (REC-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# The Window Scale option MUST be sent with shift.cnt = R, where R is the value that the TCP would like to use for its receive window (7323:2.3-2).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# The window field (SEG.WND) of every outgoing segment, with the exception of <SYN> segments, MUST be right-shifted by Rcv.Wind.Shift bits (7323:2.3-6).
#[test]
fn the_scaled_window_is_rounded_up() {
    let config = TcpConfig { window_scaling: true, ..plain() };
    let mut host = Host::connecting_with(config, setup(ISS), 400_000);
    assert_eq!(recv!(host, flags "S", win 65_535).options.window_scale, Some(3));
    send!(host, seq 0, ack 1, flag SYN; scale(0); mss(1000));
    recv!(host, seq 1, ack 1, win 50_000);
    let mut edge = 1 + 400_000;
    for index in 0..200 {
        send!(host, seq 1 + index * 501, ack 1, data &[0; 501]);
        for sent in host.polls() {
            let now = sent.ack.unwrap().since(SeqNum(IRS)) + u32::from(sent.window) * 8;
            assert!(now >= edge && now < edge + 8, "{edge} to {now}");
            edge = now;
        }
    }
    assert!(edge < 401_000);
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
//= type=test
//# The receiver MUST honor, as in window, any segment that would have been in window for any <ACK> sent by the receiver (7323:2.4-2).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
//= type=test
//# When window scaling is in effect, the receiver SHOULD track the actual maximum window sequence number (7323:2.4-3).
#[test]
fn what_was_offered_once_is_taken_though_rounding_has_moved_the_edge() {
    let config = TcpConfig { window_scaling: true, quick_acks: 255, ..plain() };
    let mut host = Host::connecting_with(config, setup(ISS), 200_000);
    recv!(host, flags "S");
    send!(host, seq 0, ack 1, flag SYN; scale(0); mss(1000));
    let edge = |sent: &Outgoing| sent.ack.unwrap().since(SeqNum(IRS)) + u32::from(sent.window) * 4;
    let mut furthest = host.polls().iter().map(edge).max().unwrap();
    for seq in 1.. {
        send!(host, seq seq, ack 1, data b"x");
        send!(host, seq seq.wrapping_sub(5), ack 1, data b"old");
        let now = host.polls().iter().map(edge).last().unwrap();
        if now < furthest {
            break;
        }
        furthest = now;
    }
    let dropped = host.counters.drop_tcp_window;
    send!(host, seq furthest - 1, ack 1, data b"last");
    assert_eq!((host.counters.drop_tcp_window, host.counters.tcp_out_of_order), (dropped, 1));
    recv!(host, len 0);
    send!(host, seq furthest, ack 1, data b"beyond");
    assert_eq!(host.counters.drop_tcp_window, dropped + 1);
}

/// A peer that sends crumbs cannot make rounding add up without end, nor beyond the buffer.
#[test]
fn rounding_is_bounded() {
    let config = TcpConfig { window_scaling: true, quick_acks: 255, ..plain() };
    let mut host = Host::connecting_with(config, setup(ISS), 100_000);
    recv!(host, flags "S");
    send!(host, seq 0, ack 1, flag SYN; scale(0); mss(1000));
    host.polls();
    for seq in 1..130_000 {
        send!(host, seq seq, ack 1, data b"x");
        send!(host, seq seq.wrapping_sub(5), ack 1, data b"old");
        for sent in host.polls() {
            let edge = sent.ack.unwrap().since(SeqNum(IRS)) + u32::from(sent.window) * 2;
            assert!(edge <= 100_001 + 12_500 + 4, "{edge} at {seq}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.1
//= type=test
//# A TCP implementation MUST include a SWS avoidance algorithm in the sender (MUST-38)
//= https://www.rfc-editor.org/rfc/rfc5681#section-2
//= type=test
//# At any given time, a TCP MUST NOT send data with a sequence number higher than the sum of the highest acknowledged sequence number and the minimum of cwnd and rwnd (5681:2-1).
#[test]
fn the_peers_window_is_obeyed() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(2500));
    host.write_zeros(10_000);
    let sent = host.polls();
    let lengths: Vec<usize> = sent.iter().map(|one| one.payload.iter().map(Bytes::len).sum()).collect();
    assert_eq!(lengths, [1000, 1000], "500 more would be silly");
    send!(host, seq 1, ack 2001; window(1500));
    recv!(host, seq 2001, len 1000);
    host.silent();
}

#[test]
fn a_small_window_is_used_after_a_while() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(300));
    host.write_zeros(5000);
    assert_eq!(host.timeout(), Duration::from_millis(200), "RFC 9293 3.8.6.2.1: 0.1 to 1 s");
    recv!(host, seq 1, len 300);
}

#[test]
fn half_of_the_largest_window_is_worth_a_segment() {
    let mut host = Host::connecting(plain(), setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN; window(600));
    host.write_zeros(5000);
    recv!(host, seq 1, ack 1, len 536);
    host.silent();
    send!(host, seq 1, ack 537; window(300));
    recv!(host, seq 537, len 300);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
//= type=test
//# the sending TCP peer MUST allow the connection to stay open (MUST-37)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
//= type=test
//# Probing of zero (offered) windows MUST be supported (MUST-36).
#[test]
fn a_closed_window_is_probed_for_as_long_as_the_peer_answers() {
    let mut host = Host::established_with(TcpConfig { data_retries: 5, ..plain() }, setup(ISS));
    send!(host, seq 1, ack 1; window(0));
    host.write_zeros(5000);
    let mut waited = Vec::new();
    for _ in 0..30 {
        waited.push(host.timeout());
        recv!(host, seq 1, len 1);
        host.silent();
        send!(host, seq 1, ack 1; window(0));
    }
    assert!(waited.windows(2).all(|pair| pair[1] == (pair[0] * 2).min(host.config.rto_max)), "{waited:?}");
    assert_eq!((host.state(), host.counters.tcp_probes), (State::Established, 30));
    send!(host, seq 1, ack 1; window(3000));
    let sent = host.polls();
    assert_eq!(sent[0].seq, SeqNum(ISS) + 1, "the probe's octet goes again with the rest");
    assert_eq!((sent.len(), host.counters.tcp_retransmits), (3, 0));
}

#[test]
fn a_closed_window_is_probed_without_data_if_that_is_how_it_is_set() {
    let config = TcpConfig { empty_probes: true, data_retries: 3, ..plain() };
    let mut host = Host::established_with(config, setup(ISS));
    host.write_zeros(1000);
    recv!(host, seq 1, len 1000);
    send!(host, seq 1, ack 1001; window(0));
    host.write_zeros(5000);
    let waited: Vec<Duration> = (0..20)
        .map(|_| {
            let waited = host.timeout();
            recv!(host, seq 1000, ack 1, flags "", len 0);
            send!(host, seq 1, ack 1001; window(0));
            waited
        })
        .collect();
    assert!(waited.windows(2).all(|pair| pair[1] == (pair[0] * 2).min(host.config.rto_max)), "{waited:?}");
    assert_eq!((host.state(), host.counters.tcp_probes), (State::Established, 20));
    for _ in 0..3 {
        host.timeout();
        recv!(host, seq 1000, len 0);
    }
    host.timeout();
    assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
}

#[test]
fn a_deaf_peer_behind_a_closed_window_is_given_up() {
    let mut host = Host::established_with(TcpConfig { data_retries: 3, ..plain() }, setup(ISS));
    send!(host, seq 1, ack 1; window(0));
    host.write_zeros(10);
    for _ in 0..3 {
        host.timeout();
        recv!(host, seq 1, len 1);
    }
    host.timeout();
    assert_eq!(host.connection.take_error(), Some(Errno::ETIMEDOUT));
}

#[test]
fn an_orphan_behind_a_closed_window_is_given_up_even_if_the_peer_answers() {
    let mut host = Host::established_with(TcpConfig { orphan_retries: 3, ..plain() }, setup(ISS));
    send!(host, seq 1, ack 1; window(0));
    host.write_zeros(10);
    host.close();
    host.connection.orphan(host.now);
    for _ in 0..3 {
        host.timeout();
        recv!(host, seq 1, len 1);
        send!(host, seq 1, ack 1; window(0));
    }
    host.timeout();
    recv!(host, flags "R");
}

#[test]
fn a_probe_that_is_taken_counts() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(0));
    host.write_zeros(10);
    host.timeout();
    recv!(host, seq 1, len 1);
    send!(host, seq 1, ack 2; window(0));
    host.timeout();
    recv!(host, seq 2, len 1);
    send!(host, seq 1, ack 2; window(100));
    recv!(host, seq 2, len 9);
    send!(host, seq 1, ack 11; window(100));
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None);
}

#[test]
fn what_has_probed_a_closed_window_and_was_all_there_is_leaves_nothing_in_flight() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(0));
    host.write_zeros(1);
    host.timeout();
    recv!(host, seq 1, len 1);
    send!(host, seq 1, ack 1; window(0));
    send!(host, seq 1, ack 1; window(100));
    recv!(host, seq 1, len 1);
    send!(host, seq 1, ack 2; window(0));
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None);
    host.close();
    host.timeout();
    recv!(host, seq 2, flags "F");
    send!(host, seq 1, ack 2; window(0));
    send!(host, seq 1, ack 2; window(100));
    recv!(host, seq 2, flags "F");
    send!(host, seq 1, ack 3; window(100));
    host.silent();
    assert_eq!((host.state(), host.connection.poll_timeout()), (State::FinWait2, None));
}

#[test]
fn a_fin_probes_a_closed_window() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(0));
    host.close();
    host.timeout();
    recv!(host, seq 1, flags "F", len 0);
    assert_eq!(host.state(), State::FinWait1);
    send!(host, seq 1, ack 1; window(0));
    host.timeout();
    recv!(host, seq 1, flags "F");
    send!(host, seq 1, ack 2; window(0));
    assert_eq!(host.state(), State::FinWait2);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
//= type=test
//# If the window shrinks to zero, the TCP implementation MUST probe it in the standard way (described below) (MUST-35)
#[test]
fn a_window_closed_over_what_is_in_flight_is_probed() {
    let mut host = Host::established();
    host.write_zeros(3000);
    assert_eq!(host.polls().len(), 3);
    send!(host, seq 1, ack 1001; window(0));
    host.timeout();
    recv!(host, seq 1001, len 1);
    send!(host, seq 1, ack 1001; window(0));
    host.timeout();
    recv!(host, seq 1001, len 1);
    send!(host, seq 1, ack 1001; window(9000));
    assert_eq!(host.polls().len(), 2);
    send!(host, seq 1, ack 3001);
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None);
}

#[test]
fn the_peers_probe_is_answered_and_its_ack_counts() {
    let mut host = Host::established();
    fill(&mut host, 60_000);
    host.polls();
    host.write(b"abc");
    recv!(host, seq 1, len 3);
    send!(host, seq 60_001, ack 4, data b"p");
    recv!(host, seq 4, ack 60_001, win 0);
    assert_eq!(host.info().unacked, 0);
}

#[test]
fn an_old_segment_does_not_change_the_window() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data b"abc"; window(9000));
    send!(host, seq 1, ack 1; window(5));
    assert_eq!(host.info().snd_wnd, 9000);
    send!(host, seq 4, ack 1; window(7000));
    assert_eq!(host.info().snd_wnd, 7000);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.4
//= type=test
//# A TCP receiver MUST process the RST and URG fields of all incoming segments, even when the receive window is zero (MUST-66)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If the RCV.WND is zero, no segments will be acceptable, but special allowance should be made to accept valid ACKs, URGs, and RSTs (SM-19).
#[test]
fn a_reset_is_seen_behind_a_closed_window() {
    let mut host = Host::established();
    fill(&mut host, 60_000);
    assert_eq!(host.polls().last().unwrap().window, 0);
    send!(host, seq 60_001, ack 1, flag RST);
    assert_eq!(host.connection.take_error(), Some(Errno::ECONNRESET));
}

/// The memory that octets sent one by one take is counted, not only the octets.
#[test]
fn what_is_in_flight_is_counted_with_its_records() {
    let mut host = Host::established();
    host.connection.options_mut().no_delay = true;
    assert_eq!(host.connection.waiting(), 0);
    for _ in 0..8 {
        host.write(b"x");
        recv!(host, len 1);
        host.after(1);
    }
    assert!(host.connection.waiting() >= 8 * 40, "{}", host.connection.waiting());
    send!(host, seq 1, ack 9);
    assert_eq!(host.connection.waiting(), 0);
}

/// A request, or its answer, is sent and waited for in one go.
#[test]
fn who_has_sent_all_is_done_at_once() {
    let mut host = Host::established();
    host.write(b"request");
    recv!(host, len 7);
    assert!(!host.connection.is_stirred());
    assert!(host.connection.poll_timeout().is_some_and(|at| at > host.now), "the copy's time");
    host.write(&[0; 3000]);
    host.poll().expect("the first segment");
    assert!(host.connection.is_stirred(), "there is more");
}

proptest! {
    /// An ACK never closes the window where the program has read everything.
    #[test]
    fn a_window_is_open_where_everything_is_read(
        scale in prop::option::of(0_u8..8),
        limit in 10_000_usize..3_000_000,
        most in prop::option::of(5_000_usize..3_000_000),
        short in any::<bool>(),
        offers in prop::sample::select(vec![OfferedWindow::Stepped, OfferedWindow::Exact]),
    ) {
        let config = TcpConfig { window_scaling: scale.is_some(), timestamps: false, offered_window: offers, ..TcpConfig::default() };
        let mut syn = segment(0, None, Flags::SYN, b"").window(50_000).mss(1000);
        syn.header.options.window_scale = scale;
        // Whose own scale is the same.
        let buffer = 0xffff << scale.unwrap_or(0);
        let mut host = Host::accepting_with(config, setup(ISS), &syn, buffer);
        host.polls();
        send!(host, seq 1, ack 1);
        host.buffers.recv_limit = limit;
        host.buffers.recv_window_most = most;
        host.buffers.pressure = if short { Pressure::High } else { Pressure::None };
        let shift = host.info().rcv_wscale;
        prop_assert_eq!(shift, scale.unwrap_or(0));
        let mut seq = 1_u32;
        for _ in 0..400 {
            // A segment that has come before is answered at once.
            send!(host, seq seq.wrapping_sub(1), ack 1, data b"x");
            let window = u32::from(host.polls().last().unwrap().window) << shift;
            prop_assert!(window >= 1000, "{window} bytes behind {seq}");
            for _ in 0..(window / 1000).min(200) {
                send!(host, seq seq, ack 1, data &[0; 1000]);
                seq += 1000;
                host.read();
            }
            host.polls();
        }
    }
}
