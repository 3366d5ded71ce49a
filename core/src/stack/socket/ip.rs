//! Options of the IP levels, under the kernel's numbers: what a socket has written into the IP headers of its packets.

use super::options::int;
use crate::error::Errno;

/// Level of IPv4 options.
pub const IPPROTO_IP: i32 = 0;
/// Level of IPv6 options.
pub const IPPROTO_IPV6: i32 = 41;

/// Names of the options under [`IPPROTO_IP`].
pub mod v4 {
    #![allow(missing_docs, reason = "the names are those of <netinet/in.h>")]
    pub const IP_TOS: i32 = 1;
    pub const IP_TTL: i32 = 2;
    pub const IP_MTU_DISCOVER: i32 = 10;
    pub const IP_MTU: i32 = 14;
    pub const IP_TRANSPARENT: i32 = 19;
}

/// Names of the options under [`IPPROTO_IPV6`].
pub mod v6 {
    #![allow(missing_docs, reason = "the names are those of <netinet/in.h>")]
    pub const IPV6_UNICAST_HOPS: i32 = 16;
    pub const IPV6_MTU_DISCOVER: i32 = 23;
    pub const IPV6_MTU: i32 = 24;
    pub const IPV6_TCLASS: i32 = 67;
    pub const IPV6_TRANSPARENT: i32 = 75;
}

/// The ECN bits of a traffic class. Of a stream they are TCP's, not the program's.
const ECN: u8 = 3;

/// Whether a socket finds out what its path carries: IP_MTU_DISCOVER, IPV6_MTU_DISCOVER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// IP_PMTUDISC_DONT: routers may cut its IPv4 packets into fragments, and its IPv6 packets are no longer than every path carries.
    Dont,
    /// IP_PMTUDISC_WANT: it does, and only where a path is narrower than `path_mtu_min` routers may cut.
    Want,
    /// IP_PMTUDISC_DO: it does, and nothing is ever cut.
    Do,
    /// IP_PMTUDISC_PROBE: nothing is ever cut, and the program finds out itself, with datagrams as long as the link carries; of a stream, its
    /// segments do, and what routers say is not believed.
    Probe,
}

impl Discovery {
    fn from_number(number: i32) -> Option<Self> {
        [Self::Dont, Self::Want, Self::Do, Self::Probe].into_iter().find(|one| one.number() == number)
    }

    const fn number(self) -> i32 {
        match self {
            Self::Dont => 0,
            Self::Want => 1,
            Self::Do => 2,
            Self::Probe => 3,
        }
    }
}

/// What packets of one family are sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// IP_TTL, IPV6_UNICAST_HOPS.
    pub hop_limit: u8,
    /// IP_TOS, IPV6_TCLASS.
    pub traffic_class: u8,
    /// IP_MTU_DISCOVER, IPV6_MTU_DISCOVER.
    pub discovery: Discovery,
}

/// The options of a socket. One of AF_INET6 has those of both levels, as in Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For IPv4.
    pub v4: Family,
    /// For IPv6.
    pub v6: Family,
    /// What -1 stands for: the hop limit and traffic class of new sockets.
    defaults: (u8, u8),
    /// Bits of the traffic classes that the program does not set.
    kept: u8,
    /// IP_TRANSPARENT, IPV6_TRANSPARENT, which are one: the socket may have an address that is none of the stack's.
    pub transparent: bool,
}

impl Settings {
    /// Those of a new socket.
    #[must_use]
    pub const fn new(hop_limit: u8, traffic_class: u8) -> Self {
        let family = Family { hop_limit, traffic_class, discovery: Discovery::Want };
        Self { v4: family, v6: family, defaults: (hop_limit, traffic_class), kept: ECN, transparent: false }
    }

    /// The same for a socket whose protocol leaves ECN to the program.
    #[must_use]
    pub const fn with_ecn(self) -> Self {
        Self { kept: 0, ..self }
    }

    /// Sets an option. ENOPROTOOPT for what is not known or is read-only, EINVAL for a wrong length or value.
    pub fn set(&mut self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        let ((hops, class), kept) = (self.defaults, self.kept);
        match (level, name) {
            (IPPROTO_IP, v4::IP_TTL) => self.v4.hop_limit = within_byte(short(value)?, 1, hops)?,
            (IPPROTO_IPV6, v6::IPV6_UNICAST_HOPS) => self.v6.hop_limit = within_byte(int(value)?, 1, hops)?,
            // Linux takes the low byte of whatever it gets.
            (IPPROTO_IP, v4::IP_TOS) => self.v4.put_class(short(value)? as u8, kept),
            (IPPROTO_IPV6, v6::IPV6_TCLASS) => {
                self.v6.put_class(within_byte(int(value)?, 0, class)?, kept);
            }
            (IPPROTO_IP, v4::IP_MTU_DISCOVER) => self.v4.discovery = discovery(short(value)?)?,
            (IPPROTO_IPV6, v6::IPV6_MTU_DISCOVER) => self.v6.discovery = discovery(int(value)?)?,
            (IPPROTO_IP, v4::IP_TRANSPARENT) => self.transparent = short(value)? != 0,
            (IPPROTO_IPV6, v6::IPV6_TRANSPARENT) => self.transparent = int(value)? != 0,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// Reads an option. ENOPROTOOPT for what is not known.
    pub fn value(&self, level: i32, name: i32) -> Result<i32, Errno> {
        Ok(match (level, name) {
            (IPPROTO_IP, v4::IP_TTL) => i32::from(self.v4.hop_limit),
            (IPPROTO_IPV6, v6::IPV6_UNICAST_HOPS) => i32::from(self.v6.hop_limit),
            (IPPROTO_IP, v4::IP_TOS) => i32::from(self.v4.traffic_class),
            (IPPROTO_IPV6, v6::IPV6_TCLASS) => i32::from(self.v6.traffic_class),
            (IPPROTO_IP, v4::IP_MTU_DISCOVER) => self.v4.discovery.number(),
            (IPPROTO_IPV6, v6::IPV6_MTU_DISCOVER) => self.v6.discovery.number(),
            (IPPROTO_IP, v4::IP_TRANSPARENT) | (IPPROTO_IPV6, v6::IPV6_TRANSPARENT) => {
                i32::from(self.transparent)
            }
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}

impl Family {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.9
    //# the application SHOULD be able to change the Differentiated Services field during the connection lifetime (SHLD-21).
    const fn put_class(&mut self, class: u8, kept: u8) {
        self.traffic_class = class & !kept | self.traffic_class & kept;
    }
}

/// A number from `least` to 255; -1 stands for `default`.
fn within_byte(number: i32, least: u8, default: u8) -> Result<u8, Errno> {
    match u8::try_from(number) {
        Ok(byte) if byte >= least => Ok(byte),
        _ if number == -1 => Ok(default),
        _ => Err(Errno::EINVAL),
    }
}

fn discovery(number: i32) -> Result<Discovery, Errno> {
    Discovery::from_number(number).ok_or(Errno::EINVAL)
}

/// A C `int`, or a single byte, as it will do for IPv4.
fn short(value: &[u8]) -> Result<i32, Errno> {
    match *value {
        [byte] | [byte, _] | [byte, _, _] => Ok(i32::from(byte)),
        _ => int(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_back_as_they_were_set() {
        let table: [(i32, i32, &[u8], i32); 17] = [
            (IPPROTO_IP, v4::IP_TTL, &1i32.to_ne_bytes(), 1),
            (IPPROTO_IP, v4::IP_TTL, &[255], 255),
            (IPPROTO_IP, v4::IP_TTL, &(-1i32).to_ne_bytes(), 64),
            (IPPROTO_IP, v4::IP_TOS, &0xb8i32.to_ne_bytes(), 0xb8),
            (IPPROTO_IP, v4::IP_TOS, &[0xff], 0xfc),
            (IPPROTO_IP, v4::IP_TOS, &0x1_28i32.to_ne_bytes(), 0x28),
            (IPPROTO_IP, v4::IP_MTU_DISCOVER, &0i32.to_ne_bytes(), 0),
            (IPPROTO_IP, v4::IP_MTU_DISCOVER, &2i32.to_ne_bytes(), 2),
            (IPPROTO_IP, v4::IP_MTU_DISCOVER, &3i32.to_ne_bytes(), 3),
            (IPPROTO_IPV6, v6::IPV6_UNICAST_HOPS, &9i32.to_ne_bytes(), 9),
            (IPPROTO_IPV6, v6::IPV6_UNICAST_HOPS, &(-1i32).to_ne_bytes(), 64),
            (IPPROTO_IPV6, v6::IPV6_TCLASS, &0xffi32.to_ne_bytes(), 0xfc),
            (IPPROTO_IPV6, v6::IPV6_TCLASS, &(-1i32).to_ne_bytes(), 0),
            (IPPROTO_IPV6, v6::IPV6_MTU_DISCOVER, &0i32.to_ne_bytes(), 0),
            (IPPROTO_IP, v4::IP_TRANSPARENT, &[7], 1),
            (IPPROTO_IPV6, v6::IPV6_TRANSPARENT, &1i32.to_ne_bytes(), 1),
            (IPPROTO_IPV6, v6::IPV6_TRANSPARENT, &0i32.to_ne_bytes(), 0),
        ];
        for (level, name, bytes, expected) in table {
            let mut settings = Settings::new(64, 0);
            assert_eq!(settings.set(level, name, bytes), Ok(()), "{level} {name}");
            assert_eq!(settings.value(level, name), Ok(expected), "{level} {name}");
        }
        // What TCP itself has put there stays.
        let mut settings = Settings::new(64, 2);
        assert_eq!(settings.set(IPPROTO_IP, v4::IP_TOS, &[0x29]), Ok(()));
        assert_eq!(settings.v4.traffic_class, 0x2a);
        let mut settings = settings.with_ecn();
        assert_eq!(settings.set(IPPROTO_IP, v4::IP_TOS, &[0x29]), Ok(()));
        assert_eq!(settings.set(IPPROTO_IPV6, v6::IPV6_TCLASS, &3i32.to_ne_bytes()), Ok(()));
        assert_eq!((settings.v4.traffic_class, settings.v6.traffic_class), (0x29, 3));
    }

    #[test]
    fn options_refuse_what_they_cannot_take() {
        let table: [(i32, i32, i32, Errno); 12] = [
            (IPPROTO_IP, v4::IP_TTL, 0, Errno::EINVAL),
            (IPPROTO_IP, v4::IP_TTL, 256, Errno::EINVAL),
            (IPPROTO_IP, v4::IP_MTU_DISCOVER, 4, Errno::EINVAL),
            (IPPROTO_IP, v4::IP_MTU_DISCOVER, -1, Errno::EINVAL),
            (IPPROTO_IP, v4::IP_MTU, 1400, Errno::ENOPROTOOPT),
            (IPPROTO_IP, v6::IPV6_TCLASS, 1, Errno::ENOPROTOOPT),
            (IPPROTO_IPV6, v6::IPV6_UNICAST_HOPS, 0, Errno::EINVAL),
            (IPPROTO_IPV6, v6::IPV6_UNICAST_HOPS, -2, Errno::EINVAL),
            (IPPROTO_IPV6, v6::IPV6_TCLASS, 256, Errno::EINVAL),
            (IPPROTO_IPV6, v6::IPV6_MTU_DISCOVER, 5, Errno::EINVAL),
            (IPPROTO_IPV6, v6::IPV6_MTU, 1400, Errno::ENOPROTOOPT),
            (6, v4::IP_TTL, 1, Errno::ENOPROTOOPT),
        ];
        let before = Settings::new(64, 0);
        for (level, name, number, errno) in table {
            let mut settings = before;
            assert_eq!(
                settings.set(level, name, &number.to_ne_bytes()),
                Err(errno),
                "{level} {name} {number}"
            );
            assert_eq!(settings, before);
        }
        let mut settings = before;
        assert_eq!(settings.set(IPPROTO_IPV6, v6::IPV6_TCLASS, &[1]), Err(Errno::EINVAL), "no short form");
        assert_eq!(settings.set(IPPROTO_IP, v4::IP_TOS, &[]), Err(Errno::EINVAL));
    }
}
