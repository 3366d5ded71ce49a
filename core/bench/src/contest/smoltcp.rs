//! smoltcp as it is at its best: one thread, buffers of a mebibyte, windows scaled, Nagle's algorithm off, no congestion control (its default, and the
//! fastest here), what is received copied out, and a socket used again under another port.

mod device;

use super::order::{ADDRESSES, BUFFER, Order, PREFIX, Role, own_address};
use super::tally::{Tally, say};
use crate::Result;
use crate::aligned::Aligned;
use device::Vnet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, Medium, TunTapInterface};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Own addresses that it can have at once.
const OWN: u8 = 8;
const _: () = assert!(OWN <= ADDRESSES);

/// Bytes of a buffer, and of one where packets have 64 KiB.
const BYTES: usize = 1 << 20;
const BYTES_LARGE: usize = 4 << 20;

/// Bytes of one of an idle connection: what is received and sent has to find room there.
const BYTES_IDLE: usize = 4 << 10;

/// From how many connections on buffers are a mebibyte in any case.
const MANY: usize = 16;

/// Connections that are opened at the same time.
const OPENING: usize = 64;

/// The longest sleep: who counts has to tell when it is time.
const LOOK: Duration = Duration::from_millis(10);

/// How long a connection may take to open.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does what it is asked to.
pub(super) fn run(order: &Order) -> Result<()> {
    if order.offload {
        return Client::new(order, Vnet::new(order.mtu.into())).run();
    }
    let input = io::stdin().as_raw_fd();
    Client::new(order, TunTapInterface::from_fd(input, Medium::Ip, order.mtu.into())?).run()
}

/// The stack, its sockets and its device.
struct Client<'a, D> {
    order: &'a Order,
    device: D,
    interface: Interface,
    sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
    began: Instant,
    ports: Ports,
}

impl<'a, D: Device> Client<'a, D> {
    fn new(order: &'a Order, mut device: D) -> Self {
        let seed = RandomState::new().hash_one(0);
        let ports = Ports((seed % u64::from(Ports::COUNT)) as u16);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, Moment::ZERO);
        interface.update_ip_addrs(|addresses| {
            let own = (0..OWN).map(|index| IpCidr::new(IpAddress::from(own_address(index)), PREFIX));
            addresses.extend(own);
        });
        let (sockets, handles) = (SocketSet::new(Vec::new()), Vec::new());
        Self { order, device, interface, sockets, handles, began: Instant::now(), ports }
    }

    fn run(mut self) -> Result<()> {
        match self.order.role {
            Role::Receive => self.receive(),
            Role::Send => self.send(),
            Role::Echo => self.echo(),
            Role::Beside => self.beside(),
            Role::Churn => self.churn(),
            Role::Idle => self.idle(),
            Role::TimeOut => Err("smoltcp has no part in a time-out".into()),
        }
    }

    fn now(&self) -> Moment {
        Moment::from_micros(i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// Takes what has come and sends what there is. Whether a socket has changed.
    fn turn(&mut self) -> bool {
        let now = self.now();
        let Self { interface, device, sockets, .. } = self;
        interface.poll(now, device, sockets) == PollResult::SocketStateChanged
    }

    /// Sleeps until something comes or is due.
    fn wait(&mut self) -> Result<()> {
        let now = self.now();
        let due = self.interface.poll_delay(now, &self.sockets).map_or(LOOK, Duration::from);
        let within = due.min(LOOK);
        let timeout = Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() };
        let input = io::stdin();
        let mut entries = [PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN)];
        match poll(&mut entries, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn socket(&mut self, at: usize) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handles[at])
    }

    /// Adds a socket with buffers of so many bytes.
    fn add(&mut self, bytes: usize) {
        let buffer = || SocketBuffer::new(vec![0; bytes]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        self.handles.push(self.sockets.add(socket));
    }

    /// Begins to connect from the own address of this number.
    fn connect(&mut self, at: usize, from: usize) -> Result<()> {
        let local = (IpAddress::from(own_address((from % usize::from(OWN)) as u8)), self.ports.next());
        let SocketAddr::V4(peer) = self.order.peer(at) else { return Err("the peer is of IPv4".into()) };
        let peer = (IpAddress::from(*peer.ip()), peer.port());
        let Self { interface, sockets, handles, .. } = self;
        let socket = sockets.get_mut::<Socket>(handles[at]);
        Ok(socket.connect(interface.context(), peer, local).map_err(|error| error.to_string())?)
    }

    /// Runs until those sockets are established.
    fn established(&mut self, from: usize, until: usize) -> Result<()> {
        let begun = Instant::now();
        let mut at = from;
        while at < until {
            match self.socket(at).state() {
                State::Established => at += 1,
                State::Closed => return Err("smoltcp: a connection was refused".into()),
                _ if begun.elapsed() > PATIENCE => return Err("smoltcp: a connection does not open".into()),
                _ => {
                    if !self.turn() {
                        self.wait()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens all connections, with buffers of so many bytes.
    fn open(&mut self, bytes: usize) -> Result<()> {
        let connections = self.order.connections;
        for from in (0..connections).step_by(OPENING) {
            let until = (from + OPENING).min(connections);
            for at in from..until {
                self.add(bytes);
                self.connect(at, 0)?;
            }
            self.established(from, until)?;
        }
        say("open")
    }

    /// Opens all connections, with the buffers of bulk data.
    fn open_wide(&mut self) -> Result<()> {
        let large = self.order.mtu > 9000 && self.order.connections <= MANY;
        self.open(if large { BYTES_LARGE } else { BYTES })
    }

    /// Copies out what a socket has received. How much that was.
    fn copy_out(&mut self, at: usize, buffer: &mut [u8]) -> Result<usize> {
        let socket = self.socket(at);
        if !socket.may_recv() && socket.recv_queue() == 0 {
            return Err("smoltcp: a connection has ended".into());
        }
        Ok(if socket.can_recv() { socket.recv_slice(buffer)? } else { 0 })
    }

    /// Sends back what a socket has received. How much that was.
    fn send_back(&mut self, at: usize, buffer: &mut [u8]) -> Result<usize> {
        let room = self.socket(at).send_capacity() - self.socket(at).send_queue();
        let room = room.min(buffer.len());
        let count = self.copy_out(at, &mut buffer[..room])?;
        if count > 0 {
            self.socket(at).send_slice(&buffer[..count])?;
        }
        Ok(count)
    }

    fn receive(&mut self) -> Result<()> {
        self.open_wide()?;
        let mut buffer = Aligned::zeroed(BUFFER);
        let mut tally = Tally::start(self.order, self.handles.len());
        loop {
            let mut busy = self.turn();
            for at in 0..self.handles.len() {
                loop {
                    let count = self.copy_out(at, &mut buffer)?;
                    tally.add(at, count as u64);
                    busy |= count > 0;
                    if count == 0 {
                        break;
                    }
                }
            }
            tally.look()?;
            if !busy {
                self.wait()?;
            }
        }
    }

    fn send(&mut self) -> Result<()> {
        self.open_wide()?;
        let buffer = Aligned::zeroed(BUFFER);
        loop {
            let mut busy = self.turn();
            for at in 0..self.handles.len() {
                let socket = self.socket(at);
                if !socket.may_send() {
                    return Err("smoltcp: a connection has ended".into());
                }
                while socket.can_send() && socket.send_slice(&buffer)? > 0 {
                    busy = true;
                }
            }
            if !busy {
                self.wait()?;
            }
        }
    }

    fn echo(&mut self) -> Result<()> {
        self.open(BYTES)?;
        let mut buffer = Aligned::zeroed(BUFFER);
        loop {
            let changed = self.turn();
            if self.send_back(0, &mut buffer)? == 0 && !changed {
                self.wait()?;
            }
        }
    }

    fn beside(&mut self) -> Result<()> {
        self.open_wide()?;
        let mut buffer = Aligned::zeroed(BUFFER);
        loop {
            let changed = self.turn();
            let some = self.send_back(0, &mut buffer)? + self.copy_out(1, &mut buffer)?;
            if some == 0 && !changed {
                self.wait()?;
            }
        }
    }

    /// TIME-WAIT is cut off: a socket that is in it cannot be used.
    fn churn(&mut self) -> Result<()> {
        self.add(BYTES_IDLE);
        say("open")?;
        for from in 0.. {
            self.connect(0, from)?;
            self.established(0, 1)?;
            self.socket(0).send_slice(&[0xa5])?;
            while self.copy_out(0, &mut [0])? == 0 {
                if !self.turn() {
                    self.wait()?;
                }
            }
            self.socket(0).close();
            while !matches!(self.socket(0).state(), State::TimeWait | State::Closed) {
                if !self.turn() {
                    self.wait()?;
                }
            }
            // The last acknowledgement.
            self.turn();
            self.socket(0).abort();
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<()> {
        say("ready")?;
        self.open(BYTES_IDLE)?;
        loop {
            if !self.turn() {
                self.wait()?;
            }
        }
    }
}

/// Ports one after the other, beginning anywhere: a connection of the four numbers of another would never open, and smoltcp does not choose ports itself.
struct Ports(u16);

impl Ports {
    /// How many there are, from 1024 on.
    const COUNT: u16 = 64_512;

    fn next(&mut self) -> u16 {
        let port = 1024 + self.0;
        self.0 = (self.0 + 1) % Self::COUNT;
        port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_port_comes_twice_before_all_have() {
        let mut ports = Ports(60_000);
        let seen: BTreeSet<u16> = (0..Ports::COUNT).map(|_| ports.next()).collect();
        assert_eq!((seen.len(), seen.first(), seen.last()), (64_512, Some(&1024), Some(&65_535)));
    }
}
