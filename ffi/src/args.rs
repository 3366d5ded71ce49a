//! C strings, size-prefixed structs and buffers, checked.

use libc::socklen_t;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::mem::{MaybeUninit, size_of};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;
use std::str::FromStr;
use std::time::Duration;
use usertcp_core::api::{Errno, Error, Wait};

/// Largest size that a size-prefixed struct may claim, as in clone3(2).
const STRUCT_MOST: usize = 4096;

/// A struct that begins with its size and only ever grows at its end.
///
/// # Safety
/// The type is `repr(C)`, begins with a `u32`, holds no padding, and all bytes zero is one of its values.
pub(crate) unsafe trait Prefixed: Copy {
    /// Its name in C.
    const NAME: &'static str;
    /// Its size when it was first published.
    const FIRST: usize;
}

/// Copies a struct that the program passes in: what it does not have is zero, what this library does not know
/// must be zero. EFAULT (NULL), EINVAL (too small), E2BIG (not zero where this library knows nothing).
///
/// # Safety
/// `pointer` is NULL or points to as many bytes as its first four say.
pub(crate) unsafe fn read_struct<T: Prefixed>(pointer: *const T) -> Result<T, Error> {
    // SAFETY: the caller's promise.
    let size = unsafe { struct_size(pointer) }?;
    let known = size.min(size_of::<T>());
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is at most the size of either.
    unsafe { ptr::copy_nonoverlapping(pointer.cast::<u8>(), copy.as_mut_ptr().cast(), known) };
    for offset in known..size {
        // SAFETY: `offset` is less than the size that the caller states.
        if unsafe { pointer.cast::<u8>().add(offset).read() } != 0 {
            let text = format!("{} has a field set that this version of the library does not know", T::NAME);
            return Err(Error::new(Errno::E2BIG, text));
        }
    }
    // SAFETY: `Prefixed` promises that zeroes are a value, and the bytes over them came from the same struct.
    Ok(unsafe { copy.assume_init() })
}

/// Fills a struct of the program's with `value`, as much of it as it has room for; zero beyond. `size` stays.
/// Errors as [`read_struct`].
///
/// # Safety
/// `pointer` is NULL or points to as many writable bytes as its first four say.
pub(crate) unsafe fn write_struct<T: Prefixed>(pointer: *mut T, value: &T) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    let size = unsafe { struct_size(pointer) }?;
    let known = size.min(size_of::<T>());
    let skip = size_of::<u32>();
    // SAFETY: both are at least `known` bytes long, and `size` is the length that the caller states.
    unsafe {
        let target = pointer.cast::<u8>();
        ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>().add(skip), target.add(skip), known - skip);
        ptr::write_bytes(target.add(known), 0, size - known);
    }
    Ok(())
}

/// Whether [`write_struct`] will find a struct that it can fill.
///
/// # Safety
/// `pointer` is NULL or points to four readable bytes.
pub(crate) unsafe fn read_size<T: Prefixed>(pointer: *const T) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { struct_size(pointer) }.map(drop)
}

/// The size that a struct claims. EFAULT (NULL), EINVAL (too small), E2BIG (too large).
///
/// # Safety
/// `pointer` is NULL or points to four readable bytes.
pub(crate) unsafe fn struct_size<T: Prefixed>(pointer: *const T) -> Result<usize, Error> {
    if pointer.is_null() {
        return Err(null(T::NAME));
    }
    // SAFETY: not NULL, so the caller's promise holds; the alignment is not relied on.
    let size = unsafe { pointer.cast::<u32>().read_unaligned() } as usize;
    if size < T::FIRST {
        let text = format!("{}.size is {size}: begin with its _INIT macro, or set size to sizeof", T::NAME);
        return Err(Error::new(Errno::EINVAL, text));
    }
    if size > STRUCT_MOST {
        return Err(Error::new(Errno::E2BIG, format!("{}.size is {size}, more than {STRUCT_MOST}", T::NAME)));
    }
    Ok(size)
}

/// EFAULT for an argument that must not be NULL.
pub(crate) fn null(what: &str) -> Error {
    Error::new(Errno::EFAULT, format!("{what} is NULL"))
}

/// EINVAL with a sentence.
pub(crate) fn invalid(text: impl Into<String>) -> Error {
    Error::new(Errno::EINVAL, text)
}

/// Writes `value` to an out-parameter. EFAULT.
///
/// # Safety
/// `out` is NULL or writable.
pub(crate) unsafe fn write<T>(out: *mut T, value: T, what: &str) -> Result<(), Error> {
    if out.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL, so writable by the caller's promise.
    unsafe { out.write_unaligned(value) };
    Ok(())
}

/// EFAULT for an out-parameter that is NULL, asked before anything is done.
pub(crate) fn place<T>(out: *mut T, what: &str) -> Result<(), Error> {
    if out.is_null() { Err(null(what)) } else { Ok(()) }
}

/// A C string, `None` for NULL. EINVAL when it is not UTF-8.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that outlives `'a`.
pub(crate) unsafe fn string<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>, Error> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so a string by the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| invalid(format!("{what} is not UTF-8")))
}

/// A path, `None` for NULL; any bytes.
///
/// # Safety
/// As [`string`].
pub(crate) unsafe fn path(text: *const c_char) -> Option<PathBuf> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, so a string by the caller's promise.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// What is written in a list, such as interface addresses or routes, separated by commas; nothing for NULL or
/// an empty string. EINVAL names the one that is wrong.
///
/// # Safety
/// As [`string`].
pub(crate) unsafe fn list<T: FromStr<Err = Error>>(text: *const c_char, what: &str) -> Result<Vec<T>, Error> {
    // SAFETY: the caller's promise.
    let text = unsafe { string(text, what) }?.unwrap_or_default();
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::parse).collect()
}

/// The bytes that a call reads. EFAULT (NULL with a length), EINVAL (a length beyond SSIZE_MAX).
///
/// # Safety
/// `data` is NULL or points to `length` readable bytes that outlive `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const u8, length: usize) -> Result<&'a [u8], Error> {
    check_buffer(data, length)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: not NULL, not too long, readable by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, length) })
}

/// The bytes that a call writes. Errors as [`bytes`].
///
/// # Safety
/// `data` is NULL or points to `length` writable bytes that outlive `'a` and that nobody else uses meanwhile.
pub(crate) unsafe fn bytes_mut<'a>(data: *mut u8, length: usize) -> Result<&'a mut [u8], Error> {
    check_buffer(data, length)?;
    if length == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not NULL, not too long, writable by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, length) })
}

/// A length of the system's calls, which to them is an int. EINVAL.
pub(crate) fn length(length: socklen_t) -> Result<(), Error> {
    if c_int::try_from(length).is_err() {
        return Err(invalid("the length is negative"));
    }
    Ok(())
}

/// The same of the place of a length, before the call has an effect; NULL is none.
///
/// # Safety
/// `place` is NULL or readable.
pub(crate) unsafe fn length_at(place: *const socklen_t) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    if place.is_null() { Ok(()) } else { length(unsafe { place.read_unaligned() }) }
}

fn check_buffer(data: *const u8, length: usize) -> Result<(), Error> {
    if length > isize::MAX as usize {
        return Err(invalid(format!("a buffer of {length} bytes is longer than SSIZE_MAX")));
    }
    if data.is_null() && length != 0 {
        return Err(null("the buffer"));
    }
    Ok(())
}

/// Copies `text` into the program's buffer, cut where it must be and always terminated; returns its whole
/// length.
///
/// # Safety
/// `buffer` is NULL or points to `length` writable bytes.
pub(crate) unsafe fn copy_text(text: &str, buffer: *mut c_char, length: usize) -> usize {
    if !buffer.is_null() && length > 0 {
        let copied = text.len().min(length - 1);
        // SAFETY: `copied + 1` is at most `length`.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), copied);
            buffer.add(copied).write(0);
        }
    }
    text.len()
}

/// A `timeout_ms`: negative for ever, 0 not at all.
pub(crate) fn wait(timeout_ms: c_int) -> Wait {
    match u64::try_from(timeout_ms) {
        Err(_) => Wait::Forever,
        Ok(0) => Wait::Never,
        Ok(millis) => Wait::AtMost(Duration::from_millis(millis)),
    }
}

/// A `timeout_ms` as a limit: `None` for ever.
pub(crate) fn limit(timeout_ms: c_int) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}
