//! Hosts, links, and calls of one thread that have time pass.

use super::world::*;
use usertcp_core::api::Shutdown;

/// One thread is both sides: what one sends the other reads, call after call.
fn round_trip(domain: Domain) {
    let two = Two::new(1, delay(10), delay(20));
    let (client, server) = two.connection(domain);
    assert_eq!(two.network.now(), Duration::from_millis(40), "SYN, SYN-ACK, ACK");
    assert_eq!(client.send(b"hello", NONE, WAIT).expect("send"), 5);
    let mut bytes = [0; 16];
    assert_eq!(server.recv(&mut bytes, NONE, WAIT).expect("recv"), 5);
    assert_eq!(&bytes[..5], b"hello");
    assert_eq!(two.network.now(), Duration::from_millis(50));
    assert_eq!(server.send(b"goodbye", NONE, WAIT).expect("send"), 7);
    server.close().expect("close");
    assert_eq!(read_all(&client), b"goodbye");
    assert_eq!(two.network.now(), Duration::from_millis(70));
    client.close().expect("close");
    two.network.close().expect("the end");
}

#[test]
fn a_call_that_waits_has_the_others_work_and_time_pass() {
    round_trip(Domain::V4);
    round_trip(Domain::V6);
}

#[test]
fn time_outs_take_no_time() {
    let two = Two::new(2, delay(10), delay(10));
    let (client, _server) = two.connection(Domain::V4);
    let before = two.network.now();
    assert_eq!(errno(client.recv(&mut [0], NONE, Wait::AtMost(Duration::from_secs(30)))), Errno::EAGAIN);
    assert_eq!(two.network.now() - before, Duration::from_secs(30));
    client.set_timeouts(Some(Duration::from_millis(1500)), None).expect("time-outs");
    assert_eq!(errno(client.recv(&mut [0], NONE, Wait::AsSet)), Errno::EAGAIN);
    assert_eq!(two.network.now() - before, Duration::from_millis(31_500));
    let mut entries = [PollEntry { socket: Some(&client), interest: Readiness::IN, ready: Readiness(0) }];
    assert_eq!(poll(&mut entries, Wait::AtMost(Duration::from_secs(3600))).expect("poll"), 0);
    assert_eq!(two.network.now() - before, Duration::from_millis(3_631_500));
    two.network.sleep(Some(Duration::from_secs(100_000))).expect("a sleep");
    assert_eq!(two.network.now(), Duration::from_secs(100_000));
    two.network.sleep(Some(Duration::from_secs(1))).expect("it is over");
    assert_eq!(two.network.now(), Duration::from_secs(100_000));
}

#[test]
fn a_connect_to_nobody_gives_up_as_the_protocol_has_it() {
    let two = Two::new(3, delay(10), delay(10));
    two.network.cut(two.link, true).expect("a cut");
    let lonely = two.client.socket(Domain::V4).expect("a socket");
    let soon = Wait::AtMost(Duration::from_secs(30));
    assert_eq!(errno(lonely.connect(Two::address(Domain::V4), soon)), Errno::EINPROGRESS);
    assert_eq!(two.network.now(), Duration::from_secs(30));
    let patient = two.client.socket(Domain::V6).expect("a socket");
    assert_eq!(errno(patient.connect(Two::address(Domain::V6), WAIT)), Errno::ETIMEDOUT);
    assert!(two.network.now() > Duration::from_secs(120));
}

#[test]
fn a_connection_outlives_a_partition() {
    let two = Two::new(4, delay(10), delay(10));
    let (client, server) = two.connection(Domain::V4);
    two.network.cut(two.link, true).expect("a cut");
    client.send(b"anybody there?", NONE, WAIT).expect("send");
    let mut bytes = [0; 64];
    let minute = Wait::AtMost(Duration::from_secs(60));
    assert_eq!(errno(server.recv(&mut bytes, NONE, minute)), Errno::EAGAIN);
    let (there, back) = two.network.link_counters(two.link).expect("counters");
    assert!(there.cut > 3 && back.cut == 0, "{there:?} {back:?}");
    two.network.cut(two.link, false).expect("healed");
    assert_eq!(server.recv(&mut bytes, NONE, WAIT).expect("recv"), 14);
    assert_eq!(two.network.link_counters(two.link).expect("counters").0.cut, there.cut);
}

#[test]
fn what_is_under_way_when_a_link_is_cut_is_lost() {
    let two = Two::new(5, delay(100), delay(100));
    let (sender, receiver) = datagrams(&two);
    sender.send(b"lost", NONE, WAIT).expect("send");
    two.network.sleep(Some(two.network.now() + Duration::from_millis(50))).expect("a sleep");
    two.network.cut(two.link, true).expect("a cut");
    let second = Wait::AtMost(Duration::from_secs(1));
    assert_eq!(errno(receiver.recv(&mut [0; 9], NONE, second)), Errno::EAGAIN);
    two.network.cut(two.link, false).expect("healed");
    sender.send(b"not lost", NONE, WAIT).expect("send");
    assert_eq!(receiver.recv(&mut [0; 9], NONE, second).expect("recv"), 8);
    let (there, _) = two.network.link_counters(two.link).expect("counters");
    assert_eq!((there.packets, there.delivered, there.cut), (2, 1, 1));
}

/// A sender that is connected to a receiver.
fn datagrams(two: &Two) -> (Socket, Socket) {
    let receiver = two.server.datagram_socket(Domain::V4).expect("a socket");
    receiver.bind(Two::address(Domain::V4)).expect("bind");
    let sender = two.client.datagram_socket(Domain::V4).expect("a socket");
    sender.connect(Two::address(Domain::V4), WAIT).expect("connect");
    (sender, receiver)
}

#[test]
fn datagrams_pass_and_nobody_there_is_told() {
    let two = Two::new(6, delay(5), delay(5));
    let (sender, receiver) = datagrams(&two);
    let mut bytes = [0; 4000];
    for length in [0, 1, 1400, 3000] {
        sender.send(&pattern(length), NONE, WAIT).expect("send");
        let (count, from) = receiver.recv_from(&mut bytes, NONE, WAIT).expect("recv");
        assert_eq!(bytes[..count], pattern(length));
        assert_eq!(from.map(|from| from.ip()), Some([192, 0, 2, 1].into()));
    }
    receiver.close().expect("close");
    sender.send(b"?", NONE, WAIT).expect("send");
    assert_eq!(errno(sender.recv(&mut bytes, NONE, WAIT)), Errno::ECONNREFUSED);
}

#[test]
fn a_call_that_does_not_wait_sees_what_can_be_seen_now() {
    let two = Two::new(7, Impairment::default(), Impairment::default());
    let listener = two.listener(Domain::V4);
    let client = two.client.socket(Domain::V4).expect("a socket");
    let begun = client.connect(Two::address(Domain::V4), Wait::Never);
    assert!(begun.is_ok() || errno(begun) == Errno::EINPROGRESS);
    let (server, _) = listener.accept(Wait::Never).expect("accept");
    client.send(b"now", NONE, Wait::Never).expect("send");
    assert_eq!(server.recv(&mut [0; 9], NONE, Wait::Never).expect("recv"), 3);
    assert_eq!(errno(server.recv(&mut [0; 9], NONE, Wait::Never)), Errno::EAGAIN);
    assert_eq!(two.network.now(), Duration::ZERO);
}

#[test]
fn sockets_of_several_hosts_are_polled_together() {
    let two = Two::new(8, delay(10), delay(10));
    let (client, server) = two.connection(Domain::V4);
    let entry = |socket| PollEntry { socket: Some(socket), interest: Readiness::IN, ready: Readiness(0) };
    for (from, index) in [(&client, 1), (&server, 0)] {
        from.send(b"x", NONE, WAIT).expect("send");
        let mut entries = [&client, &server].map(entry);
        assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
        assert!(entries[index].ready.any(Readiness::IN));
        [&client, &server][index].recv(&mut [0; 9], NONE, WAIT).expect("recv");
    }
    let set = PollSet::new().expect("a set");
    for (socket, data) in [(&client, 0), (&server, 1)] {
        set.control(EpollControl::Add, socket, EpollEvents::IN, data).expect("added");
    }
    client.send(b"y", NONE, WAIT).expect("send");
    let events = set.wait(8, WAIT).expect("an event");
    assert_eq!(events.iter().map(|event| event.data).collect::<Vec<_>>(), [1]);
    server.recv(&mut [0; 9], NONE, WAIT).expect("recv");
    let before = two.network.now();
    assert!(set.wait(8, Wait::AtMost(Duration::from_secs(5))).expect("nothing").is_empty());
    assert_eq!(two.network.now() - before, Duration::from_secs(5));
    let other = Two::new(8, delay(10), delay(10));
    let (stranger, _server) = other.connection(Domain::V4);
    assert_eq!(errno(poll(&mut [&client, &stranger].map(entry), WAIT)), Errno::EINVAL);
    assert_eq!(errno(set.control(EpollControl::Add, &stranger, EpollEvents::IN, 2)), Errno::EINVAL);
}

#[test]
fn bulk_passes_a_bad_link_whole() {
    let bad = Impairment {
        rate: 20_000_000,
        delay: Duration::from_millis(10),
        loss: 0.02,
        duplicate: 0.02,
        reorder: 0.02,
        reorder_delay: Duration::from_millis(3),
        corrupt: 0.01,
        ..Impairment::default()
    };
    let two = Two::new(9, bad, bad);
    let (client, server) = two.connection(Domain::V4);
    let bytes = pattern(2_000_000);
    let (network, sent) = (&two.network, bytes.clone());
    let writer = task(network, move || {
        assert_eq!(client.send(&sent, NONE, WAIT).expect("send"), sent.len());
        client.shutdown(Shutdown::Write).expect("shutdown");
        client
    });
    assert!(read_all(&server) == bytes, "what was sent");
    drop(writer.join());
    let (there, _) = network.link_counters(two.link).expect("counters");
    assert!(there.lost > 0 && there.duplicated > 0 && there.reordered > 0 && there.corrupted > 0);
    network.settle().expect("what can happen");
}

#[test]
fn a_closed_network_answers_as_closed_stacks_do() {
    let two = Two::new(10, delay(1), delay(1));
    let (client, _server) = two.connection(Domain::V4);
    two.network.close().expect("the end");
    two.network.close().expect("again");
    assert_eq!(errno(client.send(b"x", NONE, WAIT)), Errno::EBADF);
    assert_eq!(errno(two.client.socket(Domain::V4)), Errno::EBADF);
    assert_eq!(errno(two.client.close(None)), Errno::EBADF);
    assert_eq!(errno(two.network.sleep(None)), Errno::ECANCELED);
    assert_eq!(errno(two.network.task()), Errno::ECANCELED);
    assert_eq!(errno(two.network.host(HostOptions::default())), Errno::ECANCELED);
}

#[test]
fn a_stack_is_closed_in_the_networks_time() {
    let two = Two::new(11, delay(1000), delay(1000));
    let (client, server) = two.connection(Domain::V4);
    client.send(b"last words", NONE, WAIT).expect("send");
    assert_eq!(errno(two.client.close(Some(Duration::from_millis(500)))), Errno::ETIMEDOUT);
    assert_eq!(errno(client.recv(&mut [0; 9], NONE, WAIT)), Errno::EBADF);
    let mut bytes = [0; 16];
    let heard = server.recv(&mut bytes, NONE, WAIT).expect("recv");
    assert_eq!(&bytes[..heard], b"last words");
    assert_eq!(server.recv(&mut bytes, NONE, WAIT).expect("the end"), 0);
    two.network.sleep(Some(two.network.now() + Duration::from_secs(1))).expect("a sleep");
    assert_eq!(
        server.take_error().expect("an error"),
        Some(Errno::EPIPE),
        "a reset behind the end of the stream"
    );
    // Its place is free for another.
    let (_, again) = host(&two.network, &["192.0.2.1/24"]);
    again.close(None).expect("nothing to wait for");
}
