//! libFuzzer program of the target `frame_parser`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| igmp_fuzz::frame_parser(data));
