//! The boundary that no panic crosses.

use crate::last;
use std::cell::Cell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::ptr;
use std::sync::Once;
use usertcp_core::api::{Errno, Error};

/// Opens the body of every exported function.
///
/// `guard!({ ... })` holds a block that ends in a `Result`; an error is kept for `usertcp_last_error` and
/// returned as its negative number. `guard!(otherwise, { ... })` holds a block that ends in the value; a
/// panic returns `otherwise`.
macro_rules! guard {
    ($body:block) => {
        $crate::panic::guarded(|| $body)
    };
    ($otherwise:expr, $body:block) => {
        $crate::panic::guarded_or($otherwise, || $body)
    };
}

/// What a C function returns: zero or more for success, a negative error number otherwise.
pub(crate) trait Returned {
    /// The value that stands for `errno`.
    fn failure(errno: Errno) -> Self;
}

impl Returned for i32 {
    fn failure(errno: Errno) -> Self {
        -errno.0
    }
}

impl Returned for isize {
    fn failure(errno: Errno) -> Self {
        -(errno.0 as Self)
    }
}

/// Runs `body`; its error, or a panic as ENOTRECOVERABLE, becomes the negative number.
pub(crate) fn guarded<R: Returned>(body: impl FnOnce() -> Result<R, Error>) -> R {
    let _inside = Inside::enter();
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(error)) => error,
        Err(_) => Error::new(Errno::ENOTRECOVERABLE, format!("internal error: {}", last::take_panic())),
    };
    let errno = error.errno();
    last::set(error);
    R::failure(errno)
}

/// Runs `body`; a panic becomes `otherwise`.
pub(crate) fn guarded_or<R>(otherwise: R, body: impl FnOnce() -> R) -> R {
    let _inside = Inside::enter();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Marks the time that this thread spends inside the library, where a panic is told to the caller rather than
/// printed, gives the program its errno back afterwards, and has pthread_cancel(3) wait until then: it would
/// unwind through frames of Rust, locks held.
struct Inside {
    errno: c_int,
    cancel: c_int,
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

impl Inside {
    fn enter() -> Self {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_add(1)));
        let mut cancel = 0;
        // SAFETY: __errno_location returns a valid pointer to the thread's own errno, and `cancel` is an integer to write to.
        let errno = unsafe {
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut cancel);
            *libc::__errno_location()
        };
        Self { errno, cancel }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
        // SAFETY: as above; what was the state before is one.
        unsafe {
            *libc::__errno_location() = self.errno;
            pthread_setcancelstate(self.cancel, ptr::null_mut());
        }
    }
}

/// Keeps the library from printing to the program's stderr; the standard library inside this one is private
/// to it.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if DEPTH.try_with(Cell::get).unwrap_or(0) > 0 {
                last::set_panic(info.to_string());
            } else {
                print(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_place_and_words() {
        install_hook();
        let answer: i32 = guarded(|| panic!("the {} broke", "wheel"));
        assert_eq!(answer, -Errno::ENOTRECOVERABLE.0);
        let text = last::text();
        assert!(text.contains("the wheel broke") && text.contains("panic.rs"), "{text}");
        assert_eq!(guarded_or(7, || panic!("again")), 7);
    }

    #[test]
    fn an_error_becomes_its_negative_number() {
        let answer: isize = guarded(|| Err(Error::new(Errno::EPIPE, "the pipe is broken")));
        assert_eq!(answer, -32);
        assert_eq!(last::text(), "the pipe is broken");
    }
}
