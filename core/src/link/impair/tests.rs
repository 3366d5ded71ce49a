//! Impairments on a virtual clock.

use super::*;
use crate::error::Errno;
use crate::link::pipe::{Offload, Pipe, pipe};
use crate::wire::ipv4::Ipv4Header;
use crate::wire::tcp::TcpHeader;
use crate::wire::{Checksum, SentChecksum, tcp};
use bytes::Bytes;
use smallvec::smallvec;
use std::net::{IpAddr, Ipv4Addr};

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DESTINATION: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A TCP packet, numbered by its sequence number; a super-frame if `gso_size` is not 0.
fn numbered(number: u32, payload: usize, gso_size: u16) -> Transmit {
    let ip = Ipv4Header {
        source: SOURCE,
        destination: DESTINATION,
        protocol: 6,
        ttl: 64,
        tos: 0,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        total_length: (40 + payload) as u16,
    };
    let mut head = arrayvec::ArrayVec::new();
    head.extend(ip.emit());
    head.extend(TcpHeader { source: 1, destination: 2, seq: number, ..Default::default() }.emit());
    let sum = Checksum::pseudo_header(SOURCE.into(), DESTINATION.into(), 6, (20 + payload) as u32);
    head[36..38].copy_from_slice(&sum.folded().to_be_bytes());
    let checksum = SentChecksum::Partial { start: 20, offset: 16 };
    Transmit { head, payload: smallvec![Bytes::from(vec![3; payload])], gso_size, checksum }
}

fn number_of(frame: &Frame) -> u32 {
    let (source, destination) = (IpAddr::V4(SOURCE), IpAddr::V4(DESTINATION));
    tcp::parse(source, destination, &frame.bytes[20..], true).unwrap().0.seq
}

fn impaired(settings: Impairment, offload: Offload, seed: u64) -> (Impaired, Pipe) {
    let (near, far) = pipe(1500, 100_000, offload);
    (Impaired::new(Box::new(near), settings, seed).unwrap(), far)
}

fn recv(device: &mut dyn Device, now: Instant) -> Option<Frame> {
    device.recv(now, &mut BytesMut::new()).unwrap()
}

/// Sends `count` packets of 1000 bytes a millisecond apart, and returns when each arrived at the other side, by number.
fn travel(device: &mut Impaired, far: &mut Pipe, count: u32) -> Vec<(u64, u32)> {
    let mut arrivals = Vec::new();
    let mut now = Instant::ZERO;
    let mut sent = 0;
    loop {
        let next_send = (sent < count).then(|| Instant::from_millis(sent.into()));
        let Some(next) = [next_send, device.poll_timeout()].into_iter().flatten().min() else {
            return arrivals;
        };
        now = now.max(next);
        if next_send == Some(now) {
            device.send(now, &numbered(sent, 960, 0)).unwrap();
            sent += 1;
        }
        assert!(recv(device, now).is_none());
        while let Some(frame) = recv(far, now) {
            arrivals.push((now.as_micros(), number_of(&frame)));
        }
    }
}

#[test]
fn without_impairments_everything_passes_at_once() {
    let (mut device, mut far) = impaired(Impairment::default(), Offload::Off, 1);
    let arrivals = travel(&mut device, &mut far, 100);
    let expected: Vec<_> = (0..100).map(|i| (u64::from(i) * 1000, i)).collect();
    assert_eq!(arrivals, expected);
    assert_eq!(device.poll_timeout(), None);
    let expected = Statistics { packets: 100, delivered: 100, ..Default::default() };
    assert_eq!(*device.outgoing(), expected);
}

#[test]
fn delay_holds_in_both_directions() {
    let settings = Impairment { delay: Duration::from_millis(10), ..Default::default() };
    let (mut device, mut far) = impaired(settings, Offload::Off, 1);
    assert_eq!(travel(&mut device, &mut far, 2), [(10_000, 0), (11_000, 1)]);
    let start = Instant::from_millis(500);
    far.send(start, &numbered(7, 100, 0)).unwrap();
    assert!(recv(&mut device, start).is_none());
    assert_eq!(device.poll_timeout(), Some(Instant::from_millis(510)));
    assert!(recv(&mut device, Instant::from_nanos(509_999_999)).is_none());
    assert_eq!(number_of(&recv(&mut device, Instant::from_millis(510)).unwrap()), 7);
    assert_eq!(device.poll_timeout(), None);
}

#[test]
fn rate_spaces_packets_and_the_queue_is_finite() {
    // 1000 bytes at 8 Mbit/s take a millisecond.
    let settings = Impairment { rate: 8_000_000, queue: 3, ..Default::default() };
    let (mut device, mut far) = impaired(settings, Offload::Off, 1);
    for number in 0..10 {
        assert_eq!(device.send(Instant::ZERO, &numbered(number, 960, 0)), Ok(Sent::Taken));
    }
    assert_eq!(device.outgoing().dropped, 6, "one on the link and three in the queue");
    for number in 0..4u32 {
        let arrival = Instant::from_millis(u64::from(number) + 1);
        assert_eq!(device.poll_timeout(), Some(arrival));
        assert!(recv(&mut device, arrival).is_none());
        assert_eq!(number_of(&recv(&mut far, arrival).unwrap()), number);
        assert!(recv(&mut far, arrival).is_none());
    }
}

#[test]
fn jitter_keeps_the_order() {
    let settings = Impairment { jitter: Duration::from_millis(50), ..Default::default() };
    let (mut device, mut far) = impaired(settings, Offload::Off, 9);
    let arrivals = travel(&mut device, &mut far, 300);
    assert!(arrivals.iter().map(|(_, number)| *number).eq(0..300));
    assert!(arrivals.iter().all(|(at, number)| *at >= u64::from(*number) * 1000));
    let late = |(at, number): &&(u64, u32)| *at > u64::from(*number) * 1000 + 40_000;
    assert!(arrivals.iter().filter(late).count() > 30);
}

#[test]
fn every_fault_happens_as_often_as_asked() {
    let count = 4000;
    let settings = Impairment {
        loss: 0.1,
        duplicate: 0.05,
        reorder: 0.2,
        reorder_delay: Duration::from_micros(2500),
        ..Default::default()
    };
    let (mut device, mut far) = impaired(settings, Offload::Off, 3);
    let arrivals = travel(&mut device, &mut far, count);
    let done = *device.outgoing();
    let near = |value: u64, expected: f64| (value as f64 - expected).abs() < expected * 0.25;
    assert!(near(done.lost, 400.0), "{done:?}");
    assert!(near(done.duplicated, 180.0), "{done:?}");
    assert!(near(done.reordered, 756.0), "{done:?}");
    assert_eq!(done.delivered, u64::from(count) - done.lost + done.duplicated);
    assert_eq!(arrivals.len() as u64, done.delivered);
    let overtaken = arrivals.windows(2).filter(|pair| pair[0].1 > pair[1].1).count();
    assert!(overtaken > 300, "{overtaken}");
    let mut seen: Vec<_> = arrivals.iter().map(|(_, number)| *number).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len() as u64, u64::from(count) - done.lost);
}

#[test]
fn corruption_flips_one_bit_that_the_checksums_find() {
    let settings = Impairment { corrupt: 1.0, ..Default::default() };
    for offload in [Offload::On, Offload::Off] {
        let (mut device, mut far) = impaired(settings, offload, 5);
        for number in 0..200 {
            far.send(Instant::ZERO, &numbered(number, 100, 0)).unwrap();
            let frame = recv(&mut device, Instant::ZERO).unwrap();
            let mut whole = VecDeque::new();
            segment(&numbered(number, 100, 0), &mut whole);
            let good = Packet::from(&whole[0]).bytes;
            let flipped: u32 = good.iter().zip(&frame.bytes[..]).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!((flipped, frame.bytes.len()), (1, good.len()));
            assert_eq!(frame.meta, FrameMeta::default(), "nobody vouches for it");
            let (header, segment) = frame.bytes.split_at(20);
            let found = crate::wire::checksum(header) != 0
                || tcp::parse(SOURCE.into(), DESTINATION.into(), segment, true).is_err();
            assert!(found, "packet {number}");
        }
        assert_eq!(device.incoming().corrupted, 200);
    }
}

#[test]
fn super_frames_are_impaired_as_the_packets_they_are() {
    let settings = Impairment { loss: 0.5, ..Default::default() };
    let (mut device, mut far) = impaired(settings, Offload::On, 11);
    assert_eq!(device.capabilities(), Capabilities::plain(1500));
    for _ in 0..20 {
        far.send(Instant::ZERO, &numbered(0, 20_000, 1000)).unwrap();
        device.send(Instant::ZERO, &numbered(0, 20_000, 1000)).unwrap();
    }
    let mut received = 0;
    while let Some(frame) = recv(&mut device, Instant::ZERO) {
        assert_eq!(frame.bytes.len(), 1040);
        assert_eq!(number_of(&frame) % 1000, 0);
        received += 1;
    }
    assert_eq!((device.incoming().packets, device.outgoing().packets), (400, 400));
    assert_eq!(device.incoming().delivered, received);
    assert!((120..280).contains(&received));
    let mut arrived = 0;
    while let Some(frame) = recv(&mut far, Instant::ZERO) {
        assert_eq!((frame.bytes.len(), frame.meta.gso_size), (1040, 0));
        arrived += 1;
    }
    assert_eq!(device.outgoing().delivered, arrived);
}

#[test]
fn delayed_packets_pin_no_page() {
    let settings = Impairment { delay: Duration::from_millis(1), ..Default::default() };
    let (mut device, _far) = impaired(settings, Offload::Off, 1);
    let mut page = BytesMut::zeroed(4096);
    let mut transmit = numbered(0, 1000, 0);
    transmit.payload = smallvec![page.split_to(1000).freeze()];
    transmit.checksum = SentChecksum::Complete;
    device.send(Instant::ZERO, &transmit).unwrap();
    drop(transmit);
    page.clear();
    assert!(page.try_reclaim(4096), "the page is free again while the packet is under way");
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let settings = Impairment {
        rate: 20_000_000,
        delay: Duration::from_millis(3),
        jitter: Duration::from_millis(2),
        loss: 0.1,
        duplicate: 0.1,
        reorder: 0.1,
        reorder_delay: Duration::from_millis(5),
        ..Default::default()
    };
    let run = |seed| {
        let (mut device, mut far) = impaired(settings, Offload::Off, seed);
        let arrivals = travel(&mut device, &mut far, 500);
        (arrivals, *device.outgoing())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn a_full_inner_device_is_asked_again() {
    let (near, mut far) = pipe(1500, 1, Offload::Off);
    let mut device = Impaired::new(Box::new(near), Impairment::default(), 1).unwrap();
    for number in 0..3 {
        assert_eq!(device.send(Instant::ZERO, &numbered(number, 100, 0)), Ok(Sent::Taken));
    }
    let mut now = Instant::ZERO;
    for number in 0..3 {
        assert_eq!(number_of(&recv(&mut far, now).unwrap()), number);
        assert!(recv(&mut far, now).is_none());
        now = device.poll_timeout().unwrap_or(now);
        assert!(recv(&mut device, now).is_none());
    }
    assert_eq!(device.poll_timeout(), None);
}

#[test]
fn what_the_inner_device_refuses_is_counted() {
    let (mut device, _far) = impaired(Impairment::default(), Offload::Off, 1);
    assert_eq!(device.send(Instant::ZERO, &numbered(0, 2000, 0)), Ok(Sent::Taken));
    assert_eq!(device.outgoing().refused, 1);
}

#[test]
fn settings_without_sense_are_refused_by_name() {
    let delayed = Impairment { reorder_delay: Duration::from_millis(1), ..Default::default() };
    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let settings = [
            ("loss", Impairment { loss: bad, ..delayed }),
            ("duplicate", Impairment { duplicate: bad, ..delayed }),
            ("reorder", Impairment { reorder: bad, ..delayed }),
            ("corrupt", Impairment { corrupt: bad, ..delayed }),
        ];
        for (name, settings) in settings {
            let error = settings.validate().unwrap_err();
            assert_eq!(error.errno(), Errno::EINVAL);
            assert!(error.detail().unwrap().starts_with(name), "{error}");
        }
    }
    assert!(Impairment { reorder: 0.1, ..Default::default() }.validate().is_err());
    assert!(
        Impairment { reorder: 1.0, loss: 1.0, duplicate: 1.0, corrupt: 1.0, ..delayed }.validate().is_ok()
    );
    let (near, _far) = pipe(1500, 1, Offload::Off);
    assert!(Impaired::new(Box::new(near), Impairment { loss: 2.0, ..delayed }, 0).is_err());
}
