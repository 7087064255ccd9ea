//! A recording judged by the code that judges live.

use std::io::Read;

use crate::{
    judge::Judge,
    recording::{Chunk, Damage, Reader},
};

/// Judges all of a recording, or what comes before its damage.
pub fn judge<R: Read>(reader: &mut Reader<R>) -> (Judge, Option<Damage>) {
    let head = reader.head();
    let capacity = usize::try_from(head.ledger_slots).unwrap_or(usize::MAX);
    let mut judge = Judge::new(capacity, head.inputs);
    loop {
        match reader.next_chunk() {
            Ok(Some(Chunk::Samples(samples))) => {
                for sample in samples {
                    judge.judge(sample);
                }
            }
            Ok(Some(Chunk::Losses(losses))) => judge.lose(losses),
            Ok(None) => return (judge, None),
            Err(damage) => return (judge, Some(damage)),
        }
    }
}
