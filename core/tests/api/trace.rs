//! Event traces of running stacks: to a file, to a descriptor, to nobody who reads.

use crate::pair::*;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use usertcp_core::api::*;
use usertcp_core::sys;

/// A file that goes when the test does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("usertcp-trace-{}-{name}.qlog", std::process::id())))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("a trace")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn carry(client: &Socket, server: &Socket, bytes: &[u8]) {
    let (from, count) = (client, bytes.len());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut sent = 0;
            while sent < count {
                sent += from.send(&bytes[sent..], NONE, WAIT).expect("send");
            }
            from.shutdown(Shutdown::Write).expect("shutdown");
        });
        assert_eq!(read_to_end(server).len(), count);
    });
}

#[test]
fn a_stack_writes_all_of_its_connections_to_a_file() {
    let scratch = Scratch::new("all");
    let (one, two) = link();
    let mut options = options(1, one);
    options.trace = Some(TraceSink::Path(scratch.0.clone()));
    let client = Stack::open(options).expect("a stack");
    let pair =
        Pair { client, server: Stack::open(crate::pair::options(2, two)).expect("a stack"), judged: vec![] };
    for domain in [Domain::V4, Domain::V6] {
        let (client, server) = pair.connection(domain);
        carry(&client, &server, &pattern(1, 100_000));
    }
    pair.client.close(Some(PATIENCE)).expect("close");
    let text = scratch.text();
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events[0]["qlog_version"], "0.3");
    let year = 365.25 * 24.0 * 3600.0 * 1000.0;
    let reference = events[0]["trace"]["common_fields"]["reference_time"].as_f64().expect("a time");
    assert!(reference > 50.0 * year && reference < 200.0 * year, "{reference}");
    let count = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert_eq!(count("connectivity:connection_started"), 2);
    assert_eq!(count("connectivity:connection_closed"), 2);
    let of = |value: &serde_json::Value| value.as_u64().map_or(0, |value| value as usize);
    for connection in [1, 2] {
        let sent = || {
            let sent = events.iter().filter(|event| event["name"] == "transport:packet_sent");
            sent.filter(|event| event["group_id"] == connection).map(|event| &event["data"])
        };
        // A byte may be sent again, and a probe for a lost tail may be what sends it first.
        let mut told = vec![false; 100_000];
        for data in sent() {
            let first = of(&data["header"]["sequence_number"]).saturating_sub(1);
            let length = of(&data["raw"]["payload_length"]);
            told.iter_mut().skip(first).take(length).for_each(|byte| *byte = true);
        }
        assert_eq!(told.iter().position(|told| !told), None, "a byte that nothing tells of");
        let data = sent().filter(|data| data["trigger"] == "data");
        let data: usize = data.map(|data| of(&data["raw"]["payload_length"])).sum();
        assert!(data > 0 && data <= told.len(), "{data} bytes, each of them sent for the first time once");
    }
}

#[test]
fn one_socket_is_traced_to_a_descriptor_until_it_is_told_to_stop() {
    let pair = Pair::new();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let (other, _other) = pair.connection(Domain::V4);
    let (listener, address) = pair.listener(Domain::V4, 4);
    let socket = pair.client.socket(Domain::V4).expect("a socket");
    socket.trace(Some(TraceSink::Descriptor(OwnedFd::from(writer)))).expect("traced");
    socket.connect(address, WAIT).expect("connect");
    let (server, _) = listener.accept(WAIT).expect("accept");
    other.send(b"not told", NONE, WAIT).expect("send");
    carry(&socket, &server, b"told");
    socket.trace(None).expect("no more");
    // The descriptor is closed then: the pipe ends.
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("the end of the pipe");
    assert_eq!(text.matches("connection_started").count(), 1);
    assert!(text.contains(&format!("\"dst_port\":{}", address.port())), "{text}");
    assert_eq!(text.matches("\"payload_length\":4}").count(), 1, "{text}");
    assert_eq!(
        errno(pair.client.datagram_socket(Domain::V4).expect("a socket").trace(None)),
        Errno::EOPNOTSUPP
    );
}

#[test]
fn a_descriptor_that_takes_nothing_holds_nobody_up() {
    let pair = Pair::new();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let writer = OwnedFd::from(writer);
    sys::set_nonblocking(writer.as_fd(), true).expect("a flag");
    pair.client.trace(Some(TraceSink::Descriptor(writer))).expect("traced");
    let (client, server) = pair.connection(Domain::V4);
    carry(&client, &server, &pattern(3, 8 << 20));
    drop((client, server));
    pair.client.trace(None).expect("no more");
    let mut text = String::new();
    let reading = std::thread::spawn(move || {
        reader.read_to_string(&mut text).map(|_| text).expect("the end of the pipe")
    });
    pair.client.close(Some(PATIENCE)).expect("close");
    let text = reading.join().expect("the reader");
    assert!(text.starts_with("{\"qlog_version\""));
}
