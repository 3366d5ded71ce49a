//! The sentence about the last error of each thread.

use std::cell::RefCell;
use usertcp_core::api::Error;

thread_local! {
    static ERROR: RefCell<Option<Error>> = const { RefCell::new(None) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps `error` for this thread. The words are only made when they are asked for: EAGAIN has to stay cheap.
pub(crate) fn set(error: Error) {
    let _ = ERROR.try_with(|last| last.replace(Some(error)));
}

/// The kept error in words; empty when there is none.
pub(crate) fn text() -> String {
    let text = ERROR.try_with(|last| last.borrow().as_ref().map(Error::to_string));
    text.ok().flatten().unwrap_or_default()
}

/// Keeps what a panic said until `take_panic`.
pub(crate) fn set_panic(text: String) {
    let _ = PANIC.try_with(|last| last.replace(text));
}

/// What the last panic of this thread said.
pub(crate) fn take_panic() -> String {
    PANIC.try_with(RefCell::take).unwrap_or_default()
}
