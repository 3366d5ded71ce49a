//! Planted violations: each rule finds its own and lets the right way pass.

use crate::ledger::Ledger;
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
        lines(rooms::imports, "core/src/engine/mod.rs", "use crate::api::Net;\nuse crate::sim::A;"),
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
fn the_judge_is_independent() {
    let text = "use usertcp_core::wire::tcp;\n// usertcp_core\nuse usertcp_core as stack;\n";
    assert_eq!(lines(rooms::judge, "core/tracecheck/src/packet.rs", text), [1, 3]);
    assert_eq!(lines(rooms::judge, "core/tracecheck/Cargo.toml", "a = 1\nusertcp-core = \"0\"\n"), [2]);
    assert_eq!(lines(rooms::judge, "core/tests/world/mod.rs", text), [0usize; 0]);
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
    assert!(lines(house::sleeping, "python/tests/test_sim_a.py", python).is_empty());
    let marks = concat!("@pytest.mark.", "xfail\n@pytest.mark.", "skip()\n");
    assert_eq!(lines(house::ignored, "python/tests/test_a.py", marks), [1, 2]);
    assert_eq!(lines(house::ignored, "examples/python/testing/test_a.py", marks), [2]);
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

/// What the ledger finds in these files, as `line: what` without the remedy.
fn ledger(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    let found = Ledger::new(&sources).violations();
    found
        .iter()
        .map(|v| format!("{}:{}: {}", v.path, v.line, v.what.split(": ").next().unwrap_or("")))
        .collect()
}

/// A quote at `section` of RFC 9999; `mark` is nothing or `//= type=test`.
fn quote(section: &str, mark: &str, words: &str) -> String {
    format!("//= https://www.rfc-editor.org/rfc/rfc9999#{section}\n{mark}//# {words}\n")
}

const LIST: &str = "docs/requirements/rfc9999.txt";
const ROOM: &str = "core/src/tcp/seq.rs";
const TEST: &str = "core/src/tcp/tests/seq.rs";
const MARK: &str = "//= type=test\n";

#[test]
fn a_duty_is_quoted_in_code_and_in_a_test() {
    let list = "# RFC 9999\n\n9999:2.1-1 §2.1 A host MUST NOT do  the first thing, or the second.\n";
    let code = quote("section-2.1", "", "... MUST NOT do the first thing (9999:2.1-1).");
    let test = quote("section-2.1", MARK, "A host MUST NOT do\n    //# the first thing (9999:2.1-1)");
    assert_eq!(ledger(&[(LIST, list), (ROOM, &code), (TEST, &test)]), [""; 0]);
    let none = [
        format!("{LIST}:3: 9999:2.1-1 is not quoted in code"),
        format!("{LIST}:3: 9999:2.1-1 is not quoted in a test"),
    ];
    assert_eq!(ledger(&[(LIST, list)]), none);
    assert_eq!(ledger(&[(LIST, list), (ROOM, &code)]), none[1..]);
    assert_eq!(ledger(&[(LIST, list), ("core/tests/packetdrill/a.pkt", &test)]), none[..1]);
    assert_eq!(ledger(&[(LIST, list), ("core/tracecheck/src/lib.rs", &code), (TEST, &test)]), none[..1]);
}

#[test]
fn a_duty_may_be_declined_or_be_another() {
    let list = "MUST-1 §A.2 a -- declined: nobody asks\nMUST-2 §1 b -- see MUST-1\n";
    assert_eq!(ledger(&[(LIST, list)]), [""; 0]);
    let bad = "MUST-1 §1 a -- see MUST-2\nMUST-2 §1 b -- see MUST-3\n";
    let found = [
        format!("{LIST}:1: MUST-1 sees MUST-2, which sees another"),
        format!("{LIST}:2: MUST-2 sees MUST-3, which no list has"),
    ];
    assert_eq!(ledger(&[(LIST, bad)]), found);
    let obeyed = quote("appendix-A.2", "", "a (MUST-1)");
    assert_eq!(
        ledger(&[(LIST, list), (ROOM, &obeyed)]),
        [format!("{ROOM}:1: MUST-1 is declined (nobody asks), and quoted as obeyed")]
    );
}

#[test]
fn quotes_are_true() {
    let list = "9999:2-1 §2 A host MUST do this. -- declined: not yet\nMUST-7 §3 A host MUST (MUST-7) be kind ... It SHOULD smile.\n";
    let kind = |words| quote("section-3", "", words) + &quote("section-3", MARK, "x");
    let find = |words: &str, test: &str| {
        let test = quote("section-3", MARK, test);
        ledger(&[(LIST, list), (ROOM, &quote("section-3", "", words)), (TEST, &test)])
    };
    assert_eq!(find("MUST be kind (MUST-7).", "It SHOULD smile (MUST-7)"), [""; 0]);
    assert_eq!(
        find("Note: A host MUST (MUST-7) be kind. It SHOULD smile. Bye.", "be kind ... smile (MUST-7)"),
        [""; 0]
    );
    assert_eq!(find("be very kind (MUST-7)", "be kind (MUST-7)"), [format!("{ROOM}:1: MUST-7")]);
    assert_eq!(find("be kind (MUST-7) (MUST-8)", "be kind (MUST-7)"), [format!("{ROOM}:1: MUST-8")]);
    let nameless = format!("{ROOM}:1: MUST-7 is what these words say");
    assert!(find("A host MUST be kind", "be kind (MUST-7)").contains(&nameless));
    let elsewhere = quote("section-4", "", "be kind (MUST-7)") + &kind("be kind (MUST-7)");
    assert!(
        ledger(&[(LIST, list), (ROOM, &elsewhere), (TEST, &quote("section-3", MARK, "kind (MUST-7)"))])
            .contains(&format!(
                "{ROOM}:1: MUST-7 is of section 3 of RFC 9999, and the address says 4 of 9999"
            ))
    );
}

#[test]
fn lists_and_quotes_keep_their_form() {
    let list = "MUST-1 2 a\nMUST §2 a\n9999:2-1 §3 a\n9998:2-1 §2 a\nMAY-1 §2 a -- declined: \nMAY-2 §2 a -- see MAY-3\nMAY-3 §1 b -- declined: c\nMAY-3 §1 b -- declined: c\n";
    let lines: Vec<String> =
        ledger(&[(LIST, list)]).iter().map(|v| v.split(':').nth(1).unwrap_or("").to_owned()).collect();
    assert_eq!(lines, ["1", "2", "3", "4", "5", "8"]);
    let unmarked = quote("section-1", "", "a");
    assert_eq!(ledger(&[(TEST, &unmarked)]).len(), 1);
    assert_eq!(ledger(&[(ROOM, &quote("section-1", MARK, "a"))]).len(), 1);
    assert_eq!(ledger(&[(ROOM, "//# a\n//= rfc9999\n")]).len(), 2);
    assert_eq!(ledger(&[(ROOM, "//= https://www.rfc-editor.org/rfc/rfc768#page-2\n")]).len(), 1);
    assert_eq!(ledger(&[(ROOM, "//= https://www.rfc-editor.org/rfc/rfc768#page-2\n//# a\n")]), [""; 0]);
}

#[test]
fn conformance_names_files() {
    let list = "9999:2-1 §2 A | <b>\n9999:2-2 §2 C -- declined: d\n9999:A.1-1 §A.1 E -- see 9999:2-1\n9999:A.1-2 §A.1 F -- see 9999:2-2\n";
    let sources = [
        Source::new(LIST, list),
        Source::new(ROOM, &format!("\n{}", quote("section-2", "", "A | <b> (9999:2-1)"))),
        Source::new(TEST, &quote("section-2", MARK, "A | <b> (9999:2-1)").repeat(2)),
    ];
    let text = Ledger::new(&sources).conformance();
    let url = "https://www.rfc-editor.org/rfc/rfc9999";
    for line in [
        "| [RFC 9999](#rfc-9999) | 1 | 1 | 2 |",
        &format!("| 9999:2-1 | [2]({url}#section-2) | A \\| &lt;b> | {ROOM} | {TEST} |"),
        &format!("| 9999:2-2 | [2]({url}#section-2) | C | declined: d |  |"),
        &format!("| 9999:A.1-1 | [A.1]({url}#appendix-A.1) | E | see 9999:2-1 |  |"),
        &format!("| 9999:A.1-2 | [A.1]({url}#appendix-A.1) | F | declined: see 9999:2-2 |  |"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
