//! Who may share a port with whom: the kernel's answer is the right one.

use super::lab::*;
use std::net::{IpAddr, SocketAddr};
use usertcp_core::api::*;

/// An address to bind to, as text for either side: `#` stands for the host's number.
#[derive(Clone, Copy, Debug)]
struct Form {
    text: &'static str,
    v6_only: bool,
}

const FORMS: [Form; 7] = [
    Form { text: "192.0.2.#", v6_only: false },
    Form { text: "0.0.0.0", v6_only: false },
    Form { text: "2001:db8::#", v6_only: false },
    Form { text: "::", v6_only: false },
    Form { text: "::", v6_only: true },
    Form { text: "::ffff:192.0.2.#", v6_only: false },
    Form { text: "::ffff:0.0.0.0", v6_only: false },
];

/// SO_REUSEADDR and SO_REUSEPORT.
const REUSES: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

impl Form {
    fn address(self, host: u8, port: u16) -> SocketAddr {
        let ip: IpAddr = self.text.replace('#', &host.to_string()).parse().expect("an address");
        SocketAddr::new(ip, port)
    }

    fn domain(self) -> Domain {
        if self.text.contains(':') { Domain::V6 } else { Domain::V4 }
    }
}

/// One side's sockets.
trait Side {
    type Socket;
    fn open(&self, form: Form, reuse: (bool, bool)) -> Self::Socket;
    fn bind(&self, socket: &Self::Socket, form: Form, port: u16) -> i32;
    fn listen(&self, socket: &Self::Socket) -> i32;
    fn port(&self, socket: &Self::Socket) -> u16;
}

struct Ours<'a>(&'a Lab);
struct Theirs<'a>(&'a Lab);

impl Side for Ours<'_> {
    type Socket = Socket;

    fn open(&self, form: Form, (address, port): (bool, bool)) -> Socket {
        let socket = self.0.stack.socket(form.domain()).expect("a socket");
        let set = |level, name, on: bool| {
            socket.set_option(level, name, &i32::from(on).to_ne_bytes()).expect("set");
        };
        set(libc::SOL_SOCKET, libc::SO_REUSEADDR, address);
        set(libc::SOL_SOCKET, libc::SO_REUSEPORT, port);
        if form.domain() == Domain::V6 {
            set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, form.v6_only);
        }
        socket
    }

    fn bind(&self, socket: &Socket, form: Form, port: u16) -> i32 {
        socket.bind(form.address(2, port)).map_or_else(|error| error.errno().0, |()| 0)
    }

    fn listen(&self, socket: &Socket) -> i32 {
        socket.listen(1).map_or_else(|error| error.errno().0, |()| 0)
    }

    fn port(&self, socket: &Socket) -> u16 {
        socket.local_address().expect("an address").port()
    }
}

fn number(outcome: std::io::Result<()>) -> i32 {
    outcome.map_or_else(|error| error.raw_os_error().expect("a number"), |()| 0)
}

impl Side for Theirs<'_> {
    type Socket = socket2::Socket;

    fn open(&self, form: Form, (address, port): (bool, bool)) -> socket2::Socket {
        let fd = self.0.sandbox.socket(form.domain(), libc::SOCK_STREAM, 0).expect("a kernel socket");
        let socket = socket2::Socket::from(fd);
        socket.set_reuse_address(address).expect("set");
        socket.set_reuse_port(port).expect("set");
        if form.domain() == Domain::V6 {
            socket.set_only_v6(form.v6_only).expect("set");
        }
        socket
    }

    fn bind(&self, socket: &socket2::Socket, form: Form, port: u16) -> i32 {
        number(socket.bind(&form.address(1, port).into()))
    }

    fn listen(&self, socket: &socket2::Socket) -> i32 {
        number(socket.listen(1))
    }

    fn port(&self, socket: &socket2::Socket) -> u16 {
        socket.local_addr().expect("an address").as_socket().expect("an internet address").port()
    }
}

/// When the holder of the port listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listens {
    Never,
    Before,
    /// Behind the bind of who comes late, before its listen.
    Between,
}

/// What bind and then listen say to each socket that wants the port of one that holds it.
fn outcomes<S: Side>(side: &S, listens: Listens) -> Vec<String> {
    let mut outcomes = Vec::new();
    for (held, reuse) in kinds() {
        for (wanted, sharing) in kinds() {
            let holder = side.open(held, reuse);
            assert_eq!(side.bind(&holder, held, 0), 0);
            if listens == Listens::Before {
                assert_eq!(side.listen(&holder), 0);
            }
            let late = side.open(wanted, sharing);
            let bound = side.bind(&late, wanted, side.port(&holder));
            if listens == Listens::Between {
                assert_eq!(side.listen(&holder), 0);
            }
            let heard = (bound == 0).then(|| side.listen(&late));
            outcomes.push(format!(
                "{held:?} {reuse:?}, then {wanted:?} {sharing:?}: bind {bound}, listen {heard:?}"
            ));
        }
    }
    outcomes
}

fn kinds() -> impl Iterator<Item = (Form, (bool, bool))> {
    FORMS.into_iter().flat_map(|form| REUSES.into_iter().map(move |reuse| (form, reuse)))
}

#[test]
fn whoever_wants_a_port_that_is_held_is_answered_as_the_kernel_does() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    for listens in [Listens::Never, Listens::Before, Listens::Between] {
        let (ours, theirs) = (outcomes(&Ours(&lab), listens), outcomes(&Theirs(&lab), listens));
        assert_eq!(ours.len(), (7 * 4) * (7 * 4));
        let differ: Vec<_> = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).collect();
        let some = &differ[..differ.len().min(20)];
        assert!(differ.is_empty(), "{listens:?}: {} of {}: {some:#?}", differ.len(), ours.len());
        let refused = theirs.iter().filter(|text| text.ends_with("listen Some(98)")).count();
        assert_eq!(refused > 0, listens == Listens::Between, "{refused} refused to listen");
    }
}

/// A kernel client of one family reaches the stack's listener of both, and the stack's socket of AF_INET6 the kernel's of IPv4.
#[test]
fn both_families_through_one_socket() {
    with_and_without_offload(|lab| {
        let listener = lab.stack.socket(Domain::V6).expect("a socket");
        listener.bind("[::]:0".parse().expect("an address")).expect("bind");
        listener.listen(8).expect("listen");
        let port = listener.local_address().expect("an address").port();
        for domain in DOMAINS {
            let kernel = lab.kernel_socket(domain);
            kernel.connect(&stack_address(domain, port).into()).expect("connect");
            let (socket, peer) = listener.accept(WAIT).expect("accept");
            let own = socket.local_address().expect("an address");
            let kernel = std::net::TcpStream::from(kernel);
            assert!(own.is_ipv6() && peer.is_ipv6());
            assert_eq!(own.ip().to_canonical(), stack_address(domain, 0).ip());
            let name = kernel.local_addr().expect("an address");
            assert_eq!((peer.ip().to_canonical(), peer.port()), (name.ip(), name.port()));
            let bytes = pattern(7, 300_000);
            std::thread::scope(|scope| {
                scope.spawn(|| kernel_send_all(&kernel, &bytes));
                assert!(read_to_end(&socket) == bytes);
            });
        }
        let (kernel, address) = lab.kernel_listener(Domain::V4, 8);
        let IpAddr::V4(v4) = address.ip() else { panic!("{address} is of IPv4") };
        let mapped = SocketAddr::new(v4.to_ipv6_mapped().into(), address.port());
        let socket = lab.stack.socket(Domain::V6).expect("a socket");
        socket.connect(mapped, WAIT).expect("connect");
        assert_eq!(socket.peer_address().expect("an address"), mapped);
        let (kernel, _) = kernel.accept().expect("accept");
        send_all(&socket, b"over IPv4");
        assert_eq!(kernel_read_to_end(&kernel.into()), b"over IPv4");
    });
}

#[test]
fn kernel_clients_are_shared_out() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    let (first, address) = {
        let socket = lab.stack.socket(Domain::V4).expect("a socket");
        let on = 1i32.to_ne_bytes();
        socket.set_option(libc::SOL_SOCKET, libc::SO_REUSEPORT, &on).expect("set");
        socket.bind(stack_address(Domain::V4, 0)).expect("bind");
        socket.listen(64).expect("listen");
        let address = socket.local_address().expect("an address");
        (socket, address)
    };
    let second = lab.stack.socket(Domain::V4).expect("a socket");
    second.set_option(libc::SOL_SOCKET, libc::SO_REUSEPORT, &1i32.to_ne_bytes()).expect("set");
    second.bind(address).expect("bind");
    second.listen(64).expect("listen");
    let clients: Vec<_> = (0..60)
        .map(|_| {
            let client = lab.kernel_socket(Domain::V4);
            client.connect(&address.into()).expect("connect");
            client
        })
        .collect();
    let mut shares = [0, 0];
    crate::events::until("everybody is accepted", || {
        for (share, listener) in shares.iter_mut().zip([&first, &second]) {
            while listener.accept(Wait::Never).is_ok() {
                *share += 1;
            }
        }
        shares[0] + shares[1] == clients.len()
    });
    assert!(shares.iter().all(|share| *share > 5), "{shares:?}");
}
