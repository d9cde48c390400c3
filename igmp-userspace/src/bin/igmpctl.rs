//! igmpctl: how a person or a script talks to igmpd.

use std::process::ExitCode;

fn main() -> ExitCode {
    igmp_userspace::io::ctl::run(std::env::args_os())
}
