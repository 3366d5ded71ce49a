//! Calls that no sane program makes: `tests/fuzz/fuzz.c` replays sequences of them and makes up more, from one thread and from four.
//!
//! `USERTCP_FUZZ_SECONDS` lets each go on for longer, `USERTCP_FUZZ_SEED` begins elsewhere. A sequence that fails is kept; it goes into
//! `tests/fuzz/corpus` with what mends it.

#[allow(dead_code, reason = "tests/c.rs uses the rest")]
mod c_programs;

use c_programs::{build_fuzzer, crate_dir, scratch};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Functions that the table has under another name.
const TOGETHER: [&str; 5] = ["errname", "features", "strerror", "version", "version_number"];

/// Calls that cannot succeed: they are made with what is wrong, for a sandbox takes what not every machine grants.
const WRONG: [&str; 2] = ["sandbox_", "child_"];

/// Errors that every function shares, but that none of these calls may meet.
const NEVER: [&str; 3] = ["ECHILD", "EDEADLK", "ENOTRECOVERABLE"];

/// Errors of a system that is out of something: only who lists them may meet them here.
const SCARCE: [&str; 4] = ["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"];

type Errors<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The `-EXXX` of a comment, without the sign.
fn errors(comment: &str) -> BTreeSet<&str> {
    let symbol = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let names = comment.match_indices("-E").map(|(at, _)| {
        let rest = &comment[at + 1..];
        &rest[..rest.find(|c| !symbol(c)).unwrap_or(rest.len())]
    });
    names.filter(|name| name.len() > 2).collect()
}

/// The functions whose errors a comment takes over: "Others as usertcp_recv() and usertcp_recvfrom()."
fn others(comment: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in comment.match_indices("thers as ") {
        let sentence = comment[at..].split('.').next().unwrap_or_default();
        found.extend(
            sentence.split("usertcp_").skip(1).filter_map(|rest| rest.split_once("()")).map(|(name, _)| name),
        );
    }
    found
}

/// Each function of the header with the comment before it.
fn functions(header: &str) -> Vec<(&str, &str)> {
    let comments = header.split("/**").skip(1).filter_map(|piece| piece.split_once("*/"));
    let declared = comments.filter_map(|(comment, code)| {
        let (before, _) = code.trim_start().split_once('(')?;
        let name = before.rsplit([' ', '*']).next()?.strip_prefix("usertcp_")?;
        (!before.contains(['#', ';', '{'])).then_some((name, comment))
    });
    declared.collect()
}

/// The errors that each function may return, as the header has them.
fn documented(header: &str) -> Errors<'_> {
    let shared = header.split_once("Beside what").and_then(|(_, rest)| rest.split_once("*/")).unwrap().0;
    let mut shared = errors(shared);
    shared.retain(|name| !NEVER.contains(name) && !SCARCE.contains(name));
    let comments: BTreeMap<_, _> = functions(header).into_iter().collect();
    let mut all = Errors::new();
    for name in comments.keys() {
        let (mut seen, mut left, mut found) = (BTreeSet::new(), vec![*name], shared.clone());
        while let Some(next) = left.pop() {
            if let Some(comment) = comments.get(next).filter(|_| seen.insert(next)) {
                found.extend(errors(comment).iter().filter(|name| !NEVER.contains(name)));
                left.extend(others(comment));
            }
        }
        all.insert(name, found);
    }
    all
}

/// The lines of a paragraph as one.
fn flat(text: &str) -> String {
    text.replace("\n * ", " ")
}

fn header() -> &'static str {
    static HEADER: OnceLock<String> = OnceLock::new();
    HEADER.get_or_init(|| flat(&fs::read_to_string(crate_dir().join("../include/usertcp.h")).unwrap()))
}

#[test]
fn the_header_is_read_as_it_is_meant() {
    let text = "/*\n * Errors\n *\n * -EAGAIN. Beside what each lists\n *   -EBADF  a\n *   -ECHILD b\n */\n\
        /** One.\n * -EPIPE: \"-E\" is none. Others as usertcp_b() and usertcp_c(). Not usertcp_d(). */\nint usertcp_a(int x);\n\
        /** A macro, -EPERM. */\n#define A(x) 1\n/** -E2BIG, -EINTR. Others as\n * usertcp_a(). */\nconst char *usertcp_b(\n int);\n\
        /** -EIO */\nssize_t usertcp_c(void);\n/** -EXDEV */\nint usertcp_d(void);\n";
    let text = flat(text);
    let all = documented(&text);
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    let both = ["E2BIG", "EBADF", "EINTR", "EIO", "EPIPE"];
    assert_eq!(all["a"].iter().copied().collect::<Vec<_>>(), both);
    assert_eq!(all["a"], all["b"]);
    assert_eq!(all["c"].iter().copied().collect::<Vec<_>>(), ["EBADF", "EIO"]);
}

#[test]
fn every_function_is_in_the_table_of_calls() {
    let table = fs::read_to_string(crate_dir().join("tests/fuzz/calls.h")).unwrap();
    let symbols = fs::read_to_string(crate_dir().join("abi/symbols.txt")).unwrap();
    let documented = documented(header());
    for symbol in symbols.lines() {
        let name = symbol.strip_prefix("usertcp_").unwrap();
        assert!(documented.contains_key(name), "{symbol}: its comment in the header is not found");
        assert!(
            TOGETHER.contains(&name) || table.contains(&format!("    {{\"{name}\", call_")),
            "{symbol} is not in the table at the end of tests/fuzz/calls.h"
        );
    }
}

fn corpus() -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(crate_dir().join("tests/fuzz/corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Runs the fuzzer with some threads for a while after the corpus. What it prints.
fn fuzz(threads: u32, seconds: &str, more: &[&str]) -> Option<String> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let there = || Command::new(&compiler).arg("--version").output().is_ok();
    let Some(program) = PROGRAM.get_or_init(|| there().then(build_fuzzer)) else {
        println!("skipped: {} is not installed", compiler.display());
        return None;
    };
    let name = format!("{threads}{}", more.concat());
    let (errors, kept) = (scratch(&format!("errors-{name}")), scratch(&format!("failed-{name}")));
    let lines = documented(header())
        .into_iter()
        .map(|(name, errors)| format!("{name} {}\n", errors.into_iter().collect::<Vec<_>>().join(" ")));
    fs::write(&errors, lines.collect::<String>()).unwrap();
    let mut command = Command::new(program);
    command.arg(errors).arg(&kept).args([&threads.to_string(), seconds]);
    command.arg(env::var("USERTCP_FUZZ_SEED").unwrap_or_else(|_| "1".to_owned()));
    let output = command.args(more).args(corpus()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}the sequence is {}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        kept.display()
    );
    Some(said)
}

fn seconds() -> String {
    env::var("USERTCP_FUZZ_SECONDS").unwrap_or_else(|_| "1".to_owned())
}

#[test]
fn one_thread() {
    if let Some(said) = fuzz(1, &seconds(), &[]) {
        println!("{}", said.lines().last().unwrap());
    }
}

#[test]
fn four_threads() {
    if let Some(said) = fuzz(4, &seconds(), &[]) {
        println!("{}", said.lines().last().unwrap());
    }
}

#[test]
fn the_corpus_reaches_every_function() {
    let Some(said) = fuzz(1, "0", &[]) else { return };
    let mut idle = Vec::new();
    for line in said.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [name, calls, successes] = words[..] else { continue };
        let wrong = name.starts_with('(') || WRONG.iter().any(|start| name.starts_with(start));
        if (calls == "0" && name != "(descriptor)") || (successes == "0" && !wrong) {
            idle.push(line);
        }
    }
    assert!(idle.is_empty(), "the corpus does not reach, or never with success: {idle:?}");
}

#[test]
fn the_same_bytes_are_the_same_calls() {
    let Some(once) = fuzz(1, "0", &["--print"]) else { return };
    assert!(once.lines().count() > 1000, "{once}");
    assert_eq!(Some(once), fuzz(1, "0", &["--print"]));
}
