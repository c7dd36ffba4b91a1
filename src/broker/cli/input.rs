//! How `produce` reads records: lines of text with separators, or one JSON document per line.

use std::io::{self, BufRead, Read};

use corelane_base::id::Offset;
use corelane_base::time::WallMs;
use serde_json::{Map, Value};

use crate::cli::escape::from_hex;
use crate::cli::moment;
use crate::records::{Header, Record};

/// What a line means.
#[derive(Clone, Debug)]
pub struct LineFormat {
    /// Whether each line is a JSON document instead of text.
    pub json: bool,
    /// Splits the key from the value; without it there is no key. Never empty.
    pub key_separator: Option<Vec<u8>>,
    /// Ends each record in text form. Never empty, one byte.
    pub delimiter: u8,
    /// A key or value that equals this is null.
    pub null_marker: Option<Vec<u8>>,
    /// Every record gets these, in front of its own.
    pub headers: Vec<Header>,
    /// Every record gets this instead of the time at which it was read.
    pub timestamp: Option<WallMs>,
    /// The longest line in bytes.
    pub line_bytes_max: usize,
}

/// A record, and the partition it asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// What to send.
    pub record: Record,
    /// Where to, if the line says so.
    pub partition: Option<i32>,
}

/// Reads up to the next delimiter, which is taken and not kept. `None` at the end. Errors: of the reader, and a line
/// that is too long.
pub fn read_line(input: &mut impl BufRead, format: &LineFormat) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = format.line_bytes_max as u64 + 1;
    let delimiter = if format.json { b'\n' } else { format.delimiter };
    let taken = input.by_ref().take(limit).read_until(delimiter, &mut line)?;
    if taken == 0 {
        return Ok(None);
    }
    if line.last() == Some(&delimiter) {
        line.pop();
    } else if taken as u64 == limit {
        let text = format!("a record is longer than {} bytes", format.line_bytes_max);
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(Some(line))
}

/// Makes a record of a line that was read at `now`. Errors: a text for the person whose input it is.
pub fn parse_line(line: &[u8], format: &LineFormat, now: WallMs) -> Result<Line, String> {
    let timestamp = format.timestamp.unwrap_or(now);
    if format.json {
        return parse_json(line, format, timestamp);
    }
    let (key, value) = match &format.key_separator {
        None => (None, line),
        Some(separator) => match find(line, separator) {
            Some(index) => (Some(&line[..index]), &line[index + separator.len()..]),
            None => return Err("the key separator is missing".to_string()),
        },
    };
    let unless_null = |bytes: &[u8]| (format.null_marker.as_deref() != Some(bytes)).then(|| bytes.to_vec());
    let record = Record {
        offset: Offset(0),
        timestamp,
        key: key.and_then(unless_null),
        value: unless_null(value),
        headers: format.headers.clone(),
    };
    Ok(Line { record, partition: None })
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn parse_json(line: &[u8], format: &LineFormat, timestamp: WallMs) -> Result<Line, String> {
    let document: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(map) = document else { return Err("not a JSON object".to_string()) };
    let known =
        ["key", "key_hex", "value", "value_hex", "headers", "timestamp", "partition", "topic", "offset"];
    if let Some(unknown) = map.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("unknown field {unknown:?}; known are {}", known.join(", ")));
    }
    let timestamp = match map.get("timestamp") {
        None | Some(Value::Null) => timestamp,
        Some(Value::String(text)) => moment::parse(text)?,
        Some(other) => WallMs(other.as_i64().ok_or("\"timestamp\" is neither milliseconds nor a time")?),
    };
    let partition = match map.get("partition") {
        None | Some(Value::Null) => None,
        Some(other) => {
            let number = other.as_i64().and_then(|number| i32::try_from(number).ok());
            Some(number.filter(|number| *number >= 0).ok_or("\"partition\" is not a partition number")?)
        }
    };
    let mut headers = format.headers.clone();
    match map.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Array(list)) => {
            for header in list {
                headers.push(parse_json_header(header)?);
            }
        }
        Some(Value::Object(pairs)) => {
            for (key, value) in pairs {
                let text = value.as_str().ok_or("a header's value is not a string")?;
                headers.push(Header { key: key.clone().into_bytes(), value: Some(text.into()) });
            }
        }
        Some(_) => return Err("\"headers\" is neither an array nor an object".to_string()),
    }
    let (key, value) = (json_bytes(&map, "key")?, json_bytes(&map, "value")?);
    Ok(Line { record: Record { offset: Offset(0), timestamp, key, value, headers }, partition })
}

fn parse_json_header(header: &Value) -> Result<Header, String> {
    let map = header.as_object().ok_or("a header is not an object with \"key\" and \"value\"")?;
    let key = json_bytes(map, "key")?.ok_or("a header has no key")?;
    Ok(Header { key, value: json_bytes(map, "value")? })
}

/// Text under `name`, or hexadecimal digits under `name_hex`; null if neither is there.
fn json_bytes(map: &Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, String> {
    let hex = map.get(&format!("{name}_hex"));
    match (map.get(name), hex) {
        (None | Some(Value::Null), None | Some(Value::Null)) => Ok(None),
        (None | Some(Value::Null), Some(Value::String(digits))) => from_hex(digits).map(Some),
        (Some(Value::String(text)), None | Some(Value::Null)) => Ok(Some(text.clone().into_bytes())),
        (Some(_), Some(_)) => Err(format!("both \"{name}\" and \"{name}_hex\"")),
        (Some(_), None) => Err(format!("\"{name}\" is neither a string nor null")),
        (None, Some(_)) => Err(format!("\"{name}_hex\" is not a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_format() -> LineFormat {
        LineFormat {
            json: false,
            key_separator: Some(b"::".to_vec()),
            delimiter: b'\n',
            null_marker: Some(b"~".to_vec()),
            headers: vec![Header { key: b"h".to_vec(), value: None }],
            timestamp: None,
            line_bytes_max: 100,
        }
    }

    #[test]
    fn lines_end_at_the_delimiter() {
        let mut format = text_format();
        format.line_bytes_max = 3;
        #[track_caller]
        fn check(format: &LineFormat, input: &[u8], expected: &[&[u8]]) {
            let (mut input, mut lines) = (input, Vec::new());
            while let Some(line) = read_line(&mut input, format).expect("readable") {
                lines.push(line);
            }
            assert_eq!(lines, expected);
        }
        check(&format, b"", &[]);
        check(&format, b"a\nbcd\n", &[b"a", b"bcd"]);
        check(&format, b"a\n\nbcd", &[b"a", b"", b"bcd"]);
        assert!(read_line(&mut &b"abcd\n"[..], &format).is_err());
        assert!(read_line(&mut &b"abcd"[..], &format).is_err());
        format.delimiter = b';';
        check(&format, b"a;b\n;c", &[b"a", b"b\n", b"c"]);
    }

    #[test]
    fn text_lines() {
        let format = text_format();
        #[track_caller]
        fn check(format: &LineFormat, line: &str, key: Option<&str>, value: Option<&str>) {
            let parsed = parse_line(line.as_bytes(), format, WallMs(5)).expect("a good line");
            assert_eq!(parsed.record.key.as_deref(), key.map(str::as_bytes), "{line}");
            assert_eq!(parsed.record.value.as_deref(), value.map(str::as_bytes), "{line}");
            assert_eq!((parsed.record.timestamp, parsed.record.headers.len()), (WallMs(5), 1));
        }
        check(&format, "k::v", Some("k"), Some("v"));
        check(&format, "k::v::w", Some("k"), Some("v::w"));
        check(&format, "::", Some(""), Some(""));
        check(&format, "k::~", Some("k"), None);
        check(&format, "~::v", None, Some("v"));
        assert!(parse_line(b"k:v", &format, WallMs(5)).is_err());
        let keyless = LineFormat { key_separator: None, null_marker: None, ..text_format() };
        check(&keyless, "k::v", None, Some("k::v"));
        check(&keyless, "~", None, Some("~"));
    }

    #[test]
    fn json_lines() {
        let format = LineFormat { json: true, headers: Vec::new(), ..text_format() };
        let read = |line: &str| parse_line(line.as_bytes(), &format, WallMs(5));
        let full = read(
            r#"{"key":"k","value_hex":"ff00","partition":2,"timestamp":"1970-01-02",
                "headers":[{"key":"a","value":"1"},{"key":"b","value":null}],"topic":"t","offset":9}"#,
        )
        .expect("a good line");
        assert_eq!(full.partition, Some(2));
        assert_eq!(full.record.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(full.record.value.as_deref(), Some(&[0xff, 0][..]));
        assert_eq!(full.record.timestamp, WallMs(86_400_000));
        assert_eq!(full.record.headers.len(), 2);
        let bare = read("{}").expect("a good line");
        assert_eq!(
            bare,
            Line { record: Record { timestamp: WallMs(5), ..Record::default() }, partition: None }
        );
        let short = read(r#"{"headers":{"a":"1"}}"#).expect("a good line");
        assert_eq!(short.record.headers, [Header { key: b"a".to_vec(), value: Some(b"1".to_vec()) }]);
        for bad in [
            "",
            "[]",
            "1",
            "{",
            r#"{"kee":1}"#,
            r#"{"key":1}"#,
            r#"{"key":"a","key_hex":"00"}"#,
            r#"{"key_hex":"0"}"#,
            r#"{"partition":-1}"#,
            r#"{"partition":"a"}"#,
            r#"{"timestamp":[]}"#,
            r#"{"timestamp":"soon"}"#,
            r#"{"headers":1}"#,
            r#"{"headers":[{"value":"a"}]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn what_consume_prints_produce_reads() {
        let format = LineFormat { json: true, headers: Vec::new(), ..text_format() };
        let record = Record {
            offset: Offset(0),
            timestamp: WallMs(1_700_000_000_000),
            key: Some(vec![0x80]),
            value: Some("grüße".into()),
            headers: vec![Header { key: b"a".to_vec(), value: None }],
        };
        let line = crate::cli::template::record_json("t", 1, &record).to_string();
        let read = parse_line(line.as_bytes(), &format, WallMs(5));
        assert_eq!(read, Ok(Line { record, partition: Some(1) }));
    }
}
