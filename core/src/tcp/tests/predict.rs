//! Header prediction changes nothing: two connections with one life, one of which takes every segment through all steps.

use super::*;
use crate::buffer::Pressure;
use crate::error::{Errno, Unreachable};
use crate::tcp::connection::Phase;
use crate::tcp::input::Step;
use crate::tcp::recovery::{Recovery, Repair};
use crate::trace::Sink;
use proptest::prelude::*;

/// SO_RCVBUF.
const LIMIT: usize = 8000;

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// A segment that differs from the next in order by this much.
    Arrives(Odd),
    /// The program writes.
    Writes(usize),
    /// The program is shown what has come, and reads this part of it.
    Reads(usize),
    /// Everything that wants to be sent is.
    Sends,
    /// Time passes.
    Waits(u64),
    /// The program, the network or the stack does something that happens seldom.
    Befalls(Seldom),
}

#[derive(Clone, Copy, Debug)]
enum Seldom {
    /// The program writes no more.
    Shuts,
    /// The program holds the connection no more.
    Leaves,
    /// The program writes, and the last byte is urgent.
    Hurries,
    /// The network tells that the peer was out of reach.
    Told,
    /// The stack has this much memory left.
    Pressed(Pressure),
    /// The peer's window field is this from now on.
    Offers(u16),
    /// From now on nothing that is sent reaches the peer, or all of it again.
    Loses(bool),
}

/// How a segment differs from the next in order, all of whose numbers are right.
#[derive(Clone, Debug, Default)]
struct Odd {
    payload: usize,
    seq: i32,
    ack: i32,
    window: i32,
    flags: u8,
    stamp: Option<i32>,
    echo: u32,
    each: u16,
    /// Where a block of what the peer holds begins, from SND.NXT on.
    sack: Option<i32>,
    ecn: Option<Codepoint>,
}

/// Mostly nothing, now and then something.
fn seldom<T: Clone + std::fmt::Debug + 'static>(
    usual: T,
    other: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    prop_oneof![9 => Just(usual), 1 => other]
}

fn odd() -> impl Strategy<Value = Odd> {
    let numbers = (
        prop_oneof![1 => Just(0), 6 => 1usize..3000, 1 => 1usize..10_000],
        seldom(0, prop_oneof![-2000..4000, Just(i32::MIN), Just(1 << 30)]),
        seldom(0, prop_oneof![-4000..4000, Just(i32::MIN)]),
        seldom(0, prop_oneof![-400..400, Just(i32::MIN)]),
    );
    let marks = (
        prop_oneof![
            8 => Just(0u8),
            8 => Just(Flags::PSH.0),
            1 => prop::sample::select([Flags::FIN, Flags::ECE, Flags::CWR, Flags::URG].map(|flag| flag.0).to_vec()),
            1 => any::<u8>()
        ],
        prop_oneof![6 => (0..3).prop_map(Some), 1 => (-5000..5000).prop_map(Some), 1 => Just(None)],
        0u32..3,
        seldom(0u16, prop_oneof![Just(1000u16), 1u16..3000]),
        seldom(None, (-4000..1000).prop_map(Some)),
        seldom(None, prop_oneof![Just(Some(Codepoint::Ce)), Just(Some(Codepoint::Ect0))]),
    );
    (numbers, marks).prop_map(|((payload, seq, ack, window), (flags, stamp, echo, each, sack, ecn))| Odd {
        payload,
        seq,
        ack,
        window,
        flags,
        stamp,
        echo,
        each,
        sack,
        ecn,
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => odd().prop_map(Event::Arrives),
        1 => (1usize..5000).prop_map(Event::Writes),
        3 => (0usize..LIMIT).prop_map(Event::Reads),
        5 => Just(Event::Sends),
        3 => (0u64..3000).prop_map(Event::Waits),
        2 => befalls(),
    ]
}

fn befalls() -> impl Strategy<Value = Event> {
    let pressed = [Pressure::None, Pressure::High, Pressure::Full].map(Seldom::Pressed);
    let offers = [0, 0, 100, 50_000].map(Seldom::Offers);
    let seldom = [Seldom::Shuts, Seldom::Leaves, Seldom::Hurries, Seldom::Told];
    let loses = [true, false].map(Seldom::Loses);
    let all = seldom.into_iter().chain(pressed).chain(offers).chain(loses).map(Event::Befalls);
    prop_oneof![
        4 => prop::sample::select(all.collect::<Vec<_>>()),
        1 => (1..3000).prop_map(ends),
        1 => Just(again()),
    ]
}

/// The peer's FIN comes, and overtakes `bytes` before it.
fn ends(bytes: i32) -> Event {
    Event::Arrives(Odd { seq: bytes, flags: Flags::FIN.0, stamp: Some(0), ..Odd::default() })
}

/// What came last comes again, with the latest ACK.
fn again() -> Event {
    Event::Arrives(Odd { payload: 100, seq: -100, stamp: Some(0), ..Odd::default() })
}

/// How both ends agreed.
#[derive(Clone, Copy, Debug)]
struct Agreed {
    stamps: bool,
    sack: bool,
    ecn: bool,
    scale: bool,
    quick: u8,
    /// The peer has opened, and our SYN is not sent yet.
    passive: bool,
    /// Probes of a window are empty, and of what is old the ACK counts.
    habits: bool,
    traced: bool,
}

fn agreed() -> impl Strategy<Value = Agreed> {
    let options = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 0u8..4);
    let others = (prop::bool::weighted(0.2), any::<bool>(), any::<bool>());
    (options, others).prop_map(|((stamps, sack, ecn, scale, quick), (passive, habits, traced))| Agreed {
        stamps,
        sack,
        ecn,
        scale,
        quick,
        passive,
        habits,
        traced,
    })
}

/// A connection, and what the peer knows of it.
struct Twin {
    host: Host,
    /// What the peer sent, and what it was told of: how far both streams have come, counted from the initial numbers.
    peer: (u32, u32),
    /// The peer's window field.
    window: u16,
    /// Nothing reaches the peer.
    lost: bool,
}

impl Twin {
    fn new(agreed: Agreed) -> Self {
        let second = Duration::from_secs(1);
        let alive = Options { keep_alive: true, keep_idle: second, keep_interval: second, ..no_options() };
        let setup = Setup { options: alive, ..setup(ISS) };
        let config = TcpConfig {
            timestamps: agreed.stamps,
            window_scaling: agreed.scale,
            quick_acks: agreed.quick,
            ecn: if agreed.ecn { crate::config::Ecn::On } else { crate::config::Ecn::Off },
            tail_loss_probe: true,
            empty_probes: agreed.habits,
            old_segments_acknowledge: agreed.habits,
            ..plain()
        };
        let (answer, asks) =
            ((!agreed.passive).then_some(1), if agreed.passive { Flags::CWR } else { Flags(0) });
        let flags = if agreed.ecn { Flags::SYN.with(Flags::ECE).with(asks) } else { Flags::SYN };
        let mut syn = segment(0, answer, flags, b"").window(50_000).mss(MSS as u16);
        if agreed.sack {
            syn = syn.permit();
        }
        if agreed.stamps {
            syn = syn.stamp(5000, 0);
        }
        if agreed.scale {
            syn = syn.scale(3);
        }
        let mut host = if agreed.passive {
            Host::accepting_with(config, setup, &syn, LIMIT)
        } else {
            Host::connecting_with(config, setup, LIMIT)
        };
        if agreed.traced {
            host.connection.trace(host.now, 1, Sink::new(0), agreed.passive.then_some(&syn));
        }
        if !agreed.passive {
            host.poll().expect("a SYN");
            host.deliver(syn);
            assert_eq!(host.state(), State::Established);
            host.polls();
        }
        Self { host, peer: (1, u32::from(!agreed.passive)), window: 50_000, lost: false }
    }

    /// The segment that `odd` makes of the next in order.
    fn segment(&self, odd: &Odd, agreed: Agreed) -> Segment {
        let bytes = vec![7; odd.payload];
        let at = |number: u32, by: i32| number.wrapping_add(by as u32);
        let mut segment = segment(
            at(self.peer.0, odd.seq),
            Some(at(self.peer.1, odd.ack)),
            Flags(odd.flags & if odd.flags == Flags::PSH.0 { 0xff } else { !Flags::SYN.0 }),
            &bytes,
        );
        segment.header.window = self.window.wrapping_add(odd.window as u16);
        segment.gso_size = odd.each;
        if let Some(by) = odd.stamp.filter(|_| agreed.stamps) {
            let clock = self.host.now.as_millis() as u32;
            segment =
                segment.stamp(clock.wrapping_add(5000).wrapping_add(by as u32), clock.wrapping_sub(odd.echo));
        }
        if let (Some(by), Phase::Open(open)) = (odd.sack, &self.host.connection.phase) {
            let from = at(open.snd.nxt.since(SeqNum(ISS)), by);
            segment = segment.sack([(from, at(from, 500))]);
        }
        segment.ecn = odd.ecn.unwrap_or(Codepoint::NotEct);
        segment
    }

    /// Lets `event` happen; what is sent because of it. `whole`: segments go through all steps.
    fn happens(&mut self, event: &Event, agreed: Agreed, whole: bool) -> Vec<Outgoing> {
        match event {
            Event::Arrives(odd) => {
                let segment = self.segment(odd, agreed);
                self.arrives(segment, whole);
            }
            Event::Writes(_) if self.host.connection.common.closing => {}
            Event::Writes(bytes) => self.host.write_zeros(*bytes),
            Event::Reads(most) => {
                self.host.publish();
                self.host.consume((*most).min(self.host.buffers.recv_held));
            }
            Event::Waits(millis) => {
                self.host.after(*millis);
            }
            Event::Befalls(what) => self.befalls(*what),
            Event::Sends => {
                let sent = self.host.polls();
                for told in sent.iter().filter_map(|sent| sent.ack) {
                    self.peer.0 = told.since(SeqNum(IRS));
                }
                self.told();
                return sent;
            }
        }
        // Whatever came in order is what the peer sends on behind.
        if let Phase::Open(open) = &self.host.connection.phase {
            self.peer.0 = open.rcv.nxt.since(SeqNum(IRS));
        }
        Vec::new()
    }

    /// The peer gets what was sent, if it gets anything.
    fn told(&mut self) {
        if let (Phase::Open(open), false) = (&self.host.connection.phase, self.lost) {
            self.peer.1 = open.snd.nxt.since(SeqNum(ISS));
        }
    }

    fn befalls(&mut self, what: Seldom) {
        let host = &mut self.host;
        match what {
            Seldom::Shuts => host.close(),
            Seldom::Leaves => host.connection.orphan(host.now),
            Seldom::Hurries => {
                if !host.connection.common.closing {
                    host.write(b"!");
                    let end = host.buffers.send.acknowledged() + host.buffers.send.len() as u64;
                    host.connection.urge(host.now, end);
                }
            }
            Seldom::Told => {
                let from = "192.0.2.9".parse().expect("an address");
                let told = Unreachable { errno: Errno::EHOSTUNREACH, kind: 3, code: 1, from };
                host.connection.common.soft_error = Some(told);
            }
            Seldom::Pressed(pressure) => host.buffers.pressure = pressure,
            Seldom::Offers(window) => self.window = window,
            Seldom::Loses(all) => {
                self.lost = all;
                self.told();
            }
        }
    }

    fn arrives(&mut self, segment: Segment, whole: bool) {
        if !whole {
            return self.host.deliver(segment);
        }
        let Host { connection, buffers, config, counters, challenges, now, .. } = &mut self.host;
        let mut cx = Context { config, counters, challenges };
        connection.stir(*now);
        connection.observe_segment(*now, &segment);
        connection.common.stats.received(*now, &segment);
        connection.input_in_full(*now, segment, buffers, &mut cx);
        connection.observe(*now);
    }

    /// Whether `segment` is one that needs no steps.
    fn predicts(&mut self, mut segment: Segment) -> bool {
        let Host { connection, buffers, config, counters, challenges, now, .. } = &mut self.host;
        let mut cx = Context { config, counters, challenges };
        let Phase::Open(open) = &mut connection.phase else { return false };
        let mut step = Step { now: *now, open, common: &mut connection.common, buffers, cx: &mut cx };
        step.predicted(&mut segment)
    }
}

fn same_life(agreed: Agreed, events: &[Event]) -> Result<(), TestCaseError> {
    let (mut one, mut other) = (Twin::new(agreed), Twin::new(agreed));
    for event in events {
        let (sent, expected) = (one.happens(event, agreed, false), other.happens(event, agreed, true));
        prop_assert_eq!(format!("{sent:?}"), format!("{expected:?}"), "after {:?}", event);
        prop_assert_eq!(format!("{:?}", one.host), format!("{:?}", other.host), "after {:?}", event);
        if let Phase::Open(open) = &one.host.connection.phase
            && open.snd.una == open.snd.nxt
        {
            let Recovery { repair, duplicates, undo, .. } = &open.recovery;
            let settled = (*repair, *duplicates, undo.all_needless());
            prop_assert_eq!(settled, (Repair::None, 0, false), "after {:?}", event);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_predicted_segment_leaves_what_all_steps_would(
        agreed in agreed(),
        events in prop::collection::vec(event(), 1..40),
    ) {
        same_life(agreed, &events)?;
    }

    /// A transfer that little disturbs, so that much of it is predicted.
    #[test]
    fn a_transfer_is_the_same_with_and_without_prediction(
        agreed in agreed(),
        events in prop::collection::vec(
            prop_oneof![
                20 => (1usize..3000).prop_map(|payload| {
                    Event::Arrives(Odd { payload, stamp: Some(0), flags: Flags::PSH.0, ..Odd::default() })
                }),
                5 => Just(Event::Sends),
                5 => (0usize..LIMIT).prop_map(Event::Reads),
                1 => odd().prop_map(Event::Arrives),
                1 => (900u64..3000).prop_map(Event::Waits),
                1 => befalls(),
            ],
            1..60,
        ),
    ) {
        same_life(agreed, &events)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Requests and answers on a path that loses and marks, so that much is predicted after repairs.
    #[test]
    fn what_was_lost_and_repaired_changes_no_prediction(
        agreed in agreed(),
        events in prop::collection::vec(
            prop_oneof![
                10 => Just(Event::Arrives(plain_next())),
                4 => (1usize..5000).prop_map(Event::Writes),
                8 => Just(Event::Sends),
                2 => (0usize..LIMIT).prop_map(Event::Reads),
                1 => Just(Event::Befalls(Seldom::Loses(true))),
                3 => Just(Event::Befalls(Seldom::Loses(false))),
                3 => (0u64..1500).prop_map(Event::Waits),
                2 => Just(Event::Arrives(Odd { flags: Flags::ECE.0, ..plain_next() })),
                3 => (0usize..2, -4000..0i32).prop_map(|(payload, from)| {
                    Event::Arrives(Odd { payload, sack: Some(from), ..plain_next() })
                }),
                1 => (-4000..0i32).prop_map(|ack| Event::Arrives(Odd { payload: 0, ack, ..plain_next() })),
            ],
            1..80,
        ),
    ) {
        same_life(agreed, &events)?;
    }
}

const ALIKE: Agreed = Agreed {
    stamps: true,
    sack: true,
    ecn: true,
    scale: true,
    quick: 0,
    passive: false,
    habits: false,
    traced: true,
};

fn plain_next() -> Odd {
    Odd { payload: 1000, stamp: Some(0), ..Odd::default() }
}

#[test]
fn the_next_segment_of_a_transfer_is_predicted() {
    let mut twin = Twin::new(ALIKE);
    // The window of a SYN is not scaled: the first segment tells another.
    twin.happens(&Event::Arrives(plain_next()), ALIKE, false);
    for flags in [0, Flags::PSH.0] {
        let segment = twin.segment(&Odd { flags, ..plain_next() }, ALIKE);
        assert!(twin.predicts(segment));
        twin.peer.0 += 1000;
    }
    assert_eq!(twin.host.buffers.recv.len(), 3000);
    recv!(twin.host, ack 3001);
}

#[test]
fn what_comes_after_our_fin_is_predicted() {
    let mut twin = Twin::new(ALIKE);
    for event in [Event::Befalls(Seldom::Shuts), Event::Sends, Event::Arrives(plain_next())] {
        twin.happens(&event, ALIKE, false);
    }
    assert_eq!(twin.host.state(), State::FinWait2);
    let segment = twin.segment(&plain_next(), ALIKE);
    assert!(twin.predicts(segment));
}

#[test]
fn what_says_more_is_not() {
    let odd = [
        Odd { payload: 0, ..plain_next() },
        Odd { seq: 1, ..plain_next() },
        Odd { seq: -1, ..plain_next() },
        Odd { ack: 1, ..plain_next() },
        Odd { ack: -1, ..plain_next() },
        Odd { window: 1, ..plain_next() },
        Odd { stamp: None, ..plain_next() },
        Odd { stamp: Some(-10_000), ..plain_next() },
        Odd { sack: Some(0), ..plain_next() },
        Odd { flags: Flags::FIN.0, ..plain_next() },
        Odd { flags: Flags::RST.0, ..plain_next() },
        Odd { flags: Flags::URG.0, ..plain_next() },
        Odd { flags: Flags::ECE.0, ..plain_next() },
        Odd { flags: Flags::CWR.0, ..plain_next() },
        Odd { payload: LIMIT + 1, ..plain_next() },
    ];
    for odd in odd {
        let mut twin = Twin::new(ALIKE);
        twin.happens(&Event::Arrives(plain_next()), ALIKE, false);
        let before = format!("{:?}", twin.host);
        let segment = twin.segment(&odd, ALIKE);
        assert!(!twin.predicts(segment), "{odd:?}");
        assert_eq!(format!("{:?}", twin.host), before, "{odd:?}");
    }
}

#[test]
fn nothing_is_predicted_while_something_is_in_flight_or_missing() {
    let mut twin = Twin::new(ALIKE);
    twin.happens(&Event::Arrives(plain_next()), ALIKE, false);
    twin.host.write(b"a request");
    twin.happens(&Event::Sends, ALIKE, false);
    twin.peer.1 = 1;
    let segment = twin.segment(&plain_next(), ALIKE);
    assert!(!twin.predicts(segment));

    let mut twin = Twin::new(ALIKE);
    twin.happens(&Event::Arrives(plain_next()), ALIKE, false);
    twin.happens(&Event::Arrives(Odd { seq: 1000, ..plain_next() }), ALIKE, false);
    let segment = twin.segment(&plain_next(), ALIKE);
    assert!(!twin.predicts(segment));
}

/// Lives in which the next segment is not what it seems, or leaves more behind than its data.
#[test]
fn what_seldom_comes_before_the_next_segment_is_minded() {
    use Event::{Arrives, Befalls, Sends, Waits, Writes};
    let next = || Arrives(plain_next());
    let unscaled = Agreed { scale: false, ..ALIKE };
    let habits = Agreed { habits: true, ..unscaled };
    // Our SYN has not been sent, so that none is acknowledged.
    let opening = vec![next()];
    let fin_first = vec![next(), ends(1000), next(), Sends];
    let half_closed = vec![Befalls(Seldom::Shuts), Sends, next(), next(), ends(0), next(), Sends];
    let probed = vec![Befalls(Seldom::Offers(0)), next(), Writes(1), Sends, Waits(1000), Sends, next()];
    // The ACK of what is urgent comes with what is old, and does not get as far as the urgent pointer.
    let urgent = vec![next(), Befalls(Seldom::Hurries), Sends, again(), next(), Writes(1), Sends];
    // Whether the tail loss probe repaired anything, the next ACK after its own says.
    let tail = vec![next(), Writes(100), Sends, Waits(300), Sends, next(), next(), Sends];
    // What came before its turn is gone, the duplicates that tell of it are not.
    let ahead = || Arrives(Odd { seq: 1000, ..plain_next() });
    let [full, free] = [Pressure::Full, Pressure::None].map(|pressure| Befalls(Seldom::Pressed(pressure)));
    let pruned = vec![next(), ahead(), full, ahead(), free, next(), Sends];
    let lives = [
        (ALIKE, tail),
        (Agreed { sack: false, ..ALIKE }, pruned),
        (Agreed { passive: true, ..unscaled }, opening),
        (ALIKE, fin_first),
        (ALIKE, half_closed),
        (habits, probed),
        (habits, urgent),
    ];
    for (agreed, events) in lives {
        same_life(agreed, &events).expect("the same");
    }
}
