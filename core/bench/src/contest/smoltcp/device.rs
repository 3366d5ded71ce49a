//! A TUN with vnet header for smoltcp, which has none: super-frames are received whole, and checksums of TCP are left to the kernel. Sending stays a
//! segment a system call, since smoltcp makes no others.

use crate::aligned::Aligned;
use rustix::io::{Errno, read, write};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use usertcp_core::wire;

/// Bytes of the vnet header.
const HEADER: usize = 10;

/// VIRTIO_NET_HDR_F_NEEDS_CSUM.
const NEEDS_CHECKSUM: u8 = 1;

/// Protocol number of TCP, and where its checksum is.
const TCP: u8 = 6;
const CHECKSUM: usize = 16;

/// The TUN that is standard input.
pub(super) struct Vnet {
    received: Aligned,
    sending: Aligned,
    mtu: usize,
}

impl Vnet {
    pub(super) fn new(mtu: usize) -> Self {
        let room = || Aligned::zeroed(HEADER + (64 << 10));
        Self { received: room(), sending: room(), mtu }
    }
}

impl Device for Vnet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let length = match read(io::stdin(), &mut self.received[..]) {
            Ok(length) => length,
            Err(Errno::AGAIN) => return None,
            Err(error) => panic!("the TUN cannot be read: {error}"),
        };
        Some((Received(self.received.get(HEADER..length)?), Sending(&mut self.sending)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.sending))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

/// A packet that has come.
pub(super) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// Room for a packet to send.
pub(super) struct Sending<'a>(&'a mut [u8]);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let frame = &mut self.0[..HEADER + length];
        let result = fill(&mut frame[HEADER..]);
        let (header, packet) = frame.split_at_mut(HEADER);
        header.copy_from_slice(&vnet_header(packet));
        match write(io::stdin(), frame) {
            // A queue that is full drops.
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => panic!("the TUN cannot be written: {error}"),
        }
        result
    }
}

/// The vnet header of a packet, whose checksum field gets the sum of the pseudo-header if it is TCP's over IPv4.
fn vnet_header(packet: &mut [u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let Some((ip, _)) = packet.split_first_chunk::<20>() else { return header };
    let start = usize::from(ip[0] & 15) * 4;
    let address = |at: usize| IpAddr::V4(Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]));
    let length = (packet.len() - start.min(packet.len())) as u32;
    let sum = wire::Checksum::pseudo_header(address(12), address(16), TCP, length).folded();
    let is_tcp = ip[0] >> 4 == 4 && ip[9] == TCP;
    if let Some(field) = packet.get_mut(start + CHECKSUM..start + CHECKSUM + 2).filter(|_| is_tcp) {
        field.copy_from_slice(&sum.to_be_bytes());
        header[0] = NEEDS_CHECKSUM;
        header[6..8].copy_from_slice(&(start as u16).to_ne_bytes());
        header[8..].copy_from_slice(&(CHECKSUM as u16).to_ne_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_the_kernel_is_the_sum_of_the_pseudo_header() {
        let mut packet = [0; 40];
        packet[0] = 0x45;
        packet[9] = TCP;
        packet[12..20].copy_from_slice(&[198, 51, 100, 1, 198, 51, 100, 254]);
        let header = vnet_header(&mut packet);
        assert_eq!(header, [1, 0, 0, 0, 0, 0, 20, 0, 16, 0]);
        // 2 * 0xc633 + 0x6401 + 0x64fe + 6 + 20, its carries folded in.
        assert_eq!(packet[36..38], [0x55, 0x81]);
        packet[9] = 17;
        assert_eq!(vnet_header(&mut packet), [0; HEADER]);
        assert_eq!(vnet_header(&mut []), [0; HEADER]);
    }
}
