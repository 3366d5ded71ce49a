//! What an expression comes to.

use super::syntax::Expr;
use super::token::Token;
use super::{CONSTANTS, CodeError};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A whole number; true is 1, false 0.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// A list, a tuple.
    List(Vec<Self>),
    /// `None`.
    None,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => {
                let list: Vec<String> = list.iter().map(Self::to_string).collect();
                write!(f, "({})", list.join(", "))
            }
            Self::None => f.write_str("None"),
        }
    }
}

impl Value {
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::None => false,
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// None where Python would not compare either.
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::List(a), Self::List(b)) => {
                let first =
                    a.iter().zip(b).map(|(a, b)| a.order(b)).find(|order| *order != Some(Ordering::Equal));
                first.unwrap_or_else(|| Some(a.len().cmp(&b.len())))
            }
            (Self::None, Self::None) => Some(Ordering::Equal),
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }
}

/// Who gives names their values.
pub(super) struct Scope<'a> {
    /// What the code assigned.
    pub(super) assigned: &'a mut HashMap<String, Value>,
    /// Names from outside.
    pub(super) lookup: &'a dyn Fn(&str) -> Option<i128>,
}

impl Scope<'_> {
    pub(super) fn name(&self, name: &str) -> Result<Value, CodeError> {
        match name {
            "True" => return Ok(Value::Int(1)),
            "False" => return Ok(Value::Int(0)),
            "None" => return Ok(Value::None),
            _ => {}
        }
        if let Some(value) = self.assigned.get(name) {
            return Ok(value.clone());
        }
        let constant = || CONSTANTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        (self.lookup)(name)
            .or_else(constant)
            .map(Value::Int)
            .ok_or_else(|| CodeError::Unknown(name.to_owned()))
    }

    /// The value of `expression`, which stands in `line`.
    pub(super) fn value(&self, expression: &Expr, line: u32) -> Result<Value, CodeError> {
        let unsupported = |what: String| CodeError::Unsupported { line, what };
        let all =
            |list: &[Expr]| list.iter().map(|item| self.value(item, line)).collect::<Result<Vec<_>, _>>();
        match expression {
            Expr::Literal(Token::Int(value)) => Ok(Value::Int(*value)),
            Expr::Literal(Token::Float(value)) => Ok(Value::Float(*value)),
            Expr::Literal(Token::Text(text)) => Ok(Value::Text(text.clone())),
            Expr::Literal(other) => Err(unsupported(format!("no value: {other:?}"))),
            Expr::Name(name) => self.name(name),
            Expr::List(list) => Ok(Value::List(all(list)?)),
            Expr::Unary(operator, inner) => {
                let value = self.value(inner, line)?;
                let result = match (*operator, &value) {
                    ("not", value) => Some(Value::Int(i128::from(!value.is_true()))),
                    ("+", Value::Int(_) | Value::Float(_)) => Some(value.clone()),
                    ("-", Value::Int(value)) => value.checked_neg().map(Value::Int),
                    ("-", Value::Float(value)) => Some(Value::Float(-value)),
                    ("~", Value::Int(value)) => Some(Value::Int(!value)),
                    _ => None,
                };
                result.ok_or_else(|| unsupported(format!("'{operator}' of {value}")))
            }
            Expr::Binary(operator @ ("and" | "or"), left, right) => {
                let left = self.value(left, line)?;
                if left.is_true() == (*operator == "or") { Ok(left) } else { self.value(right, line) }
            }
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.value(left, line)?, self.value(right, line)?);
                binary(operator, &left, &right)
                    .ok_or_else(|| unsupported(format!("'{operator}' of {left} and {right}")))
            }
            Expr::Compare(first, rest) => {
                let mut left = self.value(first, line)?;
                for (operator, right) in rest {
                    let right = self.value(right, line)?;
                    let holds = compare(operator, &left, &right)
                        .ok_or_else(|| unsupported(format!("'{operator}' of {left} and {right}")))?;
                    if !holds {
                        return Ok(Value::Int(0));
                    }
                    left = right;
                }
                Ok(Value::Int(1))
            }
            Expr::Choice(value, condition, otherwise) => {
                let chosen = if self.value(condition, line)?.is_true() { value } else { otherwise };
                self.value(chosen, line)
            }
            Expr::Call(name, arguments) => {
                let arguments = all(arguments)?;
                call(name, &arguments)
                    .ok_or_else(|| unsupported(format!("'{name}' of {}", Value::List(arguments))))
            }
            Expr::Index(list, index) => {
                let (list, index) = (self.value(list, line)?, self.value(index, line)?);
                at(&list, &index).ok_or_else(|| unsupported(format!("no place {index} in {list}")))
            }
            Expr::Method(_, name, _) => Err(unsupported(format!("'.{name}'"))),
        }
    }
}

fn at(list: &Value, index: &Value) -> Option<Value> {
    let (Value::List(list), Value::Int(index)) = (list, index) else { return None };
    let place = if *index < 0 { index + i128::try_from(list.len()).ok()? } else { *index };
    list.get(usize::try_from(place).ok()?).cloned()
}

fn compare(operator: &str, left: &Value, right: &Value) -> Option<bool> {
    let order = left.order(right);
    Some(match operator {
        "==" => order == Some(Ordering::Equal),
        "!=" => order != Some(Ordering::Equal),
        "<" => order? == Ordering::Less,
        "<=" => order? != Ordering::Greater,
        ">" => order? == Ordering::Greater,
        ">=" => order? != Ordering::Less,
        "in" | "not in" => {
            let inside = match (left, right) {
                (Value::Text(a), Value::Text(b)) => b.contains(a.as_str()),
                (a, Value::List(list)) => list.iter().any(|b| a.order(b) == Some(Ordering::Equal)),
                _ => return None,
            };
            inside == (operator == "in")
        }
        _ => return None,
    })
}

fn binary(operator: &str, left: &Value, right: &Value) -> Option<Value> {
    match (operator, left, right) {
        ("/", ..) => {
            let divisor = right.float().filter(|divisor| *divisor != 0.0)?;
            Some(Value::Float(left.float()? / divisor))
        }
        (_, Value::Int(a), Value::Int(b)) => int(operator, *a, *b),
        ("%", Value::Text(form), _) => format(form, right).map(Value::Text),
        ("+", Value::Text(a), Value::Text(b)) => Some(Value::Text(format!("{a}{b}"))),
        ("+", Value::List(a), Value::List(b)) => Some(Value::List([a.as_slice(), b].concat())),
        _ => {
            let (a, b) = (left.float()?, right.float()?);
            Some(Value::Float(match operator {
                "+" => a + b,
                "-" => a - b,
                "*" => a * b,
                "//" if b != 0.0 => (a / b).floor(),
                "%" if b != 0.0 => a - b * (a / b).floor(),
                "**" => a.powf(b),
                _ => return None,
            }))
        }
    }
}

fn int(operator: &str, a: i128, b: i128) -> Option<Value> {
    let floor = || {
        let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
        if rest != 0 && (rest < 0) != (b < 0) { quotient.checked_sub(1) } else { Some(quotient) }
    };
    let value = match operator {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "//" => floor(),
        "%" => floor().and_then(|quotient| a.checked_sub(quotient.checked_mul(b)?)),
        "**" if b >= 0 => a.checked_pow(u32::try_from(b).ok()?),
        "**" => return Some(Value::Float((a as f64).powf(b as f64))),
        "&" => Some(a & b),
        "|" => Some(a | b),
        "^" => Some(a ^ b),
        "<<" => {
            u32::try_from(b).ok().filter(|b| *b < 100).and_then(|b| a.checked_mul(1_i128.checked_shl(b)?))
        }
        ">>" => u32::try_from(b).ok().map(|b| a >> b.min(127)),
        _ => None,
    };
    value.map(Value::Int)
}

/// `form % values`, as in C.
fn format(form: &str, values: &Value) -> Option<String> {
    let mut values = match values {
        Value::List(list) => list.iter(),
        one => std::slice::from_ref(one).iter(),
    };
    let mut out = String::new();
    let mut chars = form.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // Widths only matter to who reads it.
        let kind = chars.find(|c| !matches!(c, '0'..='9' | '.' | '-' | '+' | ' ' | '#' | 'l'))?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = values.next()?;
        out.push_str(&match (kind, value) {
            ('x' | 'X', Value::Int(value)) => format!("{value:x}"),
            ('d' | 'i' | 'u', Value::Float(value)) => format!("{}", value.trunc()),
            ('d' | 'i' | 'u' | 's' | 'r' | 'f' | 'g', value) => value.to_string(),
            _ => return None,
        });
    }
    Some(out)
}

fn call(name: &str, arguments: &[Value]) -> Option<Value> {
    let extreme = |wanted: Ordering| {
        let list = if let [Value::List(list)] = arguments { list } else { arguments };
        let mut best = list.first()?;
        for value in list {
            if value.order(best)? == wanted {
                best = value;
            }
        }
        Some(best.clone())
    };
    match (name, arguments) {
        ("min", _) => extreme(Ordering::Less),
        ("max", _) => extreme(Ordering::Greater),
        ("abs", [Value::Int(value)]) => value.checked_abs().map(Value::Int),
        ("abs", [Value::Float(value)]) => Some(Value::Float(value.abs())),
        ("len", [Value::List(list)]) => Some(Value::Int(i128::try_from(list.len()).ok()?)),
        ("len", [Value::Text(text)]) => Some(Value::Int(i128::try_from(text.chars().count()).ok()?)),
        ("int", [Value::Int(value)]) | ("round", [Value::Int(value)]) => Some(Value::Int(*value)),
        ("int", [Value::Float(value)]) => Some(Value::Int(value.trunc() as i128)),
        ("int", [Value::Text(text)]) => text.trim().parse().ok().map(Value::Int),
        // To the even one of two that are as near.
        ("round", [Value::Float(value)]) => Some(Value::Int(value.round_ties_even() as i128)),
        ("round", [value, Value::Int(places)]) => {
            let unit = 10_f64.powi(i32::try_from(*places).ok()?);
            Some(Value::Float((value.float()? * unit).round_ties_even() / unit))
        }
        ("float", [value]) => value.float().map(Value::Float),
        ("bool", [value]) => Some(Value::Int(i128::from(value.is_true()))),
        ("str" | "repr", [value]) => Some(Value::Text(value.to_string())),
        ("sum", [Value::List(list)]) => {
            list.iter().try_fold(Value::Int(0), |sum, value| binary("+", &sum, value))
        }
        ("list" | "tuple", [Value::List(list)]) => Some(Value::List(list.clone())),
        ("any", [Value::List(list)]) => Some(Value::Int(i128::from(list.iter().any(Value::is_true)))),
        ("all", [Value::List(list)]) => Some(Value::Int(i128::from(list.iter().all(Value::is_true)))),
        ("range", [Value::Int(end)]) => range(0, *end),
        ("range", [Value::Int(start), Value::Int(end)]) => range(*start, *end),
        _ => None,
    }
}

fn range(start: i128, end: i128) -> Option<Value> {
    (end.checked_sub(start)? <= 10_000).then(|| Value::List((start..end).map(Value::Int).collect()))
}
