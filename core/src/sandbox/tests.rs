//! The sandbox against the running kernel, as root and as an ordinary user.

#![allow(unsafe_code)]

use super::*;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Set in a copy of the test program that a test has started.
const INNER: &str = "USERTCP_TEST_INNER";

/// A sandbox with 192.0.2.1/24 and 2001:db8::1/64, or `None` and a line that says why there is none on this machine.
pub(crate) fn granted(offload: bool) -> Option<Sandbox> {
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
        println!("skipped: no TUN granted: /dev/net/tun: {error}");
        return None;
    }
    let addresses = ["192.0.2.1/24", "2001:db8::1/64"];
    let host_addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    match Sandbox::open(&SandboxOptions { host_addresses, offload, ..SandboxOptions::default() }) {
        Ok(sandbox) => Some(sandbox),
        // SAFETY: no arguments, no failure.
        Err(error) if unsafe { libc::geteuid() } != 0 => {
            println!("skipped: no TUN granted: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// connect(2) of a kernel-side socket; std has none for a socket that exists.
pub(crate) fn connect(fd: BorrowedFd<'_>, address: Ipv4Addr, port: u16) -> Result<(), Errno> {
    // SAFETY: sockaddr_in is plain data, for which all zeroes is valid; the size given is its own.
    let result = unsafe {
        let mut to: libc::sockaddr_in = core::mem::zeroed();
        to.sin_family = libc::AF_INET as libc::sa_family_t;
        to.sin_port = port.to_be();
        to.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
        let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        libc::connect(fd.as_raw_fd(), (&raw const to).cast(), size)
    };
    if result < 0 { Err(crate::sys::last_errno()) } else { Ok(()) }
}

/// Runs tests of this program once more, in a process of their own; its output if it succeeds.
fn again(program: PathBuf, tests: &[&str], prepare: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new(program);
    command.args(tests).args(["--nocapture", "--test-threads=1"]).env(INNER, "1").stdin(Stdio::null());
    prepare(&mut command);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{:?} of {tests:?}:\n{text}", output.status);
    assert!(!text.contains(" 0 passed"), "nothing was run:\n{text}");
    text
}

pub(crate) fn inner() -> bool {
    std::env::var_os(INNER).is_some()
}

/// Runs a program in the sandbox; its exit status and what it wrote.
pub(crate) fn run_in(sandbox: &Sandbox, argv: &[&str], environment: Option<&[&str]>) -> (i32, String) {
    let (reader, writer) = crate::sys::pipe().unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let child = sandbox.spawn(argv, environment, [null.as_fd(), writer.as_fd(), writer.as_fd()]).unwrap();
    drop(writer);
    let mut text = String::new();
    fs::File::from(reader).read_to_string(&mut text).unwrap();
    (child.wait(true).unwrap().unwrap(), text)
}

#[test]
fn a_socket_of_the_sandbox_is_in_its_namespace() {
    let Some(sandbox) = granted(true) else { return };
    let fd = sandbox.socket(Domain::V4, libc::SOCK_STREAM, 0).unwrap();
    assert_eq!(connect(fd.as_fd(), Ipv4Addr::new(192, 0, 2, 1), 1), Err(Errno::ECONNREFUSED));
    let listener = sandbox.socket(Domain::V4, libc::SOCK_STREAM, 0).unwrap();
    // SAFETY: integers only; listening without bind picks a port.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
    let listener = TcpListener::from(listener);
    let port = listener.local_addr().unwrap().port();
    let client = sandbox.socket(Domain::V4, libc::SOCK_STREAM, 0).unwrap();
    assert_eq!(connect(client.as_fd(), Ipv4Addr::LOCALHOST, port), Ok(()));
    assert_eq!(listener.accept().unwrap().1, TcpStream::from(client).local_addr().unwrap());
    assert!(sandbox.socket(Domain::V6, libc::SOCK_STREAM, 0).is_ok());
    assert_eq!(sandbox.socket(Domain::V4, 99, 0).unwrap_err().errno(), Errno::EINVAL);
}

#[test]
fn a_program_runs_in_the_namespace_with_its_streams_and_environment() {
    let Some(sandbox) = granted(true) else { return };
    let (status, devices) = run_in(&sandbox, &["cat", "/proc/self/net/dev"], None);
    assert_eq!(status, 0, "{devices}");
    assert!(devices.contains("tun0:") && devices.contains("lo:"), "{devices}");
    let script = "echo $WORD; kill -9 $$";
    let environment = ["WORD=seen", "PATH=/usr/bin:/bin"];
    let (status, text) = run_in(&sandbox, &["sh", "-c", script], Some(&environment));
    assert_eq!((status, text.as_str()), (128 + 9, "seen\n"));
    let (status, text) = run_in(&sandbox, &["/bin/sh", "-c", "exit 7"], None);
    assert_eq!((status, text.as_str()), (7, ""));
    let (status, masks) = run_in(&sandbox, &["grep", "SigBlk", "/proc/self/status"], None);
    assert_eq!((status, masks.contains("0000000000000000")), (0, true), "{masks}");
}

#[test]
fn a_program_that_cannot_run_is_an_error() {
    let Some(sandbox) = granted(true) else { return };
    let null = fs::File::open("/dev/null").unwrap();
    let streams = [null.as_fd(); 3];
    let errno =
        |argv: &[&str]| sandbox.spawn(argv, Some(&["PATH=/usr/bin:/bin"]), streams).unwrap_err().errno();
    assert_eq!(errno(&["no-such-program-anywhere"]), Errno::ENOENT);
    assert_eq!(errno(&["/etc/passwd"]), Errno::EACCES);
    assert_eq!(errno(&[]), Errno::EINVAL);
    assert_eq!(errno(&["echo", "a\0b"]), Errno::EINVAL);
}

#[test]
fn a_program_can_be_polled_for_its_end_and_killed_and_dies_when_dropped() {
    let Some(sandbox) = granted(true) else { return };
    let null = fs::File::open("/dev/null").unwrap();
    let sleeper = || sandbox.spawn(&["sleep", "600"], None, [null.as_fd(); 3]).unwrap();
    let child = sleeper();
    assert_eq!(child.wait(false), Ok(None));
    child.kill(libc::SIGTERM).unwrap();
    assert_eq!(child.wait(true), Ok(Some(128 + libc::SIGTERM)));
    assert_eq!(child.wait(false), Ok(Some(128 + libc::SIGTERM)));
    assert_eq!(child.kill(libc::SIGTERM).unwrap_err().errno(), Errno::ESRCH);
    let child = sleeper();
    let pid = child.pid();
    drop(child);
    assert_eq!(crate::sys::kill(pid, 0), Err(Errno::ESRCH));
}

#[test]
fn addresses_routes_and_parameters_are_the_sandboxs_own() {
    let Some(sandbox) = granted(false) else { return };
    sandbox.add_address("198.51.100.1/24".parse().unwrap()).unwrap();
    sandbox.add_address("2001:db8:1::1/64".parse().unwrap()).unwrap();
    sandbox.add_route("203.0.113.0/24".parse().unwrap(), Some([192, 0, 2, 2].into())).unwrap();
    sandbox.add_route("2001:db8:2::/64".parse().unwrap(), None).unwrap();
    let refused = sandbox.add_route("203.0.113.0/24".parse().unwrap(), Some([10, 9, 9, 9].into()));
    assert_eq!(refused.unwrap_err().errno(), Errno::ENETUNREACH);
    let (_, routes) = run_in(&sandbox, &["cat", "/proc/self/net/route"], None);
    assert!(routes.contains("007100CB\t020200C0"), "{routes}");
    let (_, addresses) = run_in(&sandbox, &["cat", "/proc/self/net/if_inet6"], None);
    assert!(addresses.contains("20010db8000100000000000000000001"), "{addresses}");
    let outside = fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").unwrap();
    sandbox.set_sysctl("net.ipv4.ip_default_ttl", "77").unwrap();
    let (_, inside) = run_in(&sandbox, &["cat", "/proc/sys/net/ipv4/ip_default_ttl"], None);
    assert_eq!(inside.trim(), "77");
    let status = lock(&sandbox.netlink).link(sandbox.device_name()).unwrap();
    assert_eq!((status.mtu, status.queue_length), (1500, interface::QUEUE_LENGTH));
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").unwrap(), outside);
    assert_eq!(sandbox.set_sysctl("kernel.hostname", "x").unwrap_err().errno(), Errno::EINVAL);
    assert_eq!(sandbox.set_sysctl("net.ipv4.none", "x").unwrap_err().errno(), Errno::ENOENT);
}

#[test]
fn an_address_is_in_use_once_it_is_given() {
    let Some(sandbox) = granted(false) else { return };
    for host in 1..=200 {
        let address = format!("2001:db8:1::{host:x}/64").parse::<Prefix>().unwrap();
        sandbox.add_address(address).unwrap();
        assert!(lock(&sandbox.netlink).is_local(address.address).unwrap(), "{address}");
    }
}

#[test]
fn ipv6_switched_off_is_said() {
    let Some(sandbox) = granted(false) else { return };
    sandbox.set_sysctl("net.ipv6.conf.all.disable_ipv6", "1").unwrap();
    let error = sandbox.add_address("2001:db8:1::1/64".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("IPv6 is switched off"), "{error}");
}

#[test]
fn two_sandboxes_do_not_see_each_other() {
    let (Some(one), Some(two)) = (granted(true), granted(true)) else { return };
    let listener = one.socket(Domain::V4, libc::SOCK_STREAM, 0).unwrap();
    // SAFETY: integers only.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
    let SocketAddr::V4(address) = TcpListener::from(listener).local_addr().unwrap() else { panic!() };
    let client = two.socket(Domain::V4, libc::SOCK_STREAM, 0).unwrap();
    assert_eq!(connect(client.as_fd(), Ipv4Addr::LOCALHOST, address.port()), Err(Errno::ECONNREFUSED));
}

static CHILD_SIGNALS: AtomicU32 = AtomicU32::new(0);
static FORKS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_child_signal(_: i32) {
    CHILD_SIGNALS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The body runs in a process of its own, since it counts what belongs to a process.
#[test]
fn the_program_does_not_notice_a_hundred_sandboxes() {
    if !inner() {
        let name = "sandbox::tests::the_program_does_not_notice_a_hundred_sandboxes";
        again(std::env::current_exe().unwrap(), &["--exact", name], |_| {});
        return;
    }
    if granted(true).is_none() {
        return;
    }
    // SAFETY: the handlers only add to an atomic.
    unsafe {
        libc::signal(libc::SIGCHLD, count_child_signal as extern "C" fn(i32) as libc::sighandler_t);
        libc::pthread_atfork(Some(count_fork), Some(count_fork), Some(count_fork));
    }
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for round in 0..100 {
        let sandbox = granted(round % 2 == 0).unwrap();
        sandbox.socket(Domain::V4, libc::SOCK_DGRAM, 0).unwrap();
        sandbox.tun().unwrap();
    }
    assert_eq!(descriptors(), before);
    assert_eq!((CHILD_SIGNALS.load(Ordering::Relaxed), FORKS.load(Ordering::Relaxed)), (0, 0));
    assert_eq!(crate::sys::wait_child(-1, false), Err(Errno::ECHILD));
}

/// Everything above, and the devices' tests, once more as an ordinary user who may open `/dev/net/tun`.
#[test]
fn an_ordinary_user_has_it_all() {
    // SAFETY: no arguments, no failure.
    let root = unsafe { libc::geteuid() } == 0;
    // Not for whoever is an ordinary user already: the other tests have shown it then.
    if inner() || !root || granted(true).is_none() {
        return;
    }
    let directory = Temporary(std::env::temp_dir().join(format!("usertcp-sandbox-{}", std::process::id())));
    fs::create_dir(&directory.0).unwrap();
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.0.join("tests");
    // Another process copies it: what is written here, a child that another test forks keeps open for writing, and nobody may run it then.
    let copied = Command::new("cp").args([&std::env::current_exe().unwrap(), &program]).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let text = again(program, &["sandbox::tests", "device::tests"], |command| {
        command.current_dir("/");
        // SAFETY: system calls only, on constants.
        unsafe { command.pre_exec(become_ordinary) };
    });
    assert!(!text.contains("skipped: no TUN granted"), "{text}");
}

struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// In a mount namespace of its own puts a `/dev/net/tun` of mode 0666 in place, then gives up root.
fn become_ordinary() -> std::io::Result<()> {
    let check = |result: i32| match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    let none = core::ptr::null::<libc::c_char>();
    // SAFETY: constant strings and integers.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        let private = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(none, c"/".as_ptr(), none, private, core::ptr::null()))?;
        let tmpfs = c"tmpfs".as_ptr();
        check(libc::mount(tmpfs, c"/dev/net".as_ptr(), tmpfs, 0, c"mode=755".as_ptr().cast()))?;
        let mode = libc::S_IFCHR | 0o666;
        check(libc::mknod(c"/dev/net/tun".as_ptr(), mode, libc::makedev(10, 200)))?;
        check(libc::chmod(c"/dev/net/tun".as_ptr(), 0o666))?;
        check(libc::setgroups(0, core::ptr::null()))?;
        check(libc::setgid(1001))?;
        check(libc::setuid(1001))
    }
}

#[test]
fn a_missing_device_is_named() {
    let error = |step, errno| not_made(Failure { step, errno }).to_string();
    assert!(error(Step::OpenTun, Errno::EACCES).contains("chmod 0666 /dev/net/tun"));
    assert!(error(Step::OpenTun, Errno::ENOENT).contains("modprobe tun"));
    assert!(error(Step::Unshare, Errno::EPERM).contains("user namespaces"));
    let failure = Failure { step: Step::MapUsers, errno: Errno::EPERM };
    assert_eq!(Failure::from_bytes(failure.to_bytes()), Some(failure));
    assert_eq!(Failure::from_bytes([0; 8]), None);
}

#[test]
fn a_second_tun_is_beside_the_first() {
    let Some(sandbox) = granted(true) else { return };
    let host_addresses = vec!["198.51.100.1/24".parse().unwrap()];
    let options = SandboxOptions { host_addresses, mtu: 1400, offload: false, queues: 1 };
    let tun = sandbox.open_tun("tun1", &options).unwrap();
    assert_eq!(crate::sys::tun_interface(tun.as_fd()).unwrap().name, "tun1");
    assert_eq!(sandbox.open_tun("tun1", &options).unwrap_err().errno(), Errno::EBUSY);
    let (_, devices) = run_in(&sandbox, &["cat", "/proc/self/net/dev"], None);
    assert!(devices.contains("tun0:") && devices.contains("tun1:"), "{devices}");
    let socket = sandbox.socket(Domain::V4, libc::SOCK_STREAM, 0).unwrap();
    let refused = connect(socket.as_fd(), Ipv4Addr::new(198, 51, 100, 1), 1);
    assert_eq!(refused, Err(Errno::ECONNREFUSED));
}
