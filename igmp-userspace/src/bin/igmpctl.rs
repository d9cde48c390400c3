//! igmpctl.
fn main() {}
