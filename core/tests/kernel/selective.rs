//! Selective acknowledgement with the kernel, which judges every block that the stack sends.

use super::lab::*;
use std::thread;
use usertcp_core::api::*;

const LENGTH: usize = 1 << 20;

/// A link that loses and doubles packets on the stack's side of it.
fn open() -> Option<Lab> {
    Lab::open(false, |options| {
        let delay = Duration::from_millis(5);
        options.seed = Some(4);
        options.impairment = Some(Impairment { loss: 0.02, duplicate: 0.02, delay, ..Impairment::default() });
    })
}

/// Both directions at once over a connection of either side; returns the options that were negotiated.
fn exchange(lab: &Lab, domain: Domain) -> u8 {
    let (socket, kernel) = match domain {
        Domain::V4 => lab.connect_out(domain),
        Domain::V6 => lab.connect_in(domain),
    };
    let (out, back) = (pattern(61, LENGTH), pattern(62, LENGTH));
    let options = socket.tcp_info().expect("figures").options;
    thread::scope(|scope| {
        scope.spawn(|| send_all(&socket, &out));
        scope.spawn(|| kernel_send_all(&kernel, &back));
        let arrived = scope.spawn(|| kernel_read_to_end(&kernel) == out);
        assert!(read_to_end(&socket) == back, "what the kernel sent");
        assert!(arrived.join().expect("the kernel's reader"), "what the stack sent");
    });
    options
}

#[test]
fn blocks_are_sent_and_understood_both_ways() {
    let Some(lab) = open() else { return };
    for domain in DOMAINS {
        assert_eq!(exchange(&lab, domain) & 2, 2, "negotiated");
    }
    let (ours, kernel) = (lab.stack.counters().expect("counters"), lab.kernel_counters());
    assert!(ours.tcp_sack_recoveries > 0, "the kernel's blocks led to recovery");
    assert!(ours.tcp_dsacks_in > 0, "the kernel told of duplicates");
    assert!(ours.tcp_dsacks_out > 0, "so did the stack");
    assert_eq!(ours.tcp_sack_ignored, 0, "no block of the kernel is nonsense");
    assert!(kernel["TCPSackRecovery"] > 0, "the stack's blocks led to recovery");
    assert!(kernel["TCPDSACKRecv"] > 0, "the kernel took duplicates for what they are");
    // Duplicates that it did not send it calls dubious, and then takes their blocks for nonsense.
    assert!(
        kernel["TCPSACKDiscard"] <= kernel["TCPDSACKIgnoredDubious"],
        "no block of the stack is nonsense"
    );
    assert_eq!(kernel["TCPSACKReneging"], 0);
}

#[test]
fn a_kernel_without_sack() {
    let Some(lab) = open() else { return };
    lab.sandbox.set_sysctl("net.ipv4.tcp_sack", "0").expect("a sysctl");
    for domain in DOMAINS {
        assert_eq!(exchange(&lab, domain) & 2, 0, "not negotiated");
    }
    let ours = lab.stack.counters().expect("counters");
    assert_eq!((ours.tcp_sack_recoveries, ours.tcp_dsacks_in, ours.tcp_dsacks_out), (0, 0, 0));
    assert!(ours.tcp_fast_retransmits > 0, "NewReno at work");
}
