//! The house's habits: size, headings, leftovers, and tests that neither sleep nor hide.

use crate::source::{Source, Violation, words};

/// Lines of the longest source file.
const WALL: usize = 600;

/// The only generated source; it grows with the interface.
const GENERATED: [&str; 1] = ["include/usertcp.h"];

fn is_source(path: &str) -> bool {
    [".rs", ".py", ".pyi", ".c", ".h", ".cc", ".sh"].iter().any(|end| path.ends_with(end))
        || matches!(path, "Makefile" | ".ci/run")
}

/// No source file is longer than the wall.
pub(crate) fn size(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    if !is_source(&source.path) || GENERATED.contains(&source.path.as_str()) || lines <= WALL {
        return Vec::new();
    }
    vec![source.violation("size", source.text.len(), format!("{lines} lines, and {WALL} is the wall"))]
}

/// A file is one noun, and its first line says which.
pub(crate) fn heading(source: &Source) -> Vec<Violation> {
    // Pieces of the generated header.
    if source.path.starts_with("ffi/header/") {
        return Vec::new();
    }
    let text = match source.text.strip_prefix("#!/") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => &source.text,
    };
    let extension = source.path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let (starts, wanted): (&[&str], _) = match extension {
        "rs" => (&["//! "], "//!"),
        "py" => (&["\"\"\""], "a docstring"),
        "pyi" => (&["\"\"\"", "# "], "a comment"),
        "c" | "h" | "cc" | "cpp" | "hpp" => (&["/*", "//"], "a comment"),
        _ => return Vec::new(),
    };
    if text.is_empty() || starts.iter().any(|start| text.starts_with(start)) {
        return Vec::new();
    }
    vec![source.violation("heading", 0, format!("the first line is not {wanted}"))]
}

/// Nothing is left for later: that belongs into the tracker.
pub(crate) fn leftovers(source: &Source) -> Vec<Violation> {
    const MARKS: [&str; 4] =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    MARKS
        .iter()
        .flat_map(|mark| words(&source.text, mark).map(move |at| (at, mark)))
        .map(|(at, mark)| source.violation("leftovers", at, format!("`{mark}`")))
        .collect()
}

/// The project does not know where it was written.
pub(crate) fn workplace(source: &Source) -> Vec<Violation> {
    const WORDS: [&str; 7] = [
        concat!("/wo", "rk/"),
        concat!("/tmp", "/h/"),
        concat!("/tmp", "/t/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("static.crates", ".io"),
        concat!("index.crates", ".io"),
    ];
    if source.path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    WORDS
        .iter()
        .flat_map(|word| source.text.match_indices(word))
        .map(|(at, word)| source.violation("workplace", at, format!("`{word}`")))
        .collect()
}

/// Tests that teach: on a virtual clock, and what shows a bug of the program that is tested is to fail.
const LESSONS: &str = "examples/python/testing/";

/// Every test runs.
pub(crate) fn ignored(source: &Source) -> Vec<Violation> {
    let hidden: &[&str] = match source.path.rsplit_once('.') {
        Some((_, "py")) if source.path.starts_with(LESSONS) => &[concat!("pytest.mark.", "skip(")],
        Some((_, "rs")) => &["#[ignore"],
        Some((_, "py")) => &[concat!("pytest.mark.", "xfail"), concat!("pytest.mark.", "skip(")],
        _ => return Vec::new(),
    };
    hidden
        .iter()
        .flat_map(|mark| source.code.match_indices(mark))
        .map(|(at, mark)| source.violation("ignored", at, format!("`{mark}`: a test that does not run")))
        .collect()
}

/// The one pause of the C tests: nothing tells when another thread has fallen asleep in a call.
const PAUSES: [&str; 1] = ["ffi/tests/c/check.h"];

/// What tests on a virtual clock are called, or have in them: there a sleep takes no time.
const VIRTUAL: [&str; 4] =
    ["python/tests/test_sim_", "python/tests/test_plugin", "python/tests/libraries/conftest.py", LESSONS];

/// A test waits for what it needs, not for a while.
pub(crate) fn sleeping(source: &Source) -> Vec<Violation> {
    if PAUSES.contains(&source.path.as_str()) || VIRTUAL.iter().any(|name| source.path.starts_with(name)) {
        return Vec::new();
    }
    let calls: &[&str] = match source.path.rsplit_once('.') {
        Some((_, "rs")) => &["thread::sleep", "sleep("],
        Some((_, "py")) => &[concat!("time.", "sleep("), concat!("asyncio.", "sleep(")],
        Some((_, "c" | "h" | "cpp")) => &["sleep(", "usleep(", "nanosleep("],
        _ => return Vec::new(),
    };
    calls
        .iter()
        .flat_map(|call| source.code.match_indices(call))
        .filter(|(at, call)| source.is_test(*at) && is_call(&source.code, *at, call))
        .map(|(at, call)| source.violation("sleeping", at, format!("`{call}` in a test")))
        .collect()
}

fn is_call(code: &str, at: usize, call: &str) -> bool {
    call.contains(['.', ':'])
        || !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "_.:".contains(c))
}
