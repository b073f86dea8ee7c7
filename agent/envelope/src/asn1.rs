//! Reading and writing DER elements, on crate `der`.
//!
//! A tag is its identifier octet (X.690 §8.1.2); tag numbers above 30 occur nowhere in our formats.

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode, Header, Length, Reader, SliceReader};

use crate::Error;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const NULL: &[u8] = &[0x05, 0x00];
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const UTF8_STRING: u8 = 0x0c;

/// A constructed context-specific tag.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// A primitive context-specific tag.
pub(crate) const fn context_primitive(number: u8) -> u8 {
    0x80 | number
}

impl From<der::Error> for Error {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// Reads elements one after the other. Every length is checked against what is there.
#[derive(Clone)]
pub(crate) struct Parser<'a>(SliceReader<'a>);

impl<'a> Parser<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        Ok(Self(SliceReader::new(bytes)?))
    }

    /// Reads all of `bytes` as one element with this tag and gives a parser of its contents.
    pub(crate) fn only(bytes: &'a [u8], tag: u8) -> Result<Self, Error> {
        let mut outer = Self::new(bytes)?;
        let inner = outer.contents(tag)?;
        outer.finish()?;
        Self::new(inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_finished()
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Error::Malformed) }
    }

    /// The next identifier octet; `None` at the end.
    pub(crate) fn tag(&self) -> Option<u8> {
        self.0.peek_byte()
    }

    /// The next element: its identifier octet and contents.
    pub(crate) fn any(&mut self) -> Result<(u8, &'a [u8]), Error> {
        let tag = self.tag().ok_or(Error::Malformed)?;
        let header = Header::decode(&mut self.0)?;
        Ok((tag, self.0.read_slice(header.length())?))
    }

    /// The next element as it stands, header included.
    pub(crate) fn raw(&mut self) -> Result<&'a [u8], Error> {
        Ok(self.0.tlv_bytes()?)
    }

    pub(crate) fn contents(&mut self, tag: u8) -> Result<&'a [u8], Error> {
        match self.any()? {
            (found, contents) if found == tag => Ok(contents),
            _ => Err(Error::Malformed),
        }
    }

    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Error> {
        if self.tag() == Some(tag) { self.contents(tag).map(Some) } else { Ok(None) }
    }

    /// The contents of the next element, which has this tag, as a parser.
    pub(crate) fn inside(&mut self, tag: u8) -> Result<Self, Error> {
        Self::new(self.contents(tag)?)
    }

    pub(crate) fn octets(&mut self) -> Result<&'a [u8], Error> {
        self.contents(OCTET_STRING)
    }

    pub(crate) fn octet_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.octets()?.try_into().map_err(|_| Error::Malformed)
    }

    pub(crate) fn oid(&mut self) -> Result<ObjectIdentifier, Error> {
        ObjectIdentifier::from_bytes(self.contents(OID)?).map_err(|_| Error::Malformed)
    }

    /// A non-negative INTEGER in its shortest form.
    pub(crate) fn unsigned(&mut self) -> Result<u64, Error> {
        Ok(u64::decode(&mut self.0)?)
    }

    /// An ENUMERATED of 0 to 127.
    pub(crate) fn enumerated(&mut self) -> Result<u8, Error> {
        match self.contents(ENUMERATED)? {
            &[number @ 0..=127] => Ok(number),
            _ => Err(Error::Malformed),
        }
    }

    pub(crate) fn algorithm(&mut self) -> Result<Algorithm<'a>, Error> {
        Algorithm::read(self.inside(SEQUENCE)?)
    }
}

/// An AlgorithmIdentifier (RFC 5280 §4.1.1.2) with its parameters as they stand.
#[derive(Clone, Copy)]
pub(crate) struct Algorithm<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) parameters: Option<&'a [u8]>,
}

impl<'a> Algorithm<'a> {
    /// Reads the contents of the SEQUENCE, which may also stand behind an implicit tag.
    pub(crate) fn read(mut contents: Parser<'a>) -> Result<Self, Error> {
        let oid = contents.oid()?;
        let parameters = if contents.is_empty() { None } else { Some(contents.raw()?) };
        contents.finish()?;
        Ok(Self { oid, parameters })
    }

    pub(crate) fn has_no_parameters(&self) -> bool {
        self.parameters.is_none_or(|parameters| parameters == NULL)
    }
}

/// The header of an element: identifier octet and shortest length.
pub(crate) fn header(tag: u8, length: usize) -> Vec<u8> {
    let mut out = vec![tag];
    let bytes = length.to_be_bytes();
    let significant: Vec<u8> = bytes.iter().copied().skip_while(|&byte| byte == 0).collect();
    match significant.as_slice() {
        [] => out.push(0),
        &[short @ 0..=127] => out.push(short),
        long => {
            // At most 8 bytes, so the count fits.
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
    out
}

/// How many bytes the header of an element takes.
pub(crate) fn header_length(length: usize) -> usize {
    header(0, length).len()
}

/// An element whose contents are these parts, one after the other.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = header(tag, length);
    out.reserve_exact(length);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, parts)
}

pub(crate) fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(OCTET_STRING, &[bytes])
}

pub(crate) fn oid(oid: &ObjectIdentifier) -> Vec<u8> {
    tlv(OID, &[oid.as_bytes()])
}

pub(crate) fn unsigned(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take(7).take_while(|&&byte| byte == 0).count();
    let (_, significant) = bytes.split_at(skip);
    let sign: &[u8] = if significant.first().is_some_and(|&byte| byte > 127) { &[0] } else { &[] };
    tlv(INTEGER, &[sign, significant])
}

pub(crate) fn enumerated(number: u8) -> Vec<u8> {
    tlv(ENUMERATED, &[&[number]])
}

pub(crate) fn algorithm(id: &ObjectIdentifier, parameters: Option<&[u8]>) -> Vec<u8> {
    sequence(&[&oid(id), parameters.unwrap_or_default()])
}

/// The contents of a SET OF in DER order (X.690 §11.6).
pub(crate) fn sorted(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut elements: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    elements.sort_unstable();
    elements.concat()
}

/// Encodes a value of crate `der`.
pub(crate) fn encode(value: &impl Encode) -> Result<Vec<u8>, Error> {
    Ok(value.to_der()?)
}

/// Refuses inputs that crate `der` could not measure.
pub(crate) fn check_size(bytes: &[u8], limit: usize) -> Result<(), Error> {
    if bytes.len() > limit || Length::try_from(bytes.len()).is_err() { Err(Error::TooLarge) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_match_crate_der() {
        for value in [0, 1, 127, 128, 255, 256, 65_535, u64::from(u32::MAX), u64::MAX / 2 + 1, u64::MAX] {
            assert_eq!(unsigned(value), value.to_der().unwrap());
            assert_eq!(Parser::new(&unsigned(value)).unwrap().unsigned(), Ok(value));
        }
    }

    #[test]
    fn headers_match_crate_der() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 24] {
            let expected = Header::new(der::Tag::OctetString, Length::try_from(length).unwrap());
            assert_eq!(header(OCTET_STRING, length), expected.to_der().unwrap());
        }
    }

    #[test]
    fn lengths_beyond_the_end_are_errors() {
        for bytes in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x81, 1, 0],
            &[4, 0x80, 0, 0],
            &[0x1f, 0x81, 0x01, 0],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(Parser::new(bytes).unwrap().octets(), Err(Error::Malformed), "{bytes:?}");
        }
    }
}
