use super::Align::{Left, Right};
use super::*;

fn render(table: &Table<3>, bold: bool) -> String {
    let mut out = Vec::new();
    table.write(&mut out, bold).unwrap();
    String::from_utf8(out).unwrap()
}

fn table() -> Table<3> {
    Table::new([("NAME", Left), ("COUNT", Right), ("NOTE", Left)])
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let mut table = table();
    table.push(["a".into(), "1".into(), "short".into()]);
    table.push(["long-name".into(), "1234567".into(), String::new()]);
    assert_eq!(
        render(&table, false),
        "\
NAME         COUNT  NOTE
a                1  short
long-name  1234567
"
    );
}

#[test]
fn a_table_without_rows_is_its_header() {
    assert_eq!(render(&table(), false), "NAME  COUNT  NOTE\n");
}

#[test]
fn only_the_header_is_bold() {
    let mut table = table();
    table.push(["a".into(), "1".into(), "b".into()]);
    assert_eq!(
        render(&table, true),
        "\x1b[1mNAME  COUNT  NOTE\x1b[0m\na         1  b\n"
    );
}

#[test]
fn an_empty_first_cell_keeps_its_width() {
    let mut table = table();
    table.push([String::new(), "1".into(), "b".into()]);
    assert_eq!(render(&table, false), "NAME  COUNT  NOTE\n          1  b\n");
}
