//! Compiles the contract without protoc and makes the table of permissions from its method options.

fn main() {}
