//! One connection (RFC 9293): a pure state machine over segments, calls and time.
//!
//! Four kinds of method: getters; inputs `on_segment`, `on_timeout`; user calls `on_written`, `on_read`, `close`, `abort`; outputs `poll_transmit`,
//! `poll_timeout`. `now` never goes back. After any input or call: `poll_transmit` until `None`, then `poll_timeout`.
//!
//! | file | noun |
//! |---|---|
//! | `connection` | the connection, its phases and its public methods |
//! | `state` | the states of RFC 9293 and the table of their moves |
//! | `open` `defer` `input` `predict` `text` `paws` `acked` `icmp` `close` | how it begins, what arrives, whether it is the very segment expected, its text, whether it is an old duplicate, what an ACK says, what the network says, how it ends |
//! | `output` `resend` | the only sender: one ordered list of reasons; what it sends again |
//! | `sender` `flight` `pace` `scoreboard` `rack` `recovery` `repair` `undo` `prr` `congestion` `rtt` `least` | what is in flight, when to hold back, what the peer holds, what is lost, how it is repaired, whether that was for nothing, how much may fly, how long to wait |
//! | `receiver` `rightsize` `assembler` `ack` `sack` `challenge` `window` | what has come, in any order, and what is owed for it |
//! | `mtu_probe` | what the path carries, where nobody tells |
//! | `ecn` | what routers mark instead of dropping it, both ways |
//! | `urgent` | where urgent data ends, both ways |
//! | `stats` `account` `tcp_info` `tracer` | what it tells of itself |
//! | `seq` `segment` `timestamps` `timer` `isn` | the values they speak in |

mod account;
mod ack;
mod acked;
mod assembler;
mod challenge;
mod close;
pub mod congestion;
mod connection;
pub mod defer;
mod ecn;
mod flight;
mod glance;
mod icmp;
mod input;
pub mod isn;
mod least;
mod mtu_probe;
mod open;
mod output;
mod pace;
mod paws;
mod phase;
mod predict;
mod prr;
mod push;
mod rack;
mod receiver;
mod recovery;
mod repair;
mod resend;
mod rightsize;
mod rtt;
mod sack;
mod scoreboard;
mod segment;
mod sender;
mod sending;
mod seq;
mod state;
mod stats;
mod tcp_info;
mod text;
mod timer;
mod timestamps;
mod tracer;
mod undo;
mod urgent;
mod validation;
mod window;

#[cfg(test)]
mod tests;

pub use challenge::Challenges;
pub use congestion::Controller;
pub use connection::Connection;
pub use glance::Glance;
pub use icmp::IcmpError;
pub use mtu_probe::{MtuSearch, PathNews};
pub use segment::reset_for;
pub use seq::SeqNum;
pub use state::State;
pub use tcp_info::TcpInfo;
pub use tracer::Tracer;
pub use urgent::UrgentMark;

use crate::buffer::{Pressure, RecvQueue, SendQueue, SendSize, Slices};
use crate::config::{Congestion, TcpConfig};
use crate::counters::Counters;
use crate::error::{EndReason, Timeout, Unreachable};
use crate::time::Duration;
use crate::wire::Codepoint;
use crate::wire::tcp::{Flags, TcpHeader, TcpOptions};
use bytes::Bytes;
use std::net::SocketAddr;

/// What a connection has yet to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Bytes that were never sent.
    pub bytes: usize,
    /// Bytes that a write adds below TCP_NOTSENT_LOWAT: whole segments, no more than half of the largest window that the peer has offered, nor 64 KiB.
    pub step: usize,
    /// A FIN that was never sent.
    pub fin_unsent: bool,
    /// A FIN that is not acknowledged, sent or not.
    pub fin_unacked: bool,
}

/// What a connection borrows from its stack for one call.
#[derive(Debug)]
pub struct Context<'a> {
    /// The stack's TCP settings.
    pub config: &'a TcpConfig,
    /// The stack's counters.
    pub counters: &'a mut Counters,
    /// What the stack's connections share of challenge ACKs.
    pub challenges: &'a mut Challenges,
}

/// The private queues of a connection, and what the program holds of them.
#[derive(Debug, Default)]
pub struct Buffers {
    /// Written by the program, not yet acknowledged by the peer.
    pub send: SendQueue,
    /// Received in order, not yet published to the program.
    pub recv: RecvQueue,
    /// Published to the program and not yet read, bytes; kept by the stack.
    pub recv_held: usize,
    /// SO_RCVBUF: the window offered is what is left of it.
    pub recv_limit: usize,
    /// Up to where it grows by itself; at or below it, not at all.
    pub recv_most: usize,
    /// Most bytes that the window offers, however large the buffer: what the queue of the device takes.
    pub recv_window_most: Option<usize>,
    /// How large the send buffer should be.
    pub send_size: SendSize,
    /// How much room the stack has left.
    pub pressure: Pressure,
    /// Bytes that the stack has counted for this connection.
    pub charged: usize,
    /// The program waits for room in the send buffer.
    pub send_awaited: bool,
}

/// A received segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The header.
    pub header: TcpHeader,
    /// The payload; up to 64 KiB when the link merged segments.
    pub payload: Bytes,
    /// Payload bytes of each segment that was merged; 0: a single segment. Of an acknowledgement without payload: how many it stands for; 0: one.
    pub gso_size: u16,
    /// What its IP header says of congestion; the same of every one that was merged.
    pub ecn: Codepoint,
}

/// A segment to send, or a super-frame of segments of `gso_size`.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Sequence number.
    pub seq: SeqNum,
    /// Acknowledgement number; present exactly when the ACK bit is.
    pub ack: Option<SeqNum>,
    /// Control bits but ACK.
    pub flags: Flags,
    /// Window field, already scaled.
    pub window: u16,
    /// Urgent pointer; counts with `Flags::URG` only.
    pub urgent: u16,
    /// Options.
    pub options: TcpOptions,
    /// Payload.
    pub payload: Slices,
    /// Payload bytes per segment of a super-frame; 0: a single segment.
    pub gso_size: u16,
    /// What the IP header says of congestion.
    pub ecn: Codepoint,
}

/// What output may use of the link.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most payload bytes of a super-frame; below the MSS: single segments only.
    pub super_frame: usize,
    /// Most slices of one payload.
    pub slices: usize,
    /// Most bytes of data and options in a segment: path MTU less IP and TCP headers.
    pub mss: u16,
    /// How what the path carries is found out, where nobody tells and the connection may.
    pub search: Option<MtuSearch>,
}

/// What a connection is told at birth.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Own address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Initial send sequence number (RFC 6528).
    pub iss: SeqNum,
    /// Added to the clock to make TSval (RFC 7323 5.4: a random offset per connection).
    pub timestamp_offset: u32,
    /// MSS to announce: the interface MTU less IP and TCP headers (RFC 9293 3.7.1).
    pub mss: u16,
    /// Per-socket options.
    pub options: Options,
}

/// Options of one socket that the protocol obeys; a listener hands its own on to what it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// TCP_NODELAY.
    pub no_delay: bool,
    /// TCP_CORK.
    pub cork: bool,
    /// TCP_CONGESTION.
    pub congestion: Congestion,
    /// TCP_QUICKACK, as a connection begins.
    pub quick_ack: bool,
    /// SO_KEEPALIVE.
    pub keep_alive: bool,
    /// TCP_KEEPIDLE.
    pub keep_idle: Duration,
    /// TCP_KEEPINTVL.
    pub keep_interval: Duration,
    /// TCP_KEEPCNT.
    pub keep_probes: u8,
    /// TCP_USER_TIMEOUT: in place of the number of retransmissions, as long as somebody holds the connection.
    pub user_timeout: Option<Duration>,
    /// TCP_SYNCNT: retransmissions of our SYN.
    pub syn_retries: u8,
    /// TCP_LINGER2: longest time in FIN-WAIT-2 once nobody holds the connection; `None`: it is reset instead.
    pub fin_wait_2: Option<Duration>,
    /// TCP_MAXSEG: caps the MSS announced and used.
    pub max_segment: Option<u16>,
    /// Up to where the receive buffer may grow, bytes: the window scale is for that. 0: it stays as it is.
    pub receive_max: usize,
    /// TCP_DEFER_ACCEPT: how long a handshake waits for data to complete with. To one that connects it says that data will follow: the last ACK of
    /// the handshake waits for it as others do.
    pub defer_accept: Duration,
}

impl Options {
    /// Options of a new socket.
    #[must_use]
    pub const fn new(config: &TcpConfig) -> Self {
        Self {
            no_delay: !config.nagle,
            cork: false,
            congestion: config.congestion,
            quick_ack: true,
            keep_alive: false,
            keep_idle: config.keepalive_idle,
            keep_interval: config.keepalive_interval,
            keep_probes: config.keepalive_probes,
            user_timeout: config.user_timeout,
            syn_retries: config.syn_retries,
            fin_wait_2: Some(config.fin_wait_2),
            max_segment: None,
            receive_max: 0,
            defer_accept: Duration::ZERO,
        }
    }
}
