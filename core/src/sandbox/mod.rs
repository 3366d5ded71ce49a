//! A network namespace of its own with a TUN device in it, for programs that are not granted one.

mod child;
mod namespace;
mod program;
mod queue;
#[cfg(test)]
pub(crate) mod tests;

pub use program::Child;
pub(crate) use queue::queue_length;

use crate::config::{Domain, Prefix};
use crate::device::interface;
use crate::device::netlink::Netlink;
use crate::error::{Errno, Error, Result};

use crate::sync::{Mutex, lock};
use child::{Failure, Step};
use namespace::{DEVICE, Namespaces, TunKind};
use std::ffi::CString;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// How to make a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// Addresses of the kernel's side of the TUN.
    pub host_addresses: Vec<Prefix>,
    /// MTU of the TUN.
    pub mtu: u16,
    /// Opens the TUN with vnet header and offload; a stack with impairments needs it off.
    pub offload: bool,
    /// Queues of the TUN: as many as the stack on it is to have workers, and all of them its. Default 1.
    pub queues: usize,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self { host_addresses: Vec::new(), mtu: 1500, offload: true, queues: 1 }
    }
}

/// The namespace lives as long as this value, its TUN, a socket made in it or a program in it.
#[derive(Debug)]
pub struct Sandbox {
    /// Its queues; one, unless it was opened with several.
    tun: Vec<OwnedFd>,
    netlink: Mutex<Netlink>,
    namespaces: Namespaces,
}

impl Sandbox {
    /// Makes the namespace by a short-lived child, opens the TUN in it and sets it up. Needs neither root nor a helper program, but
    /// a `/dev/net/tun` that may be opened and, for an ordinary user, user namespaces; the error says which is missing.
    pub fn open(options: &SandboxOptions) -> Result<Self> {
        let kind = TunKind { offload: options.offload, queues: options.queues > 1 };
        let made = namespace::make(kind).map_err(not_made)?;
        let mut tun = vec![made.tun];
        while tun.len() < options.queues {
            tun.push(made.namespaces.tun(DEVICE, kind).map_err(not_made)?);
        }
        let mut netlink = Netlink::from_socket(made.netlink)?;
        let loopback = netlink.link("lo")?;
        netlink.set_link(loopback.index, true, None, None)?;
        interface::configure(&mut netlink, DEVICE, &options.host_addresses, options.mtu)?;
        Ok(Self { tun, netlink: Mutex::new(netlink), namespaces: made.namespaces })
    }

    /// The TUN, to be given to `DeviceOptions::Descriptor`: a duplicate, so that a later stack can take the same device over. Of several queues it is
    /// the first.
    pub fn tun(&self) -> Result<OwnedFd> {
        self.tun_queues()?.into_iter().next().ok_or_else(|| Errno::EBADF.into())
    }

    /// All queues of the TUN, to be given to `DeviceOptions::Queues`: duplicates.
    pub fn tun_queues(&self) -> Result<Vec<OwnedFd>> {
        let errno = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(Errno::EMFILE.0));
        Ok(self.tun.iter().map(OwnedFd::try_clone).collect::<std::io::Result<_>>().map_err(errno)?)
    }

    /// One more TUN in the sandbox, set up like the first; the kernel forwards between them where `net.ipv4.ip_forward` says so. Names that
    /// are taken are EBUSY.
    pub fn open_tun(&self, name: &str, options: &SandboxOptions) -> Result<OwnedFd> {
        let kind = TunKind { offload: options.offload, queues: false };
        let tun = self.namespaces.tun(name, kind).map_err(|failure| {
            let Failure { step, errno } = failure;
            Error::new(errno, format!("cannot make the TUN {name} in the sandbox: {errno} ({step:?})"))
        })?;
        interface::configure(&mut lock(&self.netlink), name, &options.host_addresses, options.mtu)?;
        Ok(tun)
    }

    /// Name of the TUN in the sandbox.
    #[must_use]
    pub fn device_name(&self) -> &'static str {
        DEVICE
    }

    /// A kernel-side socket in the sandbox: `kind` is SOCK_STREAM, SOCK_DGRAM ..., flags included. It is close-on-exec.
    pub fn socket(&self, domain: Domain, kind: i32, protocol: i32) -> Result<OwnedFd> {
        let family = match domain {
            Domain::V4 => libc::AF_INET,
            Domain::V6 => libc::AF_INET6,
        };
        self.namespaces.socket(family, kind, protocol).map_err(|failure| {
            let Failure { step, errno } = failure;
            Error::new(errno, format!("cannot make a socket in the sandbox: {errno} ({step:?})"))
        })
    }

    /// Starts `argv` in the sandbox with the three standard streams; `environment` of `None` is this process's. A program without a
    /// slash in its name is looked for in the PATH of that environment. Fails if it cannot be executed. Its signal mask is empty and its
    /// handlers are the default ones. As an ordinary user's sandbox maps one user id only, the program believes to be root and
    /// cannot become anybody else.
    pub fn spawn(
        &self,
        argv: &[&str],
        environment: Option<&[&str]>,
        streams: [BorrowedFd<'_>; 3],
    ) -> Result<Child> {
        program::spawn(self.namespaces.entrance(), argv, environment, streams)
    }

    /// Gives the kernel's side of the TUN another address. It is in use on return, unless the TUN has been set down.
    pub fn add_address(&self, address: Prefix) -> Result<()> {
        let mut netlink = lock(&self.netlink);
        let status = netlink.link(DEVICE)?;
        interface::add_address(&mut netlink, DEVICE, status.index, address)?;
        if status.flags & libc::IFF_UP.cast_unsigned() == 0 {
            return Ok(());
        }
        interface::wait_until_local(&mut netlink, DEVICE, address.address)
    }

    /// Sends packets of the kernel's side for `destination` into the TUN, to `gateway` where the stack is to forward them.
    pub fn add_route(&self, destination: Prefix, gateway: Option<IpAddr>) -> Result<()> {
        let mut netlink = lock(&self.netlink);
        let index = netlink.link(DEVICE)?.index;
        netlink.add_route(index, destination, gateway).map_err(|errno| {
            Error::new(errno, format!("cannot route {destination} to {DEVICE} of the sandbox: {errno}"))
        })
    }

    /// Sets the TUN up or down.
    pub fn set_link_up(&self, up: bool) -> Result<()> {
        let mut netlink = lock(&self.netlink);
        let index = netlink.link(DEVICE)?.index;
        netlink.set_link(index, up, None, None)?;
        if up { interface::wait_until_running(&mut netlink, DEVICE) } else { Ok(()) }
    }

    /// Deletes the TUN, under whatever stack uses it.
    pub fn delete_link(&self) -> Result<()> {
        let mut netlink = lock(&self.netlink);
        let index = netlink.link(DEVICE)?.index;
        Ok(netlink.delete_link(index)?)
    }

    /// Sets a kernel parameter of the sandbox, such as `net.ipv4.ip_forward`; only names that begin with `net.` are its own.
    pub fn set_sysctl(&self, name: &str, value: &str) -> Result<()> {
        if !name.starts_with("net.") || name.contains('/') || name.contains("..") {
            let text = format!("'{name}' is no parameter of a network namespace: it must begin with net.");
            return Err(Error::new(Errno::EINVAL, text));
        }
        let path = CString::new(format!("/proc/sys/{}", name.replace('.', "/")))
            .map_err(|_| Error::new(Errno::EINVAL, "a zero byte in the name of a parameter"))?;
        self.namespaces.write_sysctl(&path, value.as_bytes()).map_err(|failure| {
            let errno = failure.errno;
            Error::new(errno, format!("cannot set {name} to '{value}' in the sandbox: {errno}"))
        })
    }
}

/// Says which step failed, and what to do about it.
fn not_made(failure: Failure) -> Error {
    let Failure { step, errno } = failure;
    let remedy = match step {
        Step::Unshare | Step::MapUsers | Step::AttachTun => restrictions(),
        Step::OpenTun if matches!(errno, Errno::EACCES | Errno::EPERM) => {
            ": /dev/net/tun may not be opened by this user. As root: chmod 0666 /dev/net/tun".into()
        }
        Step::OpenTun => {
            ": /dev/net/tun is not there. As root: modprobe tun; in a container, pass the device in".into()
        }
        _ => String::new(),
    };
    let what = match step {
        Step::Start => "cannot start a child",
        Step::Unshare => "cannot make a network namespace",
        Step::MapUsers => "cannot map the user into its own user namespace",
        Step::OpenTun => "cannot open /dev/net/tun",
        Step::AttachTun => "cannot make a TUN device in the new namespace",
        Step::Offload => "the TUN device refuses offload",
        Step::Netlink => "cannot open a netlink socket in the new namespace",
        Step::OpenNamespace => "cannot open /proc/self/ns; is /proc mounted?",
        _ => "the child that makes the namespace failed",
    };
    Error::new(errno, format!("no sandbox: {what}: {errno}{remedy}"))
}

/// What this machine's settings forbid an ordinary user, as far as they can be read.
fn restrictions() -> String {
    let reads =
        |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let known = [
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
        ("/proc/sys/user/max_net_namespaces", "0", "user.max_net_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ];
    let ways = known.iter().filter(|(path, value, _)| reads(path, value)).map(|(_, _, way)| *way);
    let ways: Vec<&str> = ways.collect();
    if ways.is_empty() {
        return ": an ordinary user needs user namespaces, which a container's seccomp or security profile may forbid; \
                run with CAP_SYS_ADMIN and CAP_NET_ADMIN, or allow them"
            .into();
    }
    format!(": user namespaces are restricted on this machine. As root: sysctl {}", ways.join(" "))
}
