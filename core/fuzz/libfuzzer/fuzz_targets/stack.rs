//! libFuzzer around `usertcp_fuzz::stack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usertcp_fuzz::stack(data));
