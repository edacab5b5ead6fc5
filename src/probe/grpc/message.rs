//! The two messages of the health service, in the frame that gRPC puts around them. Pure.
//!
//! A frame is one byte that says whether it is compressed, four of length and the message. `HealthCheckRequest` has one
//! field, `string service = 1`; `HealthCheckResponse` has one too, the enum `status = 1`.

use std::fmt;

/// Bytes before a message.
const FRAME: usize = 5;

/// What a server says of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) enum Health {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
    /// A number that the protocol does not have.
    Other(u64),
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Health::Unknown => f.write_str("UNKNOWN"),
            Health::Serving => f.write_str("SERVING"),
            Health::NotServing => f.write_str("NOT_SERVING"),
            Health::ServiceUnknown => f.write_str("SERVICE_UNKNOWN"),
            Health::Other(number) => number.fmt(f),
        }
    }
}

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::probe) enum Unreadable {
    #[error("the answer is compressed, which was not asked for")]
    Compressed,
    #[error("the answer is no health message")]
    Message,
}

/// The framed request. A service name has at most 256 characters.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(FRAME + 3 + service.len());
    message.extend_from_slice(&[0; FRAME]);
    // The default of a field is not written.
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        push_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let length = (message.len() - FRAME) as u32;
    message[1..FRAME].copy_from_slice(&length.to_be_bytes());
    message
}

fn push_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// What a framed answer says. Fields of a later protocol are passed over.
pub(super) fn answer(framed: &[u8]) -> Result<Health, Unreadable> {
    let (frame, message) = framed.split_first_chunk().ok_or(Unreadable::Message)?;
    let [compressed, length @ ..]: [u8; FRAME] = *frame;
    if compressed != 0 {
        return Err(Unreadable::Compressed);
    }
    if u32::from_be_bytes(length) as usize != message.len() {
        return Err(Unreadable::Message);
    }
    let status = status(message).ok_or(Unreadable::Message)?;
    Ok(match status {
        0 => Health::Unknown,
        1 => Health::Serving,
        2 => Health::NotServing,
        3 => Health::ServiceUnknown,
        other => Health::Other(other),
    })
}

/// Field 1 of a message, 0 if it is not there; `None`: not a message.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let skipped = match tag & 7 {
            0 => {
                let value = varint(&mut message)?;
                if tag >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => varint(&mut message)?,
            5 => 4,
            _ => return None,
        };
        message = message.get(usize::try_from(skipped).ok()?..)?;
    }
    Some(status)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The name of a gRPC status; a number without one as it is.
pub(super) fn status_name(code: &str) -> &str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let index = code.parse::<usize>().ok();
    index.and_then(|index| NAMES.get(index)).unwrap_or(&code)
}

/// Percent-decoded text of at most `limit` characters, without what would break a line.
pub(super) fn decoded(text: &[u8], limit: usize) -> String {
    let hex = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            bytes.push(high << 4 | low);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(limit).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_names_the_service() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("shop"), *b"\0\0\0\0\x06\x0a\x04shop");
        let long = request(&"x".repeat(200));
        assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn an_answer_is_read() {
        let cases: &[(&[u8], Result<Health, Unreadable>)] = &[
            (b"\0\0\0\0\0", Ok(Health::Unknown)),
            (b"\0\0\0\0\x02\x08\x00", Ok(Health::Unknown)),
            (b"\0\0\0\0\x02\x08\x01", Ok(Health::Serving)),
            (b"\0\0\0\0\x02\x08\x02", Ok(Health::NotServing)),
            (b"\0\0\0\0\x02\x08\x03", Ok(Health::ServiceUnknown)),
            (b"\0\0\0\0\x03\x08\x80\x01", Ok(Health::Other(128))),
            // The last one counts; others are passed over, of each wire type.
            (b"\0\0\0\0\x04\x08\x02\x08\x01", Ok(Health::Serving)),
            (b"\0\0\0\0\x06\x12\x02zz\x08\x01", Ok(Health::Serving)),
            (b"\0\0\0\0\x04\x10\x05\x08\x01", Ok(Health::Serving)),
            (b"\0\0\0\0\x07\x1512345\x08", Err(Unreadable::Message)),
            (b"\0\0\0\0\x07\x151234\x08\x01", Ok(Health::Serving)),
            (b"\0\0\0\0\x0b\x1112345678\x08\x01", Ok(Health::Serving)),
            (b"\x01\0\0\0\x02\x08\x01", Err(Unreadable::Compressed)),
            (b"", Err(Unreadable::Message)),
            (b"\0\0\0\0", Err(Unreadable::Message)),
            (b"\0\0\0\0\x03\x08\x01", Err(Unreadable::Message)),
            (b"\0\xff\xff\xff\xff\x08\x01", Err(Unreadable::Message)),
            (b"\0\0\0\0\x01\x08", Err(Unreadable::Message)),
            (b"\0\0\0\0\x02\x08\x80", Err(Unreadable::Message)),
            (b"\0\0\0\0\x02\x0b\x01", Err(Unreadable::Message)),
            (b"\0\0\0\0\x02\x12\x7f", Err(Unreadable::Message)),
            (
                b"\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                Err(Unreadable::Message),
            ),
        ];
        for (framed, expected) in cases {
            assert_eq!(answer(framed), *expected, "{framed:?}");
        }
    }

    #[test]
    fn words_of_the_server_are_readable() {
        let cases = [
            ("unknown service", "unknown service"),
            ("caf%C3%A9 100%", "caf\u{e9} 100%"),
            ("a%0Ab%zz", "a b%zz"),
            ("%ff", "\u{fffd}"),
            ("more than twenty characters", "more than twenty cha"),
        ];
        for (text, expected) in cases {
            assert_eq!(decoded(text.as_bytes(), 20), expected);
        }
        assert_eq!(status_name("5"), "NOT_FOUND");
        assert_eq!(status_name("99"), "99");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(message: Vec<u8>, framed: Vec<u8>) {
            let _ = answer(&framed);
            let mut whole = vec![0];
            whole.extend((message.len() as u32).to_be_bytes());
            whole.extend(&message);
            let _ = answer(&whole);
            let _ = decoded(&message, 10);
        }

        #[test]
        fn a_request_is_a_message_that_can_be_skipped(service in ".{0,300}") {
            prop_assert_eq!(answer(&request(&service)), Ok(Health::Unknown));
        }
    }
}
