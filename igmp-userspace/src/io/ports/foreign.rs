//! XDP programs of others.

use aya::programs::loaded_programs;

/// Says whose program that is, as far as the kernel knows.
pub fn describe(id: u32) -> String {
    let mut programs = loaded_programs().filter_map(Result::ok);
    let program = programs.find(|program| program.id() == id);
    let name = program.as_ref().and_then(|program| program.name_as_str());
    match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("another XDP program ({name}, id {id})"),
        None => format!("another XDP program (id {id})"),
    }
}
