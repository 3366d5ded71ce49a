//! Explicit congestion notification with the kernel: who asks, who grants, and that a mark slows the sender down on either side.

use super::lab::*;
use std::thread;
use usertcp_core::api::*;

/// TCPI_OPT_ECN.
const NEGOTIATED: u8 = 8;
/// TCPI_OPT_ECN_SEEN.
const SEEN: u8 = 16;

/// A link on the stack's side that marks what finds more than a few packets before it, and has room for many.
fn open(ecn: Ecn) -> Option<Lab> {
    Lab::open(false, |options| {
        options.config.tcp.ecn = ecn;
        let delay = Duration::from_millis(5);
        let link = Impairment { rate: 50_000_000, delay, queue: 1000, mark: 20, ..Impairment::default() };
        options.impairment = Some(link);
    })
}

#[test]
fn it_is_used_where_one_side_asks_and_the_other_grants() {
    for (ecn, kernel) in
        [(Ecn::On, "1"), (Ecn::On, "2"), (Ecn::On, "0"), (Ecn::Passive, "1"), (Ecn::Off, "1")]
    {
        let Some(lab) = open(ecn) else { return };
        lab.sandbox.set_sysctl("net.ipv4.tcp_ecn", kernel).expect("a sysctl");
        for domain in DOMAINS {
            let (out, _peer) = lab.connect_out(domain);
            let used = out.tcp_info().expect("figures").options & NEGOTIATED != 0;
            assert_eq!(used, ecn == Ecn::On && kernel != "0", "{ecn} asks, {kernel} answers");
            let (back, _peer) = lab.connect_in(domain);
            let used = back.tcp_info().expect("figures").options & NEGOTIATED != 0;
            assert_eq!(used, ecn != Ecn::Off && kernel == "1", "{kernel} asks, {ecn} answers");
        }
    }
}

#[test]
fn super_frames_may_be_marked_as_well() {
    let Some(lab) = Lab::open(true, |options| options.config.tcp.ecn = Ecn::On) else { return };
    lab.sandbox.set_sysctl("net.ipv4.tcp_ecn", "1").expect("a sysctl");
    for domain in DOMAINS {
        let (socket, kernel) = lab.connect_out(domain);
        let (out, back) = (pattern(73, 2 << 20), pattern(74, 2 << 20));
        let before = lab.kernel_counters()["InECT0Pkts"];
        thread::scope(|scope| {
            scope.spawn(|| send_all(&socket, &out));
            let arrived = scope.spawn(|| kernel_read_to_end(&kernel) == out);
            scope.spawn(|| kernel_send_all(&kernel, &back));
            assert!(read_to_end(&socket) == back, "what the kernel sent");
            assert!(arrived.join().expect("the kernel's reader"), "what the stack sent");
        });
        let info = socket.tcp_info().expect("figures");
        assert_eq!(info.options & (NEGOTIATED | SEEN), NEGOTIATED | SEEN, "{domain:?}");
        assert_eq!((info.received_ce, info.delivered_ce), (0, 0), "nobody marks");
        assert!(domain == Domain::V6 || lab.kernel_counters()["InECT0Pkts"] > before, "{domain:?}");
    }
}

#[test]
fn a_mark_slows_the_sender_down_on_either_side() {
    let Some(lab) = open(Ecn::On) else { return };
    lab.sandbox.set_sysctl("net.ipv4.tcp_ecn", "1").expect("a sysctl");
    for domain in DOMAINS {
        let (socket, kernel) = match domain {
            Domain::V4 => lab.connect_out(domain),
            Domain::V6 => lab.connect_in(domain),
        };
        let (out, back) = (pattern(71, 4 << 20), pattern(72, 4 << 20));
        thread::scope(|scope| {
            scope.spawn(|| send_all(&socket, &out));
            let arrived = scope.spawn(|| kernel_read_to_end(&kernel) == out);
            scope.spawn(|| kernel_send_all(&kernel, &back));
            assert!(read_to_end(&socket) == back, "what the kernel sent");
            assert!(arrived.join().expect("the kernel's reader"), "what the stack sent");
        });
        let info = socket.tcp_info().expect("figures");
        assert!(info.options & NEGOTIATED != 0 && info.delivered_ce > 0 && info.received_ce > 0, "{info:?}");
        assert!(info.snd_ssthresh < i32::MAX as u32, "slow start is over: {info:?}");
    }
    let (ours, kernel) = (lab.stack.counters().expect("counters"), lab.kernel_counters());
    assert!(ours.tcp_ecn_marks > 0, "what the kernel sent was marked");
    assert!(ours.tcp_ecn_reductions > 0, "the kernel told of what was marked");
    assert!(kernel["InCEPkts"] > 0, "what the stack sent was marked");
    assert!(kernel["TCPDeliveredCE"] > 0, "the stack told of what was marked");
}
