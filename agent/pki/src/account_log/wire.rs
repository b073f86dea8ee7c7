//! The DER structures of a log entry. Only [`super::entry`] sees them; everything typed is there.

use der::asn1::{GeneralizedTime, OctetString};
use der::{Choice, Sequence};

use crate::asn1::Enumerated;

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Entry {
    pub(super) body: Body,
    pub(super) signer_spki: OctetString,
    pub(super) signature: OctetString,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) possession: Option<Possession>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Possession {
    pub(super) spki: OctetString,
    pub(super) signature: OctetString,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Body {
    pub(super) version: u8,
    pub(super) uid: OctetString,
    pub(super) index: u32,
    pub(super) previous: OctetString,
    pub(super) time: GeneralizedTime,
    pub(super) change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq, Choice)]
pub(super) enum Change {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true")]
    Genesis(Genesis),
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true")]
    AddCredential(Keys),
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", constructed = "true")]
    RevokeCredential(Revocation),
    #[asn1(context_specific = "3", tag_mode = "IMPLICIT", constructed = "true")]
    NewRoot(Root),
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Genesis {
    pub(super) kind: Enumerated,
    pub(super) credential: Keys,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Keys {
    pub(super) id: OctetString,
    pub(super) kind: Enumerated,
    pub(super) authentication: OctetString,
    pub(super) signature: OctetString,
    pub(super) encryption: OctetString,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Revocation {
    pub(super) id: OctetString,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Root {
    pub(super) generation: u32,
    pub(super) spki_hash: OctetString,
}
