//! Tables and texts for people: aligned, coloured on a terminal, and never wider than it.

use std::io;

use rustix::termios::tcgetwinsize;

use crate::output;

/// Between two columns.
const GAP: usize = 2;
/// Text on a wider terminal is broken all the same: long lines are hard to read.
const TEXT_WIDTH_MAX: usize = 100;

/// How things look on standard output.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal; without bound where there is none.
    pub width: usize,
    /// Whether to colour.
    pub colours: bool,
}

/// What a text says, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// A heading.
    Head,
    /// All is well.
    Good,
    /// Something is wrong.
    Warning,
    /// Something is very wrong.
    Bad,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// What it shows.
    pub name: &'static str,
    /// Numbers stand below each other by their last digits.
    pub is_number: bool,
    /// Of several columns, the one with the highest number goes first where there is no room; 0
    /// stays.
    pub expendable: u8,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Look {
    /// How things look on this standard output.
    pub fn new() -> Look {
        if !output::is_terminal() {
            return Look {
                width: usize::MAX,
                colours: false,
            };
        }
        let columns = tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Look {
            width: if columns == 0 {
                usize::MAX
            } else {
                columns.into()
            },
            colours: !set("NO_COLOR") && !is_dumb,
        }
    }

    /// A text in the colour of its tone.
    pub fn paint(self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Head => "1",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "1;31",
        };
        match self.colours && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// A text in lines that fit, the later ones further in. Each line is painted for itself.
    pub fn fold(self, text: &str, indent: usize, tone: Tone) -> String {
        let width = self.width.min(match self.width {
            usize::MAX => usize::MAX,
            _ => TEXT_WIDTH_MAX,
        });
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let line = lines.last_mut().expect("there is one");
            let taken = line.chars().count();
            if taken > indent && taken + 1 + word.chars().count() > width {
                lines.push(format!("{:indent$}{word}", ""));
                continue;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        let painted = lines.iter().map(|line| self.paint(line, tone) + "\n");
        painted.collect()
    }
}

impl Column {
    /// A column of words.
    pub fn words(name: &'static str, expendable: u8) -> Column {
        Column {
            name,
            is_number: false,
            expendable,
        }
    }

    /// A column of numbers.
    pub fn numbers(name: &'static str, expendable: u8) -> Column {
        Column {
            name,
            is_number: true,
            expendable,
        }
    }
}

impl Table {
    /// A table without rows.
    pub fn new(columns: Vec<Column>) -> Table {
        Table {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row. Cells at its end may be missing.
    pub fn row(&mut self, mut cells: Vec<(String, Tone)>) {
        cells.resize(self.columns.len(), (String::new(), Tone::Plain));
        self.rows.push(cells);
    }

    /// The table in lines that fit.
    pub fn render(&self, look: Look) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|n| self.width(n)).collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let total = |shown: &[usize]| {
            let text: usize = shown.iter().map(|n| widths[*n]).sum();
            text + GAP * shown.len().saturating_sub(1)
        };
        while total(&shown) > look.width {
            let expendable = |n: &&usize| self.columns[**n].expendable;
            match shown.iter().max_by_key(expendable).copied() {
                Some(n) if self.columns[n].expendable > 0 => shown.retain(|other| *other != n),
                _ => break,
            }
        }
        let head: Vec<(String, Tone)> = self
            .columns
            .iter()
            .map(|column| (column.name.to_owned(), Tone::Head))
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            let last = shown.iter().rposition(|n| !row[*n].0.is_empty());
            for n in shown.iter().take(last.map_or(0, |last| last + 1)) {
                let (cell, tone) = &row[*n];
                let room = widths[*n].saturating_sub(cell.chars().count());
                let (before, after) = match self.columns[*n].is_number {
                    true => (room, 0),
                    false => (0, room),
                };
                line += &" ".repeat(before);
                line += &look.paint(cell, *tone);
                line += &" ".repeat(after + GAP);
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    fn width(&self, n: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[n].0.chars().count());
        cells
            .chain([self.columns[n].name.len()])
            .max()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(width: usize) -> Look {
        Look {
            width,
            colours: false,
        }
    }

    fn table() -> Table {
        let columns = vec![
            Column::words("NAME", 0),
            Column::numbers("COUNT", 0),
            Column::words("REMARK", 1),
        ];
        let mut table = Table::new(columns);
        let cell = |text: &str| (text.to_owned(), Tone::Plain);
        table.row(vec![cell("a"), cell("7"), cell("fine")]);
        table.row(vec![cell("longer")]);
        table
    }

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let expected = "NAME    COUNT  REMARK\na           7  fine\nlonger\n";
        assert_eq!(table().render(look(usize::MAX)), expected);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_never_wrapped() {
        let expected = "NAME    COUNT\na           7\nlonger\n";
        assert_eq!(table().render(look(20)), expected);
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let coloured = Look {
            colours: true,
            ..look(usize::MAX)
        };
        let text = table().render(coloured);
        assert!(text.starts_with("\x1b[1mNAME\x1b[0m    \x1b[1mCOUNT\x1b[0m  "));
    }

    #[test]
    fn texts_are_broken_between_words() {
        assert_eq!(
            look(12).fold("one two three four", 2, Tone::Plain),
            "one two\n  three four\n"
        );
        assert_eq!(look(3).fold("longer", 2, Tone::Plain), "longer\n");
    }
}
