#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| life_api::fuzz_entry::target(bytes));
