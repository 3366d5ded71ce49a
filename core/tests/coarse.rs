//! Clocks that tick: segments sent well apart carry the same time, and an ACK is as late as the tick behind it.

mod world;

use usertcp_core::link::impair::Impairment;
use usertcp_core::sim::Outcome;
use usertcp_core::time::{Duration, Instant};
use world::*;

/// Segments with data that the sender sent, and of those the ones sent again, over a path where `late` of them are late by a quarter of the round trip.
fn run(tick: Duration, trip: Duration, late: f64, timestamps: bool) -> (u32, u32) {
    const BYTES: usize = 4 << 20;
    let what = Impairment {
        rate: 100_000_000,
        delay: trip / 2,
        reorder: late,
        reorder_delay: trip / 4,
        ..Impairment::default()
    };
    let mut plan = Plan {
        impairment: Some((what, 11)),
        incoming: Some(Impairment { reorder: 0.0, ..what }),
        start: Instant::from_millis(1_000_000),
        ..Plan::default()
    };
    for config in &mut plan.configs {
        config.tcp.clock_granularity = tick;
        config.tcp.timestamps = timestamps;
    }
    let mut net = network(plan);
    net.tick = tick;
    let listener = net.listen(SERVER, address(SERVER_V4), 1).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let mut server = None;
    net.run_until(secs(10), |net| {
        server = net.accept(&listener).ok();
        server.is_some()
    });
    let server = server.expect("a connection");
    let (mut sent, mut received, block) = (0, 0, vec![3; 1 << 16]);
    let outcome = net.run_until(secs(60), |net| {
        while sent < BYTES {
            match net.send(&client, &block[..block.len().min(BYTES - sent)]) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        while let Ok(bytes) = net.recv(&server, 1 << 20) {
            received += bytes.len();
        }
        received == BYTES
    });
    assert_eq!(outcome, Outcome::Met, "{received} bytes");
    let info = net.hosts[CLIENT].stack.tcp_info(net.now, client.id).expect("figures");
    (info.data_segs_out, info.total_retrans)
}

/// The known failure of others: where a quarter of the round trip is shorter than the clock's step, or times are cut to milliseconds, every late segment is
/// sent again.
#[test]
fn what_is_overtaken_is_not_sent_again_however_coarse_the_clock() {
    for tick in [0, 1, 4, 10] {
        for trip in [2, 6, 8, 12, 14, 20, 40] {
            for timestamps in [true, false] {
                let (tick, trip) = (Duration::from_millis(tick), Duration::from_millis(trip));
                let (_, lost) = run(tick, trip, 0.0, timestamps);
                let (late, again) = run(tick, trip, 0.05, timestamps);
                // What the queue drops at the end of slow start is lost in both.
                let vain = again.saturating_sub(lost);
                assert!(
                    vain * 100 < late,
                    "tick {tick:?}, trip {trip:?}, timestamps {timestamps}: {again} of {late} again, {lost} without reordering"
                );
            }
        }
    }
}
