//! How many packets wait in a TUN that somebody else has opened, perhaps in another namespace.

use super::namespace;
use crate::device::netlink::Netlink;
use crate::sys;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// Packets that the queue of `tun`'s interface holds before it drops; `None` if that cannot be known. Only the interface's own namespace tells, by name; where
/// the kernel does not say to this user which that is, it is taken to be this thread's.
pub(crate) fn queue_length(tun: BorrowedFd<'_>) -> Option<u32> {
    let name = sys::tun_interface(tun).ok()?.name;
    let mut netlink = match sys::tun_namespace(tun) {
        Ok(namespace) => netlink_of(namespace)?,
        Err(_) => Netlink::open().ok()?,
    };
    netlink.link(&name).ok().map(|status| status.queue_length)
}

/// A socket for the namespace. Root enters another as it is, an ordinary user only as the owner of its user namespace.
fn netlink_of(namespace: OwnedFd) -> Option<Netlink> {
    let namespace = File::from(namespace);
    let (own, asked) = (fs::metadata("/proc/thread-self/ns/net").ok()?, namespace.metadata().ok()?);
    if (own.dev(), own.ino()) == (asked.dev(), asked.ino()) {
        return Netlink::open().ok();
    }
    let namespace = OwnedFd::from(namespace);
    let socket = namespace::netlink_of(&namespace, None).ok().or_else(|| {
        let user = sys::namespace_owner(namespace.as_fd()).ok()?;
        namespace::netlink_of(&namespace, Some(&user)).ok()
    })?;
    Netlink::from_socket(socket).ok()
}
