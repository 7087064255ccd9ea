//! A recording is read back as it was written, or what is wrong with it is said.

use proptest::prelude::*;

use probe_abi::MkcleanSample;

use super::{
    head::{PREAMBLE_BYTES, preamble},
    *,
};
use crate::{
    judge::{Inputs, Judge, Losses},
    replay,
};

fn head() -> Head {
    Head {
        kernel: "6.12.1-test".to_owned(),
        agent: "0.0.0".to_owned(),
        started_unix_seconds: 1,
        page_bytes: 4096,
        ledger_slots: 1024,
        inputs: Inputs {
            ptes: true,
            zaps: true,
        },
        hooks: Vec::new(),
    }
}

/// Three blocks of samples with losses between them.
fn recording() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &head()).unwrap();
    for number in 0..1200_u64 {
        if number == 700 {
            let losses = Losses {
                samples: 3,
                pauses: 5,
                pages: 1,
                at: 7,
            };
            writer.losses(losses).unwrap();
        }
        writer.sample(&sample(number)).unwrap();
    }
    writer.finish().unwrap()
}

fn sample(number: u64) -> MkcleanSample {
    MkcleanSample {
        at_ns: number * 1000,
        folio: 0xffff_ea00_0000_0000 + number % 50 * 64,
        pins_entry: (number % 3) as u32,
        ..MkcleanSample::default()
    }
}

fn check(bytes: &[u8], said: &str) -> Judge {
    let mut reader = Reader::new(bytes).unwrap();
    let (judge, damage) = replay::judge(&mut reader);
    assert_eq!(damage.map_or(String::new(), |it| it.to_string()), said);
    judge
}

#[test]
fn a_recording_is_read_back_sample_by_sample() {
    let bytes = recording();
    let mut reader = Reader::new(bytes.as_slice()).unwrap();
    assert_eq!(reader.head(), &head());
    let mut seen = Vec::new();
    let mut losses_after = None;
    while let Some(chunk) = reader.next_chunk().unwrap() {
        match chunk {
            Chunk::Samples(samples) => seen.extend_from_slice(samples),
            Chunk::Losses(losses) => {
                losses_after = Some((seen.len(), losses.samples, losses.pauses, losses.at));
            }
        }
    }
    assert_eq!(seen, (0..1200).map(sample).collect::<Vec<_>>());
    assert_eq!(losses_after, Some((700, 3, 5, 7)));
}

#[test]
fn what_came_before_the_cut_is_used() {
    let bytes = recording();
    let cut = &bytes[..bytes.len() - 30];
    let mut reader = Reader::new(cut).unwrap();
    let (judge, damage) = replay::judge(&mut reader);
    // 700, then one whole block.
    assert_eq!(judge.judged(), 956);
    let damage = damage.unwrap();
    assert!(matches!(damage.fault, Fault::CutOff), "{damage}");
    assert!(damage.offset > 0 && damage.offset < cut.len() as u64);
}

#[test]
fn a_changed_byte_is_found_by_its_blocks_checksum() {
    let mut bytes = recording();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    let mut reader = Reader::new(bytes.as_slice()).unwrap();
    let (_, damage) = replay::judge(&mut reader);
    assert!(matches!(damage.unwrap().fault, Fault::Checksum));
}

#[test]
fn other_files_and_other_versions_are_refused_by_name() {
    let refused = |bytes: &[u8]| Reader::new(bytes).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused(b"pinscope-trace 1\npage"),
        "not a recording of pinscope, at byte 0"
    );
    let mut newer = recording();
    newer[8] = 9;
    assert_eq!(
        refused(&newer),
        "a recording of format 9; this agent reads 1, at byte 0"
    );
    assert_eq!(refused(b""), "the recording is cut off, at byte 0");
}

#[test]
fn a_whole_recording_has_no_complaint() {
    assert_eq!(check(&recording(), "").judged(), 1200);
}

#[test]
fn a_block_that_unpacks_without_end_is_refused_before_memory_is_taken() {
    let mut bytes = recording();
    let claimed = u32::MAX.to_le_bytes();
    bytes[PREAMBLE_BYTES + 8..PREAMBLE_BYTES + 12].copy_from_slice(&claimed);
    let refused = Reader::new(bytes.as_slice()).map(|_| ()).unwrap_err();
    assert!(matches!(refused.fault, Fault::Block(_)), "{refused}");
}

/// A block whose checksum is right, whatever is in it.
fn forged(kind: u32, raw: &[u8]) -> Vec<u8> {
    let stored = lz4_flex::block::compress(raw);
    let mut header = block::Header {
        kind,
        stored: stored.len() as u32,
        raw: raw.len() as u32,
        checksum: 0,
    };
    header.checksum = header.sum(&stored);
    [header.to_bytes().as_slice(), &stored].concat()
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

proptest! {
    #[test]
    fn no_change_of_a_file_makes_the_replay_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = recording();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        if let Ok(mut reader) = Reader::new(bytes.as_slice()) {
            let (judge, _) = replay::judge(&mut reader);
            prop_assert!(judge.judged() <= 1200);
        }
    }

    #[test]
    fn forged_blocks_with_good_checksums_make_no_panic(
        blocks in prop::collection::vec((0_u32..6, any_bytes()), 0..6),
        words in prop::collection::vec(any::<u64>(), 15 * 4),
    ) {
        let json = serde_json::to_vec(&head()).unwrap();
        let mut bytes = preamble().to_vec();
        bytes.extend(forged(1, &json));
        let mut packed = Vec::new();
        block::pack(bytemuck::cast_slice(&words), &mut packed);
        bytes.extend(forged(2, &packed));
        for (kind, raw) in blocks {
            bytes.extend(forged(kind, &raw));
        }
        let mut reader = Reader::new(bytes.as_slice()).unwrap();
        let (judge, _) = replay::judge(&mut reader);
        prop_assert!(judge.judged() >= 4);
    }
}
