//! A capture that keeps the last packets and writes them when a connection is cut off.

use crate::pair::*;
use std::path::PathBuf;
use usertcp_core::api::*;

const RING: usize = 128 << 10;

/// A file that goes when the test does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("usertcp-ring-{}-{name}.pcapng", std::process::id())))
    }

    /// The packets in it.
    fn packets(&self) -> Vec<Vec<u8>> {
        let bytes = std::fs::read(&self.0).expect("a capture");
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let (mut at, mut packets) = (0, Vec::new());
        while at < bytes.len() {
            let length = word(at + 4);
            assert_eq!(word(at + length - 4), length, "a whole block");
            if word(at) == 6 {
                packets.push(bytes[at + 28..at + 28 + word(at + 20)].to_vec());
            }
            at += length;
        }
        packets
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A pair whose server keeps packets.
fn kept(file: &Scratch) -> Pair {
    Pair::with(|options| {
        if options.config.addresses[0].to_string() == "192.0.2.2/24" {
            options.pcap = Some(file.0.clone());
            options.pcap_ring = RING;
        }
    })
}

fn is_reset(packet: &[u8]) -> bool {
    packet[0] >> 4 == 4 && packet[20 + 13] & 4 != 0
}

#[test]
fn a_reset_has_the_last_packets_written() {
    let file = Scratch::new("reset");
    let pair = kept(&file);
    // One that ends in order leaves no trace yet.
    let (client, server) = pair.connection(Domain::V4);
    drop(client);
    assert_eq!(server.recv(&mut [0; 1], NONE, WAIT).expect("the end"), 0);
    drop(server);
    let (client, server) = pair.connection(Domain::V4);
    client.send(b"what nobody reads", NONE, WAIT).expect("send");
    server.recv(&mut [0; 1], MessageFlags::PEEK, WAIT).expect("it is there");
    drop(server);
    assert_eq!(errno(client.recv(&mut [0; 1], NONE, WAIT)), Errno::ECONNRESET);
    pair.server.close(None).expect("close");
    let packets = file.packets();
    assert!(is_reset(packets.last().expect("packets")), "the reset is the last");
    assert_eq!(packets.iter().filter(|packet| is_reset(packet)).count(), 1);
    // Two handshakes, a whole end, data and its acknowledgement.
    assert!(packets.len() >= 10, "{}", packets.len());
}

#[test]
fn without_a_reset_nothing_is_written() {
    let file = Scratch::new("order");
    let pair = kept(&file);
    let (client, server) = pair.connection(Domain::V4);
    client.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(server.recv(&mut [0; 1], NONE, WAIT).expect("the end"), 0);
    drop(server);
    assert_eq!(client.recv(&mut [0; 1], NONE, WAIT).expect("the end"), 0);
    pair.server.close(None).expect("close");
    assert_eq!(file.packets().len(), 0);
}

#[test]
fn a_ring_holds_what_it_is_given() {
    let file = Scratch::new("full");
    let pair = kept(&file);
    let (client, server) = pair.connection(Domain::V4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let bytes = pattern(7, 2 << 20);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[client.send(rest, NONE, WAIT).expect("send")..];
            }
            client.shutdown(Shutdown::Write).expect("shutdown");
        });
        assert_eq!(read_to_end(&server).len(), 2 << 20);
    });
    pair.server.dump_capture().expect("a ring");
    // The second time there is nothing left but what has come meanwhile.
    pair.server.dump_capture().expect("a ring");
    drop((client, server));
    pair.server.close(None).expect("close");
    let bytes: usize = file.packets().iter().map(Vec::len).sum();
    assert!((RING / 3..=RING + (64 << 10)).contains(&bytes), "{bytes}");
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let refused = |change: &dyn Fn(&mut StackOptions)| {
        let (near, _far) = link();
        let mut options = options(1, near);
        change(&mut options);
        let error = Stack::open(options).expect_err("it makes no sense");
        assert_eq!(error.errno(), Errno::EINVAL);
        error.to_string()
    };
    let text = refused(&|options| options.pcap_ring = RING);
    assert!(text.contains("set pcap as well"), "{text}");
    let file = Scratch::new("small");
    let text = refused(&|options| {
        options.pcap = Some(file.0.clone());
        options.pcap_ring = 1000;
    });
    assert!(text.contains("131072"), "{text}");
    let (near, _far) = link();
    let stack = Stack::open(options(1, near)).expect("a stack");
    assert_eq!(errno(stack.dump_capture()), Errno::EINVAL);
}
