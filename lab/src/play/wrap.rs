//! Breaks texts into lines that people can read.

use std::io;

use terminal_size::{Width, terminal_size_of};

/// Columns that are good to read, and the fewest into which texts with addresses fit.
const WIDEST: usize = 96;
const NARROWEST: usize = 60;

/// In lines of a readable length; lines of the text's own that are indented stay as they are.
pub(super) fn wrap(text: &str, indent: &str) -> String {
    // Asked each time: windows are resized while people watch.
    let columns = terminal_size_of(io::stdout()).map(|(Width(columns), _)| usize::from(columns));
    within(columns.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST), text, indent)
}

fn within(width: usize, text: &str, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut row = String::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with(' ') {
            if !row.is_empty() {
                lines.push(std::mem::take(&mut row));
            }
            lines.push(line.to_owned());
            continue;
        }
        for word in line.split_whitespace() {
            if !row.is_empty() && row.chars().count() + 1 + word.chars().count() > width - indent.len() {
                lines.push(std::mem::take(&mut row));
            }
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(word);
        }
    }
    lines.push(row);
    let lines: Vec<_> = lines.iter().map(|line| format!("{indent}{line}").trim_end().to_owned()).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_between_words_and_commands_are_not() {
        let text = format!("{}\n  an indented line stays {}\nend", "word ".repeat(40), "x".repeat(120));
        let wrapped = within(WIDEST, &text, "    ");
        let lines: Vec<_> = wrapped.lines().collect();
        assert_eq!(lines.len(), 5, "{wrapped}");
        assert!(
            lines[..2].iter().all(|line| line.len() <= WIDEST && line.starts_with("    word")),
            "{wrapped}"
        );
        assert!(lines[3].starts_with("      an indented"), "{wrapped}");
        assert_eq!(lines[4], "    end");
        let narrow = within(NARROWEST, &"word ".repeat(40), "");
        assert!(narrow.lines().all(|line| line.len() <= NARROWEST), "{narrow}");
    }
}
