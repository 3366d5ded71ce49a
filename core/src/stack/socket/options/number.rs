//! Numbers and times in the byte form of options.

use crate::error::Errno;
use crate::time::Duration;

/// A C `int`; longer values are cut as the kernel does, shorter ones are refused.
pub(in crate::stack) fn int(value: &[u8]) -> Result<i32, Errno> {
    let (bytes, _) = value.split_first_chunk::<4>().ok_or(Errno::EINVAL)?;
    Ok(i32::from_ne_bytes(*bytes))
}

pub(in crate::stack) fn within(value: &[u8], least: i32, most: i32) -> Result<i32, Errno> {
    int(value).and_then(|n| if (least..=most).contains(&n) { Ok(n) } else { Err(Errno::EINVAL) })
}

pub(super) fn seconds(count: i32) -> Duration {
    Duration::from_secs(u64::from(count.unsigned_abs()))
}

pub(super) fn to_int<T: TryInto<i32>>(number: T) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
