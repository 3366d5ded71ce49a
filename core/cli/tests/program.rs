//! The program `usertcp`, run: downloads from a server on a stack at the other end of its link, and looks into a running stack.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use usertcp_core::api::*;
use usertcp_core::sys;

const NONE: MessageFlags = MessageFlags(0);
/// Waits are for events; only a failing test sees this.
const PATIENCE: Wait = Wait::AtMost(Duration::from_secs(30));

/// A stack at one end of a link, and the other end.
fn peer(control: Option<PathBuf>) -> (Stack, OwnedFd) {
    let (near, far) = sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair");
    let addresses = ["192.0.2.1/24", "2001:db8::1/64"].map(|text| text.parse().expect("an address")).to_vec();
    let options = StackOptions {
        config: Config { addresses, ..Config::default() },
        device: DeviceOptions::Descriptor(near),
        control,
        ..StackOptions::default()
    };
    (Stack::open(options).expect("a stack"), far)
}

fn usertcp(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usertcp"));
    command.args(words);
    command
}

fn run(words: &[&str], stdin: Stdio) -> Output {
    usertcp(words).stdin(stdin).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn certificates(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

/// A connection as std has them.
struct Stream(Socket);

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.recv(bytes, NONE, PATIENCE).map_err(|error| io::Error::from_raw_os_error(error.errno().0))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes, NONE, PATIENCE).map_err(|error| io::Error::from_raw_os_error(error.errno().0))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a request and answers it; the request.
fn answer(stream: &mut (impl Read + Write), response: &[u8]) -> String {
    let (mut request, mut byte) = (Vec::new(), [0; 1]);
    while !request.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).expect("a request"), 1);
        request.push(byte[0]);
    }
    stream.write_all(response).expect("the response goes out");
    text(&request)
}

fn listener(stack: &Stack, address: &str) -> Socket {
    let address: std::net::SocketAddr = address.parse().expect("an address");
    let domain = if address.is_ipv4() { Domain::V4 } else { Domain::V6 };
    let listener = stack.socket(domain).expect("a socket");
    listener.bind(address).expect("bind");
    listener.listen(5).expect("listen");
    listener
}

/// Answers one request at `address` while the program runs; the request and what the program did.
fn served(stack: &Stack, far: OwnedFd, address: &str, response: &[u8], words: &[&str]) -> (String, Output) {
    let listener = listener(stack, address);
    thread::scope(|scope| {
        let server = scope.spawn(move || {
            let (socket, _) = listener.accept(PATIENCE).expect("the program connects");
            answer(&mut Stream(socket), response)
        });
        let output = run(words, Stdio::from(far));
        (server.join().expect("the server"), output)
    })
}

fn page(body: &[u8]) -> Vec<u8> {
    let mut page = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())
        .into_bytes();
    page.extend_from_slice(body);
    page
}

#[test]
fn get_writes_what_it_downloads() {
    let (stack, far) = peer(None);
    let body: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    let words = ["get", "--stdin", "http://192.0.2.1/a/file?x=1"];
    let (request, output) = served(&stack, far, "192.0.2.1:80", &page(&body), &words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout == body, "{} bytes came", output.stdout.len());
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    assert!(request.starts_with("GET /a/file?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("\r\nuser-agent: usertcp/"), "{request}");
}

/// The reply to a question for A records: 192.0.2.1; to another none.
fn named(query: &[u8]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).expect("the end of a name") + 5;
    let asks_v4 = query[end - 3] == 1;
    let mut reply = query[..end].to_vec();
    // A response, recursion available, one question, answers, no more records.
    (reply[2], reply[3]) = (0x81, 0x80);
    reply[6..12].copy_from_slice(&[0, u8::from(asks_v4), 0, 0, 0, 0]);
    if asks_v4 {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    }
    reply
}

#[test]
fn get_asks_the_name_server_that_it_is_told() {
    let (stack, far) = peer(None);
    let server = stack.datagram_socket(Domain::V4).expect("a socket");
    server.bind("192.0.2.1:53".parse().unwrap()).expect("the port of names");
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok(Some(query)) = server.recv_datagram(NONE, PATIENCE) {
                server.send_to(&named(&query.bytes), Some(query.from), NONE, PATIENCE).expect("a reply");
            }
        });
        let words = ["get", "--stdin", "--nameserver", "192.0.2.1", "http://page.example./"];
        let (request, output) = served(&stack, far, "192.0.2.1:80", &page(b"found"), &words);
        assert_eq!(text(&output.stdout), "found", "{}", text(&output.stderr));
        assert!(request.to_ascii_lowercase().contains("\r\nhost: page.example"), "{request}");
        server.close().expect("close");
    });
}

#[test]
fn get_speaks_ipv6_and_says_what_happens() {
    let (stack, far) = peer(None);
    let file = std::env::temp_dir().join(format!("usertcp-get-{}", std::process::id()));
    let name = file.to_str().expect("a name");
    let words =
        ["get", "--stdin", "-v", "--address", "2001:db8::2/64", "-o", name, "http://[2001:db8::1]:8080/"];
    let (_, output) = served(&stack, far, "[2001:db8::1]:8080", &page(b"over six"), &words);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(std::fs::read(&file).expect("a file"), b"over six");
    std::fs::remove_file(&file).expect("remove");
    assert!(told.contains("connected to [2001:db8::1]:8080") && told.contains("round trip"), "{told}");
}

#[test]
fn get_says_why_it_failed() {
    let (stack, far) = peer(None);
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let words = ["get", "--stdin", "http://192.0.2.1/"];
    let (_, output) = served(&stack, far, "192.0.2.1:80", missing, &words);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("404"), "{}", text(&output.stderr));

    let (_stack, far) = peer(None);
    let output = run(&["get", "--stdin", "http://192.0.2.1/"], Stdio::from(far));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).to_ascii_lowercase().contains("refused"), "{}", text(&output.stderr));

    // What comes is less than was said.
    let (stack, far) = peer(None);
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort";
    let (_, output) = served(&stack, far, "192.0.2.1:80", short, &words);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));

    // Nobody answers.
    let (_, far) = sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair");
    let output = run(&["get", "--stdin", "http://192.0.2.1/"], Stdio::from(far));
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["get", "--stdin", "http://192.0.2.1/"], Stdio::null());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(run(&["get"], Stdio::null()).status.code(), Some(2));
}

#[test]
fn get_speaks_https_with_those_that_it_trusts() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(certificates("server.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(certificates("server.key")).expect("a key");
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        builder.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("a server");
    let config = Arc::new(config);
    let authority = certificates("authority.pem");
    let authority = authority.to_str().expect("a path");
    for (trust, good) in [(&["--cacert", authority][..], true), (&[][..], false)] {
        let (stack, far) = peer(None);
        let listener = listener(&stack, "192.0.2.1:443");
        let config = config.clone();
        let output = thread::scope(|scope| {
            scope.spawn(move || {
                let (socket, _) = listener.accept(PATIENCE).expect("the program connects");
                let session = rustls::ServerConnection::new(config).expect("a session");
                let mut stream = rustls::StreamOwned::new(session, Stream(socket));
                if good {
                    answer(&mut stream, &page(b"in confidence"));
                    stream.conn.send_close_notify();
                    stream.flush().expect("the end goes out");
                } else {
                    assert!(stream.read(&mut [0; 1]).is_err(), "it does not go on");
                }
            });
            let words = [&["get", "--stdin"], trust, &["https://192.0.2.1/"]].concat();
            run(&words, Stdio::from(far))
        });
        assert_eq!(output.status.success(), good, "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), if good { "in confidence" } else { "" });
    }
}

#[test]
fn ss_shows_what_a_stack_has() {
    let path = std::env::temp_dir().join(format!("usertcp-ss-{}", std::process::id()));
    let name = path.to_str().expect("a path").to_owned();
    let (stack, _far) = peer(Some(path));
    let _listener = listener(&stack, "[2001:db8::1]:7");
    let output = run(&["ss", &name], Stdio::null());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert!(
        lines.starts_with("Netid") && lines.contains("LISTEN     0      5      [2001:db8::1]:7"),
        "{lines}"
    );
    let counters = text(&run(&["ss", "--counters", &name], Stdio::null()).stdout);
    assert!(counters.lines().any(|line| line == "frames_in 0"), "{counters}");
    stack.close(None).expect("close");
    let output = run(&["ss", &name], Stdio::null());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("control_path"), "{}", text(&output.stderr));
}

#[test]
fn who_has_read_enough_is_no_error() {
    let mut child = usertcp(&["--help"]).stdout(Stdio::piped()).spawn().expect("the program runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("an end").success());
    let help = run(&["--help"], Stdio::null());
    for command in ["usertcp doctor", "usertcp get", "usertcp ss"] {
        assert!(text(&help.stdout).contains(command));
    }
    let version = text(&run(&["--version"], Stdio::null()).stdout);
    assert_eq!(version, format!("usertcp {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run(&["nonsense"], Stdio::null()).status.code(), Some(2));
}

#[test]
fn doctor_looks_at_this_machine() {
    let output = run(&["doctor"], Stdio::null());
    let found = text(&output.stdout);
    for what in ["TUN driver", "privilege", "sandbox", "forwarding", "NAT", "rp_filter"] {
        assert!(found.contains(what), "{found}");
    }
    // The loopback device is no TUN.
    let output = run(&["doctor", "--device", "lo"], Stdio::null());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("lo is there, and no TUN"), "{}", text(&output.stdout));
}
