//! The answer to a FastCGI request, taken apart as it comes in. Pure.
//!
//! It keeps the CGI head up to its limit, the beginning of what was said on STDERR, and nothing else.

use super::records::{HEADER, REQUEST, VERSION, kind};

/// So long the CGI head may be.
const HEAD: usize = 16 * 1024;

/// So much of a body must come, if there is so much; what follows is not read. As with HTTP.
const BODY: usize = 10 * 1024;

/// Bytes of STDERR that are told.
const SAID: usize = 200;

/// Bytes at most that are no part of the head or the body: STDERR, padding, records of other requests.
const CHATTER: usize = 1024 * 1024;

/// Why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::probe) enum Bad {
    #[error("the server does not speak FastCGI")]
    NotFastCgi,
    #[error("the server answers another request")]
    OtherRequest,
    #[error("the server's head is longer than {HEAD} bytes")]
    LongHead,
    #[error("the server says more than {CHATTER} bytes beside its answer")]
    Chatter,
    #[error("the server has no head in its answer")]
    NoHead,
    #[error("the server gives a status that is no number")]
    NoStatus,
    #[error("the server is overloaded")]
    Overloaded,
    #[error("the server takes one request at a time and has one")]
    Busy,
    #[error("the server is no responder")]
    Role,
    #[error("the application ended with {0} and without an answer")]
    Ended(u32),
    #[error("the server closed the connection without an answer")]
    Silent,
    #[error("the server closed the connection within its answer")]
    Cut,
}

/// Where in a record the parser is.
#[derive(Debug, Clone, Copy)]
enum At {
    Header { have: usize },
    Content { left: usize },
    Padding { left: usize },
}

/// Takes an answer apart, in pieces of any size.
#[derive(Debug)]
pub(super) struct Parser {
    at: At,
    header: [u8; HEADER],
    /// Of an END_REQUEST record.
    end: Vec<u8>,
    head: Vec<u8>,
    /// The head is complete.
    headed: bool,
    body: usize,
    said: Vec<u8>,
    chatter: usize,
    began: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Parser {
            at: At::Header { have: 0 },
            header: [0; HEADER],
            end: Vec::new(),
            head: Vec::new(),
            headed: false,
            body: 0,
            said: Vec::new(),
            chatter: 0,
            began: false,
        }
    }
}

impl Parser {
    /// Takes what was read. Says whether that was all that is needed.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<bool, Bad> {
        self.began |= !bytes.is_empty();
        loop {
            match self.at {
                At::Header { have } => {
                    let taken = bytes.len().min(HEADER - have);
                    self.header[have..have + taken].copy_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if have + taken < HEADER {
                        self.at = At::Header { have: have + taken };
                        return Ok(false);
                    }
                    self.begin_record()?;
                }
                At::Content { left: 0 } => {
                    if self.end_content()? {
                        return Ok(true);
                    }
                }
                At::Padding { left: 0 } => self.at = At::Header { have: 0 },
                At::Content { left } | At::Padding { left } => {
                    let (taken, rest) = bytes.split_at(bytes.len().min(left));
                    bytes = rest;
                    if taken.is_empty() {
                        return Ok(false);
                    }
                    let left = left - taken.len();
                    if let At::Padding { .. } = self.at {
                        self.at = At::Padding { left };
                        self.chat(taken.len())?;
                    } else {
                        self.at = At::Content { left };
                        if self.content(taken)? {
                            return Ok(true);
                        }
                    }
                }
            }
        }
    }

    fn begin_record(&mut self) -> Result<(), Bad> {
        let [version, kind, id_high, id_low, high, low, ..] = self.header;
        let known = matches!(kind, kind::END_REQUEST | kind::STDOUT | kind::STDERR);
        // What is said outside of requests has the id 0 and may be of a type that we do not know.
        let id = u16::from_be_bytes([id_high, id_low]);
        if version != VERSION || !(known || id == 0) {
            return Err(Bad::NotFastCgi);
        }
        if known && id != REQUEST {
            return Err(Bad::OtherRequest);
        }
        let left = u16::from_be_bytes([high, low]).into();
        if kind == kind::END_REQUEST && left < HEADER {
            return Err(Bad::NotFastCgi);
        }
        self.at = At::Content { left };
        // Empty records must end too.
        self.chat(HEADER)
    }

    /// Takes a part of a record's content. Says whether that was all that is needed.
    fn content(&mut self, part: &[u8]) -> Result<bool, Bad> {
        match self.header[1] {
            kind::STDOUT => self.stdout(part),
            kind::END_REQUEST => {
                let space = HEADER - self.end.len();
                self.end.extend_from_slice(&part[..part.len().min(space)]);
                Ok(false)
            }
            kind => {
                if kind == kind::STDERR {
                    let space = SAID - self.said.len();
                    self.said.extend_from_slice(&part[..part.len().min(space)]);
                }
                self.chat(part.len()).map(|()| false)
            }
        }
    }

    fn stdout(&mut self, mut part: &[u8]) -> Result<bool, Bad> {
        while !self.headed {
            // By lines, so that an end of the head is found wherever the reads were cut.
            let Some(newline) = memchr::memchr(b'\n', part) else {
                self.head.extend_from_slice(part);
                return self.short_head().map(|()| false);
            };
            let (line, rest) = part.split_at(newline + 1);
            self.head.extend_from_slice(line);
            self.short_head()?;
            part = rest;
            self.headed = self.head.ends_with(b"\n\n")
                || self.head.ends_with(b"\n\r\n")
                || matches!(self.head.as_slice(), b"\n" | b"\r\n");
        }
        self.body += part.len();
        Ok(self.body >= BODY)
    }

    fn short_head(&self) -> Result<(), Bad> {
        if self.head.len() > HEAD {
            return Err(Bad::LongHead);
        }
        Ok(())
    }

    fn chat(&mut self, bytes: usize) -> Result<(), Bad> {
        self.chatter += bytes;
        if self.chatter > CHATTER {
            return Err(Bad::Chatter);
        }
        Ok(())
    }

    /// The content of a record is complete. Says whether the answer is.
    fn end_content(&mut self) -> Result<bool, Bad> {
        self.at = At::Padding {
            left: self.header[6].into(),
        };
        let [a, b, c, d, protocol, ..] = self.end[..] else {
            return Ok(false);
        };
        match protocol {
            0 if self.headed => Ok(true),
            0 => match u32::from_be_bytes([a, b, c, d]) {
                0 => Err(Bad::NoHead),
                code => Err(Bad::Ended(code)),
            },
            1 => Err(Bad::Busy),
            2 => Err(Bad::Overloaded),
            3 => Err(Bad::Role),
            _ => Err(Bad::NotFastCgi),
        }
    }

    /// What it means that the connection ended before the answer did.
    pub(super) fn cut(&self) -> Bad {
        if self.began { Bad::Cut } else { Bad::Silent }
    }

    /// The status in the head; 200 if it has none.
    pub(super) fn status(&self) -> Result<u16, Bad> {
        let mut lines = self.head.split(|byte| *byte == b'\n');
        let status = lines.find_map(|line| {
            let (name, value) = line.split_at_checked("status:".len())?;
            name.eq_ignore_ascii_case(b"status:").then_some(value)
        });
        let Some(status) = status else {
            return Ok(200);
        };
        let digits = status.trim_ascii_start();
        let end = digits.iter().position(|byte| !byte.is_ascii_digit());
        let digits = &digits[..end.unwrap_or(digits.len())];
        let number = str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.len() == 3);
        number
            .and_then(|digits| digits.parse().ok())
            .ok_or(Bad::NoStatus)
    }

    /// The beginning of the first line on STDERR.
    pub(super) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.said);
        let line = text.trim().lines().next().unwrap_or_default();
        line.chars().filter(|c| !c.is_control()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::records::push;
    use super::*;

    /// The outcome of an answer that is read in pieces of these sizes, over and over.
    fn outcome(bytes: &[u8], pieces: &[usize]) -> Result<(u16, String), Bad> {
        let mut parser = Parser::default();
        let mut rest = bytes;
        let mut pieces = pieces.iter().cycle();
        while !rest.is_empty() {
            let size = pieces
                .next()
                .map_or(rest.len(), |size| (*size).min(rest.len()));
            let (piece, after) = rest.split_at(size);
            rest = after;
            if parser.feed(piece)? {
                return Ok((parser.status()?, parser.said()));
            }
            // Whatever comes, it stays small.
            assert!(parser.head.len() <= HEAD + size && parser.said.len() <= SAID);
        }
        Err(parser.cut())
    }

    fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let mut record = Vec::new();
        push(&mut record, kind, content);
        record[6] = padding;
        record.extend(vec![b'p'; padding.into()]);
        record
    }

    fn out(text: &str) -> Vec<u8> {
        record(kind::STDOUT, text.as_bytes(), 3)
    }

    fn end(app: u32, protocol: u8) -> Vec<u8> {
        let mut content = app.to_be_bytes().to_vec();
        content.extend([protocol, 0, 0, 0]);
        record(kind::END_REQUEST, &content, 0)
    }

    /// The id of a record, changed.
    fn for_request(id: u8, mut record: Vec<u8>) -> Vec<u8> {
        record[3] = id;
        record
    }

    #[test]
    fn the_head_gives_the_status() {
        let cases = [
            ("Content-Type: text/plain\r\n\r\npong", Ok(200)),
            ("Status: 404 Not Found\r\nX: y\r\n\r\n", Ok(404)),
            ("X: y\nstatus:302\n\n", Ok(302)),
            ("STATUS:   503\r\n\r\n", Ok(503)),
            ("X-Status: 500\r\n\r\n", Ok(200)),
            ("X: y\r\n\r\nStatus: 500", Ok(200)),
            ("\r\n", Ok(200)),
            ("\npong", Ok(200)),
            ("Status: \r\n\r\n", Err(Bad::NoStatus)),
            ("Status: 20\r\n\r\n", Err(Bad::NoStatus)),
            ("Status: 2000\r\n\r\n", Err(Bad::NoStatus)),
            ("Status: -20\r\n\r\n", Err(Bad::NoStatus)),
            ("Status: 500", Err(Bad::NoHead)),
            ("", Err(Bad::NoHead)),
        ];
        for (text, expected) in cases {
            let bytes = [out(text), out(""), end(0, 0)].concat();
            let status = outcome(&bytes, &[]).map(|(status, _)| status);
            assert_eq!(status, expected, "{text:?}");
        }
    }

    #[test]
    fn the_end_says_what_went_wrong() {
        for (app, protocol, expected) in [
            (0, 0, Bad::NoHead),
            (255, 0, Bad::Ended(255)),
            (0, 1, Bad::Busy),
            (0, 2, Bad::Overloaded),
            (0, 3, Bad::Role),
            (0, 9, Bad::NotFastCgi),
        ] {
            assert_eq!(outcome(&end(app, protocol), &[]), Err(expected));
        }
        // What the application ended with does not matter once it has answered.
        let bytes = [out("X: y\n\n"), end(255, 0)].concat();
        assert_eq!(outcome(&bytes, &[]), Ok((200, String::new())));
    }

    #[test]
    fn what_is_said_on_stderr_is_told() {
        let said = record(kind::STDERR, b" Primary script unknown\nmore\n", 7);
        let bytes = [said, out("Status: 404\n\n"), end(0, 0)].concat();
        let told = "Primary script unknown".to_owned();
        assert_eq!(outcome(&bytes, &[]), Ok((404, told)));
    }

    #[test]
    fn hostile_answers_end_in_one_error() {
        let endless = |kind, content: &[u8]| record(kind, content, 255).repeat(40_000);
        let value = |id| for_request(id, record(10, b"values", 0));
        let cases = [
            (
                b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
                Bad::NotFastCgi,
            ),
            (vec![0; 100], Bad::NotFastCgi),
            (value(1), Bad::NotFastCgi),
            (record(kind::END_REQUEST, &[0; 7], 0), Bad::NotFastCgi),
            (for_request(2, end(0, 0)), Bad::OtherRequest),
            (for_request(0, out("x")), Bad::OtherRequest),
            (endless(kind::STDERR, b"x"), Bad::Chatter),
            (endless(kind::STDOUT, b""), Bad::Chatter),
            (for_request(0, endless(9, b"")), Bad::NotFastCgi),
            (out(&"x".repeat(65_535)), Bad::LongHead),
            (out(&"x\n".repeat(32_000)), Bad::LongHead),
            (Vec::new(), Bad::Silent),
            (vec![1], Bad::Cut),
            (out("X: y\n\npart"), Bad::Cut),
        ];
        for (bytes, expected) in cases {
            for pieces in [&[][..], &[1], &[8192]] {
                assert_eq!(outcome(&bytes, pieces), Err(expected), "{expected:?}");
            }
        }
        let mut fine = value(0);
        fine.extend([out("X: y\n\n"), end(0, 0)].concat());
        assert_eq!(outcome(&fine, &[]), Ok((200, String::new())));
    }

    #[test]
    fn a_long_body_is_not_read_to_its_end() {
        let body = out(&format!("X: y\n\n{}", "x".repeat(BODY)));
        assert_eq!(outcome(&body, &[100]), Ok((200, String::new())));
    }

    /// Records as a server may send them, whole or not.
    fn answers() -> impl Strategy<Value = Vec<u8>> {
        let text = prop_oneof![
            Just("Status: 503\r\n".to_owned()),
            Just("X: y\r\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("\n".to_owned()),
            "[a-z\r\n]{0,40}",
        ];
        let kinds = prop_oneof![
            6 => Just(kind::STDOUT),
            2 => Just(kind::STDERR),
            1 => any::<u8>(),
        ];
        let record = (kinds, text, any::<u8>())
            .prop_map(|(kind, text, padding)| record(kind, text.as_bytes(), padding));
        (
            proptest::collection::vec(record, 0..8),
            proptest::option::of((any::<u32>(), 0..4u8)),
            proptest::collection::vec(any::<u8>(), 0..4),
        )
            .prop_map(|(records, ended, garbage)| {
                let mut bytes = records.concat();
                bytes.extend(
                    ended
                        .map(|(app, protocol)| end(app, protocol))
                        .unwrap_or_default(),
                );
                bytes.extend(garbage);
                bytes
            })
    }

    proptest! {
        #[test]
        fn where_the_reads_are_cut_does_not_matter(bytes in answers()) {
            let whole = outcome(&bytes, &[]);
            prop_assert_eq!(&outcome(&bytes, &[1]), &whole);
            for cut in 1..bytes.len() {
                prop_assert_eq!(&outcome(&bytes, &[cut, bytes.len()]), &whole);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, pieces in proptest::collection::vec(1..20usize, 1..5)) {
            let _ = outcome(&bytes, &pieces);
        }
    }
}
