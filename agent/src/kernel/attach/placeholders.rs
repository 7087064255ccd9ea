//! The object with this kernel's layout in its instructions: each placeholder becomes the field
//! that it stands for.

use std::{io, ops::Range};

use object::{
    Endianness,
    elf::{FileHeader64, SHF_EXECINSTR},
    read::elf::{FileHeader as _, SectionHeader as _},
};
use probe_abi::{Layout, filled};

/// Fills them in, in the sections that have programs: elsewhere a word that looks like one is
/// none. `image` is the object in words.
pub(super) fn fill(image: &mut [u64], layout: &Layout) -> io::Result<()> {
    let layout = bytemuck::bytes_of(layout);
    let programs = programs(bytemuck::cast_slice(image)).map_err(io::Error::other)?;
    for words in programs {
        for word in image.get_mut(words).unwrap_or_default() {
            let far = || io::Error::other("a member lies further away than a load reaches");
            *word = filled(*word, layout).ok_or_else(far)?;
        }
    }
    Ok(())
}

/// Where the object has instructions, in words.
fn programs(object: &[u8]) -> object::Result<Vec<Range<usize>>> {
    let header = FileHeader64::<Endianness>::parse(object)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, object)?;
    let ranges = sections.iter().filter_map(|it| {
        let is_code = it.sh_flags(endian) & u64::from(SHF_EXECINSTR) != 0;
        let (at, size) = it.file_range(endian).filter(|_| is_code)?;
        Some(at as usize / 8..(at + size) as usize / 8)
    });
    Ok(ranges.collect())
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use probe_abi::{CONSTANT, MEMBER};

    use super::*;
    use crate::kernel::attach::image::Image;

    /// Instructions of programs that a test holds for.
    fn count(image: &[u64], is_one: impl Fn(u64) -> bool) -> usize {
        let ranges = programs(bytemuck::cast_slice(image)).unwrap();
        let words = ranges.into_iter().flat_map(|it| &image[it]);
        words.filter(|it| is_one(**it)).count()
    }

    fn is_constant(word: u64) -> bool {
        word as u8 == 0xb4 && (word >> 32) as u32 & 0xffff_0000 == CONSTANT
    }

    fn is_member(word: u64) -> bool {
        word as u8 & 7 == 1 && (word >> 16) as i16 >= MEMBER
    }

    #[test]
    fn no_placeholder_is_left_in_either_object() {
        for (object, loads) in [(Image::Modern, true), (Image::Baseline, false)] {
            let mut image = object.unpacked().unwrap();
            assert!(count(&image, is_constant) > 100);
            assert!(!loads || count(&image, is_member) > 10);
            fill(&mut image, &Layout::zeroed()).unwrap();
            assert_eq!(count(&image, is_constant) + count(&image, is_member), 0);
        }
    }
}
