//! Pages as kernels write them, and what is to be read off them.

use super::{Seen, look};
use crate::witness::layout::{Bits, Layout};

/// Linux 6.12 on x86-64.
const NEW: Layout = Layout {
    page: 64,
    flags: 0,
    tail: 8,
    mapping: 24,
    private: 40,
    mapcount: 48,
    refcount: 52,
    order: 64,
    pincount: 92,
    counted_from_order: 1,
    hugetlb: Some(-12),
    free: Some(-16 << 24),
    bits: Bits {
        head: 1 << 6,
        slab: 0,
        of_users: 1 << 5 | 1 << 13,
        private: 1 << 14 | 1 << 15,
        swapcache: 1 << 10,
        swapbacked: 1 << 17,
    },
};

/// Linux 5.10.
const OLD: Layout = Layout {
    order: 64 + 17,
    pincount: 128 + 16,
    counted_from_order: 2,
    hugetlb: None,
    free: Some(-129),
    bits: Bits {
        head: 1 << 16,
        slab: 1 << 9,
        of_users: 1 << 4 | 1 << 12,
        private: 1 << 13 | 1 << 14,
        swapcache: 1 << 10,
        swapbacked: 1 << 19,
    },
    ..NEW
};

const HUGETLB: i32 = -12 << 24;
const FILE: u64 = 0xffff_8880_0123_4560;
const ANON: u64 = FILE | 1;

/// Four pages, of which the first is looked at.
#[derive(Clone)]
struct Pages(Vec<u8>);

impl Pages {
    fn new() -> Self {
        Self(vec![0; 4 * 64]).int(48, -1)
    }

    fn word(mut self, at: usize, value: u64) -> Self {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn int(mut self, at: usize, value: i32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn byte(mut self, at: usize, value: u8) -> Self {
        self.0[at] = value;
        self
    }

    fn refs(self, references: i32) -> Self {
        self.int(52, references)
    }

    fn maps(self, mappings: i32) -> Self {
        self.int(48, mappings - 1)
    }

    fn huge(self, layout: &Layout, pins: i32) -> Self {
        self.word(0, layout.bits.head)
            .byte(layout.order, 9)
            .int(layout.pincount, pins)
            .refs(1 + pins)
    }

    fn seen(&self, layout: &Layout) -> Seen {
        look(layout, 512, &self.0)
    }

    fn pins(&self, layout: &Layout) -> u64 {
        self.seen(layout).pins
    }
}

#[test]
fn a_small_folios_pins_are_what_nothing_else_explains() {
    let anon = Pages::new().word(24, ANON).maps(1);
    let file = Pages::new().word(24, FILE).maps(3);
    for layout in [&NEW, &OLD] {
        assert_eq!(anon.clone().refs(1).pins(layout), 0);
        assert_eq!(anon.clone().refs(1 + 1024).pins(layout), 1);
        assert_eq!(anon.clone().refs(1 + 7 * 1024).pins(layout), 7);
        assert_eq!(file.clone().refs(3 + 1 + 2 * 1024).pins(layout), 2);
        let buffers = file.clone().word(0, layout.bits.private);
        assert_eq!(buffers.refs(3 + 1 + 1 + 1024).pins(layout), 1);
        let swapped = layout.bits.swapcache | layout.bits.swapbacked;
        let swapped = anon.clone().word(0, swapped).refs(1 + 1 + 1024);
        assert_eq!(swapped.pins(layout), 1);
        assert_eq!(swapped.seen(layout).stray, 0);
    }
}

#[test]
fn a_page_that_1200_processes_map_has_no_pin() {
    let busybox = Pages::new().word(24, FILE).maps(1200).refs(1201);
    assert_eq!(busybox.pins(&NEW), 0);
    assert_eq!(busybox.seen(&NEW).stray, 0);
    assert_eq!(busybox.refs(1201 + 1024).pins(&NEW), 1);
}

#[test]
fn a_few_references_more_or_less_are_nothing_and_many_are_told() {
    let page = |refs| Pages::new().word(24, ANON).maps(1).refs(1 + refs);
    for (refs, pins, stray) in [
        (5, 0, 0),
        (1024 + 3, 1, 0),
        (1024 - 3, 1, 0),
        (300, 0, 300),
        (700, 0, 700),
        (1024 + 900, 1, 900),
    ] {
        let seen = page(refs).seen(&NEW);
        assert_eq!((seen.pins, seen.stray), (pins, stray), "{refs}");
    }
}

#[test]
fn fewer_references_than_mappings_are_no_pins() {
    let torn = Pages::new().word(24, FILE).maps(3000).refs(10).seen(&NEW);
    assert_eq!((torn.pins, torn.stray), (0, 10 - 3001));
}

#[test]
fn references_on_a_page_that_no_user_has_are_no_pins() {
    let networks = Pages::new().refs(1 + 32_768);
    for layout in [&NEW, &OLD] {
        let seen = networks.seen(layout);
        assert_eq!((seen.pins, seen.stray), (0, 32_769));
        // A pinned page of a file that is cut short.
        let cut_off = Pages::new().word(0, layout.bits.of_users).refs(1 + 1024);
        assert_eq!(cut_off.pins(layout), 1);
    }
}

#[test]
fn a_large_folio_has_a_count_of_pins_of_its_own() {
    for layout in [&NEW, &OLD] {
        let seen = Pages::new().huge(layout, 3).seen(layout);
        assert_eq!((seen.pages, seen.pins), (512, 3));
        // References alone say nothing of it.
        let referenced = Pages::new().huge(layout, 0).refs(5000);
        assert_eq!(referenced.pins(layout), 0);
    }
}

#[test]
fn where_two_pages_have_no_room_for_it_the_references_have_the_pins() {
    let pair = Pages::new()
        .word(0, OLD.bits.head)
        .word(24, ANON)
        .byte(OLD.order, 1)
        .maps(1)
        .refs(1 + 2 * 1024);
    let seen = pair.seen(&OLD);
    assert_eq!((seen.pages, seen.pins), (2, 2));
}

#[test]
fn a_hugetlb_folio_is_pinned_although_its_page_has_a_type() {
    let huge = Pages::new().huge(&NEW, 2).int(48, HUGETLB);
    assert_eq!(huge.pins(&NEW), 2);
    let odd_low_bits = huge.int(48, HUGETLB | 5);
    assert_eq!(odd_low_bits.pins(&NEW), 2);
}

#[test]
fn what_nobody_can_pin_has_no_pins() {
    let page = Pages::new().word(24, ANON).maps(1).refs(4000);
    let tail = page.clone().word(8, FILE | 1);
    let frozen = page.clone().refs(0);
    let of_a_table = page.clone().int(48, -257);
    let typed = page.clone().int(48, -11 << 24);
    let poisoned = Pages(vec![0xff; 4 * 64]);
    let hole = Pages(vec![0; 4 * 64]);
    for nothing in [tail, frozen, of_a_table, typed, poisoned, hole] {
        assert_eq!(nothing.seen(&NEW), Seen::free(1));
        assert_eq!(nothing.seen(&OLD), Seen::free(1));
    }
    let slab = page.word(0, OLD.bits.slab);
    assert_eq!(slab.seen(&OLD), Seen::free(1));
}

#[test]
fn a_free_block_is_stepped_over_whole() {
    for layout in [&NEW, &OLD] {
        let free = layout.free.expect("its kernel says so");
        let block = Pages::new().int(48, free).word(40, 9);
        assert_eq!(block.seen(layout), Seen::free(512));
        // It begins at a multiple of its size.
        assert_eq!(block.word(40, 10).seen(layout), Seen::free(1));
    }
}

#[test]
fn the_page_of_zeros_is_reserved_and_was_pinned_all_the_same() {
    let reserved = Pages::new().word(0, 1 << 12).refs(1 + 3 * 1024);
    assert_eq!(reserved.pins(&OLD), 3);
}

#[test]
fn a_tail_without_memory_of_its_own_shows_its_head_and_has_no_pins() {
    let head = Pages::new().huge(&NEW, 2);
    assert_eq!(look(&NEW, 512, &head.0).pins, 2);
    assert_eq!(look(&NEW, 512 + 64, &head.0), Seen::free(1));
}

#[test]
fn a_folio_of_an_impossible_size_has_no_pins() {
    let absurd = Pages::new().huge(&NEW, 2).byte(NEW.order, 200);
    assert_eq!(absurd.seen(&NEW), Seen::free(1));
}
