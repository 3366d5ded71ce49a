//! What a program may ask of a socket or set on it: names, options, figures.

use super::Stack;
use super::demux::wildcard;
use super::ports::Hold;
use super::socket::ip::{v4::IP_MTU, v6::IPV6_MTU};
use super::socket::options::{
    self, Acks, Effect, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_V6ONLY, SOL_SOCKET, Settings, sol, tcp,
};
use super::socket::take_error;
use super::table::{Entry, Kind};
use super::{Domain, SocketId, TcpInfo, route};
use crate::buffer::Interest;
use crate::error::Errno;
use crate::tcp::{State, defer};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

/// LISTEN and CLOSE as Linux numbers them.
const STATE_CLOSE: u8 = 7;
const STATE_LISTEN: u8 = 10;

/// AF_INET and AF_INET6.
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

impl Stack {
    /// The socket's own address; the unspecified one with port 0 before bind.
    pub fn local_address(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        let local = match &entry.kind {
            Kind::Datagram(socket) => socket.association.local(),
            _ => entry.local,
        };
        let any = || SocketAddr::new(wildcard(route::loopback(entry.domain)), 0);
        Ok(local.map_or_else(any, |local| entry.shown(local)))
    }

    /// The peer's address. ENOTCONN before the connection is established and after it is over.
    pub fn peer_address(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        if let Kind::Datagram(socket) = &entry.kind {
            let peer = socket.association.peer().filter(|peer| peer.port() != 0);
            return peer.map(|peer| entry.shown(peer)).ok_or(Errno::ENOTCONN);
        }
        let flow = entry.flow().ok_or(Errno::ENOTCONN)?;
        if !flow.connection.established() || flow.connection.ended().is_some() {
            return Err(Errno::ENOTCONN);
        }
        Ok(entry.shown(flow.remote))
    }

    /// Sets an option by the kernel's level, number and byte form. ENOPROTOOPT for what it does not know, EINVAL for a wrong length or value.
    pub fn set_option(
        &mut self,
        now: Instant,
        id: SocketId,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        let config = &self.config.tcp;
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        applies(entry.domain, level)?;
        let bound = match &entry.kind {
            Kind::Datagram(socket) => socket.association.local(),
            _ => entry.local,
        };
        if (level, name) == (IPPROTO_IPV6, IPV6_V6ONLY) && bound.is_some() {
            return Err(Errno::EINVAL);
        }
        if let Kind::Datagram(socket) = &mut entry.kind {
            if level == IPPROTO_TCP {
                return Err(Errno::ENOPROTOOPT);
            }
            if let Some(done) = socket.options.set(entry.domain == Domain::V6, level, name, value) {
                self.settle_datagram(id);
                return done;
            }
        }
        let mut settings = Settings::clone(&entry.settings);
        let effect = options::set(&mut settings, config, level, name, value)?;
        let idle = matches!(entry.kind, Kind::Idle | Kind::Over(_));
        if (level, name) == (IPPROTO_TCP, tcp::TCP_WINDOW_CLAMP) && settings.window_clamp == 0 && !idle {
            return Err(Errno::EINVAL);
        }
        let mut state = entry.cell.lock();
        let mut marks = settings.marks();
        if settings.send_max > settings.send && matches!(entry.kind, Kind::Flow(_)) {
            marks.send = marks.send.max(state.marks.send);
        }
        let before = std::mem::replace(&mut state.marks, marks);
        let out_of_band = !settings.urgent_inline;
        let moved = std::mem::replace(&mut state.out_of_band, out_of_band) != out_of_band;
        if moved || before != state.marks {
            state.take_wakers(Interest::Read, &mut self.woken);
            state.take_wakers(Interest::Write, &mut self.woken);
        }
        drop(state);
        if let Kind::Flow(flow) = &mut entry.kind {
            let limit = flow.buffers.recv_limit;
            flow.buffers.recv_limit = settings.resized(limit);
            flow.buffers.recv_most = settings.receive_most();
            flow.connection.options_mut().clone_from(&settings.protocol);
            match effect {
                Effect::None => {}
                Effect::Congestion => flow.connection.steer(config),
                Effect::Push => flow.connection.push(now, &flow.buffers),
                Effect::Acks(Acks::Quick) => flow.connection.quick_acks(now, config.quick_acks.max(1)),
                Effect::Acks(Acks::Delayed) => flow.connection.quick_acks(now, 0),
            }
            if flow.buffers.recv_limit > limit {
                flow.connection.on_read(now, &flow.buffers);
            }
        }
        entry.settings = self.shared.share(settings);
        if let Some(hold) = entry.hold {
            let reuse = entry.settings.reuse();
            self.hold(id, Hold { reuse, ..hold });
            self.write_down_again(id);
        }
        self.settle_datagram(id);
        self.settle(id);
        self.post_listener(id);
        Ok(())
    }

    /// Reads an option, in the kernel's byte form; TCP_INFO is [`Stack::tcp_info`]'s. SO_ERROR takes the error.
    pub fn option(&mut self, id: SocketId, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        applies(entry.domain, level)?;
        if let Some(number) = Self::datagram_option(entry, level, name)? {
            return Ok(number.to_ne_bytes().to_vec());
        }
        let number = match (level, name) {
            (SOL_SOCKET, sol::SO_ERROR) => take_error(&entry.cell).map_or(0, |errno| errno.0),
            (SOL_SOCKET, sol::SO_DOMAIN) => match entry.domain {
                Domain::V4 => AF_INET,
                Domain::V6 => AF_INET6,
            },
            (SOL_SOCKET, sol::SO_ACCEPTCONN) => i32::from(matches!(entry.kind, Kind::Listener(_))),
            (SOL_SOCKET, sol::SO_RCVBUF) => match entry.flow() {
                Some(flow) if entry.settings.window_clamp == 0 => size(flow.buffers.recv_limit),
                _ => size(entry.settings.receive),
            },
            (SOL_SOCKET, sol::SO_SNDBUF) => match &entry.kind {
                Kind::Flow(_) | Kind::Asleep(_) => size(entry.cell.lock().marks.send),
                _ => size(entry.settings.send),
            },
            (IPPROTO_TCP, tcp::TCP_MAXSEG) => segment_size(entry),
            (IPPROTO_TCP, tcp::TCP_DEFER_ACCEPT) => self.defer_accept(entry),
            (IPPROTO_IP, IP_MTU) | (IPPROTO_IPV6, IPV6_MTU) => i32::from(self.path_mtu_of(entry)?),
            (IPPROTO_TCP, tcp::TCP_QUICKACK) => i32::from(match entry.flow() {
                Some(flow) => flow.connection.acks_quickly(),
                None => entry.settings.protocol.quick_ack,
            }),
            _ => return options::value(&entry.settings, level, name),
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    /// IP_MTU, IPV6_MTU: what the path of a connection carries. ENOTCONN.
    fn path_mtu_of(&self, entry: &Entry) -> Result<u16, Errno> {
        let remote = match &entry.kind {
            Kind::Flow(_) | Kind::Asleep(_) => entry.peer.ok_or(Errno::ENOTCONN)?,
            Kind::Datagram(socket) => socket.association.peer().ok_or(Errno::ENOTCONN)?,
            _ => return Err(Errno::ENOTCONN),
        };
        let (now, ip) = (self.clock, &entry.settings.ip);
        Ok(match &entry.kind {
            Kind::Flow(_) | Kind::Asleep(_) => self.stream_mtu(now, remote.ip(), ip),
            _ => self.path_mtu(now, remote.ip(), ip),
        })
    }

    /// TCP_DEFER_ACCEPT in seconds: those of as many retransmissions as it takes.
    fn defer_accept(&self, entry: &Entry) -> i32 {
        let (first, most) = (self.config.tcp.rto_initial, self.config.tcp.rto_max);
        let count = defer::retransmissions(entry.settings.protocol.defer_accept, first, most);
        i32::try_from(defer::patience(count, first, most).as_secs()).unwrap_or(i32::MAX)
    }

    /// SO_LINGER: how long close may sleep.
    pub fn linger(&self, id: SocketId) -> Result<Option<Duration>, Errno> {
        Ok(self.table.get(id).ok_or(Errno::EBADF)?.settings.linger)
    }

    /// The connection in figures; a socket without one reports its state only, and a listener its accept queue as Linux does:
    /// `unacked` is its length and `sacked` its limit. ENOPROTOOPT: no TCP socket.
    pub fn tcp_info(&self, now: Instant, id: SocketId) -> Result<TcpInfo, Errno> {
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        if let Some(flow) = entry.flow() {
            let pmtu = u32::from(self.stream_mtu(now, flow.remote.ip(), &entry.settings.ip));
            let mut info = TcpInfo { pmtu, ..flow.connection.info(now, &flow.buffers) };
            if flow.connection.state() == State::SynSent {
                info.snd_cwnd = self.config.tcp.initial_window;
            }
            return Ok(info);
        }
        Ok(match &entry.kind {
            Kind::Datagram(_) | Kind::Flow(_) | Kind::Asleep(_) => return Err(Errno::ENOPROTOOPT),
            Kind::Idle => TcpInfo {
                state: STATE_CLOSE,
                rto: u32::try_from(self.config.tcp.rto_initial.as_micros()).unwrap_or(u32::MAX),
                snd_mss: 536,
                snd_cwnd: self.config.tcp.initial_window,
                ..TcpInfo::unconnected()
            },
            Kind::Over(over) => TcpInfo { state: STATE_CLOSE, ..over.info },
            Kind::Interceptor(interceptor) => TcpInfo {
                state: STATE_LISTEN,
                unacked: count(entry.cell.lock().syns.as_ref().map_or(0, |syns| syns.undecided())),
                sacked: count(interceptor.limit()),
                ..TcpInfo::unconnected()
            },
            Kind::Listener(listener) => TcpInfo {
                state: STATE_LISTEN,
                unacked: count(listener.ready.len() + entry.cell.lock().accept.len()),
                sacked: count(listener.backlog),
                snd_cwnd: self.config.tcp.initial_window,
                reordering: TcpInfo::unconnected().reordering,
                pacing_rate: u64::MAX,
                max_pacing_rate: u64::MAX,
                ..TcpInfo::default()
            },
        })
    }
}

/// A socket of AF_INET has no options of IPv6; one of AF_INET6 has both, as in Linux.
fn applies(domain: Domain, level: i32) -> Result<(), Errno> {
    if domain == Domain::V4 && level == IPPROTO_IPV6 { Err(Errno::ENOPROTOOPT) } else { Ok(()) }
}

/// The segment size in use, or while the peer has not said its own, what TCP_MAXSEG was set to.
fn segment_size(entry: &Entry) -> i32 {
    let set = entry.settings.protocol.max_segment.map_or(536, i32::from);
    let Some(flow) = entry.flow() else { return set };
    let used = flow.connection.info(Instant::ZERO, &flow.buffers).snd_mss;
    i32::try_from(used).ok().filter(|used| *used > 0).unwrap_or(set)
}

fn size(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
