//! Options that only datagram sockets have, in the byte form of Linux.

use crate::error::Errno;
use crate::stack::socket::ip::{IPPROTO_IP, IPPROTO_IPV6};
use crate::stack::socket::options::{SOL_SOCKET, int, within};

/// The type of datagram sockets.
pub(super) const SOCK_DGRAM: i32 = 2;
/// Names of options: those of `<asm-generic/socket.h>`, `<linux/in.h>` and `<linux/in6.h>`.
mod names {
    pub(super) const SO_BROADCAST: i32 = 6;
    pub(super) const IP_MULTICAST_TTL: i32 = 33;
    pub(super) const IPV6_MULTICAST_HOPS: i32 = 18;
}

/// What a datagram socket is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) struct DatagramOptions {
    /// SO_BROADCAST: datagrams to broadcast addresses may be sent.
    pub broadcast: bool,
    /// IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS.
    pub multicast_hops: u8,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self { broadcast: false, multicast_hops: 1 }
    }
}

impl DatagramOptions {
    /// Sets an option of a socket of this family; `None` if it is not one of these. EINVAL.
    pub(in crate::stack) fn set(
        &mut self,
        six: bool,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Option<Result<(), Errno>> {
        let done = match (level, name) {
            (SOL_SOCKET, names::SO_BROADCAST) => int(value).map(|on| self.broadcast = on != 0),
            (IPPROTO_IP, names::IP_MULTICAST_TTL) if !six => self.set_multicast_hops(value),
            (IPPROTO_IPV6, names::IPV6_MULTICAST_HOPS) if six => self.set_multicast_hops(value),
            _ => return None,
        };
        Some(done)
    }

    /// Reads one.
    pub(in crate::stack) fn value(&self, six: bool, level: i32, name: i32) -> Option<i32> {
        let number = match (level, name) {
            (SOL_SOCKET, names::SO_BROADCAST) => i32::from(self.broadcast),
            (IPPROTO_IP, names::IP_MULTICAST_TTL) if !six => i32::from(self.multicast_hops),
            (IPPROTO_IPV6, names::IPV6_MULTICAST_HOPS) if six => i32::from(self.multicast_hops),
            _ => return None,
        };
        Some(number)
    }

    /// A number, or a byte as well; -1 is the default.
    fn set_multicast_hops(&mut self, value: &[u8]) -> Result<(), Errno> {
        self.multicast_hops = match value {
            [byte] => *byte,
            value => u8::try_from(within(value, -1, 255)?).unwrap_or(1),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_and_each_family_has_its_own() {
        let table = [
            (None, SOL_SOCKET, 6, 1, 1),
            (Some(false), IPPROTO_IP, 33, 7, 7),
            (Some(false), IPPROTO_IP, 33, -1, 1),
            (Some(true), IPPROTO_IPV6, 18, 255, 255),
        ];
        for (family, level, name, number, read) in table {
            for six in [false, true] {
                let mut options = DatagramOptions::default();
                let ours = family.is_none_or(|family| family == six);
                let set = options.set(six, level, name, &i32::to_ne_bytes(number));
                assert_eq!(set, ours.then_some(Ok(())), "{level} {name}");
                assert_eq!(options.value(six, level, name), ours.then_some(read), "{level} {name}");
            }
        }
    }

    #[test]
    fn wrong_values_are_refused_and_change_nothing() {
        let mut options = DatagramOptions::default();
        for (level, name, value) in [(0, 33, &256i32.to_ne_bytes()[..]), (0, 33, &[1, 0]), (1, 6, &[])] {
            assert_eq!(options.set(false, level, name, value), Some(Err(Errno::EINVAL)));
        }
        assert_eq!(options, DatagramOptions::default());
        assert_eq!(options.set(false, 0, 33, &[9]), Some(Ok(())));
        assert_eq!(options.multicast_hops, 9);
        // Groups are not joined.
        assert_eq!(options.set(false, 0, 35, &[0; 8]), None);
    }
}
