//! Tests of scenarios: that they are what they are written as, count right, and come out alike.

use super::*;

fn scenario(text: &str) -> Scenario {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn report(text: &str) -> Report {
    scenario(text).run().unwrap_or_else(|trouble| panic!("{text}: {trouble}"))
}

#[test]
fn settings_are_read_as_they_are_written() {
    for text in [
        "rate=10M rtt=50ms seed=1",
        "rate=1500K rtt=1500us loss=0.1% reorder=5% queue=0.25 late=0.5 burst=3 mtu=9000 flows=16 seed=77",
        "rate=1G rtt=1ms police=100M jitter=2ms stagger=1s from=server time=10s buffer=1M seed=1",
        "rate=0 rtt=0ns bytes=64M seed=2",
    ] {
        assert_eq!(scenario(text).to_string(), text);
    }
    let parsed = scenario("rate=2.5G rtt=0.5ms loss=0.015");
    assert_eq!((parsed.rate, parsed.rtt, parsed.loss), (2_500_000_000, Duration::from_micros(500), 0.015));
    for (text, word) in [
        ("rate=fast", "rate=fast"),
        ("loss=1 burst=2", "burst"),
        ("speed=1", "speed=1"),
        ("rtt=5", "rtt=5"),
        ("flows=0", "flows"),
        ("loss=200%", "loss"),
        ("bytes=0", "bytes"),
        ("time=0s", "time"),
        ("queue=-1", "queue"),
    ] {
        let error = text.parse::<Scenario>().expect_err(text).to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn queue_and_losses_are_those_of_the_path() {
    let path = scenario("rate=10M rtt=48ms queue=0.25 loss=1% burst=5 reorder=1%").impairment();
    assert_eq!((path.rate, path.delay), (10_000_000, Duration::from_millis(24)));
    assert_eq!((path.queue, path.reorder_delay), (10, Duration::from_millis(12)));
    let share = path.burst_enter / (path.burst_enter + path.burst_leave);
    assert!((share - 0.01).abs() < 1e-12 && path.burst_leave == 0.2, "{share}");
    assert_eq!(scenario("rate=1M rtt=1ms").impairment().queue, 4);
    let policed = scenario("rate=100M rtt=48ms police=10M").impairment();
    assert_eq!((policed.police_rate, policed.police_burst), (10_000_000, 40 * 1500));
}

#[test]
fn a_run_is_a_function_of_its_settings() {
    let text = "rate=10M rtt=20ms loss=1% reorder=2% flows=3 bytes=300K seed=5";
    let first = report(text);
    assert_eq!(first, report(text));
    assert_ne!(first.took, report(&text.replace("seed=5", "seed=6")).took);
    assert!(first.flows.iter().all(|flow| flow.received == 300_000 && flow.goodput() > 100_000));
}

#[test]
fn either_host_may_send_and_what_is_lost_arrives_all_the_same() {
    for sender in ["client", "server"] {
        for path in ["", "loss=5%", "loss=5% burst=3", "reorder=20%", "jitter=10ms", "police=5M queue=1"] {
            let text = format!("rate=20M rtt=20ms queue=64 {path} from={sender} flows=2 bytes=200K seed=3");
            let report = report(&text);
            assert!(report.flows.iter().all(|flow| flow.received == 200_000), "{text}");
            let way = &report.data_way;
            let gone = way.lost + way.burst_lost + way.policed + way.dropped;
            assert_eq!(gone > 0, path.contains("loss") || path.contains("police"), "{text}: {way:?}");
            let (again, twice) = (report.sum(|flow| flow.retransmitted), report.sum(|flow| flow.twice));
            // Handshakes and FINs are in what is gone, and a tail may not have been needed any more.
            assert!(again >= twice && again + 8 >= gone, "{text}: {again} again, {twice} twice, {gone} gone");
        }
    }
}

#[test]
fn a_clean_path_is_filled_and_nothing_is_sent_twice() {
    let report = report("rate=10M rtt=20ms queue=64 bytes=1M");
    assert_eq!((report.sum(|flow| flow.retransmitted), report.sum(|flow| flow.twice)), (0, 0));
    // 1448 of 1500 bytes are payload, and it takes a few round trips to begin.
    let percent = Report::share(report.goodput(), 10_000_000 * 1448 / 1500) / 100;
    assert!((88..=100).contains(&percent), "{percent}%");
    assert_eq!(report.flows[0].arrived, report.flows[0].sent);
}

#[test]
fn flows_that_start_later_are_measured_from_their_start() {
    let report = report("rate=10M rtt=10ms queue=32 flows=3 stagger=500ms time=3s");
    let starts: Vec<_> = report.flows.iter().map(|flow| flow.started.as_millis()).collect();
    assert_eq!(starts, [0, 500, 1000]);
    assert_eq!(report.took, Duration::from_secs(3));
    assert_eq!(report.flows[2].took, Duration::from_secs(2));
    assert!(report.flows.iter().all(|flow| flow.received_late > 0 && flow.received >= flow.received_late));
    assert!((3_334..=10_000).contains(&report.late_fairness()));
}

#[test]
fn samples_are_taken_at_changes_or_at_intervals() {
    let text = "rate=10M rtt=20ms flows=2 bytes=200K";
    let changes = Scenario { sampling: Sampling::Changes, ..scenario(text) }.run().expect("a run");
    assert!(changes.samples.len() > 50, "{}", changes.samples.len());
    for flow in 0..2 {
        let own: Vec<_> = changes.samples.iter().filter(|sample| sample.flow == flow).collect();
        assert!(own.windows(2).all(|pair| pair[0].at <= pair[1].at && pair[1].differs(pair[0])));
        assert!(own.iter().any(|sample| sample.cwnd > 10 && sample.in_flight > 10));
    }
    let every = Scenario { sampling: Sampling::Every(Duration::from_millis(10)), ..scenario(text) };
    let every = every.run().expect("a run");
    assert!(every.samples.iter().all(|sample| sample.at.as_micros() % 10_000 == 0));
    assert_eq!((changes.took, changes.flows), (every.took, every.flows), "looking changes nothing");
}

#[test]
fn trouble_is_told() {
    let refused = Scenario { flows: 0, ..Scenario::default() }.run();
    assert!(matches!(refused, Err(Trouble::Refused(_))), "{refused:?}");
    let deaf = Scenario { loss: 1.0, length: Some(Length::Bytes(1000)), ..Scenario::default() }.run();
    assert_eq!(deaf, Err(Trouble::Ended { flow: 0, errno: Errno::ETIMEDOUT }));
}
