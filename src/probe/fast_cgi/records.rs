//! The records of FastCGI 1.0 that make a request. Pure.
//!
//! A record is a header of eight bytes (version, type, request id, content length, padding length, one reserved byte),
//! its content and its padding.

/// The version in each record.
pub(super) const VERSION: u8 = 1;

/// Bytes before the content.
pub(super) const HEADER: usize = 8;

/// The id of our one request.
pub(super) const REQUEST: u16 = 1;

/// The types of records.
pub(super) mod kind {
    pub(in super::super) const BEGIN_REQUEST: u8 = 1;
    pub(in super::super) const END_REQUEST: u8 = 3;
    pub(in super::super) const PARAMS: u8 = 4;
    pub(in super::super) const STDIN: u8 = 5;
    pub(in super::super) const STDOUT: u8 = 6;
    pub(in super::super) const STDERR: u8 = 7;
}

/// The role of a server that answers requests.
const RESPONDER: u8 = 1;

/// A whole request: the server closes the connection after its answer, there is no body.
pub(super) fn request(path: &str, query: &str) -> Vec<u8> {
    let mut params = Vec::with_capacity(512);
    let uri = match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    // What php-fpm needs for its own pages, and what a script may expect to be there.
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", crate::probe::USER_AGENT),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_ADDR", "127.0.0.1"),
        ("SERVER_PORT", "80"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "0"),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", &uri),
        ("DOCUMENT_URI", path),
        ("SCRIPT_NAME", path),
        ("SCRIPT_FILENAME", path),
        ("QUERY_STRING", query),
        ("HTTP_HOST", "localhost"),
        ("HTTP_USER_AGENT", crate::probe::USER_AGENT),
        ("HTTP_ACCEPT", "*/*"),
    ] {
        push_param(&mut params, name, value);
    }
    let mut request = Vec::with_capacity(params.len() + 64);
    // The role in two bytes, and flags without FCGI_KEEP_CONN.
    push(
        &mut request,
        kind::BEGIN_REQUEST,
        &[0, RESPONDER, 0, 0, 0, 0, 0, 0],
    );
    for part in params.chunks(usize::from(u16::MAX)) {
        push(&mut request, kind::PARAMS, part);
    }
    push(&mut request, kind::PARAMS, &[]);
    push(&mut request, kind::STDIN, &[]);
    request
}

/// A record; its content has at most 65,535 bytes.
pub(super) fn push(to: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let [id_high, id_low] = REQUEST.to_be_bytes();
    let [high, low] = (content.len() as u16).to_be_bytes();
    to.extend_from_slice(&[VERSION, kind, id_high, id_low, high, low, 0, 0]);
    to.extend_from_slice(content);
}

fn push_param(to: &mut Vec<u8>, name: &str, value: &str) {
    for length in [name.len(), value.len()] {
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => to.push(short),
            _ => to.extend_from_slice(&(length as u32 | 1 << 31).to_be_bytes()),
        }
    }
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The records of a request, by type.
    fn records(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
            assert_eq!((bytes[0], bytes[2], bytes[3], bytes[6]), (1, 0, 1, 0));
            records.push((bytes[1], bytes[8..8 + length].to_vec()));
            bytes = &bytes[8 + length..];
        }
        records
    }

    fn params(mut bytes: &[u8]) -> BTreeMap<String, String> {
        let mut params = BTreeMap::new();
        while !bytes.is_empty() {
            let mut length = || {
                if bytes[0] < 0x80 {
                    let length = usize::from(bytes[0]);
                    bytes = &bytes[1..];
                    length
                } else {
                    let length =
                        u32::from_be_bytes([bytes[0] & 0x7f, bytes[1], bytes[2], bytes[3]]);
                    bytes = &bytes[4..];
                    length as usize
                }
            };
            let (name, value) = (length(), length());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            params.insert(text(&bytes[..name]), text(&bytes[name..name + value]));
            bytes = &bytes[name + value..];
        }
        params
    }

    #[test]
    fn a_request_has_all_its_records() {
        let records = records(&request("/status", "json&full"));
        let kinds: Vec<u8> = records.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [1, 4, 4, 5]);
        assert_eq!(records[0].1, [0, 1, 0, 0, 0, 0, 0, 0]);
        let params = params(&records[1].1);
        for (name, value) in [
            ("SCRIPT_NAME", "/status"),
            ("SCRIPT_FILENAME", "/status"),
            ("REQUEST_URI", "/status?json&full"),
            ("QUERY_STRING", "json&full"),
            ("REQUEST_METHOD", "GET"),
        ] {
            assert_eq!(params[name], value);
        }
    }

    #[test]
    fn long_parameters_are_split_over_records() {
        let path = format!("/{}", "x".repeat(40_000));
        let records = records(&request(&path, ""));
        let kinds: Vec<u8> = records.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [1, 4, 4, 4, 4, 5]);
        let whole: Vec<u8> = records
            .iter()
            .filter(|(kind, _)| *kind == 4)
            .flat_map(|(_, content)| content.clone())
            .collect();
        assert_eq!(params(&whole)["SCRIPT_NAME"], path);
        assert_eq!(params(&whole)["REQUEST_URI"], path);
    }
}
