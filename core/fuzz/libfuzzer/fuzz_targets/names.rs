//! libFuzzer around `usertcp_fuzz::names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usertcp_fuzz::names(data));
