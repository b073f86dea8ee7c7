//! The public contract `life.agent.v1`: messages, clients and servers generated from `life/agent/v1/*.proto`,
//! the table of permissions its methods name, and the reasons its errors give.

pub mod codec;
pub mod framing;
pub mod reason;
mod secrets;
pub mod unframing;

/// The generated messages, clients and servers.
///
/// Bytes fields are [`bytes::Bytes`], which share the transport's buffer; a person's secret is a `Vec<u8>`, so that
/// whoever takes it can wipe it.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    rustdoc::all,
    reason = "generated: the comments are those of the contract"
)]
pub mod v1 {
    tonic::include_proto!("life.agent.v1");
}

/// The encoded `google.protobuf.FileDescriptorSet` of the contract with its imports, comments and method options:
/// what server reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/life_descriptor.bin"));

/// Every method of the contract, as its HTTP/2 path, with the permission that its `permission` option names.
pub const PERMISSIONS: &[(&str, v1::Permission)] = include!(concat!(env!("OUT_DIR"), "/permissions.rs"));

/// The domain of every `google.rpc.ErrorInfo` of the agent.
pub const ERROR_DOMAIN: &str = "agent.life.v1";

/// The most plaintext a unary call takes: 16 MiB.
pub const UNARY_LIMIT: usize = 16 * 1024 * 1024;

/// The longest chunk of a streaming call: 1 MiB.
pub const CHUNK_LIMIT: usize = 1024 * 1024;

/// The most bytes that a message of the contract takes on the wire: the unary limit, and room for the rest.
pub const MESSAGE_LIMIT: usize = UNARY_LIMIT + 1024 * 1024;

/// The metadata key in which a caller names itself.
pub const APP_TOKEN_KEY: &str = "life-app-token";

/// The permission that a method needs, or nothing for a path that is not of the contract.
#[must_use]
pub fn permission(path: &str) -> Option<v1::Permission> {
    PERMISSIONS.iter().find(|(method, _)| *method == path).map(|(_, permission)| *permission)
}
