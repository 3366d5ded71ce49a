//! Sockets of AF_UNIX by name, timers, and descriptors that may be anybody's.

use super::{checked, socket};
use crate::error::Errno;
use core::time::Duration;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// SO_COOKIE of asm-generic/socket.h: a number that no other socket has had.
const SO_COOKIE: i32 = 57;

/// Where the path begins in a sockaddr_un.
const PATH: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// Binds a socket to a path, or to a name that is no file: one that begins with NUL. EINVAL when it has one already, ENAMETOOLONG.
pub fn unix_bind(fd: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let (address, length) = address(name)?;
    // SAFETY: the address has `length` bytes.
    checked(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) }).map(|_| ())
}

/// Connects a socket to what is bound to a path or name.
pub fn unix_connect(fd: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let (address, length) = address(name)?;
    // SAFETY: the address has `length` bytes.
    checked(unsafe { libc::connect(fd.as_raw_fd(), (&raw const address).cast(), length) }).map(|_| ())
}

/// A stream socket that listens at a path, whose file has this mode from its first moment on, whatever the umask of the process is.
pub fn unix_listen(path: &[u8], mode: u32, backlog: i32) -> Result<OwnedFd, Errno> {
    let socket = socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
    // The file gets the mode that the socket has.
    // SAFETY: integers only.
    checked(unsafe { libc::fchmod(socket.as_raw_fd(), mode) })?;
    unix_bind(socket.as_fd(), path)?;
    listen(socket.as_fd(), backlog)?;
    Ok(socket)
}

/// Whose name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The socket's own: getsockname(2).
    Own,
    /// Its peer's: getpeername(2).
    Peer,
}

/// The path or name that an AF_UNIX socket or its peer is bound to, empty if it is to none; `fd` is a number that may be anybody's. EBADF, ENOTSOCK,
/// ENOTCONN; EAFNOSUPPORT for a socket of another family.
pub fn unix_name(fd: RawFd, end: End) -> Result<Vec<u8>, Errno> {
    // SAFETY: sockaddr_un is plain data, for which all zeroes is valid.
    let mut address: libc::sockaddr_un = unsafe { core::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    let place = (&raw mut address).cast();
    // SAFETY: the address has the bytes that `length` says.
    checked(unsafe {
        match end {
            End::Own => libc::getsockname(fd, place, &raw mut length),
            End::Peer => libc::getpeername(fd, place, &raw mut length),
        }
    })?;
    if i32::from(address.sun_family) != libc::AF_UNIX {
        return Err(Errno::EAFNOSUPPORT);
    }
    let count = (length as usize).saturating_sub(PATH).min(address.sun_path.len());
    let name: Vec<u8> = address.sun_path.iter().take(count).map(|c| c.cast_unsigned()).collect();
    // A path ends where it ends, the other names where their length says.
    let end =
        if name.first() == Some(&0) { count } else { name.iter().position(|c| *c == 0).unwrap_or(count) };
    Ok(name.into_iter().take(end).collect())
}

fn address(name: &[u8]) -> Result<(libc::sockaddr_un, libc::socklen_t), Errno> {
    // SAFETY: as above.
    let mut address: libc::sockaddr_un = unsafe { core::mem::zeroed() };
    // A path has room for its NUL.
    if name.len() >= address.sun_path.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (slot, byte) in address.sun_path.iter_mut().zip(name) {
        *slot = byte.cast_signed() as libc::c_char;
    }
    let terminator = usize::from(name.first() != Some(&0));
    Ok((address, (PATH + name.len() + terminator) as libc::socklen_t))
}

/// listen(2).
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: integers only.
    checked(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(|_| ())
}

/// Another descriptor of whatever `fd`, a number that may be anybody's, is open for. EBADF, EMFILE.
pub fn duplicate(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: integers only; the result is a new descriptor that is ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0))?)) }
}

/// A number that no other socket has had.
pub fn socket_cookie(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut cookie = 0_u64;
    let mut length = 8;
    // SAFETY: `cookie` has the eight bytes that `length` says.
    checked(unsafe {
        let value = (&raw mut cookie).cast();
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, SO_COOKIE, value, &raw mut length)
    })?;
    Ok(cookie)
}

/// A timer of CLOCK_MONOTONIC that does not run.
pub fn timer() -> Result<OwnedFd, Errno> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: integers only; the result is a new descriptor that is ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags))?)) }
}

/// Has a timer become readable `after` now; it is not until then, whatever it was before.
pub fn set_timer(fd: BorrowedFd<'_>, after: Duration) {
    let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let value = libc::timespec {
        tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(after.subsec_nanos()),
    };
    let setting = libc::itimerspec { it_interval: none, it_value: value };
    // SAFETY: the setting is valid and only read. It fails only for what is no timer.
    unsafe { libc::timerfd_settime(fd.as_raw_fd(), 0, &raw const setting, core::ptr::null_mut()) };
}
