//! Whether this kernel lets a program take any address for a `struct page`
//! (`bpf_rdonly_cast()`), and the object with calls of it that fit this kernel.

use aya::Btf;
use aya_obj::btf::BtfKind;
use probe_abi::{CAST_CALL, CAST_CALL_CODE};

use super::outline;
use crate::kernel::sys::bpf;

/// What the call and its answer are known by, in BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cast {
    function: u32,
    pub(super) page: u32,
}

impl Cast {
    /// `None` where the kernel has none, or does not take a program that calls it.
    pub(super) fn find(btf: &Btf) -> Option<Self> {
        let id = |name, kind| btf.id_by_type_name_kind(name, kind).ok();
        let cast = Self {
            function: id(outline::CAST, BtfKind::Func)?,
            page: id(outline::PAGE, BtfKind::Struct)?,
        };
        bpf::load_kprobe(&cast.program()).is_ok().then_some(cast)
    }

    /// `r0 = bpf_rdonly_cast(r1, page); r0 = *r0; r0 = 0; exit`
    fn program(self) -> [u64; 5] {
        [
            0x02b7 | u64::from(self.page) << 32,
            self.call(),
            0x0079,
            0x00b7,
            0x0095,
        ]
    }

    fn call(self) -> u64 {
        CAST_CALL & CAST_CALL_CODE | u64::from(self.function) << 32
    }
}

/// The object, in which each call has its target: where there is none, nothing
/// gets to the call.
pub(super) fn with_calls(object: &[u8], cast: Option<Cast>) -> Vec<u64> {
    let call = cast.map_or(CAST_CALL & CAST_CALL_CODE, Cast::call);
    // In words, because the ELF reader asks for an aligned image.
    let mut image = vec![0_u64; object.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut image)[..object.len()].copy_from_slice(object);
    for word in image.iter_mut().filter(|it| **it == CAST_CALL) {
        *word = call;
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attach::object::{BASELINE, MODERN};

    const CAST: Cast = Cast {
        function: 77,
        page: 5,
    };

    fn count(image: &[u64], instruction: u64) -> usize {
        image.iter().filter(|it| **it == instruction).count()
    }

    #[test]
    fn every_call_in_the_object_gets_its_target() {
        let before = with_calls(MODERN, None);
        let after = with_calls(MODERN, Some(CAST));
        let calls = count(&after, CAST.call());
        assert!(calls > 0);
        assert_eq!(count(&before, CAST_CALL & CAST_CALL_CODE), calls);
        assert_eq!(count(&after, CAST_CALL), 0);
    }

    #[test]
    fn the_baseline_object_calls_nothing_of_the_kind() {
        let image = with_calls(BASELINE, Some(CAST));
        assert_eq!(count(&image, CAST.call()), 0);
        assert_eq!(
            bytemuck::cast_slice::<_, u8>(&image)[..BASELINE.len()],
            *BASELINE
        );
    }
}
