//! The states of RFC 9293 3.3.2.

use crate::pack::packed;

/// A connection's state; LISTEN belongs to the stack's listeners. The numbers are those of Linux's `tcp_info.tcpi_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Data flows both ways.
    Established = 1,
    /// Active open, SYN sent.
    SynSent = 2,
    /// SYN received and answered.
    SynReceived = 3,
    /// FIN sent, not acknowledged.
    FinWait1 = 4,
    /// FIN acknowledged, waiting for the peer's.
    FinWait2 = 5,
    /// Both sides have closed; old segments die out.
    TimeWait = 6,
    /// No connection.
    Closed = 7,
    /// The peer has closed, this side may still send.
    CloseWait = 8,
    /// FIN sent after the peer's.
    LastAck = 9,
    /// Both FINs sent, ours not acknowledged.
    Closing = 11,
}

impl State {
    /// The table of moves (RFC 9293 figure 5). CLOSED is reached from everywhere: by RST, abort or timeout.
    #[must_use]
    pub const fn may_become(self, to: Self) -> bool {
        match self {
            Self::SynSent => matches!(to, Self::SynReceived | Self::Established | Self::Closed),
            Self::SynReceived => {
                matches!(to, Self::Established | Self::FinWait1 | Self::CloseWait | Self::Closed)
            }
            Self::Established => matches!(to, Self::FinWait1 | Self::CloseWait | Self::Closed),
            Self::FinWait1 => matches!(to, Self::FinWait2 | Self::Closing | Self::TimeWait | Self::Closed),
            Self::FinWait2 => matches!(to, Self::TimeWait | Self::Closed),
            Self::CloseWait => matches!(to, Self::LastAck | Self::Closed),
            Self::Closing => matches!(to, Self::TimeWait | Self::Closed),
            Self::LastAck | Self::TimeWait => matches!(to, Self::Closed),
            Self::Closed => false,
        }
    }

    /// Where sending our FIN leads; `None` where no FIN may be sent any more, or not yet.
    #[must_use]
    pub const fn after_sent_fin(self) -> Option<Self> {
        match self {
            Self::Established => Some(Self::FinWait1),
            Self::CloseWait => Some(Self::LastAck),
            _ => None,
        }
    }

    /// Where the acknowledgement of our FIN leads.
    #[must_use]
    pub const fn after_acked_fin(self) -> Option<Self> {
        match self {
            Self::FinWait1 => Some(Self::FinWait2),
            Self::Closing => Some(Self::TimeWait),
            Self::LastAck => Some(Self::Closed),
            _ => None,
        }
    }

    /// Where the peer's FIN leads, once everything before it has come.
    #[must_use]
    pub const fn after_received_fin(self) -> Option<Self> {
        match self {
            Self::SynReceived | Self::Established => Some(Self::CloseWait),
            Self::FinWait1 => Some(Self::Closing),
            Self::FinWait2 => Some(Self::TimeWait),
            _ => None,
        }
    }

    /// Its name in a trace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::SynSent => "syn_sent",
            Self::SynReceived => "syn_received",
            Self::Established => "established",
            Self::FinWait1 => "fin_wait_1",
            Self::FinWait2 => "fin_wait_2",
            Self::CloseWait => "close_wait",
            Self::Closing => "closing",
            Self::LastAck => "last_ack",
            Self::TimeWait => "time_wait",
        }
    }

    /// Whether the peer may still send data.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Whether this side may have data or a FIN that the peer has not acknowledged.
    #[must_use]
    pub const fn transmits(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait | Self::FinWait1 | Self::Closing | Self::LastAck)
    }
}

packed!(
    enum State {
        Established,
        SynSent,
        SynReceived,
        FinWait1,
        FinWait2,
        TimeWait,
        Closed,
        CloseWait,
        LastAck,
        Closing,
    }
);
