//! Questions to the kernel's BTF: where a member lies, what an enumerator is
//! worth, what a function takes.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

use btf_rs::{Backend, Btf, BtfType, Struct, Type};
use log::{info, warn};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{
    btf_index::Index,
    plain_btf::{Strange, plain},
};
use crate::error::AgentError;

/// The running kernel's types. Some megabytes: for the start, and not to be kept.
pub(crate) struct KernelBtf {
    btf: Btf,
    index: Index,
    strange: Strange,
}

/// Anonymous unions and structures nest; deeper than this is no kernel's.
const MAX_NESTING: u32 = 8;

impl KernelBtf {
    /// Where the kernel shows it.
    pub(crate) const PLACE: &str = "/sys/kernel/btf/vmlinux";

    /// Reads it.
    pub(crate) fn read() -> Result<Self, AgentError> {
        let path = Path::new(Self::PLACE);
        if !path.exists() {
            return Err(AgentError::NotTraceable(format!(
                "it shows no BTF at {}; boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, and \
                 see that /sys is mounted",
                Self::PLACE
            )));
        }
        let types = Self::at(path)?;
        if let Some(told) = types.strange.told() {
            let told = format!("the kernel's BTF is newer than this version knows; {told}");
            match types.strange.is_cut() {
                true => warn!("{told}"),
                false => info!("{told}"),
            }
        }
        Ok(types)
    }

    fn at(path: &Path) -> Result<Self, AgentError> {
        let unreadable = |source| AgentError::Read {
            path: path.to_owned(),
            source,
        };
        let told = fs::read(path).map_err(unreadable)?;
        let none =
            |it| AgentError::NotTraceable(format!("its BTF at {} is none: {it}", path.display()));
        let (strange, without) = plain(&told).map_err(none)?;
        let plain = without.as_ref().unwrap_or(&told);
        let index = Index::of(plain).map_err(none)?;
        // Only a mapped one is read piece by piece, and the kernel's own cannot be mapped
        // (before Linux 6.16).
        let copy = copy(plain).map_err(unreadable)?;
        drop((told, without));
        let copied = format!("/proc/self/fd/{}", copy.as_raw_fd());
        Ok(Self {
            btf: Btf::from_file_with_backend(copied, Backend::Mmap)?,
            index,
            strange,
        })
    }

    /// What it has that this version does not know.
    pub(crate) fn strange(&self) -> &Strange {
        &self.strange
    }

    /// Types of this name, in their order.
    fn ids(&self, name: &str) -> impl Iterator<Item = u32> {
        self.index.ids(name).filter(move |id| {
            let named = self.btf.resolve_type_by_id(*id);
            let found = named.ok().and_then(|it| {
                let it = it.as_btf_type()?;
                self.btf.resolve_name(it).ok()
            });
            found.is_some_and(|it| it == name)
        })
    }

    /// Byte offset of a member, looked for through anonymous members too.
    pub(crate) fn offset(&self, structure: &str, member: &str) -> Result<Option<u32>, AgentError> {
        let Some(structure) = self.structure(structure)? else {
            return Ok(None);
        };
        let bits = self.bit_offset(&structure, member, MAX_NESTING)?;
        Ok(bits.map(|it| it / 8))
    }

    pub(crate) fn size(&self, structure: &str) -> Result<Option<u32>, AgentError> {
        Ok(self.structure(structure)?.map(|it| it.size() as u32))
    }

    pub(crate) fn enumerator(&self, name: &str) -> Option<u64> {
        self.index.enumerator(name)
    }

    /// Types of a function's arguments; `None` if BTF has no such function.
    pub(crate) fn arguments(&self, function: &str) -> Result<Option<Vec<String>>, AgentError> {
        for id in self.ids(function) {
            let Type::Func(function) = self.btf.resolve_type_by_id(id)? else {
                continue;
            };
            let Type::FuncProto(prototype) = self.btf.resolve_chained_type(&function)? else {
                continue;
            };
            let mut arguments = Vec::new();
            for parameter in &prototype.parameters {
                arguments.push(self.spell(parameter.get_type_id().unwrap_or(0))?);
            }
            return Ok(Some(arguments));
        }
        Ok(None)
    }

    /// By which a program names the function that it is attached to.
    pub(crate) fn function_id(&self, name: &str) -> Option<u32> {
        self.ids(name)
            .find(|id| matches!(self.btf.resolve_type_by_id(*id), Ok(Type::Func(_))))
    }

    /// By which a program names a structure.
    pub(crate) fn structure_id(&self, name: &str) -> Option<u32> {
        self.ids(name)
            .find(|id| matches!(self.btf.resolve_type_by_id(*id), Ok(Type::Struct(_))))
    }

    fn structure(&self, name: &str) -> Result<Option<Struct>, AgentError> {
        for id in self.ids(name) {
            if let Type::Struct(it) | Type::Union(it) = self.btf.resolve_type_by_id(id)? {
                return Ok(Some(it));
            }
        }
        Ok(None)
    }

    fn bit_offset(
        &self,
        structure: &Struct,
        wanted: &str,
        nesting: u32,
    ) -> Result<Option<u32>, AgentError> {
        if nesting == 0 {
            return Ok(None);
        }
        for member in &structure.members {
            let name = self.btf.resolve_name(member)?;
            if name == wanted {
                return Ok(Some(member.bit_offset()));
            }
            if !name.is_empty() {
                continue;
            }
            let (Type::Struct(inner) | Type::Union(inner)) =
                self.btf.resolve_chained_type(member)?
            else {
                continue;
            };
            if let Some(offset) = self.bit_offset(&inner, wanted, nesting - 1)? {
                return Ok(Some(member.bit_offset() + offset));
            }
        }
        Ok(None)
    }

    /// A type as C spells it, qualifiers left out.
    fn spell(&self, id: u32) -> Result<String, AgentError> {
        if id == 0 {
            return Ok("void".to_owned());
        }
        let kind = self.btf.resolve_type_by_id(id)?;
        let inner = |it: &dyn BtfType| self.spell(it.get_type_id().unwrap_or(0));
        Ok(match &kind {
            Type::Ptr(it) => {
                let inner = inner(it)?;
                if inner.ends_with('*') {
                    format!("{inner}*")
                } else {
                    format!("{inner} *")
                }
            }
            Type::Const(it) | Type::Volatile(it) | Type::Restrict(it) => inner(it)?,
            Type::TypeTag(it) => inner(it)?,
            Type::Struct(it) => format!("struct {}", self.btf.resolve_name(it)?),
            Type::Union(it) => format!("union {}", self.btf.resolve_name(it)?),
            Type::Fwd(it) => format!("struct {}", self.btf.resolve_name(it)?),
            Type::FuncProto(_) => "function".to_owned(),
            other => match other.as_btf_type() {
                Some(it) => canonical(self.btf.resolve_name(it)?),
                None => other.name().to_owned(),
            },
        })
    }
}

/// gcc and clang spell the long types differently.
fn canonical(name: String) -> String {
    match name.as_str() {
        "long unsigned int" => "unsigned long".to_owned(),
        "long int" => "long".to_owned(),
        "_Bool" => "bool".to_owned(),
        _ => name,
    }
}

/// A copy in memory.
fn copy(bytes: &[u8]) -> io::Result<OwnedFd> {
    let copy = memfd_create("pinscope-btf", MemfdFlags::CLOEXEC)?;
    let mut copy = File::from(copy);
    copy.write_all(bytes)?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests;
