use super::*;

/// What libtest printed for a binary with two passing tests, of which one skipped itself, and one failing, as shown by
/// `cargo test -- --show-output`.
const OUTPUT: &str = "
running 4 tests
test joins ... ok
test native_xdp ... ok
test stays ... FAILED
test slow ... ignored

successes:

---- joins stdout ----
chatter of a passing test

---- native_xdp stdout ----
SKIP this kernel has no XDP
SKIP said twice

successes:
    joins
    native_xdp

failures:

---- stays stdout ----
SKIP is not what this failing test did
thread 'stays' panicked at src/lib.rs:4:5:
left it

failures:
    stays

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

fn read(output: &str) -> (Tally, Vec<&str>) {
    let mut reader = Reader::default();
    let shown = output.lines().filter(|line| reader.line(line)).collect();
    (reader.tally(), shown)
}

#[test]
fn a_test_that_says_skip_is_skipped_not_passed() {
    let (tally, _) = read(OUTPUT);
    assert_eq!(
        tally,
        Tally {
            passed: 1,
            failed: 1,
            skipped: 2,
            flaky: 0
        }
    );
}

#[test]
fn the_names_of_failing_tests_are_kept_over_several_binaries() {
    let mut reader = Reader::default();
    for line in OUTPUT.lines().chain(OUTPUT.lines()) {
        reader.line(line);
    }
    assert_eq!(reader.failed(), ["stays", "stays"]);
}

#[test]
fn failing_tests_are_shown_whole_and_passing_ones_only_when_they_skip() {
    let (_, shown) = read(OUTPUT);
    for line in [
        "test joins ... ok",
        "SKIP this kernel has no XDP",
        "left it",
        "    stays",
    ] {
        assert!(shown.contains(&line), "{line} is missing from {shown:#?}");
    }
    assert!(!shown.contains(&"chatter of a passing test"), "{shown:#?}");
    assert!(!shown.contains(&"    joins"), "{shown:#?}");
}

#[test]
fn binaries_add_up_and_their_skips_stay_apart() {
    let (tally, _) = read(&OUTPUT.repeat(2));
    assert_eq!(
        tally,
        Tally {
            passed: 2,
            failed: 2,
            skipped: 4,
            flaky: 0
        }
    );
    let (tally, _) = read(
        "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s",
    );
    assert_eq!(tally.ran(), 0);
}

#[test]
fn only_libtests_own_line_is_a_result() {
    assert_eq!(parse_result("test result: unknown"), None);
    assert_eq!(
        parse_result("the test result: ok. 1 passed; 0 failed; 0 ignored"),
        None
    );
}

#[test]
fn the_last_line_is_plain() {
    let tally = Tally {
        passed: 12,
        failed: 0,
        skipped: 3,
        flaky: 0,
    };
    assert_eq!(tally.to_string(), "12 passed, 0 failed, 3 skipped");
    let flaky = Tally { flaky: 1, ..tally };
    assert!(flaky.to_string().ends_with(" skipped, 1 flaky"));
}
