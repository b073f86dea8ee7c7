//! The broker: gRPC for apps, the platform's client, the vault's keeper.

fn main() {}
