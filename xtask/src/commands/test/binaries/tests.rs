use super::*;

/// As `cargo test --no-run --message-format=json` of cargo 1.95 says it, shortened.
const TEST: &str = r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"e2e_leave"},"profile":{"test":true},"filenames":["/t/debug/deps/e2e_leave-9c51eba1a3ab1b77"],"executable":"/t/debug/deps/e2e_leave-9c51eba1a3ab1b77","fresh":true}"#;
const LIBRARY: &str = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"igmp_tests"},"filenames":["/t/debug/deps/libigmp_tests-4541de49879be1a2.rlib"],"executable":null,"fresh":true}"#;

#[test]
fn an_executable_is_found_where_cargo_made_one() {
    let path = executable(TEST).expect("one was made");
    assert_eq!(path, "/t/debug/deps/e2e_leave-9c51eba1a3ab1b77");
    assert_eq!(name(Path::new(path)), "e2e_leave");
    assert_eq!(executable(LIBRARY), None);
}
