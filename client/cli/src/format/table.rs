//! Columns as Go's `tabwriter` sets them: at least 10 wide, 3 blanks between, the last one as it is.

const LEAST: usize = 10;
const GAP: usize = 3;

/// The lines of a table; cells are divided by tabs.
pub(crate) fn aligned(lines: &[String]) -> String {
    spaced(lines, LEAST, GAP)
}

/// The same with another least width and another gap.
pub(crate) fn spaced(lines: &[String], least: usize, gap: usize) -> String {
    let rows: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows
                .iter()
                .filter(|row| row.len() > column + 1)
                .map(|row| row[column].chars().count() + gap);
            cells.max().unwrap_or_default().max(least)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let blanks = widths[column].saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_not_padded_and_others_are_ten_wide() {
        let lines = ["A\tBBBBBBBBBB\tC".to_owned(), "a\tb\tc".to_owned()];
        assert_eq!(aligned(&lines), "A         BBBBBBBBBB   C\na         b            c\n");
    }
}
