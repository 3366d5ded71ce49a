//! What is in flight, against octets in a list.

use super::*;
use crate::tcp::flight::{Cause, Flight, Mark};
use crate::tcp::scoreboard::{Edges, Scoreboard};
use proptest::prelude::*;
use std::ops::Range;

const BASE: SeqNum = SeqNum(0xffff_ff80);
const LEAST: Duration = Duration::from_millis(5);

/// One octet in flight.
#[derive(Clone, Copy, Debug)]
struct Octet {
    sent_at: Instant,
    held: bool,
    lost: bool,
    again: bool,
    ever: bool,
}

#[derive(Debug, Default)]
struct Naive {
    octets: Vec<Octet>,
    una: usize,
    highest: usize,
}

impl Naive {
    fn ranges(&self) -> usize {
        let held = |at: usize| at >= self.una && self.octets[at].held;
        (self.una..self.octets.len()).filter(|at| held(*at) && !(*at > self.una && held(*at - 1))).count()
    }

    fn count(&self, what: impl Fn(&Octet) -> bool) -> u32 {
        self.octets[self.una..].iter().filter(|octet| what(octet)).count() as u32
    }

    fn pipe(&self) -> u32 {
        self.count(|o| !o.held) - self.count(|o| o.lost) + self.count(|o| o.again)
    }

    /// What arrives now: bytes, and the latest sent of it.
    fn arrives(&mut self, now: Instant, span: Range<usize>, held: bool) -> (u32, bool, bool) {
        let mut told = (0, false, false);
        for at in span.clone() {
            let octet = &mut self.octets[at];
            if octet.held {
                continue;
            }
            told.0 += 1;
            told.1 |= !octet.ever && at < self.highest;
            told.2 |= !octet.ever || octet.sent_at + LEAST <= now;
            (octet.held, octet.lost, octet.again) = (held, false, false);
        }
        self.highest = self.highest.max(span.end);
        told
    }
}

fn seq(at: usize) -> SeqNum {
    BASE + at as u32
}

fn same(flight: &Flight, naive: &Naive) -> Result<(), TestCaseError> {
    prop_assert_eq!(flight.held(), naive.count(|o| o.held));
    prop_assert_eq!(flight.held_ranges(), naive.ranges());
    prop_assert_eq!(flight.lost(), naive.count(|o| o.lost));
    prop_assert_eq!(flight.again(), naive.count(|o| o.again));
    prop_assert_eq!(flight.pipe(), naive.pipe());
    prop_assert_eq!(flight.has_reneged(), naive.octets.get(naive.una).is_some_and(|o| o.held));
    let lost = |at: &usize| naive.octets[*at].lost && !naive.octets[*at].again;
    let first = (naive.una..naive.octets.len()).find(lost);
    prop_assert_eq!(flight.first_hole(), first.map(seq));
    if let Some(first) = first {
        let end = (first..naive.octets.len()).take_while(lost).last().unwrap_or(first) + 1;
        prop_assert_eq!(flight.hole(), Some(seq(first)..seq(end)));
    }
    let lacking = (naive.una..naive.octets.len()).take_while(|at| !naive.octets[*at].held).take(15).count();
    prop_assert_eq!(flight.head(15), seq(naive.una)..seq(naive.una + lacking));
    let last = (naive.una..naive.octets.len()).rev().find(|at| !naive.octets[*at].held);
    prop_assert_eq!(flight.tail(1).map(|tail| tail.end), last.map(|at| seq(at + 1)));
    prop_assert!(flight.records() <= naive.octets.len() - naive.una);
    Ok(())
}

proptest! {
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //= type=test
    //# each octet that is cumulatively ACKed or SACKed should be marked accordingly in the scoreboard data structure, and the total number of octets SACKed should be recorded (6675:4-2).
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //= type=test
    //# MUST set the "pipe" variable to an estimate of the number of octets that are currently in transit between the TCP sender and the TCP receiver (6675:4-5).
    #[test]
    fn agrees_with_a_list_of_octets(steps in prop::collection::vec((0u8..16, 0usize..250, 1usize..35), 1..80)) {
        let mut flight = Flight::new(BASE, 1000);
        let mut naive = Naive::default();
        let mut now = START;
        for (what, at, length) in steps {
            now += Duration::from_millis((at % 3) as u64);
            let len = naive.octets.len();
            let mut news = flight.news(now, LEAST, BASE);
            match what {
                0..=3 => {
                    let octet = Octet { sent_at: now, held: false, lost: false, again: false, ever: false };
                    naive.octets.resize(len + length, octet);
                    flight.sent(now, seq(len)..seq(len + length), false);
                }
                4 | 5 => {
                    let to = (naive.una + at % 60).min(len);
                    let told = naive.arrives(now, naive.una..to, true);
                    naive.una = to;
                    flight.acked(seq(to), &mut news);
                    prop_assert_eq!((news.bytes, news.overtaken.is_some(), news.latest.is_some()), told);
                }
                6..=8 => {
                    // Lost or not: a probe may repeat what only waits.
                    let from = naive.una + at;
                    let span = from..(from + length).min(len);
                    if span.is_empty() || naive.octets[span.clone()].iter().any(|o| o.held) {
                        continue;
                    }
                    flight.resent(now, seq(span.start)..seq(span.end));
                    naive.octets[span].iter_mut().for_each(|o| (o.again, o.ever, o.sent_at) = (true, true, now));
                }
                9 => {
                    flight.lose_all(now, Duration::ZERO, Cause::Timeout);
                    for o in naive.octets.iter_mut().skip(naive.una).filter(|o| !o.held) {
                        (o.lost, o.again) = (true, false);
                    }
                }
                10 => {
                    flight.find_all();
                    naive.octets.iter_mut().for_each(|o| o.lost = false);
                }
                11 if at < 40 => {
                    flight.renege(now);
                    flight.lose_all(now, Duration::ZERO, Cause::Timeout);
                    let all = &mut naive.octets[naive.una..];
                    all.iter_mut().for_each(|o| {
                        if o.held {
                            (o.ever, o.sent_at) = (true, now);
                        }
                        (o.held, o.lost, o.again) = (false, true, false);
                    });
                    naive.highest = naive.una;
                }
                12 => {
                    let latest = Mark { sent_at: now, end: u64::MAX };
                    let losses = flight.detect(now, latest, Duration::from_millis(length as u64));
                    let mut lost = 0;
                    for o in naive.octets.iter_mut().skip(naive.una) {
                        let waits = !o.held && (!o.lost || o.again);
                        if waits && o.sent_at + Duration::from_millis(length as u64) <= now {
                            (o.lost, o.again) = (true, false);
                            lost += 1;
                        }
                    }
                    prop_assert_eq!(losses.bytes, lost);
                    prop_assert_eq!(losses.wait.is_some(), naive.count(|o| !o.held && (!o.lost || o.again)) > 0);
                }
                _ => {
                    let start = naive.una + 1 + at;
                    let span = start..(start + length).min(len);
                    if span.is_empty() {
                        continue;
                    }
                    prop_assert!(flight.hold(seq(span.start)..seq(span.end), &mut news));
                    let told = naive.arrives(now, span, true);
                    prop_assert_eq!((news.bytes, news.overtaken.is_some(), news.latest.is_some()), told);
                }
            }
            same(&flight, &naive)?;
        }
    }

    /// Whatever a peer sends: what is kept stays within bounds, and within what is in flight.
    #[test]
    fn any_blocks_are_survived(
        acks in prop::collection::vec(
            (any::<u32>(), prop::collection::vec((any::<u32>(), any::<u32>()), 0..4), any::<bool>()),
            1..60,
        ),
        una: u32,
        sent in 1u32..100_000,
    ) {
        let edges = Edges { una: SeqNum(una), nxt: SeqNum(una) + sent };
        let mut flight = Flight::new(SeqNum(una), 8);
        flight.sent(START, edges.una..edges.nxt, false);
        for (ack, blocks, near) in acks {
            let put = |edge: u32| if near { una.wrapping_add(edge % (sent + 50)).wrapping_sub(20) } else { edge };
            let blocks: Vec<_> = blocks.into_iter().map(|(left, right)| (put(left), put(right))).collect();
            let mut news = flight.news(START, LEAST, SeqNum(una));
            let update = Scoreboard { flight: &mut flight, news: &mut news }.update(edges, SeqNum(put(ack)), &blocks);
            prop_assert!(update.ignored as usize <= blocks.len() && news.bytes <= sent);
            prop_assert!(flight.held_ranges() <= 8 && flight.held() <= sent && !flight.has_reneged());
            prop_assert!(flight.pipe() <= sent && flight.records() <= 17);
        }
    }
}

#[test]
fn full_it_still_lets_ranges_grow() {
    let mut flight = Flight::new(BASE, 2);
    flight.sent(START, BASE..BASE + 100, false);
    let mut hold = |span: Range<usize>| {
        let mut news = flight.news(START, LEAST, BASE);
        flight.hold(seq(span.start)..seq(span.end), &mut news).then_some(news.bytes)
    };
    assert_eq!(hold(10..20), Some(10));
    assert_eq!(hold(30..40), Some(10));
    assert_eq!(hold(50..60), None);
    assert_eq!(hold(40..50), Some(10));
    assert_eq!(hold(15..35), Some(10));
    assert_eq!(hold(55..60), Some(5));
    assert_eq!((flight.held_ranges(), flight.held()), (2, 45));
}
