//! The states of RFC 9293 3.3.2.

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
