//! Writes the archive that a Linux kernel unpacks into its first root file system: cpio, format "newc"
//! (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's sources).

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

#[cfg(test)]
mod tests;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// A header has this many numbers of eight digits, after six octets that tell the format.
const NUMBERS: usize = 13;
const HEADER_LEN: usize = 6 + 8 * NUMBERS;

/// An archive being written. All in it belongs to root.
pub struct Cpio<W> {
    out: W,
    entries: u32,
    directories: BTreeSet<String>,
}

impl<W: Write> Cpio<W> {
    /// An empty archive.
    pub fn new(out: W) -> Self {
        Self {
            out,
            entries: 0,
            directories: BTreeSet::new(),
        }
    }

    /// Adds a directory and those it is in. `path` has no leading slash.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        if path.is_empty() || self.directories.contains(path) {
            return Ok(());
        }
        self.parents(path)?;
        self.directories.insert(path.to_owned());
        self.entry(path, DIRECTORY, &[])
    }

    /// Adds a file that may be executed, and the directories it is in.
    pub fn program(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, PROGRAM, content)
    }

    /// Adds a symbolic link, and the directories it is in.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, LINK, target.as_bytes())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        match Path::new(path).parent().and_then(Path::to_str) {
            Some(parent) => self.directory(parent),
            None => Ok(()),
        }
    }

    /// A header of hexadecimal numbers, the name with a zero, the content; each part ends at a multiple of four octets.
    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let length = |bytes: usize| u32::try_from(bytes).map_err(io::Error::other);
        let header: [u32; NUMBERS] = [
            self.entries, // inode
            mode,
            0, // user
            0, // group
            1, // links
            0, // time of change
            length(content.len())?,
            0, // device it is on: major, minor
            0,
            0, // device it is: major, minor
            0,
            length(path.len() + 1)?,
            0, // checksum, of another format
        ];
        self.out.write_all(b"070701")?;
        for number in header {
            write!(self.out, "{number:08x}")?;
        }
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(b"\0")?;
        self.pad(HEADER_LEN + path.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Fills up to the next multiple of four.
    fn pad(&mut self, written: usize) -> io::Result<()> {
        let missing = written.next_multiple_of(4) - written;
        self.out.write_all(&[0; 3][..missing])
    }
}
