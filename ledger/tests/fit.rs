//! How well an owner fits who releases, and how near two owners are.

use ledger::{Fit, Identity, Kinship, Releaser};

const NOBODY: Identity = owner(0, 0, 0);
const ANYBODY: Releaser = releaser(0, 0, 0);

const fn owner(tgid: u64, mm: u64, object: u64) -> Identity {
    Identity {
        tgid,
        mm,
        object,
        object_mm: if object == 0 { 0 } else { mm },
        kin: 1,
    }
}

/// One whose ring was made for another process.
const fn inherited(tgid: u64, mm: u64, object: u64, object_mm: u64) -> Identity {
    Identity {
        object_mm,
        ..owner(tgid, mm, object)
    }
}

const fn releaser(tgid: u64, mm: u64, object: u64) -> Releaser {
    Releaser {
        tgid,
        mm,
        object,
        doubt: 0,
    }
}

#[test]
fn an_owner_fits_by_object_then_process_then_address_space() {
    let plain = owner(7, 70, 0);
    let ring = owner(7, 70, 700);
    let child = inherited(8, 80, 700, 70);
    for (owner, releaser, fit) in [
        (ring, releaser(0, 70, 700), Fit::SameObject),
        // Of a ring that is known, whoever calls: what its process has may stand in the name of
        // another ring, or of none.
        (ring, releaser(0, 70, 701), Fit::ObjectOfProcess),
        (plain, releaser(0, 70, 700), Fit::SameMm),
        (child, releaser(0, 70, 700), Fit::SameObject),
        (child, releaser(0, 70, 701), Fit::SameMm),
        (child, releaser(0, 80, 701), Fit::ObjectOfAnother),
        (child, releaser(8, 80, 0), Fit::ObjectOfProcess),
        // The address is another process's ring now.
        (ring, releaser(0, 90, 700), Fit::ObjectOfAnother),
        (plain, releaser(7, 70, 0), Fit::SameProcess),
        (ring, releaser(7, 70, 0), Fit::ObjectOfProcess),
        (plain, releaser(9, 70, 0), Fit::SameMm),
        (plain, releaser(0, 70, 0), Fit::SameMm),
        (ring, releaser(0, 70, 0), Fit::SameMm),
        (plain, releaser(9, 90, 0), Fit::Another),
        (plain, ANYBODY, Fit::Another),
        (ring, releaser(9, 90, 0), Fit::ObjectOfAnother),
        (ring, ANYBODY, Fit::ObjectOfAnother),
        // A thread of the kernel has neither, and is not the same as another one.
        (NOBODY, releaser(0, 0, 701), Fit::Another),
    ] {
        assert_eq!(Fit::of(1, &owner, &releaser), fit, "{owner:?} {releaser:?}");
    }
}

#[test]
fn what_nobody_is_known_to_have_is_for_whoever_is_known_and_has_none() {
    for releaser in [releaser(9, 0, 0), releaser(0, 90, 0), releaser(0, 0, 900)] {
        assert_eq!(Fit::of(0, &NOBODY, &releaser), Fit::Nobodys, "{releaser:?}");
    }
    assert_eq!(Fit::of(0, &NOBODY, &ANYBODY), Fit::Another);
}

#[test]
fn owners_are_near_by_process_and_address_space_then_by_kind() {
    let plain = owner(7, 70, 0);
    let ring = owner(7, 70, 700);
    let of_another_way = |it| Identity { kin: 2, ..it };
    for (owner, newcomer, kinship) in [
        (ring, owner(7, 70, 701), Kinship::Kin),
        (plain, plain, Kinship::Kin),
        (ring, of_another_way(owner(7, 70, 701)), Kinship::SameKind),
        (plain, of_another_way(plain), Kinship::SameKind),
        (plain, ring, Kinship::Plain),
        (ring, plain, Kinship::Object),
        (ring, inherited(7, 80, 701, 70), Kinship::Kin),
        (ring, inherited(7, 70, 701, 80), Kinship::Stranger),
        (ring, owner(9, 70, 701), Kinship::Stranger),
        (ring, owner(7, 90, 701), Kinship::Stranger),
        (owner(0, 0, 700), owner(0, 0, 701), Kinship::Stranger),
        (NOBODY, NOBODY, Kinship::Stranger),
    ] {
        assert_eq!(
            Kinship::of(&owner, &newcomer),
            kinship,
            "{owner:?} {newcomer:?}"
        );
    }
}
