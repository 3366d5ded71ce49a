//! Chapter: Sandboxes.
//!
//! A sandbox is a network namespace with a TUN device in it, for programs that are not granted one: neither
//! root nor sudo is needed, and the machine's own network is left alone. Give its TUN to a stack, and let the
//! other side be kernel-side sockets or whole programs in the sandbox.

use crate::args::{self, Prefixed};
use crate::handle::table;
use crate::socket::{USERTCP_NONBLOCK, check_flags, read_domain};
use crate::stack::mtu;
use crate::{fork, panic};
use std::ffi::{c_char, c_int};
use std::mem::offset_of;
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::sync::Arc;
use usertcp_core::api::{Child, Errno, Error, Sandbox, SandboxOptions};

/// Names an open sandbox; 0 names none.
pub type usertcp_sandbox_t = u64;

/// Names a program that was started in a sandbox; 0 names none.
pub type usertcp_child_t = u64;

/// How to make a sandbox. Begin with USERTCP_SANDBOX_CONFIG_INIT, then set what differs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_sandbox_config_t {
    /// sizeof(usertcp_sandbox_config_t).
    pub size: u32,
    /// MTU of the TUN, bytes; 0: 1500.
    pub mtu: u32,
    /// Addresses of the kernel's side of the TUN, with prefix lengths, separated by commas:
    /// "192.0.2.1/24,2001:db8::1/64".
    pub host_addresses: *const c_char,
    /// 1: the TUN does segmentation and checksum offload. A stack with impairments needs it 0.
    pub offload: u32,
    /// Must be 0.
    pub flags: u32,
    /// Queues of the TUN, as many as the stack on it is to have workers; 0 and 1: one. See
    /// usertcp_sandbox_queues().
    pub queues: u32,
    /// Must be 0.
    pub reserved: u32,
}

// SAFETY: repr(C), `size` first, no padding, and zeroes are a value of every field.
unsafe impl Prefixed for usertcp_sandbox_config_t {
    const NAME: &'static str = "usertcp_sandbox_config_t";
    const FIRST: usize = offset_of!(Self, queues);
}

/// Makes a sandbox and stores its handle in `*sandbox`.
///
/// -EPERM, -EACCES, -ENOENT, -ENODEV, -ENXIO, -ENOSPC: the system does not grant one; usertcp_last_error() says
/// what is missing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_sandbox_open(
    config: *const usertcp_sandbox_config_t,
    sandbox: *mut usertcp_sandbox_t,
) -> c_int {
    guard!({
        if sandbox.is_null() {
            return Err(args::null("the handle to store"));
        }
        panic::install_hook();
        let table = table()?;
        // SAFETY: the program promises a usertcp_sandbox_config_t, and what its pointer claims.
        let options = unsafe { options(&args::read_struct(config)?) }?;
        let opened = Sandbox::open(&options)?;
        fork::arm();
        let handle = table.insert(Arc::new(opened))?;
        // SAFETY: the program promises that it may be written.
        unsafe { args::write(sandbox, handle, "the handle to store") }?;
        Ok(0)
    })
}

/// Returns a new descriptor of the sandbox's TUN, for usertcp_config_t.fd. It belongs to the program. One
/// stack at a time may use it.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_sandbox_tun(sandbox: usertcp_sandbox_t) -> c_int {
    guard!({ Ok(table()?.find::<Sandbox>(sandbox)?.tun()?.into_raw_fd()) })
}

/// Stores new descriptors of all queues of the sandbox's TUN in `fds`, for usertcp_config_t.queues. They belong
/// to the program. Returns how many there are; -ENOSPC when that is more than `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_sandbox_queues(
    sandbox: usertcp_sandbox_t,
    fds: *mut c_int,
    count: u32,
) -> c_int {
    guard!({
        let queues = table()?.find::<Sandbox>(sandbox)?.tun_queues()?;
        args::place(fds, "the descriptors to store")?;
        if queues.len() > count as usize {
            return Err(Errno::ENOSPC.into());
        }
        let number = queues.len();
        for (index, queue) in queues.into_iter().enumerate() {
            // SAFETY: the program promises room for `count`.
            unsafe { fds.add(index).write_unaligned(queue.into_raw_fd()) };
        }
        Ok(c_int::try_from(number).unwrap_or(c_int::MAX))
    })
}

/// Returns a socket of the kernel in the sandbox, as socket(2) does: `domain` is AF_INET or AF_INET6. It
/// belongs to the program.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_sandbox_socket(
    sandbox: usertcp_sandbox_t,
    domain: c_int,
    r#type: c_int,
    protocol: c_int,
) -> c_int {
    guard!({
        let sandbox = table()?.find::<Sandbox>(sandbox)?;
        Ok(sandbox.socket(read_domain(domain)?, r#type, protocol)?.into_raw_fd())
    })
}

/// Starts a program in the sandbox and stores its handle in `*child`. `argv` and `envp` end with NULL;
/// `argv[0]` is looked for in PATH; an `envp` of NULL is this process's environment. `fds` are the program's
/// standard streams; NULL: those of this process.
///
/// -ENOENT, -EACCES, -ENOEXEC: it cannot be executed. -EBADF: one of `fds` is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_sandbox_spawn(
    sandbox: usertcp_sandbox_t,
    argv: *const *const c_char,
    envp: *const *const c_char,
    fds: *const c_int,
    child: *mut usertcp_child_t,
) -> c_int {
    guard!({
        let table = table()?;
        let sandbox = table.find::<Sandbox>(sandbox)?;
        // SAFETY: the program promises lists of strings that end with NULL.
        let (argv, envp) = unsafe { (strings(argv, "argv")?, strings(envp, "envp")?) };
        let argv =
            argv.filter(|argv| !argv.is_empty()).ok_or_else(|| args::null("argv or its first string"))?;
        // SAFETY: the program promises three descriptors that stay open during the call.
        let streams = unsafe { streams(fds) }?;
        args::place(child, "the handle to store")?;
        let started = sandbox.spawn(&argv, envp.as_deref(), streams)?;
        let handle = table.insert(Arc::new(started))?;
        // SAFETY: the program promises that it may be written.
        unsafe { args::write(child, handle, "the handle to store") }?;
        Ok(0)
    })
}

/// The program's process id.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_child_pid(child: usertcp_child_t) -> c_int {
    guard!({ Ok(table()?.find::<Child>(child)?.pid()) })
}

/// Sends the program a signal. -ESRCH: it has been waited for.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_child_kill(child: usertcp_child_t, signal: c_int) -> c_int {
    guard!({
        table()?.find::<Child>(child)?.kill(signal)?;
        Ok(0)
    })
}

/// Waits for the program to end and stores its exit status in `*status`, 128 + N if signal N ended it;
/// `status` may be NULL. The handle stays. With USERTCP_NONBLOCK in `flags`, -EAGAIN when it still runs.
///
/// -EINTR: a signal handler ran. -ECHILD: the status is lost, because the process ignores SIGCHLD or has waited
/// for any child elsewhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_child_wait(
    child: usertcp_child_t,
    flags: c_int,
    status: *mut c_int,
) -> c_int {
    guard!({
        let child = table()?.find::<Child>(child)?;
        check_flags(flags, USERTCP_NONBLOCK)?;
        let ended = child.wait(flags & USERTCP_NONBLOCK == 0)?.ok_or(Errno::EAGAIN)?;
        if !status.is_null() {
            // SAFETY: not NULL, so writable by the program's promise.
            unsafe { status.write_unaligned(ended) };
        }
        Ok(0)
    })
}

/// Lets go of the program's handle. A program that still runs is killed.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_child_close(child: usertcp_child_t) -> c_int {
    guard!({
        let child = table()?.remove::<Child>(child)?;
        // Another thread may be waiting for it and keep it alive; that it has ended already is no error.
        let _ = child.kill(libc::SIGKILL);
        Ok(0)
    })
}

/// Lets go of the sandbox. It ends when its TUN, its sockets and its programs are gone as well.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_sandbox_close(sandbox: usertcp_sandbox_t) -> c_int {
    guard!({
        table()?.remove::<Sandbox>(sandbox)?;
        Ok(0)
    })
}

/// # Safety
/// The pointer in `config` is NULL or points to a string.
unsafe fn options(config: &usertcp_sandbox_config_t) -> Result<SandboxOptions, Error> {
    if config.flags != 0 || config.reserved != 0 || config.offload > 1 {
        return Err(args::invalid("usertcp_sandbox_config_t: flags and reserved must be 0, offload 0 or 1"));
    }
    // SAFETY: the caller's promise.
    let host_addresses = unsafe { args::list(config.host_addresses, "host_addresses") }?;
    let mtu = if config.mtu == 0 { 1500 } else { mtu(config.mtu)? };
    let queues = config.queues.max(1) as usize;
    Ok(SandboxOptions { host_addresses, mtu, offload: config.offload == 1, queues })
}

/// # Safety
/// `list` is NULL or a list of strings that ends with NULL; they outlive `'a`.
unsafe fn strings<'a>(list: *const *const c_char, what: &str) -> Result<Option<Vec<&'a str>>, Error> {
    if list.is_null() {
        return Ok(None);
    }
    let mut strings = Vec::new();
    // SAFETY: the list ends with NULL, and nothing behind that is read.
    while let Some(string) = unsafe { args::string(list.add(strings.len()).read(), what) }? {
        strings.push(string);
    }
    Ok(Some(strings))
}

/// # Safety
/// `fds` is NULL or points to three descriptors that stay open for `'a`.
unsafe fn streams<'a>(fds: *const c_int) -> Result<[BorrowedFd<'a>; 3], Error> {
    // SAFETY: the caller's promise.
    let fds = if fds.is_null() { [0, 1, 2] } else { unsafe { fds.cast::<[c_int; 3]>().read_unaligned() } };
    if let Some(fd) = fds.iter().find(|fd| **fd < 0) {
        return Err(Error::new(Errno::EBADF, format!("descriptor {fd} cannot be a standard stream")));
    }
    // SAFETY: not negative; the caller's promise.
    Ok(fds.map(|fd| unsafe { BorrowedFd::borrow_raw(fd) }))
}
