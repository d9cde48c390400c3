use super::*;

/// Two entries laid out by hand from the format's description: 6 octets of magic and 13 numbers of 8 digits, the name with
/// its zero, the content, the last two padded so that what follows starts at a multiple of four.
#[test]
fn an_archive_is_as_the_format_says() {
    let mut archive = Vec::new();
    let mut cpio = Cpio::new(&mut archive);
    cpio.program("a/bc", b"hello").unwrap();
    cpio.finish().unwrap();

    let directory = concat!(
        "070701", "00000001", "000041ed", "00000000", "00000000", "00000001", "00000000",
        "00000000", "00000000", "00000000", "00000000", "00000000", "00000002", "00000000",
    );
    let program = concat!(
        "070701", "00000002", "000081ed", "00000000", "00000000", "00000001", "00000000",
        "00000005", "00000000", "00000000", "00000000", "00000000", "00000005", "00000000",
    );
    let trailer = concat!(
        "070701", "00000003", "00000000", "00000000", "00000000", "00000001", "00000000",
        "00000000", "00000000", "00000000", "00000000", "00000000", "0000000b", "00000000",
    );
    // 110 octets of header: 2 + 0 of name fill a multiple of four, 5 want 1 more, 11 want 3.
    let expected = format!("{directory}a\0{program}a/bc\0\0hello\0\0\0{trailer}TRAILER!!!\0\0\0\0");
    assert_eq!(String::from_utf8(archive).unwrap(), expected);
}

#[test]
fn directories_come_once_and_before_what_is_in_them() {
    let mut archive = Vec::new();
    let mut cpio = Cpio::new(&mut archive);
    cpio.directory("x/y").unwrap();
    cpio.program("x/y/p", b"").unwrap();
    cpio.link("x/q", "/x/y/p").unwrap();
    cpio.finish().unwrap();
    let archive = String::from_utf8(archive).unwrap();
    let names: Vec<&str> = archive
        .split("070701")
        .skip(1)
        .map(|entry| entry[13 * 8..].split('\0').next().unwrap())
        .collect();
    assert_eq!(names, ["x", "x/y", "x/y/p", "x/q", "TRAILER!!!"]);
}
