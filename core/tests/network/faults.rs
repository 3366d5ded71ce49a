//! What a network does to packets, and what hosts are told of it.

use super::world::*;
use usertcp_core::sys::{self, PollFd};

/// client -- left == right -- server, and another pair of hosts on the same routers.
#[test]
fn senders_share_a_bottleneck() {
    let network = Network::new(1);
    let [left, right] = [0, 1].map(|_| network.router().expect("a router"));
    let slow = Impairment { rate: 8_000_000, queue: 50, ..delay(5) };
    let middle = network.link(left, right, slow, slow).expect("a link");
    let clean = Impairment::default();
    let (mut tasks, mut clients) = (Vec::new(), Vec::new());
    for pair in 1..=2 {
        let (a, client) = host(&network, &[&format!("192.0.2.{pair}/24")]);
        let (b, server) = host(&network, &[&format!("198.51.100.{pair}/24")]);
        network.link(a, left, clean, clean).expect("a link");
        network.link(right, b, clean, clean).expect("a link");
        let address = format!("198.51.100.{pair}:80").parse().expect("an address");
        let listener = server.socket(Domain::V4).expect("a socket");
        listener.bind(address).expect("bind");
        listener.listen(1).expect("listen");
        // A stack that nobody has any more is aborted.
        clients.push(client.clone());
        tasks.push(task(&network, move || {
            let (socket, _) = listener.accept(WAIT).expect("accept");
            read_all(&socket).len()
        }));
        tasks.push(task(&network, move || {
            let socket = client.socket(Domain::V4).expect("a socket");
            socket.connect(address, WAIT).expect("connect");
            let count = socket.send(&pattern(1_000_000), NONE, WAIT).expect("send");
            socket.shutdown(Shutdown::Write).expect("shutdown");
            count
        }));
    }
    assert!(tasks.into_iter().map(Task::join).all(|count| count == 1_000_000));
    let (there, _) = network.link_counters(middle).expect("counters");
    assert!(there.bytes > 2_000_000 && there.dropped > 0, "{there:?}");
    // 2 MB and headers at 1 MB/s.
    assert!(network.now() > Duration::from_millis(2_000) && network.now() < Duration::from_secs(5));
    let all = there.delivered + there.dropped;
    assert_eq!(there.packets, all);
}

#[test]
fn without_a_path_the_network_is_unreachable() {
    let network = Network::new(1);
    let (_, lonely) = host(&network, &["192.0.2.1/24", "2001:db8::1/64"]);
    host(&network, &["198.51.100.1/24", "2001:db8:1::1/64"]);
    for domain in [Domain::V4, Domain::V6] {
        let socket = lonely.socket(domain).expect("a socket");
        assert_eq!(errno(socket.connect(Two::address(domain), WAIT)), Errno::ENETUNREACH, "{domain:?}");
        let datagrams = lonely.datagram_socket(domain).expect("a socket");
        datagrams.connect(Two::address(domain), WAIT).expect("a peer");
        datagrams.send(b"?", NONE, WAIT).expect("send");
        let second = Wait::AtMost(Duration::from_secs(1));
        // That is no hard error of UDP (RFC 1122 4.1.3.3): whoever waits goes on waiting.
        assert_eq!(errno(datagrams.recv(&mut [0; 9], NONE, second)), Errno::EAGAIN, "{domain:?}");
    }
    assert_eq!(network.now(), Duration::from_secs(2));
    assert_eq!(network.unroutable().expect("a count"), 4);
}

#[test]
fn a_small_link_is_found_out_by_reports_and_without() {
    for (domain, told) in [(Domain::V4, true), (Domain::V6, true), (Domain::V4, false)] {
        let small = Impairment { mtu: 1300, mtu_told: told, ..delay(5) };
        let two = Two::new(1, small, small);
        let (client, server) = two.connection(domain);
        let network = two.network.clone();
        let reader = task(&network, move || read_all(&server));
        client.send(&pattern(200_000), NONE, WAIT).expect("send");
        client.shutdown(Shutdown::Write).expect("shutdown");
        assert!(reader.join() == pattern(200_000));
        let (there, _) = network.link_counters(two.link).expect("counters");
        assert!(there.too_big > 0, "{there:?}");
        assert_eq!(there.told > 0, told, "{there:?}");
    }
}

#[test]
fn settings_change_while_it_runs() {
    let two = Two::new(1, delay(10), delay(10));
    let server = two.server.datagram_socket(Domain::V4).expect("a socket");
    server.bind(Two::address(Domain::V4)).expect("bind");
    let client = two.client.datagram_socket(Domain::V4).expect("a socket");
    client.connect(Two::address(Domain::V4), WAIT).expect("a peer");
    let trip = || {
        let before = two.network.now();
        client.send(b"x", NONE, WAIT).expect("send");
        server.recv(&mut [0; 9], NONE, WAIT).expect("recv");
        two.network.now() - before
    };
    assert_eq!(trip(), Duration::from_millis(10));
    two.network.set_link(two.link, Some(delay(70)), None).expect("settings");
    assert_eq!(trip(), Duration::from_millis(70));
    two.network.set_link(two.link, Some(Impairment::default()), None).expect("settings");
    assert_eq!(trip(), Duration::ZERO);
}

/// A transfer with both hosts' traces and the client's capture.
fn transfer(seed: u64, folder: &std::path::Path) -> [Vec<u8>; 3] {
    let files = ["a.qlog", "b.qlog", "a.pcap"].map(|name| folder.join(format!("{seed}-{name}")));
    let network = Network::new(seed);
    let open = |address: &str, trace: &std::path::Path, pcap: Option<std::path::PathBuf>| {
        let addresses = vec![address.parse().expect("an address")];
        let config = Config { addresses, ..Config::default() };
        let trace = Some(TraceSink::Path(trace.to_owned()));
        let name = address.to_owned();
        network.host(HostOptions { name, config, trace, pcap, ..HostOptions::default() }).expect("a host")
    };
    let (a, client) = open("192.0.2.1/24", &files[0], Some(files[2].clone()));
    let (b, server) = open("198.51.100.1/24", &files[1], None);
    let bad = Impairment { loss: 0.05, jitter: Duration::from_millis(3), duplicate: 0.02, ..delay(4) };
    let link = network.link(a, b, bad, bad).expect("a link");
    let two = Two { network: network.clone(), client, server, link };
    let (client, server) = two.connection(Domain::V4);
    let writer = task(&network, move || {
        client.send(&pattern(20_000), NONE, WAIT).expect("send");
        client.close().expect("close");
    });
    assert!(read_all(&server) == pattern(20_000));
    writer.join();
    network.close().expect("the end");
    files.map(|file| std::fs::read(file).expect("a file"))
}

#[test]
fn a_seed_makes_the_same_packets_and_traces_byte_for_byte() {
    let folder = std::env::temp_dir().join(format!("usertcp-network-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut all = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let first = transfer(seed, &folder);
        assert!(first.iter().all(|file| file.len() > 1000), "they say something");
        assert!(first == transfer(seed, &folder), "seed {seed}");
        all.insert(first);
    }
    assert_eq!(all.len(), 100, "every seed has its own");
    std::fs::remove_dir_all(&folder).expect("the folder");
}

#[test]
fn names_are_looked_up_in_the_networks_time() {
    let network = Network::new(1);
    let config =
        |address: &str| Config { addresses: vec![address.parse().expect("an address")], ..Config::default() };
    let names = NameOptions {
        nameservers: Some(vec!["198.51.100.1:53".parse().expect("an address")]),
        ..NameOptions::default()
    };
    let options = HostOptions { config: config("192.0.2.1/24"), names, ..HostOptions::default() };
    let (a, client) = network.host(options).expect("a host");
    let (b, server) = host(&network, &["198.51.100.1/24"]);
    let link = network.link(a, b, delay(20), delay(20)).expect("a link");
    let port53 = server.datagram_socket(Domain::V4).expect("a socket");
    port53.bind("198.51.100.1:53".parse().expect("an address")).expect("bind");
    let answering = task(&network, move || {
        let mut question = [0; 512];
        while let Ok((count, Some(from))) = port53.recv_from(&mut question, NONE, WAIT) {
            port53.send_to(&answer(&question[..count]), Some(from), NONE, WAIT).expect("send");
        }
    });
    let found = client.resolve("server.example", 80, Some(Domain::V4), None, None).expect("an address");
    assert_eq!(found, ["198.51.100.1:80".parse().expect("an address")]);
    assert_eq!(network.now(), Duration::from_millis(40));
    let listener = server.socket(Domain::V4).expect("a socket");
    listener.bind(found[0]).expect("bind");
    listener.listen(1).expect("listen");
    client.connect_to("server.example:80", None, None).expect("a connection");
    network.cut(link, true).expect("a cut");
    let before = network.now();
    let lost = client.resolve("other.example", 80, Some(Domain::V4), None, None);
    assert_eq!(errno(lost), Errno::ETIMEDOUT);
    assert_eq!(network.now() - before, Duration::from_secs(10), "two attempts of 5 s");
    let nobody = server.resolve("server.example", 80, None, None, None);
    assert_eq!(errno(nobody), Errno::EREMOTEIO, "no name server comes from the system");
    network.close().expect("the end");
    answering.thread.join().expect("no panic");
}

/// The answer to a question for an address: there is one of IPv4.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).expect("a name") + 5;
    answer.truncate(end);
    let four = answer[end - 4..end - 2] == [0, 1];
    answer[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, u8::from(four), 0, 0, 0, 0]);
    if four {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 1]);
    }
    answer
}

#[test]
fn a_simulated_connection_does_not_become_a_descriptor_of_its_own() {
    let two = Two::new(1, delay(1), delay(1));
    let (client, server) = two.connection(Domain::V4);
    assert_eq!(errno(client.export_fd()), Errno::EOPNOTSUPP);
    let fd = client.readiness_fd().expect("a descriptor");
    let ready = |events: i16| {
        let mut entries = [PollFd { fd, events, revents: 0 }];
        sys::poll(&mut entries, Some(Duration::ZERO)).expect("poll");
        entries[0].revents
    };
    assert_eq!(ready(libc::POLLIN | libc::POLLOUT), libc::POLLOUT);
    server.send(b"x", NONE, WAIT).expect("send");
    two.network.sleep(Some(Duration::from_secs(1))).expect("a sleep");
    assert_eq!(ready(libc::POLLIN | libc::POLLOUT), libc::POLLIN | libc::POLLOUT);
    client.recv(&mut [0; 9], NONE, WAIT).expect("recv");
    assert_eq!(ready(libc::POLLIN | libc::POLLOUT), libc::POLLOUT);
}
