//! A source file as the rules see it: its text, its code without comments and literals, and which of its lines are tests.

use std::ops::Range;

/// One file of the repository.
pub(crate) struct Source {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// For Rust: the same length, with comments and the insides of literals blanked. Elsewhere the text.
    pub(crate) code: String,
    tests: Vec<Range<usize>>,
}

/// Something that a rule forbids.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// A path in the code, such as `crate::time::Instant`, at its first byte.
#[derive(Debug)]
pub(crate) struct PathUse {
    pub(crate) at: usize,
    pub(crate) segments: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let rust = path.ends_with(".rs");
        let code = if rust { blank(text) } else { text.to_owned() };
        let tests = if rust { test_items(&code) } else { Vec::new() };
        Self { path: path.to_owned(), text: text.to_owned(), code, tests }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is tests.
    pub(crate) fn is_test_file(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or("");
        self.path.contains("/tests/")
            || name == "tests.rs"
            || name.starts_with("test_")
            || name.ends_with("_tests.rs")
    }

    /// Whether byte `at` belongs to a test.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.is_test_file() || self.tests.iter().any(|item| item.contains(&at))
    }

    pub(crate) fn violation(&self, rule: &'static str, at: usize, what: impl Into<String>) -> Violation {
        let line = self.text[..at.min(self.text.len())].matches('\n').count() + 1;
        Violation { rule, path: self.path.clone(), line, what: what.into() }
    }

    /// Where `word` stands in the code as a word of its own.
    pub(crate) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }

    /// Every path in the code, groups of `use` written out.
    pub(crate) fn paths(&self) -> Vec<PathUse> {
        let bytes = self.code.as_bytes();
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if !starts_word(bytes, at) || at > 1 && bytes[at - 1] == b':' {
                at += 1;
                continue;
            }
            let end = word_end(bytes, at);
            if self.code[end..].trim_start().starts_with("::") {
                at = tree(&self.code, at, &[], &mut found);
            } else {
                at = end;
            }
        }
        found
    }
}

/// Where `word` stands in `text` as a word of its own.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = *at == 0 || !is_word(bytes[at - 1]);
        let end = at + word.len();
        before && (end == bytes.len() || !is_word(bytes[end]))
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    is_word(bytes[at]) && !bytes[at].is_ascii_digit() && (at == 0 || !is_word(bytes[at - 1]))
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|b| is_word(**b)).count()
}

fn skip_space(code: &str, at: usize) -> usize {
    at + code[at..].len() - code[at..].trim_start().len()
}

/// Reads one path, or tree of them, that starts at `at` behind `prefix`; returns the byte behind it.
fn tree(code: &str, at: usize, prefix: &[String], found: &mut Vec<PathUse>) -> usize {
    let bytes = code.as_bytes();
    let start = at;
    let mut segments = prefix.to_vec();
    let mut at = at;
    loop {
        match bytes.get(at) {
            Some(b'{') => return group(code, at + 1, &segments, found),
            Some(b'*') => {
                segments.push("*".to_owned());
                at += 1;
                break;
            }
            Some(b) if is_word(*b) => {
                let end = word_end(bytes, at);
                segments.push(code[at..end].to_owned());
                at = end;
            }
            _ => break,
        }
        let next = skip_space(code, at);
        if !code[next..].starts_with("::") {
            break;
        }
        at = skip_space(code, next + 2);
    }
    if segments.len() > 1 {
        found.push(PathUse { at: start, segments });
    }
    at
}

fn group(code: &str, at: usize, prefix: &[String], found: &mut Vec<PathUse>) -> usize {
    let mut at = at;
    loop {
        at = skip_space(code, at);
        match code.as_bytes().get(at) {
            None => return at,
            Some(b'}') => return at + 1,
            Some(b) if is_word(*b) || *b == b'{' || *b == b'*' => at = tree(code, at, prefix, found),
            Some(_) => at += code[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
}

/// Items behind `#[cfg(test)]`, or another condition that names `test`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    code.match_indices("#[cfg(")
        .filter_map(|(at, _)| {
            let end = at + code[at..].find(']')?;
            let condition = &code[at..end];
            (words(condition, "test").next().is_some() && !condition.contains("not(test"))
                .then(|| at..item_end(code, end + 1))
        })
        .collect()
}

/// The byte behind the item that starts at `at`.
pub(crate) fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code.as_bytes()[at..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + offset + 1;
                }
            }
            b';' if depth == 0 => return at + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// `text` with comments and the insides of literals turned into blanks; line breaks stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let (inside, end) = if rest.starts_with("//") {
            (at..at + rest.find('\n').unwrap_or(rest.len()), at + rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            let end = comment_end(bytes, at);
            (at..end, end)
        } else if let Some((inside, end)) = literal(text, at) {
            (inside, end)
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        out[inside].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0usize;
    let mut at = at;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => depth += 1,
            (b'*', Some(b'/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The inside of the literal that starts at `at`, and the byte behind it.
fn literal(text: &str, at: usize) -> Option<(Range<usize>, usize)> {
    let bytes = text.as_bytes();
    match bytes[at] {
        b'"' => {
            let inside = quoted(bytes, at + 1, b'"');
            Some((at + 1..inside, inside + 1))
        }
        b'\'' => {
            let character = text[at + 1..].chars().next()?;
            let behind = at + 1 + character.len_utf8();
            if character == '\\' {
                let inside = quoted(bytes, at + 1, b'\'');
                return Some((at + 1..inside, inside + 1));
            }
            (bytes.get(behind) == Some(&b'\'')).then_some((at + 1..behind, behind + 1))
        }
        b'r' if at == 0 || !is_word(bytes[at - 1]) || matches!(bytes[at - 1], b'b' | b'c') => {
            let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
            let open = at + 1 + hashes;
            if bytes.get(open) != Some(&b'"') {
                return None;
            }
            let close = format!("\"{}", "#".repeat(hashes));
            let inside = open + 1 + text[open + 1..].find(&close)?;
            Some((open + 1..inside, inside + close.len()))
        }
        _ => None,
    }
}

/// Position of the quote that closes a literal whose inside starts at `at`.
fn quoted(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut at = at;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}
