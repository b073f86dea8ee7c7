//! BER-TLV data objects (ISO/IEC 7816-4, 5.2.2), as cards write them: definite lengths, tags of one to three bytes.

/// The next object: its tag, its content, and what follows it. None for bytes that are no object.
pub(crate) fn next(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (tag, rest) = tag(bytes)?;
    let (length, rest) = length(rest)?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the first object with this tag among those in `bytes`.
pub(crate) fn find(mut bytes: &[u8], wanted: u32) -> Option<&[u8]> {
    while !bytes.is_empty() {
        let (tag, content, rest) = next(bytes)?;
        if tag == wanted {
            return Some(content);
        }
        bytes = rest;
    }
    None
}

fn tag(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut tag = u32::from(first);
    if first & 0x1f == 0x1f {
        // More bytes of the tag follow one that has the upper bit; no card has more than two.
        for last in [false, true] {
            let (&byte, after) = rest.split_first()?;
            (tag, rest) = (tag << 8 | u32::from(byte), after);
            if byte & 0x80 == 0 {
                break;
            }
            if last {
                return None;
            }
        }
    }
    Some((tag, rest))
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let count = match first {
        0..=0x7f => return Some((first.into(), rest)),
        0x81 => 1,
        0x82 => 2,
        _ => return None,
    };
    let (length, rest) = rest.split_at_checked(count)?;
    Some((length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest))
}

/// Writes tag and length of an object of at most 65535 bytes; the content follows.
pub(crate) fn head(tag: &[u8], length: usize) -> Vec<u8> {
    let [.., high, low] = length.to_be_bytes();
    match length {
        0..=0x7f => [tag, &[low]].concat(),
        0x80..=0xff => [tag, &[0x81, low]].concat(),
        _ => [tag, &[0x82, high, low]].concat(),
    }
}

/// Writes an object.
pub(crate) fn object(tag: &[u8], content: &[u8]) -> Vec<u8> {
    [&head(tag, content.len()), content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let content = vec![7; length];
            let bytes = [object(&[0x53], &content), vec![9]].concat();
            assert_eq!(next(&bytes), Some((0x53, &content[..], &[9][..])));
        }
        assert_eq!(next(&object(&[0x7f, 0x49], &[1])), Some((0x7f49, &[1][..], &[][..])));
        assert_eq!(next(&object(&[0x5f, 0xc1, 0x05], &[1])), Some((0x5f_c105, &[1][..], &[][..])));
    }

    #[test]
    fn an_object_is_found_among_others_and_nothing_in_nonsense() {
        let bytes = [object(&[0x70], &[1, 2]), object(&[0x71], &[0]), object(&[0xfe], &[])].concat();
        assert_eq!(find(&bytes, 0x71), Some(&[0][..]));
        assert_eq!(find(&bytes, 0xfe), Some(&[][..]));
        assert_eq!(find(&bytes, 0x72), None);
        for bad in [
            &[0x70][..],
            &[0x70, 2, 1],
            &[0x70, 0x80],
            &[0x70, 0x83, 0, 0, 0],
            &[0x7f],
            &[0x7f, 0x81, 0x81, 1, 0],
        ] {
            assert_eq!(next(bad), None, "{bad:02x?}");
        }
    }
}
