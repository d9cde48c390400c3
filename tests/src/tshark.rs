//! tshark as the judge of what we put on the wire.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use crate::frame::Frame;
use crate::scratch::ScratchDir;

/// What tshark calls a checksum that it computed and found right.
const GOOD: &str = "1";

/// Has tshark dissect IGMP frames; panics when it finds one malformed or with a wrong checksum. Returns, for each frame,
/// the values of `fields` (`tshark -G fields` lists them).
#[track_caller]
pub fn judge(frames: &[Frame], fields: &[&str]) -> Vec<Vec<String>> {
    let scratch = ScratchDir::new();
    let file = scratch.path().join("frames.pcap");
    fs::write(&file, pcap(frames)).expect("the scratch directory is writable");

    let mut tshark = Command::new("tshark");
    tshark
        .args(["-n", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-r"])
        .arg(&file);
    for field in [
        "_ws.malformed",
        "ip.checksum.status",
        "igmp.checksum.status",
    ]
    .iter()
    .chain(fields)
    {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().expect("tshark is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "tshark: {}",
        String::from_utf8_lossy(&output.stderr)
    );

    let rows: Vec<Vec<String>> = text
        .lines()
        .map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(
        rows.len(),
        frames.len(),
        "tshark read another number of frames:\n{text}"
    );
    for (row, frame) in rows.iter().zip(frames) {
        assert_eq!(
            row[..3],
            ["", GOOD, GOOD],
            "malformed, ip.checksum.status, igmp.checksum.status of {frame:?}"
        );
    }
    rows.into_iter().map(|row| row[3..].to_vec()).collect()
}

/// The classic pcap file format, version 2.4, link type 1 (Ethernet).
fn pcap(frames: &[Frame]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65535, 1] {
        file.extend(word.to_ne_bytes());
    }
    for frame in frames {
        let since = frame
            .at
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970");
        let length = u32::try_from(frame.bytes.len()).expect("a frame is small");
        let seconds = u32::try_from(since.as_secs()).expect("before 2106");
        for word in [seconds, since.subsec_micros(), length, length] {
            file.extend(word.to_ne_bytes());
        }
        file.extend(&frame.bytes);
    }
    file
}
