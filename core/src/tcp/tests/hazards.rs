//! What a peer, a forger or a slow program must not bring about.

use super::*;

#[test]
fn a_reset_whose_data_only_reaches_the_next_number_is_dropped() {
    let mut host = Host::established();
    send!(host, seq 0, ack 1, flag RST, data b"four");
    assert_eq!(host.state(), State::Established, "RFC 5961 asks for the very number");
    assert_eq!((host.counters.tcp_resets_in, host.counters.drop_tcp_window), (0, 1));
    host.silent();
}

#[test]
fn reading_beside_a_hole_makes_no_duplicate_acks() {
    let mut host = Host::established();
    let unread = 50_000;
    for at in (0..unread).step_by(1000) {
        send!(host, seq 1 + at, ack 1, data &[7; 1000]);
    }
    host.polls();
    let mut published = VecDeque::new();
    host.buffers.recv.drain_into(&mut published);
    host.buffers.recv_held = unread as usize;
    send!(host, seq 1001 + unread, ack 1, data &[7; 1000]);
    assert_eq!(host.polls().len(), 1, "the duplicate ACK of the hole");
    for _ in 0..20 {
        host.buffers.recv_held -= 1000;
        host.connection.on_read(host.now, &host.buffers);
        for sent in host.polls() {
            assert_ne!(sent.window, 10_000, "a duplicate ACK that no segment caused: {sent:?}");
        }
    }
    assert!(host.connection.read_edge(&host.buffers) > 1, "the next byte read would kick for nothing");
}

#[test]
fn a_fin_that_was_not_at_the_end_is_forgotten() {
    let mut host = Host::established();
    send!(host, seq 101, ack 1, flag FIN);
    send!(host, seq 1, ack 1, data &[1; 200]);
    assert_eq!(host.read().len(), 200);
    host.polls();
    send!(host, seq 201, ack 1, flag FIN);
    assert_eq!(host.state(), State::CloseWait);
    recv!(host, ack 202);
}

#[test]
fn small_windows_are_filled_in_time_whatever_the_peer_sends_meanwhile() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(100));
    host.write_zeros(5000);
    host.silent();
    let filled = (0..20).any(|at| {
        host.after(50);
        send!(host, seq 1 + at, ack 1, data b"x"; window(100));
        host.read();
        host.polls().iter().flat_map(|sent| &sent.payload).map(Bytes::len).sum::<usize>() == 100
    });
    assert!(filled, "RFC 9293 3.8.6.2.1: the override fires within a second");
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
//= type=test
//# The window field in a segment where the SYN bit is set (i.e., a <SYN> or <SYN,ACK>) MUST NOT be scaled (7323:2.2-6).
#[test]
fn the_window_of_a_simultaneous_syn_ack_is_not_scaled() {
    let config = TcpConfig { window_scaling: true, ..plain() };
    let mut host = Host::connecting(config, setup(ISS));
    host.poll().expect("SYN");
    send!(host, seq 0, flag SYN; scale(7); mss(1000));
    host.poll().expect("SYN/ACK");
    send!(host, seq 0, ack 1, flag SYN; scale(7); mss(1000); window(2000));
    assert_eq!(host.state(), State::Established);
    assert_eq!(host.info().snd_wnd, 2000);
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
//= type=test
//# both sides MUST send Window Scale options in their <SYN> segments to enable window scaling in either direction (7323:2.2-3).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
//= type=test
//# A Window Scale option in a segment without a SYN bit MUST be ignored (7323:2.2-5).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# Upon receiving a <SYN> segment with a Window Scale option containing shift.cnt = S, a TCP MUST set Snd.Wind.Shift to S (7323:2.3-3).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# MUST set Rcv.Wind.Shift to R; otherwise, it MUST set both Snd.Wind.Shift and Rcv.Wind.Shift to zero (7323:2.3-4).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# The window field (SEG.WND) in the header of every incoming segment, with the exception of <SYN> segments, MUST be left-shifted by Snd.Wind.Shift bits before updating SND.WND (7323:2.3-5).
#[test]
fn windows_are_scaled_where_both_sides_agree_and_by_the_syns_alone() {
    for (offer, own, field, theirs) in
        [(Some(3), 3, 50_000, 800), (Some(0), 3, 50_000, 100), (None, 0, 65_535, 100)]
    {
        let config = TcpConfig { window_scaling: true, ..plain() };
        let mut host = Host::connecting_with(config, setup(ISS), 400_000);
        assert_eq!(recv!(host, flags "S", win 65_535).options.window_scale, Some(3));
        let answer = segment(0, Some(1), Flags::SYN, b"").mss(1000).window(60_000);
        host.deliver(offer.map_or(answer.clone(), |shift| answer.scale(shift)));
        recv!(host, ack 1, win field);
        assert_eq!(host.info().snd_wnd, 60_000, "a SYN's is not scaled");
        send!(host, seq 1, ack 1; scale(7); window(100));
        let info = host.info();
        assert_eq!((info.snd_wnd, info.rcv_wscale), (theirs, own), "{offer:?}");
    }
}

#[test]
fn data_of_a_syn_ack_is_cut_to_the_window() {
    let mut host = Host::connecting(plain(), setup(ISS));
    host.poll().expect("SYN");
    send!(host, seq 0, ack 1, flag SYN, flag FIN, data &[1; 65_000]);
    assert_eq!(host.state(), State::Established);
    assert_eq!(host.read().len(), 60_000);
}

fn stamped() -> Host {
    let mut host = Host::connecting(TcpConfig { timestamps: true, ..plain() }, setup(ISS));
    host.poll().expect("SYN");
    send!(host, seq 0, ack 1, flag SYN; stamp(1, 1000); mss(1000));
    host.polls();
    host
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
//= type=test
//# If: SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent then SEG.TSval is copied to TS.Recent; otherwise, it is ignored (7323:4.3-5).
#[test]
fn data_sent_again_because_its_ack_was_lost_is_echoed_with_its_new_timestamp() {
    let mut host = stamped();
    send!(host, seq 1, ack 1, data b"data"; stamp(10, 1000));
    send!(host, seq 1, ack 1, data b"data"; stamp(300, 1000));
    let acks = host.polls();
    assert_eq!(acks.last().and_then(|ack| ack.options.timestamps).map(|(_, echo)| echo), Some(300));
    for (back, ack) in [(1 << 20, 1), (1 << 11, 1 << 20), (1 << 11, 1u32.wrapping_sub(1 << 20))] {
        send!(host, seq 1u32.wrapping_sub(back), ack ack, data b"data"; stamp(0x7000_0000, 1000));
        let acks = host.polls();
        let echoes = acks.iter().filter_map(|ack| ack.options.timestamps).map(|(_, echo)| echo);
        assert!(echoes.eq([300]), "numbers from anywhere must not move TS.Recent");
    }
}

#[test]
fn an_echo_from_before_a_timeout_is_no_round_trip() {
    let mut host = stamped();
    host.write_zeros(500);
    let sent = host.poll().expect("data").options.timestamps.expect("timestamps").0;
    host.timeout();
    host.polls();
    host.timeout();
    host.polls();
    let rto = host.info().rto;
    host.after(20);
    send!(host, seq 1, ack 501; stamp(10, sent));
    assert_eq!(host.info().rto, rto, "Karn: neither a sample nor the end of the backoff");
    host.write_zeros(500);
    let sent = host.poll().expect("data").options.timestamps.expect("timestamps").0;
    host.after(20);
    send!(host, seq 1, ack 1001; stamp(30, sent));
    assert!(host.info().rto < rto && host.info().rtt <= 20_000, "{:?}", host.info());
}

#[test]
fn a_loss_is_seen_after_gigabytes_without_one() {
    use crate::tcp::recovery::Recovery;
    let mut recovery = Recovery::new(SeqNum(ISS));
    let mut una = SeqNum(ISS) + 1;
    for _ in 0..200 {
        una += 1 << 28;
        recovery.keep_mark_near(una);
        assert!(una.after(recovery.recover), "at {una:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If (SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)), set SND.WND <- SEG.WND (SM-12)
#[test]
fn an_overtaken_segment_does_not_bring_back_an_old_window() {
    let mut host = Host::established();
    send!(host, seq 101, ack 1, data b"later"; window(5000));
    send!(host, seq 1, ack 1, data b"sooner"; window(40_000));
    assert_eq!(host.info().snd_wnd, 5000);
    send!(host, seq 101, ack 1; window(6000));
    assert_eq!(host.info().snd_wnd, 6000);
}

#[test]
fn acks_stay_inside_a_window_that_the_peer_took_back() {
    let mut host = Host::established();
    host.write_zeros(5000);
    host.polls();
    send!(host, seq 1, ack 1001; window(1000));
    host.polls();
    send!(host, seq 1, ack 1001, data &[1; 1000]; window(1000));
    send!(host, seq 1001, ack 1001, data &[1; 1000]; window(1000));
    recv!(host, seq 2001, ack 2001, len 0);
}
