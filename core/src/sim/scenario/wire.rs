//! The link in the middle: two ways through which every packet goes, and where it is seen when it comes out.

use crate::error::Error;
use crate::link::impair::{Impairment, Packet, Path, Statistics};
use crate::link::pipe::{Offload, Pipe, pipe};
use crate::link::segment::{from_frame, segment};
use crate::link::{Device, Sent, SentChecksum, Transmit};
use crate::rng::Rng;
use crate::time::Instant;
use bytes::{Bytes, BytesMut};
use smallvec::smallvec;
use std::collections::VecDeque;

/// Frames that fit between a host and the link: more than a turn of it can make.
const FRAMES: usize = 1 << 16;

/// The link and the far ends of the two hosts' pipes.
pub(super) struct Wire {
    ends: [Pipe; 2],
    /// Away from each host.
    paths: [Path; 2],
    cut: VecDeque<Transmit>,
}

impl Wire {
    /// A link with the same settings each way, and the devices of its two hosts.
    pub(super) fn new(settings: Impairment, mtu: u16, seed: u64) -> Result<(Self, [Pipe; 2]), Error> {
        let rng = Rng::from_seed(seed);
        let (left, left_end) = pipe(mtu, FRAMES, Offload::On);
        let (right, right_end) = pipe(mtu, FRAMES, Offload::On);
        let paths = [Path::new(settings, rng.fork("outgoing"))?, Path::new(settings, rng.fork("incoming"))?];
        Ok((Self { ends: [left_end, right_end], paths, cut: VecDeque::new() }, [left, right]))
    }

    /// Takes what the host `from` has sent.
    pub(super) fn take(&mut self, now: Instant, from: usize) {
        while let Ok(Some(frame)) = self.ends[from].recv(now, &mut BytesMut::new()) {
            segment(&from_frame(&frame), &mut self.cut);
            for transmit in self.cut.drain(..) {
                let told = self.paths[from].offer(now, packet(&transmit));
                if let Some(told) = told {
                    self.paths[1 - from].offer(now, told);
                }
            }
        }
    }

    /// Hands the host `to` what has arrived, each packet shown to `seen`. Whether there was any.
    pub(super) fn give(&mut self, now: Instant, to: usize, mut seen: impl FnMut(&[u8])) -> bool {
        let mut any = false;
        while let Some(packet) = self.paths[1 - to].due(now) {
            seen(&packet.bytes);
            let given = self.ends[to].send(now, &transmit(packet));
            any |= given == Ok(Sent::Taken);
        }
        any
    }

    /// When the next packet arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.paths.iter().filter_map(Path::next).min()
    }

    /// What was done to the packets that the host `from` sent.
    pub(super) fn statistics(&self, from: usize) -> Statistics {
        *self.paths[from].statistics()
    }
}

fn packet(transmit: &Transmit) -> Packet {
    let mut bytes = Vec::with_capacity(transmit.len());
    bytes.extend_from_slice(&transmit.head);
    transmit.payload.iter().for_each(|slice| bytes.extend_from_slice(slice));
    bytes.into()
}

fn transmit(packet: Packet) -> Transmit {
    Transmit {
        head: Default::default(),
        payload: smallvec![Bytes::from(packet.bytes)],
        gso_size: 0,
        checksum: SentChecksum::Complete,
    }
}
