//! Which parts of a region are taken: small blocks in pages of one size class, larger ones as runs of pages.
//!
//! The book only counts: it never touches the region, holds no pointer and works on offsets, so that what it decides can
//! be tested by itself. It lies outside the region: whoever writes past the end of a block does not change it.

/// The unit of the book, in bytes.
pub(crate) const PAGE: usize = 4096;
/// The sizes of small blocks: multiples of 16 that leave little of a page over.
const CLASSES: [usize; 14] = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 1024, 1360, 2048];
/// The most blocks in a page, by 64.
const WORDS: usize = PAGE / 16 / 64;
/// No page: pages are linked by number plus one, so that an empty book is all zeros and takes no room in the program.
const NONE: u16 = 0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Free,
    /// A page of small blocks.
    Small,
    /// The first page of a run.
    Head,
    /// Another page of a run.
    Tail,
}

#[derive(Clone, Copy)]
struct Page {
    /// Of a small page: its class.
    class: u8,
    /// Of a small page: how many blocks are taken. Of a run's head: how many pages it has.
    used: u16,
    /// Neighbours in the list of small pages that have room.
    next: u16,
    previous: u16,
    /// Of a small page: which blocks are taken.
    taken: [u64; WORDS],
}

const EMPTY: Page = Page { class: 0, used: 0, next: NONE, previous: NONE, taken: [0; WORDS] };

/// The book of a region of `PAGES` pages.
pub(crate) struct Book<const PAGES: usize> {
    kinds: [Kind; PAGES],
    pages: [Page; PAGES],
    /// For each class, the first page with room.
    with_room: [u16; CLASSES.len()],
    free_pages: usize,
    live: usize,
    peak: usize,
}

/// A block that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it begins, in bytes from the region's start.
    pub(crate) offset: usize,
    /// What it can hold, in bytes: at least what was asked for.
    pub(crate) size: usize,
}

impl<const PAGES: usize> Book<PAGES> {
    /// A book in which nothing is taken.
    pub(crate) const fn new() -> Self {
        assert!(PAGES < u16::MAX as usize);
        Self {
            kinds: [Kind::Free; PAGES],
            pages: [EMPTY; PAGES],
            with_room: [NONE; CLASSES.len()],
            free_pages: PAGES,
            live: 0,
            peak: 0,
        }
    }

    /// Takes a block; none when there is no room for it, or when it should be aligned to more than a page.
    pub(crate) fn take(&mut self, size: usize, align: usize) -> Option<Block> {
        if align > PAGE {
            return None;
        }
        let block = match class_for(size, align) {
            Some(class) => self.take_small(class)?,
            None => self.take_run(size.div_ceil(PAGE))?,
        };
        self.live += block.size;
        self.peak = self.peak.max(self.live);
        Some(block)
    }

    /// The block that begins at the offset, if one is taken there.
    pub(crate) fn find(&self, offset: usize) -> Option<Block> {
        let number = offset / PAGE;
        let page = self.pages.get(number)?;
        let within = offset % PAGE;
        match self.kinds[number] {
            Kind::Small => {
                let size = CLASSES[usize::from(page.class)];
                let slot = within / size;
                let taken = page.taken[slot / 64] & (1 << (slot % 64)) != 0;
                (within.is_multiple_of(size) && taken).then_some(Block { offset, size })
            }
            Kind::Head if within == 0 => Some(Block { offset, size: usize::from(page.used) * PAGE }),
            Kind::Free | Kind::Head | Kind::Tail => None,
        }
    }

    /// Gives back the block that begins at the offset; none when no block does.
    pub(crate) fn give_back(&mut self, offset: usize) -> Option<Block> {
        let block = self.find(offset)?;
        let number = offset / PAGE;
        if self.kinds[number] == Kind::Small {
            self.give_back_small(number, block);
        } else {
            let count = usize::from(self.pages[number].used);
            self.kinds[number..number + count].fill(Kind::Free);
            self.pages[number] = EMPTY;
            self.free_pages += count;
        }
        self.live -= block.size;
        Some(block)
    }

    /// The bytes of all blocks that are taken.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// The most bytes that were ever taken at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    /// The bytes of pages in which nothing is taken.
    pub(crate) fn free(&self) -> usize {
        self.free_pages * PAGE
    }

    fn take_small(&mut self, class: usize) -> Option<Block> {
        let size = CLASSES[class];
        let number = match self.with_room[class] {
            NONE => self.new_small(class)?,
            page => usize::from(page - 1),
        };
        let page = &mut self.pages[number];
        let word = page.taken.iter().position(|word| *word != u64::MAX)?;
        let bit = page.taken[word].trailing_ones();
        page.taken[word] |= 1 << bit;
        page.used += 1;
        if usize::from(page.used) == PAGE / size {
            self.unlink(number);
        }
        Some(Block { offset: number * PAGE + (word * 64 + bit as usize) * size, size })
    }

    /// The lowest free page becomes one of small blocks; runs come from the other end, so that long-lived small blocks do
    /// not cut the space up.
    fn new_small(&mut self, class: usize) -> Option<usize> {
        let number = self.kinds.iter().position(|kind| *kind == Kind::Free)?;
        self.kinds[number] = Kind::Small;
        self.pages[number] = Page { class: class as u8, ..EMPTY };
        self.free_pages -= 1;
        self.link(number);
        Some(number)
    }

    fn give_back_small(&mut self, number: usize, block: Block) {
        let slot = block.offset % PAGE / block.size;
        let page = &mut self.pages[number];
        let was_full = usize::from(page.used) == PAGE / block.size;
        page.taken[slot / 64] &= !(1 << (slot % 64));
        page.used -= 1;
        let is_empty = page.used == 0;
        match (was_full, is_empty) {
            (true, false) => self.link(number),
            (false, true) => self.unlink(number),
            _ => {}
        }
        if is_empty {
            self.kinds[number] = Kind::Free;
            self.pages[number] = EMPTY;
            self.free_pages += 1;
        }
    }

    fn take_run(&mut self, count: usize) -> Option<Block> {
        let mut free = 0;
        for number in (0..PAGES).rev() {
            free = if self.kinds[number] == Kind::Free { free + 1 } else { 0 };
            if free == count {
                self.kinds[number] = Kind::Head;
                self.kinds[number + 1..number + count].fill(Kind::Tail);
                self.pages[number] = Page { used: count as u16, ..EMPTY };
                self.free_pages -= count;
                return Some(Block { offset: number * PAGE, size: count * PAGE });
            }
        }
        None
    }

    /// Puts a small page that has room at the head of its class's list.
    fn link(&mut self, number: usize) {
        let class = usize::from(self.pages[number].class);
        let next = std::mem::replace(&mut self.with_room[class], number as u16 + 1);
        self.pages[number].next = next;
        self.pages[number].previous = NONE;
        if next != NONE {
            self.pages[usize::from(next - 1)].previous = number as u16 + 1;
        }
    }

    /// Takes a small page out of its class's list.
    fn unlink(&mut self, number: usize) {
        let Page { class, next, previous, .. } = self.pages[number];
        match previous {
            NONE => self.with_room[usize::from(class)] = next,
            page => self.pages[usize::from(page - 1)].next = next,
        }
        if next != NONE {
            self.pages[usize::from(next - 1)].previous = previous;
        }
        (self.pages[number].next, self.pages[number].previous) = (NONE, NONE);
    }
}

/// The class of a small block; none for one that takes whole pages.
fn class_for(size: usize, align: usize) -> Option<usize> {
    // Blocks begin at multiples of their size, counted from the start of a page.
    CLASSES.iter().position(|class| size <= *class && class.is_multiple_of(align))
}

#[cfg(test)]
mod tests;
