//! Two stacks back to back.

use crate::judge::Judged;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::thread;
use usertcp_core::api::*;
use usertcp_core::sys;

/// A client's stack and a server's.
pub(crate) struct Pair {
    pub(crate) client: Stack,
    pub(crate) server: Stack,
    /// Look at what the stacks sent when they are gone.
    pub(crate) judged: Vec<Judged>,
}

/// Waits are for events; only a failing test sees this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const WAIT: Wait = Wait::AtMost(PATIENCE);
pub(crate) const NONE: MessageFlags = MessageFlags(0);

/// Two ends of a link, each carrying one packet a message.
pub(crate) fn link() -> (OwnedFd, OwnedFd) {
    sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair")
}

pub(crate) fn options(number: u8, fd: OwnedFd) -> StackOptions {
    let addresses = [format!("192.0.2.{number}/24"), format!("2001:db8::{number}/64")];
    let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    StackOptions {
        config: Config { addresses, ..Config::default() },
        device: DeviceOptions::Descriptor(fd),
        ..StackOptions::default()
    }
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// `change` sees the options of both before they open.
    pub(crate) fn with(change: impl Fn(&mut StackOptions)) -> Self {
        let (one, two) = link();
        let mut judged = Vec::new();
        let mut open = |number, fd| {
            let mut options = options(number, fd);
            change(&mut options);
            judged.extend(Judged::new(&mut options));
            Stack::open(options).expect("a stack")
        };
        let (client, server) = (open(1, one), open(2, two));
        Self { client, server, judged }
    }

    /// For programs that write more than their peer reads: a receive buffer that stays at `receive` bytes, and a send buffer that takes everything at once
    /// from the start, so that a call does not sleep for the peer.
    pub(crate) fn narrow(receive: usize) -> Self {
        Self::with(|options| {
            options.config.buffers.receive = receive;
            options.config.buffers.send_initial = 4 << 20;
        })
    }

    /// A listener of the server, and its address.
    pub(crate) fn listener(&self, domain: Domain, backlog: u32) -> (Socket, SocketAddr) {
        let socket = self.server.socket(domain).expect("a socket");
        socket.bind(server_address(domain, 0)).expect("bind");
        socket.listen(backlog).expect("listen");
        let address = socket.local_address().expect("its address");
        (socket, address)
    }

    /// A connection: the client's end and the server's.
    pub(crate) fn connection(&self, domain: Domain) -> (Socket, Socket) {
        let (listener, address) = self.listener(domain, 8);
        let client = self.client.socket(domain).expect("a socket");
        thread::scope(|scope| {
            let accepting = scope.spawn(|| listener.accept(WAIT).expect("accept").0);
            client.connect(address, WAIT).expect("connect");
            let server = accepting.join().expect("the accepting thread");
            (client, server)
        })
    }
}

pub(crate) fn server_address(domain: Domain, port: u16) -> SocketAddr {
    match domain {
        Domain::V4 => SocketAddr::new("192.0.2.2".parse().expect("an address"), port),
        Domain::V6 => SocketAddr::new("2001:db8::2".parse().expect("an address"), port),
    }
}

/// Bytes that betray any loss, repetition or exchange.
pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

/// Reads to the end of the stream.
pub(crate) fn read_to_end(socket: &Socket) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 100_000];
    loop {
        match socket.recv(&mut buffer, NONE, WAIT).expect("recv") {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

pub(crate) fn errno<T: std::fmt::Debug>(result: Result<T>) -> Errno {
    result.expect_err("an error").errno()
}
