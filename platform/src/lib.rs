//! The self-hostable platform: ciphertext, certificates, directories; it cannot decrypt.
