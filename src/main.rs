//! The program: hands its arguments to [`podinit::cli`] and leaves with the code it gives.

fn main() {}
