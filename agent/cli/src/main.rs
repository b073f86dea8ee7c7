//! The life command line.

fn main() {}
