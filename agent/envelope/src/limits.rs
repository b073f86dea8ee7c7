//! How large, deep and numerous anything from outside may be.

/// Plaintext of one envelope as an app sees it: 16 MiB (FORMATS §3).
pub const MAX_PLAINTEXT: usize = 16 << 20;
/// A SignedData without its content: certificates, attributes and signature; also a sealed stream's trailer.
pub const MAX_SIGNATURE: usize = 256 << 10;
/// What an envelope may hold: the largest plaintext with its signature around it.
pub const MAX_CONTENT: usize = MAX_PLAINTEXT + MAX_SIGNATURE;
/// An envelope without its encrypted content: recipients and sharing statements.
pub const MAX_HEADER: usize = 4 << 20;
/// A whole envelope.
pub const MAX_ENVELOPE: usize = MAX_CONTENT + MAX_HEADER;
/// Recipients of one envelope, and recipients listed in one context or statement.
pub const MAX_RECIPIENTS: usize = 512;
/// Certificates in one SignedData.
pub const MAX_CERTIFICATES: usize = 16;
/// Sharing statements in one envelope.
pub const MAX_STATEMENTS: usize = 64;
/// Attributes in one set.
pub const MAX_ATTRIBUTES: usize = 32;
/// Nesting of BER elements.
pub const MAX_DEPTH: usize = 32;
/// BER elements in one message: enough for 16 MiB in strings of 1000 bytes, as Bouncy Castle writes them.
pub const MAX_ELEMENTS: usize = 1 << 16;
/// One RecipientInfo on its own.
pub const MAX_RECIPIENT_INFO: usize = 16 << 10;
/// An issuer's Name.
pub const MAX_NAME: usize = 4 << 10;
/// A key identifier or serial number.
pub const MAX_KEY_ID: usize = 64;
/// One certificate.
pub const MAX_CERTIFICATE: usize = 16 << 10;
/// One sharing statement.
pub const MAX_STATEMENT: usize = 128 << 10;
/// All sharing statements of one envelope.
pub const MAX_STATEMENTS_SIZE: usize = 2 << 20;
/// One receipt over the signature of a sharing statement.
pub const MAX_STATEMENT_RECEIPT: usize = 32 << 10;
