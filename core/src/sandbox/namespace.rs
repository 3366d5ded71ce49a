//! The namespaces of a sandbox: making them, and entering them in a child.

#![allow(unsafe_code)]

use super::child::{self, Failure, Opened, Step, checked};
use crate::device::TUN_PATH;
use crate::error::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Name of the TUN in its sandbox.
pub(super) const DEVICE: &str = "tun0";

/// How a TUN is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct TunKind {
    /// With vnet header and offload.
    pub(super) offload: bool,
    /// As one of several queues.
    pub(super) queues: bool,
}

/// Descriptors that keep the namespaces alive and let children enter them.
#[derive(Debug)]
pub(super) struct Namespaces {
    net: OwnedFd,
    /// Of a sandbox made by an ordinary user; root needs none.
    user: Option<OwnedFd>,
}

/// What the first child hands back.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) tun: OwnedFd,
    /// A route netlink socket of the namespace.
    pub(super) netlink: OwnedFd,
    pub(super) namespaces: Namespaces,
}

/// Makes the namespaces and a TUN in them.
pub(super) fn make(kind: TunKind) -> Result<Made, Failure> {
    // SAFETY: neither can fail, neither has arguments.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let user_map = format!("0 {user} 1\n");
    let group_map = format!("0 {group} 1\n");
    let task = |opened: &mut Opened| {
        let own_user = unshare(&user_map, &group_map)?;
        opened.push(open_tun(DEVICE, kind)?);
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        opened.push(new_socket(Step::Netlink, libc::AF_NETLINK, kind, libc::NETLINK_ROUTE)?);
        opened.push(child::open(Step::OpenNamespace, c"/proc/self/ns/net", libc::O_RDONLY)?);
        if own_user {
            opened.push(child::open(Step::OpenNamespace, c"/proc/self/ns/user", libc::O_RDONLY)?);
        }
        Ok(())
    };
    // SAFETY: the task makes system calls only; the strings were made before and `Opened` is an array.
    let mut opened = unsafe { child::run(&task) }?.into_iter();
    let (Some(tun), Some(netlink), Some(net)) = (opened.next(), opened.next(), opened.next()) else {
        return Err(Failure { step: Step::HandOver, errno: Errno::EMFILE });
    };
    Ok(Made { tun, netlink, namespaces: Namespaces { net, user: opened.next() } })
}

/// A route netlink socket of the network namespace `net`. Who is not root has rights there only as the owner of `user`, its user namespace.
pub(super) fn netlink_of(net: &OwnedFd, user: Option<&OwnedFd>) -> Result<OwnedFd, Failure> {
    let inside = Entrance { net: net.as_raw_fd(), user: user.map(AsRawFd::as_raw_fd) };
    let task = |opened: &mut Opened| {
        inside.enter()?;
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        opened.push(new_socket(Step::Netlink, libc::AF_NETLINK, kind, libc::NETLINK_ROUTE)?);
        Ok(())
    };
    // SAFETY: the task makes system calls only.
    let mut opened = unsafe { child::run(&task) }?;
    opened.pop().ok_or(Failure { step: Step::HandOver, errno: Errno::EMFILE })
}

impl Namespaces {
    /// A socket made in the sandbox.
    pub(super) fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Failure> {
        let inside = self.entrance();
        let task = |opened: &mut Opened| {
            inside.enter()?;
            opened.push(new_socket(Step::Socket, domain, kind | libc::SOCK_CLOEXEC, protocol)?);
            Ok(())
        };
        // SAFETY: the task makes system calls only.
        let mut opened = unsafe { child::run(&task) }?;
        opened.pop().ok_or(Failure { step: Step::HandOver, errno: Errno::EMFILE })
    }

    /// One more TUN in the sandbox, or one more queue of one that there is.
    pub(super) fn tun(&self, name: &str, kind: TunKind) -> Result<OwnedFd, Failure> {
        let inside = self.entrance();
        let task = |opened: &mut Opened| {
            inside.enter()?;
            opened.push(open_tun(name, kind)?);
            Ok(())
        };
        // SAFETY: the task makes system calls only, on a string made before.
        let mut opened = unsafe { child::run(&task) }?;
        opened.pop().ok_or(Failure { step: Step::HandOver, errno: Errno::EMFILE })
    }

    /// Writes a file under /proc/sys/net, which shows the namespace of whoever opens it.
    pub(super) fn write_sysctl(&self, path: &CString, value: &[u8]) -> Result<(), Failure> {
        let inside = self.entrance();
        let task = |_: &mut Opened| {
            inside.enter()?;
            child::write_file(Step::OpenSysctl, Step::WriteSysctl, path, value)
        };
        // SAFETY: the task makes system calls only, on a string made before.
        unsafe { child::run(&task) }.map(|_| ())
    }

    /// What a child needs to enter.
    pub(super) fn entrance(&self) -> Entrance {
        Entrance { net: self.net.as_raw_fd(), user: self.user.as_ref().map(AsRawFd::as_raw_fd) }
    }
}

/// Descriptors of namespaces to enter; valid in a child that was made while they were open.
#[derive(Clone, Copy)]
pub(super) struct Entrance {
    net: RawFd,
    user: Option<RawFd>,
}

impl Entrance {
    /// In a child: enters the user namespace first, since that gives the right to enter the other.
    pub(super) fn enter(&self) -> Result<(), Failure> {
        // SAFETY: integers only.
        unsafe {
            if let Some(user) = self.user {
                checked(Step::EnterUserNamespace, libc::setns(user, libc::CLONE_NEWUSER))?;
            }
            checked(Step::EnterNetworkNamespace, libc::setns(self.net, libc::CLONE_NEWNET))?;
        }
        Ok(())
    }
}

/// In the child: leaves the program's namespaces; whether a user namespace was needed for it.
fn unshare(user_map: &str, group_map: &str) -> Result<bool, Failure> {
    // SAFETY: integers only.
    let privileged = checked(Step::Unshare, unsafe { libc::unshare(libc::CLONE_NEWNET) });
    match privileged {
        Ok(_) => return Ok(false),
        Err(failure) if failure.errno != Errno::EPERM => return Err(failure),
        Err(_) => {}
    }
    // SAFETY: integers only.
    checked(Step::Unshare, unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) })?;
    let write = |path: &CStr, bytes: &[u8]| child::write_file(Step::MapUsers, Step::MapUsers, path, bytes);
    write(c"/proc/self/setgroups", b"deny")?;
    write(c"/proc/self/uid_map", user_map.as_bytes())?;
    write(c"/proc/self/gid_map", group_map.as_bytes())?;
    Ok(true)
}

/// In a child: opens a TUN, whose name is cut to what fits. The namespace of a TUN is the one in which `/dev/net/tun` was opened.
fn open_tun(name: &str, TunKind { offload, queues }: TunKind) -> Result<RawFd, Failure> {
    let fd = child::open(Step::OpenTun, TUN_PATH, libc::O_RDWR | libc::O_NONBLOCK)?;
    let vnet = if offload { libc::IFF_VNET_HDR } else { 0 };
    let several = if queues { libc::IFF_MULTI_QUEUE } else { 0 };
    let header_length = 10_i32;
    let features = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    // SAFETY: ifreq is plain data; TUNSETIFF reads and writes one, TUNSETVNETHDRSZ reads an int, TUNSETOFFLOAD takes the number.
    unsafe {
        let mut request: libc::ifreq = core::mem::zeroed();
        for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *slot = byte as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | vnet | several) as i16;
        checked(Step::AttachTun, libc::ioctl(fd, libc::TUNSETIFF as _, &raw mut request))?;
        if offload {
            let result = libc::ioctl(fd, libc::TUNSETVNETHDRSZ as _, &raw const header_length);
            checked(Step::Offload, result)?;
            let features = core::ffi::c_ulong::from(features);
            checked(Step::Offload, libc::ioctl(fd, libc::TUNSETOFFLOAD as _, features))?;
        }
    }
    Ok(fd)
}

/// In a child: a socket.
fn new_socket(step: Step, domain: i32, kind: i32, protocol: i32) -> Result<RawFd, Failure> {
    // SAFETY: integers only.
    checked(step, unsafe { libc::socket(domain, kind, protocol) })
}
