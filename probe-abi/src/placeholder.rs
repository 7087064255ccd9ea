//! Numbers in the probes that only the running kernel knows. Where a probe needs a field of
//! [`Layout`], it has an instruction with a placeholder, and the agent writes the field's value
//! there before it loads the object: a constant of the instruction costs nothing, and to read it
//! from memory takes two more.

use crate::{ABSENT, Layout};

/// Upper half of the constant of a `mov`, whose lower half is a field's byte offset in [`Layout`].
pub const CONSTANT: u32 = 0x6c61_0000;

/// Offset of a load, to which a field's byte offset in [`Layout`] is added. No load of a probe
/// goes so far by itself.
pub const MEMBER: i16 = 0x7000;

const _: () = assert!(
    size_of::<Layout>() < 0x1000,
    "the lower part of either is for it"
);

/// The instruction with the value of the field that it is a placeholder for; itself if it is none.
/// `None` where the value does not fit into it.
///
/// `layout` is in bytes. A member that the kernel has not becomes 0: no program comes to it.
#[must_use]
pub fn filled(instruction: u64, layout: &[u8]) -> Option<u64> {
    /// `BPF_ALU | BPF_MOV | BPF_K`.
    const MOVE: u8 = 0xb4;
    /// `BPF_LDX | BPF_MEM` of 32, 16, 8 and 64 bits.
    const LOADS: [u8; 4] = [0x61, 0x69, 0x71, 0x79];
    let code = instruction as u8;
    let constant = (instruction >> 32) as u32;
    let offset = (instruction >> 16) as i16;
    if code == MOVE && constant & 0xffff_0000 == CONSTANT {
        let value = field(layout, constant & 0xffff);
        return Some(value.map_or(instruction, |it| {
            instruction & 0xffff_ffff | u64::from(it) << 32
        }));
    }
    if LOADS.contains(&code) && offset >= MEMBER {
        let member = match field(layout, u32::from((offset - MEMBER).cast_unsigned())) {
            None => return Some(instruction),
            Some(ABSENT) => 0,
            Some(value) => i16::try_from(value).ok()?,
        };
        return Some(instruction & !0xffff_0000 | u64::from(member.cast_unsigned()) << 16);
    }
    Some(instruction)
}

fn field(layout: &[u8], at: u32) -> Option<u32> {
    let bytes = layout.get(at as usize..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layout of three fields: 0x21, [`ABSENT`] and one that no load reaches.
    const LAYOUT: [u8; 12] = [0x21, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x80, 0, 0];

    #[test]
    fn a_placeholder_becomes_the_field() {
        for (placeholder, expected) in [
            (0x6c61_0000_0000_03b4, 0x0000_0021_0000_03b4),
            (0x6c61_0004_0000_03b4, 0xffff_ffff_0000_03b4),
            (0x6c61_0008_0000_03b4, 0x0000_8000_0000_03b4),
            (0x7000_2179, 0x0021_2179),
            (0x7004_2161, 0x0000_2161),
        ] {
            assert_eq!(
                filled(placeholder, &LAYOUT),
                Some(expected),
                "{placeholder:x}"
            );
        }
    }

    #[test]
    fn a_member_that_is_too_far_away_is_refused() {
        assert_eq!(filled(0x7008_2179, &LAYOUT), None);
    }

    #[test]
    fn all_else_stays() {
        for instruction in [
            0x95,
            0x6c61_0000_0000_03b7,
            0xfff8_2179,
            0x7000_217b,
            0x7ffc_2179,
        ] {
            assert_eq!(filled(instruction, &LAYOUT), Some(instruction));
        }
    }
}
