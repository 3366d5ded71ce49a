//! Arguments and results of calls.

use super::ParseError;
use super::cursor::Cursor;
use crate::script::Expression;

/// Operators, the loosest first; each level from left to right. A `+` behind a result is the time of what follows.
const LEVELS: [&str; 2] = ["|", "&"];

impl Cursor<'_> {
    /// Expressions with commas between them, up to and with `close`.
    pub(super) fn list(&mut self, close: &str) -> Result<Vec<Expression>, ParseError> {
        let mut list = Vec::new();
        if self.eat(close) {
            return Ok(list);
        }
        loop {
            list.push(self.expression()?);
            if self.eat(close) {
                return Ok(list);
            }
            if !self.eat(",") {
                return Err(self.expected(format!("',' or '{close}'")));
            }
        }
    }

    pub(super) fn expression(&mut self) -> Result<Expression, ParseError> {
        self.deeper(|cursor| cursor.level(0))
    }

    fn level(&mut self, level: usize) -> Result<Expression, ParseError> {
        let Some(operator) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        // A chain is a tree as deep as it is long, so it has to end as well.
        for _ in 0..256 {
            if !self.eat(operator) {
                return Ok(left);
            }
            let right = self.level(level + 1)?;
            let operator = operator.chars().next().unwrap_or('|');
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Err(self.expected("a shorter expression"))
    }

    fn unary(&mut self) -> Result<Expression, ParseError> {
        self.blanks();
        match self.peek() {
            Some('-') => {
                self.skip(1);
                Ok(match self.deeper(Self::unary)? {
                    Expression::Number(number) => Expression::Number(-number),
                    other => Expression::Unary('-', Box::new(other)),
                })
            }
            Some(c @ ('~' | '!')) => {
                self.skip(1);
                Ok(Expression::Unary(c, Box::new(self.deeper(Self::unary)?)))
            }
            Some('(') => {
                self.skip(1);
                let inner = self.expression()?;
                self.need(")")?;
                Ok(inner)
            }
            Some('[') => {
                self.skip(1);
                Ok(Expression::List(self.list("]")?))
            }
            Some('{') => {
                self.skip(1);
                Ok(Expression::Struct(self.list("}")?))
            }
            Some('"') => self.strings(),
            Some('.') => {
                self.need("...")?;
                Ok(Expression::Any)
            }
            Some(c) if c.is_ascii_digit() => Ok(Expression::Number(i128::from(self.number()?))),
            _ => self.name(),
        }
    }

    /// A name, alone or with arguments or a value.
    fn name(&mut self) -> Result<Expression, ParseError> {
        let Some(name) = self.word() else { return Err(self.expected("an expression")) };
        let place = self.place();
        let arguments = if self.eat("(") { Some(self.list(")")?) } else { None };
        self.blanks();
        if !self.rest().starts_with('=') || self.rest().starts_with("==") {
            return Ok(match arguments {
                Some(arguments) => Expression::Apply(name.to_owned(), arguments),
                None => self.named(name),
            });
        }
        self.skip(1);
        let argument = match arguments {
            None => None,
            Some(mut list) if list.len() == 1 => list.pop().map(Box::new),
            Some(_) => return Err(self.expected_at(place, format!("one argument of '{name}'"))),
        };
        let value = self.expression()?;
        Ok(Expression::Field(name.to_owned(), argument, Box::new(value)))
    }

    /// What a bare name stands for.
    pub(super) fn named(&self, name: &str) -> Expression {
        let Some(stands) = self.definition(name) else { return Expression::Name(name.to_owned()) };
        if let Some(text) = stands.strip_prefix('"') {
            return Expression::Text(text.strip_suffix('"').unwrap_or(text).as_bytes().to_vec());
        }
        let hexadecimal = stands.strip_prefix("0x").and_then(|digits| i128::from_str_radix(digits, 16).ok());
        match hexadecimal.or_else(|| stands.parse().ok()) {
            Some(number) => Expression::Number(number),
            None => Expression::Name(stands.to_owned()),
        }
    }

    /// `"a" "b"` is one string; `"a"...` begins with it.
    fn strings(&mut self) -> Result<Expression, ParseError> {
        let mut text = Vec::new();
        while self.eat("\"") {
            self.string(&mut text)?;
        }
        if self.eat("...") {
            let text = Box::new(Expression::Text(text));
            return Ok(Expression::Binary('.', text, Box::new(Expression::Any)));
        }
        Ok(Expression::Text(text))
    }

    /// The rest of a string behind its first quote.
    fn string(&mut self, text: &mut Vec<u8>) -> Result<(), ParseError> {
        let place = self.place();
        loop {
            let run = self.run(|c| c != '"' && c != '\\');
            text.extend_from_slice(run.as_bytes());
            let Some(mark) = self.peek() else {
                return Err(self.expected_at(place, "a second '\"' further on"));
            };
            self.skip(1);
            if mark == '"' {
                return Ok(());
            }
            let escaped = self.peek().unwrap_or('\\');
            self.skip(escaped.len_utf8());
            match escaped {
                'n' => text.push(b'\n'),
                't' => text.push(b'\t'),
                'r' => text.push(b'\r'),
                'x' => {
                    let digits = self.rest().get(..2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                    let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    text.push(value.ok_or_else(|| self.expected_at(self.place(), "two hexadecimal digits"))?);
                    self.skip(2);
                }
                '0'..='7' => {
                    let more = self.rest().bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b));
                    let more: Vec<u8> = more.collect();
                    let value =
                        more.iter().fold(u32::from(escaped) - 48, |sum, b| sum * 8 + u32::from(b - b'0'));
                    text.push(u8::try_from(value & 0xff).unwrap_or(0));
                    self.skip(more.len());
                }
                other => text.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}
