//! Planted violations: each rule finds its own and lets the right way pass.

use crate::source::{Source, Violation};
use crate::{guards, house, purity, rooms};

fn lines(rule: fn(&Source) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
    let mut lines: Vec<usize> = rule(&Source::new(path, text)).iter().map(|v| v.line).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn rooms_import_what_the_table_gives_them() {
    let text = "//! A.\nuse crate::{time::Instant, wire::{self, tcp}};\nuse crate::stack::Stack;\nfn f(x: crate::ip::Packet) {}\nuse super::super::engine::Turn;\n// crate::api\nconst S: &str = \"crate::api::x\";\n";
    assert_eq!(lines(rooms::imports, "core/src/tcp/seq.rs", text), [3, 4, 5]);
    assert_eq!(lines(rooms::imports, "core/src/stack/demux.rs", text), [5]);
    assert_eq!(
        lines(rooms::imports, "core/src/engine/mod.rs", "use crate::sim::Net;\nuse crate::stack::A;"),
        [1]
    );
    assert_eq!(lines(rooms::imports, "core/src/time.rs", "use super::rng::Rng;"), [1]);
    assert_eq!(lines(rooms::imports, "core/src/newroom/mod.rs", ""), [1]);
    assert_eq!(lines(rooms::imports, "core/src/tcp/mod.rs", "use crate::Instant;"), [1]);
}

#[test]
fn tests_of_a_room_import_what_they_like() {
    let text = "#[cfg(test)]\nmod tests {\n use crate::sim::Net;\n}\nuse crate::sim::Net;\n";
    assert_eq!(lines(rooms::imports, "core/src/tcp/seq.rs", text), [5]);
    assert_eq!(lines(rooms::imports, "core/src/tcp/tests.rs", "use crate::sim::Net;"), [0usize; 0]);
    assert_eq!(lines(rooms::imports, "core/src/tcp/a.rs", "#[cfg(not(test))]\nuse crate::sim::Net;"), [2]);
}

#[test]
fn shells_import_the_api_only() {
    let text = "use usertcp_core::api::Stack;\nuse usertcp_core::{sync::Arc, engine::Turn};\n";
    assert_eq!(lines(rooms::outside, "ffi/src/lib.rs", text), [2]);
    assert_eq!(
        lines(rooms::outside, "python/src/lib.rs", "use usertcp::x;\nuse usertcp_core::stack::Stack;"),
        [1, 2]
    );
    assert_eq!(lines(rooms::outside, "core/fuzz/src/lib.rs", text), [0usize; 0]);
}

#[test]
fn pure_rooms_touch_no_machine() {
    let text = "use std::time::Duration;\nuse std::time::Instant;\nuse std::{fmt, thread};\nfn f() { std::io::stdin(); }\nuse crate::sync::Arc;\nuse crate::sync::{Arc, Mutex};\nlet x = libc::getpid();\nlet s: RandomState = std::hash::RandomState::new();\nuse std::sync::Arc;\n";
    assert_eq!(lines(purity::machine, "core/src/stack/mod.rs", text), [2, 3, 4, 6, 7, 8, 9]);
    assert_eq!(
        lines(purity::machine, "core/src/buffer/pool.rs", "use crate::sync::{Mutex, lock};"),
        [0usize; 0]
    );
    assert_eq!(lines(purity::machine, "core/src/engine/mod.rs", text), [0usize; 0]);
}

#[test]
fn hash_tables_of_pure_rooms_name_their_hasher() {
    let text = "let a = HashMap::new();\nlet b: HashMap<u8, Vec<(u8, u8)>> = x;\nlet c: HashMap<u8, u8, KeyedState> = HashMap::with_hasher(k);\nlet d: HashSet<(u8, u8)>;\nlet e: HashSet<u8, KeyedState>;\nlet f: HashMap<K, Box<dyn Fn(u8) -> u8>>;\n";
    assert_eq!(lines(purity::hashing, "core/src/stack/mod.rs", text), [1, 2, 4, 6]);
}

#[test]
fn pure_rooms_do_not_panic() {
    let text = "x.unwrap();\nx.unwrap_or(1);\n// x.unwrap()\nx.expect(\"no\");\nunreachable!();\n#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }\n";
    assert_eq!(lines(purity::panics, "core/src/ip/mod.rs", text), [1, 4, 5]);
    assert_eq!(lines(purity::panics, "core/src/api/mod.rs", text), [0usize; 0]);
}

#[test]
fn libraries_do_not_print() {
    let text = "println!(\"x\");\nlet print = 1;\n/// println!(\"x\")\neprintln!();\n";
    assert_eq!(lines(purity::printing, "ffi/src/lib.rs", text), [1, 4]);
    assert_eq!(lines(purity::printing, "core/tests/kernel.rs", text), [0usize; 0]);
}

#[test]
fn files_end_at_the_wall() {
    let text = "x\n".repeat(601);
    assert_eq!(lines(house::size, "python/usertcp/a.py", &text), [602]);
    assert_eq!(lines(house::size, "python/usertcp/a.py", &text[2..]), [0usize; 0]);
    assert_eq!(lines(house::size, "include/usertcp.h", &text), [0usize; 0]);
    assert_eq!(lines(house::size, "Makefile", &text), [602]);
}

#[test]
fn files_say_what_they_are() {
    assert_eq!(lines(house::heading, "core/src/a.rs", "use x;\n//! A.\n"), [1]);
    assert_eq!(lines(house::heading, "core/src/a.rs", "//! A.\nuse x;\n"), [0usize; 0]);
    assert_eq!(
        lines(house::heading, "examples/a.py", "#!/usr/bin/env python3\n\"\"\"A.\"\"\"\n"),
        [0usize; 0]
    );
    assert_eq!(lines(house::heading, "examples/a.py", "import os\n"), [1]);
    assert_eq!(lines(house::heading, "examples/c/a.c", "#include <x.h>\n"), [1]);
}

#[test]
fn nothing_is_left_for_later() {
    let mark = concat!("TO", "DO");
    assert_eq!(lines(house::leftovers, "docs/a.md", &format!("a\n{mark}: b\nM{mark}S\n")), [2]);
}

#[test]
fn the_workplace_stays_out() {
    let path = concat!("/wo", "rk/main");
    assert_eq!(lines(house::workplace, "README.md", &format!("a\nsee {path}\n")), [2]);
}

#[test]
fn tests_run_and_do_not_sleep() {
    let ignored = "#[test]\n#[ignore]\nfn f() {}\n";
    assert_eq!(lines(house::ignored, "core/tests/a.rs", ignored), [2]);
    let text = "fn f() { std::thread::sleep(d); }\nx.nosleep(1);\n#[cfg(test)]\nmod tests { fn g() { thread::sleep(d) } }\n";
    assert_eq!(lines(house::sleeping, "core/src/clock.rs", text), [4]);
    assert_eq!(lines(house::sleeping, "core/tests/a.rs", text), [1, 4]);
    assert_eq!(lines(house::sleeping, "ffi/tests/c/a.c", "x();\nusleep(3);\n"), [2]);
    let python = concat!("import time\ntime.", "sleep(1)\n");
    assert_eq!(lines(house::sleeping, "python/tests/test_a.py", python), [2]);
}

#[test]
fn unsafe_stays_in_its_files() {
    assert_eq!(
        lines(guards::unsafe_code, "core/src/stack/mod.rs", "let a = 1;\nunsafe { f() }\n// unsafe\n"),
        [2]
    );
    assert_eq!(lines(guards::unsafe_code, "core/src/sys.rs", "unsafe { f() }"), [0usize; 0]);
    assert_eq!(lines(guards::unsafe_code, "core/src/lib.rs", "#![deny(unsafe_code)]"), [0usize; 0]);
}

#[test]
fn exported_functions_stand_behind_the_guard() {
    let good =
        "#[unsafe(no_mangle)]\npub extern \"C\" fn usertcp_a(x: u8) -> i32 {\n    guard(|| { b(x) })\n}\n";
    let bare = "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn usertcp_a() -> i32 {\n    let x = 1;\n    guard(|| x)\n}\n";
    let after = "pub extern \"C\" fn usertcp_a() -> i32 { guard(|| x); boom() }\n";
    let typed = "pub type F = Option<unsafe extern \"C\" fn(i32)>;\nextern \"C\" { fn x(); }\n";
    assert_eq!(lines(guards::panic_guard, "ffi/src/a.rs", good), [0usize; 0]);
    assert_eq!(lines(guards::panic_guard, "ffi/src/a.rs", bare), [2]);
    assert_eq!(lines(guards::panic_guard, "ffi/src/a.rs", after), [1]);
    assert_eq!(lines(guards::panic_guard, "ffi/src/a.rs", typed), [0usize; 0]);
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "let a = \"// x \\\" y\"; let b = 'x'; let c: &'static str = r#\"unsafe \" unsafe\"#; /* unsafe /* unsafe */ */ let d = '\\''; b\"unsafe\";";
    assert_eq!(lines(guards::unsafe_code, "core/src/a.rs", text), [0usize; 0]);
    assert_eq!(lines(guards::unsafe_code, "core/src/a.rs", &format!("{text} unsafe")), [1]);
}
