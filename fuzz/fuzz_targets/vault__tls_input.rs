#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| life_vault::fuzz_entry::tls_input(bytes));
