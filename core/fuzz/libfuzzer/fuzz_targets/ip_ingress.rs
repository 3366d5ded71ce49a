//! libFuzzer around `usertcp_fuzz::ip_ingress`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| usertcp_fuzz::ip_ingress(data));
