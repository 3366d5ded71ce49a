//! The examples in C against the kernel in a sandbox: what users copy has to work.

#[allow(dead_code, reason = "tests/c.rs uses the rest")]
mod c_programs;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use usertcp_core::api::{Domain, Sandbox, SandboxOptions};

const OWN: [&str; 4] = ["--address", "192.0.2.2/24", "--address", "2001:db8::2/64"];

/// A sandbox, or nothing and the reason where none is granted.
fn sandbox() -> Option<Sandbox> {
    host(&["192.0.2.1/24", "2001:db8::1/64"])
}

/// The same with other addresses of the kernel's.
fn host(addresses: &[&str]) -> Option<Sandbox> {
    let host_addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let opened =
        Sandbox::open(&SandboxOptions { host_addresses, offload: false, ..SandboxOptions::default() });
    opened.map_err(|error| println!("skipped: no sandbox is granted here: {error}")).ok()
}

/// A descriptor that programs inherit.
fn inherited(sandbox: &Sandbox) -> OwnedFd {
    let tun = sandbox.tun().unwrap();
    // SAFETY: only clears the close-on-exec flag of a descriptor that is open.
    assert_eq!(unsafe { libc::fcntl(tun.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    tun
}

fn kernel_socket(sandbox: &Sandbox, address: SocketAddr) -> OwnedFd {
    let domain = if address.is_ipv4() { Domain::V4 } else { Domain::V6 };
    let socket = sandbox.socket(domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).unwrap();
    let name = b"cubic";
    // SAFETY: the option's value is the five bytes of the name.
    let set = unsafe {
        let (level, option) = (libc::IPPROTO_TCP, libc::TCP_CONGESTION);
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    };
    assert_eq!(set, 0);
    socket
}

/// Calls `bind` or `connect` with an address in the kernel's form.
fn with_name(
    call: unsafe extern "C" fn(i32, *const libc::sockaddr, libc::socklen_t) -> i32,
    socket: &OwnedFd,
    to: SocketAddr,
) {
    let outcome = try_name(call, socket, to);
    assert!(outcome.is_ok(), "{to}: {outcome:?}");
}

fn try_name(
    call: unsafe extern "C" fn(i32, *const libc::sockaddr, libc::socklen_t) -> i32,
    socket: &OwnedFd,
    to: SocketAddr,
) -> std::io::Result<()> {
    let mut name = [0_u8; 28];
    name[2..4].copy_from_slice(&to.port().to_be_bytes());
    let length = match to {
        SocketAddr::V4(v4) => {
            name[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            name[4..8].copy_from_slice(&v4.ip().octets());
            16
        }
        SocketAddr::V6(v6) => {
            name[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            name[8..24].copy_from_slice(&v6.ip().octets());
            28
        }
    };
    // SAFETY: the name is `length` bytes long; the kernel copies it.
    let outcome = unsafe { call(socket.as_raw_fd(), name.as_ptr().cast(), length) };
    if outcome == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn listener(sandbox: &Sandbox, address: SocketAddr) -> TcpListener {
    let socket = kernel_socket(sandbox, address);
    with_name(libc::bind, &socket, address);
    // SAFETY: the descriptor is open, and given away to the listener.
    unsafe {
        assert_eq!(libc::listen(socket.as_raw_fd(), 16), 0);
        TcpListener::from_raw_fd(socket.into_raw_fd())
    }
}

fn stream(sandbox: &Sandbox, address: SocketAddr) -> TcpStream {
    let socket = kernel_socket(sandbox, address);
    with_name(libc::connect, &socket, address);
    // SAFETY: the descriptor is open, and given away to the stream.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

fn example(name: &str) -> Command {
    Command::new(c_programs::build_example(name))
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 + n / 251) as u8).collect()
}

/// Answers one request with `head` and `body`.
fn answer(listener: &TcpListener, head: &str, body: &[u8]) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    String::from_utf8(request).unwrap()
}

fn download(address: &str, more: &[&str], length: usize, told: bool) {
    let Some(sandbox) = sandbox() else { return };
    let tun = inherited(&sandbox);
    let server = listener(&sandbox, address.parse().unwrap());
    let body = content(length);
    let output = c_programs::scratch(&format!("download-{}", address.replace(['[', ']', ':', '.'], "-")));
    let mut get = example("get");
    get.args(["--fd", &tun.as_raw_fd().to_string()]).args(OWN).args(more);
    get.arg("-o").arg(&output).arg(format!("http://{address}/a%20file"));
    let head = if told { format!("Content-Length: {length}\r\n") } else { String::new() };
    let head = format!("HTTP/1.1 200 OK\r\n{head}Connection: close\r\n\r\n");
    let sent = body.clone();
    let server = thread::spawn(move || answer(&server, &head, &sent));
    let done = get.output().unwrap();
    let request = server.join().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}: {out}{err}", done.status);
    assert!(
        request.starts_with("GET /a%20file HTTP/1.1\r\n")
            && request.contains(&format!("Host: {address}\r\n")),
        "{request}"
    );
    assert!(out.starts_with(&format!("bytes={length} seconds=")) && out.contains(" retransmits="), "{out}");
    assert!(fs::read(&output).unwrap() == body, "the file differs");
}

#[test]
fn get_downloads_over_ipv4() {
    download("192.0.2.1:8000", &[], 5 << 20, true);
}

#[test]
fn get_downloads_over_ipv6_until_the_connection_ends() {
    download("[2001:db8::1]:8000", &[], 5 << 20, false);
}

#[test]
fn get_downloads_over_a_bad_link() {
    download("192.0.2.1:8001", &["--impair", "loss=0.01,delay=2,reorder=0.005"], 1 << 20, true);
}

#[test]
fn get_tells_what_is_wrong() {
    let Some(sandbox) = sandbox() else { return };
    let tun = inherited(&sandbox);
    let server = listener(&sandbox, "192.0.2.1:80".parse().unwrap());
    let server =
        thread::spawn(move || answer(&server, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""));
    let fails = |url: &str| {
        let done =
            example("get").args(["--fd", &tun.as_raw_fd().to_string()]).args(OWN).arg(url).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{url}");
        String::from_utf8(done.stderr).unwrap()
    };
    assert!(fails("http://192.0.2.1/").contains("404 Not Found"));
    server.join().unwrap();
    assert!(fails("http://192.0.2.1:9/").contains("ECONNREFUSED"));
    assert!(fails("https://192.0.2.1/").contains("http://"));
    assert!(fails("http://example.org/").contains("not an address"));
}

/// Ends a program however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_server(tun: &OwnedFd, more: &[&str]) -> (Running, BufReader<std::process::ChildStdout>) {
    let mut server = example("echo_server");
    server.args(["--fd", &tun.as_raw_fd().to_string(), "--port", "7"]).args(OWN).args(more);
    let mut server = Running(server.stdout(Stdio::piped()).spawn().unwrap());
    let mut out = BufReader::new(server.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("ready"), "{line}");
    (server, out)
}

/// Sends `length` bytes while reading them back.
fn exchange(mut stream: TcpStream, length: usize) {
    let body = content(length);
    let (mut writer, sent) = (stream.try_clone().unwrap(), body.clone());
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed).unwrap();
    writing.join().unwrap();
    assert!(echoed == body, "{} bytes of {length} came back, or others", echoed.len());
}

#[test]
fn echo_server_answers_eight_clients_at_once() {
    let Some(sandbox) = sandbox() else { return };
    let (mut server, mut out) = start_server(&inherited(&sandbox), &["--clients", "8"]);
    let peers = ["192.0.2.2:7", "[2001:db8::2]:7"].repeat(4);
    let clients: Vec<_> = peers.iter().map(|peer| stream(&sandbox, peer.parse().unwrap())).collect();
    let threads: Vec<_> =
        clients.into_iter().map(|client| thread::spawn(move || exchange(client, 1 << 20))).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(server.0.wait().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, format!("clients=8 bytes={}\n", 8 << 20));
}

#[test]
fn echo_server_ends_cleanly_on_sigterm() {
    let Some(sandbox) = sandbox() else { return };
    let (mut server, mut out) = start_server(&inherited(&sandbox), &[]);
    let _idle = stream(&sandbox, "192.0.2.2:7".parse().unwrap());
    exchange(stream(&sandbox, "192.0.2.2:7".parse().unwrap()), 1000);
    // SAFETY: a signal to a child of this test that has not been waited for.
    assert_eq!(unsafe { libc::kill(server.0.id() as i32, libc::SIGTERM) }, 0);
    assert!(server.0.wait().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "clients=1 bytes=1000\n");
}

/// A page of `openssl s_server` in the sandbox, fetched by its address and by its name; and what is refused.
#[test]
fn tls_get_fetches_a_page_and_believes_no_other_certificate() {
    let libraries = match c_programs::example_libraries("tls_get") {
        Ok(libraries) => libraries,
        Err(missing) => return println!("skipped: tls_get: {missing}"),
    };
    if Command::new("openssl").arg("version").output().is_err() {
        return println!("skipped: tls_get: openssl is not installed");
    }
    let Some(sandbox) = sandbox() else { return };
    let program = c_programs::build_example_with("tls_get", &libraries);
    let tun = inherited(&sandbox);
    for (host, port) in [("192.0.2.1", 8443), ("[2001:db8::1]", 8444)] {
        let peer = format!("{host}:{port}");
        let (certificate, key) = certificate(&format!("tls-{port}"));
        let _server = https_server(&sandbox, &peer, &certificate, &key);
        let get = |more: &[&str]| {
            let mut get = Command::new(&program);
            get.args(["--fd", &tun.as_raw_fd().to_string(), "--address", "192.0.2.2/24,2001:db8::2/64"]);
            let done = get.args(more).args([&peer, "/"]).output().unwrap();
            (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned(), done.stderr)
        };
        for name in [&["--name", "stack.example"][..], &[]] {
            let (code, out, err) = get(&[&["--ca", &certificate], name].concat());
            assert_eq!(code, Some(0), "{out}{}", String::from_utf8_lossy(&err));
            assert!(out.starts_with("HTTP/1.0 200 ok") && out.contains("TLSv1.3"), "{out}");
        }
        let hosts = c_programs::scratch(&format!("hosts-{port}"));
        let line = format!("{} stack.example\n", host.trim_matches(['[', ']']));
        fs::write(&hosts, line).unwrap();
        let mut by_name = Command::new(&program);
        by_name.args(["--fd", &tun.as_raw_fd().to_string(), "--address", "192.0.2.2/24,2001:db8::2/64"]);
        by_name.args(["--ca", &certificate, "--hosts"]).arg(&hosts);
        let done = by_name.args([&format!("stack.example:{port}"), "/"]).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(out.starts_with("HTTP/1.0 200 ok"), "{out}{err}");
        let (code, out, err) = get(&["--ca", &certificate, "--name", "other.example"]);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(String::from_utf8_lossy(&err).contains("mismatch"), "{}", String::from_utf8_lossy(&err));
        assert_eq!(get(&["--name", "stack.example"]).0, Some(1), "nobody has signed it");
    }
}

/// A certificate that its owner has signed, and its key: their files' names.
fn certificate(name: &str) -> (String, String) {
    let files = ["crt", "key"].map(|end| c_programs::scratch(&format!("{name}.{end}")));
    let [certificate, key] = files.map(|path| path.to_str().unwrap().to_owned());
    let names = "subjectAltName=DNS:stack.example,IP:192.0.2.1,IP:2001:db8::1";
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=stack.example", "-addext", names])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

/// Runs until it is dropped; so does the pipe that it talks into.
fn https_server(
    sandbox: &Sandbox,
    at: &str,
    certificate: &str,
    key: &str,
) -> (usertcp_core::api::Child, impl Read + use<>) {
    let (out, to) = std::io::pipe().unwrap();
    let nothing = fs::File::open("/dev/null").unwrap();
    let argv = ["openssl", "s_server", "-accept", at, "-www", "-cert", certificate, "-key", key];
    let child = sandbox.spawn(&argv, None, [nothing.as_fd(), to.as_fd(), to.as_fd()]).unwrap();
    drop(to);
    let mut said = BufReader::new(out);
    let mut line = String::new();
    while line.trim() != "ACCEPT" {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "openssl s_server has ended");
    }
    (child, said)
}

#[test]
fn many_holds_ten_thousand_connections() {
    let done = example("many").arg("10000").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
    assert!(out.starts_with("answered=10000 ") && out.ends_with("served=10000 at-once=10000\n"), "{out}");
}

#[test]
fn tunnel_carries_what_comes_in() {
    let body = content(4 << 20);
    let mut tunnel = example("tunnel");
    let mut tunnel = Running(tunnel.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let (mut input, mut output) = (tunnel.0.stdin.take().unwrap(), tunnel.0.stdout.take().unwrap());
    let sent = body.clone();
    let writing = thread::spawn(move || input.write_all(&sent).unwrap());
    let mut copy = Vec::new();
    output.read_to_end(&mut copy).unwrap();
    writing.join().unwrap();
    assert!(tunnel.0.wait().unwrap().success());
    assert!(copy == body, "{} bytes of {} came, or others", copy.len(), body.len());
}

/// Clients in one namespace, servers in another one, which see the clients' addresses and ports.
#[test]
fn tproxy_carries_connections_under_the_clients_addresses() {
    let clients = ["192.0.2.1/24", "203.0.113.1/24", "2001:db8:1::1/64", "2001:db8:3::1/64"];
    let servers = ["203.0.113.9/24", "192.0.2.254/24", "2001:db8:3::9/64", "2001:db8:1::fe/64"];
    let (Some(near), Some(far)) = (host(&clients), host(&servers)) else { return };
    let (near_tun, far_tun) = (inherited(&near), inherited(&far));
    for (prefix, own, client, server) in [
        ("203.0.113.0/24", "192.0.2.77/24", "192.0.2.1", "203.0.113.9"),
        ("2001:db8:3::/64", "2001:db8:1::77/64", "2001:db8:1::1", "2001:db8:3::9"),
    ] {
        let at = |host: &str, port: u16| SocketAddr::new(host.parse().unwrap(), port);
        let mut proxy = example("tproxy");
        proxy.args(["--near", &near_tun.as_raw_fd().to_string(), "--far", &far_tun.as_raw_fd().to_string()]);
        proxy.args(["--prefix", prefix, "--address", own, "--connections", "3"]);
        let mut proxy = Running(proxy.stdout(Stdio::piped()).spawn().unwrap());
        let mut out = BufReader::new(proxy.0.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let listening = listener(&far, at(server, 80));
        let echo = thread::spawn(move || {
            for _ in 0..2 {
                let (mut peer, from) = listening.accept().unwrap();
                let mut body = Vec::new();
                peer.read_to_end(&mut body).unwrap();
                peer.write_all(from.to_string().as_bytes()).unwrap();
                peer.write_all(&body).unwrap();
            }
        });
        for length in [0, 1 << 20] {
            let socket = kernel_socket(&near, at(client, 0));
            with_name(libc::bind, &socket, at(client, 0));
            with_name(libc::connect, &socket, at(server, 80));
            // SAFETY: the descriptor is open, and given away to the stream.
            let mut stream = unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) };
            assert_eq!(stream.peer_addr().unwrap(), at(server, 80));
            let mut expected = stream.local_addr().unwrap().to_string().into_bytes();
            let body = content(length);
            stream.write_all(&body).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answered = Vec::new();
            stream.read_to_end(&mut answered).unwrap();
            expected.extend(body);
            assert!(answered == expected, "{} bytes, not {}", answered.len(), expected.len());
        }
        echo.join().unwrap();
        let refused = kernel_socket(&near, at(server, 81));
        let outcome = try_name(libc::connect, &refused, at(server, 81)).map_err(|error| error.kind());
        assert_eq!(outcome, Err(std::io::ErrorKind::ConnectionRefused), "nobody listens there");
        assert!(proxy.0.wait().unwrap().success());
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("refused=ECONNREFUSED\n") && rest.contains("sent=1048576 "), "{rest}");
    }
}

#[test]
fn every_example_is_run() {
    let text = fs::read_to_string(c_programs::crate_dir().join("tests/examples.rs")).unwrap();
    for entry in fs::read_dir(c_programs::crate_dir().join("../examples/c")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            path.extension().is_none_or(|end| end != "c") || text.contains(&format!("\"{name}\"")),
            "{name} is not run here"
        );
    }
}
