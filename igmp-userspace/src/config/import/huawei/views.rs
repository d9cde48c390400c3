//! The views of a VRP configuration: a head, and lines indented beneath it.

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    pub(super) words: Vec<&'a str>,
}

/// A head such as `interface Vlanif10`, and what is in its view; or a line of the system view alone.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) head: Line<'a>,
    pub(super) body: Vec<Line<'a>>,
    text: &'a str,
}

impl<'a> View<'a> {
    /// What follows the first word: `GigabitEthernet0/1/0`.
    pub(super) fn title(&self) -> &'a str {
        let rest = self.text.trim().split_once(char::is_whitespace);
        rest.map_or("", |(_, title)| title.trim())
    }
}

/// Reads every view. `#` on a line of its own ends one; a file that lost its indentation has nothing else to go by.
pub(super) fn read(text: &str) -> Vec<View<'_>> {
    let is_indented = |line: &str| line.starts_with(char::is_whitespace);
    let file_is_indented = text
        .lines()
        .any(|line| is_indented(line) && !line.trim().is_empty());
    let mut views: Vec<View<'_>> = Vec::new();
    let mut is_open = false;
    for (number, text) in (1..).zip(text.lines()) {
        let words: Vec<_> = text.split_whitespace().collect();
        let line = Line { number, words };
        match line.words.first() {
            None => {}
            Some(first) if first.starts_with('#') || first.starts_with('!') => is_open = false,
            Some(_) => match views.last_mut() {
                Some(view) if is_open && (is_indented(text) || !file_is_indented) => {
                    view.body.push(line);
                }
                _ => {
                    is_open = true;
                    views.push(View {
                        head: line,
                        body: Vec::new(),
                        text,
                    });
                }
            },
        }
    }
    views
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Vec<(&str, Vec<usize>)> {
        let views = read(text);
        let lines = |view: &View<'_>| view.body.iter().map(|line| line.number).collect();
        views
            .iter()
            .map(|view| (view.head.words[0], lines(view)))
            .collect()
    }

    #[test]
    fn indentation_makes_a_view() {
        let text =
            "sysname R1\nvlan 2\n#\ninterface Vlanif2\n igmp enable\n\n igmp version 2\nreturn\n";
        assert_eq!(
            shape(text),
            [
                ("sysname", vec![]),
                ("vlan", vec![]),
                ("interface", vec![5, 7]),
                ("return", vec![])
            ]
        );
    }

    #[test]
    fn without_indentation_a_hash_ends_it() {
        let text = "#\ninterface Vlanif2\nigmp enable\n#\nigmp\nlimit 5\n";
        assert_eq!(shape(text), [("interface", vec![3]), ("igmp", vec![6])]);
    }
}
