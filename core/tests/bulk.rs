//! Bulk transfers on virtual time: no slower than the window, the link and the program make them.

mod world;

use usertcp_core::error::Errno;
use usertcp_core::link::impair::{Impaired, Impairment};
use usertcp_core::link::pipe::{Offload, pipe};
use usertcp_core::sim::{Host, Network, Outcome};
use usertcp_core::stack::Shutdown;
use usertcp_core::time::{Duration, Instant};
use world::*;

const RTT: Duration = Duration::from_millis(20);

/// A transfer from the client to the server.
struct Transfer {
    bytes: usize,
    mtu: u16,
    receive: usize,
    options: bool,
    impairment: Impairment,
    seed: u64,
    /// The program reads so many bytes, and then only after a pause.
    piece: usize,
    pause: Duration,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            mtu: 1500,
            receive: 4 << 20,
            options: true,
            impairment: Impairment { delay: RTT / 2, ..Impairment::default() },
            seed: 1,
            piece: usize::MAX,
            pause: Duration::ZERO,
        }
    }
}

impl Transfer {
    fn network(&self) -> Network {
        let (left, right) = pipe(self.mtu, 1 << 16, Offload::Off);
        let left = Impaired::new(Box::new(left), self.impairment, self.seed).expect("impairment");
        let config = |host| {
            let mut config = config(host);
            config.addresses.retain(|prefix| prefix.address.is_ipv4());
            config.mtu = self.mtu;
            config.buffers.receive = self.receive;
            config.tcp.timestamps = self.options;
            config.tcp.window_scaling = self.options;
            config
        };
        let client = host(config(CLIENT), Box::new(left));
        let server = host(config(SERVER), Box::new(right));
        watched(Network::new(Instant::from_millis(1_000_000), vec![client, server]))
    }

    /// How long it takes from the end of the handshake to the end of the stream.
    fn run(&self) -> Duration {
        let mut net = self.network();
        let listener = net.listen(SERVER, address(SERVER_V4), 1).expect("listen");
        let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
        let mut server = None;
        let outcome = net.run_until(secs(100), |net| {
            server = net.accept(&listener).ok();
            server.is_some()
        });
        assert_eq!(outcome, Outcome::Met);
        let server = server.expect("accepted");
        let (start, data) = (net.now, vec![7; 1 << 16]);
        let (mut sent, mut received, mut shut, mut reads_at) = (0, 0, false, net.now);
        loop {
            while sent < self.bytes {
                match net.send(&client, &data[..data.len().min(self.bytes - sent)]) {
                    Ok(count) => sent += count,
                    Err(errno) => {
                        assert_eq!(errno, Errno::EAGAIN);
                        break;
                    }
                }
            }
            if sent == self.bytes && !shut {
                net.shutdown(&client, Shutdown::Write).expect("shutdown");
                shut = true;
            }
            net.settle();
            if net.now >= reads_at {
                match net.recv(&server, self.piece) {
                    Ok(bytes) if bytes.is_empty() => {
                        assert_eq!(received, self.bytes);
                        return net.now.since(start);
                    }
                    Ok(bytes) => {
                        received += bytes.len();
                        reads_at = net.now + self.pause;
                    }
                    Err(errno) => assert_eq!(errno, Errno::EAGAIN),
                }
                net.settle();
            }
            let next =
                net.hosts.iter().filter_map(Host::next).chain((reads_at > net.now).then_some(reads_at));
            let next = next.min().expect("somebody waits for something");
            net.now = net.now.max(next);
            assert!(net.now.since(start) < secs(3600), "{received} of {} bytes", self.bytes);
        }
    }
}

#[test]
fn small_receive_buffers_are_filled_once_a_round_trip() {
    for mtu in [576, 1280, 1500, 9000, 65_535] {
        for receive in [2048, 3000, 4096, 8192, 16_384, 65_535] {
            for options in [true, false] {
                let transfer = Transfer { bytes: receive * 30, mtu, receive, options, ..Transfer::default() };
                let (took, ideal) = (transfer.run(), RTT * 30);
                assert!(took < ideal * 2, "mtu {mtu}, {receive} bytes, options {options}: {took:?}");
            }
        }
    }
}

#[test]
fn a_slow_program_is_what_a_transfer_waits_for() {
    for (piece, millis) in [(1, 1), (100, 1), (1000, 1), (1000, 10), (5000, 10), (20_000, 50)] {
        for receive in [2048, 5000, 20_000, 70_000, 1 << 20] {
            let pause = Duration::from_millis(millis);
            let bytes = (receive * 4).min(piece * 5000);
            let took = Transfer { bytes, receive, piece, pause, ..Transfer::default() }.run();
            let reads = u32::try_from(bytes / piece.min(receive)).expect("few");
            let ideal = (pause * reads).max(RTT * 4);
            assert!(
                took < ideal * 2 + RTT * 2,
                "{piece} bytes a {pause:?} of {receive}: {took:?}, {ideal:?}"
            );
        }
    }
}

/// A timestamp echoed for the first copy of what was sent twice once made every loss of an ACK multiply the retransmission timeout.
#[test]
fn a_fifth_of_all_packets_may_be_lost() {
    for seed in 0..16 {
        let impairment = Impairment { delay: RTT / 2, loss: 0.2, ..Impairment::default() };
        let took = Transfer { bytes: 300_000, impairment, seed, ..Transfer::default() }.run();
        assert!(took < secs(120), "seed {seed}: {took:?}");
    }
}

/// Karn's algorithm keeps the timeout backed off until something sent once is acknowledged.
#[test]
fn without_timestamps_a_twentieth_may_be() {
    for seed in 0..16 {
        let impairment = Impairment { delay: RTT / 2, loss: 0.05, ..Impairment::default() };
        let took = Transfer { bytes: 300_000, impairment, seed, options: false, ..Transfer::default() }.run();
        assert!(took < secs(60), "seed {seed}: {took:?}");
    }
}

#[test]
fn half_of_all_packets_may_be_overtaken() {
    for seed in 0..8 {
        let reorder_delay = Duration::from_millis(5);
        let impairment = Impairment { delay: RTT / 2, reorder: 0.5, reorder_delay, ..Impairment::default() };
        let took = Transfer { impairment, seed, ..Transfer::default() }.run();
        assert!(took < secs(6), "seed {seed}: {took:?}");
    }
}

/// Nothing between the stacks cuts super-frames here: they are sent, received and acknowledged whole, both ways at once.
#[test]
fn super_frames_pass_whole_and_exact() {
    for (target, receive, step) in [
        (SERVER_V4, 4 << 20, 1 << 20),
        (SERVER_V4, 100_000, 1 << 20),
        (SERVER_V6, 100_000, 7_777),
        (SERVER_V6, 5_000, 1_999),
        (SERVER_V4, 2_048, 500),
    ] {
        let mut plan = Plan { offload: Offload::On, ..Plan::default() };
        plan.configs.iter_mut().for_each(|config| config.buffers.receive = receive);
        let mut net = network(plan);
        let (client, server, _listener) = pair(&mut net, target);
        let sent: Vec<u8> =
            (0..2_000_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let mut received = [Vec::new(), Vec::new()];
        let mut written = [0, 0];
        let outcome = net.run_until(secs(600), |net| {
            let ends = [(&client, &server), (&server, &client)];
            for ((from, to), (received, written)) in
                ends.into_iter().zip(received.iter_mut().zip(&mut written))
            {
                while let Ok(count) = net.send(from, &sent[*written..sent.len().min(*written + 50_000)]) {
                    *written += count;
                    if *written == sent.len() {
                        break;
                    }
                }
                while let Ok(bytes) = net.recv(to, step) {
                    received.extend(bytes);
                }
            }
            received.iter().all(|bytes| bytes.len() == sent.len())
        });
        assert_eq!(outcome, Outcome::Met, "{receive} bytes: {} and {}", received[0].len(), received[1].len());
        assert!(received.iter().all(|bytes| *bytes == sent));
        let counters = net.hosts[CLIENT].stack.counters();
        let merged = counters.frames_out * 4 < counters.tcp_segments_out;
        assert!(merged || receive < 100_000, "{} frames", counters.frames_out);
        assert_eq!((counters.tcp_retransmits, counters.tcp_timeouts), (0, 0), "{receive} bytes");
    }
}
