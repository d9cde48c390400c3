//! `igmpctl import`: what goes to which stream, and the exit status.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Converts without a daemon and without a warning more than the one about the version.
const CONF: &str =
    "quickleave\nphyint eth0 upstream\n  altnet 10.0.0.0/23\nphyint eth1 downstream ratelimit 5\n";

fn igmpctl(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_igmpctl"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may be gone without having read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

#[track_caller]
fn assert_fails(output: &Output, status: i32, words: &str) {
    assert_eq!(output.status.code(), Some(status));
    assert_eq!(text(&output.stdout), "");
    assert!(
        text(&output.stderr).contains(words),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(text(&output.stderr).lines().count(), 1);
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_evening_up_to_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (
        directory.path().join("igmpproxy.conf"),
        directory.path().join("igmpd.toml"),
    );
    std::fs::write(&old, CONF).unwrap();

    let output = igmpctl(&["import", "igmpproxy", path(&old)], "");
    assert_eq!(output.status.code(), Some(0));
    let warnings: Vec<_> = text(&output.stderr).lines().collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, what) in warnings.iter().zip(["IGMPv2", "ratelimit 5"]) {
        let (place, warning) = warning.split_once(": ").unwrap();
        assert_eq!(place, format!("{}:4", path(&old)));
        assert!(warning.contains(what), "{warning}");
        let comment = format!("# warning: line 4: {warning}\n");
        assert!(text(&output.stdout).contains(&comment));
    }

    std::fs::write(&new, &output.stdout).unwrap();
    let output = igmpctl(&["check-config", path(&new)], "");
    assert_eq!(
        (
            text(&output.stdout),
            text(&output.stderr),
            output.status.code()
        ),
        (
            format!("{}: good; upstream eth0, downstream eth1\n", path(&new)).as_str(),
            "",
            Some(0)
        )
    );
}

#[test]
fn standard_input() {
    let commands = "set protocols igmp-proxy interface eth1 role 'downstream'\n";
    let output = igmpctl(&["import", "vyos", "-"], commands);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("name = \"eth1\"\nrole = \"downstream\"\n"));
    assert!(text(&output.stderr).starts_with("-:1: "));
}

#[test]
fn octets_that_are_no_text_are_taken_as_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("r1.cfg");
    let mut octets = b"interface Vlanif7\n description \xcd\xf8\xc2\xe7\n igmp enable\n".to_vec();
    octets.extend(b" igmp prompt-leave group-policy 2000\n#\nacl 2000\n description \xcd\x07\n");
    std::fs::write(&file, octets).unwrap();
    let output = igmpctl(&["import", "huawei", path(&file)], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("name = \"vlan7\"\n"));
    assert!(!text(&output.stderr).contains("needs a correction"));
}

#[test]
fn a_file_of_another_kind() {
    let output = igmpctl(&["import", "huawei", "-"], CONF);
    assert_fails(
        &output,
        2,
        "igmpctl: -: no interface view in it has an `igmp` line; save the output of",
    );
}

#[test]
fn a_file_that_cannot_be_read() {
    let output = igmpctl(&["import", "igmpproxy", "/nonexistent/igmpproxy.conf"], "");
    assert_fails(
        &output,
        1,
        "igmpctl: cannot read /nonexistent/igmpproxy.conf: ",
    );
}

#[test]
fn a_format_that_is_none() {
    let output = igmpctl(&["import", "banana", "-"], "");
    assert_fails(&output, 2, "write igmpproxy, vyos or huawei");
}
