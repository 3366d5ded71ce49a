//! `include/usertcp.h` is what the sources say. `BLESS=1 cargo test -p usertcp-ffi --test header` writes it
//! anew.

use std::fs;
use std::path::{Path, PathBuf};

/// The chapters of the header, in the order of a manual.
const CHAPTERS: [&str; 17] = [
    "version",
    "error",
    "address",
    "stack",
    "counters",
    "socket",
    "intercept",
    "message",
    "names",
    "poll",
    "poll_set",
    "options",
    "info",
    "snapshot",
    "trace",
    "end",
    "sandbox",
];

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
    chapters.retain(|path| path.is_file() && fs::read_to_string(path).unwrap().starts_with("//! Chapter: "));
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
    let mut intro = text.lines().map_while(|line| line.strip_prefix("//!"));
    let title = intro.next().unwrap().strip_prefix(" Chapter: ").unwrap().trim_end_matches('.');
    let intro: Vec<_> = intro.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let rule = "-".repeat(WIDTH - 4);
    let mut out = format!("\n/* {rule}\n * {title}\n");
    out += &comment(&intro, "");
    out += &format!(" * {} */\n", &rule[3..]);
    let config = cbindgen::Config::from_file(crate_dir().join("cbindgen.toml")).unwrap();
    let mut body = Vec::new();
    cbindgen::Builder::new().with_src(source).with_config(config).generate().unwrap().write(&mut body);
    let body = String::from_utf8(body).unwrap();
    out + "\n" + &tidy(&body)
}

/// Columns of the header.
const WIDTH: usize = 110;

/// Comments filled, those that fit on one line; long prototypes on several; nothing at line ends.
fn tidy(body: &str) -> String {
    let mut lines = body.trim().lines().map(str::trim_end);
    let mut out = String::new();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim() == "/**" {
            let inside = lines.by_ref().take_while(|line| line.trim() != "*/").map(str::trim_start);
            let text: Vec<_> = inside.map(|line| line.trim_start_matches('*').trim_start()).collect();
            let filled = comment(&text, indent);
            let short = filled.trim_end().trim_start_matches([' ', '*']);
            out += &match filled.lines().count() {
                1 if indent.len() + short.len() + 7 <= WIDTH => format!("{indent}/** {short} */\n"),
                _ => format!("{indent}/**\n{filled}{indent} */\n"),
            };
        } else if line.len() > WIDTH && line.ends_with(");") {
            out += &wrap(line);
        } else {
            out += &format!("{line}\n");
        }
    }
    out
}

/// The inside of a block comment: paragraphs filled up to the width; lines that are indented stay as they
/// are.
fn comment(text: &[&str], indent: &str) -> String {
    let mut out = String::new();
    let mut filled = String::new();
    for line in text {
        if line.is_empty() || line.starts_with(' ') {
            out += &flush(&mut filled);
            out += format!("{indent} * {line}").trim_end();
            out += "\n";
            continue;
        }
        for word in line.split(' ') {
            if filled.len() + 1 + word.len() > WIDTH {
                out += &flush(&mut filled);
            }
            if filled.is_empty() {
                filled = format!("{indent} *");
            }
            filled += " ";
            filled += word;
        }
    }
    out + &flush(&mut filled)
}

/// A filled line, if there is one.
fn flush(filled: &mut String) -> String {
    match std::mem::take(filled) {
        empty if empty.is_empty() => empty,
        line => line + "\n",
    }
}

/// A prototype with its parameters on lines of their own.
fn wrap(prototype: &str) -> String {
    let (head, parameters) = prototype.split_at(prototype.find('(').unwrap() + 1);
    let separator = format!(",\n{}", " ".repeat(head.len()));
    format!("{head}{}\n", parameters.split(", ").collect::<Vec<_>>().join(&separator))
}
