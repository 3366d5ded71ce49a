//! Buffer limits of sockets and of a stack.

use crate::error::{Errno, Error};

/// Buffer limits of a socket and of a stack.
///
/// A buffer begins small and grows by what passes through it: for receiving to twice what the program reads in a round trip, for sending to twice the
/// congestion window. So what a connection can pin follows what it carries, and a peer whose data nobody reads is held at the size to begin with.
/// SO_RCVBUF and SO_SNDBUF fix a size, as in Linux.
///
/// However large the buffers, peers less than a millisecond away are offered together what the queue of the device takes, where it drops what is more (a TUN
/// of `txqueuelen` packets): nine tenths of it, and not more than 6000 single packets, in equal parts for those of whom much comes.
#[derive(Clone, Debug)]
pub struct BufferConfig {
    /// Most bytes that the receive buffer of a socket grows to; the window never exceeds it, and the scale of the SYN allows for it. Default 32 MiB, as
    /// `tcp_rmem` of Linux 6.18 has it: 1 Gbit/s over 200 ms has 25 MB in flight.
    pub receive: usize,
    /// Bytes of it to begin with; `receive` if that is less, and four super-frames on a link that has them. Default 128 KiB, as in Linux.
    pub receive_initial: usize,
    /// Most bytes that the send buffer of a socket grows to. Default 32 MiB, so that it is not what limits a path that a receive buffer carries; `tcp_wmem`
    /// of Linux says 4 MiB.
    pub send: usize,
    /// Bytes of it to begin with; `send` if that is less. Default 256 KiB: a writer on a near path is woken every few super-frames.
    pub send_initial: usize,
    /// Bytes that all connections of a stack may hold together, written and not acknowledged, received and not read, or received before their turn; the
    /// counterpart of `tcp_mem`. From three quarters on no buffer grows and windows are opened by four segments at most. At the limit windows stay shut,
    /// a send buffer is as it began at most, what came before its turn is dropped, and so is what comes for who has unread data. Default 512 MiB.
    pub total: usize,
    /// Size of a page of the pools, bytes. Default 256 KiB (measured: docs/ARCHITECTURE.md).
    pub page: usize,
    /// Pages that a pool keeps for reuse. Default 64.
    pub pool_pages: usize,
    /// Connections that a stack keeps at hand however quiet they are. Of more than that, those that have been quiet for longest are packed into some hundred
    /// bytes until something happens to them, which then takes a few microseconds more. Default 1024.
    pub awake_connections: usize,
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self {
            receive: 32 << 20,
            receive_initial: 128 << 10,
            send: 32 << 20,
            send_initial: 256 << 10,
            total: 512 << 20,
            page: 256 << 10,
            pool_pages: 64,
            awake_connections: 1024,
        }
    }
}

/// Least bytes of a buffer.
const LEAST: usize = 2048;

impl BufferConfig {
    /// Refuses what no stack can work with.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::new(Errno::EINVAL, text.to_owned()));
        let sizes = [self.receive, self.receive_initial, self.send, self.send_initial];
        if sizes.iter().any(|size| *size < LEAST) {
            return refuse("receive and send buffers must be at least 2048 bytes, also to begin with");
        }
        if self.receive > 1 << 30 {
            return refuse("a receive buffer cannot be larger than the largest window, 1073741824 bytes");
        }
        if self.total < 1 << 16 {
            return refuse("total must be at least 65536 bytes");
        }
        if self.page < 128 << 10 {
            return refuse("a page must hold at least 131072 bytes");
        }
        Ok(())
    }
}
