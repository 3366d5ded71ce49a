//! Links of the operating system: TUN, plain and with vnet header, and descriptors that a program opened.
//!
//! What a TUN says when its interface is not there, and what becomes of it here (Linux 6.18):
//!
//! | interface | poll | read | write |
//! |---|---|---|---|
//! | up | IN when a packet waits, OUT | packet or EAGAIN | length |
//! | down | neither OUT nor ERR | EAGAIN | EIO: [`DeviceError::Down`] |
//! | up again | OUT, and wakes who polls for it | as before | as before |
//! | deleted | ERR | EBADFD: [`DeviceError::Gone`] | EBADFD: [`DeviceError::Gone`] |
//!
//! A device that has answered a send with `Down` answers `recv` with it too until OUT shows again; so whoever was told `Down` asks
//! `recv` now and then, or polls the descriptor for OUT.

mod fd;
pub(crate) mod interface;
pub(crate) mod netlink;
#[cfg(test)]
mod tests;
mod tun;
mod vnet;

use crate::config::Prefix;
use crate::error::{Errno, Error, Result};
use crate::link::{Device, DeviceError, SLICES_MAX, Transmit};
use crate::sys::{self, FileKind};
use netlink::Netlink;
use std::ffi::CStr;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The device that makes TUN devices.
pub(crate) const TUN_PATH: &CStr = c"/dev/net/tun";
const TUN_MAJOR_MINOR: (u32, u32) = (10, 200);
/// Longest name of an interface, bytes.
const NAME_MAX: usize = 15;

/// How a TUN is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    Vnet,
}

/// Opens a TUN device by name in this namespace. `offload`: `Some(true)` required, `Some(false)` never, `None` where granted.
/// Sets `host_addresses`, `mtu`, the queue length and the link up, and waits for it to run. Returns its `queues`, a device each, and its name.
pub fn open_tun(
    name: Option<&str>,
    host_addresses: &[Prefix],
    mtu: u16,
    offload: Option<bool>,
    queues: usize,
) -> Result<(Vec<Box<dyn Device>>, String)> {
    let wish = name.unwrap_or("");
    check_name(wish)?;
    let (fd, mode, name) = match offload {
        Some(false) => open_as(Mode::Plain, wish, queues)?,
        Some(true) => open_as(Mode::Vnet, wish, queues)?,
        None => match open_as(Mode::Vnet, wish, queues) {
            Err(error) if error.errno() == Errno::EINVAL => open_as(Mode::Plain, wish, queues)?,
            result => result?,
        },
    };
    let mut fds = vec![fd];
    while fds.len() < queues {
        fds.push(open_as(mode, &name, queues)?.0);
    }
    let mut netlink = Netlink::open()?;
    let queue = interface::configure(&mut netlink, &name, host_addresses, mtu)?;
    Ok((fds.into_iter().map(|fd| device(mode, fd, mtu, Some(queue))).collect(), name))
}

/// Takes over a descriptor: a TUN in whatever mode it is, or a packet socket of `SOCK_SEQPACKET` or `SOCK_DGRAM`. Returns the device and its name, if it has one.
/// Its open file becomes non-blocking. The interface of a TUN is left as it is: `mtu` is what the stack sends at most, and `queue_length` says how many
/// packets its queue holds, if that can be known.
pub fn from_descriptor(
    fd: OwnedFd,
    mtu: u16,
    queue_length: impl FnOnce(BorrowedFd<'_>) -> Option<u32>,
) -> Result<(Box<dyn Device>, String)> {
    let (major, minor) = TUN_MAJOR_MINOR;
    let kind = sys::file_kind(fd.as_fd())?;
    if kind == FileKind::Socket {
        return Ok((from_socket(fd, mtu)?, String::new()));
    }
    if kind != FileKind::CharacterDevice(major, minor) {
        return Err(unsuitable("it is neither a TUN device nor a socket"));
    }
    let (mode, name) = attached(&fd)?;
    let queue = queue_length(fd.as_fd());
    Ok((device(mode, fd, mtu, queue), name))
}

/// Takes over descriptors that are the queues of one TUN. Otherwise as [`from_descriptor`].
pub fn from_queues(
    fds: Vec<OwnedFd>,
    mtu: u16,
    queue_length: impl FnOnce(BorrowedFd<'_>) -> Option<u32>,
) -> Result<(Vec<Box<dyn Device>>, String)> {
    let (major, minor) = TUN_MAJOR_MINOR;
    let mut attachments = Vec::new();
    for fd in &fds {
        if sys::file_kind(fd.as_fd())? != FileKind::CharacterDevice(major, minor) {
            return Err(unsuitable("only a TUN device has several queues"));
        }
        attachments.push(attached(fd)?);
        if !is_queue(fd) {
            return Err(unsuitable("it is no queue of several: open the TUN device with IFF_MULTI_QUEUE"));
        }
    }
    let (Some(fd), Some((mode, name))) = (fds.first(), attachments.first().cloned()) else {
        return Err(unsuitable("there is none"));
    };
    if attachments.iter().any(|attachment| *attachment != (mode, name.clone())) {
        return Err(unsuitable("it is not of the same TUN device as the others"));
    }
    let queue = queue_length(fd.as_fd());
    Ok((fds.into_iter().map(|fd| device(mode, fd, mtu, queue)).collect(), name))
}

fn is_queue(fd: &OwnedFd) -> bool {
    sys::tun_interface(fd.as_fd()).is_ok_and(|interface| interface.flags & libc::IFF_MULTI_QUEUE != 0)
}

fn device(mode: Mode, fd: OwnedFd, mtu: u16, queue: Option<u32>) -> Box<dyn Device> {
    match mode {
        Mode::Plain => Box::new(tun::PlainTun::new(fd, mtu, queue)),
        Mode::Vnet => Box::new(vnet::VnetTun::new(fd, mtu, queue)),
    }
}

fn from_socket(fd: OwnedFd, mtu: u16) -> Result<Box<dyn Device>> {
    let kind = sys::socket_option(fd.as_fd(), libc::SO_TYPE)?;
    if kind != libc::SOCK_SEQPACKET && kind != libc::SOCK_DGRAM {
        let why = "a socket must be SOCK_SEQPACKET or SOCK_DGRAM, so that a message is a packet";
        return Err(unsuitable(why));
    }
    sys::set_nonblocking_and_cloexec(fd.as_fd())?;
    Ok(Box::new(fd::PacketSocket::new(fd, mtu, kind)))
}

/// Mode and name of a TUN that somebody else has opened.
fn attached(fd: &OwnedFd) -> Result<(Mode, String)> {
    let interface = sys::tun_interface(fd.as_fd())
        .map_err(|_| unsuitable("it is /dev/net/tun, but no interface is attached to it (TUNSETIFF)"))?;
    if interface.flags & libc::IFF_TUN == 0 {
        return Err(unsuitable("it is a TAP device: packets must begin with their IP header, so IFF_TUN"));
    }
    if interface.flags & libc::IFF_NO_PI == 0 {
        return Err(unsuitable("packets must begin with their IP header: set IFF_NO_PI on the TUN device"));
    }
    sys::set_nonblocking_and_cloexec(fd.as_fd())?;
    if interface.flags & libc::IFF_VNET_HDR == 0 {
        return Ok((Mode::Plain, interface.name));
    }
    negotiate(fd).map_err(|errno| Error::new(errno, format!("the TUN device refuses offload: {errno}")))?;
    Ok((Mode::Vnet, interface.name))
}

fn unsuitable(why: &str) -> Error {
    Error::new(Errno::EINVAL, format!("this descriptor cannot be the stack's link: {why}"))
}

fn check_name(name: &str) -> Result<()> {
    if name.len() > NAME_MAX {
        let text = format!("'{name}' is too long for the name of an interface: at most {NAME_MAX} bytes");
        return Err(Error::new(Errno::ENAMETOOLONG, text));
    }
    let odd = |c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace();
    if name.contains(odd) || name == "." || name == ".." {
        let text = format!("'{}' is no name for an interface", name.escape_debug());
        return Err(Error::new(Errno::EINVAL, text));
    }
    Ok(())
}

fn open_as(mode: Mode, name: &str, queues: usize) -> Result<(OwnedFd, Mode, String)> {
    match mode {
        Mode::Plain if queues > 1 => {
            let (fd, name) = attach(name, libc::IFF_MULTI_QUEUE, queues)?;
            Ok((fd, mode, name))
        }
        Mode::Plain => {
            let interface = tun_tap::Iface::without_packet_info(name, tun_tap::Mode::Tun)
                .map_err(|error| not_opened(error.raw_os_error().map_or(Errno::EIO, Errno), name, queues))?;
            let name = interface.name().to_owned();
            let fd = sys::owned_interface(interface);
            sys::set_nonblocking_and_cloexec(fd.as_fd())?;
            Ok((fd, mode, name))
        }
        Mode::Vnet => {
            let several = if queues > 1 { libc::IFF_MULTI_QUEUE } else { 0 };
            let (fd, name) = attach(name, libc::IFF_VNET_HDR | several, queues)?;
            negotiate(&fd).map_err(|errno| Error::new(errno, format!("{name} refuses offload: {errno}")))?;
            Ok((fd, mode, name))
        }
    }
}

/// Opens one queue of a TUN with `flags`, of `queues` in all.
fn attach(name: &str, flags: i32, queues: usize) -> Result<(OwnedFd, String)> {
    let fd = sys::open_read_write(TUN_PATH).map_err(|errno| not_opened(errno, name, queues))?;
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | flags;
    let interface =
        sys::tun_attach(fd.as_fd(), name, flags).map_err(|errno| not_opened(errno, name, queues))?;
    Ok((fd, interface.name))
}

fn negotiate(fd: &OwnedFd) -> Result<(), Errno> {
    let length = i32::try_from(vnet::HEADER).map_err(|_| Errno::EINVAL)?;
    sys::tun_set_header_length(fd.as_fd(), length)?;
    sys::tun_set_offload(fd.as_fd(), vnet::FEATURES)
}

/// Why a TUN could not be opened, and the ways out.
fn not_opened(errno: Errno, name: &str, queues: usize) -> Error {
    let device = if name.is_empty() { "a TUN device".to_owned() } else { format!("TUN device {name}") };
    let why = match errno {
        Errno::EINVAL if queues > 1 => format!(
            "{errno}: {queues} workers need {queues} queues of it, and an interface of that name is no TUN device, or was made without \
             multi_queue. Ways out: let root make it anew (ip tuntap add dev {name} mode tun multi_queue user USER), or open the stack with one worker"
        ),
        Errno::E2BIG if queues > 1 => {
            format!("{errno}: {queues} workers need {queues} queues of it, which are more than it may have")
        }
        Errno::EPERM | Errno::EACCES => {
            let owned = if name.is_empty() { "NAME" } else { name };
            format!(
                "{errno}. Ways out: run with CAP_NET_ADMIN; or let root make a persistent device for you \
                 (ip tuntap add dev {owned} mode tun user USER) and name it; or use a sandbox, which needs no privilege. \
                 In each case you must be allowed to open /dev/net/tun: it is usually of mode 0666 (chmod 0666 /dev/net/tun)"
            )
        }
        Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => format!(
            "/dev/net/tun is not there ({errno}). As root: modprobe tun; in a container, pass the device in (--device /dev/net/tun)"
        ),
        Errno::EBUSY => format!("{errno}: another program is attached to it, or it is no TUN device"),
        Errno::EINVAL => {
            format!("{errno}: an interface of that name is no TUN device, or has other flags (multi_queue)")
        }
        _ => errno.to_string(),
    };
    Error::new(errno, format!("cannot open {device}: {why}"))
}

/// Appends the transmit's slices; a chain that is too long is refused whole.
fn gather<'a>(transmit: &'a Transmit, parts: &mut tun::Parts<'a>) -> Result<(), DeviceError> {
    if transmit.payload.len() > SLICES_MAX {
        return Err(DeviceError::Refused(Errno::EMSGSIZE));
    }
    let slices = core::iter::once(transmit.head.as_slice()).chain(transmit.payload.iter().map(|p| &p[..]));
    parts.extend(slices.filter(|slice| !slice.is_empty()).map(IoSlice::new));
    Ok(())
}
