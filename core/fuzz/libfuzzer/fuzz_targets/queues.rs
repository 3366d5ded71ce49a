//! libFuzzer around `usertcp_fuzz::queues`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usertcp_fuzz::queues(data));
