//! Timestamps and other filters of what arrives; limits a peer cannot exceed.

use super::*;

fn stamped() -> Host {
    let mut host = Host::connecting(TcpConfig { quick_acks: 0, ..TcpConfig::default() }, setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN; stamp(100, 1000); mss(1000); window(50_000));
    host.polls();
    host
}

#[test]
fn paws_drops_and_acknowledges() {
    let mut host = stamped();
    send!(host, seq 1, ack 1, data b"old"; stamp(99, 1000));
    let sent = recv!(host, ack 1);
    assert_eq!(sent.options.timestamps.map(|stamps| stamps.1), Some(100));
    assert_eq!((host.counters.drop_tcp_paws, host.read().len()), (1, 0));
    send!(host, seq 1, ack 1, flag RST; stamp(99, 1000));
    assert_eq!(host.state(), State::Closed, "PAWS does not look at RST");
}

#[test]
fn a_segment_without_the_negotiated_timestamp_is_dropped() {
    let mut host = stamped();
    send!(host, seq 1, ack 1, data b"bare");
    host.silent();
    assert_eq!(host.counters.drop_tcp_no_timestamp, 1);
    send!(host, seq 1, ack 1, flag RST);
    assert_eq!(host.state(), State::Closed);
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
//= type=test
//# when delayed ACKs are in use, the receiver SHOULD reply with the TSval field from the earliest unacknowledged segment (7323:4.3-2).
#[test]
fn the_echo_is_of_the_segment_that_advanced_the_window() {
    let mut host = stamped();
    send!(host, seq 1, ack 1, data b"abc"; stamp(110, 1000));
    send!(host, seq 4, ack 1, data b"def"; stamp(120, 1000));
    host.timeout();
    let sent = recv!(host, ack 7);
    assert_eq!(sent.options.timestamps.unwrap().1, 110, "RFC 7323 4.3: a delayed ACK echoes the first");
}

#[test]
fn timestamps_wrap() {
    let mut wrapping = setup(ISS);
    wrapping.timestamp_offset = u32::MAX - 1000;
    let mut host = Host::connecting(TcpConfig::default(), wrapping);
    let syn = host.poll().unwrap();
    assert_eq!(syn.options.timestamps, Some((u32::MAX, 0)));
    host.now += Duration::from_millis(3);
    send!(host, seq 0, ack 1, flag SYN; stamp(u32::MAX, u32::MAX); mss(1000));
    host.polls();
    host.write(b"x");
    let sent = recv!(host, len 1);
    assert_eq!(sent.options.timestamps, Some((2, u32::MAX)));
    host.now += Duration::from_millis(5);
    send!(host, seq 1, ack 2, data b"y"; stamp(4, 2));
    assert_eq!(host.read(), b"y");
}

#[test]
fn reassembly_is_bounded() {
    let mut host = Host::established_with(TcpConfig { reassembly_segments: 4, ..plain() }, setup(ISS));
    for index in 1..10 {
        send!(host, seq 1 + index * 10, ack 1, data b"x");
        host.polls();
    }
    assert_eq!((host.info().rcv_ooopack, host.counters.drop_tcp_reassembly), (4, 5));
    send!(host, seq 1, ack 1, data &[7; 10]);
    assert_eq!(host.read().len(), 11);
}

#[test]
fn a_segment_is_cut_to_the_window() {
    let mut host = Host::established();
    let big = vec![1; 59_000];
    send!(host, seq 1, ack 1, data &big; merged(1000));
    host.polls();
    let tail = vec![2; 3000];
    send!(host, seq 59_001, ack 1, flag FIN, data &tail; merged(1000));
    recv!(host, ack 60_001, win 0);
    assert_eq!((host.buffers.recv.len(), host.connection.receive_ended()), (60_000, false));
}

#[test]
fn numbers_wrap_in_both_directions() {
    let mut host = Host::established();
    host.write_zeros(10_000);
    let sent = host.polls();
    assert!(sent.iter().any(|one| one.seq.0 < 100_000), "our numbers have wrapped");
    send!(host, seq 1, ack 10_001, data &[0; 1000]);
    assert_eq!(host.info().unacked, 0);
    assert_eq!(host.read().len(), 1000);
    host.timeout();
    let ack = recv!(host, ack 1001, seq 10_001);
    assert!(ack.ack.unwrap().0 < 1000, "theirs too");
}

/// Whatever comes, in whatever state: no panic, bounded output, and no deadline in the past.
#[test]
fn noise_is_survived() {
    let mut rng = crate::rng::Rng::from_seed(42);
    for round in 0..400 {
        let mut host = match round % 3 {
            0 => Host::connecting(TcpConfig::default(), setup(ISS)),
            1 => Host::accepting(
                TcpConfig::default(),
                setup(ISS),
                &segment(0, None, Flags::SYN, b"").mss(1000),
            ),
            _ => Host::established(),
        };
        for _ in 0..60 {
            let near =
                |rng: &mut crate::rng::Rng| rng.below(8).wrapping_sub(3).wrapping_add(rng.below(3) * 500);
            let mut noise = segment(
                near(&mut rng),
                Some(near(&mut rng)),
                Flags::default(),
                &vec![0; rng.below(1200) as usize],
            );
            noise.header.flags = Flags(rng.next_u32() as u8 & if rng.chance(0.5) { 0xff } else { 0x11 });
            noise.header.window = if rng.chance(0.3) { 0 } else { rng.next_u32() as u16 };
            noise.gso_size = if rng.chance(0.2) { rng.below(700) as u16 } else { 0 };
            match rng.below(9) {
                0 => host.write_zeros(1 + rng.below(3000) as usize),
                1 => host.connection.orphan(host.now),
                2 if rng.chance(0.3) => host.close(),
                3 => drop(host.read()),
                4 => drop(host.polls()),
                5 => drop(host.after(u64::from(rng.below(3000)))),
                _ => host.deliver(noise),
            }
        }
        host.polls();
        assert!(host.connection.poll_timeout().is_none_or(|at| at > host.now), "round {round}");
    }
}
