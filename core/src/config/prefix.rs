//! An address with the length of its prefix, and the family of an address.

use crate::error::{Errno, Error};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// An address and the length of the prefix that is on the link with it, as in `192.0.2.2/24`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prefix {
    /// The address itself.
    pub address: IpAddr,
    /// Length of the on-link prefix in bits: 0 to 32, or 0 to 128.
    pub length: u8,
}

impl Prefix {
    /// Whether `other` lies in this prefix; never across families.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.length.min(32));
                (u64::from(a.to_bits()) >> shift) == (u64::from(b.to_bits()) >> shift)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.length.min(128));
                shift == 128 || (a.to_bits() >> shift) == (b.to_bits() >> shift)
            }
            _ => false,
        }
    }
}

impl Prefix {
    /// The address of all hosts of its network; those of 31 and 32 bits have none (RFC 3021), nor has IPv6.
    #[must_use]
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        let IpAddr::V4(v4) = self.address else { return None };
        let hosts = u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
        (self.length < 31).then(|| (v4.to_bits() | hosts).into())
    }

    /// Whether one host can have the address on a link.
    pub(super) fn names_a_host(&self) -> bool {
        let several = match self.address {
            IpAddr::V4(v4) => v4.is_broadcast() || v4.octets()[0] == 0 || self.broadcast() == Some(v4),
            IpAddr::V6(v6) => v6.is_unspecified() || v6.to_ipv4_mapped().is_some(),
        };
        !several && !self.address.is_multicast() && !self.address.is_loopback()
    }

    /// The address alone.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// The network that it lies in: its first address, with the same length.
    #[must_use]
    pub fn network(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length.min(32))).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length.min(128))).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        Self { address, length: self.length }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = Error;
    /// Parses `address/length`; an address alone stands for its full length (/32, /128).
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            let hint = "write an address and a prefix length, such as 192.0.2.2/24 or 2001:db8::2/64";
            Error::new(Errno::EINVAL, format!("'{text}' is not an interface address: {hint}"))
        };
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(digits) => digits.parse::<u8>().ok().filter(|l| *l <= most).ok_or_else(bad)?,
            None => most,
        };
        Ok(Self { address, length })
    }
}

/// Address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// AF_INET.
    V4,
    /// AF_INET6.
    V6,
}

impl Domain {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}
