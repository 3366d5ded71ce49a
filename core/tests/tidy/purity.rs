//! What the pure rooms must not touch: clock, threads, input and output, locks, unseeded order, chance, and panics that a peer could reach.

use crate::rooms::room;
use crate::source::{Source, Violation};

const IMPURE: [&str; 7] = ["sys", "clock", "device", "socket", "engine", "sandbox", "api"];

/// Files in which pure code and calling threads meet, or the workers of one stack, and which therefore lock.
const LOCKS: [&str; 4] = [
    "core/src/buffer/shared.rs",
    "core/src/buffer/pool.rs",
    "core/src/buffer/notices.rs",
    "core/src/stack/crew.rs",
];

/// The pipe joins two stacks, which may run in two threads, and the fabric as many as there are; they only ever try.
const CHANNELS: [&str; 3] =
    ["core/src/link/pipe.rs", "core/src/sim/fabric.rs", "core/src/sim/fabric/port.rs"];

/// Modules of `std` that reach the machine.
const STD: [&str; 8] = ["thread", "io", "sync", "fs", "env", "process", "os", "time"];

/// Crates that reach the machine.
const CRATES: [&str; 5] = ["libc", "rand", "getrandom", "tun_tap", "loom"];

fn is_pure(source: &Source) -> bool {
    room(&source.path).is_some_and(|room| !IMPURE.contains(&room)) && !source.is_test_file()
}

/// No clock, thread, input, output, lock or chance in a pure room.
pub(crate) fn machine(source: &Source) -> Vec<Violation> {
    if !is_pure(source) || source.path == "core/src/sync.rs" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for path in source.paths() {
        if source.is_test(path.at) {
            continue;
        }
        let (first, second) = (path.segments[0].as_str(), path.segments[1].as_str());
        let third = path.segments.get(2).map_or("", String::as_str);
        let wrong = match first {
            "std" | "core" => STD.contains(&second) && (second, third) != ("time", "Duration"),
            "crate" => second == "sync" && !may_lock(source, third),
            "crossbeam_channel" => !CHANNELS.contains(&source.path.as_str()),
            _ => CRATES.contains(&first),
        };
        let random = |segment: &String| matches!(segment.as_str(), "RandomState" | "DefaultHasher");
        if wrong || path.segments.iter().any(random) {
            let what = format!("`{}` in a pure room", path.segments.join("::"));
            found.push(source.violation("purity", path.at, what));
        }
    }
    found
}

fn may_lock(source: &Source, item: &str) -> bool {
    matches!(item, "Arc" | "Weak") || LOCKS.contains(&source.path.as_str())
}

/// A hash table of a pure room names its hasher: the default one is keyed at random, and its order with it.
pub(crate) fn hashing(source: &Source) -> Vec<Violation> {
    if !is_pure(source) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (table, parameters) in [("HashMap", 3), ("HashSet", 2)] {
        for at in source.words(table).filter(|at| !source.is_test(*at)) {
            let rest = &source.code[at + table.len()..];
            let unseeded = ["::new", "::default", "::from", "::with_capacity("];
            if unseeded.iter().any(|call| rest.starts_with(call)) {
                found.push(source.violation("hashing", at, format!("`{table}` without `with_hasher`")));
            } else if rest.starts_with('<') && arguments(rest) < parameters {
                found.push(source.violation("hashing", at, format!("`{table}<..>` without its hasher")));
            }
        }
    }
    found
}

/// How many arguments stand between the angle brackets that `text` starts with.
fn arguments(text: &str) -> usize {
    let mut depth = 0usize;
    let mut count = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' if text.as_bytes()[at - 1] == b'-' => {}
            b'>' | b')' | b']' => depth -= 1,
            b',' if depth == 1 => count += 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    count
}

/// A peer can never reach a panic: what a pure room expects it has to check.
pub(crate) fn panics(source: &Source) -> Vec<Violation> {
    if !is_pure(source) {
        return Vec::new();
    }
    const PANICS: [&str; 6] = [".unwrap()", ".expect(", "panic!", "unreachable!", "todo!", "unimplemented!"];
    PANICS
        .iter()
        .flat_map(|call| source.code.match_indices(call))
        .filter(|(at, _)| !source.is_test(*at))
        .map(|(at, call)| source.violation("panics", at, format!("`{call}` in a pure room")))
        .collect()
}

/// A library does not write to its program's terminal.
pub(crate) fn printing(source: &Source) -> Vec<Violation> {
    let library = ["core/src/", "ffi/src/", "python/src/"].iter().any(|dir| source.path.starts_with(dir));
    if !library || !source.is_rust() {
        return Vec::new();
    }
    ["println", "eprintln", "print", "eprint", "dbg"]
        .iter()
        .flat_map(|name| source.words(name).map(move |at| (at, name)))
        .filter(|(at, name)| source.code[at + name.len()..].starts_with('!') && !source.is_test(*at))
        .map(|(at, name)| source.violation("printing", at, format!("`{name}!` in a library")))
        .collect()
}
