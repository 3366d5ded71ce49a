//! Who may import whom.

use crate::source::{Source, Violation};

/// Rooms of `core/src` and the rooms that each may name. `stack` and what follows it name groups.
const TABLE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("time", &[]),
    ("rng", &[]),
    ("counters", &[]),
    ("sync", &[]),
    ("pack", &["time", "error"]),
    ("trace", &["time", "error", "sync"]),
    ("config", &["time", "error"]),
    ("wire", &["error", "counters"]),
    ("buffer", &["error", "time", "sync", "pack"]),
    ("link", &["time", "error", "config", "counters", "rng", "wire"]),
    ("ip", &["time", "error", "config", "counters", "trace", "rng", "wire", "link"]),
    ("tcp", &["time", "error", "config", "counters", "trace", "rng", "wire", "buffer", "pack"]),
    ("udp", &["time", "error", "config", "counters", "trace", "rng", "wire", "buffer"]),
    ("resolve", &["error", "time", "rng", "sync"]),
    ("stack", PURE),
    ("sim", &["PURE", "stack"]),
    ("sys", &["error"]),
    ("clock", &["time", "sys"]),
    ("device", &["time", "error", "config", "link", "wire", "sys"]),
    ("socket", &["time", "error", "buffer", "stack", "sync", "sys", "clock"]),
    ("engine", &["PURE", "stack", "sim", "sys", "clock", "device", "socket"]),
    ("sandbox", &["error", "config", "sync", "device", "sys"]),
    (
        "api",
        &[
            "error", "time", "rng", "counters", "sync", "trace", "config", "buffer", "link", "resolve",
            "stack", "sim", "sys", "clock", "device", "socket", "engine", "sandbox",
        ],
    ),
];

/// What lies below `stack`.
const PURE: &[&str] = &[
    "error", "time", "rng", "counters", "sync", "pack", "trace", "config", "wire", "buffer", "link", "ip",
    "tcp", "udp",
];

/// The room that a file of the core belongs to.
pub(crate) fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("core/src/")?;
    let name = inside.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "lib").then_some(name)
}

/// A room names only the rooms that the table gives it; its tests may name any.
pub(crate) fn imports(source: &Source) -> Vec<Violation> {
    let Some(own) = room(&source.path) else { return Vec::new() };
    let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == own) else {
        return vec![source.violation("rooms", 0, format!("`{own}` is not in the table of rooms"))];
    };
    let mut found = Vec::new();
    for path in source.paths() {
        let Some(other) = other_room(source, &path.segments) else { continue };
        if other == own || source.is_test(path.at) || may(allowed, other) {
            continue;
        }
        if TABLE.iter().any(|(name, _)| *name == other) {
            found.push(source.violation("rooms", path.at, format!("`{own}` may not import `{other}`")));
        } else {
            let what = format!("`{}` names no room: write the room's own path", path.segments.join("::"));
            found.push(source.violation("rooms", path.at, what));
        }
    }
    found
}

fn may(allowed: &[&str], other: &str) -> bool {
    allowed.contains(&other) || allowed.contains(&"PURE") && PURE.contains(&other)
}

/// The room that a path leads to from the crate's root, whether by `crate::` or by a chain of `super::`.
fn other_room<'a>(source: &Source, segments: &'a [String]) -> Option<&'a str> {
    if segments[0] == "crate" {
        return segments.get(1).map(String::as_str);
    }
    let ups = segments.iter().take_while(|s| *s == "super").count();
    let inside = source.path.strip_prefix("core/src/")?.trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = inside.split('/').count();
    (ups > 0 && ups >= depth).then(|| segments.get(ups).map(String::as_str)).flatten()
}

/// The C library, the Python module and the program see the `api` and nothing else; the handle table may use `sync`, which loom checks.
pub(crate) fn outside(source: &Source) -> Vec<Violation> {
    let shell = ["core/cli/src/", "ffi/src/", "python/src/"].iter().any(|dir| source.path.starts_with(dir));
    if !shell || !source.is_rust() {
        return Vec::new();
    }
    let wrong = |segments: &[String]| match segments[0].as_str() {
        "usertcp_core" => !matches!(segments[1].as_str(), "api" | "sync"),
        "usertcp" | "_usertcp" => true,
        _ => false,
    };
    let paths = source.paths();
    paths
        .iter()
        .filter(|path| wrong(&path.segments))
        .map(|path| {
            let what = format!("`{}`: only `usertcp_core::api` is for outside", path.segments.join("::"));
            source.violation("outside", path.at, what)
        })
        .collect()
}

/// The trace checker judges the stack, so it shares nothing with it.
pub(crate) fn judge(source: &Source) -> Vec<Violation> {
    let name = match source.path.strip_prefix("core/tracecheck/") {
        Some("Cargo.toml") => "usertcp-core",
        Some(_) if source.is_rust() => "usertcp_core",
        _ => return Vec::new(),
    };
    source.words(name).map(|at| source.violation("judge", at, format!("`{name}` in its own judge"))).collect()
}
