#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| life_envelope::fuzz_entry::envelope(bytes));
