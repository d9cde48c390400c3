//! libFuzzer program of the target `backup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| igmp_fuzz::backup(data));
