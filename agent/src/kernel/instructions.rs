//! What the agent's own small programs are written in: an instruction is a word, and each kind of it is
//! a function here. Leaves out the probes, which a compiler makes.

use aya_obj::generated::{
    BPF_ADD, BPF_ALU64, BPF_ATOMIC, BPF_B, BPF_CALL, BPF_DW, BPF_EXIT, BPF_IMM, BPF_JEQ, BPF_JMP,
    BPF_JNE, BPF_K, BPF_LD, BPF_LDX, BPF_MEM, BPF_MOV, BPF_NEG, BPF_PSEUDO_MAP_VALUE, BPF_ST,
    BPF_STX, BPF_W, BPF_X, bpf_func_id,
};

/// A register: [`R0`] is what a function returns, [`R1`] to [`R5`] are what one is given and are lost
/// by a call, [`R6`] and [`R7`] are kept.
#[derive(Clone, Copy)]
pub(super) struct Register(u8);

pub(super) const R0: Register = Register(0);
pub(super) const R1: Register = Register(1);
pub(super) const R2: Register = Register(2);
pub(super) const R3: Register = Register(3);
pub(super) const R4: Register = Register(4);
pub(super) const R5: Register = Register(5);
pub(super) const R6: Register = Register(6);
pub(super) const R7: Register = Register(7);

/// Where the stack begins; it grows to lower addresses.
pub(super) const STACK: Register = Register(10);

/// Where an instruction has no register.
const NONE: Register = Register(0);

/// A program that does nothing.
pub(super) const NOTHING: [u64; 2] = [set(R0, 0), exit()];

/// `to = number`
pub(super) const fn set(to: Register, number: i32) -> u64 {
    word(BPF_ALU64 | BPF_MOV | BPF_K, to, NONE, 0, number)
}

/// `to = number`, of 64 bits.
pub(super) const fn set_long(to: Register, number: u64) -> [u64; 2] {
    let low = word(BPF_LD | BPF_IMM | BPF_DW, to, NONE, 0, 0);
    [low | number << 32, number >> 32 << 32]
}

/// `to =` where the values of the map with this descriptor begin.
pub(super) const fn set_to_values(to: Register, map: i32) -> [u64; 2] {
    let kind = Register(BPF_PSEUDO_MAP_VALUE as u8);
    [word(BPF_LD | BPF_IMM | BPF_DW, to, kind, 0, map), 0]
}

/// `to = from`
pub(super) const fn copy(to: Register, from: Register) -> u64 {
    word(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
}

/// `to += number`
pub(super) const fn add(to: Register, number: i32) -> u64 {
    word(BPF_ALU64 | BPF_ADD | BPF_K, to, NONE, 0, number)
}

/// `to = -to`
pub(super) const fn negate(to: Register) -> u64 {
    word(BPF_ALU64 | BPF_NEG, to, NONE, 0, 0)
}

/// `to = *(u64 *)(from + offset)`
pub(super) const fn load(to: Register, from: Register, offset: i16) -> u64 {
    word(BPF_LDX | BPF_MEM | BPF_DW, to, from, offset, 0)
}

/// `to = *(u32 *)(from + offset)`
pub(super) const fn load_32(to: Register, from: Register, offset: i16) -> u64 {
    word(BPF_LDX | BPF_MEM | BPF_W, to, from, offset, 0)
}

/// `to = *(u8 *)(from + offset)`
pub(super) const fn load_8(to: Register, from: Register, offset: i16) -> u64 {
    word(BPF_LDX | BPF_MEM | BPF_B, to, from, offset, 0)
}

/// `*(u64 *)(to + offset) = from`
pub(super) const fn store(to: Register, offset: i16, from: Register) -> u64 {
    word(BPF_STX | BPF_MEM | BPF_DW, to, from, offset, 0)
}

/// `*(u64 *)(to + offset) = number`
pub(super) const fn store_number(to: Register, offset: i16, number: i32) -> u64 {
    word(BPF_ST | BPF_MEM | BPF_DW, to, NONE, offset, number)
}

/// `*(u64 *)to += from`, whoever else does so.
pub(super) const fn add_atomically(to: Register, from: Register) -> u64 {
    let add = BPF_ADD.cast_signed();
    word(BPF_STX | BPF_ATOMIC | BPF_DW, to, from, 0, add)
}

/// Passes over so many instructions if `register == 0`.
pub(super) const fn skip_if_zero(register: Register, instructions: i16) -> u64 {
    word(BPF_JMP | BPF_JEQ | BPF_K, register, NONE, instructions, 0)
}

/// The same if it is not.
pub(super) const fn skip_unless_zero(register: Register, instructions: i16) -> u64 {
    word(BPF_JMP | BPF_JNE | BPF_K, register, NONE, instructions, 0)
}

/// `R0 = function(R1, R2, R3, R4, R5)`, as many as it takes.
pub(super) const fn call(function: bpf_func_id) -> u64 {
    word(BPF_JMP | BPF_CALL, NONE, NONE, 0, function as i32)
}

/// `return R0`
pub(super) const fn exit() -> u64 {
    word(BPF_JMP | BPF_EXIT, NONE, NONE, 0, 0)
}

/// `struct bpf_insn` (include/uapi/linux/bpf.h), where the lowest byte comes first.
const fn word(code: u32, to: Register, from: Register, offset: i16, number: i32) -> u64 {
    code as u64
        | (to.0 as u64) << 8
        | (from.0 as u64) << 12
        | (offset.cast_unsigned() as u64) << 16
        | (number.cast_unsigned() as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_the_word_that_an_assembler_makes_of_it() {
        for (instruction, bytes) in [
            (set(R2, -1), [0xb7, 0x02, 0, 0, 0xff, 0xff, 0xff, 0xff]),
            (copy(R6, R1), [0xbf, 0x16, 0, 0, 0, 0, 0, 0]),
            (add(R4, -8), [0x07, 0x04, 0, 0, 0xf8, 0xff, 0xff, 0xff]),
            (negate(R0), [0x87, 0, 0, 0, 0, 0, 0, 0]),
            (load(R7, R1, 24), [0x79, 0x17, 24, 0, 0, 0, 0, 0]),
            (load_32(R0, STACK, -8), [0x61, 0xa0, 0xf8, 0xff, 0, 0, 0, 0]),
            (load_8(R1, R7, 258), [0x71, 0x71, 2, 1, 0, 0, 0, 0]),
            (store(STACK, -8, R2), [0x7b, 0x2a, 0xf8, 0xff, 0, 0, 0, 0]),
            (
                store_number(STACK, -8, 5),
                [0x7a, 0x0a, 0xf8, 0xff, 5, 0, 0, 0],
            ),
            (add_atomically(R1, R2), [0xdb, 0x21, 0, 0, 0, 0, 0, 0]),
            (skip_if_zero(R7, 9), [0x15, 0x07, 9, 0, 0, 0, 0, 0]),
            (skip_unless_zero(R0, 2), [0x55, 0, 2, 0, 0, 0, 0, 0]),
            (
                call(bpf_func_id::BPF_FUNC_seq_printf),
                [0x85, 0, 0, 0, 126, 0, 0, 0],
            ),
            (exit(), [0x95, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(instruction.to_le_bytes(), bytes);
        }
    }

    #[test]
    fn what_has_64_bits_takes_two_words() {
        assert_eq!(
            set_long(R3, 0x8877_6655_4433_2211),
            [0x4433_2211_0000_0318, 0x8877_6655_0000_0000]
        );
        assert_eq!(set_to_values(R1, 7), [0x0000_0007_0000_2118, 0]);
    }
}
