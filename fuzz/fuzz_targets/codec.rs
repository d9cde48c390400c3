//! libFuzzer program of the target `codec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| igmp_fuzz::codec(data));
