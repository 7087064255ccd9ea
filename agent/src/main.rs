//! The `pinscope` program; all of it is in the library beside it, where benches
//! and tests reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    pinscope::main()
}
