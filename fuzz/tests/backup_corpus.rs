//! The corpus `backup` holds what its names say: a stream that falls at an earlier check than meant is no seed at all.

use std::fs;
use std::path::Path;

use igmp_fuzz::connected;
use igmp_userspace::backup::Session;
use igmp_userspace::proto::Instant;

/// Each file that was made by hand, with what comes of it: what was done, or why the connection was ended.
const FILES: &[(&str, Result<&str, &str>)] = &[
    ("cut-short", Ok("")),
    ("double-hello", Err("out_of_place")),
    ("garbage", Err("too_long")),
    ("gap", Err("sequence")),
    ("group-in-pieces", Ok("connected restore retain synced")),
    ("hello", Ok("")),
    ("keepalive", Ok("connected")),
    ("length-4-gib", Err("too_long")),
    ("message", Ok("connected feed")),
    ("message-before-role", Err("out_of_place")),
    ("message-of-a-backup", Err("out_of_place")),
    ("no-hello", Err("not_hello")),
    ("other-interfaces", Err("interfaces")),
    ("other-nonce", Err("nonce")),
    ("other-profile", Err("profile")),
    ("other-version", Err("version")),
    ("refuse", Err("refused by the peer")),
    ("repeated", Err("sequence")),
    ("snapshot", Ok("connected restore retain synced")),
    ("snapshot-begun-anew", Ok("connected restore retain synced")),
    ("snapshot-of-unknown-interface", Err("unknown_interface")),
    ("snapshot-with-4-gi-sources", Err("malformed")),
    ("snapshot-with-half-a-group", Err("out_of_place")),
    ("sync-request", Ok("connected")),
    ("trailing-octets", Err("malformed")),
    ("unknown-payload", Err("unknown_type")),
    ("unknown-type", Err("unknown_type")),
];

#[test]
fn every_file_is_what_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/backup");
    for &(name, expected) in FILES {
        let octets = fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut session = connected();
        session.handle_bytes(Instant::START, &octets);
        let done = what_it_does(&mut session);
        let refusal = session.status(Instant::START).last_refusal;
        match (expected, refusal) {
            (Ok(expected), None) => assert_eq!(done, expected, "{name}"),
            (Err("refused by the peer"), Some(refusal)) => assert!(refusal.by_peer, "{name}"),
            (Err(expected), Some(refusal)) => assert_eq!(refusal.reason, expected, "{name}"),
            (_, refusal) => panic!("{name}: {done}, {refusal:?}"),
        }
    }
}

fn what_it_does(session: &mut Session) -> String {
    use igmp_userspace::backup::{Event, Output};
    let outputs = std::iter::from_fn(|| session.poll_output());
    let words = outputs.filter_map(|output| match output {
        Output::Feed { .. } => Some("feed"),
        Output::Restore { .. } => Some("restore"),
        Output::Retain { .. } => Some("retain"),
        Output::Event(Event::Connected { .. }) => Some("connected"),
        Output::Event(Event::Synced { .. }) => Some("synced"),
        Output::RoleChanged { .. }
        | Output::NeedSnapshot { .. }
        | Output::Disconnect(_)
        | Output::Event(_) => None,
    });
    words.collect::<Vec<_>>().join(" ")
}
