//! The order of the house, kept by reading the sources: layers, purity, size, guards, habits.
//!
//! A rule is a function from a source file to what it finds there; `tidy/planted.rs` tests the rules with planted violations.

#[path = "tidy/guards.rs"]
mod guards;
#[path = "tidy/house.rs"]
mod house;
#[path = "tidy/ledger.rs"]
mod ledger;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/source.rs"]
mod source;

use ledger::Ledger;
use source::{Source, Violation};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing written by hand.
const SKIPPED: [&str; 10] = [
    "target",
    "build",
    "dist",
    "corpus",
    "__pycache__",
    ".git",
    ".venv",
    ".pytest_cache",
    ".mypy_cache",
    "artifacts",
];

/// Kinds of file that the rules read.
const READ: [&str; 14] =
    ["rs", "py", "pyi", "c", "cc", "h", "sh", "md", "toml", "yml", "in", "conf", "txt", "pkt"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                let made = SKIPPED.contains(&name.as_str()) || name.ends_with(".egg-info");
                if !made && !path.join("CACHEDIR.TAG").exists() && !path.join("pyvenv.cfg").exists() {
                    folders.push(path);
                }
                continue;
            }
            let extension = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
            let inside = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if READ.contains(&extension.as_str()) || matches!(inside.as_str(), "Makefile" | ".ci/run") {
                sources.push(Source::new(&inside, &fs::read_to_string(&path).expect("text in UTF-8")));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn hold(rule: fn(&Source) -> Vec<Violation>) {
    let sources = sources();
    assert!(sources.iter().any(|s| s.path == "core/src/lib.rs"), "the sources were not found");
    nothing(sources.iter().flat_map(rule));
}

fn nothing(found: impl IntoIterator<Item = Violation>) {
    let found: Vec<String> =
        found.into_iter().map(|v| format!("{}:{}: {}: {}", v.path, v.line, v.rule, v.what)).collect();
    assert!(found.is_empty(), "{} found\n{}", found.len(), found.join("\n"));
}

#[test]
fn rooms_keep_their_layers() {
    hold(rooms::imports);
}

#[test]
fn the_outside_sees_the_api_only() {
    hold(rooms::outside);
}

#[test]
fn the_trace_checker_shares_nothing_with_the_stack() {
    hold(rooms::judge);
}

#[test]
fn pure_rooms_are_pure() {
    hold(purity::machine);
}

#[test]
fn hash_tables_are_seeded() {
    hold(purity::hashing);
}

#[test]
fn pure_rooms_have_no_panics() {
    hold(purity::panics);
}

#[test]
fn libraries_are_silent() {
    hold(purity::printing);
}

#[test]
fn files_are_short() {
    hold(house::size);
}

#[test]
fn files_have_headings() {
    hold(house::heading);
}

#[test]
fn nothing_is_left_over() {
    hold(house::leftovers);
}

#[test]
fn no_workplace_shows() {
    hold(house::workplace);
}

#[test]
fn no_test_is_hidden() {
    hold(house::ignored);
}

#[test]
fn no_test_sleeps() {
    hold(house::sleeping);
}

#[test]
fn unsafe_is_where_it_belongs() {
    hold(guards::unsafe_code);
}

#[test]
fn no_panic_reaches_c() {
    hold(guards::panic_guard);
}

#[test]
fn requirements_are_met_and_quotes_are_true() {
    nothing(Ledger::new(&sources()).violations());
}

#[test]
fn the_list_of_rfc_9293_is_complete() {
    let sources = sources();
    let ledger = Ledger::new(&sources);
    let ranges = [("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1), ("SM", 19)];
    let demanded = ranges.iter().flat_map(|(level, last)| (1..=*last).map(move |n| format!("{level}-{n}")));
    let missing: Vec<String> = demanded
        .filter(|id| !ledger.duties.iter().any(|duty| duty.rfc == "9293" && duty.id == *id))
        .collect();
    assert!(missing.is_empty(), "docs/requirements/rfc9293.txt lacks {missing:?}");
}

/// `BLESS=1 cargo test -p usertcp-core --test tidy conformance` writes it anew.
#[test]
fn conformance_is_written_down() {
    let sources = sources();
    let text = Ledger::new(&sources).conformance();
    let path = root().join("docs/CONFORMANCE.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).expect("docs can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let line = text.lines().zip(written.lines()).find(|(a, b)| a != b);
    assert!(
        text == written,
        "docs/CONFORMANCE.md is not what it says it is made from: BLESS=1 makes it anew. {line:?}"
    );
}
