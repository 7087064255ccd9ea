//! How well an owner fits who releases.

use ledger::{Fit, Releaser};

const NOBODY: Releaser = Releaser {
    tgid: 0,
    mm: 0,
    object: 0,
};

const fn who(tgid: u64, mm: u64, object: u64) -> Releaser {
    Releaser { tgid, mm, object }
}

#[test]
fn an_owner_fits_by_object_then_process_then_address_space() {
    let plain = who(7, 70, 0);
    let ring = who(7, 70, 700);
    for (owner, releaser, fit) in [
        (ring, who(0, 0, 700), Fit::SameObject),
        (ring, who(9, 90, 700), Fit::SameObject),
        (plain, who(7, 70, 0), Fit::SameProcess),
        (plain, who(7, 0, 700), Fit::SameProcess),
        (ring, who(7, 70, 0), Fit::ObjectOfProcess),
        (ring, who(7, 70, 701), Fit::ObjectOfProcess),
        (plain, who(9, 70, 0), Fit::SameMm),
        (plain, who(0, 70, 0), Fit::SameMm),
        (ring, who(0, 70, 0), Fit::SameMm),
        (plain, who(9, 90, 0), Fit::Another),
        (plain, NOBODY, Fit::Another),
        (ring, who(9, 90, 0), Fit::ObjectOfAnother),
        (ring, NOBODY, Fit::ObjectOfAnother),
        // A thread of the kernel has neither, and is not the same as another one.
        (who(0, 0, 0), who(0, 0, 701), Fit::Another),
    ] {
        assert_eq!(Fit::of(1, &owner, &releaser), fit, "{owner:?} {releaser:?}");
    }
}

#[test]
fn what_nobody_is_known_to_have_is_for_whoever_is_known_and_has_none() {
    for releaser in [who(9, 0, 0), who(0, 90, 0), who(0, 0, 900)] {
        assert_eq!(Fit::of(0, &NOBODY, &releaser), Fit::Nobodys, "{releaser:?}");
    }
    assert_eq!(Fit::of(0, &NOBODY, &NOBODY), Fit::Another);
}

#[test]
fn siblings_are_two_objects_of_one_process() {
    let ring = who(7, 70, 700);
    assert!(ring.is_sibling_of(&who(7, 70, 701)));
    for other in [
        who(7, 70, 0),
        who(9, 70, 701),
        who(7, 90, 701),
        who(0, 0, 701),
        NOBODY,
    ] {
        assert!(!ring.is_sibling_of(&other), "{other:?}");
        assert!(!other.is_sibling_of(&ring), "{other:?}");
    }
    assert!(!who(0, 0, 700).is_sibling_of(&who(0, 0, 701)));
}
