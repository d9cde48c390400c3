//! The igmpctl program against a daemon played by the test: what it prints where, and its exit status.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

fn igmpctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_igmpctl"));
    command.args(arguments).env_remove("NO_COLOR");
    command
}

#[track_caller]
fn assert_output(output: &Output, status: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(
        (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
        (stdout, stderr)
    );
    assert_eq!(output.status.code(), Some(status));
}

/// A daemon that takes one request, says `answer` and hangs up; joining it gives the request.
struct Daemon {
    socket: PathBuf,
    thread: JoinHandle<String>,
    _directory: TempDir,
}

impl Daemon {
    fn new(answer: impl Into<Vec<u8>>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let answer = answer.into();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            stream.write_all(&answer).unwrap();
            request
        });
        Self {
            socket,
            thread,
            _directory: directory,
        }
    }

    fn socket(&self) -> &str {
        self.socket.to_str().unwrap()
    }
}

const FLOWS: &str = concat!(
    r#"{"flows":[{"source":null,"group":"239.1.1.1","upstream":"wan0","outputs":["lan0","lan1"],"path":"xdp","#,
    r#""packets":3,"bytes":4000,"set":17}]}"#,
    "\n"
);

#[test]
fn a_table_for_people() {
    let daemon = Daemon::new(FLOWS);
    let output = igmpctl(&[
        "--socket",
        daemon.socket(),
        "show",
        "flows",
        "--group",
        "239.1.1.1",
    ])
    .output()
    .unwrap();
    let table = "\
SOURCE  GROUP      FROM  PATH  SET  PACKETS  BYTES  OUTPUTS
*       239.1.1.1  wan0  xdp    17        3   4000  lan0 lan1
";
    assert_output(&output, 0, table, "");
    assert_eq!(
        daemon.thread.join().unwrap(),
        "{\"command\":\"show flows\",\"group\":\"239.1.1.1\"}\n"
    );
}

#[test]
fn an_array_for_scripts() {
    let daemon = Daemon::new(FLOWS);
    let output = igmpctl(&["--json", "--socket", daemon.socket(), "show", "flows"])
        .output()
        .unwrap();
    let array = FLOWS
        .trim()
        .strip_prefix("{\"flows\":")
        .unwrap()
        .strip_suffix('}')
        .unwrap();
    assert_output(&output, 0, &format!("{array}\n"), "");
}

#[test]
fn the_daemons_refusal_is_a_failure() {
    let daemon = Daemon::new("{\"error\":\"no interface lan9\"}\n");
    let output = igmpctl(&[
        "--socket",
        daemon.socket(),
        "show",
        "groups",
        "--interface",
        "lan9",
    ])
    .output()
    .unwrap();
    assert_output(&output, 1, "", "igmpctl: no interface lan9\n");
}

#[test]
fn an_answer_cut_short_is_a_failure() {
    let daemon = Daemon::new(&FLOWS.as_bytes()[..40]);
    let output = igmpctl(&["--socket", daemon.socket(), "show", "flows"])
        .output()
        .unwrap();
    let error = format!(
        "igmpctl: igmpd hung up on {} before the answer was complete\n",
        daemon.socket()
    );
    assert_output(&output, 1, "", &error);
}

#[test]
fn no_daemon_is_a_failure_that_says_what_to_do() {
    let output = igmpctl(&["--socket", "/nonexistent.sock", "show", "flows"])
        .output()
        .unwrap();
    let error = "igmpctl: igmpd is not running: nobody listens on /nonexistent.sock; start it, or give --socket the \
                 path it listens on\n";
    assert_output(&output, 1, "", error);
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    // Far more than a pipe holds.
    let row = FLOWS
        .trim()
        .strip_prefix("{\"flows\":[")
        .unwrap()
        .strip_suffix("]}")
        .unwrap();
    let daemon = Daemon::new(format!("{{\"flows\":[{}]}}\n", vec![row; 20_000].join(",")));
    let mut child = igmpctl(&["--socket", daemon.socket(), "show", "flows"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 6];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    assert_eq!(&first, b"SOURCE");
    assert_output(&child.wait_with_output().unwrap(), 0, "", "");
}

#[test]
fn events_until_the_daemon_goes() {
    let events = concat!(
        r#"{"event":{"time":"2026-03-01T20:15:00.000001Z","interface":null,"event":"connected"}}"#,
        "\n",
        r#"{"event":{"time":"2026-03-01T20:15:00.000002Z","interface":"lan0","event":"leave","group":"239.1.1.1","#,
        r#""host":"192.0.2.20","decision":"prompt","cause":"permit rule 5"}}"#,
        "\n"
    );
    let daemon = Daemon::new(events);
    let output = igmpctl(&["--socket", daemon.socket(), "events"])
        .output()
        .unwrap();
    let text = "\
2026-03-01T20:15:00.000001Z  -  connected: events follow
2026-03-01T20:15:00.000002Z  lan0  192.0.2.20 leaves 239.1.1.1: prompt (permit rule 5)
";
    let error = format!(
        "igmpctl: igmpd has hung up on {}: it stopped, or was restarted\n",
        daemon.socket()
    );
    assert_output(&output, 1, text, &error);
    assert_eq!(daemon.thread.join().unwrap(), "{\"command\":\"events\"}\n");

    let daemon = Daemon::new(events);
    let output = igmpctl(&["--socket", daemon.socket(), "events", "--json"])
        .output()
        .unwrap();
    let objects = events.replace("{\"event\":{", "{").replace("}}\n", "}\n");
    let error = format!(
        "igmpctl: igmpd has hung up on {}: it stopped, or was restarted\n",
        daemon.socket()
    );
    assert_output(&output, 1, &objects, &error);
}

#[test]
fn a_reload_that_is_refused_is_a_failure() {
    let daemon = Daemon::new("{\"error\":\"f.toml:3: \\\"up\\\" is no role; write another\"}\n");
    let output = igmpctl(&["--socket", daemon.socket(), "reload", "--dry-run"])
        .output()
        .unwrap();
    assert_output(
        &output,
        1,
        "",
        "igmpctl: f.toml:3: \"up\" is no role; write another\n",
    );
    assert_eq!(
        daemon.thread.join().unwrap(),
        "{\"command\":\"reload\",\"dry_run\":true}\n"
    );
}

#[test]
fn a_reload_says_what_it_did() {
    let answer = concat!(
        r#"{"reload":{"file":"f.toml","applied":true,"changes":[{"section":"interface lan0","key":"max_groups","#,
        r#""old":"5","new":"6"}],"warnings":[]}}"#,
        "\n"
    );
    let daemon = Daemon::new(answer);
    let output = igmpctl(&["--socket", daemon.socket(), "reload"])
        .output()
        .unwrap();
    let text = "~ interface lan0: max_groups: 5 -> 6\nf.toml: 1 change applied\n";
    assert_output(&output, 0, text, "");
}

#[test]
fn bad_usage() {
    let output = igmpctl(&["show", "everything"]).output().unwrap();
    assert_output(
        &output,
        2,
        "",
        "igmpctl: unrecognized subcommand 'everything'; see igmpctl --help\n",
    );
    let output = igmpctl(&["show", "groups", "--group", "banana"])
        .output()
        .unwrap();
    let error = "igmpctl: invalid value 'banana' for '--group <ADDRESS>': invalid IPv4 address syntax; see igmpctl \
                 --help\n";
    assert_output(&output, 2, "", error);
    let output = igmpctl(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("Usage: igmpctl")
    );
}

#[test]
fn check_config() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file(
        "good.toml",
        "[[interface]]\nname = \"lan0\"\nrole = \"downstream\"\n",
    );
    let output = igmpctl(&["check-config", &good]).output().unwrap();
    assert_output(
        &output,
        0,
        &format!("{good}: good; upstream none, downstream lan0\n"),
        "",
    );

    let bad = file(
        "bad.toml",
        "[[interface]]\nname = \"lan0\"\nrole = \"sideways\"\n",
    );
    let output = igmpctl(&["check-config", &bad]).output().unwrap();
    let error = format!(
        "igmpctl: {bad}:3: \"sideways\" is no role; write \"upstream\", \"downstream\" or \"disabled\"\n"
    );
    assert_output(&output, 2, "", &error);
}

#[test]
fn check_config_of_a_missing_file() {
    let output = igmpctl(&["check-config", "/nonexistent.toml"])
        .output()
        .unwrap();
    let error = "igmpctl: /nonexistent.toml: cannot read it: No such file or directory (os error 2); name a file that \
                 you may read\n";
    assert_output(&output, 2, "", error);
}

/// The example that is installed must be good.
#[test]
fn the_example_configuration_is_good() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/igmpd.toml");
    let output = igmpctl(&["check-config", example.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn completions_know_the_commands() {
    let output = igmpctl(&["completions", "bash"]).output().unwrap();
    let script = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        script.contains("complete -F _igmpctl") && script.contains("check-config"),
        "{script}"
    );
}
