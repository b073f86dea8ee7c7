#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| life_platform::fuzz_entry::document_upload(bytes));
