//! `include/usertcp.h` is what the sources say. `BLESS=1 cargo test -p usertcp-ffi --test header` writes it anew.

use std::fs;
use std::path::{Path, PathBuf};

/// The chapters of the header, in the order of a manual.
const CHAPTERS: [&str; 10] =
    ["version", "error", "address", "stack", "counters", "socket", "poll", "options", "info", "sandbox"];

#[test]
fn the_header_is_what_the_sources_say() {
    let committed = crate_dir().join("../include/usertcp.h");
    let generated = header();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&committed, &generated).unwrap();
    }
    let found = fs::read_to_string(&committed).unwrap_or_default();
    let differs = found.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        found == generated,
        "include/usertcp.h is out of date from line {}: run BLESS=1 cargo test -p usertcp-ffi --test header",
        differs.map_or(found.lines().count().min(generated.lines().count()), |line| line) + 1
    );
}

#[test]
fn every_chapter_is_in_the_header() {
    let mut chapters: Vec<_> =
        fs::read_dir(crate_dir().join("src")).unwrap().map(|entry| entry.unwrap().path()).collect();
    chapters.retain(|path| fs::read_to_string(path).unwrap().starts_with("//! Chapter: "));
    let mut names: Vec<_> = chapters.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    let mut listed = CHAPTERS;
    listed.sort_unstable();
    assert_eq!(names, listed);
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> String {
    let part = |name: &str| fs::read_to_string(crate_dir().join("header").join(name)).unwrap();
    let chapters: String =
        CHAPTERS.iter().map(|name| chapter(&crate_dir().join(format!("src/{name}.rs")))).collect();
    part("top.h") + &chapters + "\n" + &part("bottom.h")
}

/// A chapter: the source's own introduction, then its constants, types and functions.
fn chapter(source: &PathBuf) -> String {
    let text = fs::read_to_string(source).unwrap();
    let intro: Vec<_> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let title = intro[0].strip_prefix(" Chapter: ").unwrap().trim_end_matches('.');
    let rule = "-".repeat(120);
    let mut out = format!("\n/* {rule}\n * {title}\n");
    for line in &intro[1..] {
        out += format!(" *{line}").trim_end();
        out += "\n";
    }
    out += &format!(" * {} */\n", &rule[3..]);
    let config = cbindgen::Config::from_file(crate_dir().join("cbindgen.toml")).unwrap();
    let mut body = Vec::new();
    cbindgen::Builder::new().with_src(source).with_config(config).generate().unwrap().write(&mut body);
    let body = String::from_utf8(body).unwrap();
    out + "\n" + &tidy(&body)
}

/// One-line comments on one line, long prototypes on several, nothing at line ends.
fn tidy(body: &str) -> String {
    let lines: Vec<_> = body.trim().lines().map(str::trim_end).collect();
    let mut out = String::new();
    let mut rest = &lines[..];
    while let [line, after @ ..] = rest {
        rest = after;
        let indent = &line[..line.len() - line.trim_start().len()];
        match after {
            [text, end, ..] if line.trim() == "/**" && end.trim() == "*/" => {
                out += &format!("{indent}/** {} */\n", text.trim().trim_start_matches("* "));
                rest = &after[2..];
            }
            _ if line.len() > 110 && line.ends_with(");") => out += &wrap(line),
            _ => out += &format!("{line}\n"),
        }
    }
    out
}

/// A prototype with its parameters on lines of their own.
fn wrap(prototype: &str) -> String {
    let (head, parameters) = prototype.split_at(prototype.find('(').unwrap() + 1);
    let separator = format!(",\n{}", " ".repeat(head.len()));
    format!("{head}{}\n", parameters.split(", ").collect::<Vec<_>>().join(&separator))
}
