//! getsockopt and setsockopt.

use super::naming::same;
use super::{Answer, Run, Step, argument, number};
use crate::run::values;
use crate::script::{Call, Expression};
use usertcp_core::error::Errno;

impl Run<'_> {
    pub(super) fn setsockopt(&mut self, call: &Call) -> Step<i64> {
        let (level, name) = (integer(call, 1)?, integer(call, 2)?);
        let len = usize::try_from(number(call, 4)?).map_err(|_| Answer::Failed(Errno::EINVAL))?;
        let value = bytes(argument(call, 3)?, len)?;
        let id = self.socket_at(call, 0)?.id;
        let now = self.world.now;
        self.world.stack.set_option(now, id, level, name, &value).map_err(|errno| known(call, errno))?;
        Ok(0)
    }

    pub(super) fn getsockopt(&mut self, call: &Call) -> Step<i64> {
        let (level, name) = (integer(call, 1)?, integer(call, 2)?);
        let id = self.socket_at(call, 0)?.id;
        let got = self.world.stack.option(id, level, name).map_err(|errno| known(call, errno))?;
        let got = measured(call.arguments.get(4), &got)?;
        compare(argument(call, 3)?, got)?;
        Ok(0)
    }
}

/// As much of an option as the program has room for, which has to be as much as the script says.
fn measured<'got>(room: Option<&Expression>, got: &'got [u8]) -> Step<&'got [u8]> {
    let room = match room {
        Some(Expression::List(list)) if list.len() == 1 => &list[0],
        Some(room) => room,
        None => return Ok(got),
    };
    if matches!(room, Expression::Any) {
        return Ok(got);
    }
    let room = values::number(room)?;
    let got = usize::try_from(room).ok().and_then(|room| got.get(..room)).unwrap_or(got);
    same("the length", room, got.len() as i128)?;
    Ok(got)
}

/// What an option was expected to be, and what it is.
fn compare(expected: &Expression, got: &[u8]) -> Step<()> {
    match expected {
        Expression::Any => Ok(()),
        Expression::List(list) if list.len() == 1 && !matches!(list[0], Expression::Number(_)) => match &list
            [0]
        {
            inner @ (Expression::Text(_) | Expression::Struct(_) | Expression::Any) => compare(inner, got),
            inner => same("the value", values::number(inner)?, as_number(got)),
        },
        Expression::Text(text) => {
            let got = got.split(|byte| *byte == 0).next().unwrap_or_default();
            let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
            if got == text {
                return Ok(());
            }
            let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Err(Answer::Differs { what: "the value".into(), expected: words(text), got: words(got) })
        }
        Expression::Struct(fields) => {
            for (index, field) in fields.iter().enumerate() {
                let value = field_value(field);
                if matches!(value, Expression::Any) {
                    continue;
                }
                let part = got.get(index * 4..index * 4 + 4).unwrap_or_default();
                same(&format!("field {}", index + 1), values::number(value)?, as_number(part))?;
            }
            Ok(())
        }
        expected => {
            // What is unsigned in the script has the bits of the int that the program gets.
            let expected = values::number(expected)?;
            let got = as_number(got);
            let unsigned = i128::from((got as i32).cast_unsigned());
            same("the value", expected, if expected > i128::from(i32::MAX) { unsigned } else { got })
        }
    }
}

fn field_value(field: &Expression) -> &Expression {
    match field {
        Expression::Field(_, _, value) => value,
        other => other,
    }
}

fn as_number(bytes: &[u8]) -> i128 {
    match bytes.len() {
        1 => i128::from(bytes[0]),
        4 => bytes.first_chunk::<4>().map_or(0, |int| i128::from(i32::from_ne_bytes(*int))),
        _ => bytes.first_chunk::<8>().map_or(0, |long| i128::from(i64::from_ne_bytes(*long))),
    }
}

/// A value as the program has it in memory.
fn bytes(value: &Expression, len: usize) -> Step<Vec<u8>> {
    Ok(match value {
        Expression::List(list) if list.len() == 1 => return bytes(&list[0], len),
        Expression::Text(text) => {
            let mut text = text.clone();
            text.resize(len, 0);
            text
        }
        Expression::Struct(fields) => {
            let mut out = Vec::new();
            for field in fields {
                out.extend((values::number(field_value(field))? as i32).to_ne_bytes());
            }
            out.truncate(len);
            out
        }
        Expression::Any => vec![0; len],
        number => {
            let long = (values::number(number)? as i64).to_le_bytes();
            long[..len.min(long.len())].to_vec()
        }
    })
}

/// ENOPROTOOPT that the script does not expect: the option is one that there is not.
fn known(call: &Call, errno: Errno) -> Answer {
    let expected = call.errno.as_deref() == Some("ENOPROTOOPT");
    if errno != Errno::ENOPROTOOPT || expected {
        return errno.into();
    }
    match call.arguments.get(2) {
        Some(Expression::Name(name)) => Answer::Lacks(name.clone()),
        _ => errno.into(),
    }
}

fn integer(call: &Call, index: usize) -> Step<i32> {
    i32::try_from(number(call, index)?).map_err(|_| Answer::Failed(Errno::ENOPROTOOPT))
}
