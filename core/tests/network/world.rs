//! What the tests have in common: two hosts and a link, and programs for them.

use std::net::SocketAddr;
use std::thread::{JoinHandle, spawn};
pub(crate) use usertcp_core::api::*;

pub(crate) const NONE: MessageFlags = MessageFlags(0);
pub(crate) const WAIT: Wait = Wait::Forever;

pub(crate) fn errno<T: std::fmt::Debug>(outcome: Result<T>) -> Errno {
    outcome.expect_err("an error").errno()
}

/// A host with these addresses.
pub(crate) fn host(network: &Network, addresses: &[&str]) -> (usize, Stack) {
    let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    let config = Config { addresses, ..Config::default() };
    network.host(HostOptions { config, ..HostOptions::default() }).expect("a host")
}

pub(crate) fn delay(millis: u64) -> Impairment {
    Impairment { delay: Duration::from_millis(millis), ..Impairment::default() }
}

/// Two hosts, both of both families.
pub(crate) struct Two {
    pub(crate) network: Network,
    pub(crate) client: Stack,
    pub(crate) server: Stack,
    pub(crate) link: usize,
}

impl Two {
    pub(crate) fn new(seed: u64, there: Impairment, back: Impairment) -> Self {
        let network = Network::new(seed);
        let (a, client) = host(&network, &["192.0.2.1/24", "2001:db8::1/64"]);
        let (b, server) = host(&network, &["198.51.100.1/24", "2001:db8:1::1/64"]);
        let link = network.link(a, b, there, back).expect("a link");
        Self { network, client, server, link }
    }

    /// The server's address, port 80.
    pub(crate) fn address(domain: Domain) -> SocketAddr {
        let text = if domain == Domain::V4 { "198.51.100.1:80" } else { "[2001:db8:1::1]:80" };
        text.parse().expect("an address")
    }

    pub(crate) fn listener(&self, domain: Domain) -> Socket {
        let listener = self.server.socket(domain).expect("a socket");
        listener.bind(Self::address(domain)).expect("bind");
        listener.listen(8).expect("listen");
        listener
    }

    /// A connection: client's side and server's.
    pub(crate) fn connection(&self, domain: Domain) -> (Socket, Socket) {
        let listener = self.listener(domain);
        let client = self.client.socket(domain).expect("a socket");
        client.connect(Self::address(domain), WAIT).expect("connect");
        let (server, _) = listener.accept(WAIT).expect("accept");
        (client, server)
    }
}

/// Bytes that no other place of a stream has likewise.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
}

/// All that a stream has.
pub(crate) fn read_all(socket: &Socket) -> Vec<u8> {
    let (mut all, mut some) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match socket.recv(&mut some, NONE, WAIT).expect("recv") {
            0 => return all,
            count => all.extend_from_slice(&some[..count]),
        }
    }
}

/// Runs `program` as a task.
pub(crate) fn task<T: Send + 'static>(
    network: &Network,
    program: impl FnOnce() -> T + Send + 'static,
) -> Task<T> {
    let number = network.task().expect("a task");
    let (network, done) = (network.clone(), std::sync::Arc::new(Signal::new(network)));
    let ended = done.clone();
    let thread = spawn(move || {
        network.enter(number).expect("its turn");
        let _ends = Ends(network, ended);
        program()
    });
    Task { done, thread }
}

/// The end of a task, also by a panic.
struct Ends(Network, std::sync::Arc<Signal>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.1.set();
        // ECANCELED or EINVAL: the network has ended before.
        let _ = self.0.leave(None);
    }
}

pub(crate) struct Task<T> {
    pub(crate) done: std::sync::Arc<Signal>,
    pub(crate) thread: JoinHandle<T>,
}

impl<T> Task<T> {
    /// Sleeps until it has ended.
    pub(crate) fn join(self) -> T {
        assert!(self.done.wait(None).expect("its end"));
        self.thread.join().expect("a thread without panic")
    }
}
