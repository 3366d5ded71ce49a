//! A shell line cut into pipelines, commands and words.

/// Commands with `|` between them.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// The commands.
    pub(super) commands: Vec<Simple>,
    /// All of it, as written.
    pub(super) text: String,
}

/// One command.
#[derive(Debug, Default)]
pub(super) struct Simple {
    /// Its name and its arguments, without quotes.
    pub(super) words: Vec<String>,
    /// The file that its output goes to.
    pub(super) output: Option<String>,
}

impl Simple {
    /// Its name without the folders in front of it.
    pub(super) fn name(&self) -> &str {
        let word = self.words.first().map_or("", String::as_str);
        word.rsplit('/').next().unwrap_or(word)
    }
}

/// Words that begin what is more than commands in a row.
const CONTROL: [&str; 14] =
    ["if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "[", "!"];

/// What is between two words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// `;`, `&&`, `&`, the end of a line.
    End,
    /// `||`: what follows happens only when something failed.
    Otherwise,
    /// `|`.
    Pipe,
    /// `>`, `>>`.
    Output,
    /// `2>`, or whichever number other than 1.
    Errors,
    /// `<`.
    Input,
}

enum Piece {
    Word(String),
    Mark(Mark),
}

/// The pipelines of `text`, those that run only when another failed left out; none if it is more than that.
pub(super) fn pipelines(text: &str) -> Option<Vec<Pipeline>> {
    let mut pipelines = Vec::new();
    let mut commands: Vec<Simple> = Vec::new();
    let mut command = Simple::default();
    let (mut start, mut skipped) = (0, false);
    let mut pieces = pieces(text)?.into_iter().peekable();
    while let Some((piece, at)) = pieces.next() {
        let mark = match piece {
            Piece::Word(word) => {
                if command.words.is_empty() && CONTROL.contains(&word.as_str()) {
                    return None;
                }
                command.words.push(word);
                continue;
            }
            Piece::Mark(mark) => mark,
        };
        match mark {
            Mark::Output | Mark::Errors | Mark::Input => {
                let Some((Piece::Word(path), _)) = pieces.next() else { return None };
                // Errors may go where they want.
                if mark == Mark::Output && !path.starts_with('&') {
                    command.output = Some(path);
                }
            }
            Mark::Pipe => commands.push(std::mem::take(&mut command)),
            Mark::End | Mark::Otherwise => {
                if !command.words.is_empty() {
                    commands.push(std::mem::take(&mut command));
                }
                let text = text
                    .get(start..at)
                    .unwrap_or("")
                    .trim()
                    .trim_start_matches(['&', ';', '|'])
                    .trim()
                    .to_owned();
                let commands = std::mem::take(&mut commands);
                if !commands.is_empty() && !skipped {
                    pipelines.push(Pipeline { commands, text });
                }
                skipped = mark == Mark::Otherwise;
                start = at + 1;
            }
        }
    }
    Some(pipelines)
}

/// Words and marks and where each begins; none if a quote or a parenthesis is open.
fn pieces(text: &str) -> Option<Vec<(Piece, usize)>> {
    let mut pieces = Vec::new();
    let mut word: Option<(String, usize)> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, '\n')) | None => {}
                Some((_, c)) => add(&mut word, at, c),
            },
            '\'' | '"' => {
                word.get_or_insert_with(|| (String::new(), at));
                loop {
                    let (_, inside) = chars.next()?;
                    match inside {
                        inside if inside == c => break,
                        '\\' if c == '"' => match chars.next()?.1 {
                            '\n' => {}
                            escaped => add(&mut word, at, escaped),
                        },
                        inside => add(&mut word, at, inside),
                    }
                }
            }
            '$' if chars.peek().is_some_and(|(_, next)| *next == '(') => return None,
            '(' | ')' | '`' => return None,
            '#' if word.is_none() => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            c if c.is_whitespace() || matches!(c, ';' | '&' | '|' | '>' | '<') => {
                let behind_mark =
                    matches!(pieces.last(), Some((Piece::Mark(Mark::Output | Mark::Errors), _)));
                if c == '&' && behind_mark && word.is_none() {
                    add(&mut word, at, '&');
                    continue;
                }
                // A number right before `>` says what goes there.
                let number = word.take_if(|(word, _)| c == '>' && word.bytes().all(|b| b.is_ascii_digit()));
                if let Some((word, start)) = word.take() {
                    pieces.push((Piece::Word(word), start));
                }
                let twice = matches!(c, '&' | '|' | '>') && chars.next_if(|(_, next)| *next == c).is_some();
                let mark = match c {
                    '\n' | ';' | '&' => Mark::End,
                    '|' if twice => Mark::Otherwise,
                    '|' => Mark::Pipe,
                    '>' if number.is_some_and(|(number, _)| number != "1") => Mark::Errors,
                    '>' => Mark::Output,
                    '<' => Mark::Input,
                    _ => continue,
                };
                pieces.push((Piece::Mark(mark), at));
            }
            c => add(&mut word, at, c),
        }
    }
    if let Some((word, start)) = word.take() {
        pieces.push((Piece::Word(word), start));
    }
    pieces.push((Piece::Mark(Mark::End), text.len()));
    Some(pieces)
}

/// A character of a word, which begins with it at `at` if there is none.
fn add(word: &mut Option<(String, usize)>, at: usize, c: char) {
    word.get_or_insert_with(|| (String::new(), at)).0.push(c);
}
