//! Why a connection is over.

use super::Errno;
use std::fmt;
use std::net::IpAddr;

/// Why a connection is over, with what is known about it. `Display` says it in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Both sides have sent FIN and both are acknowledged.
    Finished,
    /// The peer reset it.
    Reset {
        /// Sequence number of the RST.
        seq: u32,
        /// ECONNREFUSED while connecting, EPIPE once the peer had sent its FIN, else ECONNRESET.
        errno: Errno,
    },
    /// The peer did not answer in time.
    TimedOut {
        /// Whose patience it was that ended.
        timer: Timeout,
        /// What the network had said meanwhile of the segments that went unanswered; the error is this one's then.
        network: Option<Unreachable>,
    },
    /// The network returned a segment of the handshake.
    Unreachable(Unreachable),
    /// The program aborted it: abort, SO_LINGER with a time of 0, a connect that was given up, a listener that was closed.
    Aborted,
    /// The program closed it while there was data to read, or data came after it had closed: RFC 2525 2.17 has the peer told by RST.
    Unread,
    /// The stack had to let go of it: memory, or too many connections that no program holds any more.
    Limit,
    /// The link is gone.
    LinkGone,
    /// The stack was closed before the connection was.
    StackClosed,
}

/// What a connection had waited for when it timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// An answer to SYN, or to SYN and ACK.
    Handshake,
    /// The acknowledgement of data or FIN, through all retransmissions.
    Retransmission,
    /// An answer to probes of a closed window.
    Probe,
    /// Progress, for the user timeout (RFC 5482).
    User,
    /// An answer to keep-alive probes.
    KeepAlive,
    /// The peer's FIN, after the program had closed.
    FinWait2,
}

/// An ICMP error about a segment of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The error that stands for it, as in Linux.
    pub errno: Errno,
    /// Type of the message.
    pub kind: u8,
    /// Code of the message.
    pub code: u8,
    /// Who sent it.
    pub from: IpAddr,
}

impl Unreachable {
    /// Whether RFC 9293 3.9.2.2 calls it a soft error, one that may pass: no way to the network or host, a route that failed, a hop limit or a
    /// reassembly that ended, a parameter problem.
    #[must_use]
    pub const fn is_soft(&self) -> bool {
        match (self.from, self.kind) {
            (IpAddr::V4(_), 3) => matches!(self.code, 0 | 1 | 5),
            (IpAddr::V6(_), 1) => matches!(self.code, 0 | 3),
            (IpAddr::V4(_), 11) | (IpAddr::V6(_), 3) => matches!(self.code, 0 | 1),
            (IpAddr::V4(_), 12) => true,
            (IpAddr::V6(_), 4) => matches!(self.code, 0..=2),
            _ => false,
        }
    }
}

impl EndReason {
    /// The error that the program is told; none for an orderly end. What a program did itself is ECONNABORTED.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Finished => None,
            Self::Reset { errno, .. } => Some(*errno),
            Self::TimedOut { network, .. } => Some(network.map_or(Errno::ETIMEDOUT, |told| told.errno)),
            Self::Unreachable(told) => Some(told.errno),
            Self::Aborted | Self::Unread => Some(Errno::ECONNABORTED),
            Self::Limit => Some(Errno::ENOBUFS),
            Self::LinkGone => Some(Errno::ENETDOWN),
            Self::StackClosed => Some(Errno::ECANCELED),
        }
    }

    /// The ICMP error that has to do with it.
    #[must_use]
    pub const fn network(&self) -> Option<Unreachable> {
        match self {
            Self::TimedOut { network, .. } => *network,
            Self::Unreachable(told) => Some(*told),
            _ => None,
        }
    }

    /// Whether the connection was cut off, by a reset of either side or because nobody answered, where the program did not ask for it.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        match self {
            Self::Reset { .. }
            | Self::TimedOut { .. }
            | Self::Unreachable(_)
            | Self::Unread
            | Self::Limit => true,
            Self::Finished | Self::Aborted | Self::LinkGone | Self::StackClosed => false,
        }
    }

    /// A name for programs, such as `"reset"`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.numbered().1
    }

    /// A number for programs, from 1 on; it never changes.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.numbered().0
    }

    const fn numbered(&self) -> (u32, &'static str) {
        match self {
            Self::Finished => (1, "finished"),
            Self::Reset { .. } => (2, "reset"),
            Self::TimedOut { timer: Timeout::Handshake, .. } => (3, "handshake-timeout"),
            Self::TimedOut { timer: Timeout::Retransmission, .. } => (4, "retransmission-timeout"),
            Self::TimedOut { timer: Timeout::Probe, .. } => (5, "probe-timeout"),
            Self::TimedOut { timer: Timeout::User, .. } => (6, "user-timeout"),
            Self::TimedOut { timer: Timeout::KeepAlive, .. } => (7, "keep-alive-timeout"),
            Self::TimedOut { timer: Timeout::FinWait2, .. } => (8, "fin-wait-2-timeout"),
            Self::Unreachable(_) => (9, "unreachable"),
            Self::Aborted => (10, "aborted"),
            Self::Unread => (11, "unread"),
            Self::Limit => (12, "limit"),
            Self::LinkGone => (13, "link-gone"),
            Self::StackClosed => (14, "stack-closed"),
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("both sides have finished"),
            Self::Reset { seq, errno: Errno::ECONNREFUSED } => {
                write!(f, "connection refused by peer: RST with sequence number {seq}")
            }
            Self::Reset { seq, .. } => write!(f, "connection reset by peer: RST with sequence number {seq}"),
            Self::TimedOut { timer, network: None } => write!(f, "connection timed out: {timer}"),
            Self::TimedOut { timer, network: Some(told) } => write!(f, "{told}; {timer}"),
            Self::Unreachable(told) => told.fmt(f),
            Self::Aborted => f.write_str("connection aborted by this side"),
            Self::Unread => f.write_str("connection aborted by this side: it was closed with data unread"),
            Self::Limit => f.write_str("connection given up: the stack is at its limits"),
            Self::LinkGone => f.write_str("the link is gone"),
            Self::StackClosed => f.write_str("the stack was closed"),
        }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the peer did not answer SYN",
            Self::Retransmission => "the peer did not acknowledge what was sent",
            Self::Probe => "the peer did not answer probes of its closed window",
            Self::User => "no progress within the user timeout",
            Self::KeepAlive => "the peer did not answer keep-alive probes",
            Self::FinWait2 => "the peer did not finish after this side had closed",
        })
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { errno, kind, code, from } = self;
        let version = if from.is_ipv4() { "ICMP" } else { "ICMPv6" };
        write!(f, "{errno}: {version} type {kind}, code {code}, from {from}")
    }
}
