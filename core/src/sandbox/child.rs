//! Short-lived children that act in another namespace and hand back descriptors.
//!
//! A child is made by raw clone(2) without flags and with exit signal 0: neither atfork handlers nor SIGCHLD handlers of the program
//! learn of it. The program may have other threads, so until it exits the child makes only system calls, on memory
//! that was prepared before: no allocation, no lock, no panic.

#![allow(unsafe_code)]

use crate::error::Errno;
use crate::sys;
use arrayvec::ArrayVec;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Most descriptors that a child hands back.
pub(super) const DESCRIPTORS_MAX: usize = 4;

/// What a child was about when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Start,
    Unshare,
    MapUsers,
    OpenTun,
    AttachTun,
    Offload,
    Netlink,
    OpenNamespace,
    EnterUserNamespace,
    EnterNetworkNamespace,
    Socket,
    OpenSysctl,
    WriteSysctl,
    Streams,
    Exec,
    HandOver,
}

const STEPS: [Step; 16] = [
    Step::Start,
    Step::Unshare,
    Step::MapUsers,
    Step::OpenTun,
    Step::AttachTun,
    Step::Offload,
    Step::Netlink,
    Step::OpenNamespace,
    Step::EnterUserNamespace,
    Step::EnterNetworkNamespace,
    Step::Socket,
    Step::OpenSysctl,
    Step::WriteSysctl,
    Step::Streams,
    Step::Exec,
    Step::HandOver,
];

/// A step and the error number it failed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: Errno,
}

impl Failure {
    pub(super) fn to_bytes(self) -> [u8; 8] {
        let (step, errno) = ((self.step as u32).to_ne_bytes(), self.errno.0.to_ne_bytes());
        [step[0], step[1], step[2], step[3], errno[0], errno[1], errno[2], errno[3]]
    }

    /// What a child reported; `None` for errno 0, which is success.
    pub(super) fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        let [s0, s1, s2, s3, e0, e1, e2, e3] = bytes;
        let step = usize::try_from(u32::from_ne_bytes([s0, s1, s2, s3])).ok();
        let step = step.and_then(|step| STEPS.get(step)).copied().unwrap_or(Step::Start);
        let errno = i32::from_ne_bytes([e0, e1, e2, e3]);
        (errno != 0).then_some(Self { step, errno: Errno(errno) })
    }
}

/// Descriptors that a child has opened, in order.
pub(super) type Opened = ArrayVec<RawFd, DESCRIPTORS_MAX>;

/// Which process came back from [`clone_process`].
pub(super) enum Cloned {
    /// This one; the number of the other.
    Parent(i32),
    /// The other. Signals are blocked in it.
    Child,
}

/// clone(2) with no flags: a copy of this thread alone, in a process of its own.
///
/// # Safety
/// On `Child` only async-signal-safe functions may be called, and the process must end by [`exit`] or exec.
pub(super) unsafe fn clone_process() -> Result<Cloned, Errno> {
    // SAFETY: without CLONE_VM the child has its own copy of memory and stack; five zeroes mean the same in every order in which
    // architectures take the arguments.
    match unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) } {
        0 => Ok(Cloned::Child),
        pid if pid > 0 => Ok(Cloned::Parent(i32::try_from(pid).unwrap_or(i32::MAX))),
        _ => Err(sys::last_errno()),
    }
}

/// Ends the process at once: no destructor, no atexit handler.
pub(super) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: exit_group takes an integer and does not return.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}

/// Ends the process should the child's code ever unwind, so that it cannot run the program's own destructors.
pub(super) struct ExitOnUnwind;

impl Drop for ExitOnUnwind {
    fn drop(&mut self) {
        exit(127);
    }
}

/// Runs `task` in a child and returns the descriptors that it opened there.
///
/// # Safety
/// `task` may only make async-signal-safe calls: it must neither allocate nor lock.
pub(super) unsafe fn run(
    task: &dyn Fn(&mut Opened) -> Result<(), Failure>,
) -> Result<ArrayVec<OwnedFd, DESCRIPTORS_MAX>, Failure> {
    let start = |errno| Failure { step: Step::Start, errno };
    let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET).map_err(start)?;
    let report_to = theirs.as_raw_fd();
    let pid = sys::with_signals_blocked(|| {
        // SAFETY: the child runs `task`, of which the caller vouches the same, and `report`, which only calls sendmsg; then it exits.
        match unsafe { clone_process() }? {
            Cloned::Parent(pid) => Ok(pid),
            Cloned::Child => {
                let _guard = ExitOnUnwind;
                let mut opened = Opened::new();
                let outcome = task(&mut opened);
                report(report_to, outcome, &opened);
                exit(0)
            }
        }
    })
    .map_err(start)?;
    drop(theirs);
    let outcome = collect(&ours);
    while sys::wait_child(pid, true) == Err(Errno::EINTR) {}
    outcome
}

/// Space for the control message that carries the descriptors, aligned as cmsghdr must be.
#[repr(align(8))]
struct Control([u8; 64]);

const DESCRIPTORS_BYTES: usize = DESCRIPTORS_MAX * size_of::<RawFd>();

/// In the child: sends outcome and descriptors. If that fails nobody can be told but by the end of the socket.
fn report(socket: RawFd, outcome: Result<(), Failure>, opened: &Opened) {
    let mut bytes = outcome.map_or_else(Failure::to_bytes, |()| [0; 8]);
    let mut control = Control([0; 64]);
    let length = size_of::<RawFd>() * opened.len();
    // SAFETY: msghdr is plain data; every pointer in it is to memory that outlives the call, and the control space holds the header
    // and DESCRIPTORS_MAX descriptors.
    unsafe {
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut message: libc::msghdr = core::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if outcome.is_ok() && !opened.is_empty() {
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(length as u32) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(length as u32) as _;
            core::ptr::copy_nonoverlapping(opened.as_ptr().cast(), libc::CMSG_DATA(header), length);
        }
        libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL);
    }
}

/// In the parent: receives outcome and descriptors.
fn collect(socket: &OwnedFd) -> Result<ArrayVec<OwnedFd, DESCRIPTORS_MAX>, Failure> {
    let lost = |errno| Failure { step: Step::HandOver, errno };
    let mut bytes = [0_u8; 8];
    let mut control = Control([0; 64]);
    let mut opened = ArrayVec::new();
    // SAFETY: as in `report`; the kernel writes no more than the lengths given. A descriptor in the control message is new and ours alone,
    // and is read from where the header says that it is.
    unsafe {
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut message: libc::msghdr = core::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(DESCRIPTORS_BYTES as u32) as _;
        let length = loop {
            match libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) {
                -1 if sys::last_errno() == Errno::EINTR => {}
                -1 => return Err(lost(sys::last_errno())),
                length => break length,
            }
        };
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS {
            let length = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            let descriptors: *const RawFd = libc::CMSG_DATA(header).cast();
            for index in 0..(length / size_of::<RawFd>()).min(DESCRIPTORS_MAX) {
                opened.push(OwnedFd::from_raw_fd(descriptors.add(index).read_unaligned()));
            }
        }
        if length != 8 {
            return Err(lost(Errno::ECHILD));
        }
    }
    match Failure::from_bytes(bytes) {
        Some(failure) => Err(failure),
        None => Ok(opened),
    }
}

/// In a child: `Err` with this thread's errno if `result` is negative.
pub(super) fn checked(step: Step, result: i32) -> Result<i32, Failure> {
    if result < 0 { Err(Failure { step, errno: sys::last_errno() }) } else { Ok(result) }
}

/// In a child: opens `path`, close-on-exec.
pub(super) fn open(step: Step, path: &CStr, flags: i32) -> Result<RawFd, Failure> {
    // SAFETY: `path` is a terminated string.
    checked(step, unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) })
}

/// In a child: writes `bytes` to the file at `path` in one call, as files under /proc want it.
pub(super) fn write_file(open_step: Step, step: Step, path: &CStr, bytes: &[u8]) -> Result<(), Failure> {
    let fd = open(open_step, path, libc::O_WRONLY)?;
    // SAFETY: the bytes are borrowed for the call; the descriptor was opened above and is closed once.
    unsafe {
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let result = checked(step, if written < 0 { -1 } else { 0 });
        libc::close(fd);
        result.map(|_| ())
    }
}
