//! Expressions, by Python's precedence: one function for each level, the loosest first.

use super::CodeError;
use super::syntax::{DEPTH, Expr, Parser, unsupported};
use super::token::Token;

impl Parser<'_> {
    /// An expression; `a if condition else b` is the loosest.
    pub(super) fn expression(&mut self) -> Result<Expr, CodeError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(unsupported(self.line.number, "parentheses too deep"));
        }
        let value = self.logic("or")?;
        let value = if self.eat_name("if") {
            let condition = self.logic("or")?;
            self.need_name("else")?;
            let otherwise = self.expression()?;
            Expr::Choice(Box::new(value), Box::new(condition), Box::new(otherwise))
        } else {
            value
        };
        self.depth -= 1;
        Ok(value)
    }

    fn logic(&mut self, operator: &'static str) -> Result<Expr, CodeError> {
        let inner =
            |parser: &mut Self| if operator == "or" { parser.logic("and") } else { parser.negation() };
        let mut chain = vec![inner(self)?];
        while self.eat_name(operator) {
            chain.push(inner(self)?);
        }
        self.fold(chain, operator)
    }

    /// A chain from the right, so that its depth is bounded like that of parentheses.
    fn fold(&self, chain: Vec<Expr>, operator: &'static str) -> Result<Expr, CodeError> {
        if chain.len() > 256 {
            return Err(unsupported(self.line.number, "an expression too long"));
        }
        let folded = chain
            .into_iter()
            .rev()
            .reduce(|right, left| Expr::Binary(operator, Box::new(left), Box::new(right)));
        folded.ok_or_else(|| self.error("an expression"))
    }

    fn negation(&mut self) -> Result<Expr, CodeError> {
        let mut nots = 0;
        while self.eat_name("not") {
            nots += 1;
        }
        let value = self.comparison()?;
        Ok(match nots {
            0 => value,
            n if n % 2 == 1 => Expr::Unary("not", Box::new(value)),
            _ => Expr::Unary("not", Box::new(Expr::Unary("not", Box::new(value)))),
        })
    }

    fn comparison(&mut self) -> Result<Expr, CodeError> {
        let first = self.arithmetic(0)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.comparator() {
            rest.push((operator, self.arithmetic(0)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Compare(Box::new(first), rest) })
    }

    fn comparator(&mut self) -> Option<&'static str> {
        for operator in ["<", ">", "==", "!=", "<=", ">="] {
            if self.eat(operator) {
                return Some(operator);
            }
        }
        if self.eat_name("in") {
            return Some("in");
        }
        if self.eat_name("is") {
            return Some(if self.eat_name("not") { "!=" } else { "==" });
        }
        let next = self.line.tokens.get(self.at + 1).map(|(token, ..)| token);
        if self.keyword() == "not" && next == Some(&Token::Name("in".into())) {
            self.at += 2;
            return Some("not in");
        }
        None
    }

    /// Operators from left to right, the loosest level first.
    fn arithmetic(&mut self, level: usize) -> Result<Expr, CodeError> {
        const LEVELS: [&[&str]; 6] =
            [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "/", "//", "%"]];
        let Some(operators) = LEVELS.get(level) else { return self.factor() };
        let mut left = self.arithmetic(level + 1)?;
        for _ in 0..256 {
            let Some(operator) = operators.iter().find(|operator| self.eat(operator)) else {
                return Ok(left);
            };
            let right = self.arithmetic(level + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        Err(unsupported(self.line.number, "an expression too long"))
    }

    fn factor(&mut self) -> Result<Expr, CodeError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(unsupported(self.line.number, "an expression too deep"));
        }
        let sign = ["-", "+", "~"].into_iter().find(|sign| self.eat(sign));
        let value = match sign {
            Some(sign) => Expr::Unary(sign, Box::new(self.factor()?)),
            None => {
                let base = self.postfix()?;
                if self.eat("**") {
                    Expr::Binary("**", Box::new(base), Box::new(self.factor()?))
                } else {
                    base
                }
            }
        };
        self.depth -= 1;
        Ok(value)
    }

    /// Something with calls and places behind it.
    fn postfix(&mut self) -> Result<Expr, CodeError> {
        let mut value = self.primary()?;
        for _ in 0..32 {
            if self.eat("[") {
                let index = self.expression()?;
                self.need("]")?;
                value = Expr::Index(Box::new(value), Box::new(index));
            } else if self.eat(".") {
                let name = self.name()?;
                let arguments = if self.eat("(") { self.list(")")? } else { Vec::new() };
                value = Expr::Method(Box::new(value), name, arguments);
            } else {
                return Ok(value);
            }
        }
        Err(self.error("less of this"))
    }

    fn primary(&mut self) -> Result<Expr, CodeError> {
        let Some(token) = self.peek().cloned() else { return Err(self.error("an expression")) };
        self.at += 1;
        match token {
            Token::Int(_) | Token::Float(_) => Ok(Expr::Literal(token)),
            Token::Text(mut text) => {
                while let Some(Token::Text(more)) = self.peek() {
                    text.push_str(more);
                    self.at += 1;
                }
                Ok(Expr::Literal(Token::Text(text)))
            }
            Token::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                Ok(if self.eat("(") { Expr::Call(name, self.list(")")?) } else { Expr::Name(name) })
            }
            Token::Mark("[") => Ok(Expr::List(self.list("]")?)),
            Token::Mark("(") => {
                let mut list = Vec::new();
                while !self.eat(")") {
                    list.push(self.expression()?);
                    if self.eat(",") {
                        continue;
                    }
                    self.need(")")?;
                    if let [_] = list.as_slice() {
                        return list.pop().ok_or_else(|| self.error("an expression"));
                    }
                    break;
                }
                Ok(Expr::List(list))
            }
            _ => {
                self.at -= 1;
                Err(self.error("an expression"))
            }
        }
    }

    fn list(&mut self, close: &'static str) -> Result<Vec<Expr>, CodeError> {
        let mut list = Vec::new();
        while !self.eat(close) {
            list.push(self.expression()?);
            if !self.eat(",") {
                self.need(close)?;
                break;
            }
        }
        Ok(list)
    }
}

/// Names that are no values.
const KEYWORDS: [&str; 9] = ["assert", "if", "elif", "else", "for", "in", "and", "or", "not"];
