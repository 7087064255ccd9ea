//! Whether this kernel lets a program take any address for a `struct page`
//! (`bpf_rdonly_cast()`), and the object with calls of it that fit this kernel.

use aya::Btf;
use aya_obj::btf::BtfKind;
use probe_abi::{CAST_CALL, CAST_CALL_CODE};

use super::outline;
use crate::kernel::{
    instructions::{R0, R2, exit, load, set},
    sys::bpf,
};

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
            set(R2, self.page.cast_signed()),
            self.call(),
            load(R0, R0, 0),
            set(R0, 0),
            exit(),
        ]
    }

    fn call(self) -> u64 {
        CAST_CALL & CAST_CALL_CODE | u64::from(self.function) << 32
    }
}

/// Gives each call of an object its target: where there is none, nothing gets to the call.
pub(super) fn set_calls(image: &mut [u64], cast: Option<Cast>) {
    let call = cast.map_or(CAST_CALL & CAST_CALL_CODE, Cast::call);
    for word in image.iter_mut().filter(|it| **it == CAST_CALL) {
        *word = call;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attach::image::Image;

    const CAST: Cast = Cast {
        function: 77,
        page: 5,
    };

    fn count(image: &[u64], instruction: u64) -> usize {
        image.iter().filter(|it| **it == instruction).count()
    }

    #[test]
    fn every_call_in_the_object_gets_its_target() {
        let mut before = Image::Modern.unpacked().unwrap();
        let mut after = before.clone();
        set_calls(&mut before, None);
        set_calls(&mut after, Some(CAST));
        let calls = count(&after, CAST.call());
        assert!(calls > 0);
        assert_eq!(count(&before, CAST_CALL & CAST_CALL_CODE), calls);
        assert_eq!(count(&after, CAST_CALL), 0);
    }

    #[test]
    fn the_baseline_object_calls_nothing_of_the_kind() {
        let object = Image::Baseline.unpacked().unwrap();
        let mut image = object.clone();
        set_calls(&mut image, Some(CAST));
        assert_eq!(image, object);
    }
}
