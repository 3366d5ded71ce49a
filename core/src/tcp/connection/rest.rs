//! A connection at rest, in few bytes: nothing of it is under way, so numbers are all there is.

use super::{Common, Connection, Open, Pending, Phase};
use crate::buffer::Pressure;
use crate::pack::{Pack, Packer, Unpacker, packed};
use crate::tcp::{Buffers, Options, Setup};
use crate::time::Instant;
use std::net::SocketAddr;

packed!(Pending { syn, head, tail, force, keep_alive, push });
packed!(Open {
    state,
    snd,
    rcv,
    rtt,
    timestamps,
    congestion,
    recovery,
    rack,
    tail_probes,
    acks,
    challenge,
    urgent,
    ecn,
    mtu,
    timers,
    pending,
    heard,
    keep_probes,
    since,
    defer,
    deferred,
    syns_sent,
    syn_lost,
    passive,
    scaled,
    delayed_ack
});
packed!(
    enum Pressure {
        None,
        High,
        Full,
    }
);
packed!(Buffers {
    send,
    recv,
    recv_held,
    recv_limit,
    recv_most,
    recv_window_most,
    send_size,
    pressure,
    charged,
    send_awaited
});

impl Connection {
    /// Its own address and the peer's.
    #[must_use]
    pub const fn names(&self) -> (SocketAddr, SocketAddr) {
        (self.common.setup.local, self.common.setup.remote)
    }

    /// Writes the connection and its buffers, but for its options, if it is at rest and those are `options`; else nothing, and false.
    pub fn store(&self, buffers: &Buffers, options: &Options, to: &mut Packer) -> bool {
        let Phase::Open(open) = &self.phase else { return false };
        let same = self.common.setup.options == *options;
        if !same || !self.rests(open) || !buffers.send.is_empty() || !buffers.recv.is_empty() {
            return false;
        }
        let Self { common, phase: _, stirred: _, now, wake } = self;
        wake.pack(to);
        now.pack(to);
        common.store(to);
        open.pack(to);
        buffers.pack(to);
        true
    }

    /// What `store` has written.
    #[must_use]
    pub fn restore(options: Options, from: &mut Unpacker<'_>) -> (Self, Buffers) {
        let wake = Option::unpack(from);
        let now = Instant::unpack(from);
        let common = Common::restore(options, from);
        let phase = Phase::Open(Box::new(Open::unpack(from)));
        (Self { common, phase, stirred: false, now, wake }, Buffers::unpack(from))
    }

    /// When a connection that `store` has written wants to be called.
    #[must_use]
    pub fn stored_timeout(from: &mut Unpacker<'_>) -> Option<Instant> {
        Option::unpack(from)
    }

    /// Whether it has nothing but numbers, and nobody watches them.
    fn rests(&self, open: &Open) -> bool {
        let Common { reply, trace, .. } = &self.common;
        let watched = self.stirred || reply.is_some() || trace.is_some();
        !watched && open.snd.flight.rests() && open.rcv.rests()
    }
}

impl Common {
    fn store(&self, to: &mut Packer) {
        let Self {
            setup,
            recv_limit,
            ended,
            error,
            soft_error,
            soft_news,
            established,
            more,
            waits_for_more,
            advice,
            closing,
            orphaned,
            reply: _,
            stats,
            trace: _,
        } = self;
        let Setup { local, remote, iss, timestamp_offset, mss, options: _ } = setup;
        (*local, *remote).pack(to);
        iss.pack(to);
        timestamp_offset.pack(to);
        mss.pack(to);
        recv_limit.pack(to);
        ended.pack(to);
        error.pack(to);
        soft_error.pack(to);
        [*soft_news, *established, *more, *waits_for_more, *advice, *closing].pack(to);
        orphaned.pack(to);
        stats.pack(to);
    }

    fn restore(options: Options, from: &mut Unpacker<'_>) -> Self {
        let (local, remote) = Pack::unpack(from);
        let iss = Pack::unpack(from);
        let timestamp_offset = Pack::unpack(from);
        let setup = Setup { local, remote, iss, timestamp_offset, mss: Pack::unpack(from), options };
        let recv_limit = Pack::unpack(from);
        let ended = Pack::unpack(from);
        let error = Pack::unpack(from);
        let soft_error = Pack::unpack(from);
        let [soft_news, established, more, waits_for_more, advice, closing] = Pack::unpack(from);
        let orphaned = Pack::unpack(from);
        let stats = Pack::unpack(from);
        Self {
            setup,
            recv_limit,
            ended,
            error,
            soft_error,
            soft_news,
            established,
            more,
            waits_for_more,
            advice,
            closing,
            orphaned,
            reply: None,
            stats,
            trace: None,
        }
    }
}
