//! The process that holds every long-term key.

fn main() {}
