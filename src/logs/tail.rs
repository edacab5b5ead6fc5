//! The last lines of an instance out of the rings of its two streams. Pure.

use super::frame::whole_characters;
use super::ring::Ring;

/// The last lines, oldest first, in at most `bytes` bytes with their newlines, in the order of the reads they came with.
/// Of a last line longer than that, its beginning.
pub(super) fn last_lines([out, err]: [&Ring; 2], bytes: usize) -> Vec<String> {
    let (mut out, mut err) = (out.newest().peekable(), err.newest().peekable());
    let (mut lines, mut room) = (Vec::new(), bytes);
    loop {
        let newer = match (out.peek(), err.peek()) {
            (Some(a), Some(b)) if a.seq > b.seq => &mut out,
            (Some(_), None) => &mut out,
            _ => &mut err,
        };
        let Some(batch) = newer.next() else {
            break;
        };
        let text = batch.bytes.strip_suffix(b"\n").unwrap_or(batch.bytes);
        for line in text.rsplit(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() + 1 > room {
                if lines.is_empty() && room > 1 {
                    let cut = whole_characters(&line[..room - 1]);
                    lines.push(String::from_utf8_lossy(&line[..cut]).into_owned());
                }
                lines.reverse();
                return lines;
            }
            room -= line.len() + 1;
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
    }
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::super::frame::Part;
    use super::*;
    use crate::domain::time::Wall;

    fn rings(reads: &[(bool, &str)]) -> [Ring; 2] {
        let mut rings = [Ring::default(), Ring::default()];
        for (seq, (stderr, text)) in reads.iter().enumerate() {
            let ring = &mut rings[usize::from(*stderr)];
            ring.append(seq as u64, Wall(0), Part::Whole, text.as_bytes());
        }
        rings
    }

    fn last(reads: &[(bool, &str)], bytes: usize) -> Vec<String> {
        let [out, err] = rings(reads);
        last_lines([&out, &err], bytes)
    }

    #[test]
    fn both_streams_in_order_of_arrival() {
        let reads = [
            (false, "1\n2\r\n"),
            (true, "3\n"),
            (true, "\n"),
            (false, "5\n"),
            (true, "6"),
        ];
        assert_eq!(last(&reads, 1000), ["1", "2", "3", "", "5", "6"]);
        assert_eq!(last(&reads, 7), ["3", "", "5", "6"]);
        assert_eq!(last(&reads, 2), ["6"]);
        assert_eq!(last(&reads, 1), [""; 0]);
        assert_eq!(last(&reads, 0), [""; 0]);
        assert_eq!(last(&[], 10), [""; 0]);
    }

    #[test]
    fn a_last_line_too_long_gives_its_beginning() {
        assert_eq!(last(&[(true, "before\nåååå\n")], 6), ["åå"]);
        assert_eq!(last(&[(true, "long line\nx\n")], 6), ["x"]);
    }
}
