//! The kernel's side of a TUN: addresses, MTU, queue length, link state.

use super::netlink::{LinkStatus, Netlink};
use crate::config::Prefix;
use crate::error::{Errno, Error, Result};
use core::time::Duration;
use std::thread;
use std::time::Instant;

/// Packets that the queue of a TUN holds: a burst of the kernel's largest window fits, where the default of 500 drops.
pub(crate) const QUEUE_LENGTH: u32 = 10_000;

/// A link runs within milliseconds of being set up; linkwatch may take a second.
const RUNS_WITHIN: Duration = Duration::from_secs(5);

/// Sets `addresses`, `mtu`, the queue length and the link up where they are not so already, and waits for the link to run: what is
/// sent before that is lost.
pub(crate) fn configure(netlink: &mut Netlink, name: &str, addresses: &[Prefix], mtu: u16) -> Result<()> {
    let status = netlink.link(name).map_err(|e| failed(e, &format!("cannot find interface {name}")))?;
    for prefix in addresses {
        add_address(netlink, name, status.index, *prefix)?;
    }
    set_up(netlink, name, &status, mtu)?;
    if status.queue_length < QUEUE_LENGTH {
        match netlink.set_link(status.index, true, None, Some(QUEUE_LENGTH)) {
            // A persistent device of an ordinary user: a short queue costs speed only.
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(failed(errno, &format!("cannot set the queue length of {name}"))),
        }
    }
    wait_until_running(netlink, name)
}

/// Adds an address to interface `index`, called `name`.
pub(crate) fn add_address(netlink: &mut Netlink, name: &str, index: u32, prefix: Prefix) -> Result<()> {
    netlink.add_address(index, prefix).map_err(|errno| {
        let what = format!("cannot give {name} the address {prefix}");
        let off = matches!(errno, Errno::EACCES | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT);
        if prefix.address.is_ipv6() && off {
            let why = "IPv6 is switched off there (net.ipv6.conf.all.disable_ipv6, or ipv6.disable at boot)";
            return Error::new(errno, format!("{what}: {why}"));
        }
        if errno == Errno::EPERM {
            let way = format!("ip address add {prefix} dev {name}");
            return Error::new(errno, format!("{what}: that needs CAP_NET_ADMIN; as root: {way}"));
        }
        failed(errno, &what)
    })
}

fn set_up(netlink: &mut Netlink, name: &str, status: &LinkStatus, mtu: u16) -> Result<()> {
    let mtu = u32::from(mtu);
    let up = status.flags & libc::IFF_UP.cast_unsigned() != 0;
    if up && status.mtu == mtu {
        return Ok(());
    }
    let new_mtu = (status.mtu != mtu).then_some(mtu);
    netlink.set_link(status.index, true, new_mtu, None).map_err(|errno| {
        let what = format!("cannot set interface {name} up with MTU {mtu}");
        if errno == Errno::EPERM {
            let way = format!("ip link set dev {name} mtu {mtu} up");
            return Error::new(errno, format!("{what}: that needs CAP_NET_ADMIN; as root: {way}"));
        }
        failed(errno, &what)
    })
}

pub(crate) fn wait_until_running(netlink: &mut Netlink, name: &str) -> Result<()> {
    let wanted = (libc::IFF_UP | libc::IFF_RUNNING).cast_unsigned();
    let deadline = Instant::now() + RUNS_WITHIN;
    loop {
        let status = netlink.link(name).map_err(|e| failed(e, &format!("lost interface {name}")))?;
        if status.flags & wanted == wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::new(
                Errno::ENETDOWN,
                format!("interface {name} does not run {} s after it was set up", RUNS_WITHIN.as_secs()),
            ));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn failed(errno: Errno, what: &str) -> Error {
    Error::new(errno, format!("{what}: {errno}"))
}
