//! Reading, writing and opening descriptors.

use super::{checked, last_errno};
use crate::error::Errno;
use bytes::BytesMut;
use std::ffi::CStr;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

// rustix makes these three calls itself, in line. The C library's are cancellation points: pthread_cancel(3) would unwind through frames of Rust there, and to make sure of
// that costs something each time; its syscall(2) is none, and costs 15 ns more for each packet (docs/decisions/0007).

/// Reads once into the spare capacity of `page`, which has some, and appends what came; the capacity is not zeroed first.
pub fn read_into_spare(fd: BorrowedFd<'_>, page: &mut BytesMut) -> Result<usize, Errno> {
    let (read, _) = rustix::io::read(fd, page.spare_capacity_mut()).map_err(errno)?;
    let length = read.len();
    // SAFETY: the kernel has initialised `length` bytes of the spare capacity, which follow what is there.
    unsafe { page.set_len(page.len() + length) };
    Ok(length)
}

/// Writes `bytes`, or as many of them as there is room for.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    rustix::io::write(fd, bytes).map_err(errno)
}

/// Writes the slices in one call.
pub fn writev(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    rustix::io::writev(fd, slices).map_err(errno)
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}

/// Opens a file for reading and writing, non-blocking and close-on-exec.
pub fn open_read_write(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: `path` is a terminated string; open returns a new descriptor that is ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::open(path.as_ptr(), flags))?)) }
}

/// The descriptor of a tun-tap interface, taken over.
#[must_use]
pub fn owned_interface(interface: tun_tap::Iface) -> OwnedFd {
    // SAFETY: `into_raw_fd` gives up the only ownership of an open descriptor.
    unsafe { OwnedFd::from_raw_fd(interface.into_raw_fd()) }
}

/// Makes the descriptor non-blocking (for everyone who shares its open file) and closed by exec.
pub fn set_nonblocking_and_cloexec(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let raw = fd.as_raw_fd();
    // SAFETY: fcntl with integer arguments touches no memory of ours.
    unsafe {
        let status = checked(libc::fcntl(raw, libc::F_GETFL))?;
        checked(libc::fcntl(raw, libc::F_SETFL, status | libc::O_NONBLOCK))?;
        let flags = checked(libc::fcntl(raw, libc::F_GETFD))?;
        checked(libc::fcntl(raw, libc::F_SETFD, flags | libc::FD_CLOEXEC))?;
    }
    Ok(())
}

/// Sets whether reading and writing never sleep, for everyone who shares the open file.
pub fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    set_status(fd, libc::O_NONBLOCK, on)
}

/// Has sendfile(2) and splice(2) into a socket fail with EINVAL, or work again. They do so where O_APPEND is set, which changes nothing else of
/// a socket.
pub fn refuse_splices(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    set_status(fd, libc::O_APPEND, on)
}

fn set_status(fd: BorrowedFd<'_>, flag: i32, on: bool) -> Result<(), Errno> {
    let raw = fd.as_raw_fd();
    // SAFETY: fcntl with integer arguments touches no memory of ours.
    unsafe {
        let status = checked(libc::fcntl(raw, libc::F_GETFL))?;
        let status = if on { status | flag } else { status & !flag };
        checked(libc::fcntl(raw, libc::F_SETFL, status))?;
    }
    Ok(())
}

/// Makes `onto`, a number that the caller owns, another name of the open file of `fd`, closed by exec.
pub fn replace(onto: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: integers only; the number stays its owner's, and what it named before is closed.
    checked(unsafe { libc::dup3(fd.as_raw_fd(), onto.as_raw_fd(), libc::O_CLOEXEC) }).map(|_| ())
}

/// A pipe: reading end, writing end. Both are close-on-exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for two descriptors, which are ours alone when the call succeeds.
    unsafe {
        checked(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// What sort of file a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A socket.
    Socket,
    /// A character device: major and minor number.
    CharacterDevice(u32, u32),
    /// Anything else.
    Other,
}

/// What sort of file `fd` is.
pub fn file_kind(fd: BorrowedFd<'_>) -> Result<FileKind, Errno> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat fills the whole struct when it succeeds, and only then is it read.
    let status = unsafe {
        if libc::fstat(fd.as_raw_fd(), status.as_mut_ptr()) < 0 {
            return Err(last_errno());
        }
        status.assume_init()
    };
    Ok(match status.st_mode & libc::S_IFMT {
        libc::S_IFSOCK => FileKind::Socket,
        libc::S_IFCHR => FileKind::CharacterDevice(libc::major(status.st_rdev), libc::minor(status.st_rdev)),
        _ => FileKind::Other,
    })
}
