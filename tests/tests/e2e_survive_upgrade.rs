//! An igmpd of another version takes over from the one before.

use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::programs::{SchedClassifier, TcAttachType};
use igmp_tests::bpffs::Bpffs;
use igmp_tests::daemon::{Daemon, igmpd};
use igmp_tests::netns::Namespace;
use igmp_tests::receiver::Receiver;
use igmp_tests::scratch::ScratchDir;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology, UPSTREAM};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const PACE: Duration = Duration::from_micros(500);
const SHORT: &str = "query_interval = \"3s\"\nquery_response_interval = \"1s\"";

/// Layouts are equal, programs are not: no packet is lost, forth and back.
#[test]
fn other_programs_over_the_same_layout_take_over_between_two_packets() {
    let topology = Topology::new(&[Lan::host()]);
    let gateway = &topology.gateway;
    let bpffs = Bpffs::new();
    let config = bpffs.config_of(&topology, "");
    let scratch = ScratchDir::new();
    let other = with_other_programs(&scratch);
    let mut tags = Vec::new();
    let mut daemon = Daemon::start_other(&other, gateway, &config);
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    for program in [igmpd(), other, igmpd()] {
        receiver.goes_on(&stream);
        tags.push(tag(gateway));
        daemon.kill();
        receiver.goes_on(&stream);
        daemon = Daemon::start_other(&program, gateway, &config);
        assert_eq!(daemon.outputs(), ["lan0"]);
    }
    receiver.goes_on(&stream);
    tags.push(tag(gateway));
    receiver.assert_gapless();
    assert_eq!(tags[0], tags[2]);
    assert_eq!(tags[1], tags[3]);
    assert_ne!(tags[0], tags[1], "the programs were the same");
    bpffs.assert_whole(gateway, &[UPSTREAM, "lan0"]);
}

#[test]
fn pins_of_another_layout_are_replaced_and_learnt_again() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let config = bpffs.config_of(&topology, SHORT);
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    daemon.kill();
    // As a version would have left it whose maps are others: by their names too.
    let rename = |from: &str, to: &str| {
        let path = |name| bpffs.pin_path().join(name);
        fs::rename(path(from), path(to)).expect("a bpffs can rename");
    };
    rename("v2-1", "v999-1");
    rename("v999-1/flows", "v999-1/streams");
    receiver.goes_on(&stream);
    let daemon = Daemon::start(&topology.gateway, &config);
    assert!(daemon.log().contains("pinned by another version"));
    receiver.goes_on(&stream);
    assert!(bpffs.pins().iter().all(|pin| !pin.starts_with("v999-1")));
    bpffs.assert_whole(&topology.gateway, &[UPSTREAM, "lan0"]);
}

/// What the kernel made of the instructions of the program that is on the upstream device in TC: equal programs have equal
/// tags.
fn tag(gateway: &Namespace) -> u64 {
    let query = || SchedClassifier::query_tcx(UPSTREAM, TcAttachType::Ingress);
    let (_, programs) = gateway.enter(query).expect("the kernel has tcx");
    let [program] = &programs[..] else {
        panic!("not one program: {programs:?}")
    };
    program.tag()
}

/// A copy of igmpd with other kernel programs that do the same: where they set a register to a small number they do so in
/// its 32-bit form instead of the 64-bit one, or the other way round.
fn with_other_programs(scratch: &ScratchDir) -> PathBuf {
    /// `BPF_ALU | BPF_MOV | BPF_K` and `BPF_ALU64 | BPF_MOV | BPF_K` of `linux/bpf_common.h`: a positive number is the same
    /// in both widths.
    const MOVE: [u8; 2] = [0xb4, 0xb7];
    /// All but the frame pointer, which nobody sets.
    const REGISTERS: RangeInclusive<u8> = 0..=9;
    const INSTRUCTION: usize = 8;
    let mut bytes = fs::read(igmpd()).expect("igmpd is readable");
    let mut changed = 0;
    for code in bpf_code(&bytes) {
        for instruction in bytes[code].chunks_exact_mut(INSTRUCTION) {
            let [code, register, 0, 0, _, 0, 0, 0] = instruction else {
                continue;
            };
            if MOVE.contains(code) && REGISTERS.contains(register) {
                *code ^= MOVE[0] ^ MOVE[1];
                changed += 1;
            }
        }
    }
    assert_ne!(changed, 0, "no instruction was found");
    let path: &Path = &scratch.path().join("igmpd");
    fs::write(path, bytes).expect("the scratch directory is writable");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
    path.to_owned()
}

/// Where the instructions are of every BPF object that is part of a file: its executable sections (elf(5)).
fn bpf_code(file: &[u8]) -> Vec<Range<usize>> {
    /// ELF of 64 bits, little endian.
    const MAGIC: &[u8] = b"\x7fELF\x02\x01";
    const EM_BPF: u64 = 247;
    /// At least, of what igmpd includes.
    const ALIGNMENT: usize = 8;
    const SHF_EXECINSTR: u64 = 4;
    let number = |at: usize, size: usize| {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&file[at..at + size]);
        u64::from_le_bytes(bytes)
    };
    let offset = |at, size| usize::try_from(number(at, size)).expect("it is in memory");
    let starts = (0..file.len()).step_by(ALIGNMENT);
    let objects =
        starts.filter(|start| file[*start..].starts_with(MAGIC) && number(start + 18, 2) == EM_BPF);
    let sections = objects.flat_map(|start| {
        let table = start + offset(start + 0x28, 8);
        let [size, count] = [0x3a, 0x3c].map(|field| offset(start + field, 2));
        (0..count).map(move |n| (start, table + n * size))
    });
    sections
        .filter(|(_, header)| number(header + 8, 8) & SHF_EXECINSTR != 0)
        .map(|(start, header)| {
            let code = start + offset(header + 0x18, 8);
            code..code + offset(header + 0x20, 8)
        })
        .collect()
}
