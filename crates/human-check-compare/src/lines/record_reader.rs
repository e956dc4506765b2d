use std::io::{self, BufRead, Read};

use super::{Line, RecordError};

/// The maximum length of a line in bytes, more than any record has. A longer line is not kept in
/// memory.
const MAX_LINE_BYTES: u64 = 65_536;

/// A reader of the lines of a file of records, one by one, each with its number.
///
/// A line of no known kind is returned as an error, and the next lines can still be read. Empty
/// lines are skipped.
///
/// ```
/// use human_check_compare::RecordReader;
///
/// # fn main() -> std::io::Result<()> {
/// let file = r#"
/// {"at":"2026-11-24T18:00:00Z","observations":[{"provider":"acme","outcome":"human"}]}
/// not a record
/// "#;
/// let mut reader = RecordReader::new(file.as_bytes());
/// let mut numbers = (Vec::new(), Vec::new());
/// while let Some((number, line)) = reader.read()? {
///     match line {
///         Ok(_record) => numbers.0.push(number),
///         Err(_error) => numbers.1.push(number),
///     }
/// }
/// assert_eq!(numbers, (vec![2], vec![3]));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RecordReader<R> {
    input: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> RecordReader<R> {
    /// Creates a reader of `input`, such as a `BufReader` of a file.
    pub fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            line: Vec::new(),
        }
    }

    /// Reads the next line that is not empty. Returns its number, from 1, and what it is, or its error.
    /// `None` at the end of the input.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when the input cannot be read.
    #[allow(clippy::type_complexity, reason = "a number and a result")]
    pub fn read(&mut self) -> io::Result<Option<(u64, Result<Line, RecordError>)>> {
        loop {
            self.line.clear();
            let mut start = (&mut self.input).take(MAX_LINE_BYTES);
            if start.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            // Some editors and tools write a mark at the beginning of a UTF-8 file.
            if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
                self.line.drain(..3);
            }
            let full = u64::try_from(self.line.len()).is_ok_and(|read| read >= MAX_LINE_BYTES);
            if full && self.line.last() != Some(&b'\n') {
                skip_line(&mut self.input)?;
                let error =
                    RecordError::new("is longer than 65536 bytes", "write one record a line");
                return Ok(Some((self.number, Err(error))));
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, Line::from_json(&self.line))));
            }
        }
    }
}

/// Skips the rest of a line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(());
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(chunk.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_hides_no_record() {
        let good =
            r#"{"at":"2026-11-24T18:00:00Z","observations":[{"provider":"a","outcome":"human"}]}"#;
        let text = format!("\u{feff}{good}\n{good}\n\u{feff}{good}");
        let mut lines = RecordReader::new(text.as_bytes());
        let mut seen = Vec::new();
        while let Some((number, record)) = lines.read().unwrap() {
            seen.push((number, record.is_ok()));
        }
        assert_eq!(
            seen,
            [(1, true), (2, true), (3, false)],
            "only at the beginning"
        );
    }

    #[test]
    fn bad_lines_are_told_by_number_and_the_rest_is_kept() {
        let good =
            r#"{"at":"2026-11-24T18:00:00Z","observations":[{"provider":"a","outcome":"human"}]}"#;
        let long = "x".repeat(200_000);
        let text = format!("{good}\n\nnonsense\n{long}\n{good}\n{good}");
        let mut lines = RecordReader::new(io::BufReader::with_capacity(1_000, text.as_bytes()));
        let mut seen = Vec::new();
        while let Some((number, record)) = lines.read().unwrap() {
            seen.push((number, record.is_ok()));
        }
        assert_eq!(
            seen,
            [(1, true), (3, false), (4, false), (5, true), (6, true)]
        );
    }
}
