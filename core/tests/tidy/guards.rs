//! Where the language's own guards end: `unsafe`, and functions that C calls.

use crate::source::{Source, Violation, item_end};

/// The only places of `unsafe`.
const UNSAFE: [&str; 7] = [
    "core/src/sys.rs",
    "core/src/sys/",
    "core/src/sandbox.rs",
    "core/src/sandbox/",
    "ffi/src/",
    "ffi/tests/",
    "python/src/foreign.rs",
];

/// `unsafe` stands in the named files only.
pub(crate) fn unsafe_code(source: &Source) -> Vec<Violation> {
    if !source.is_rust() || UNSAFE.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    source
        .words("unsafe")
        .map(|at| source.violation("unsafe", at, "`unsafe` outside the named files"))
        .collect()
}

/// Every function that C calls is nothing but one call of the guard, so that no panic unwinds into C.
pub(crate) fn panic_guard(source: &Source) -> Vec<Violation> {
    if !source.path.starts_with("ffi/src/") || !source.is_rust() {
        return Vec::new();
    }
    let code = &source.code;
    let mut found = Vec::new();
    for at in source.words("extern") {
        let Some(name) = exported(code, at) else { continue };
        let body = &code[..item_end(code, at)];
        let Some(open) = code[at..].find('{').map(|open| at + open) else { continue };
        if open >= body.len() {
            continue;
        }
        let inside = code[open + 1..body.len() - 1].trim();
        let guarded = ["guard(", "guard!(", "guard! {"].iter().any(|guard| inside.starts_with(guard));
        if !guarded || !one_expression(inside) {
            found.push(source.violation("guard", at, format!("`{name}` is not one call of the panic guard")));
        }
    }
    found
}

/// The name of the function behind `extern "C" fn` at `at`; `None` for anything else.
fn exported(code: &str, at: usize) -> Option<&str> {
    let rest = code[at..].strip_prefix("extern")?.trim_start();
    let rest = rest.strip_prefix('"')?.split_once('"')?.1.trim_start();
    let rest = rest.strip_prefix("fn ")?;
    rest.split(['(', '<', ' ']).next().filter(|name| !name.is_empty())
}

/// Whether nothing follows the bracket that closes the first one.
fn one_expression(code: &str) -> bool {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return code[at + 1..].trim().is_empty();
                }
            }
            _ => {}
        }
    }
    false
}
