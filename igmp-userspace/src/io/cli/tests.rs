use std::path::Path;

use clap::CommandFactory;

use super::*;

fn parse_line(line: &str) -> Result<Start, Stop> {
    parse(line.split(' ').map(OsString::from))
}

#[track_caller]
fn assert_mistake(line: &str, expected: &str) {
    assert_eq!(parse_line(line), Err(Stop::mistake(expected)));
}

const FILE: &str =
    "[datapath]\nmode = \"auto\"\n[[interface]]\nname = \"lan0\"\nrole = \"downstream\"\n";

fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("igmpd.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn interfaces_by_flags() {
    let start = parse_line(
        "igmpd --iface lan0 --iface lan1 --upstream wan0 --mode xdp-native --control-socket c.sock --pin-path /p \
         --log-level debug --log-format json",
    )
    .unwrap();
    let names: Vec<_> = start
        .config
        .interfaces
        .iter()
        .map(|i| (&*i.name, i.role))
        .collect();
    assert_eq!(
        names,
        [
            ("wan0", Role::Upstream),
            ("lan0", Role::Downstream),
            ("lan1", Role::Downstream)
        ]
    );
    assert_eq!(start.config.mode, Mode::XdpNative);
    assert_eq!(start.config.control_socket, Path::new("c.sock"));
    assert_eq!(start.config.pin_path, Path::new("/p"));
    assert_eq!(
        (start.log_level, start.log_format),
        (tracing::Level::DEBUG, LogFormat::Json)
    );
}

#[test]
fn interfaces_by_file_with_flags_over_it() {
    let (_directory, path) = file(FILE);
    let plain = parse_line(&format!("igmpd --config {path}")).unwrap();
    assert_eq!(plain.config, config::parse(FILE, "").unwrap());
    assert_eq!(
        (plain.log_level, plain.log_format),
        (tracing::Level::INFO, LogFormat::Text)
    );

    let over = parse_line(&format!(
        "igmpd --config {path} --mode xdp-native --pin-path /p --metrics 127.0.0.1:9464"
    ))
    .unwrap();
    assert_eq!(over.config.mode, Mode::XdpNative);
    assert_eq!(over.config.pin_path, Path::new("/p"));
    assert_eq!(over.config.metrics, "127.0.0.1:9464".parse().ok());
    assert_eq!(over.config.interfaces, plain.config.interfaces);
}

#[test]
fn check_says_good_or_what_is_wrong() {
    let (_directory, path) = file(FILE);
    assert_eq!(
        parse_line(&format!("igmpd --config {path} --check")),
        Err(Stop::done(format!(
            "{path}: good; upstream none, downstream lan0"
        )))
    );
    assert_eq!(
        parse_line("igmpd --iface lan0 --iface lan1 --upstream wan0 --check"),
        Err(Stop::done(
            "flags: good; upstream wan0, downstream lan0 lan1"
        ))
    );
    let (_directory, path) = file("[daemon]\nspeed = 1\n");
    assert_mistake(
        &format!("igmpd --config {path} --check"),
        &format!(
            "igmpd: {path}:2: unknown key speed; the keys here are control_socket, pin_path, metrics, persist, \
             hold_time"
        ),
    );
}

#[test]
fn check_warns_of_what_is_hardly_meant() {
    let (_directory, path) = file(&format!("{FILE}group_policy = 2000\n"));
    assert_eq!(
        parse_line(&format!("igmpd --config {path} --check")),
        Err(Stop::done(format!(
            "{path}: good; upstream none, downstream lan0\nwarning: group_policy of lan0: acl 2000 does not exist; \
             hosts there may join nothing"
        )))
    );
}

#[test]
fn a_reload_reads_the_file_again_under_the_same_flags() {
    let (_directory, path) = file(FILE);
    let start = parse_line(&format!(
        "igmpd --config {path} --mode xdp-native --control-socket /c.sock --pin-path /p"
    ))
    .unwrap();
    let again = start.file.as_ref().unwrap();
    assert_eq!(again.path, Path::new(&path));
    assert_eq!(again.read().unwrap(), start.config);

    std::fs::write(&path, FILE.replace("lan0", "lan1")).unwrap();
    let changed = again.read().unwrap();
    assert_eq!(changed.interfaces[0].name, "lan1");
    assert_eq!(changed.control_socket, Path::new("/c.sock"));

    let by_flags = parse_line("igmpd --iface lan0").unwrap();
    assert_eq!(by_flags.file, None);
}

#[test]
fn the_file_of_another_product_is_told_how_to_convert() {
    let (_directory, path) = file("# old\nphyint wan0 upstream\nphyint lan0 downstream\n");
    let expected = format!(
        "igmpd: {path}:2: this is the configuration of igmpproxy; convert it: igmpctl import igmpproxy {path} > \
         /etc/igmpd/igmpd.toml"
    );
    assert_mistake(&format!("igmpd --config {path}"), &expected);
    assert_mistake(&format!("igmpd --config {path} --check"), &expected);
}

#[test]
fn a_file_that_cannot_be_read() {
    assert_mistake(
        "igmpd --config /nonexistent/igmpd.toml",
        "igmpd: /nonexistent/igmpd.toml: cannot read it: No such file or directory (os error 2); name a file with \
         --config, or interfaces with --iface",
    );
}

#[test]
fn bad_usage_is_one_line() {
    assert_mistake(
        "igmpd --fast",
        "igmpd: unexpected argument '--fast' found; see igmpd --help",
    );
    assert_mistake(
        "igmpd --iface lan0 --config f.toml",
        "igmpd: the argument '--iface <IF>' cannot be used with '--config <FILE>'; see igmpd --help",
    );
    assert_mistake(
        "igmpd --upstream wan0",
        "igmpd: the following required arguments were not provided: --iface <IF>; see igmpd --help",
    );
    assert_mistake(
        "igmpd --iface lan0 --mode warp",
        "igmpd: invalid value 'warp' for '--mode <MODE>': \"warp\" is no mode; write \"auto\", \"xdp-native\", \
         \"xdp-generic\" or \"tc\"; see igmpd --help",
    );
    assert_mistake(
        "igmpd --iface lan0 --log-level loud",
        "igmpd: invalid value 'loud' for '--log-level <LEVEL>' [possible values: error, warn, info, debug, trace]; \
         see igmpd --help",
    );
    assert_mistake(
        "igmpd --iface lan0 --iface lan0",
        "igmpd: --iface lan0: lan0 is given twice (first at --iface lan0); keep one of the two",
    );
    let long = format!("/{}", "x".repeat(107));
    assert_mistake(
        &format!("igmpd --iface lan0 --control-socket {long}"),
        "igmpd: --control-socket: the socket path has 108 bytes; a Unix socket takes at most 107: choose a shorter one",
    );
}

#[test]
fn version_is_no_mistake() {
    assert_eq!(
        parse_line("igmpd --version"),
        Err(Stop::done(concat!("igmpd ", env!("CARGO_PKG_VERSION"))))
    );
}
