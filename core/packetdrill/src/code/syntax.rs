//! What a piece of code says: statements and expressions.

use super::CodeError;
use super::token::{Line, Token, lines};

/// Deepest nesting of parentheses and blocks.
pub(super) const DEPTH: u32 = 48;

/// A statement and where it stands.
#[derive(Debug)]
pub(super) struct Statement {
    /// Its line, from 1.
    pub(super) line: u32,
    /// What it is.
    pub(super) kind: StatementKind,
}

/// What a statement is.
#[derive(Debug)]
pub(super) enum StatementKind {
    /// `assert condition, message`.
    Assert { condition: Expr, text: String, message: Option<Expr> },
    /// `name = value`; `name += value` is one with `name` in it.
    Assign(String, Expr),
    /// `print(...)`, and any expression that stands alone.
    Print(Vec<Expr>),
    /// `pass`, `import ...`.
    Pass,
    /// `if`, every `elif`, and `else`.
    If(Vec<(Expr, Vec<Statement>)>, Vec<Statement>),
    /// `for name in list`.
    For(String, Expr, Vec<Statement>),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// A number, a string.
    Literal(Token),
    /// A name.
    Name(String),
    /// `[a, b]`, `(a, b)`.
    List(Vec<Self>),
    /// `-a`, `+a`, `~a`, `not a`.
    Unary(&'static str, Box<Self>),
    /// `a + b` ..., `a and b`, `a or b`.
    Binary(&'static str, Box<Self>, Box<Self>),
    /// `a < b <= c`.
    Compare(Box<Self>, Vec<(&'static str, Self)>),
    /// `a if condition else b`.
    Choice(Box<Self>, Box<Self>, Box<Self>),
    /// `name(arguments)`.
    Call(String, Vec<Self>),
    /// `a[b]`.
    Index(Box<Self>, Box<Self>),
    /// `a.name(arguments)`: only read, so that a message may have it.
    Method(Box<Self>, String, Vec<Self>),
}

impl Expr {
    /// The names in it, in order.
    pub(super) fn names(&self, names: &mut Vec<String>) {
        match self {
            Self::Literal(_) => {}
            Self::Name(name) => names.push(name.clone()),
            Self::List(list) | Self::Call(_, list) => list.iter().for_each(|item| item.names(names)),
            Self::Unary(_, a) => a.names(names),
            Self::Binary(_, a, b) | Self::Index(a, b) => [a, b].into_iter().for_each(|x| x.names(names)),
            Self::Compare(a, rest) => {
                a.names(names);
                rest.iter().for_each(|(_, b)| b.names(names));
            }
            Self::Choice(a, b, c) => [a, b, c].into_iter().for_each(|x| x.names(names)),
            Self::Method(a, _, list) => {
                a.names(names);
                list.iter().for_each(|item| item.names(names));
            }
        }
    }
}

/// The statements of `text`.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, CodeError> {
    let lines = lines(text)?;
    let mut at = 0;
    let block = block(&lines, &mut at, 0)?;
    match lines.get(at) {
        Some(line) => Err(unsupported(line.number, "a line that stands further to the left than its block")),
        None => Ok(block),
    }
}

pub(super) fn unsupported(line: u32, what: impl Into<String>) -> CodeError {
    CodeError::Unsupported { line, what: what.into() }
}

/// The lines from `at` on that stand as far in as the first of them.
fn block(lines: &[Line<'_>], at: &mut usize, depth: u32) -> Result<Vec<Statement>, CodeError> {
    let mut statements = Vec::new();
    let Some(first) = lines.get(*at) else { return Ok(statements) };
    if depth > DEPTH {
        return Err(unsupported(first.number, "blocks too deep"));
    }
    // What stands behind `%{` has nothing in front of it, whatever the lines below have.
    let opening = *at == 0 && depth == 0;
    let mut indent = first.indent;
    while let Some(line) = lines.get(*at) {
        if opening && *at == 1 && first.number < line.number && !ends_in_colon(first) {
            indent = line.indent;
        }
        if *at > 0 && line.indent < indent {
            break;
        }
        if *at > 0 && line.indent > indent {
            return Err(unsupported(line.number, "a line that stands further to the right than its block"));
        }
        *at += 1;
        let mut parser = Parser { line, at: 0, depth: 0 };
        match parser.keyword() {
            "if" => statements.push(branches(lines, at, parser, depth)?),
            "for" => {
                parser.at += 1;
                let name = parser.name()?;
                parser.need_name("in")?;
                let list = parser.expression()?;
                parser.need(":")?;
                let kind = StatementKind::For(name, list, suite(lines, at, parser, depth)?);
                statements.push(Statement { line: line.number, kind });
            }
            _ => parser.simple(&mut statements)?,
        }
    }
    Ok(statements)
}

fn ends_in_colon(line: &Line<'_>) -> bool {
    line.tokens.last().is_some_and(|(token, ..)| *token == Token::Mark(":"))
}

/// `if` with its `elif` and `else`.
fn branches(
    lines: &[Line<'_>],
    at: &mut usize,
    first: Parser<'_>,
    depth: u32,
) -> Result<Statement, CodeError> {
    let (number, indent) = (first.line.number, first.line.indent);
    let (mut branches, mut otherwise) = (Vec::new(), Vec::new());
    let mut parser = first;
    loop {
        let last = parser.keyword() == "else";
        parser.at += 1;
        let condition = if last { None } else { Some(parser.expression()?) };
        parser.need(":")?;
        let block = suite(lines, at, parser, depth)?;
        match condition {
            Some(condition) => branches.push((condition, block)),
            None => otherwise = block,
        }
        let next = lines.get(*at).filter(|line| !last && line.indent == indent);
        match next.map(|line| Parser { line, at: 0, depth: 0 }) {
            Some(next) if matches!(next.keyword(), "elif" | "else") => {
                *at += 1;
                parser = next;
            }
            _ => return Ok(Statement { line: number, kind: StatementKind::If(branches, otherwise) }),
        }
    }
}

/// What a colon begins: the rest of its line, or the lines that stand further in.
fn suite(
    lines: &[Line<'_>],
    at: &mut usize,
    mut parser: Parser<'_>,
    depth: u32,
) -> Result<Vec<Statement>, CodeError> {
    if parser.peek().is_some() {
        let mut statements = Vec::new();
        parser.simple(&mut statements)?;
        return Ok(statements);
    }
    match lines.get(*at) {
        Some(next) if next.indent > parser.line.indent => block(lines, at, depth + 1),
        _ => Err(unsupported(parser.line.number, "nothing behind ':'")),
    }
}

/// A place in a line.
pub(super) struct Parser<'a> {
    pub(super) line: &'a Line<'a>,
    pub(super) at: usize,
    pub(super) depth: u32,
}

impl Parser<'_> {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.line.tokens.get(self.at).map(|(token, ..)| token)
    }

    /// The name here, or nothing.
    pub(super) fn keyword(&self) -> &str {
        match self.peek() {
            Some(Token::Name(name)) => name,
            _ => "",
        }
    }

    pub(super) fn eat(&mut self, mark: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Mark(here)) if *here == mark);
        self.at += usize::from(there);
        there
    }

    pub(super) fn eat_name(&mut self, name: &str) -> bool {
        let there = self.keyword() == name;
        self.at += usize::from(there);
        there
    }

    pub(super) fn error(&self, wanted: &str) -> CodeError {
        let found = match self.line.tokens.get(self.at) {
            Some((_, from, to)) => format!("'{}'", self.line.text.get(*from..*to).unwrap_or("")),
            None => "the end of the line".into(),
        };
        unsupported(self.line.number, format!("expected {wanted}, found {found}"))
    }

    pub(super) fn need(&mut self, mark: &str) -> Result<(), CodeError> {
        if self.eat(mark) { Ok(()) } else { Err(self.error(&format!("'{mark}'"))) }
    }

    pub(super) fn need_name(&mut self, name: &str) -> Result<(), CodeError> {
        if self.eat_name(name) { Ok(()) } else { Err(self.error(&format!("'{name}'"))) }
    }

    pub(super) fn name(&mut self) -> Result<String, CodeError> {
        let name = self.keyword().to_owned();
        if name.is_empty() {
            return Err(self.error("a name"));
        }
        self.at += 1;
        Ok(name)
    }

    /// Statements of one line, with `;` between them.
    fn simple(&mut self, statements: &mut Vec<Statement>) -> Result<(), CodeError> {
        loop {
            if self.peek().is_none() {
                return Ok(());
            }
            let kind = self.statement()?;
            statements.push(Statement { line: self.line.number, kind });
            if self.peek().is_some() {
                self.need(";")?;
            }
        }
    }

    fn statement(&mut self) -> Result<StatementKind, CodeError> {
        match self.keyword() {
            "assert" => {
                self.at += 1;
                let from = self.at;
                let condition = self.expression()?;
                let text = self.text(from);
                let message = if self.eat(",") { Some(self.expression()?) } else { None };
                return Ok(StatementKind::Assert { condition, text, message });
            }
            "pass" => {
                self.at += 1;
                return Ok(StatementKind::Pass);
            }
            "import" | "from" => {
                self.at = self.line.tokens.len();
                return Ok(StatementKind::Pass);
            }
            // As Python 2 has it; with parentheses it is a call.
            "print" => {
                self.at += 1;
                let mut values = Vec::new();
                while self.peek().is_some_and(|token| *token != Token::Mark(";")) {
                    values.push(self.expression()?);
                    self.eat(",");
                }
                return Ok(StatementKind::Print(values));
            }
            "def" | "class" | "while" | "try" | "with" | "lambda" | "return" | "global" | "raise" | "del" => {
                return Err(self.error("what scripts use of Python"));
            }
            _ => {}
        }
        let value = self.expression()?;
        let operator = match self.peek() {
            Some(Token::Mark(mark)) => *mark,
            _ => "",
        };
        let Expr::Name(name) = &value else { return Ok(StatementKind::Print(vec![value])) };
        let name = name.clone();
        if operator == "=" {
            self.at += 1;
            return Ok(StatementKind::Assign(name, self.expression()?));
        }
        let Some(operator) = operator.strip_suffix('=').filter(|o| !o.is_empty()) else {
            return Ok(StatementKind::Print(vec![value]));
        };
        self.at += 1;
        let operator = ["**", "//", "<<", ">>", "+", "-", "*", "/", "%", "&", "|", "^"]
            .into_iter()
            .find(|o| *o == operator);
        let operator = operator.ok_or_else(|| self.error("an assignment"))?;
        let right = self.expression()?;
        Ok(StatementKind::Assign(name, Expr::Binary(operator, Box::new(value), Box::new(right))))
    }

    /// What is written from token `from` to here.
    fn text(&self, from: usize) -> String {
        let start = self.line.tokens.get(from).map_or(0, |(_, start, _)| *start);
        let end = self
            .at
            .checked_sub(1)
            .and_then(|last| self.line.tokens.get(last))
            .map_or(start, |(.., end)| *end);
        self.line.text.get(start..end).unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
