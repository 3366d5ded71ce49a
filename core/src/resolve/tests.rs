//! Lookups on virtual time, against servers that answer by script: well, late, too long, falsely, in circles, or not at all.

use super::*;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name as Wire, Rtype, Ttl};
use domain::rdata::{A, Aaaa, Cname, Soa};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a server does with a question.
#[derive(Clone, Debug)]
enum Act {
    /// Answers with records, `(owner, data)`: an address or an alias.
    Answer(Vec<(&'static str, &'static str)>),
    /// Answers so, and says that it is cut, if it is asked by UDP.
    Cut(Vec<(&'static str, &'static str)>),
    /// Answers with an error, and the zone's SOA if the time in it is not 0.
    Code(Rcode, u32),
    /// Says nothing.
    Silent,
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// The transport fails.
    Fails(Errno),
    /// Answers a question that carries EDNS with FORMERR, another one as given.
    OldFashioned(Vec<(&'static str, &'static str)>),
}

/// What has been asked: when in milliseconds, by what, whom, and for what.
type Asked = (u64, Transport, SocketAddr, String, Kind);

fn server(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 53))
}

fn settings(servers: u8) -> Settings {
    Settings {
        servers: (1..=servers).map(server).collect(),
        search: vec![Name::parse("corp.example").unwrap()],
        ..Settings::default()
    }
}

/// The reply to `query`.
fn reply(query: &[u8], code: Rcode, cut: bool, records: &[(&str, &str)], soa: u32) -> Vec<u8> {
    let query = Message::from_slice(query).unwrap();
    let mut answer = MessageBuilder::new_vec().start_answer(query, code).unwrap();
    answer.header_mut().set_ra(true);
    answer.header_mut().set_tc(cut);
    for (owner, data) in records {
        let (owner, ttl) = (Wire::vec_from_str(owner).unwrap(), Ttl::from_secs(60));
        match data.parse() {
            Ok(IpAddr::V4(v4)) => answer.push((owner, ttl, A::new(v4))).unwrap(),
            Ok(IpAddr::V6(v6)) => answer.push((owner, ttl, Aaaa::new(v6))).unwrap(),
            Err(_) => answer.push((owner, ttl, Cname::new(Wire::vec_from_str(data).unwrap()))).unwrap(),
        }
    }
    let mut authority = answer.authority();
    if soa > 0 {
        let (zone, ttl) = (Wire::vec_from_str("example").unwrap(), Ttl::from_secs(soa));
        let data = Soa::new(zone.clone(), zone.clone(), 1.into(), ttl, ttl, ttl, ttl);
        authority.push((zone, ttl, data)).unwrap();
    }
    authority.finish()
}

/// A resolver and the servers that `script` speaks for.
struct World<'a> {
    settings: Arc<Settings>,
    cache: Cache,
    now: Instant,
    asked: Vec<Asked>,
    script: Box<dyn FnMut(&Asked) -> Act + 'a>,
}

impl<'a> World<'a> {
    fn new(settings: Settings, script: impl FnMut(&Asked) -> Act + 'a) -> Self {
        let now = Instant::from_millis(0);
        Self {
            settings: Arc::new(settings),
            cache: Cache::new(),
            now,
            asked: Vec::new(),
            script: Box::new(script),
        }
    }

    fn lookup(&mut self, name: &str, families: Families) -> Result<Vec<String>, Failure> {
        let rng = Rng::from_seed(7);
        let mut lookup = Lookup::start(self.now, &mut self.cache, self.settings.clone(), rng, name, families);
        for _ in 0..10_000 {
            while let Some(sent) = lookup.poll_transmit() {
                self.serve(&mut lookup, &sent);
            }
            match lookup.outcome() {
                Some(Ok(())) => return Ok(lookup.addresses().map(|ip| ip.to_string()).collect()),
                Some(Err(failure)) => return Err(failure.clone()),
                None => {}
            }
            self.now = lookup.poll_timeout().expect("something to wait for").max(self.now);
            lookup.on_timeout(self.now, &mut self.cache);
        }
        panic!("no end");
    }

    fn serve(&mut self, lookup: &mut Lookup, sent: &Transmit) {
        assert!(lookup.is_open(sent.exchange) && sent.message.len() <= 512);
        let message = Message::from_slice(&sent.message).unwrap();
        let question = message.sole_question().unwrap();
        let kind = if question.qtype() == Rtype::A { Kind::V4 } else { Kind::V6 };
        let name = question.qname().to_string();
        let asked = (self.now.as_millis(), sent.transport, sent.server, name, kind);
        let act = (self.script)(&asked);
        self.asked.push(asked);
        let of_kind = |records: &[(&'static str, &'static str)]| -> Vec<_> {
            let fits = |data: &str| data.parse().map_or(true, |ip| kind.is(ip));
            records.iter().copied().filter(|(_, data)| fits(data)).collect()
        };
        let code = |code, cut, records: &[(&str, &str)], soa| reply(&sent.message, code, cut, records, soa);
        let bytes = match act {
            Act::Answer(records) => code(Rcode::NOERROR, false, &of_kind(&records), 0),
            Act::Cut(records) => {
                let cut = sent.transport == Transport::Udp;
                let records = of_kind(&records);
                code(Rcode::NOERROR, cut, if cut { &[] } else { &records }, 0)
            }
            Act::Code(rcode, soa) => code(rcode, false, &[], soa),
            Act::OldFashioned(_) if message.opt().is_some() => code(Rcode::FORMERR, false, &[], 0),
            Act::OldFashioned(records) => code(Rcode::NOERROR, false, &of_kind(&records), 0),
            Act::Bytes(bytes) => bytes,
            Act::Silent => return,
            Act::Fails(errno) => return lookup.on_failure(self.now, &mut self.cache, sent.exchange, errno),
        };
        lookup.on_message(self.now, &mut self.cache, sent.exchange, sent.server, &bytes);
    }

    fn names(&self) -> Vec<&str> {
        self.asked.iter().map(|(_, _, _, name, _)| name.as_str()).collect()
    }
}

const HOST: [(&str, &str); 3] =
    [("h.example", "2001:db8::1"), ("h.example", "192.0.2.9"), ("h.example", "192.0.2.8")];

#[test]
fn both_families_are_asked_for_at_once() {
    let mut world = World::new(settings(1), |_| Act::Answer(HOST.to_vec()));
    let found = world.lookup("h.example", Families::Both).unwrap();
    assert_eq!(found, ["2001:db8::1", "192.0.2.9", "192.0.2.8"]);
    let kinds: Vec<_> = world.asked.iter().map(|asked| (asked.0, asked.1, asked.4)).collect();
    assert_eq!(kinds, [(0, Transport::Udp, Kind::V6), (0, Transport::Udp, Kind::V4)]);
    assert_eq!(world.lookup("H.example.", Families::V4).unwrap(), ["192.0.2.9", "192.0.2.8"]);
    assert_eq!(world.asked.len(), 2, "the second time they are known");
    world.now = Instant::from_millis(60_000);
    world.lookup("h.example", Families::V4).unwrap();
    assert_eq!(world.asked.len(), 3, "for as long as the server said");
}

#[test]
fn numbers_of_questions_are_random_and_the_same_every_run() {
    let ids = |seed| {
        let (mut cache, settings) = (Cache::new(), Arc::new(settings(3)));
        let now = Instant::ZERO;
        let rng = Rng::from_seed(seed);
        let mut lookup = Lookup::start(now, &mut cache, settings, rng, "h.example", Families::Both);
        let mut ids = Vec::new();
        while lookup.outcome().is_none() {
            while let Some(sent) = lookup.poll_transmit() {
                ids.push(Message::from_slice(&sent.message).unwrap().header().id());
            }
            lookup.on_timeout(lookup.poll_timeout().unwrap(), &mut cache);
        }
        ids
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
    let mut distinct = ids(1);
    assert_eq!(distinct.len(), 12);
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 10, "{distinct:?}");
}

#[test]
fn silent_servers_are_asked_in_turn_and_then_no_more() {
    let mut world = World::new(settings(2), |_| Act::Silent);
    assert_eq!(world.lookup("h.example", Families::V4), Err(Failure::Silence));
    let asked: Vec<_> = world.asked.iter().map(|asked| (asked.0, asked.2)).collect();
    assert_eq!(asked, [(0, server(1)), (5000, server(2)), (10_000, server(1)), (15_000, server(2))]);
    assert_eq!(world.now.as_millis(), 20_000);
    assert!(world.names().iter().all(|name| *name == "h.example"), "the search list has the same servers");
}

#[test]
fn who_fails_is_not_waited_for() {
    let mut world = World::new(settings(3), |asked| match asked.2 {
        to if to == server(1) => Act::Code(Rcode::SERVFAIL, 0),
        to if to == server(2) => Act::Fails(Errno::ECONNREFUSED),
        _ => Act::Answer(HOST.to_vec()),
    });
    assert_eq!(world.lookup("h.example", Families::V6).unwrap(), ["2001:db8::1"]);
    assert_eq!(world.now.as_millis(), 0);
    let mut world = World::new(settings(2), |_| Act::Code(Rcode::REFUSED, 0));
    let Err(Failure::Servers(what)) = world.lookup("h.example.", Families::Both) else { panic!() };
    assert_eq!(what, "name server 192.0.2.2:53 answers REFUSED");
    let mut world = World::new(Settings::default(), |_| Act::Silent);
    assert!(matches!(world.lookup("h.example", Families::Both), Err(Failure::Servers(_))));
}

#[test]
fn that_nobody_is_there_counts_for_both_families() {
    let mut world = World::new(settings(2), |asked| match (asked.2, asked.4) {
        (to, Kind::V6) if to == server(1) => Act::Silent,
        (to, Kind::V4) if to == server(1) => Act::Fails(Errno::ECONNREFUSED),
        _ => Act::Answer(HOST.to_vec()),
    });
    assert_eq!(world.lookup("h.example", Families::Both).unwrap().len(), 3);
    assert_eq!((world.now.as_millis(), world.asked.len()), (0, 4));
}

#[test]
fn what_is_cut_is_asked_for_again_by_tcp() {
    let mut world = World::new(settings(2), |_| Act::Cut(HOST.to_vec()));
    assert_eq!(world.lookup("h.example", Families::V4).unwrap(), ["192.0.2.9", "192.0.2.8"]);
    let asked: Vec<_> = world.asked.iter().map(|asked| (asked.1, asked.2)).collect();
    assert_eq!(asked, [(Transport::Udp, server(1)), (Transport::Tcp, server(1))]);
    // A server that has no TCP, or dies in it: the next one.
    let mut world = World::new(settings(2), |asked| match (asked.1, asked.2) {
        (Transport::Tcp, to) if to == server(1) => Act::Fails(Errno::ECONNREFUSED),
        _ => Act::Cut(HOST.to_vec()),
    });
    assert_eq!(world.lookup("h.example", Families::V4).unwrap(), ["192.0.2.9", "192.0.2.8"]);
    assert_eq!(world.asked.len(), 4);
}

#[test]
fn a_server_without_edns_is_asked_without() {
    let mut world = World::new(settings(1), |_| Act::OldFashioned(HOST.to_vec()));
    assert_eq!(world.lookup("h.example", Families::V4).unwrap(), ["192.0.2.9", "192.0.2.8"]);
    assert_eq!(world.asked.len(), 2);
    let mut world = World::new(settings(1), |_| Act::Code(Rcode::FORMERR, 0));
    assert!(matches!(world.lookup("h.example.", Families::V4), Err(Failure::Servers(_))));
    assert_eq!(world.asked.len(), 3, "once with, and then the two attempts without");
}

#[test]
fn no_name_and_no_address_are_different_and_both_are_remembered() {
    let mut world = World::new(settings(1), |asked| match asked.3.as_str() {
        "none.example" => Act::Code(Rcode::NXDOMAIN, 30),
        _ => Act::Code(Rcode::NOERROR, 30),
    });
    assert_eq!(world.lookup("none.example.", Families::Both), Err(Failure::NoName));
    assert_eq!(world.lookup("some.example.", Families::Both), Err(Failure::NoData));
    assert_eq!(world.asked.len(), 4);
    assert_eq!(world.lookup("none.example.", Families::Both), Err(Failure::NoName));
    assert_eq!(world.asked.len(), 4);
    world.now = Instant::from_millis(30_000);
    assert_eq!(world.lookup("none.example.", Families::V4), Err(Failure::NoName));
    assert_eq!(world.asked.len(), 5);
}

#[test]
fn the_search_list_is_tried_as_dots_say() {
    let script = |asked: &Asked| match asked.3.as_str() {
        "h.corp.example" => Act::Answer(vec![("h.corp.example", "192.0.2.7")]),
        "h.sub" => Act::Code(Rcode::NOERROR, 0),
        _ => Act::Code(Rcode::NXDOMAIN, 0),
    };
    let mut world = World::new(settings(1), script);
    assert_eq!(world.lookup("h", Families::V4).unwrap(), ["192.0.2.7"]);
    assert_eq!(world.names(), ["h.corp.example"]);
    world.asked.clear();
    assert_eq!(world.lookup("h.sub", Families::V4), Err(Failure::NoData));
    assert_eq!(world.names(), ["h.sub", "h.sub.corp.example"]);
    world.asked.clear();
    assert_eq!(world.lookup("x", Families::V4), Err(Failure::NoName));
    assert_eq!(world.names(), ["x.corp.example", "x"]);
    world.asked.clear();
    assert_eq!(world.lookup("h.", Families::V4), Err(Failure::NoName));
    assert_eq!(world.names(), ["h"]);
    let mut world = World::new(Settings { ndots: 2, ..settings(1) }, script);
    assert_eq!(world.lookup("h.sub", Families::V4), Err(Failure::NoData));
    assert_eq!(world.names(), ["h.sub.corp.example", "h.sub"]);
}

#[test]
fn one_familys_addresses_are_enough() {
    let mut world = World::new(settings(1), |asked| match asked.4 {
        Kind::V6 => Act::Silent,
        Kind::V4 => Act::Answer(HOST.to_vec()),
    });
    assert_eq!(world.lookup("h.example", Families::Both).unwrap(), ["192.0.2.9", "192.0.2.8"]);
    assert_eq!(world.now.as_millis(), 10_000);
}

#[test]
fn aliases_are_followed_within_a_message_and_beyond() {
    let chain = vec![("h.example", "i.example"), ("j.example", "192.0.2.3"), ("i.example", "j.example")];
    let mut world = World::new(settings(1), |_| Act::Answer(chain.clone()));
    assert_eq!(world.lookup("h.example", Families::V4).unwrap(), ["192.0.2.3"]);
    let mut world = World::new(settings(1), |asked| match asked.3.as_str() {
        "h.example" => Act::Answer(vec![("h.example", "i.example")]),
        _ => Act::Answer(vec![("i.example", "192.0.2.4")]),
    });
    assert_eq!(world.lookup("h.example", Families::V4).unwrap(), ["192.0.2.4"]);
    assert_eq!(world.names(), ["h.example", "i.example"]);
}

#[test]
fn circles_of_aliases_end() {
    let circle = vec![("h.example", "i.example"), ("i.example", "h.example")];
    let mut world = World::new(settings(1), |_| Act::Answer(circle.clone()));
    assert!(world.lookup("h.example.", Families::V4).is_err());
    assert!(world.asked.len() <= 20, "{}", world.asked.len());
    let mut world = World::new(settings(1), |asked| match asked.3.as_str() {
        "h.example" => Act::Answer(vec![("h.example", "i.example")]),
        _ => Act::Answer(vec![("i.example", "h.example")]),
    });
    let failure = world.lookup("h.example.", Families::V4).unwrap_err();
    assert_eq!(failure, Failure::Servers("the aliases have no end".to_owned()));
    assert_eq!(world.asked.len(), 9);
}

#[test]
fn records_of_other_names_are_not_believed() {
    let lies = vec![("bank.example", "192.0.2.66"), ("h.example", "192.0.2.1")];
    let mut world = World::new(settings(1), |_| Act::Answer(lies.clone()));
    assert_eq!(world.lookup("h.example", Families::V4).unwrap(), ["192.0.2.1"]);
    let mut world = World::new(settings(1), |_| Act::Answer(vec![("bank.example", "192.0.2.66")]));
    assert_eq!(world.lookup("h.example.", Families::V4), Err(Failure::NoData));
}

#[test]
fn only_the_answer_to_the_question_from_who_was_asked_counts() {
    let (mut cache, now) = (Cache::new(), Instant::ZERO);
    let rng = Rng::from_seed(3);
    let mut lookup = Lookup::start(now, &mut cache, Arc::new(settings(1)), rng, "h.example", Families::V4);
    let sent = lookup.poll_transmit().unwrap();
    let right = reply(&sent.message, Rcode::NOERROR, false, &[("h.example", "192.0.2.1")], 0);
    let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = right.clone();
        change(&mut bytes);
        bytes
    };
    let false_ones = [
        wrong(&|bytes| bytes[0] ^= 1),      // another number
        wrong(&|bytes| bytes[2] &= 0x7f),   // a question
        wrong(&|bytes| bytes[2] |= 0x08),   // another operation
        wrong(&|bytes| bytes[13] ^= 1),     // another name
        wrong(&|bytes| bytes[24] ^= 1),     // another type
        wrong(&|bytes| bytes[26] = 3),      // another class
        wrong(&|bytes| bytes.truncate(11)), // not even a header
    ];
    for bytes in &false_ones {
        lookup.on_message(now, &mut cache, sent.exchange, server(1), bytes);
    }
    for from in [server(2), SocketAddr::from(([192, 0, 2, 1], 5353))] {
        lookup.on_message(now, &mut cache, sent.exchange, from, &right);
    }
    lookup.on_message(now, &mut cache, sent.exchange + 1, server(1), &right);
    assert!(lookup.outcome().is_none() && lookup.poll_transmit().is_none());
    lookup.on_message(now, &mut cache, sent.exchange, server(1), &right);
    assert_eq!(lookup.outcome(), Some(&Ok(())));
    assert_eq!(lookup.addresses().collect::<Vec<_>>(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_flood_of_false_answers_ends_the_exchange() {
    let mut world = World::new(settings(1), |_| Act::Bytes(vec![0; 40]));
    assert_eq!(world.lookup("h.example", Families::V4), Err(Failure::Silence), "one is passed over");
    let (mut cache, now) = (Cache::new(), Instant::ZERO);
    let rng = Rng::from_seed(3);
    let mut lookup = Lookup::start(now, &mut cache, Arc::new(settings(1)), rng, "h.example.", Families::V4);
    let mut told = 0;
    while lookup.outcome().is_none() {
        let exchange = lookup.poll_transmit().map_or(told, |sent| sent.exchange);
        told = exchange;
        lookup.on_message(now, &mut cache, exchange, server(1), &[0; 40]);
    }
    assert!(matches!(lookup.outcome(), Some(Err(Failure::Servers(_)))));
}

#[test]
fn a_late_answer_counts_while_the_next_server_is_asked() {
    let (mut cache, now) = (Cache::new(), Instant::ZERO);
    let rng = Rng::from_seed(3);
    let mut lookup = Lookup::start(now, &mut cache, Arc::new(settings(2)), rng, "h.example", Families::V4);
    let first = lookup.poll_transmit().unwrap();
    lookup.on_timeout(now + Duration::from_secs(5), &mut cache);
    let second = lookup.poll_transmit().unwrap();
    assert!(lookup.is_open(first.exchange) && lookup.is_open(second.exchange));
    // What the first has to complain about does not hurry the second.
    let refused = reply(&first.message, Rcode::SERVFAIL, false, &[], 0);
    lookup.on_message(now, &mut cache, first.exchange, server(1), &refused);
    assert!(lookup.poll_transmit().is_none() && !lookup.is_open(first.exchange));
    let right = reply(&second.message, Rcode::NOERROR, false, &[("h.example", "192.0.2.1")], 0);
    lookup.on_message(now, &mut cache, second.exchange, server(2), &right);
    assert!(lookup.outcome().is_some() && !lookup.is_open(second.exchange));
}

#[test]
fn an_answer_has_no_more_addresses_than_the_bound() {
    let mut builder = None;
    let mut world = World::new(settings(1), |asked| {
        assert_eq!(asked.4, Kind::V4);
        builder.get_or_insert_with(|| {
            let data: &'static str = Box::leak("192.0.2.1".to_owned().into_boxed_str());
            let mut records = vec![("h.example", data); 3];
            for number in 0..600u32 {
                let ip = std::net::Ipv4Addr::from(0x0a00_0000 + number);
                records.push(("h.example", &*Box::leak(ip.to_string().into_boxed_str())));
            }
            records
        });
        Act::Answer(builder.clone().unwrap_or_default())
    });
    let found = world.lookup("h.example", Families::V4).unwrap();
    assert_eq!(found.len(), ADDRESSES_MAX - 2, "and each of them once");
}

#[test]
fn what_needs_no_server_is_known_at_once() {
    let hosts = Hosts::parse("192.0.2.5 gate\n2001:db8::5 gate\n192.0.2.6 four\n");
    let settings = Settings { hosts, ..settings(1) };
    let known = |name: &str, families| {
        at_once(&settings, name, families).map(|known| {
            known
                .map(|all| all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
                .map_err(|why| format!("{why:?}"))
        })
    };
    let ok = |text: &str| Some(Ok(text.to_owned()));
    let failed = |text: &str| Some(Err(text.to_owned()));
    assert_eq!(known("192.0.2.1", Families::Both), ok("192.0.2.1"));
    assert_eq!(known("fe80::1%1", Families::V6), ok("fe80::1"));
    assert_eq!(known("192.0.2.1", Families::V6), failed("Failure(NoData)"));
    assert_eq!(known("gate", Families::Both), ok("192.0.2.5 2001:db8::5"));
    assert_eq!(known("GATE.", Families::V6), ok("2001:db8::5"));
    assert_eq!(known("four", Families::V6), None, "a server may know more");
    assert_eq!(known("localhost", Families::Both), ok("::1 127.0.0.1"));
    assert_eq!(known("www.LocalHost.", Families::V4), ok("127.0.0.1"));
    assert_eq!(known("any.invalid", Families::Both), failed("Failure(NoName)"));
    assert_eq!(known("x.onion", Families::Both), failed("Failure(NoName)"));
    assert_eq!(known("a b", Families::Both), failed("NotAName"));
    assert_eq!(known("h.example", Families::Both), None);
}
