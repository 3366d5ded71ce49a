//! The ledger of requirements: what `docs/requirements` demands, the quotes that answer it, and the rules between them.

use crate::source::{Source, Violation};
use std::collections::BTreeMap;

/// Where a quote says that a duty is obeyed.
const CODE: [&str; 4] = ["core/src/", "ffi/src/", "python/src/", "python/usertcp/"];

/// Kinds of file that quote: their comments begin with `//`.
const QUOTING: [&str; 3] = [".rs", ".pkt", ".c"];

/// Address of an RFC, before its number.
const ADDRESS: &str = "https://www.rfc-editor.org/rfc/rfc";

/// A line of a list.
#[derive(Debug)]
pub(crate) struct Duty {
    pub(crate) id: String,
    pub(crate) rfc: String,
    pub(crate) section: String,
    /// The RFC's words; passages that stand apart are joined by ` ... `.
    pub(crate) sentence: String,
    pub(crate) fate: Fate,
    path: String,
    at: usize,
}

/// What becomes of a duty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Quoted in code and in a test.
    Demanded,
    /// Not obeyed, and why.
    Declined(String),
    /// The same as another duty, of this id.
    See(String),
}

/// A quote of an RFC.
#[derive(Debug)]
struct Quote {
    path: String,
    at: usize,
    rfc: String,
    section: String,
    text: String,
    ids: Vec<String>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Code,
    Test,
    /// Neither obeys nor shows: a checker, a benchmark.
    Elsewhere,
}

/// All lists and all quotes.
pub(crate) struct Ledger<'a> {
    sources: &'a [Source],
    pub(crate) duties: Vec<Duty>,
    quotes: Vec<Quote>,
    found: Vec<Violation>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        let mut ledger = Self { sources, duties: Vec::new(), quotes: Vec::new(), found: Vec::new() };
        for source in sources {
            let list = source.path.strip_prefix("docs/requirements/rfc").and_then(|p| p.strip_suffix(".txt"));
            if let Some(rfc) = list {
                ledger.list(source, rfc);
            } else if QUOTING.iter().any(|kind| source.path.ends_with(kind)) {
                ledger.quotes_of(source);
            }
        }
        ledger
    }

    fn list(&mut self, source: &Source, rfc: &str) {
        let mut at = 0;
        for line in source.text.split_inclusive('\n') {
            let text = line.trim();
            if !text.is_empty() && !text.starts_with('#') {
                match duty(text, rfc) {
                    Ok((id, section, sentence, fate)) => {
                        let (rfc, path) = (rfc.to_owned(), source.path.clone());
                        self.duties.push(Duty { id, rfc, section, sentence, fate, path, at });
                    }
                    Err(why) => self.found.push(source.violation("list", at, why)),
                }
            }
            at += line.len();
        }
    }

    fn quotes_of(&mut self, source: &Source) {
        let mut at = 0;
        let mut open: Option<(Quote, bool)> = None;
        for line in source.text.split_inclusive('\n') {
            let text = line.trim();
            let start = at;
            at += line.len();
            if let Some(words) = text.strip_prefix("//# ") {
                match &mut open {
                    Some((quote, _)) => {
                        quote.text = format!("{} {}", quote.text, words.trim()).trim().to_owned()
                    }
                    None => {
                        self.found.push(source.violation("quote", start, "a quote without its `//= address`"))
                    }
                }
                continue;
            }
            if text == "//= type=test" {
                if let Some((_, test)) = &mut open {
                    *test = true;
                }
                continue;
            }
            self.close(source, open.take());
            if let Some(target) = text.strip_prefix("//= ") {
                let place = place(source, start);
                match address(target) {
                    Some((rfc, section)) => {
                        let (path, text, ids) = (source.path.clone(), String::new(), Vec::new());
                        open = Some((Quote { path, at: start, rfc, section, text, ids, place }, false));
                    }
                    None => {
                        let what =
                            format!("`{target}` is no `{ADDRESS}NNNN#section-N`, nor `type=test` behind one");
                        self.found.push(source.violation("quote", start, what));
                    }
                }
            }
        }
        self.close(source, open);
    }

    fn close(&mut self, source: &Source, open: Option<(Quote, bool)>) {
        let Some((mut quote, test)) = open else { return };
        let what = match (test, quote.place, quote.text.is_empty()) {
            (.., true) => Some("an address without its `//# quote`"),
            (false, Place::Test, _) => Some("a quote in a test without `//= type=test` behind its address"),
            (true, Place::Code | Place::Elsewhere, _) => Some("`//= type=test` outside of a test"),
            _ => None,
        };
        if let Some(what) = what {
            self.found.push(source.violation("quote", quote.at, what));
        }
        quote.ids = ids(&quote.text);
        self.quotes.push(quote);
    }

    /// The rules. Each duty is unique and either declined, or another, or quoted in code and in a test; each quote is true.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let mut found: Vec<Violation> = self
            .found
            .iter()
            .map(|v| Violation { path: v.path.clone(), what: v.what.clone(), ..*v })
            .collect();
        let mut known: BTreeMap<&str, &Duty> = BTreeMap::new();
        for duty in &self.duties {
            if known.insert(&duty.id, duty).is_some() {
                found.push(self.violation(&duty.path, duty.at, format!("{} is there twice", duty.id)));
            }
        }
        for duty in &self.duties {
            for what in self.unmet(duty, &known) {
                found.push(self.violation(&duty.path, duty.at, what));
            }
        }
        for quote in &self.quotes {
            if let Some(id) = self.unnamed(quote) {
                let what = format!("{id} is what these words say: end them with `({id})`");
                found.push(self.violation(&quote.path, quote.at, what));
            }
            for id in &quote.ids {
                if let Some(what) = untrue(quote, id, known.get(id.as_str()).copied()) {
                    found.push(self.violation(&quote.path, quote.at, what));
                }
            }
        }
        found
    }

    /// The id that a quote in the words of a list does not name.
    fn unnamed(&self, quote: &Quote) -> Option<&str> {
        let here = |duty: &&Duty| duty.rfc == quote.rfc && duty.section == quote.section;
        let words = bare(&quote.text);
        let says = |duty: &&Duty| words.len() > 1 && is_part(&words, &bare(&duty.sentence));
        let duty = self.duties.iter().filter(here).find(says).filter(|_| quote.ids.is_empty())?;
        Some(&duty.id)
    }

    fn violation(&self, path: &str, at: usize, what: String) -> Violation {
        match self.sources.iter().find(|source| source.path == path) {
            Some(source) => source.violation("ledger", at, what),
            None => Violation { rule: "ledger", path: path.to_owned(), line: 0, what },
        }
    }

    fn unmet(&self, duty: &Duty, known: &BTreeMap<&str, &Duty>) -> Vec<String> {
        let Duty { id, rfc, section, .. } = duty;
        match &duty.fate {
            Fate::Declined(_) => Vec::new(),
            Fate::See(other) => match known.get(other.as_str()).map(|duty| &duty.fate) {
                Some(Fate::See(_)) => vec![format!("{id} sees {other}, which sees another: name that")],
                Some(_) => Vec::new(),
                None => vec![format!("{id} sees {other}, which no list has")],
            },
            Fate::Demanded => [(Place::Code, "code", ""), (Place::Test, "a test", " and `//= type=test`")]
                .iter()
                .filter(|(place, ..)| self.places(id, *place).is_empty())
                .map(|(_, name, mark)| {
                    format!(
                        "{id} is not quoted in {name}: put `//= {ADDRESS}{rfc}#{}`{mark} and `//# ... ({id})` where it is met, or decline it with a reason",
                        anchor(section)
                    )
                })
                .collect(),
        }
    }

    /// Files that quote `id`.
    fn places(&self, id: &str, place: Place) -> Vec<&str> {
        let mut paths: Vec<&str> = self
            .quotes
            .iter()
            .filter(|quote| quote.place == place && quote.ids.iter().any(|quoted| quoted == id))
            .map(|quote| quote.path.as_str())
            .collect();
        paths.dedup();
        paths
    }

    /// `docs/CONFORMANCE.md`. It names files and no lines, and counts nothing over all lists, so that it changes where a duty does.
    pub(crate) fn conformance(&self) -> String {
        let mut lists: BTreeMap<u32, Vec<&Duty>> = BTreeMap::new();
        for duty in &self.duties {
            lists.entry(duty.rfc.parse().unwrap_or(0)).or_default().push(duty);
        }
        let mut text = String::from(HEAD);
        for (rfc, duties) in &lists {
            let met = duties.iter().filter(|duty| duty.fate == Fate::Demanded).count();
            let same = duties.iter().filter(|duty| self.is_same(duty)).count();
            text +=
                &format!("| [RFC {rfc}](#rfc-{rfc}) | {met} | {same} | {} |\n", duties.len() - met - same);
        }
        for (rfc, duties) in &lists {
            text +=
                &format!("\n## RFC {rfc}\n\n| id | section | duty | code | test |\n|---|---|---|---|---|\n");
            for duty in duties {
                text += &self.row(duty);
            }
        }
        text
    }

    /// Whether a duty is met as another one.
    fn is_same(&self, duty: &Duty) -> bool {
        let Fate::See(other) = &duty.fate else { return false };
        self.duties.iter().any(|duty| duty.id == *other && !matches!(duty.fate, Fate::Declined(_)))
    }

    fn row(&self, duty: &Duty) -> String {
        let Duty { id, rfc, section, .. } = duty;
        let files = |place| self.places(id, place).join("<br>");
        let (code, test) = match &duty.fate {
            Fate::Demanded => (files(Place::Code), files(Place::Test)),
            Fate::See(other) if self.is_same(duty) => (format!("see {other}"), String::new()),
            Fate::See(other) => (format!("declined: see {other}"), String::new()),
            Fate::Declined(reason) => (format!("declined: {}", cell(reason)), String::new()),
        };
        let sentence = cell(&duty.sentence);
        format!("| {id} | [{section}]({ADDRESS}{rfc}#{}) | {sentence} | {code} | {test} |\n", anchor(section))
    }
}

/// What `docs/CONFORMANCE.md` begins with.
const HEAD: &str = "# Conformance

Made from `docs/requirements` and from the quotes in the sources by `BLESS=1 cargo test -p usertcp-core --test tidy conformance`.

Each line of a list is a duty in the words of its RFC. It is met: quoted in the code that obeys and in a test that would fail otherwise; or it
is the same as another duty; or it is declined, and the reason is there.

| RFC | met | same as another | declined |
|---|---|---|---|
";

/// `text` as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}

/// Id, section, sentence and fate of a line.
fn duty(line: &str, rfc: &str) -> Result<(String, String, String, Fate), String> {
    let (line, fate) = if let Some((line, reason)) = line.rsplit_once(" -- declined:") {
        match reason.trim() {
            "" => return Err("declined without a reason".to_owned()),
            reason => (line, Fate::Declined(reason.to_owned())),
        }
    } else if let Some((line, other)) = line.rsplit_once(" -- see ") {
        (line, Fate::See(other.trim().to_owned()))
    } else {
        (line, Fate::Demanded)
    };
    let form =
        || "a line is `<id> §<section> <sentence>`, then ` -- declined: <reason>` or ` -- see <id>`, if any";
    let (id, rest) = line.trim().split_once(' ').ok_or_else(form)?;
    let (section, sentence) =
        rest.trim().strip_prefix('§').and_then(|rest| rest.split_once(' ')).ok_or_else(form)?;
    let sentence = fold(sentence);
    if sentence.is_empty() {
        return Err(form().to_owned());
    }
    if id_at(id) != Some(id) {
        return Err(format!("`{id}` is no id"));
    }
    if let Some((number, part)) = id.split_once(':')
        && (number != rfc || part.rsplit_once('-').map(|(section, _)| section) != Some(section))
    {
        return Err(format!("{id} is not of section {section} of RFC {rfc}"));
    }
    Ok((id.to_owned(), section.to_owned(), sentence, fate))
}

/// Where code of the product, a test, or something else stands.
fn place(source: &Source, at: usize) -> Place {
    if source.is_test(at) {
        Place::Test
    } else if CODE.iter().any(|root| source.path.starts_with(root)) {
        Place::Code
    } else {
        Place::Elsewhere
    }
}

/// RFC and section of an address.
fn address(target: &str) -> Option<(String, String)> {
    let (rfc, anchor) = target.trim().strip_prefix(ADDRESS)?.split_once('#')?;
    let section =
        ["section-", "appendix-"].iter().find_map(|kind| anchor.strip_prefix(kind)).unwrap_or(anchor);
    rfc.bytes().all(|b| b.is_ascii_digit()).then(|| (rfc.to_owned(), section.to_owned()))
}

/// The fragment of a section's address. RFCs older than sections have pages: `page-14`.
fn anchor(section: &str) -> String {
    match section.chars().next() {
        Some(_) if section.starts_with("page-") => section.to_owned(),
        Some(first) if first.is_ascii_alphabetic() => format!("appendix-{section}"),
        _ => format!("section-{section}"),
    }
}

/// Why a quote of `id` is not true.
fn untrue(quote: &Quote, id: &str, duty: Option<&Duty>) -> Option<String> {
    let Some(duty) = duty else {
        return Some(format!("{id}: no list in docs/requirements has this id"));
    };
    if duty.rfc != quote.rfc || duty.section != quote.section {
        return Some(format!(
            "{id} is of section {} of RFC {}, and the address says {} of {}",
            duty.section, duty.rfc, quote.section, quote.rfc
        ));
    }
    if let Fate::Declined(reason) = &duty.fate {
        return Some(format!("{id} is declined ({reason}), and quoted as obeyed: one of the two is to go"));
    }
    let sentence = bare(&duty.sentence);
    let whole = bare(&quote.text);
    (!is_part(&whole, &sentence) && !is_part(&sentence, &whole))
        .then(|| format!("{id}: the quote is not in the words of the list: {}", duty.sentence))
}

/// Whether the passages of `text` all stand in `whole`.
fn is_part(text: &str, whole: &str) -> bool {
    text.split("...").map(trim).all(|part| whole.contains(part))
}

/// The ids that stand in brackets in `text`.
fn ids(text: &str) -> Vec<String> {
    text.match_indices('(').filter_map(|(at, _)| id_at(&text[at + 1..])).map(str::to_owned).collect()
}

/// The id that `text` begins with: `MUST-40`, `SM-6`, `7323:2.2-1`.
fn id_at(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, ':' | '.' | '-'))
        .unwrap_or(text.len());
    let (name, number) = text[..end].rsplit_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let named = ["MUST", "SHLD", "MAY", "REC", "SM"].contains(&name)
        || name.split_once(':').is_some_and(|(rfc, section)| digits(rfc) && !section.is_empty());
    (named && digits(number)).then_some(&text[..end])
}

/// `text` without the brackets that begin with an id, white space folded.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('(') {
        let (before, behind) = rest.split_at(open);
        if id_at(&behind[1..]).is_none() {
            out += before;
            out.push('(');
            rest = &behind[1..];
            continue;
        }
        let end = behind.find(')').map_or(behind.len(), |end| end + 1);
        let square = before.ends_with('[') && behind[end..].starts_with(']');
        out += if square { &before[..before.len() - 1] } else { before };
        rest = &behind[end + usize::from(square)..];
    }
    out += rest;
    let text = fold(&out);
    let text = [".", ",", ";", ":"].iter().fold(text, |text, mark| text.replace(&format!(" {mark}"), mark));
    // The dots that stand for words left out are no punctuation.
    text.replace(" ...", "...").trim_end_matches("...").to_owned()
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ".,;:".contains(c))
}

fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
