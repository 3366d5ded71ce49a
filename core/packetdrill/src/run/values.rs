//! Arguments and results as numbers.

use crate::constants;
use crate::script::Expression;
use usertcp_core::error::Errno;

/// Largest number of an error that there is.
const ERRNO_MAX: i32 = 133;

/// Why an expression is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoNumber {
    /// A name that stands for nothing known.
    Name(String),
    /// Something else than a number.
    Shape,
}

/// The value of an expression.
pub(super) fn number(expression: &Expression) -> Result<i128, NoNumber> {
    Ok(match expression {
        Expression::Number(number) => *number,
        Expression::Name(name) => constant(name).ok_or_else(|| NoNumber::Name(name.clone()))?,
        Expression::Unary('~', inner) => !number(inner)?,
        Expression::Unary('-', inner) => -number(inner)?,
        Expression::Unary('!', inner) => i128::from(number(inner)? == 0),
        Expression::Binary(operator, left, right) => {
            let (left, right) = (number(left)?, number(right)?);
            match operator {
                '|' => left | right,
                '&' => left & right,
                '^' => left ^ right,
                '+' => left + right,
                '-' => left - right,
                '*' => left * right,
                _ => return Err(NoNumber::Shape),
            }
        }
        Expression::Apply(name, arguments) if matches!(&name[..], "htons" | "htonl" | "ntohs" | "ntohl") => {
            number(arguments.first().ok_or(NoNumber::Shape)?)?
        }
        Expression::List(list) if list.len() == 1 => number(&list[0])?,
        _ => return Err(NoNumber::Shape),
    })
}

fn constant(name: &str) -> Option<i128> {
    errno(name).map(|errno| i128::from(errno.0)).or_else(|| constants::value(name).map(i128::from))
}

/// The error of this name.
pub(super) fn errno(name: &str) -> Option<Errno> {
    let name = canonical(name);
    (1..=ERRNO_MAX).map(Errno).find(|errno| errno.name() == name)
}

/// The one name of an error that has two.
pub(super) fn canonical(name: &str) -> &str {
    match name {
        "EWOULDBLOCK" => "EAGAIN",
        "ENOTSUP" => "EOPNOTSUPP",
        "EDEADLOCK" => "EDEADLK",
        other => other,
    }
}

/// The fields of a struct by name.
pub(super) fn field<'a>(fields: &'a [Expression], wanted: &str) -> Option<&'a Expression> {
    fields.iter().find_map(|field| match field {
        Expression::Field(name, _, value) if name == wanted => Some(&**value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_operators_make_numbers() {
        let name = |name: &str| Expression::Name(name.into());
        let or = Expression::Binary('|', Box::new(Expression::Number(4)), Box::new(name("EAGAIN")));
        assert_eq!(number(&or), Ok(15));
        assert_eq!(number(&name("EWOULDBLOCK")), Ok(11));
        assert_eq!(number(&name("SO_WHATEVER")), Err(NoNumber::Name("SO_WHATEVER".into())));
        assert_eq!(number(&Expression::List(vec![Expression::Number(7)])), Ok(7));
        assert_eq!(number(&Expression::Any), Err(NoNumber::Shape));
    }
}
