//! ICMP errors: believed about what is in flight, fatal only while connecting.

use super::*;

fn seq(offset: u32) -> SeqNum {
    SeqNum(ISS) + offset
}

#[test]
fn a_smaller_path_cuts_what_is_in_flight_again() {
    let mut host = Host::established();
    host.limits.super_frame = 65_000;
    host.write_zeros(3000);
    recv!(host, seq 1, len 3000, gso 1000);
    host.connection.on_icmp(host.now, IcmpError::TooBig { mss: 600 }, seq(1001));
    recv!(host, seq 1, len 3000, gso 600);
    host.silent();
    assert_eq!((host.info().snd_mss, host.info().total_retrans), (600, 5));
    send!(host, seq 1, ack 3001);
    assert_eq!(host.info().ca_state, 0);
}

#[test]
fn a_message_about_nothing_in_flight_is_not_believed() {
    let mut host = Host::established();
    host.write_zeros(1000);
    recv!(host, seq 1, len 1000);
    for (mss, at) in [(600, 1001), (600, 0), (1000, 1), (2000, 1)] {
        host.connection.on_icmp(host.now, IcmpError::TooBig { mss }, seq(at));
        host.silent();
    }
    assert_eq!(host.info().snd_mss, 1000);
    host.connection.on_icmp(host.now, IcmpError::TooBig { mss: 0 }, seq(1));
    assert_eq!(host.info().snd_mss, 64);
}

#[test]
fn unreachable_ends_a_connection_that_is_being_opened() {
    let mut host = Host::connecting(plain(), setup(ISS));
    recv!(host, flags "S");
    host.connection.on_icmp(host.now, IcmpError::Unreachable(Errno::EHOSTUNREACH), seq(7));
    assert_eq!(host.state(), State::SynSent);
    host.connection.on_icmp(host.now, IcmpError::Unreachable(Errno::EHOSTUNREACH), seq(0));
    assert_eq!((host.state(), host.connection.take_error()), (State::Closed, Some(Errno::EHOSTUNREACH)));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
//= type=test
//# a TCP implementation MUST NOT abort the connection (MUST-56)
#[test]
fn unreachable_is_soft_once_open() {
    let mut host = Host::established();
    host.write_zeros(10);
    recv!(host, seq 1);
    host.connection.on_icmp(host.now, IcmpError::Unreachable(Errno::EHOSTUNREACH), seq(1));
    assert_eq!((host.state(), host.connection.take_error()), (State::Established, None));
}
