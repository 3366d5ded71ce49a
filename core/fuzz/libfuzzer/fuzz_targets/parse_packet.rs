//! libFuzzer around `usertcp_fuzz::parse_packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usertcp_fuzz::parse_packet(data));
