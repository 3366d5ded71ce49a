//! The resolver: whatever servers answer, whenever, it comes to an end, sends to nobody else, and believes no more than its bounds.

use crate::input::Input;
use std::net::SocketAddr;
use std::sync::Arc;
use usertcp_core::error::Errno;
use usertcp_core::resolve::{ADDRESSES_MAX, Cache, Families, Hosts, Lookup, Settings, Transmit};
use usertcp_core::rng::Rng;
use usertcp_core::time::Instant;

/// Most messages that one lookup sends, however it is led astray: candidates, families, aliases, attempts of servers, and each by UDP, by TCP and without EDNS.
const SENT_MAX: usize = 3 * 2 * 9 * 6 * 4;

/// The files: any text is understood somehow. Then a lookup whose servers say what the input says.
pub fn names(data: &[u8]) {
    let mut input = Input::new(data);
    let text = String::from_utf8_lossy(input.bytes(24)).into_owned();
    drop(Hosts::parse(&text));
    let mut settings = Settings::parse(&text);
    settings.servers = [1, 2, 3].map(|last| SocketAddr::from(([192, 0, 2, last], 53))).to_vec();
    settings.servers.truncate(usize::from(input.u8() % 3) + 1);
    settings.search.truncate(2);
    settings.attempts = settings.attempts.min(2);
    let families = [Families::Both, Families::V4, Families::V6][usize::from(input.u8() % 3)];
    let settings = Arc::new(settings);
    let (mut now, mut cache) = (Instant::ZERO, Cache::new());
    for round in 0..2 {
        let rng = Rng::from_seed(round);
        let mut lookup = Lookup::start(now, &mut cache, settings.clone(), rng, "host.example", families);
        let mut sent: Vec<Transmit> = Vec::new();
        while lookup.outcome().is_none() {
            while let Some(transmit) = lookup.poll_transmit() {
                assert!(settings.servers.contains(&transmit.server), "sent to nobody's address");
                assert!(transmit.message.len() <= 512, "a question of {} bytes", transmit.message.len());
                sent.push(transmit);
                assert!(sent.len() <= SENT_MAX, "no end");
            }
            if lookup.outcome().is_some() {
                break;
            }
            let due = lookup.poll_timeout().expect("a lookup under way waits for something");
            if input.is_empty() {
                now = due.max(now);
                lookup.on_timeout(now, &mut cache);
                continue;
            }
            step(&mut input, &mut lookup, &mut now, &mut cache, &sent);
        }
        let found: Vec<_> = lookup.addresses().collect();
        assert!(found.len() <= 2 * ADDRESSES_MAX, "{} addresses", found.len());
        assert!(found.iter().all(|address| families.hold(*address)), "another family");
        assert_eq!(lookup.outcome() == Some(&Ok(())), !found.is_empty(), "an outcome without a reason");
        assert!(sent.iter().all(|sent| !lookup.is_open(sent.exchange)), "an exchange is left open");
    }
}

/// What happens next: a message, a failure, or time.
fn step(input: &mut Input<'_>, lookup: &mut Lookup, now: &mut Instant, cache: &mut Cache, sent: &[Transmit]) {
    let kind = input.u8();
    let back = usize::from(input.u8()) % sent.len().max(1);
    let Some(to) = sent.iter().rev().nth(back) else { return };
    match kind % 8 {
        0 => {
            *now = lookup.poll_timeout().map_or(*now, |due| due.max(*now));
            lookup.on_timeout(*now, cache);
        }
        1 => lookup.on_failure(*now, cache, to.exchange, Errno::ECONNREFUSED),
        2 => {
            let bytes = input.bytes(usize::from(kind));
            lookup.on_message(*now, cache, to.exchange, to.server, bytes);
        }
        // An answer to what was asked, whose records are the input's.
        _ => {
            let mut message = to.message.get(..2).unwrap_or_default().to_vec();
            message.extend_from_slice(&(input.u16() | 0x8000).to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, input.u8(), 0, input.u8(), 0, input.u8()]);
            // The question, without the OPT record behind it.
            message.extend_from_slice(to.message.get(12..30).unwrap_or_default());
            let length = usize::from(input.u8());
            message.extend_from_slice(input.bytes(length));
            let from = if kind & 0x80 == 0 { to.server } else { SocketAddr::from(([192, 0, 2, 9], 53)) };
            lookup.on_message(*now, cache, to.exchange, from, &message);
        }
    }
}

/// A first input of each kind of answer.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let head = |families: u8| {
        let mut bytes = b"search b.example\n#......".to_vec();
        bytes.extend([1, families]);
        bytes
    };
    let answer = |flags: [u8; 2], counts: [u8; 3], records: &[u8]| {
        let mut bytes = vec![3, 0];
        bytes.extend(flags);
        bytes.extend(counts);
        bytes.push(u8::try_from(records.len()).unwrap_or(u8::MAX));
        bytes.extend(records);
        bytes
    };
    let a = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7];
    let mut aaaa = vec![0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16];
    aaaa.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    // An alias, "b.example" by way of a pointer into the question.
    let cname = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'b', 0xc0, 17];
    let own = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12];
    let mut soa = vec![0xc0, 17, 0, 6, 0, 1, 0, 0, 0, 60, 0, 24, 0xc0, 17, 0xc0, 17];
    soa.extend([0, 0, 0, 1, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 60]);
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let join = |families, parts: &[Vec<u8>]| [head(families), parts.concat()].concat();
    let ok = [0x81, 0x80];
    vec![
        ("v4", join(1, &[answer(ok, [1, 0, 0], &a)])),
        ("both", join(0, &[answer(ok, [1, 0, 1], &[&a[..], &opt].concat()), answer(ok, [1, 0, 0], &aaaa)])),
        ("v6", join(2, &[answer(ok, [1, 0, 0], &aaaa)])),
        ("alias", join(1, &[answer(ok, [1, 0, 0], &cname), answer(ok, [1, 0, 0], &a)])),
        ("circle", join(1, &[answer(ok, [1, 0, 0], &own), answer(ok, [1, 0, 0], &own)])),
        ("no-name", join(1, &[answer([0x81, 0x83], [0, 1, 0], &soa), answer([0x81, 0x83], [0, 1, 0], &soa)])),
        ("no-data", join(1, &[answer(ok, [0, 1, 0], &soa), answer(ok, [0, 0, 0], &[])])),
        ("cut", join(1, &[answer([0x83, 0x80], [0, 0, 0], &[]), answer([0x83, 0x80], [0, 0, 0], &[])])),
        ("old", join(1, &[answer([0x81, 0x81], [0, 0, 0], &[]), answer(ok, [1, 0, 0], &a)])),
        ("failures", join(1, &[answer([0x81, 0x82], [0, 0, 0], &[]), vec![1, 0], vec![0, 0], vec![0, 0]])),
        ("pointer", join(1, &[answer(ok, [1, 0, 0], &[0xc0, 30, 0, 1, 0, 1])])),
        ("strangers", join(1, &[vec![0x83, 0], answer(ok, [1, 0, 0], &a), vec![2, 0, 9, 9]])),
    ]
}
