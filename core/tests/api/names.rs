//! Names looked up and connected to, of a name server that is a thread of the test on the other stack.

use super::pair::*;
use crate::events::asleep;
use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Rtype, Ttl};
use domain::rdata::{A, Aaaa};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;
use usertcp_core::api::*;

/// A pair whose client asks `servers`, with three names that need none.
fn pair(servers: &[&str], change: impl Fn(&mut NameOptions)) -> Pair {
    let servers: Vec<_> = servers.iter().map(|text| NameSettings::server(text).expect("a server")).collect();
    Pair::with(|options| {
        options.names = NameOptions {
            nameservers: Some(servers.clone()),
            search: Some(vec!["corp.example".to_owned()]),
            hosts: Some("".into()),
            ..NameOptions::default()
        };
        change(&mut options.names);
    })
}

/// What the name server says: the addresses of a name, `None`: there is no such name.
fn zone(name: &str) -> Option<Vec<IpAddr>> {
    let texts: &[&str] = match name {
        "both.example" | "short.corp.example" => &["192.0.2.2", "2001:db8::2"],
        "six.example" => &["2001:db8::2"],
        "dead-six.example" => &["2001:db8::77", "192.0.2.2"],
        "nowhere.example" => &["192.0.2.77"],
        "many.example" => return Some((0..200).map(|n| Ipv4Addr::new(198, 51, 100, n).into()).collect()),
        "silent.example" => &[],
        _ => return None,
    };
    Some(texts.iter().map(|text| text.parse().expect("an address")).collect())
}

/// The reply to `query`; `None`: silence.
fn reply(query: &[u8], most: usize) -> Option<Vec<u8>> {
    let query = Message::from_slice(query).expect("a query");
    let question = query.sole_question().expect("a question");
    let name = question.qname().to_string();
    if name == "silent.example" {
        return None;
    }
    let known = zone(&name);
    let code = if known.is_some() { Rcode::NOERROR } else { Rcode::NXDOMAIN };
    let mut answer = MessageBuilder::new_vec().start_answer(query, code).expect("an answer");
    answer.header_mut().set_ra(true);
    for address in known.unwrap_or_default() {
        let (owner, ttl) = (question.qname(), Ttl::from_secs(60));
        match (address, question.qtype()) {
            (IpAddr::V4(v4), Rtype::A) => answer.push((owner, ttl, A::new(v4))).expect("a record"),
            (IpAddr::V6(v6), Rtype::AAAA) => answer.push((owner, ttl, Aaaa::new(v6))).expect("a record"),
            _ => {}
        }
    }
    if answer.as_slice().len() > most {
        answer.rewind();
        answer.header_mut().set_tc(true);
    }
    Some(answer.finish())
}

/// A name server on `stack`, by UDP and by TCP, for as long as `work` takes. Returns how many questions came by each.
fn served(stack: &Stack, address: &str, work: impl FnOnce()) -> (usize, usize) {
    let address: SocketAddr = address.parse().expect("an address");
    let domain = if address.is_ipv4() { Domain::V4 } else { Domain::V6 };
    let datagrams = stack.datagram_socket(domain).expect("a socket");
    datagrams.bind(address).expect("its port");
    let listener = stack.socket(domain).expect("a socket");
    listener.bind(address).expect("its port");
    listener.listen(8).expect("listen");
    let (by_udp, by_tcp) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok(Some(query)) = datagrams.recv_datagram(NONE, Wait::Forever) {
                by_udp.fetch_add(1, Ordering::Relaxed);
                if let Some(reply) = reply(&query.bytes, 512) {
                    datagrams.send_to(&reply, Some(query.from), NONE, WAIT).expect("a reply");
                }
            }
        });
        scope.spawn(|| {
            while let Ok((client, _)) = listener.accept(Wait::Forever) {
                by_tcp.fetch_add(1, Ordering::Relaxed);
                let mut length = [0; 2];
                client.recv(&mut length, MessageFlags::WAITALL, WAIT).expect("a length");
                let mut query = vec![0; u16::from_be_bytes(length).into()];
                client.recv(&mut query, MessageFlags::WAITALL, WAIT).expect("a query");
                let reply = reply(&query, 65_535).expect("a reply");
                let length = u16::try_from(reply.len()).expect("a length").to_be_bytes();
                client.send(&[&length[..], &reply].concat(), NONE, WAIT).expect("sent");
            }
        });
        // A test that fails ends the server too.
        let _closed = Closed([&datagrams, &listener]);
        work();
    });
    (by_udp.into_inner(), by_tcp.into_inner())
}

/// Sockets that are closed, whatever happens.
struct Closed<'a>([&'a Socket; 2]);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        for socket in self.0 {
            let _ = socket.close();
        }
    }
}

fn resolve(stack: &Stack, name: &str, family: Option<Domain>) -> Result<Vec<String>> {
    let found = stack.resolve(name, 80, family, Some(PATIENCE), None)?;
    Ok(found.iter().map(ToString::to_string).collect())
}

#[test]
fn names_become_addresses_of_both_families_or_one() {
    let pair = pair(&["192.0.2.2"], |_| {});
    let (by_udp, by_tcp) = served(&pair.server, "192.0.2.2:53", || {
        let both = ["[2001:db8::2]:80", "192.0.2.2:80"];
        assert_eq!(resolve(&pair.client, "both.example", None).expect("addresses"), both);
        assert_eq!(resolve(&pair.client, "short", None).expect("addresses"), both);
        assert_eq!(resolve(&pair.client, "both.example", Some(Domain::V4)).expect("one"), both[1..]);
        assert_eq!(resolve(&pair.client, "six.example", Some(Domain::V6)).expect("one"), both[..1]);
        assert_eq!(errno(resolve(&pair.client, "six.example", Some(Domain::V4))), Errno::ENODATA);
        assert_eq!(errno(resolve(&pair.client, "none.example", None)), Errno::ENOENT);
        assert_eq!(errno(resolve(&pair.client, "any.invalid", None)), Errno::ENOENT);
        assert_eq!(errno(resolve(&pair.client, "a b", None)), Errno::EINVAL);
        assert_eq!(resolve(&pair.client, "localhost", None).expect("both"), ["[::1]:80", "127.0.0.1:80"]);
        assert_eq!(resolve(&pair.client, "192.0.2.9", None).expect("itself"), ["192.0.2.9:80"]);
        assert_eq!(resolve(&pair.client, "2001:db8::9", None).expect("itself"), ["[2001:db8::9]:80"]);
    });
    // Both, short and six; of six the other family; and what is not there, as it is and in the search list: each answer has no SOA, and is not kept.
    assert!(by_udp >= 7, "{by_udp}");
    assert_eq!(by_tcp, 0);
}

#[test]
fn an_answer_too_long_for_a_datagram_comes_by_tcp() {
    let pair = pair(&["[2001:db8::2]:5353"], |_| {});
    let (by_udp, by_tcp) = served(&pair.server, "[2001:db8::2]:5353", || {
        let found = resolve(&pair.client, "many.example", Some(Domain::V4)).expect("addresses");
        assert_eq!(found.len(), 200);
        assert!(found.contains(&"198.51.100.199:80".to_owned()));
        assert_eq!(resolve(&pair.client, "many.example", Some(Domain::V4)).expect("kept").len(), 200);
    });
    assert_eq!((by_udp, by_tcp), (1, 1));
}

#[test]
fn silence_ends_with_the_attempts_or_with_the_callers_time() {
    // The server has that long to take the last question before the caller gives up.
    let short = Duration::from_millis(500);
    let pair = pair(&["192.0.2.2"], |names| names.timeout = Some(short));
    let (by_udp, _) = served(&pair.server, "192.0.2.2:53", || {
        let start = Instant::now();
        let forever = pair.client.resolve("silent.example", 0, Some(Domain::V4), None, None);
        assert_eq!(errno(forever), Errno::ETIMEDOUT);
        assert!(start.elapsed() >= 2 * short);
    });
    assert_eq!(by_udp, 2);
    let pair = self::pair(&["192.0.2.2"], |_| {});
    served(&pair.server, "192.0.2.2:53", || {
        let start = Instant::now();
        let late = pair.client.resolve("silent.example", 0, None, Some(short), None);
        assert_eq!(errno(late), Errno::ETIMEDOUT);
        assert!(start.elapsed() >= short);
        let before = pair.client.counters().expect("counters").frames_out;
        let at_once = pair.client.resolve("silent.example", 0, None, Some(Duration::ZERO), None);
        assert_eq!(errno(at_once), Errno::ETIMEDOUT);
        assert_eq!(pair.client.counters().expect("counters").frames_out, before, "nobody is asked");
        let mut looks = 3;
        let mut patient = || {
            looks -= 1;
            looks > 0
        };
        let weary = pair.client.resolve("silent.example", 0, None, None, Some(&mut patient));
        assert_eq!(errno(weary), Errno::EINTR);
    });
}

#[test]
fn servers_that_are_not_there_are_told_at_once() {
    // Of two ICMP errors in a row a host may keep one to itself.
    let short = |names: &mut NameOptions| names.timeout = Some(Duration::from_secs(1));
    let pair = pair(&["192.0.2.2"], short);
    let error = resolve(&pair.client, "both.example", None).expect_err("nobody");
    assert_eq!(error.errno(), Errno::EREMOTEIO);
    assert!(error.to_string().contains("192.0.2.2:53 cannot be asked: Connection refused"), "{error}");
    let pair = self::pair(&[], |_| {});
    assert_eq!(errno(resolve(&pair.client, "both.example", None)), Errno::EREMOTEIO);
    // The second of two servers is there.
    let pair = self::pair(&["192.0.2.2:5300", "192.0.2.2"], short);
    served(&pair.server, "192.0.2.2:53", || {
        assert_eq!(resolve(&pair.client, "both.example", None).expect("addresses").len(), 2);
    });
}

#[test]
fn closing_the_stack_ends_a_lookup_and_a_connect() {
    for target in ["silent.example:80", "192.0.2.77:80"] {
        let pair = pair(&["192.0.2.2"], |_| {});
        served(&pair.server, "192.0.2.2:53", || {
            thread::scope(|scope| {
                let call = asleep(scope, || pair.client.connect_to(target, None, None).map(drop));
                pair.client.close(Some(Duration::ZERO)).expect("close");
                let ended = call.join().expect("a thread");
                assert_eq!(errno(ended), Errno::ECANCELED);
            });
        });
        assert_eq!(errno(pair.client.resolve("localhost", 0, None, None, None)), Errno::EBADF);
    }
}

#[test]
fn one_call_connects() {
    let delay = Duration::from_secs(1);
    let pair = pair(&["192.0.2.2"], |names| names.connect_delay = Some(delay));
    served(&pair.server, "192.0.2.2:53", || {
        // Both families are known beforehand: one that is not heard of in time does without its turn.
        for name in ["both.example", "short"] {
            assert_eq!(resolve(&pair.client, name, None).expect("addresses").len(), 2);
        }
        let (_six, address) = pair.listener(Domain::V6, 8);
        let port = address.port();
        let four = pair.server.socket(Domain::V4).expect("a socket");
        four.bind(([192, 0, 2, 2], port).into()).expect("the same port");
        four.listen(8).expect("listen");
        let peer = |target: &str| {
            let socket = pair.client.connect_to(target, Some(PATIENCE), None).expect(target);
            assert!(!socket.nonblocking().expect("blocking"));
            socket.peer_address().expect("a peer").ip().to_string()
        };
        assert_eq!(peer(&format!("both.example:{port}")), "2001:db8::2");
        assert_eq!(peer(&format!("short:{port}")), "2001:db8::2");
        assert_eq!(peer(&format!("192.0.2.2:{port}")), "192.0.2.2");
        assert_eq!(peer(&format!("[2001:db8::2]:{port}")), "2001:db8::2");
        let start = Instant::now();
        assert_eq!(peer(&format!("dead-six.example:{port}")), "192.0.2.2");
        assert!(start.elapsed() >= delay, "the other family had its chance");
        four.close().expect("close");
        let refused = |target: &str| errno(pair.client.connect_to(target, Some(PATIENCE), None));
        assert_eq!(refused(&format!("192.0.2.2:{port}")), Errno::ECONNREFUSED);
        assert_eq!(refused("both.example:1"), Errno::ECONNREFUSED);
        assert_eq!(refused("none.example:1"), Errno::ENOENT);
        for wrong in [
            "both.example",
            "both.example:",
            ":80",
            "2001:db8::2:80",
            "[2001:db8::2]",
            "h:70000",
            "h:no-such",
        ] {
            assert_eq!(refused(wrong), Errno::EINVAL, "{wrong}");
        }
        let late = pair.client.connect_to("nowhere.example:80", Some(Duration::from_millis(30)), None);
        assert_eq!(errno(late), Errno::ETIMEDOUT);
    });
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |change: &dyn Fn(&mut NameOptions)| {
        let (fd, _other) = link();
        let mut options = options(1, fd);
        change(&mut options.names);
        Stack::open(options).map(drop).expect_err("refused")
    };
    let invalid = |change: &dyn Fn(&mut NameOptions)| assert_eq!(refused(change).errno(), Errno::EINVAL);
    let server: SocketAddr = "192.0.2.2:53".parse().expect("an address");
    invalid(&|names| names.nameservers = Some(vec![server; 4]));
    invalid(&|names| names.search = Some(vec!["a..b".to_owned()]));
    invalid(&|names| names.ndots = Some(16));
    invalid(&|names| names.attempts = Some(0));
    invalid(&|names| names.attempts = Some(6));
    invalid(&|names| names.timeout = Some(Duration::ZERO));
    invalid(&|names| names.timeout = Some(Duration::from_secs(31)));
    invalid(&|names| names.connect_delay = Some(Duration::from_millis(9)));
    let gone = refused(&|names| names.hosts = Some("/nonexistent/hosts".into()));
    assert_eq!(gone.errno(), Errno::ENOENT);
    assert!(gone.to_string().contains("/nonexistent/hosts"), "{gone}");
}

#[test]
fn the_hosts_file_comes_first() {
    let file = std::env::temp_dir().join(format!("usertcp-hosts-{}", std::process::id()));
    std::fs::write(&file, "192.0.2.44 both.example\n").expect("a file");
    let pair = pair(&[], |names| names.hosts = Some(file.clone()));
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(resolve(&pair.client, "both.example", None).expect("listed"), ["192.0.2.44:80"]);
}
