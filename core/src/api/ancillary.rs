//! Control data: what a program asks for one datagram alone, and what it is told with one, in the numbers and bytes of the system.

use super::Message;
use crate::buffer::Handling;
use crate::error::{Errno, Error, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The number of a stack's link.
const LINK: u32 = 1;
/// Bytes of the longest item, an in6_pktinfo.
const LONGEST: usize = 20;

/// An item of control data, without the header that says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancillary {
    /// `cmsg_level`.
    pub level: i32,
    /// `cmsg_type`.
    pub kind: i32,
    bytes: [u8; LONGEST],
    length: usize,
}

impl Ancillary {
    fn new(level: i32, kind: i32, value: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[..value.len()].copy_from_slice(value);
        Self { level, kind, bytes, length: value.len() }
    }

    /// Its bytes.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Handling {
    /// Adds what an item of control data asks for. EINVAL (not understood, or a wrong length or value), ENODEV (another link than the only one).
    pub fn ask(&mut self, level: i32, kind: i32, value: &[u8]) -> Result<()> {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let value: &[u8; 12] = exactly(value)?;
                check_link(number(&value[..4])?)?;
                let source = Ipv4Addr::from(u32::from_be(number(&value[4..8])?));
                self.source = (!source.is_unspecified()).then_some(source.into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let value: &[u8; LONGEST] = exactly(value)?;
                check_link(number(&value[16..])?)?;
                let mut source = [0; 16];
                source.copy_from_slice(&value[..16]);
                let source = Ipv6Addr::from(source);
                self.source = (!source.is_unspecified()).then_some(source.into());
            }
            (libc::IPPROTO_IP, libc::IP_TTL) => self.hops = Some(byte(signed(value)?, 1)?),
            (libc::IPPROTO_IP, libc::IP_TOS) => {
                let class = if let [byte] = value { i32::from(*byte) } else { signed(value)? };
                self.class = Some(byte(class, 0)?);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => self.hops = byte_or_default(signed(value)?)?,
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => self.class = byte_or_default(signed(value)?)?,
            _ => {
                return Err(invalid(format!(
                    "control data of level {level} and type {kind} is not understood"
                )));
            }
        }
        Ok(())
    }
}

impl Message {
    /// What is told with it, in the order in which recvmsg(2) writes it.
    pub fn ancillary(&self) -> impl Iterator<Item = Ancillary> {
        let six = self.from.is_some_and(|from| from.is_ipv6());
        let to = self.to.map(|to| match to {
            IpAddr::V4(to) => {
                let (link, to) = (LINK.to_ne_bytes(), to.octets());
                Ancillary::new(libc::IPPROTO_IP, libc::IP_PKTINFO, &[link, to, to].concat())
            }
            IpAddr::V6(to) => {
                let value = [&to.octets()[..], &LINK.to_ne_bytes()].concat();
                Ancillary::new(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &value)
            }
        });
        let hops = self.hops.map(|hops| {
            let (level, kind) = if six {
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
            } else {
                (libc::IPPROTO_IP, libc::IP_TTL)
            };
            Ancillary::new(level, kind, &i32::from(hops).to_ne_bytes())
        });
        let class = self.class.map(|class| {
            if six {
                Ancillary::new(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &i32::from(class).to_ne_bytes())
            } else {
                // A byte, as the system has it.
                Ancillary::new(libc::IPPROTO_IP, libc::IP_TOS, &[class])
            }
        });
        [to, hops, class].into_iter().flatten()
    }
}

fn invalid(text: String) -> Error {
    Error::new(Errno::EINVAL, text)
}

fn exactly<const N: usize>(value: &[u8]) -> Result<&[u8; N]> {
    value.try_into().map_err(|_| invalid(format!("control data of {} bytes, not {N}", value.len())))
}

fn number(value: &[u8]) -> Result<u32> {
    exactly(value).map(|bytes| u32::from_ne_bytes(*bytes))
}

fn signed(value: &[u8]) -> Result<i32> {
    number(value).map(u32::cast_signed)
}

fn byte(number: i32, least: u8) -> Result<u8> {
    let byte = u8::try_from(number).ok().filter(|byte| *byte >= least);
    byte.ok_or_else(|| invalid(format!("{number} is not from {least} to 255")))
}

/// -1 stands for what the socket's options say.
fn byte_or_default(number: i32) -> Result<Option<u8>> {
    if number == -1 { Ok(None) } else { byte(number, 0).map(Some) }
}

fn check_link(link: u32) -> Result<()> {
    match link {
        0 | LINK => Ok(()),
        _ => Err(Error::new(Errno::ENODEV, format!("link {link}: a stack has one, number {LINK}"))),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_datagram_can_be_asked_for_another() {
        for (from, to) in [("192.0.2.1:9", "192.0.2.2"), ("[2001:db8::1]:9", "2001:db8::2")] {
            let to: IpAddr = to.parse().expect("an address");
            let message = Message {
                from: Some(from.parse().expect("an address")),
                to: Some(to),
                hops: Some(7),
                class: Some(0xb8),
                ..Message::default()
            };
            let mut handling = Handling::default();
            for item in message.ancillary() {
                handling.ask(item.level, item.kind, item.value()).expect("it is understood");
            }
            assert_eq!(handling, Handling { source: Some(to), hops: Some(7), class: Some(0xb8) });
        }
        assert_eq!(Message::default().ancillary().count(), 0);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |level, kind, value: &[u8]| {
            Handling::default().ask(level, kind, value).expect_err("it makes no sense").errno()
        };
        let int = |number: i32| number.to_ne_bytes();
        assert_eq!(refused(libc::SOL_SOCKET, libc::SCM_RIGHTS, &int(1)), Errno::EINVAL);
        assert_eq!(refused(libc::IPPROTO_IP, libc::IP_TTL, &int(0)), Errno::EINVAL);
        assert_eq!(refused(libc::IPPROTO_IP, libc::IP_TTL, &int(256)), Errno::EINVAL);
        assert_eq!(refused(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &int(-2)), Errno::EINVAL);
        assert_eq!(refused(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &[0; 5]), Errno::EINVAL);
        assert_eq!(refused(libc::IPPROTO_IP, libc::IP_PKTINFO, &[0; 11]), Errno::EINVAL);
        let elsewhere = [&int(2)[..], &[0; 8]].concat();
        assert_eq!(refused(libc::IPPROTO_IP, libc::IP_PKTINFO, &elsewhere), Errno::ENODEV);
        let mut handling = Handling { hops: Some(3), ..Handling::default() };
        handling.ask(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &int(-1)).expect("the default");
        assert_eq!(handling, Handling::default());
    }
}
