#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| life_pki::fuzz_entry::public_key(bytes));
