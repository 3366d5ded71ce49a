//! Chapter: Counters.
//!
//! A stack counts what it does; every packet that it drops is counted under the name of the reason. Names
//! stay, their order may change.

use crate::args;
use crate::handle::table;
use crate::stack::usertcp_stack_t;
use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;
use usertcp_core::api::{Counters, Errno, Error, Stack};

/// Stores the value of one counter in `*value`. -ENOENT when there is none of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_stack_counter(
    stack: usertcp_stack_t,
    name: *const c_char,
    value: *mut u64,
) -> c_int {
    guard!({
        let counters = table()?.find::<Stack>(stack)?.counters()?;
        // SAFETY: the program promises a string.
        let name = unsafe { args::string(name, "the name") }?.ok_or_else(|| args::null("the name"))?;
        let unknown = || Error::new(Errno::ENOENT, format!("there is no counter named '{name}'"));
        let (_, count, _) = counters.iter().find(|(known, ..)| *known == name).ok_or_else(unknown)?;
        // SAFETY: the program promises that it may be written.
        unsafe { args::write(value, count, "the value") }?;
        Ok(0)
    })
}

/// Walks over all counters: for `index` 0, 1, ... stores the name of a counter, its value and what it counts,
/// until -ERANGE. Each of the three pointers may be NULL. The strings are static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_stack_counter_at(
    stack: usertcp_stack_t,
    index: u32,
    name: *mut *const c_char,
    value: *mut u64,
    meaning: *mut *const c_char,
) -> c_int {
    guard!({
        let counters = table()?.find::<Stack>(stack)?.counters()?;
        let index = index as usize;
        let (_, count, _) = counters.iter().nth(index).ok_or(Errno::ERANGE)?;
        let texts = texts().get(index).ok_or(Errno::ERANGE)?;
        // SAFETY: the program promises that each is NULL or may be written.
        unsafe {
            store(name, texts.0.as_ptr());
            store(value, count);
            store(meaning, texts.1.as_ptr());
        }
        Ok(0)
    })
}

/// # Safety
/// `out` is NULL or writable.
unsafe fn store<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: not NULL, so writable by the caller's promise.
        unsafe { out.write_unaligned(value) };
    }
}

/// Names and meanings as C strings, made once, kept for good.
fn texts() -> &'static [(CString, CString)] {
    static ALL: OnceLock<Vec<(CString, CString)>> = OnceLock::new();
    let c = |text: &str| CString::new(text).unwrap_or_default();
    ALL.get_or_init(|| Counters::default().iter().map(|(name, _, meaning)| (c(name), c(meaning))).collect())
}
