//! One direction by itself: bursts, policer, queues, times, changes, memory.

use super::*;

fn path(settings: Impairment) -> Path {
    Path::new(settings, Rng::from_seed(1)).unwrap()
}

fn at(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1000)
}

/// A packet of `length` bytes that is numbered.
fn packet(number: u32, length: usize) -> Packet {
    let mut bytes = vec![0; length];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn number(packet: &Packet) -> u32 {
    u32::from_be_bytes(*packet.bytes.first_chunk().unwrap())
}

/// When each packet arrives, microseconds, in the order in which they come out.
fn arrivals(path: &mut Path) -> Vec<(u64, u32)> {
    let mut all = Vec::new();
    while let Some(next) = path.next() {
        let packet = path.due(next).expect("it is due");
        all.push((next.as_micros(), number(&packet)));
    }
    all
}

/// Whatever came in is somewhere.
fn accounted(path: &Path) {
    let s = path.statistics();
    let gone = s.delivered + s.lost + s.burst_lost + s.dropped + s.policed + s.too_big + s.overflowed;
    assert_eq!(s.packets + s.fragments + s.duplicated, gone + path.under_way() as u64, "{s:?}");
}

#[test]
fn bursts_have_the_length_and_the_share_that_gilbert_and_elliott_say() {
    let mut path =
        path(Impairment { burst_enter: 0.01, burst_leave: 0.2, burst_loss: 1.0, ..Impairment::default() });
    let count = 200_000u32;
    for n in 0..count {
        path.offer(at(0), packet(n, 40));
    }
    accounted(&path);
    let arrived: Vec<u32> = arrivals(&mut path).into_iter().map(|(_, number)| number).collect();
    let gaps: Vec<u32> =
        arrived.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
    let share = path.statistics().burst_lost as f64 / f64::from(count);
    let length = f64::from(gaps.iter().sum::<u32>()) / gaps.len() as f64;
    assert!((share - 0.01 / 0.21).abs() < 0.004, "{share}");
    assert!((length - 5.0).abs() < 0.4, "{length}");
    assert_eq!(path.statistics().lost, 0);
}

#[test]
fn a_burst_loses_as_much_as_it_says_and_the_rest_as_loss_says() {
    let mut path = path(Impairment {
        loss: 0.01,
        burst_enter: 0.1,
        burst_leave: 0.1,
        burst_loss: 0.5,
        ..Impairment::default()
    });
    (0..40_000).for_each(|n| assert_eq!(path.offer(at(0), packet(n, 40)), None));
    let s = *path.statistics();
    assert!((9_000..11_000).contains(&s.burst_lost), "{s:?}");
    assert!((140..260).contains(&s.lost), "{s:?}");
    accounted(&path);
}

#[test]
fn a_policer_passes_its_burst_and_then_its_rate_and_delays_nothing() {
    // 1000 bytes a millisecond, four packets in the bucket.
    let settings = Impairment { police_rate: 8_000_000, police_burst: 4000, ..Impairment::default() };
    let mut path = path(settings);
    (0..10).for_each(|n| drop(path.offer(at(0), packet(n, 1000))));
    assert_eq!(path.statistics().policed, 6);
    path.offer(at(999), packet(10, 1000));
    assert_eq!(path.statistics().policed, 7, "no token yet");
    path.offer(at(1000), packet(11, 1000));
    path.offer(at(1000), packet(12, 1000));
    assert_eq!(path.statistics().policed, 8);
    // A pause fills the bucket, and no more than that.
    (20..30).for_each(|n| drop(path.offer(at(1_000_000), packet(n, 1000))));
    accounted(&path);
    let expected =
        [(0, 0), (0, 1), (0, 2), (0, 3), (1000, 11), (1_000_000, 20), (1_000_000, 21), (1_000_000, 22)];
    assert_eq!(arrivals(&mut path)[..8], expected);
    assert_eq!(path.statistics().delivered, 9);
}

#[test]
fn a_queue_of_bytes_holds_as_many_small_packets_as_fit() {
    // 1000 bytes a millisecond.
    let settings = Impairment { rate: 8_000_000, queue_bytes: 2000, ..Impairment::default() };
    let mut large = path(settings);
    (0..5).for_each(|n| drop(large.offer(at(0), packet(n, 1000))));
    assert_eq!((large.statistics().dropped, large.under_way()), (2, 3), "one on the link, two wait");
    let mut small = path(settings);
    (0..100).for_each(|n| drop(small.offer(at(0), packet(n, 40))));
    assert_eq!(small.under_way(), 51);
    small.offer(at(320), packet(100, 40));
    assert_eq!(small.statistics().dropped, 49, "one has left");
    let mut both = path(Impairment { queue: 1, ..settings });
    (0..5).for_each(|n| drop(both.offer(at(0), packet(n, 40))));
    assert_eq!(both.under_way(), 2, "whichever is full first");
    [large, small, both].iter().for_each(accounted);
}

#[test]
fn packets_are_held_back_for_a_fixed_time_or_for_a_random_one() {
    let delay = Duration::from_millis(10);
    let quarter = Duration::from_millis(5);
    let fixed = Impairment { delay, reorder: 1.0, reorder_delay: quarter, ..Impairment::default() };
    let random = Impairment { delay, reorder: 1.0, reorder_jitter: quarter, ..Impairment::default() };
    let mut fixed = path(fixed);
    (0..100).for_each(|n| drop(fixed.offer(at(0), packet(n, 40))));
    assert!(arrivals(&mut fixed).iter().all(|(at, _)| *at == 15_000));
    let mut random = path(random);
    (0..1000).for_each(|n| drop(random.offer(at(0), packet(n, 40))));
    let times: Vec<u64> = arrivals(&mut random).into_iter().map(|(at, _)| at).collect();
    assert!(times.iter().all(|at| (10_000..=15_000).contains(at)));
    let mean = times.iter().sum::<u64>() / 1000;
    assert!((12_300..12_700).contains(&mean), "{mean}");
}

#[test]
fn what_is_held_back_is_overtaken_and_the_rest_keeps_its_order() {
    let settings = Impairment {
        delay: Duration::from_millis(1),
        reorder: 0.05,
        reorder_delay: Duration::from_micros(350),
        ..Impairment::default()
    };
    let mut path = path(settings);
    (0..1000u32).for_each(|n| drop(path.offer(at(u64::from(n) * 100), packet(n, 40))));
    let arrived = arrivals(&mut path);
    assert!(arrived.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    for (at, n) in arrived {
        let held = at - 1000 - u64::from(n) * 100;
        assert!(held == 0 || held == 350, "packet {n} by {held}");
    }
    assert!((20..90).contains(&path.statistics().reordered));
}

#[test]
fn settings_change_from_an_instant_on_and_keep_the_order() {
    let slow = Impairment { delay: Duration::from_millis(10), ..Impairment::default() };
    let fast = Impairment { delay: Duration::from_millis(1), ..Impairment::default() };
    let gone = Impairment { loss: 1.0, ..Impairment::default() };
    let mut path = path(slow);
    path.change_at(at(3000), gone).unwrap();
    path.change_at(at(1000), fast).unwrap();
    for (n, micros) in [(0, 0), (1, 999), (2, 1000), (3, 2999), (4, 3000), (5, 4000)] {
        path.offer(at(micros), packet(n, 40));
    }
    assert_eq!(*path.settings(), gone);
    assert_eq!(arrivals(&mut path), [(10_000, 0), (10_999, 1), (10_999, 2), (10_999, 3)]);
    path.change(slow).unwrap();
    path.offer(at(20_000), packet(6, 40));
    assert_eq!(arrivals(&mut path), [(30_000, 6)]);
    assert!(path.change(Impairment { loss: 2.0, ..slow }).is_err());
    assert!(path.change_at(at(0), Impairment { loss: 2.0, ..slow }).is_err());
    assert_eq!(*path.settings(), slow);
}

#[test]
fn a_gigabit_with_200_milliseconds_is_under_way_twice() {
    let second = 1_000_000_000u64;
    let delay = Duration::from_millis(400);
    let settings = Impairment { rate: second, delay, ..Impairment::default() };
    let mut path = path(settings);
    let mut now = Instant::ZERO;
    for n in 0..80_000 {
        path.offer(now, packet(n, 1500));
        while path.due(now).is_some() {}
        now += Duration::from_micros(12);
    }
    assert!(path.under_way() > 33_000, "{}", path.under_way());
    assert_eq!((path.statistics().overflowed, path.statistics().dropped), (0, 0));
    accounted(&path);
}

#[test]
fn memory_is_bounded() {
    let delay = Duration::from_millis(1);
    let mut path = path(Impairment { delay, memory: 3 * (1000 + OVERHEAD), ..Impairment::default() });
    (0..5).for_each(|n| drop(path.offer(at(0), packet(n, 1000))));
    assert_eq!((path.statistics().overflowed, path.under_way()), (2, 3));
    accounted(&path);
    assert_eq!(arrivals(&mut path).len(), 3);
    path.offer(at(2000), packet(5, 1000));
    assert_eq!(path.under_way(), 1);
}

#[test]
fn whoever_may_be_marked_is_where_many_wait() {
    let mut path = path(Impairment { rate: 8_000_000, queue: 6, mark: 3, ..Impairment::default() });
    let ect = |length| {
        let mut bytes = vec![0; length];
        (bytes[0], bytes[1]) = (0x60, 0x20);
        Packet::from(bytes)
    };
    for n in 0..8 {
        // The third of those that would be marked may not be.
        path.offer(at(0), if n == 6 { packet(0, 100) } else { ect(100) });
    }
    accounted(&path);
    // One is being sent, three wait: whoever comes behind those is marked, and nothing keeps the queue from being full.
    assert_eq!((path.statistics().marked, path.statistics().dropped), (2, 1));
    let mut marks = Vec::new();
    while let Some(next) = path.next() {
        marks.push(path.due(next).expect("it is due").bytes[1] >> 4);
    }
    assert_eq!(marks, [2, 2, 2, 2, 3, 3, 0]);
}
