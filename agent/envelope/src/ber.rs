//! BER to DER: what other software streams becomes definite before anything else looks at it.
//!
//! Handles indefinite lengths, overlong lengths and constructed OCTET STRINGs (X.690 §8.1.3, §8.7.3). Everything else
//! stays as it is and is judged by the DER parsers. Depth and number of elements are bounded.

use std::borrow::Cow;

use crate::Error;
use crate::asn1::{OCTET_STRING, SEQUENCE, SET, header, header_length};
use crate::limits::{MAX_DEPTH, MAX_ELEMENTS};

const CONSTRUCTED: u8 = 0x20;
const CONSTRUCTED_OCTET_STRING: u8 = OCTET_STRING | CONSTRUCTED;
const CLASS: u8 = 0xc0;

/// Transcodes exactly one element. Borrows the input if it has DER lengths already.
pub(crate) fn to_der(input: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, Error> {
    crate::asn1::check_size(input, limit)?;
    let mut scan = Scan { input, position: 0, elements: Vec::new(), changed: false };
    scan.element(input.len(), 0)?;
    if scan.position != input.len() {
        return Err(Error::Malformed);
    }
    if !scan.changed {
        return Ok(Cow::Borrowed(input));
    }
    let total = scan.elements.first().map_or(0, Element::total);
    let mut out = Vec::with_capacity(total);
    scan.write(0, &mut out)?;
    Ok(Cow::Owned(out))
}

/// One element of the input, in the order of their beginnings.
struct Element {
    /// The identifier octet in DER.
    tag: u8,
    /// Length of the contents in DER.
    length: usize,
    /// Where a primitive element's contents begin.
    start: usize,
    /// The index after its last descendant.
    next: usize,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Primitive,
    Constructed,
    /// A constructed OCTET STRING: its segments are joined.
    Segmented,
}

impl Element {
    fn total(&self) -> usize {
        header_length(self.length) + self.length
    }
}

struct Scan<'a> {
    input: &'a [u8],
    position: usize,
    elements: Vec<Element>,
    changed: bool,
}

impl Scan<'_> {
    fn byte(&mut self, end: usize) -> Result<u8, Error> {
        let byte = self.input.get(self.position).filter(|_| self.position < end);
        self.position += 1;
        byte.copied().ok_or(Error::Malformed)
    }

    /// Reads a length; `None` when it is indefinite.
    fn length(&mut self, end: usize) -> Result<Option<usize>, Error> {
        let first = self.byte(end)?;
        if first < 0x80 {
            return Ok(Some(usize::from(first)));
        }
        let count = first & 0x7f;
        if count == 0 {
            self.changed = true;
            return Ok(None);
        }
        if count > 8 {
            return Err(Error::Malformed);
        }
        let mut length = 0u64;
        for _ in 0..count {
            length = length << 8 | u64::from(self.byte(end)?);
        }
        let length = usize::try_from(length).map_err(|_| Error::Malformed)?;
        self.changed |= header_length(length) != 2 + usize::from(count);
        Ok(Some(length))
    }

    /// Reads one element that ends at `end` or before.
    fn element(&mut self, end: usize, depth: usize) -> Result<usize, Error> {
        if depth > MAX_DEPTH || self.elements.len() >= MAX_ELEMENTS {
            return Err(Error::TooLarge);
        }
        let tag = self.byte(end)?;
        let shape = shape(tag)?;
        let length = self.length(end)?;
        let start = self.position;
        let contents_end = match length {
            Some(length) => start.checked_add(length).filter(|&it| it <= end).ok_or(Error::Malformed)?,
            None if shape == Shape::Primitive => return Err(Error::Malformed),
            None => end,
        };
        let index = self.elements.len();
        self.elements.push(Element { tag, length: contents_end - start, start, next: index + 1, shape });
        if shape == Shape::Primitive {
            self.position = contents_end;
            return Ok(index);
        }
        let written = self.children(shape, contents_end, length.is_none(), depth)?;
        let next = self.elements.len();
        if let Some(element) = self.elements.get_mut(index) {
            element.length = written;
            element.next = next;
            if shape == Shape::Segmented {
                element.tag = OCTET_STRING;
                self.changed = true;
            }
        }
        Ok(index)
    }

    /// Reads the children of a constructed element and gives the length of its contents in DER.
    fn children(
        &mut self,
        parent: Shape,
        end: usize,
        indefinite: bool,
        depth: usize,
    ) -> Result<usize, Error> {
        let mut written = 0;
        loop {
            if indefinite {
                if self.input.get(self.position..end).is_some_and(|rest| rest.starts_with(&[0, 0])) {
                    self.position += 2;
                    return Ok(written);
                }
            } else if self.position == end {
                return Ok(written);
            }
            let child = self.element(end, depth + 1)?;
            let child = self.elements.get(child).ok_or(Error::Malformed)?;
            if parent == Shape::Segmented {
                if child.tag != OCTET_STRING {
                    return Err(Error::Malformed);
                }
                written += child.length;
            } else {
                written += child.total();
            }
        }
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        let element = self.elements.get(index).ok_or(Error::Malformed)?;
        out.extend_from_slice(&header(element.tag, element.length));
        match element.shape {
            Shape::Constructed => {
                let mut child = index + 1;
                while child < element.next {
                    child = self.write(child, out)?;
                }
            }
            Shape::Primitive => self.copy(element, out)?,
            Shape::Segmented => {
                let segments = self.elements.get(index + 1..element.next).ok_or(Error::Malformed)?;
                for segment in segments.iter().filter(|segment| segment.shape == Shape::Primitive) {
                    self.copy(segment, out)?;
                }
            }
        }
        Ok(element.next)
    }

    fn copy(&self, element: &Element, out: &mut Vec<u8>) -> Result<(), Error> {
        let contents = self.input.get(element.start..element.start + element.length);
        out.extend_from_slice(contents.ok_or(Error::Malformed)?);
        Ok(())
    }
}

fn shape(tag: u8) -> Result<Shape, Error> {
    let universal = tag & CLASS == 0;
    // Neither long tag numbers nor end-of-contents where an element should be.
    if tag & 0x1f == 0x1f || tag == 0 {
        return Err(Error::Malformed);
    }
    match tag {
        CONSTRUCTED_OCTET_STRING => Ok(Shape::Segmented),
        SEQUENCE | SET => Ok(Shape::Constructed),
        _ if tag & CONSTRUCTED == 0 => Ok(Shape::Primitive),
        // No other universal type of ours may be constructed.
        _ if universal => Err(Error::Malformed),
        _ => Ok(Shape::Constructed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(input: &[u8]) -> Result<Vec<u8>, Error> {
        to_der(input, 1 << 20).map(Cow::into_owned)
    }

    #[test]
    fn der_is_borrowed() {
        let input = [0x30, 5, 4, 1, 7, 5, 0];
        assert!(matches!(to_der(&input, 100), Ok(Cow::Borrowed(it)) if it == input));
    }

    #[test]
    fn indefinite_and_overlong_become_definite() {
        assert_eq!(der(&[0x30, 0x80, 4, 1, 7, 0, 0]).unwrap(), [0x30, 3, 4, 1, 7]);
        assert_eq!(der(&[0x30, 0x82, 0, 3, 4, 0x81, 0]).unwrap(), [0x30, 2, 4, 0]);
        assert_eq!(der(&[0xa0, 0x80, 0x30, 0x80, 0, 0, 0, 0]).unwrap(), [0xa0, 2, 0x30, 0]);
    }

    #[test]
    fn segments_are_joined() {
        let nested = [0x24, 0x80, 4, 1, 1, 0x24, 4, 4, 2, 2, 3, 4, 0, 0, 0];
        assert_eq!(der(&nested).unwrap(), [4, 3, 1, 2, 3]);
        assert_eq!(der(&[0x24, 0]).unwrap(), [4, 0]);
        assert_eq!(der(&[0x24, 2, 5, 0]), Err(Error::Malformed));
    }

    #[test]
    fn hostile_shapes_are_errors() {
        for input in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x80, 0],
            &[0x30, 1, 4],
            &[0x30, 3, 4, 2, 0],
            &[0x04, 0x80, 0, 0],
            &[0x30, 2, 0, 0],
            &[0x30, 0, 0],
            &[0x21, 0],
            &[0x1f, 0x81, 1, 0],
            &[0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x04, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 4, 0x30, 0x80, 4, 0, 0, 0],
        ] {
            assert_eq!(der(input), Err(Error::Malformed), "{input:x?}");
        }
        assert_eq!(der(&[0x30, 0x80].repeat(1000)), Err(Error::TooLarge));
        let many = [4, 0].repeat(MAX_ELEMENTS + 1);
        assert_eq!(der(&crate::asn1::sequence(&[&many])), Err(Error::TooLarge));
        assert_eq!(to_der(&[4, 0], 1), Err(Error::TooLarge));
    }
}
