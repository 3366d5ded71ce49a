//! What a program that sends now and then gets of the path, with and without RFC 7661: on virtual time.

mod world;

use usertcp_core::config::{Congestion, CwndValidation};
use usertcp_core::link::impair::Impairment;
use usertcp_core::sim::scenario::{Length, Scenario};
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::time::Duration;
use world::*;

/// What the program sends at a time: 24 ms of the path.
const BURST: usize = 300_000;
const TRIP: Duration = Duration::from_millis(100);

fn path() -> Impairment {
    Impairment { rate: 100_000_000, delay: TRIP / 2, ..Impairment::default() }
}

/// A connection over 100 ms that has carried enough for a window of more than a burst, and lost nothing; `narrow`: what the path is from the fortieth second on.
fn warm(validation: CwndValidation, congestion: Congestion, narrow: Option<Impairment>) -> Connection {
    let mut plan = Plan { impairment: Some((path(), 3)), ..Plan::default() };
    plan.changes = narrow.map(|narrow| (secs(40), [narrow, path()])).into_iter().collect();
    for config in &mut plan.configs {
        config.tcp.cwnd_validation = validation;
        config.tcp.congestion = congestion;
    }
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.run_for(secs(1));
    let server = net.accept(&listener).expect("accept");
    let mut connection = Connection { net, client, server };
    connection.carries(2 << 20);
    connection
}

struct Connection {
    net: Network,
    client: Endpoint,
    server: Endpoint,
}

impl Connection {
    fn carries(&mut self, bytes: usize) -> Duration {
        let time = carry(&mut self.net, &self.client, &self.server, bytes);
        self.net.run_for(TRIP * 2);
        time
    }

    /// The window and its threshold, bytes.
    fn windows(&self) -> (usize, usize) {
        let info = self.net.hosts[CLIENT].stack.tcp_info(self.net.now, self.client.id).expect("figures");
        let bytes = |segments: u32| segments as usize * info.snd_mss as usize;
        (bytes(info.snd_cwnd), bytes(info.snd_ssthresh))
    }
}

#[test]
fn bursts_after_pauses_take_one_trip_where_the_window_is_kept_and_slow_start_where_not() {
    for congestion in [Congestion::Cubic, Congestion::Reno] {
        let times = [CwndValidation::PipeAck, CwndValidation::Used].map(|validation| {
            let mut connection = warm(validation, congestion, None);
            let mut times = Vec::new();
            for _ in 0..5 {
                connection.net.run_for(secs(5));
                times.push(connection.carries(BURST));
            }
            times
        });
        let [kept, anew] = times;
        // Half a round trip there, and the time that the bytes take.
        assert!(kept.iter().all(|time| *time < TRIP), "{congestion}: {kept:?}");
        assert!(anew.iter().all(|time| *time > TRIP * 4), "{congestion}: {anew:?}");
    }
}

#[test]
fn a_kept_window_that_the_path_no_longer_carries_costs_one_burst() {
    for congestion in [Congestion::Cubic, Congestion::Reno] {
        let narrow = Impairment { rate: 20_000_000, queue: 100, ..path() };
        let mut connection = warm(CwndValidation::PipeAck, congestion, Some(narrow));
        let (kept, _) = connection.windows();
        assert!(kept > 2 * BURST, "{congestion}: {kept}");
        connection.net.run_for(secs(60));
        assert_eq!(connection.windows().0, kept, "{congestion}");
        connection.carries(BURST);
        // Less than half of the burst: what was lost of it is taken off first.
        let (window, threshold) = connection.windows();
        assert!(window < BURST / 2 && threshold < BURST / 2, "{congestion}: {window} {threshold}");
    }
}

#[test]
fn who_always_has_something_to_send_gets_as_much_either_way() {
    for (loss, queue) in [(0.0, 1.0), (0.001, 1.0), (0.01, 0.25)] {
        let goodput = [CwndValidation::PipeAck, CwndValidation::Used].map(|validation| {
            let mut scenario = Scenario {
                rate: 50_000_000,
                rtt: Duration::from_millis(40),
                length: Some(Length::Time(secs(20))),
                loss,
                queue,
                ..Scenario::default()
            };
            scenario.config.tcp.cwnd_validation = validation;
            scenario.run().expect("a run").flows.iter().map(|flow| flow.goodput()).sum::<u64>()
        });
        let [kept, used] = goodput;
        assert!(kept * 20 >= used * 19, "{loss} {queue}: {kept} bit/s, {used}");
    }
}
