//! Tables of text.

use unicode_width::UnicodeWidthStr as _;
use verdicts::harmless;

/// A column: its head, and to which side it is aligned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    head: &'static str,
    is_number: bool,
}

/// Of text, aligned to the left.
pub(crate) const fn text(head: &'static str) -> Column {
    Column {
        head,
        is_number: false,
    }
}

/// Of numbers, aligned to the right.
pub(crate) const fn number(head: &'static str) -> Column {
    Column {
        head,
        is_number: true,
    }
}

/// Lines of a table, its head first. Nothing that stands in a cell breaks out of it.
pub(crate) fn table(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let head = columns.iter().map(|it| it.head.to_owned()).collect();
    let cells = |row: &Vec<String>| -> Vec<String> {
        row.iter().map(|it| harmless(it).into_owned()).collect()
    };
    let lines: Vec<Vec<String>> = [head].iter().chain(rows).map(cells).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|it| it.get(column));
        cells.map(|it| it.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    lines
        .iter()
        .map(|line| {
            let cells = line.iter().enumerate().map(|(number, cell)| {
                let column = columns.get(number);
                let padding = widths.get(number).map_or(0, |it| it - cell.width());
                let padding = " ".repeat(padding);
                match column {
                    Some(it) if it.is_number => format!("{padding}{cell}"),
                    _ => format!("{cell}{padding}"),
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            line.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_a_terminal_shows() {
        let columns = [number("PINS"), text("NAME"), text("CGROUP")];
        let rows = [
            vec!["7".to_owned(), "日本".to_owned(), "/a".to_owned()],
            vec!["12345".to_owned(), "b".to_owned(), "/c".to_owned()],
        ];
        let lines = table(&columns, &rows);
        assert_eq!(lines[0], " PINS  NAME  CGROUP");
        assert_eq!(lines[1], "    7  日本  /a");
        assert_eq!(lines[2], "12345  b     /c");
    }

    #[test]
    fn no_cell_makes_a_line_of_its_own() {
        let lines = table(&[text("NAME")], &[vec!["x\n9 TiB\x1b[2J".to_owned()]]);
        assert_eq!(lines, ["NAME", r"x\x0a9 TiB\x1b[2J"]);
    }
}
