//! What kinds of participants, credentials and key slots there are.

/// Makes an enum whose variants have one number (in DER) and one name (in JSON and text).
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every kind, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number that stands for it in DER and on the wire; never 0.
            #[must_use]
            pub fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The name that stands for it in JSON and text.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Finds the kind by its number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// Finds the kind by its name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(self.name())
            }
        }
    };
}

named! {
    /// Who takes part.
    ParticipantKind {
        /// A patient: a natural person who owns their record.
        Patient = 1, "PATIENT";
        /// A practice, hospital, laboratory or other institution.
        Institution = 2, "INSTITUTION";
        /// A physician, pharmacist or other health care professional.
        HealthCareProfessional = 3, "HEALTH_CARE_PROFESSIONAL";
    }
}

named! {
    /// What a working credential is made of (FORMATS §1).
    CredentialKind {
        /// E-mail address and password.
        LifeKey = 1, "LIFE_KEY";
        /// A machine-made secret of 160 bits on paper.
        SuperPin = 2, "SUPER_PIN";
        /// Keys on a smart card.
        SmartCard = 3, "SMART_CARD";
        /// Keys in a PKCS#12 file.
        SoftwareCertificate = 4, "SOFTWARE_CERTIFICATE";
        /// A one-time access token (TAN).
        AccessToken = 5, "ACCESS_TOKEN";
    }
}

named! {
    /// What a key of an account is for. The first three belong to a working credential.
    KeySlot {
        /// Proves who one is: TLS client authentication.
        Authentication = 1, "AUTHENTICATION";
        /// Signs documents, statements and account-log entries.
        Signature = 2, "SIGNATURE";
        /// Opens the root key seal, and nothing else.
        Encryption = 3, "ENCRYPTION";
        /// The root credential: the only key content is encrypted to.
        Root = 4, "ROOT";
    }
}
