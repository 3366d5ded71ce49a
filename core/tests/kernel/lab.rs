//! A sandbox with a stack on its TUN, and the kernel's sockets beside it.

use crate::judge::Judged;
use socket2::Protocol;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use usertcp_core::api::*;

/// The kernel has 192.0.2.1 and 2001:db8::1, the stack 192.0.2.2 and 2001:db8::2.
pub(crate) struct Lab {
    pub(crate) stack: Stack,
    pub(crate) sandbox: Sandbox,
    /// Looks at what the stack sent when it is gone.
    _judged: Option<Judged>,
}

/// Ends what is left, so that the capture is complete.
impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.stack.close(Some(Duration::ZERO));
    }
}

/// Waits are for events; only a failing test sees this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const WAIT: Wait = Wait::AtMost(PATIENCE);
pub(crate) const NONE: MessageFlags = MessageFlags(0);
pub(crate) const DOMAINS: [Domain; 2] = [Domain::V4, Domain::V6];

/// Runs `test` in a lab with offload and in one without; says so where no sandbox can be made.
pub(crate) fn with_and_without_offload(test: impl Fn(&Lab)) {
    for offload in [true, false] {
        let Some(lab) = Lab::open(offload, |_| {}) else { return };
        assert_eq!(lab.stack.offloaded(), offload);
        test(&lab);
        // A test may have closed the stack.
        let counters = lab.stack.counters().unwrap_or_default();
        assert_eq!((counters.drop_tcp_checksum, counters.drop_ip_checksum), (0, 0));
    }
}

/// `None`, and a line with the reason, where this machine grants no TUN.
pub(crate) fn sandbox(offload: bool) -> Option<Sandbox> {
    sandbox_of(offload, 1)
}

/// The same with several queues.
pub(crate) fn sandbox_of(offload: bool, queues: usize) -> Option<Sandbox> {
    let host_addresses = prefixes(["192.0.2.1/24", "2001:db8::1/64"]);
    match Sandbox::open(&SandboxOptions { host_addresses, mtu: 1500, offload, queues }) {
        Ok(sandbox) => Some(sandbox),
        Err(error) => {
            println!("skipped: no sandbox: {error}");
            None
        }
    }
}

fn prefixes(texts: [&str; 2]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().expect("a prefix")).collect()
}

impl Lab {
    /// `None`, and a line with the reason, where this machine grants no TUN.
    pub(crate) fn open(offload: bool, change: impl FnOnce(&mut StackOptions)) -> Option<Self> {
        Some(Self::within(sandbox(offload)?, offload, change))
    }

    /// A stack in a sandbox made by [`sandbox`].
    pub(crate) fn within(sandbox: Sandbox, offload: bool, change: impl FnOnce(&mut StackOptions)) -> Self {
        let addresses = prefixes(["192.0.2.2/24", "2001:db8::2/64"]);
        // One call takes what a test writes.
        let buffers = BufferConfig { send_initial: 4 << 20, ..BufferConfig::default() };
        let mut options = StackOptions {
            config: Config { addresses, buffers, ..Config::default() },
            device: DeviceOptions::Descriptor(sandbox.tun().expect("the TUN")),
            ..StackOptions::default()
        };
        change(&mut options);
        let mut judged = Judged::new(&mut options);
        judged.iter_mut().for_each(|judged| judged.options.super_frames = Some(offload));
        Self { stack: Stack::open(options).expect("a stack"), sandbox, _judged: judged }
    }

    /// A kernel-side socket with the congestion control that the measurements are made with.
    pub(crate) fn kernel_socket(&self, domain: Domain) -> socket2::Socket {
        let fd = self.sandbox.socket(domain, libc::SOCK_STREAM, 0).expect("a kernel socket");
        let socket = socket2::Socket::from(fd);
        socket.set_tcp_congestion(b"cubic").expect("cubic");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        socket.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        assert_eq!(socket.protocol().expect("a protocol"), Some(Protocol::TCP));
        socket
    }

    pub(crate) fn kernel_listener(&self, domain: Domain, backlog: i32) -> (socket2::Socket, SocketAddr) {
        let socket = self.kernel_socket(domain);
        socket.bind(&kernel_address(domain, 0).into()).expect("bind");
        socket.listen(backlog).expect("listen");
        let address = socket.local_addr().expect("an address").as_socket().expect("an internet address");
        (socket, address)
    }

    pub(crate) fn listener(&self, domain: Domain, backlog: u32) -> (Socket, SocketAddr) {
        let socket = self.stack.socket(domain).expect("a socket");
        socket.bind(stack_address(domain, 0)).expect("bind");
        socket.listen(backlog).expect("listen");
        let address = socket.local_address().expect("an address");
        (socket, address)
    }

    /// What the kernel counted in the sandbox.
    pub(crate) fn kernel_counters(&self) -> HashMap<String, u64> {
        let null = File::open("/dev/null").expect("/dev/null");
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let streams = [null.as_fd(), writer.as_fd(), null.as_fd()];
        let child = self.sandbox.spawn(&["cat", "/proc/net/netstat"], None, streams).expect("cat");
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("counters");
        assert_eq!(child.wait(true).expect("an end"), Some(0));
        let lines: Vec<_> = text.lines().collect();
        let pairs = lines.chunks(2).flat_map(|pair| pair[0].split(' ').zip(pair[1].split(' ')).skip(1));
        pairs.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
    }

    /// A connection that the stack opened: its end and the kernel's.
    pub(crate) fn connect_out(&self, domain: Domain) -> (Socket, TcpStream) {
        let (listener, address) = self.kernel_listener(domain, 8);
        let socket = self.stack.socket(domain).expect("a socket");
        socket.connect(address, WAIT).expect("connect");
        let (kernel, _) = listener.accept().expect("accept");
        kernel.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        kernel.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        (socket, kernel.into())
    }

    /// A connection that the kernel opened.
    pub(crate) fn connect_in(&self, domain: Domain) -> (Socket, TcpStream) {
        let (listener, address) = self.listener(domain, 8);
        let kernel = self.kernel_socket(domain);
        kernel.connect(&address.into()).expect("connect");
        let (socket, peer) = listener.accept(WAIT).expect("accept");
        let kernel = TcpStream::from(kernel);
        assert_eq!(peer, kernel.local_addr().expect("an address"));
        (socket, kernel)
    }
}

pub(crate) fn kernel_address(domain: Domain, port: u16) -> SocketAddr {
    let ip = if domain == Domain::V4 { "192.0.2.1" } else { "2001:db8::1" };
    SocketAddr::new(ip.parse().expect("an address"), port)
}

pub(crate) fn stack_address(domain: Domain, port: u16) -> SocketAddr {
    let ip = if domain == Domain::V4 { "192.0.2.2" } else { "2001:db8::2" };
    SocketAddr::new(ip.parse().expect("an address"), port)
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

/// Sends everything, then FIN.
pub(crate) fn send_all(socket: &Socket, bytes: &[u8]) {
    for piece in bytes.chunks(100_000) {
        assert_eq!(socket.send(piece, NONE, WAIT).expect("send"), piece.len());
    }
    socket.shutdown(usertcp_core::api::Shutdown::Write).expect("shutdown");
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

/// The same for the kernel's end.
pub(crate) fn kernel_send_all(mut kernel: &TcpStream, bytes: &[u8]) {
    kernel.write_all(bytes).expect("write");
    kernel.shutdown(Shutdown::Write).expect("shutdown");
}

pub(crate) fn kernel_read_to_end(mut kernel: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    kernel.read_to_end(&mut all).expect("read");
    all
}

pub(crate) fn errno<T: std::fmt::Debug>(result: Result<T>) -> Errno {
    result.expect_err("an error").errno()
}
