//! Chapter: Errors.
//!
//! A function that can fail returns a negative error number of <errno.h>: -ECONNREFUSED, -EAGAIN. The
//! program's own `errno` is never touched, and nothing ever raises SIGPIPE. Beside what each function lists,
//! any may return, as far as it takes what they speak of
//!
//!   -EBADF           the handle is 0, was closed before, or is of another kind
//!   -EFAULT          a pointer that must not be NULL is NULL
//!   -EINVAL          an argument or flag is out of its range
//!   -ECHILD          this process was forked from one that had opened a stack, sandbox or poll set: exec or _exit
//!   -EDEADLK         called from a log callback of the same stack
//!   -EMFILE, -ENFILE, -ENOMEM, -EAGAIN
//!                    the system is out of descriptors, memory or threads for a stack, a sandbox, a poll set, a
//!                    trace or a descriptor that was to be made; nothing has changed
//!   -ENOTRECOVERABLE the library has a bug and noticed; the stack is of no more use

use crate::{args, last};
use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;
use usertcp_core::api::Errno;

/// The error in words, such as "Connection refused"; for 0 "Success". Takes both -ECONNREFUSED and
/// ECONNREFUSED. The string is static.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_strerror(error: c_int) -> *const c_char {
    guard!(c"".as_ptr(), { texts(error).text.as_ptr() })
}

/// The error's symbol, such as "ECONNREFUSED"; "E?" for a number that the library never returns. The string
/// is static.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_errname(error: c_int) -> *const c_char {
    guard!(c"".as_ptr(), { texts(error).name.as_ptr() })
}

/// What the last call that failed on this thread has to say, in a sentence: which setting is wrong, which
/// privilege is missing. Copies at most `size` bytes, always terminated by NUL unless `size` is 0; returns
/// the length of the whole sentence without the NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_last_error(buffer: *mut c_char, size: usize) -> usize {
    guard!(0, {
        // SAFETY: the program promises `size` writable bytes.
        unsafe { args::copy_text(&last::text(), buffer, size) }
    })
}

struct Texts {
    name: CString,
    text: CString,
}

/// Largest error number of Linux.
const MOST: i32 = 133;

/// The strings of an error number, made once, kept for good.
fn texts(error: c_int) -> &'static Texts {
    static ALL: OnceLock<Vec<Texts>> = OnceLock::new();
    let all = ALL.get_or_init(|| (0..=MOST + 1).map(make_texts).collect());
    let number = error.unsigned_abs() as usize;
    &all[number.min(all.len() - 1)]
}

fn make_texts(number: i32) -> Texts {
    let (name, text) = match number {
        0 => ("OK", "Success"),
        _ => (Errno(number).name(), Errno(number).text()),
    };
    Texts { name: CString::new(name).unwrap_or_default(), text: CString::new(text).unwrap_or_default() }
}
