//! The devices against the running kernel, in sandboxes.

use super::*;
use crate::link::{Frame, ReceivedChecksum, Sent, SentChecksum};
use crate::sandbox::tests::{connect, granted, inner, run_in};
use crate::sandbox::{self, Sandbox, SandboxOptions};
use crate::stack::Domain;
use crate::time::Instant;
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use std::net::{Ipv4Addr, UdpSocket};

const DEADLINE: Duration = Duration::from_secs(10);

fn device_of(sandbox: &Sandbox) -> Box<dyn Device> {
    let (device, name) = from_descriptor(sandbox.tun().unwrap(), 1500, sandbox::queue_length).unwrap();
    assert_eq!(name, "tun0");
    assert_eq!(device.capabilities().queue, Some(interface::QUEUE_LENGTH), "in another namespace");
    device
}

/// Polls for events; false when the deadline has passed.
fn wait_for(device: &dyn Device, events: i16, timeout: Duration) -> Option<i16> {
    wait_on(device.descriptor().unwrap(), events, timeout)
}

fn wait_on(fd: i32, events: i16, timeout: Duration) -> Option<i16> {
    let mut entries = [sys::PollFd { fd, events, revents: 0 }];
    (sys::poll(&mut entries, Some(timeout)).unwrap() == 1).then_some(entries[0].revents)
}

/// The next frame that `wanted` accepts.
fn receive(device: &mut dyn Device, wanted: impl Fn(&Frame) -> bool) -> Frame {
    let mut page = BytesMut::with_capacity(256 << 10);
    loop {
        page.reserve(device.spare());
        match device.recv(Instant::ZERO, &mut page).unwrap() {
            Some(frame) if wanted(&frame) => return frame,
            Some(_) => {}
            None => {
                wait_for(device, libc::POLLIN, DEADLINE).expect("a frame before the deadline");
            }
        }
    }
}

fn protocol(frame: &Frame) -> u8 {
    let version = frame.bytes[0] >> 4;
    if version == 4 { frame.bytes[9] } else { frame.bytes[6] }
}

/// An IPv4 header and a TCP header from 192.0.2.2:9 to 192.0.2.1:9, without flags, and a payload. A closed port answers it with a RST that
/// acknowledges every byte, so that the answer tells how much has arrived.
fn segment(sequence: u32, payload: usize, gso_size: u16) -> Transmit {
    let length = u16::try_from(40 + payload).unwrap();
    let mut ip = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1];
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    let sum = ones_complement(&[&ip]);
    ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
    let mut tcp = [0, 9, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x08, 0xff, 0xff, 0, 0, 0, 0];
    tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
    let tcp_length = (length - 20).to_be_bytes();
    let pseudo = ones_complement(&[&ip[12..20], &[0, 6], &tcp_length]);
    tcp[16..18].copy_from_slice(&pseudo.to_be_bytes());
    let head = ip.into_iter().chain(tcp).collect();
    let bytes = Bytes::from(vec![7; payload]);
    let chunks = bytes.chunks(20_000).map(|chunk| bytes.slice_ref(chunk)).collect();
    let checksum = SentChecksum::Partial { start: 20, offset: 16 };
    Transmit { head, payload: chunks, gso_size, checksum }
}

/// The same with the checksum that a plain device needs.
fn complete(mut transmit: Transmit) -> Transmit {
    let payload = transmit.payload.concat();
    let sum = !ones_complement(&[&transmit.head[20..], &payload]);
    transmit.head[36..38].copy_from_slice(&sum.to_be_bytes());
    transmit.checksum = SentChecksum::Complete;
    transmit
}

fn ones_complement(parts: &[&[u8]]) -> u16 {
    let words = parts.concat();
    let mut sum: u32 =
        words.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// Sequence number that the kernel's RST acknowledges.
fn acknowledged(device: &mut dyn Device) -> u32 {
    let frame = receive(device, |frame| protocol(frame) == 6);
    let tcp = &frame.bytes[20..];
    assert_eq!(tcp[13] & 0x14, 0x14, "RST and ACK");
    u32::from_be_bytes(tcp[8..12].try_into().unwrap())
}

#[test]
fn a_datagram_of_the_kernel_arrives() {
    for (offload, domain, to) in [
        (false, Domain::V4, "192.0.2.2:7"),
        (false, Domain::V6, "[2001:db8::2]:7"),
        (true, Domain::V4, "192.0.2.2:7"),
        (true, Domain::V6, "[2001:db8::2]:7"),
    ] {
        let Some(sandbox) = granted(offload) else { return };
        let mut device = device_of(&sandbox);
        assert_eq!(device.capabilities().tso4, offload);
        let socket = UdpSocket::from(sandbox.socket(domain, libc::SOCK_DGRAM, 0).unwrap());
        socket.send_to(b"first packet", to).unwrap();
        let frame = receive(&mut *device, |frame| protocol(frame) == 17);
        assert!(frame.bytes.ends_with(b"first packet"), "{frame:?}");
        assert_eq!(frame.meta.gso_size, 0);
    }
}

#[test]
fn an_unfinished_checksum_of_the_kernel_counts_as_valid() {
    let Some(sandbox) = granted(true) else { return };
    let mut device = device_of(&sandbox);
    let socket = sandbox.socket(Domain::V4, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0).unwrap();
    let started = connect(socket.as_fd(), Ipv4Addr::new(192, 0, 2, 2), 80);
    assert_eq!(started, Err(Errno::EINPROGRESS));
    let syn = receive(&mut *device, |frame| protocol(frame) == 6);
    assert_eq!(syn.bytes[33], 0x02, "SYN");
    assert_eq!(syn.meta.checksum, ReceivedChecksum::Valid);
}

#[test]
fn the_namespace_lives_while_its_tun_does() {
    let Some(sandbox) = granted(true) else { return };
    let mut device = device_of(&sandbox);
    drop(sandbox);
    device.send(Instant::ZERO, &segment(5, 100, 0)).unwrap();
    assert_eq!(acknowledged(&mut *device), 105);
}

#[test]
fn a_super_frame_reaches_the_kernel_whole() {
    let Some(sandbox) = granted(true) else { return };
    let mut device = device_of(&sandbox);
    let payload = 65_535 - 40;
    assert_eq!(device.send(Instant::ZERO, &segment(1000, payload, 1460)), Ok(Sent::Taken));
    assert_eq!(acknowledged(&mut *device), 1000 + u32::try_from(payload).unwrap());
}

#[test]
fn a_single_packet_reaches_the_kernel_with_and_without_offload() {
    let Some(sandbox) = granted(true) else { return };
    let mut device = device_of(&sandbox);
    device.send(Instant::ZERO, &segment(5, 100, 0)).unwrap();
    assert_eq!(acknowledged(&mut *device), 105);
    let Some(sandbox) = granted(false) else { return };
    let mut device = device_of(&sandbox);
    device.send(Instant::ZERO, &complete(segment(5, 100, 0))).unwrap();
    assert_eq!(acknowledged(&mut *device), 105);
}

#[test]
fn a_link_that_is_down_says_so_and_wakes_when_it_is_up() {
    for offload in [false, true] {
        let Some(sandbox) = granted(offload) else { return };
        let mut device = device_of(&sandbox);
        let packet = |sequence| {
            let whole = segment(sequence, 10, 0);
            if offload { whole } else { complete(whole) }
        };
        assert!(wait_for(&*device, libc::POLLOUT, DEADLINE).is_some());
        sandbox.set_link_up(false).unwrap();
        let mut page = BytesMut::with_capacity(device.spare());
        while device.recv(Instant::ZERO, &mut page).unwrap().is_some() {
            page.reserve(device.spare());
        }
        assert_eq!(device.send(Instant::ZERO, &packet(1)), Err(DeviceError::Down));
        assert_eq!(device.recv(Instant::ZERO, &mut page).map(|_| ()), Err(DeviceError::Down));
        assert_eq!(wait_for(&*device, libc::POLLOUT, Duration::from_millis(20)), None, "no spinning");
        let fd = device.descriptor().unwrap();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(move || wait_on(fd, libc::POLLOUT, DEADLINE));
            sandbox.set_link_up(true).unwrap();
            assert_eq!(sleeper.join().unwrap(), Some(libc::POLLOUT));
        });
        page.reserve(device.spare());
        device.recv(Instant::ZERO, &mut page).unwrap();
        device.send(Instant::ZERO, &packet(2)).unwrap();
        assert_eq!(acknowledged(&mut *device), 12);
    }
}

#[test]
fn a_deleted_device_is_gone() {
    let Some(sandbox) = granted(true) else { return };
    let mut device = device_of(&sandbox);
    sandbox.delete_link().unwrap();
    let events = wait_for(&*device, libc::POLLIN, DEADLINE).unwrap();
    assert_ne!(events & libc::POLLERR, 0);
    let mut page = BytesMut::with_capacity(device.spare());
    let Err(DeviceError::Gone(error)) = device.recv(Instant::ZERO, &mut page) else { panic!("not gone") };
    assert_eq!(error.errno(), Errno::ENODEV);
    assert!(matches!(device.send(Instant::ZERO, &segment(1, 1, 0)), Err(DeviceError::Gone(_))));
}

#[test]
fn a_packet_socket_carries_a_packet_a_message() {
    for kind in [libc::SOCK_SEQPACKET, libc::SOCK_DGRAM] {
        let (ours, theirs) = sys::socketpair(kind).unwrap();
        let (mut device, name) = from_descriptor(ours, 1500, sandbox::queue_length).unwrap();
        assert_eq!(device.capabilities().queue, None, "a socket holds its sender back");
        assert_eq!(name, "");
        let mut page = BytesMut::with_capacity(device.spare());
        assert_eq!(device.recv(Instant::ZERO, &mut page).unwrap().map(|frame| frame.bytes), None);
        sys::send(theirs.as_fd(), b"one", 0).unwrap();
        sys::send(theirs.as_fd(), b"two", 0).unwrap();
        for expected in [b"one", b"two"] {
            page.reserve(device.spare());
            let frame = device.recv(Instant::ZERO, &mut page).unwrap().unwrap();
            assert_eq!(&frame.bytes[..], expected);
        }
        let packet = complete(segment(1, 50_000, 0));
        assert_eq!(device.send(Instant::ZERO, &packet), Ok(Sent::Taken));
        let mut bytes = vec![0; 65_536];
        assert_eq!(sys::recv(theirs.as_fd(), &mut bytes, 0), Ok(packet.len()));
        assert_eq!(bytes[..40], packet.head[..]);
        drop(theirs);
        until_gone(|| device.send(Instant::ZERO, &packet).err());
    }
}

#[test]
fn the_end_of_a_packet_sockets_peer_is_seen_by_reading() {
    let (ours, theirs) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
    let (mut device, _) = from_descriptor(ours, 1500, |_| None).unwrap();
    drop(theirs);
    let mut page = BytesMut::with_capacity(device.spare());
    until_gone(|| device.recv(Instant::ZERO, &mut page).err());
}

/// The child of another test may keep the peer open until it is done.
fn until_gone(mut attempt: impl FnMut() -> Option<DeviceError>) {
    let deadline = crate::clock::now() + Duration::from_secs(30);
    while !matches!(attempt(), Some(DeviceError::Gone(_))) {
        assert!(crate::clock::now() < deadline, "the peer is gone and nobody notices");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_packet_socket_would_block() {
    let (ours, _theirs) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
    let (mut device, _) = from_descriptor(ours, 1500, |_| None).unwrap();
    let packet = complete(segment(1, 1000, 0));
    let full = (0..100_000).any(|_| device.send(Instant::ZERO, &packet) == Ok(Sent::WouldBlock));
    assert!(full);
}

#[test]
fn what_cannot_be_a_link_is_refused_in_words() {
    let refused = |fd: OwnedFd| from_descriptor(fd, 1500, |_| None).map(|_| ()).unwrap_err();
    let (pipe, _writer) = sys::pipe().unwrap();
    let (stream, _peer) = sys::socketpair(libc::SOCK_STREAM).unwrap();
    for fd in [pipe, stream, std::fs::File::open("/dev/null").unwrap().into()] {
        let error = refused(fd);
        assert_eq!(error.errno(), Errno::EINVAL);
        assert!(error.to_string().contains("cannot be the stack's link"), "{error}");
    }
    let Ok(unattached) = sys::open_read_write(TUN_PATH) else {
        println!("skipped: no TUN granted: /dev/net/tun may not be opened");
        return;
    };
    assert!(refused(unattached).to_string().contains("no interface is attached"));
}

#[test]
fn names_that_no_interface_can_have_are_refused() {
    let refused = |name| open_tun(Some(name), &[], 1500, None, 1).map(|_| ()).unwrap_err().errno();
    assert_eq!(refused("sixteen-letters-"), Errno::ENAMETOOLONG);
    for name in ["a b", "a/b", ".", "a:b"] {
        assert_eq!(refused(name), Errno::EINVAL, "{name}");
    }
}

#[test]
fn an_error_for_missing_privilege_names_the_ways_out() {
    let text = not_opened(Errno::EPERM, "vpn0", 1).to_string();
    for way in ["CAP_NET_ADMIN", "ip tuntap add dev vpn0 mode tun user", "sandbox", "0666"] {
        assert!(text.contains(way), "{text}");
    }
    assert!(not_opened(Errno::ENOENT, "", 1).to_string().contains("modprobe tun"));
    assert!(not_opened(Errno::EBUSY, "vpn0", 1).to_string().contains("another program"));
}

/// Runs the test `name` of this program in a sandbox, where it is root and the namespace is its own.
fn in_sandbox(name: &str) {
    let Some(sandbox) = granted(true) else { return };
    let program = std::env::current_exe().unwrap();
    let arguments = [program.to_str().unwrap(), "--exact", name, "--nocapture"];
    let mut environment: Vec<String> = std::env::vars_os()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value.to_str()?)))
        .collect();
    environment.push(format!("{WITHIN}=1"));
    let environment: Vec<&str> = environment.iter().map(String::as_str).collect();
    let (status, text) = run_in(&sandbox, &arguments, Some(&environment));
    assert!(status == 0 && text.contains("1 passed"), "exit status {status}:\n{text}");
}

const WITHIN: &str = "USERTCP_TEST_WITHIN";

fn within() -> bool {
    std::env::var_os(WITHIN).is_some()
}

#[test]
fn a_tun_is_opened_by_name_and_its_first_packet_arrives() {
    if !within() {
        return in_sandbox("device::tests::a_tun_is_opened_by_name_and_its_first_packet_arrives");
    }
    let addresses = ["198.51.100.1/24", "2001:db8:5::1/64"].map(|text| text.parse().unwrap());
    for (name, offload) in [("", Some(false)), ("own%d", None), ("mine", Some(true))] {
        let wish = (!name.is_empty()).then_some(name);
        let (devices, got) = open_tun(wish, &addresses, 9000, offload, 1).unwrap();
        let mut device = devices.into_iter().next().unwrap();
        let expected = if name == "own%d" {
            "own0"
        } else if name.is_empty() {
            "tun1"
        } else {
            name
        };
        assert_eq!((got.as_str(), device.capabilities().mtu), (expected, 9000));
        assert_eq!(device.capabilities().queue, Some(interface::QUEUE_LENGTH));
        assert_eq!(device.capabilities().tso6, offload != Some(false));
        let flags = std::fs::read_to_string(format!(
            "/proc/{}/fdinfo/{}",
            std::process::id(),
            device.descriptor().unwrap()
        ));
        let flags = flags.unwrap();
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
        let flags = i32::from_str_radix(&flags, 8).unwrap();
        assert_eq!(flags & (libc::O_NONBLOCK | libc::O_CLOEXEC), libc::O_NONBLOCK | libc::O_CLOEXEC);
        let status = Netlink::open().unwrap().link(expected).unwrap();
        assert_eq!((status.mtu, status.queue_length), (9000, interface::QUEUE_LENGTH));
        for (own, to) in [("0.0.0.0:0", "198.51.100.2:7"), ("[::]:0", "[2001:db8:5::2]:7")] {
            UdpSocket::bind(own).unwrap().send_to(b"at once", to).unwrap();
            let frame = receive(&mut *device, |frame| protocol(frame) == 17);
            assert!(frame.bytes.ends_with(b"at once"));
        }
        let busy = open_tun(Some(expected), &[], 1500, Some(false), 1).map(|_| ()).unwrap_err();
        assert_eq!(busy.errno(), Errno::EBUSY);
    }
    let fd = sys::open_read_write(TUN_PATH).unwrap();
    sys::tun_attach(fd.as_fd(), "handed", libc::IFF_TUN | libc::IFF_NO_PI).unwrap();
    assert_eq!(sandbox::queue_length(fd.as_fd()), Some(500), "of the kernel's own choice, in this namespace");
}

#[test]
fn a_tun_of_several_queues_is_opened_by_name_and_one_that_has_no_more_is_not() {
    if !within() {
        return in_sandbox(
            "device::tests::a_tun_of_several_queues_is_opened_by_name_and_one_that_has_no_more_is_not",
        );
    }
    let addresses = ["198.51.100.1/24".parse().unwrap()];
    for offload in [None, Some(false)] {
        let (devices, name) = open_tun(Some("several%d"), &addresses, 1500, offload, 4).unwrap();
        assert_eq!((devices.len(), name.as_str()), (4, "several0"));
        assert!(devices.iter().all(|device| device.capabilities().tso4 == offload.is_none()));
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"at once", "198.51.100.2:7").unwrap();
        let mut entries: Vec<_> = devices
            .iter()
            .map(|device| sys::PollFd { fd: device.descriptor().unwrap(), events: libc::POLLIN, revents: 0 })
            .collect();
        assert!(sys::poll(&mut entries, Some(DEADLINE)).unwrap() >= 1, "by one of them");
    }
    let (_kept, _) = open_tun(Some("single"), &[], 1500, None, 1).unwrap();
    let error = open_tun(Some("single"), &[], 1500, None, 2).map(|_| ()).unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL);
    for word in ["2 workers", "multi_queue", "ip tuntap add dev single"] {
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn queues_that_are_handed_over_are_of_one_device() {
    let options = SandboxOptions { queues: 3, ..SandboxOptions::default() };
    let (Some(_), Ok(sandbox)) = (granted(true), Sandbox::open(&options)) else { return };
    let queues = || sandbox.tun_queues().unwrap();
    let (devices, name) = from_queues(queues(), 1500, sandbox::queue_length).unwrap();
    assert_eq!((devices.len(), name.as_str()), (3, "tun0"));
    assert!(devices.iter().all(|device| device.capabilities().queue == Some(interface::QUEUE_LENGTH)));
    let refused = |fds| from_queues(fds, 1500, |_| None).map(|_| ()).unwrap_err();
    let single = sandbox.open_tun("tun1", &SandboxOptions::default()).unwrap();
    assert!(refused(vec![single]).to_string().contains("IFF_MULTI_QUEUE"));
    let (ours, _) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
    assert!(refused(vec![ours]).to_string().contains("several queues"));
    assert!(refused(Vec::new()).to_string().contains("none"));
}

#[test]
fn a_persistent_device_is_attached_to() {
    if !within() {
        if !["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].iter().any(|path| std::path::Path::new(path).exists())
        {
            println!("skipped: iproute2 is not installed");
            return;
        }
        return in_sandbox("device::tests::a_persistent_device_is_attached_to");
    }
    let ip = |arguments: &str| {
        let path = "/usr/sbin:/sbin:/usr/bin:/bin";
        let status = std::process::Command::new("ip").args(arguments.split(' ')).env("PATH", path).status();
        assert!(status.unwrap().success(), "ip {arguments}");
    };
    ip("tuntap add dev kept mode tun");
    ip("address add 198.51.100.1/24 dev kept");
    ip("link set dev kept up");
    for offload in [None, Some(false)] {
        let (devices, name) = open_tun(Some("kept"), &[], 1500, offload, 1).unwrap();
        let mut device = devices.into_iter().next().unwrap();
        assert_eq!(name, "kept");
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"at once", "198.51.100.2:7").unwrap();
        let frame = receive(&mut *device, |frame| protocol(frame) == 17);
        assert!(frame.bytes.ends_with(b"at once"));
    }
    let error = open_tun(Some("lo"), &[], 1500, Some(true), 1).map(|_| ()).unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL, "{error}");
}

#[test]
fn without_privilege_opening_a_tun_is_an_error_with_remedies() {
    // Started by the sandbox's tests, as an ordinary user.
    if !inner() {
        return;
    }
    let error = open_tun(Some("mine"), &[], 1500, None, 1).map(|_| ()).unwrap_err();
    assert_eq!(error.errno(), Errno::EPERM);
    assert!(error.to_string().contains("CAP_NET_ADMIN"));
}

#[test]
fn an_option_the_kernel_refuses_is_an_error_of_the_sandbox() {
    if granted(true).is_none() {
        return;
    }
    let options = SandboxOptions { mtu: 1, ..SandboxOptions::default() };
    let error = Sandbox::open(&options).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("MTU 1"), "{error}");
}
