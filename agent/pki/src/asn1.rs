//! Small DER helpers shared by our own structures.

use der::{Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, Tag, Writer};

/// An ENUMERATED (X.690 §8.4) of one content octet, 1 to 127: all our lists of kinds fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerated(pub u8);

impl FixedTag for Enumerated {
    const TAG: Tag = Tag::Enumerated;
}

impl<'a> DecodeValue<'a> for Enumerated {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        if header.length() != Length::ONE {
            return Err(reader.error(Self::TAG.length_error()));
        }
        match reader.read_byte()? {
            number @ 1..=127 => Ok(Self(number)),
            _ => Err(reader.error(Self::TAG.value_error())),
        }
    }
}

impl EncodeValue for Enumerated {
    fn value_len(&self) -> der::Result<Length> {
        Ok(Length::ONE)
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        writer.write_byte(self.0)
    }
}

/// Decodes a structure and makes sure that encoding it again gives the same bytes.
///
/// DER has one encoding per value, but a decoder may be more forgiving than that. What is hashed or signed must
/// not have two spellings.
///
/// # Errors
/// Returns the decoder's error, or a value error for bytes that are not the canonical ones.
pub fn decode_canonical<'a, T>(bytes: &'a [u8]) -> der::Result<T>
where
    T: Decode<'a, Error = der::Error> + Encode,
{
    let value = T::from_der(bytes)?;
    if value.to_der()? == bytes {
        Ok(value)
    } else {
        Err(der::ErrorKind::Noncanonical { tag: Tag::Sequence }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enumerated_takes_one_positive_octet() {
        assert_eq!(Enumerated::from_der(&[0x0a, 1, 5]), Ok(Enumerated(5)));
        assert_eq!(Enumerated(5).to_der().unwrap(), [0x0a, 1, 5]);
        for bytes in [&[0x0a, 1, 0][..], &[0x0a, 1, 0x80], &[0x0a, 2, 0, 5], &[0x02, 1, 5], &[0x0a, 0], &[]] {
            assert!(Enumerated::from_der(bytes).is_err(), "{bytes:?}");
        }
    }
}
