use proptest::prelude::*;

use super::*;

const PAGES: usize = 64;

/// What should be true, kept without any cleverness: who has which byte.
#[derive(Default)]
struct Model {
    blocks: Vec<Block>,
}

impl Model {
    fn take(&mut self, book: &mut Book<PAGES>, size: usize, align: usize) {
        let free = book.free();
        match book.take(size, align) {
            Some(block) => {
                assert!(block.size >= size && block.offset + block.size <= PAGES * PAGE);
                assert!(block.offset.is_multiple_of(align));
                assert_eq!(book.find(block.offset), Some(block));
                let apart = |other: &Block| {
                    block.offset + block.size <= other.offset || other.offset + other.size <= block.offset
                };
                assert!(self.blocks.iter().all(apart), "two blocks share a byte");
                self.blocks.push(block);
            }
            // A small block fits as long as there is a page, and a run as long as it is not cut up.
            None => assert!(free < size.max(1).next_multiple_of(PAGE) || size > PAGE),
        }
        self.check(book);
    }

    fn give_back(&mut self, book: &mut Book<PAGES>, which: usize) {
        if self.blocks.is_empty() {
            return;
        }
        let block = self.blocks.swap_remove(which % self.blocks.len());
        assert_eq!(book.give_back(block.offset), Some(block));
        assert_eq!(book.give_back(block.offset), None, "nothing is given back twice");
        self.check(book);
    }

    fn check(&self, book: &Book<PAGES>) {
        let live: usize = self.blocks.iter().map(|block| block.size).sum();
        assert_eq!(book.live(), live);
        assert!(book.peak() >= live && book.free() + live <= PAGES * PAGE);
    }
}

fn cases() -> ProptestConfig {
    // Under Miri each step takes some thousand times as long, and there are no files.
    let cases = if cfg!(miri) { 4 } else { 256 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn blocks_are_apart_aligned_and_come_back(
        steps in proptest::collection::vec((any::<bool>(), 0..20_000usize, 0..10u32, any::<usize>()), 1..200)
    ) {
        let mut book = Book::new();
        let mut model = Model::default();
        for (gives_back, size, align, which) in steps {
            // Small ones are the rule.
            let size = if which % 4 == 0 { size } else { size % 700 };
            if gives_back { model.give_back(&mut book, which) } else { model.take(&mut book, size, 1 << align) }
        }
        while !model.blocks.is_empty() {
            model.give_back(&mut book, 0);
        }
        prop_assert_eq!((book.live(), book.free()), (0, PAGES * PAGE));
        prop_assert!(book.take(PAGES * PAGE, PAGE).is_some(), "an empty book has room for one block of all");
    }
}

#[test]
fn what_is_no_blocks_beginning_is_not_given_back() {
    let mut book = Book::<PAGES>::new();
    let small = book.take(40, 8).unwrap();
    let run = book.take(3 * PAGE, 16).unwrap();
    for offset in
        [small.offset + 1, small.offset + 48, run.offset + 16, run.offset + PAGE, PAGES * PAGE, usize::MAX]
    {
        assert_eq!((book.find(offset), book.give_back(offset)), (None, None), "{offset}");
    }
    assert_eq!(book.live(), small.size + run.size);
}

#[test]
fn a_full_book_takes_nothing_more_until_something_comes_back() {
    let mut book = Book::<PAGES>::new();
    let all: Vec<_> = std::iter::from_fn(|| book.take(16, 16)).collect();
    assert_eq!((all.len(), book.free()), (PAGES * PAGE / 16, 0));
    assert_eq!(book.take(1, 1), None);
    book.give_back(all[77].offset).unwrap();
    assert_eq!(book.take(1, 1), Some(all[77]));
    assert_eq!(book.peak(), PAGES * PAGE);
    assert_eq!(book.take(16, 2 * PAGE), None, "no alignment beyond a page");
}
