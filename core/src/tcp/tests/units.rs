//! Numbers of the small values: sequence space, windows, timers, timestamps, states.

use super::*;
use crate::tcp::challenge::{Challenge, Rates};
use crate::tcp::rtt::Rtt;
use crate::tcp::timestamps::Timestamps;
use crate::tcp::window::WindowScale;
use proptest::prelude::*;

proptest! {
    #[test]
    fn sequence_numbers_are_a_circle(start in any::<u32>(), by in 1u32..0x8000_0000) {
        let (a, b) = (SeqNum(start), SeqNum(start) + by);
        prop_assert_eq!(b.since(a), by);
        prop_assert_eq!(b - by, a);
        prop_assert!(a.at_or_before(b) && b.at_or_after(a) && !a.after(b));
        prop_assert!(by == 0x8000_0000 || (a.before(b) && b.after(a)));
        prop_assert_eq!(a.latest(b), b.latest(a));
    }

    #[test]
    fn a_window_field_is_never_off_by_a_step(bytes in 0u32..2_000_000_000, shift in 0u8..20) {
        let scale = WindowScale::from_wire(shift);
        let bytes = bytes % (scale.largest() + 1);
        let (floor, ceil) = (scale.bytes(scale.field_floor(bytes)), scale.bytes(scale.field_ceil(bytes)));
        prop_assert!(floor <= bytes && bytes - floor < scale.unit());
        prop_assert!(ceil >= bytes || scale.field_ceil(bytes) == u16::MAX);
    }

    #[test]
    fn the_table_of_moves_agrees_with_its_shortcuts(index in 0usize..STATES.len()) {
        let state = STATES[index];
        for to in [state.after_sent_fin(), state.after_acked_fin(), state.after_received_fin()].into_iter().flatten() {
            prop_assert!(state.may_become(to), "{:?} to {:?}", state, to);
        }
        prop_assert!(!state.may_become(state));
        prop_assert!(state == State::Closed || state.may_become(State::Closed));
    }

    /// Whatever happens, TIME-WAIT and CLOSED are the end, and nobody goes back to a state before.
    #[test]
    fn no_walk_over_the_table_comes_back(choices in proptest::collection::vec(0usize..STATES.len(), 0..50)) {
        let mut state = State::SynSent;
        let mut seen = vec![state];
        for choice in choices {
            if state.may_become(STATES[choice]) {
                state = STATES[choice];
                prop_assert!(!seen.contains(&state), "{:?} twice in {:?}", state, seen);
                seen.push(state);
            }
        }
        prop_assert!(seen.len() <= 7);
    }
}

const STATES: [State; 10] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
    State::Closed,
];

//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//= type=test
//# the shift count MUST be limited to 14 (7323:2.3-7).
#[test]
fn the_scale_reaches_the_buffer_and_is_capped_at_14() {
    let table = [(1, 0), (65_535, 0), (65_536, 1), (131_070, 1), (4 << 20, 7), (usize::MAX, 14)];
    for (limit, shift) in table {
        assert_eq!(WindowScale::for_limit(limit).shift(), shift, "limit {limit}");
    }
    assert_eq!(WindowScale::from_wire(255).shift(), 14);
    assert_eq!(WindowScale::from_wire(14).bytes(u16::MAX), 1_073_725_440);
}

//= https://www.rfc-editor.org/rfc/rfc6298#section-2
//= type=test
//# When the first RTT measurement R is made, the host MUST set SRTT <- R RTTVAR <- R/2 RTO <- SRTT + max (G, K*RTTVAR) where K = 4 (6298:2-2).
//= https://www.rfc-editor.org/rfc/rfc6298#section-2
//= type=test
//# When a subsequent RTT measurement R' is made, a host MUST set RTTVAR <- (1 - beta) * RTTVAR + beta * |SRTT - R'| SRTT <- (1 - alpha) * SRTT + alpha * R' (6298:2-3).
//= https://www.rfc-editor.org/rfc/rfc6298#section-2
//= type=test
//# updating RTTVAR and SRTT MUST be computed in the above order (6298:2-4).
//= https://www.rfc-editor.org/rfc/rfc6298#section-2
//= type=test
//# The above SHOULD be computed using alpha=1/8 and beta=1/4 (6298:2-5).
//= https://www.rfc-editor.org/rfc/rfc6298#section-2
//= type=test
//# After the computation, a host MUST update RTO <- SRTT + max (G, K*RTTVAR) (6298:2-6).
//= https://www.rfc-editor.org/rfc/rfc6298#section-2
//= type=test
//# A maximum value MAY be placed on RTO provided it is at least 60 seconds (6298:2-8).
#[test]
fn rto_follows_rfc_6298() {
    let millis = Duration::from_millis;
    let mut rtt = Rtt::new(&TcpConfig { rto_min: Duration::from_nanos(1), ..TcpConfig::default() });
    assert_eq!(rtt.rto(false), millis(1000), "(2.1)");
    rtt.sample(START, millis(400));
    assert_eq!((rtt.smoothed(), rtt.variation()), (Some(millis(400)), millis(200)), "(2.2)");
    assert_eq!(rtt.rto(false), millis(1200), "SRTT + 4 RTTVAR");
    rtt.sample(START, millis(480));
    // RTTVAR = 3/4 200 + 1/4 80 = 170; SRTT = 7/8 400 + 1/8 480 = 410.
    assert_eq!((rtt.smoothed(), rtt.variation()), (Some(millis(410)), millis(170)), "(2.3)");
    assert_eq!(rtt.rto(false), millis(1090));
    rtt.back_off();
    assert_eq!(rtt.rto(false), millis(2180), "(5.5)");
    (0..40).for_each(|_| rtt.back_off());
    assert_eq!(rtt.rto(false), Duration::from_secs(120), "the ceiling");
    rtt.sample(START, millis(410));
    assert!(rtt.rto(false) < millis(1000), "a measurement ends the backoff");
    assert_eq!(rtt.least(), Some(millis(400)));
}

#[test]
fn rto_is_not_below_what_the_last_ack_told() {
    let millis = Duration::from_millis;
    let mut rtt = Rtt::new(&TcpConfig::default());
    (0..40).for_each(|_| rtt.sample(START, millis(200)));
    assert_eq!(rtt.base(), millis(400));
    rtt.observe(START, millis(390));
    assert_eq!((rtt.base(), rtt.smoothed()), (millis(590), Some(millis(200))), "a queue has filled");
    rtt.observe(START, millis(5000));
    assert_eq!(rtt.base(), millis(600), "and no more than that");
    rtt.observe(START, millis(150));
    assert_eq!(rtt.base(), millis(400), "SRTT is more patient");
    rtt.observe(START, millis(390));
    rtt.sample(START, millis(200));
    assert_eq!(rtt.base(), millis(400), "a measurement is newer");
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-4.2.3.1
//= type=test
//# The lower bound SHOULD be measured in fractions of a second (to accommodate high speed LANs) (1122:4.2.3.1-5)
#[test]
fn the_least_rto_is_a_fraction_of_a_second() {
    let mut rtt = Rtt::new(&TcpConfig::default());
    for _ in 0..20 {
        rtt.sample(START, Duration::from_micros(50));
    }
    assert_eq!(rtt.rto(false).as_millis(), 200);
}

#[test]
fn a_round_trip_within_a_turn_is_not_taken_for_none() {
    let mut rtt = Rtt::new(&TcpConfig::default());
    rtt.sample(START, Duration::ZERO);
    assert_eq!(
        (rtt.least(), rtt.smoothed()),
        (Some(Duration::from_micros(1)), Some(Duration::from_micros(1)))
    );
}

//= https://www.rfc-editor.org/rfc/rfc6298#section-4
//= type=test
//# if the K*RTTVAR term in the RTO calculation equals zero, the variance term MUST be rounded to G seconds (6298:4-1).
#[test]
fn the_floor_lies_under_the_variation_as_in_linux() {
    let mut rtt = Rtt::new(&TcpConfig::default());
    (0..100).for_each(|_| rtt.sample(START, Duration::from_millis(50)));
    assert_eq!(rtt.rto(false).as_millis(), 250);
}

//= https://www.rfc-editor.org/rfc/rfc6298#section-5
//= type=test
//# If the timer expires awaiting the ACK of a SYN segment and the TCP implementation is using an RTO less than 3 seconds, the RTO MUST be re-initialized to 3 seconds when data transmission begins (i.e., after the three-way handshake completes) (6298:5-8).
#[test]
fn a_lost_syn_leaves_three_seconds() {
    let mut rtt = Rtt::new(&TcpConfig::default());
    rtt.back_off();
    rtt.handshake_done(true);
    assert_eq!(rtt.rto(false), Duration::from_secs(3));
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
//= type=test
//# The choice of incoming timestamps to be saved for this comparison MUST guarantee a value that is monotonically non-decreasing (7323:5.2-1).
#[test]
fn paws_across_the_wrap_and_after_24_days() {
    let mut stamps = Timestamps::new(START, 7, 0xffff_fffe);
    assert!(stamps.is_old(START, 0xffff_fffd));
    assert!(!stamps.is_old(START, 1));
    let (seq, last_ack) = (SeqNum(10), SeqNum(10));
    stamps.accept(START, 1, seq, last_ack);
    assert_eq!(stamps.option(START), (1007, 1));
    stamps.accept(START, 2, seq + 1, last_ack);
    assert_eq!(stamps.option(START).1, 1, "a segment beyond Last.ACK.sent does not count");
    assert!(stamps.is_old(START, 0xffff_ffff));
    assert!(!stamps.is_old(START + Duration::from_secs(25 * 24 * 3600), 0xffff_ffff));
}

#[test]
fn an_echo_from_nowhere_is_no_measurement() {
    let stamps = Timestamps::new(START, 0xffff_fc00, 0);
    let now = START + Duration::from_millis(500);
    let tsval = stamps.option(now).0;
    assert_eq!(stamps.round_trip(now, tsval.wrapping_sub(80), None), Some(Duration::from_millis(80)));
    assert_eq!(stamps.round_trip(now, tsval.wrapping_add(1), None), None);
    assert_eq!(stamps.round_trip(now, tsval ^ 0x8000_0000, None), None);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.4.1
//= type=test
//# A TCP implementation MUST use the above type of "clock" for clock-driven selection of initial sequence numbers (MUST-8)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.4.1
//= type=test
//# F() MUST NOT be computable from the outside (MUST-9)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.4.1
//= type=test
//# where M is the 4 microsecond timer, and F() is a pseudorandom function (PRF) of the connection's identifying parameters ("localip, localport, remoteip, remoteport") and a secret key ("secretkey") (SHLD-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-7
//= type=test
//# It is therefore RECOMMENDED to generate a random, per-connection offset to be used with the clock source when generating the Timestamps option value (7323:7-1).
//= https://www.rfc-editor.org/rfc/rfc6528#section-3
//= type=test
//# the secret key should be of a reasonable length. Key lengths of 128 bits should be adequate (6528:3-3).
//= https://www.rfc-editor.org/rfc/rfc6528#section-3
//= type=test
//# implementations should consider the trade-offs involved in using functions with stronger security properties, and employ them if it is deemed appropriate (6528:3-4).
#[test]
fn initial_numbers_move_with_the_clock_and_differ_by_peer() {
    let (local, remote) = (setup(0).local, setup(0).remote);
    let (key, at) = ([7; 16], Instant::from_millis(5));
    let first = isn::initial(&key, at, local, remote);
    let later = isn::initial(&key, at + Duration::from_micros(400), local, remote);
    assert_eq!(later.since(first), 100, "one every 4 microseconds");
    assert_ne!(isn::initial(&key, at, remote, local), first);
    let (other, port) = ("192.0.2.99".parse().unwrap(), 9);
    let host = |of: SocketAddr| SocketAddr::new(other, of.port());
    let service = |of: SocketAddr| SocketAddr::new(of.ip(), port);
    for (local, remote) in
        [(host(local), remote), (service(local), remote), (local, host(remote)), (local, service(remote))]
    {
        assert_ne!(isn::initial(&key, at, local, remote), first, "{local} to {remote}");
    }
    assert_ne!(isn::initial(&[8; 16], at, local, remote), first);
    assert_ne!(isn::timestamp_offset(&key, local, remote), isn::timestamp_offset(&key, remote, local));
    assert_ne!(
        isn::timestamp_offset(&key, local, remote),
        isn::initial(&key, Instant::ZERO, local, remote).0
    );
}

//= https://www.rfc-editor.org/rfc/rfc5961#section-7
//= type=test
//# The system administrator can configure the number of challenge ACKs that can be sent out in a given interval (5961:7-1).
#[test]
fn challenges_are_counted_by_the_interval() {
    let interval = Duration::from_secs(5);
    let mut stack = challenges();
    let mut challenge = Challenge::new();
    let mut granted = 0;
    let mut flood = |at: Instant| {
        for _ in 0..100 {
            let rates = Rates { interval, own: 10, stack: 1000 };
            challenge.ask(at, rates, &mut stack);
            granted += u32::from(challenge.due());
            challenge.sent();
        }
        granted
    };
    assert_eq!(flood(START), 10);
    assert_eq!(flood(START + Duration::from_millis(4999)), 10);
    assert_eq!(flood(START + Duration::from_secs(5)), 20);
}

#[test]
fn a_segment_without_connection_is_reset_as_rfc_9293_says() {
    let header = |flags| TcpHeader { seq: 100, ack: 200, flags, ..TcpHeader::default() };
    let reset = |flags, len| {
        reset_for(&header(flags), len).map(|rst| (rst.seq.0, rst.ack.map(|ack| ack.0), rst.flags))
    };
    assert_eq!(reset(Flags::RST, 0), None);
    assert_eq!(reset(Flags::RST.with(Flags::ACK), 5), None);
    assert_eq!(reset(Flags::SYN, 0), Some((0, Some(101), Flags::RST)));
    assert_eq!(reset(Flags::FIN, 10), Some((0, Some(111), Flags::RST)));
    assert_eq!(reset(Flags::ACK, 10), Some((200, None, Flags::RST)));
    assert_eq!(reset(Flags::SYN.with(Flags::ACK), 0), Some((200, None, Flags::RST)));
}

/// Whatever a configuration asks for, times add up without an overflow.
#[test]
fn a_timeout_of_any_length_is_one() {
    let config = TcpConfig { rto_min: Duration::MAX, rto_max: Duration::MAX, ..TcpConfig::default() };
    let mut rtt = Rtt::new(&config);
    rtt.sample(START, Duration::from_secs(1));
    assert_eq!((rtt.base(), rtt.rto(false)), (Duration::MAX, Duration::MAX));
}

/// Four thousand million segments are a busy day.
#[test]
fn counts_of_segments_wrap() {
    let mut host = Host::selective();
    host.connection.common.stats.delivered = u32::MAX;
    host.connection.common.stats.out_of_order = u32::MAX;
    host.write(b"data");
    host.polls();
    send!(host, seq 101, ack 5, data b"later");
    let info = host.info();
    assert_eq!((info.delivered, info.rcv_ooopack), (0, 0));
}
