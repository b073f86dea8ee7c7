use super::*;

const KEY: [u8; 32] = [7; 32];

fn begun() -> Begun {
    let block = |n| Block { digest: [n; 32], length: u32::from(n) };
    let trailer = Some(Trailer { signature: [9; 32], bytes: Bytes::from_static(b"trailer") });
    let start = Bytes::from_static(b"start");
    Begun { version: 3, upload: [5; 16], start, blocks: [block(1), block(2)].into(), trailer }
}

fn entries() -> Vec<Vec<u8>> {
    let (mut chain, begun) = (Chain::new(&KEY), begun());
    let mut entries = vec![chain.entry(BEGUN, &[&begun.version.to_be_bytes(), &begun.upload, &begun.start])];
    for block in &begun.blocks {
        entries.push(chain.entry(BLOCK, &[&block.digest, &block.length.to_be_bytes()]));
    }
    let trailer = begun.trailer.unwrap();
    entries.push(chain.entry(TRAILER, &[&trailer.signature, &trailer.bytes]));
    entries
}

fn parse(bytes: &[u8]) -> Option<Begun> {
    Chain::new(&KEY).parse(Bytes::copy_from_slice(bytes))
}

#[test]
fn what_was_written_is_read_and_nothing_else() {
    let written = entries().concat();
    assert_eq!(parse(&written), Some(begun()));
    assert_eq!(begun().sent(), 3);
    assert_eq!(Chain::new(&[8; 32]).parse(written.clone().into()), None, "under another key");
    for at in 0..written.len() {
        let mut bent = written.clone();
        bent[at] ^= 1;
        assert_eq!(parse(&bent), None, "bent at {at}");
    }
    // Cut between entries it says what had been written by then, else nothing.
    let ends: Vec<usize> = (1..=4).map(|count| entries()[..count].concat().len()).collect();
    for at in 0..=written.len() {
        assert_eq!(parse(&written[..at]).is_some(), ends.contains(&at), "cut at {at}");
    }
}

#[test]
fn entries_have_their_order_and_no_other() {
    let [first, one, two, trailer] = entries().try_into().unwrap();
    assert_eq!(parse(&[&first[..], &two, &one, &trailer].concat()), None);
    assert_eq!(parse(&[&first[..], &two].concat()), None);
    assert_eq!(parse(&[&one[..], &two].concat()), None);
    assert_eq!(parse(&[&first[..], &first].concat()), None);
}

#[test]
fn one_at_a_time_and_only_what_is_old_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user.document");
    assert!(take(&path, Missing::Leave).is_err(), "there is none");
    let held = take(&path, Missing::Make).unwrap().unwrap();
    assert_eq!(held.metadata().unwrap().mode() & 0o777, 0o600);
    assert!(take(&path, Missing::Make).unwrap().is_none());
    held.set_modified(SystemTime::now() - 2 * KEPT).unwrap();
    sweep(folder.path()).unwrap();
    assert!(path.exists(), "one in use stays, however old");
    drop(held);
    sweep(folder.path()).unwrap();
    assert!(!path.exists());
    drop(take(&path, Missing::Make).unwrap().unwrap());
    sweep(folder.path()).unwrap();
    assert!(path.exists());
}
