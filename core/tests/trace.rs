//! The event trace: what it tells is true, as documented, the same for the same seed, and of nobody who was not asked about.

#[path = "trace/schema.rs"]
mod schema;
mod world;

use schema::Schema;
use serde_json::Value;
use std::collections::BTreeMap;
use usertcp_core::config::{SlowStart, SynCookies};
use usertcp_core::link::impair::Impairment;
use usertcp_core::sim::{Network, Outcome};
use usertcp_core::stack::Domain;
use usertcp_core::time::Duration;
use usertcp_core::trace::{Drained, Sink};
use world::*;

/// A path on which everything happens to packets.
fn bad(seed: u64) -> Plan {
    let path = Impairment {
        rate: 20_000_000,
        delay: Duration::from_millis(10),
        loss: 0.02,
        duplicate: 0.01,
        reorder: 0.02,
        reorder_delay: Duration::from_millis(4),
        corrupt: 0.01,
        ..Impairment::default()
    };
    Plan { impairment: Some((path, seed)), ..Plan::default() }
}

/// A connection that sends half a megabyte over a bad path and is closed by both; what both hosts told.
fn run(seed: u64) -> (Network, [Vec<u8>; 2]) {
    let mut net = network(bad(seed));
    let now = net.now;
    net.hosts.iter_mut().for_each(|host| host.trace(now, "a bad path"));
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let mut server = None;
    let outcome = net.run_until(secs(60), |net| {
        server = net.accept(&listener).ok();
        server.is_some()
    });
    assert_eq!(outcome, Outcome::Met);
    let server = server.expect("accepted");
    carry(&mut net, &client, &server, 500_000);
    net.close(&client);
    net.close(&server);
    net.close(&listener);
    assert!(net.run_for(secs(200)));
    let told = [net.hosts[CLIENT].traced(), net.hosts[SERVER].traced()];
    (net, told)
}

fn named<'a>(events: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["name"] == name).map(|event| &event["data"])
}

/// How often each trigger occurs among events of this name.
fn triggers(events: &[Value], name: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for data in named(events, name) {
        *counts.entry(data["trigger"].as_str().expect("a trigger").to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn every_line_is_as_the_documentation_says() {
    let schema = Schema::documented();
    let mut seen = BTreeMap::new();
    for seed in 1..4 {
        for told in run(seed).1 {
            for event in schema.check(&told) {
                *seen.entry(event["name"].as_str().expect("a name").to_owned()).or_insert(0) += 1;
            }
        }
    }
    let rare = ["usertcp:congestion_undone", "usertcp:events_missed"];
    for name in schema.names().filter(|name| !rare.contains(name)) {
        assert!(seen.contains_key(name), "{name} in none of {seen:?}");
    }
}

#[test]
fn two_runs_of_a_seed_give_the_same_bytes() {
    assert!(run(7).1 == run(7).1);
    assert!(run(7).1 != run(8).1);
}

#[test]
fn what_is_told_is_what_is_counted() {
    let (net, told) = run(5);
    for (host, told) in told.iter().enumerate() {
        let counters = net.hosts[host].stack.counters();
        let events = Schema::documented().check(told);
        let segments: u64 = named(&events, "transport:packet_sent")
            .map(|sent| sent["segments"].as_u64().expect("a number"))
            .sum();
        assert_eq!(segments, counters.tcp_segments_out);
        assert_eq!(named(&events, "transport:packet_received").count() as u64, counters.tcp_segments_in);
        assert_eq!(named(&events, "usertcp:congestion_undone").count() as u64, counters.tcp_undos);
        let dropped = triggers(&events, "transport:packet_dropped");
        assert!(!dropped.is_empty());
        for (name, count, _) in counters.iter().filter(|(name, ..)| name.starts_with("drop_")) {
            assert_eq!(dropped.get(name).copied().unwrap_or(0), count, "{name} of host {host}");
        }
    }
}

#[test]
fn losses_and_what_turns_out_to_be_none_are_told() {
    let path = Impairment {
        rate: 20_000_000,
        delay: Duration::from_millis(10),
        reorder: 0.05,
        reorder_delay: Duration::from_millis(30),
        ..Impairment::default()
    };
    let mut net = network(Plan { impairment: Some((path, 4)), ..Plan::default() });
    let now = net.now;
    net.hosts[CLIENT].trace(now, "late, not lost");
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    assert!(net.run_for(secs(1)));
    let server = net.accept(&listener).expect("accept");
    carry(&mut net, &client, &server, 1_000_000);
    let counters = net.hosts[CLIENT].stack.counters().clone();
    let events = Schema::documented().check(&net.hosts[CLIENT].traced());
    let undone: u64 = triggers(&events, "usertcp:congestion_undone").values().sum();
    assert!(undone > 0 && undone == counters.tcp_undos, "{undone} of {}", counters.tcp_undos);
    let lost = triggers(&events, "recovery:packet_lost");
    assert!(lost.get("time_threshold").is_some_and(|count| *count > 0), "{lost:?}");
    let again = named(&events, "transport:packet_sent")
        .filter(|sent| sent["trigger"].as_str().is_some_and(|trigger| trigger.ends_with("_retransmission")));
    let again: u64 = again.map(|sent| sent["segments"].as_u64().expect("a number")).sum();
    assert_eq!(again, counters.tcp_retransmits);
}

/// What congestion control told on a path whose queue is so deep that round trips grow before anything is lost.
fn phases(slow_start: SlowStart, queue_bytes: usize) -> (Vec<(String, String)>, Vec<Value>) {
    let path = Impairment {
        rate: 20_000_000,
        delay: Duration::from_millis(20),
        queue_bytes,
        ..Impairment::default()
    };
    let mut plan = Plan { impairment: Some((path, 4)), ..Plan::default() };
    plan.configs[CLIENT].tcp.slow_start = slow_start;
    let mut net = network(plan);
    let now = net.now;
    net.hosts[CLIENT].trace(now, "a queue");
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    assert!(net.run_for(secs(1)));
    let server = net.accept(&listener).expect("accept");
    carry(&mut net, &client, &server, 4_000_000);
    let events = Schema::documented().check(&net.hosts[CLIENT].traced());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = named(&events, "recovery:congestion_state_updated");
    let told = told.map(|data| (text(&data["new"]), text(&data["trigger"]))).collect();
    (told, named(&events, "usertcp:cubic_updated").cloned().collect())
}

#[test]
fn phases_of_congestion_control_are_told_with_what_led_there() {
    let text = |told: Vec<(String, String)>| -> Vec<String> {
        told.into_iter().map(|(new, trigger)| format!("{new} {trigger}")).collect()
    };
    // The queue holds what slow start may send until round trips have been longer for some rounds.
    let (told, curves) = phases(SlowStart::HyStartPlusPlus, 1_000_000);
    let told = text(told);
    assert_eq!(told[..2], ["slow_start ", "conservative_slow_start rtt_increase"]);
    assert_eq!(told.last().map(String::as_str), Some("congestion_avoidance rtt_increase_confirmed"));
    assert_eq!((&curves[0]["k"], &curves[0]["cwnd_prior"]), (&0.0.into(), &Value::Null));
    // It overflows.
    let (told, curves) = phases(SlowStart::HyStart, 200_000);
    let told = text(told);
    let left = ["slow_start ", "congestion_avoidance rtt_increase", "disorder duplicate_ack"];
    assert_eq!(told[..3], left);
    assert_eq!(told[3..5], ["recovery packet_loss", "congestion_avoidance repaired"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    let reduced = curves.iter().position(|curve| !curve["cwnd_prior"].is_null()).expect("a loss");
    let (reduced, begun) = (&curves[reduced], &curves[reduced + 1]);
    assert!(reduced["region"].is_null() && begun["region"] == "concave");
    assert_eq!((&reduced["w_max"], &begun["w_max"]), (&reduced["cwnd_prior"], &reduced["w_max"]));
    // RFC 9438 4.2, with 0.7 of the window left: as many whole segments of 1448 bytes.
    let gap = (number(&begun["w_max"]) - number(&begun["w_est"])) / 1448.0;
    assert!((number(&begun["k"]) / 1000.0 - (gap / 0.4).cbrt()).abs() < 0.05, "{begun}");
    let (told, _) = phases(SlowStart::Standard, 200_000);
    assert_eq!(text(told)[..3], ["slow_start ", "disorder duplicate_ack", "recovery packet_loss"]);
}

#[test]
fn the_life_of_a_connection_is_in_order() {
    let (_, [client, server]) = run(5);
    let states = |told: &[u8]| -> Vec<String> {
        let events = Schema::documented().check(told);
        let text = |value: &Value| value.as_str().expect("a state").to_owned();
        let first = named(&events, "connectivity:connection_started").map(|data| text(&data["state"]));
        let others = named(&events, "connectivity:connection_state_updated");
        first.chain(others.map(|data| text(&data["new"]))).collect()
    };
    assert_eq!(states(&client)[..2], ["syn_sent", "established"]);
    assert_eq!(states(&server)[..2], ["syn_received", "established"]);
    for told in [&client, &server] {
        assert_eq!(states(told).last().map(String::as_str), Some("closed"));
        let events = Schema::documented().check(told);
        assert_eq!(triggers(&events, "connectivity:connection_closed"), [("clean".to_owned(), 1)].into());
    }
}

#[test]
fn figures_are_those_of_tcp_info() {
    let mut net = network(bad(3));
    let now = net.now;
    net.hosts[CLIENT].trace(now, "figures");
    let listener = net.listen(SERVER, address(SERVER_V6), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V6)).expect("connect");
    assert!(net.run_for(secs(10)));
    let server = net.accept(&listener).expect("accept");
    carry(&mut net, &client, &server, 300_000);
    let info = net.hosts[CLIENT].stack.tcp_info(net.now, client.id).expect("figures");
    let events = Schema::documented().check(&net.hosts[CLIENT].traced());
    let last = |field: &str| {
        let told = named(&events, "recovery:metrics_updated").filter_map(|data| data[field].as_f64());
        told.last().expect("told at least once")
    };
    let micros = |field: &str| (last(field) * 1000.0) as u32;
    assert_eq!(last("congestion_window") as u32 / info.snd_mss, info.snd_cwnd);
    assert_eq!(last("ssthresh") as u32 / info.snd_mss, info.snd_ssthresh);
    assert_eq!((micros("smoothed_rtt"), micros("min_rtt")), (info.rtt, info.min_rtt));
    assert_eq!((micros("rtt_variance"), micros("retransmission_timeout")), (info.rttvar, info.rto));
    assert_eq!((last("send_window") as u32, last("receive_window") as u32), (info.snd_wnd, info.rcv_wnd));
    assert_eq!(last("max_segment_size") as u32, info.snd_mss);
}

#[test]
fn one_connection_is_traced_and_no_other() {
    let mut net = network(Plan::default());
    let (other, _server, listener) = pair(&mut net, SERVER_V4);
    let client = net.socket(CLIENT, Domain::V4).expect("a socket");
    let (now, sink) = (net.now, Sink::new(9));
    let stack = &mut net.hosts[CLIENT].stack;
    stack.trace_socket(now, client.id, Some(sink.clone())).expect("traced");
    stack.connect(now, client.id, address(SERVER_V4)).expect("connect");
    net.settle();
    let server = net.accept(&listener).expect("accept");
    net.send(&other, b"not told").expect("send");
    net.send(&client, b"told").expect("send");
    net.settle();
    let mut drained = Drained::default();
    let stack = &mut net.hosts[CLIENT].stack;
    stack.events().drain(&mut drained);
    assert!(drained.events.len() > 5 && drained.events.iter().all(|event| event.sink == sink));
    assert!(drained.events.iter().all(|event| event.connection == Some(1)));
    // It ends when it is told to.
    let now = net.now;
    net.hosts[CLIENT].stack.trace_socket(now, client.id, None).expect("no more");
    net.close(&server);
    net.settle();
    assert!(net.hosts[CLIENT].stack.events().is_empty());
    drop(drained);
    assert!(sink.is_forsaken());
}

#[test]
fn a_trace_that_begins_in_the_middle_begins_with_what_there_is() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &client, &server, 10_000);
    let now = net.now;
    net.hosts[CLIENT].trace(now, "in the middle");
    carry(&mut net, &client, &server, 10_000);
    let events = Schema::documented().check(&net.hosts[CLIENT].traced());
    let started = named(&events, "connectivity:connection_started").next().expect("begun");
    assert_eq!((&started["state"], &started["dst_port"]), (&"established".into(), &80.into()));
    let first = named(&events, "transport:packet_sent").next().expect("sent");
    assert_eq!(first["header"]["sequence_number"], 10_001);
    let metrics = named(&events, "recovery:metrics_updated").next().expect("figures");
    assert_eq!(metrics.as_object().map(serde_json::Map::len), Some(13));
}

#[test]
fn a_listener_has_what_it_accepts_traced() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let (now, sink) = (net.now, Sink::new(3));
    net.hosts[SERVER].stack.trace_socket(now, listener.id, Some(sink.clone())).expect("traced");
    let _first = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    net.settle();
    let mut drained = Drained::default();
    net.hosts[SERVER].stack.events().drain(&mut drained);
    assert!(drained.events.iter().all(|event| event.sink == sink));
    let names: Vec<_> = drained.events.iter().map(|event| event.what.name()).collect();
    assert_eq!(names[..2], ["connectivity:connection_started", "transport:packet_received"]);
    assert!(names.contains(&"connectivity:connection_state_updated"), "{names:?}");
}

#[test]
fn what_the_stack_answers_by_itself_is_told_too() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.syn_cookies = SynCookies::Always;
    let mut net = network(plan);
    let now = net.now;
    net.hosts[SERVER].trace(now, "answers");
    let _listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let _client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let _refused = net.connect(CLIENT, address("192.0.2.2:81")).expect("connect");
    net.settle();
    let events = Schema::documented().check(&net.hosts[SERVER].traced());
    let alone: Vec<_> = events.into_iter().filter(|event| event["group_id"].is_null()).collect();
    let sent = triggers(&alone, "transport:packet_sent");
    assert_eq!(sent, [("syn_cookie".to_owned(), 1), ("reset_reply".to_owned(), 1)].into());
    assert_eq!(triggers(&alone, "transport:packet_dropped"), [("drop_tcp_no_socket".to_owned(), 1)].into());
}

#[test]
fn nothing_is_kept_where_nobody_listens() {
    let mut net = network(bad(2));
    let (listener, client) = {
        let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
        (listener, net.connect(CLIENT, address(SERVER_V4)).expect("connect"))
    };
    assert!(net.run_for(secs(10)));
    let server = net.accept(&listener).expect("accept");
    carry(&mut net, &client, &server, 100_000);
    for host in &mut net.hosts {
        let mut drained = Drained::default();
        host.stack.events().drain(&mut drained);
        assert_eq!((drained.events.capacity(), drained.missed), (0, 0), "not even memory");
    }
}
