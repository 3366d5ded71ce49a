//! Replays every corpus, and then mutations of it that are the same every time: fuzzing without a fuzzer.
//!
//! `USERTCP_FUZZ_SECONDS` lets the mutations go on for longer; `USERTCP_REWRITE=1` writes the seeds.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use usertcp_fuzz::{TARGETS, Target, seeds::seeds};

/// Mutations of each target in `make test`, and the time after which they stop on a slow machine.
const MUTATIONS: u32 = 4000;
const PATIENCE: Duration = Duration::from_secs(8);
const LONGEST: usize = 8192;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(corpus(target))
        .expect("a corpus for each target")
        .flatten()
        .map(|entry| (entry.path(), fs::read(entry.path()).expect("a readable input")))
        .collect();
    all.sort();
    all
}

/// Runs one input; keeps it when it fails.
fn run(name: &str, target: Target, bytes: &[u8], origin: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    if outcome.is_err() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-failed"));
        fs::write(&kept, bytes).expect("a writable folder for temporary files");
        panic!("{name}: {origin} fails; the input is {}", kept.display());
    }
}

/// Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }

    /// `bytes` with a few changes; `other` is another input to borrow from.
    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                2 => bytes.insert(at, self.below(256) as u8),
                3 if at < bytes.len() => drop(bytes.remove(at)),
                4 => bytes.truncate(bytes.len() - self.below(bytes.len() / 4 + 1)),
                5 if !other.is_empty() => {
                    let from = self.below(other.len());
                    let length = self.below((other.len() - from).min(64)) + 1;
                    bytes.splice(at..at, other[from..(from + length).min(other.len())].iter().copied());
                }
                6 if at < bytes.len() => {
                    let length = self.below((bytes.len() - at).min(64)) + 1;
                    let piece = bytes[at..at + length.min(bytes.len() - at)].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {}
            }
        }
        bytes.truncate(LONGEST);
    }
}

fn fuzz(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a known target");
    let mut pool = inputs(name);
    assert!(!pool.is_empty(), "{name}: the corpus is empty");
    for (path, bytes) in &pool {
        run(name, target, bytes, &path.display().to_string());
    }
    let longer = std::env::var("USERTCP_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let (most, patience) = match longer {
        Some(seconds) => (u32::MAX, Duration::from_secs(seconds)),
        None => (MUTATIONS, PATIENCE),
    };
    let (start, mut chance) = (Instant::now(), Chance(0x2545_f491_4f6c_dd1d));
    for round in 0..most {
        if start.elapsed() > patience {
            println!("{name}: {round} mutations");
            break;
        }
        let mut bytes = pool[chance.below(pool.len())].1.clone();
        let other = pool[chance.below(pool.len())].1.clone();
        chance.mutate(&mut bytes, &other);
        run(name, target, &bytes, &format!("mutation {round}"));
        // Some mutants stay to be mutated further.
        if pool.len() < 400 && chance.below(16) == 0 {
            pool.push((PathBuf::from("mutant"), bytes));
        }
    }
}

#[test]
fn corpora_hold_their_seeds() {
    let rewrite = std::env::var_os("USERTCP_REWRITE").is_some();
    for (target, name, bytes) in seeds() {
        let path = corpus(target).join(name);
        if rewrite {
            fs::create_dir_all(corpus(target)).expect("a writable corpus");
            fs::write(&path, &bytes).expect("a writable corpus");
        }
        assert!(fs::read(&path).is_ok_and(|kept| kept == bytes), "{} is not the seed", path.display());
    }
}

/// The corpus of the stack gets to the places where it could fail.
#[test]
fn the_corpus_reaches_deep() {
    let mut totals = std::collections::BTreeMap::new();
    for (_, bytes) in inputs("stack") {
        usertcp_fuzz::reached(&bytes)
            .iter()
            .for_each(|(name, value, _)| *totals.entry(name).or_insert(0) += value);
    }
    println!("{totals:#?}");
    let wanted = [
        "echo_replies",
        "tcp_active_opens",
        "tcp_challenge_acks",
        "tcp_dsacks_in",
        "tcp_dsacks_out",
        "tcp_out_of_order",
        "tcp_passive_opens",
        "tcp_probes",
        "tcp_resets_in",
        "tcp_resets_out",
        "tcp_retransmits",
        "tcp_sack_ignored",
        "tcp_sack_recoveries",
        "tcp_sack_reneges",
        "tcp_syns_accepted",
        "tcp_syns_dropped",
        "tcp_syns_paused",
        "tcp_syns_refused",
        "drop_tcp_checksum",
        "drop_tcp_window",
        "drop_tcp_no_socket",
    ];
    let missed: Vec<_> =
        wanted.iter().filter(|name| totals.get(*name).is_none_or(|total| *total == 0)).collect();
    assert!(missed.is_empty(), "the corpus does not reach {missed:?}");
}

#[test]
fn ip_ingress() {
    fuzz("ip_ingress");
}

#[test]
fn names() {
    fuzz("names");
}

#[test]
fn parse_packet() {
    fuzz("parse_packet");
}

#[test]
fn queues() {
    fuzz("queues");
}

#[test]
fn stack() {
    fuzz("stack");
}

#[test]
fn tcp_options() {
    fuzz("tcp_options");
}
