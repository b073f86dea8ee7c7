#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| life_vault_protocol::fuzz_entry::response(bytes));
