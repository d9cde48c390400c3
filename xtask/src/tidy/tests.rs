use super::*;

fn impure(text: &str) -> Vec<(usize, String)> {
    impure_lines(text).collect()
}

#[test]
fn the_core_may_not_read_a_clock_however_it_is_imported() {
    assert_eq!(
        impure("use std::time::Instant;"),
        [(1, "std::time::Instant".to_owned())]
    );
    assert_eq!(
        impure("\nuse std::time::{Duration, Instant};"),
        [(2, "std::time::Instant".to_owned())]
    );
    assert_eq!(
        impure("let t = SystemTime::now();"),
        [(1, "SystemTime".to_owned())]
    );
}

#[test]
fn the_core_may_not_reach_the_world() {
    for line in [
        "use tokio::time::sleep;",
        "aya::maps::HashMap",
        "use std::net::{Ipv4Addr, UdpSocket};",
        "std::fs::read(path)",
        "use rtnetlink::Handle;",
    ] {
        assert_eq!(impure(line).len(), 1, "{line}");
    }
}

#[test]
fn words_inside_others_and_comments_do_not_count() {
    for line in [
        "use super::time::Instant;",
        "use std::time::Duration;",
        "let layaway = playa + tokio_like;",
        "/// Neither tokio nor aya is used here.",
        "use std::net::Ipv4Addr; // not a UdpSocket",
    ] {
        assert_eq!(impure(line), [], "{line}");
    }
}

#[test]
fn test_functions_are_found_by_their_attribute() {
    let text = "
        #[test]
        fn plain() {}
        fn helper() {}
        #[tokio::test(flavor = \"current_thread\")]
        async fn awaited() {}
        #[test]
        #[should_panic]
        fn panics() {}
        proptest! {
            #[test]
            fn generated(code in 0..=255u8) {}
        }";
    assert_eq!(
        test_names(text).collect::<Vec<_>>(),
        ["plain", "awaited", "panics", "generated"]
    );
}

#[test]
fn the_compliance_table_may_only_name_tests_that_exist() {
    let tests = BTreeSet::from(["leave_is_answered".to_owned(), "join_is_kept".to_owned()]);
    let table = "
| Section | Function | Test |
|---|---|---|
| 6.4.2 | `group::leave` | `proto::group::tests::leave_is_answered`, `join_is_kept` |
| 6.6.1 | `group::query` | `proto::group::tests::gone` |
";
    assert_eq!(
        compliance_errors(table, &tests),
        ["docs/rfc-compliance.md:5: there is no test proto::group::tests::gone"]
    );
}

#[test]
fn a_compliance_table_without_tests_is_an_error() {
    let table = "| Section | Function |\n|---|---|\n| 6.4.2 | `group::leave` |\n";
    assert_eq!(compliance_errors(table, &BTreeSet::new()).len(), 1);
}

#[test]
fn a_workspace_is_walked_without_its_target_directory_and_its_tests() {
    let root = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("igmp-userspace/src/proto/group.rs", "use std::fs;\n");
    write("igmp-userspace/src/fib.rs", "use tokio::sync;\n");
    write(
        "igmp-userspace/src/proto/group/tests.rs",
        "use std::fs;\n#[test]\nfn joins() {}\n",
    );
    write(
        "igmp-userspace/src/io/mod.rs",
        &"use tokio::net;\n".repeat(LONG_FILE + 1),
    );
    write(
        "target/debug/igmp-userspace/src/proto/generated.rs",
        "use std::fs;\n",
    );
    write(
        "docs/rfc-compliance.md",
        "| Test |\n|---|\n| `joins` |\n| `leaves` |\n",
    );
    let report = check(&root);
    fs::remove_dir_all(&root).unwrap();
    let report = report.unwrap();
    assert_eq!(
        report.errors,
        [
            "igmp-userspace/src/fib.rs:1: tokio has no place in the pure core; it belongs to io/",
            "igmp-userspace/src/proto/group.rs:1: std::fs has no place in the pure core; it belongs to io/",
            "docs/rfc-compliance.md:4: there is no test leaves",
        ]
    );
    assert_eq!(
        report.warnings,
        ["igmp-userspace/src/io/mod.rs: 401 lines; more than 400 are rarely one subject"]
    );
}
