//! The kernel's side of a TUN: addresses, MTU, queue length, link state.

use super::netlink::{LinkStatus, Netlink};
use crate::config::Prefix;
use crate::error::{Errno, Error, Result};
use core::time::Duration;
use std::net::IpAddr;
use std::thread;
use std::time::Instant;

/// Packets that the queue of a TUN holds: a burst of the kernel's largest window fits, where the default of 500 drops.
pub(crate) const QUEUE_LENGTH: u32 = 10_000;

/// A link runs within milliseconds of being set up; linkwatch may take a second.
const RUNS_WITHIN: Duration = Duration::from_secs(5);

/// Sets `addresses`, `mtu`, the queue length and the link up where they are not so already, and waits for the link to run: what is
/// sent before that is lost. Returns the packets that the queue holds then.
pub(crate) fn configure(netlink: &mut Netlink, name: &str, addresses: &[Prefix], mtu: u16) -> Result<u32> {
    let status = netlink.link(name).map_err(|e| failed(e, &format!("cannot find interface {name}")))?;
    for prefix in addresses {
        add_address(netlink, name, status.index, *prefix)?;
    }
    set_up(netlink, name, &status, mtu)?;
    let mut queue_length = status.queue_length;
    if queue_length < QUEUE_LENGTH {
        match netlink.set_link(status.index, true, None, Some(QUEUE_LENGTH)) {
            Ok(()) => queue_length = QUEUE_LENGTH,
            // A persistent device of an ordinary user: a short queue costs speed only.
            Err(Errno::EPERM) => {}
            Err(errno) => return Err(failed(errno, &format!("cannot set the queue length of {name}"))),
        }
    }
    wait_until_running(netlink, name)?;
    addresses.iter().try_for_each(|prefix| wait_until_local(netlink, name, prefix.address))?;
    Ok(queue_length)
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

/// Waits until interface `name` runs.
pub(crate) fn wait_until_running(netlink: &mut Netlink, name: &str) -> Result<()> {
    let wanted = (libc::IFF_UP | libc::IFF_RUNNING).cast_unsigned();
    wait_until(&format!("interface {name} does not run"), || {
        let status = netlink.link(name).map_err(|e| failed(e, &format!("lost interface {name}")))?;
        Ok(status.flags & wanted == wanted)
    })
}

/// Waits until the kernel takes packets to `address`, which interface `name` has been given: an IPv6 address gets its route from a
/// work queue, and packets that come before are dropped.
pub(crate) fn wait_until_local(netlink: &mut Netlink, name: &str, address: IpAddr) -> Result<()> {
    wait_until(&format!("{address} is not an address of {name}"), || {
        netlink.is_local(address).map_err(|e| failed(e, &format!("cannot ask for the route to {address}")))
    })
}

fn wait_until(failure: &str, mut reached: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + RUNS_WITHIN;
    while !reached()? {
        if Instant::now() > deadline {
            let text = format!("{failure} {} s after it was set up", RUNS_WITHIN.as_secs());
            return Err(Error::new(Errno::ENETDOWN, text));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn failed(errno: Errno, what: &str) -> Error {
    Error::new(errno, format!("{what}: {errno}"))
}
