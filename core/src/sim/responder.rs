//! A peer without memory: what it answers follows from the packet alone. One of them is as many hosts as there are addresses, so that a stack can be tried with
//! more connections than another stack could hold.

use crate::ip::{self, Envelope};
use crate::link::{Capabilities, Frame, Transmit, segment::to_frame};
use crate::rng::Rng;
use crate::wire::tcp::{self, Flags, TcpHeader, TcpOptions};
use std::net::SocketAddr;

/// Window that it offers, unscaled and scaled alike.
const WINDOW: u16 = 65_535;
/// Its window scale and MSS.
const SCALE: u8 = 7;
const MSS: u16 = 1460;

/// What it answers to a packet that the stack sent: SYN/ACK to SYN, ACK to data, FIN with the ACK to FIN, the ACK to a SYN/ACK, and nothing to ACKs and resets.
#[must_use]
pub fn answer(transmit: &Transmit) -> Option<Frame> {
    let packet = ip::ingress(&to_frame(transmit)).ok()?;
    let (header, payload) = tcp::parse(packet.source, packet.destination, &packet.payload, false).ok()?;
    let length = u32::try_from(packet.payload.len() - payload).ok()?;
    let TcpHeader { source, destination, seq, ack, flags, options, .. } = header;
    let (syn, fin) = (flags.has(Flags::SYN), flags.has(Flags::FIN));
    if flags.has(Flags::RST) || length == 0 && !syn && !fin {
        return None;
    }
    let mut reply = TcpHeader {
        source: destination,
        destination: source,
        seq: ack,
        ack: seq.wrapping_add(length).wrapping_add(u32::from(syn)).wrapping_add(u32::from(fin)),
        flags: Flags::ACK,
        window: WINDOW,
        // A clock that stands still: what the other has heard last.
        options: TcpOptions {
            timestamps: options.timestamps.map(|(tsval, tsecr)| (tsecr, tsval)),
            ..TcpOptions::default()
        },
        ..TcpHeader::default()
    };
    if syn && !flags.has(Flags::ACK) {
        // Any function of the packet will do.
        reply.seq = seq.rotate_left(16);
        reply.flags = Flags::SYN.with(Flags::ACK);
        reply.options = TcpOptions {
            mss: Some(MSS),
            window_scale: options.window_scale.map(|_| SCALE),
            sack_permitted: options.sack_permitted,
            ..reply.options
        };
    }
    if fin {
        reply.flags = Flags::FIN.with(Flags::ACK);
    }
    let envelope = Envelope::new(packet.destination, packet.source);
    Some(frame(&envelope, &reply))
}

/// The SYN by which `from` opens a connection to `to`.
#[must_use]
pub fn syn(from: SocketAddr, to: SocketAddr) -> Frame {
    let seq = Rng::from_seed(u64::from(from.port())).below(u32::MAX);
    let options = TcpOptions {
        mss: Some(MSS),
        window_scale: Some(SCALE),
        sack_permitted: true,
        timestamps: Some((1, 0)),
        ..TcpOptions::default()
    };
    let (source, destination) = (from.port(), to.port());
    let header = TcpHeader {
        source,
        destination,
        seq,
        flags: Flags::SYN,
        window: WINDOW,
        options,
        ..TcpHeader::default()
    };
    frame(&Envelope::new(from.ip(), to.ip()), &header)
}

fn frame(envelope: &Envelope, header: &TcpHeader) -> Frame {
    let capabilities = Capabilities::plain(1500);
    to_frame(&ip::tcp_transmit(envelope, header, Default::default(), 0, &capabilities))
}
