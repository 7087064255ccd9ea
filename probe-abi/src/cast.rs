//! The call in the probes whose target only the running kernel knows.

/// An instruction that calls a function of the kernel (`BPF_PSEUDO_KFUNC_CALL`): in
/// its upper half the agent puts the BTF id of `bpf_rdonly_cast()`, or 0 where
/// there is none. No other instruction has this upper half.
pub const CAST_CALL: u64 = 0x7473_6163_0000_2085;

/// The lower half: everything but the id.
pub const CAST_CALL_CODE: u64 = 0xffff_ffff;
