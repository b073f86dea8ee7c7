#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| life_credentials::fuzz_entry::key_bundle(bytes));
