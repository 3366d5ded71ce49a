//! The figures of `tcp_info`, group by group, on virtual time.

mod world;

use usertcp_core::link::impair::Impairment;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::socket::options::{IPPROTO_TCP, tcp};
use usertcp_core::stack::socket::{Readiness, figures, readiness};
use usertcp_core::stack::{Domain, LinkState, TcpInfo};
use usertcp_core::time::Duration;
use world::*;

fn info(net: &Network, end: &Endpoint) -> TcpInfo {
    net.hosts[end.host].stack.tcp_info(net.now, end.id).expect("figures")
}

/// A link of 10 ms each way and a megabyte a second.
fn slow() -> Plan {
    let path = Impairment { rate: 8_000_000, delay: Duration::from_millis(10), ..Impairment::default() };
    Plan { impairment: Some((path, 7)), ..Plan::default() }
}

#[test]
fn what_is_delivered_and_how_fast() {
    let mut net = network(slow());
    let (client, server) = {
        let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
        let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
        assert!(net.run_for(secs(1)));
        (client, net.accept(&listener).expect("accept"))
    };
    assert_eq!(info(&net, &client).delivered, 1, "the SYN");
    carry(&mut net, &client, &server, 3_000_000);
    assert!(net.run_for(secs(1)));
    let told = info(&net, &client);
    assert!((2_070..2_200).contains(&told.delivered), "{}", told.delivered);
    assert_eq!((told.bytes_acked, told.notsent_bytes, told.unacked), (3_000_000, 0, 0));
    assert!((800_000..=1_050_000).contains(&told.delivery_rate), "{}", told.delivery_rate);
    assert_eq!((told.pmtu, told.advmss), (1500, 1448));
    assert_eq!(info(&net, &server).bytes_received, 3_000_000);
    // A program that sends little is what limits the rate, and does not lower the measurement.
    net.send(&client, b"x").expect("send");
    assert!(net.run_for(secs(1)));
    assert_eq!(info(&net, &client).delivery_rate, told.delivery_rate);
    // Where nothing but that was ever measured, it says so.
    net.send(&server, b"x").expect("send");
    assert!(net.run_for(secs(1)));
    let little = info(&net, &server);
    assert!(little.delivery_rate < 100 && little.delivery_rate_app_limited == 1, "{little:?}");
}

#[test]
fn the_mss_announced_is_the_one_that_was_set() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.socket(CLIENT, Domain::V4).expect("a socket");
    let now = net.now;
    let stack = &mut net.hosts[CLIENT].stack;
    let mss = 1000i32.to_ne_bytes();
    stack.set_option(now, client.id, IPPROTO_TCP, tcp::TCP_MAXSEG, &mss).expect("set");
    stack.connect(now, client.id, address(SERVER_V4)).expect("connect");
    net.settle();
    let server = net.accept(&listener).expect("accept");
    assert_eq!((info(&net, &client).advmss, info(&net, &server).snd_mss), (988, 988));
    assert_eq!(info(&net, &server).advmss, 1448);
}

#[test]
fn what_the_time_went_into() {
    let mut plan = slow();
    plan.configs[SERVER].buffers.receive = 20_000;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    assert!(net.run_for(secs(5)));
    let server = net.accept(&listener).expect("accept");
    let idle = info(&net, &client);
    assert_eq!((idle.busy_time, idle.rwnd_limited, idle.sndbuf_limited), (0, 0, 0));
    net.send(&client, &[0; 50_000]).expect("send");
    assert!(net.run_for(secs(3)));
    let stuck = info(&net, &client);
    assert!((2_900_000..=3_000_000).contains(&stuck.rwnd_limited), "{}", stuck.rwnd_limited);
    assert!(stuck.busy_time >= stuck.rwnd_limited && stuck.busy_time <= 3_000_000);
    let mut got = 0;
    let outcome = net.run_until(secs(60), |net| {
        got += net.recv(&server, 1 << 20).map_or(0, |bytes| bytes.len());
        got == 50_000
    });
    assert_eq!(outcome, Outcome::Met);
    assert!(net.run_for(secs(1)));
    let busy = info(&net, &client).busy_time;
    assert!(net.run_for(secs(60)));
    assert_eq!(info(&net, &client).busy_time, busy, "idle again");
}

#[test]
fn a_send_buffer_that_is_too_small() {
    let mut plan = slow();
    plan.configs[CLIENT].buffers.send = 4096;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    assert!(net.run_for(secs(1)));
    let _server = net.accept(&listener).expect("accept");
    let mut left = 40_000;
    let outcome = net.run_until(secs(10), |net| {
        while let Ok(count) = net.send(&client, &vec![0; left.min(4096)]) {
            left -= count;
            if left == 0 {
                return true;
            }
        }
        // A program that waits for room has a waker there.
        let _ = readiness(&client.cell, Readiness::OUT, Some(std::task::Waker::noop()));
        false
    });
    assert_eq!(outcome, Outcome::Met);
    let told = info(&net, &client);
    assert!(told.sndbuf_limited > 50_000 && told.sndbuf_limited <= told.busy_time, "{told:?}");
    assert_eq!(told.rwnd_limited, 0);
}

#[test]
fn timeouts_are_counted_by_episode() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].tcp.tail_loss_probe = false;
    let mut net = network(plan);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    let now = net.now;
    net.hosts[SERVER].stack.handle_link(now, LinkState::Down);
    net.hosts[CLIENT].stack.handle_link(now, LinkState::Down);
    net.send(&client, b"lost").expect("send");
    assert!(net.run_for(Duration::from_millis(1500)));
    let during = info(&net, &client);
    assert_eq!((during.total_rto, during.total_rto_recoveries), (3, 1));
    assert!(
        (1_200..1_500).contains(&during.total_rto_time),
        "it counts while it lasts, as in Linux: {}",
        during.total_rto_time
    );
    assert_eq!((during.retransmits, during.backoff), (3, 3));
    let now = net.now;
    net.hosts[CLIENT].stack.handle_link(now, LinkState::Up);
    net.hosts[SERVER].stack.handle_link(now, LinkState::Up);
    assert!(net.run_for(secs(5)));
    assert_eq!(net.recv(&server, 10), Ok(b"lost".to_vec()));
    let after = info(&net, &client);
    assert_eq!((after.total_rto_recoveries, after.retransmits), (1, 0));
    assert!((2_000..4_000).contains(&after.total_rto_time), "{}", after.total_rto_time);
}

#[test]
fn what_would_be_paced_is_what_linux_computes() {
    let mut net = network(slow());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let fresh = net.socket(CLIENT, Domain::V4).expect("a socket");
    for socket in [&fresh, &listener] {
        let told = info(&net, socket);
        assert_eq!((told.pacing_rate, told.max_pacing_rate), (u64::MAX, u64::MAX));
        assert_eq!((told.snd_cwnd, told.reordering), (10, 3));
    }
    let told = info(&net, &fresh);
    assert_eq!(
        (told.snd_mss, told.rto, told.min_rtt, told.snd_ssthresh),
        (536, 1_000_000, u32::MAX, 0x7fff_ffff)
    );
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    assert_eq!(info(&net, &client).pacing_rate, u64::MAX, "nothing is measured yet");
    assert_eq!((info(&net, &client).snd_cwnd, info(&net, &client).delivery_rate_app_limited), (10, 1));
    assert!(net.run_for(secs(1)));
    let server = net.accept(&listener).expect("accept");
    let computed = |told: &TcpInfo| {
        let percent = if told.snd_cwnd < told.snd_ssthresh / 2 { 200 } else { 120 };
        let segments = u64::from(told.snd_cwnd.max(told.unacked));
        u64::from(told.snd_mss) * percent * segments * 10_000 / u64::from(told.rtt)
    };
    let told = info(&net, &client);
    // 1448 bytes twice ten times in 20 ms and a bit.
    assert!((1_300_000..=1_448_000).contains(&told.pacing_rate), "{told:?}");
    assert_eq!((told.pacing_rate, told.max_pacing_rate), (computed(&told), u64::MAX));
    carry(&mut net, &client, &server, 3_000_000);
    let told = info(&net, &client);
    assert_eq!(told.pacing_rate, computed(&told));
}

#[test]
fn nothing_is_told_of_what_is_not_spoken() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &client, &server, 100_000);
    let told = info(&net, &client);
    assert_eq!(
        (told.delivered_ce, told.received_ce, told.delivered_ce_bytes, told.received_ce_bytes),
        (0, 0, 0, 0)
    );
    assert_eq!((told.fackets, told.last_ack_sent, told.rehash), (0, 0, 0), "as in Linux");
}

#[test]
fn the_figures_outlive_the_connection() {
    let mut net = network(Plan::default());
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &client, &server, 100_000);
    let before = info(&net, &client);
    let now = net.now;
    net.hosts[SERVER].stack.abort(now, server.id).expect("abort");
    net.settle();
    let after = info(&net, &client);
    assert_eq!(after.state, 7);
    assert_eq!((after.rtt, after.snd_cwnd, after.snd_mss), (before.rtt, before.snd_cwnd, before.snd_mss));
    assert_eq!((after.bytes_acked, after.delivered), (100_000, before.delivered));
    assert_eq!(after.segs_in, before.segs_in + 1, "the RST");
}

#[test]
fn the_layout_is_that_of_linux() {
    let some = TcpInfo {
        state: 1,
        options: 5,
        snd_wscale: 7,
        rcv_wscale: 9,
        delivery_rate_app_limited: 1,
        rto: 0x0101_0101,
        last_ack_recv: 0x0202_0202,
        total_retrans: 0x0303_0303,
        bytes_acked: 0x0404_0404_0404_0404,
        min_rtt: 0x0505_0505,
        delivery_rate: 0x0606_0606_0606_0606,
        delivered_ce: 0x0707_0707,
        rcv_ooopack: 0x0808_0808,
        rcv_wnd: 0x0909_0909,
        total_rto: 0x0a0a,
        total_rto_time: 0x0b0b_0b0b,
        received_ce: 0x0c0c_0c0c,
        received_ce_bytes: 0x0d0d_0d0d,
        accecn_opt_seen: 0x0e0e,
        ..TcpInfo::default()
    };
    let bytes = figures::bytes(&some);
    // Offsets of <linux/tcp.h>.
    assert_eq!((bytes[0], bytes[5], bytes[6], bytes[7]), (1, 5, 0x97, 1));
    let table = [
        (8, 4, 1),
        (56, 4, 2),
        (100, 4, 3),
        (120, 8, 4),
        (148, 4, 5),
        (160, 8, 6),
        (196, 4, 7),
        (224, 4, 8),
        (232, 4, 9),
        (240, 2, 10),
        (244, 4, 11),
        (248, 4, 12),
        (272, 4, 13),
        (278, 2, 14),
    ];
    for (at, length, value) in table {
        assert_eq!(bytes[at..at + length], vec![value; length], "at {at}");
    }
    let others = bytes.iter().filter(|byte| **byte != 0).count();
    assert_eq!((bytes.len(), others), (280, 4 + 4 * 10 + 8 * 2 + 2 * 2));
}
