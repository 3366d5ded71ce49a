//! An end of the wire: a namespace whose TUN leads to it, and in it Linux or a stack of ours.

use super::{Result, System};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;
use usertcp_core::api::{
    Config, DeviceOptions, Domain, Errno, MessageFlags, Sandbox, SandboxOptions, Shutdown, Socket, Stack,
    StackOptions, Wait,
};
use usertcp_core::sys;

/// What Linux is set to: the default may be another.
pub const CONTROLLER: &str = "cubic";

/// Longest that a connection may take to open.
const OPENS_WITHIN: Duration = Duration::from_secs(30);

/// Prefix length of the network that both ends are in.
const PREFIX: u8 = 24;

const PORT: u16 = 5001;
const BACKLOG: u32 = 64;
const NO_FLAGS: MessageFlags = MessageFlags(0);

/// Which end of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Sender,
    Receiver,
}

impl Place {
    const fn address(self) -> Ipv4Addr {
        match self {
            Self::Sender => Ipv4Addr::new(198, 51, 100, 1),
            Self::Receiver => Ipv4Addr::new(198, 51, 100, 2),
        }
    }
}

/// An end of the wire.
pub(super) struct Host {
    sandbox: Sandbox,
    stack: Option<Stack>,
    place: Place,
    /// What the machine did not allow to be set.
    pub(super) complaints: Vec<String>,
}

impl Host {
    /// Makes it; returns the TUN that the wire reads and writes. `buffer`: bytes that a connection may keep in each direction.
    ///
    /// Linux's socket is right behind that TUN. A stack of ours is behind another one, as its users have it, and the kernel forwards between the two:
    /// the wire is the same for both, and ours has one crossing of a device more.
    pub(super) fn open(
        system: System,
        place: Place,
        buffer: u64,
        capture: Option<PathBuf>,
    ) -> Result<(Self, OwnedFd)> {
        match system {
            System::Linux => Self::linux(place, buffer),
            System::Ours => Self::ours(place, buffer, capture),
        }
    }

    fn linux(place: Place, buffer: u64) -> Result<(Self, OwnedFd)> {
        let host_addresses = vec![format!("{}/{PREFIX}", place.address()).parse()?];
        let sandbox = Sandbox::open(&SandboxOptions { host_addresses, ..SandboxOptions::default() })?;
        let mut host = Self { sandbox, stack: None, place, complaints: Vec::new() };
        // Linux counts what packets occupy, not their bytes, and offers a part of its buffer only.
        let most = buffer * 4;
        host.set("net.ipv4.tcp_rmem", &format!("4096 131072 {most}"));
        host.set("net.ipv4.tcp_wmem", &format!("4096 16384 {most}"));
        host.set("net.ipv4.tcp_no_metrics_save", "1");
        let tun = host.sandbox.tun()?;
        Ok((host, tun))
    }

    fn ours(place: Place, buffer: u64, pcap: Option<PathBuf>) -> Result<(Self, OwnedFd)> {
        let sandbox = Sandbox::open(&SandboxOptions::default())?;
        let network = format!("198.51.100.{}/{PREFIX}", place.address().octets()[3] + 252);
        let options = SandboxOptions { host_addresses: vec![network.parse()?], ..SandboxOptions::default() };
        let tun = sandbox.open_tun("wire", &options)?;
        sandbox.add_route(format!("{}/32", place.address()).parse()?, None)?;
        sandbox.set_sysctl("net.ipv4.ip_forward", "1")?;
        let mut config =
            Config { addresses: vec![format!("{}/{PREFIX}", place.address()).parse()?], ..Config::default() };
        allow(&mut config, usize::try_from(buffer)?);
        let device = DeviceOptions::Descriptor(sandbox.tun()?);
        let stack = Stack::open(StackOptions { config, device, pcap, ..StackOptions::default() })?;
        Ok((Self { sandbox, stack: Some(stack), place, complaints: Vec::new() }, tun))
    }

    fn set(&mut self, name: &str, value: &str) {
        if let Err(error) = self.sandbox.set_sysctl(name, value) {
            self.complaints.push(error.to_string());
        }
    }

    /// A listener of the receiver.
    pub(super) fn listen(&self) -> Result<Stream> {
        let at = SocketAddr::new(IpAddr::V4(self.place.address()), PORT);
        let stream = self.stream()?;
        match &stream {
            Stream::Linux(socket) => {
                socket.bind(&at.into())?;
                socket.listen(BACKLOG.cast_signed())?;
            }
            Stream::Ours(socket) => {
                socket.bind(at)?;
                socket.listen(BACKLOG)?;
            }
        }
        Ok(stream)
    }

    /// A connection to the receiver.
    pub(super) fn connect(&self) -> Result<Stream> {
        let to = SocketAddr::new(IpAddr::V4(Place::Receiver.address()), PORT);
        let stream = self.stream()?;
        match &stream {
            Stream::Linux(socket) => socket.connect_timeout(&to.into(), OPENS_WITHIN)?,
            Stream::Ours(socket) => socket.connect(to, Wait::AtMost(OPENS_WITHIN))?,
        }
        Ok(stream)
    }

    fn stream(&self) -> Result<Stream> {
        if let Some(stack) = &self.stack {
            return Ok(Stream::Ours(stack.socket(Domain::V4)?));
        }
        let socket = socket2::Socket::from(self.sandbox.socket(Domain::V4, libc::SOCK_STREAM, 0)?);
        socket.set_tcp_congestion(CONTROLLER.as_bytes())?;
        let stream = Stream::Linux(socket);
        stream.verify()?;
        Ok(stream)
    }

    /// Segments sent again so far.
    pub(super) fn retransmissions(&self) -> Result<u64> {
        match &self.stack {
            Some(stack) => Ok(stack.counters()?.tcp_retransmits),
            None => figure(&self.file("/proc/self/net/snmp")?, "Tcp:", "RetransSegs")
                .ok_or_else(|| "no RetransSegs in /proc/self/net/snmp".into()),
        }
    }

    /// Totals, for whoever looks for causes.
    pub(super) fn told(&self) -> Result<String> {
        match &self.stack {
            Some(stack) => Ok(telling(&format!("{:?}", stack.counters()?))),
            None => Ok(figures(&self.file("/proc/self/net/netstat")?, "TcpExt:")),
        }
    }

    /// A file as a program in the namespace sees it.
    pub(super) fn file(&self, path: &str) -> Result<String> {
        let (reader, writer) = sys::pipe()?;
        let null = File::open("/dev/null")?;
        let child = self.sandbox.spawn(&["cat", path], None, [null.as_fd(), writer.as_fd(), null.as_fd()])?;
        drop(writer);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text)?;
        persist(|| child.wait(true))?;
        Ok(text)
    }

    /// Ends what is left of it at once.
    pub(super) fn close(self) {
        if let Some(stack) = self.stack {
            // What is not done is reset, and that is what the error says.
            let _ = stack.close(Some(Duration::ZERO));
        }
    }
}

/// The counterpart of tcp_rmem and tcp_wmem: how far buffers may grow.
fn allow(config: &mut Config, buffer: usize) {
    config.buffers.receive = config.buffers.receive.max(buffer);
    config.buffers.send = config.buffers.send.max(buffer);
}

/// A number of `/proc/net/snmp` or `/proc/net/netstat`: the first line of a group has the names, the second the numbers.
pub(super) fn figure(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let at = lines.next()?.split_whitespace().position(|word| word == name)?;
    lines.next()?.split_whitespace().nth(at)?.parse().ok()
}

/// Does it again while a signal interrupts it: a machine that is stopped and goes on is one.
fn persist<T, E: Interruption>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match call() {
            Err(error) if error.is_one() => {}
            outcome => return outcome,
        }
    }
}

/// An error that may be EINTR.
trait Interruption {
    fn is_one(&self) -> bool;
}

impl Interruption for std::io::Error {
    fn is_one(&self) -> bool {
        self.kind() == std::io::ErrorKind::Interrupted
    }
}

impl Interruption for usertcp_core::api::Error {
    fn is_one(&self) -> bool {
        self.errno() == Errno::EINTR
    }
}

/// The fields of a printed struct that are not zero.
fn telling(text: &str) -> String {
    let fields = text.split_once('{').map_or(text, |(_, fields)| fields).trim_end_matches('}');
    let fields = fields.split(',').map(str::trim).filter(|field| !field.ends_with(": 0"));
    fields.fold(String::new(), |all, field| all + "    " + field)
}

/// The same of a group as in [`figure`].
fn figures(text: &str, group: &str) -> String {
    let mut lines = text.lines().filter(|line| line.starts_with(group)).map(str::split_whitespace);
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return String::new() };
    let pairs = names.zip(numbers).skip(1).filter(|(_, number)| *number != "0");
    pairs.fold(String::new(), |all, (name, number)| format!("{all}    {name}: {number}"))
}

/// A connection or listener of either.
pub(super) enum Stream {
    Linux(socket2::Socket),
    Ours(Socket),
}

impl Stream {
    /// The next connection.
    pub(super) fn accept(&self) -> Result<Self> {
        let stream = match self {
            Self::Linux(socket) => {
                socket.set_read_timeout(Some(OPENS_WITHIN))?;
                Self::Linux(persist(|| socket.accept())?.0)
            }
            Self::Ours(socket) => Self::Ours(persist(|| socket.accept(Wait::AtMost(OPENS_WITHIN)))?.0),
        };
        stream.verify()?;
        Ok(stream)
    }

    /// Name of the congestion control.
    pub(super) fn controller(&self) -> Result<String> {
        let bytes = match self {
            Self::Linux(socket) => socket.tcp_congestion()?,
            Self::Ours(socket) => socket.option(libc::IPPROTO_TCP, libc::TCP_CONGESTION)?,
        };
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A figure of Linux without CUBIC is no figure.
    fn verify(&self) -> Result<()> {
        let controller = self.controller()?;
        if matches!(self, Self::Linux(_)) && controller != CONTROLLER {
            return Err(format!("a socket of Linux has {controller} where {CONTROLLER} was set").into());
        }
        Ok(())
    }

    /// Sends some of `bytes`; 0: the connection has ended.
    pub(super) fn send(&self, bytes: &[u8]) -> usize {
        match self {
            Self::Linux(socket) => persist(|| socket.send(bytes)).unwrap_or(0),
            Self::Ours(socket) => persist(|| socket.send(bytes, NO_FLAGS, Wait::Forever)).unwrap_or(0),
        }
    }

    /// Receives; 0: the connection has ended.
    pub(super) fn recv(&self, bytes: &mut [u8]) -> usize {
        match self {
            Self::Linux(socket) => persist(|| (&mut &*socket).read(bytes)).unwrap_or(0),
            Self::Ours(socket) => persist(|| socket.recv(bytes, NO_FLAGS, Wait::Forever)).unwrap_or(0),
        }
    }

    /// Figures of the connection, for whoever looks for causes; Linux's are its host's.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Linux(_) => String::new(),
            Self::Ours(socket) => match socket.tcp_info() {
                Ok(info) => telling(&format!("{info:?}")),
                Err(error) => error.to_string(),
            },
        }
    }

    /// Wakes whoever is asleep on it; nothing is sent or received any more.
    pub(super) fn end(&self) {
        // A connection that has failed is at its end already.
        match self {
            Self::Linux(socket) => {
                let _ = socket.set_linger(Some(Duration::ZERO));
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
            Self::Ours(socket) => {
                let _ = socket.shutdown(Shutdown::Both);
                let _ = socket.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_name() {
        let text = "Ip: A B\nIp: 1 2\nTcp: RtoMin RetransSegs\nTcp: 200 17\n";
        assert_eq!(figure(text, "Tcp:", "RetransSegs"), Some(17));
        assert_eq!(figure(text, "Tcp:", "Other"), None);
        assert_eq!(figure("", "Tcp:", "RetransSegs"), None);
        assert_eq!(figures("TcpExt: A B C\nTcpExt: 1 0 3\n", "TcpExt:"), "    A: 1    C: 3");
        assert_eq!(telling("Counters { a: 1, b: 0, c: 10 }"), "    a: 1    c: 10");
    }
}
