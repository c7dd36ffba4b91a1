//! How `consume` prints a record: a template with placeholders, or one JSON document per line.
//!
//! The placeholders are kcat's, because fingers know them.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::cli::escape::{to_hex, unescape};
use crate::cli::moment;
use crate::records::Record;

/// What the help says about templates.
pub const TEMPLATE_HELP: &str = "\
Placeholders of --format:
  %t topic     %p partition  %o offset  %T timestamp in ms  %D timestamp as date and time
  %k key       %K its length in bytes, -1 for null
  %s value     %S its length in bytes, -1 for null
  %h headers as name=value,name=value
  %% percent sign; \\n \\t \\r \\0 \\\\ \\xHH as usual";

/// A template taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    TimestampMs,
    TimestampText,
    Key,
    KeyLength,
    Value,
    ValueLength,
    Headers,
}

/// Parses a template. Errors: a text for the person who typed it.
pub fn parse_template(text: &str) -> Result<Template, String> {
    let bytes = unescape(text)?;
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    let mut rest = bytes.into_iter();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let part = match rest.next() {
            Some(b'%') => {
                plain.push(b'%');
                continue;
            }
            Some(b't') => Part::Topic,
            Some(b'p') => Part::Partition,
            Some(b'o') => Part::Offset,
            Some(b'T') => Part::TimestampMs,
            Some(b'D') => Part::TimestampText,
            Some(b'k') => Part::Key,
            Some(b'K') => Part::KeyLength,
            Some(b's') => Part::Value,
            Some(b'S') => Part::ValueLength,
            Some(b'h') => Part::Headers,
            _ => {
                return Err(format!(
                    "{text:?} has an unknown placeholder; known are %t %p %o %T %D %k %K %s %S %h %%"
                ));
            }
        };
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(part);
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(Template { parts })
}

impl Template {
    /// Appends one record to `out`. A null key or value is printed as `null_marker`.
    pub fn render(&self, topic: &str, partition: i32, record: &Record, null_marker: &str, out: &mut Vec<u8>) {
        let length = |bytes: &Option<Vec<u8>>| match bytes {
            Some(bytes) => bytes.len().to_string(),
            None => "-1".to_string(),
        };
        let text: Cow<'_, [u8]> = Cow::Borrowed(null_marker.as_bytes());
        for part in &self.parts {
            let piece: Cow<'_, [u8]> = match part {
                Part::Text(text) => Cow::Borrowed(text),
                Part::Topic => Cow::Borrowed(topic.as_bytes()),
                Part::Partition => Cow::Owned(partition.to_string().into_bytes()),
                Part::Offset => Cow::Owned(record.offset.to_string().into_bytes()),
                Part::TimestampMs => Cow::Owned(record.timestamp.0.to_string().into_bytes()),
                Part::TimestampText => Cow::Owned(moment::format(record.timestamp).into_bytes()),
                Part::Key => record.key.as_deref().map_or(text.clone(), Cow::Borrowed),
                Part::KeyLength => Cow::Owned(length(&record.key).into_bytes()),
                Part::Value => record.value.as_deref().map_or(text.clone(), Cow::Borrowed),
                Part::ValueLength => Cow::Owned(length(&record.value).into_bytes()),
                Part::Headers => Cow::Owned(headers_text(record, null_marker)),
            };
            out.extend_from_slice(&piece);
        }
    }
}

fn headers_text(record: &Record, null_marker: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, header) in record.headers.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&header.key);
        text.push(b'=');
        text.extend_from_slice(header.value.as_deref().unwrap_or(null_marker.as_bytes()));
    }
    text
}

/// One record as JSON. Bytes that are UTF-8 stand as text under their name (`value`), others as hexadecimal digits
/// under `value_hex`; `produce --input json` reads the same.
pub fn record_json(topic: &str, partition: i32, record: &Record) -> Value {
    let mut map = Map::new();
    map.insert("topic".to_string(), json!(topic));
    map.insert("partition".to_string(), json!(partition));
    map.insert("offset".to_string(), json!(record.offset.0));
    map.insert("timestamp".to_string(), json!(record.timestamp.0));
    insert_bytes(&mut map, "key", record.key.as_deref());
    insert_bytes(&mut map, "value", record.value.as_deref());
    let headers = record.headers.iter().map(|header| {
        let mut map = Map::new();
        insert_bytes(&mut map, "key", Some(&header.key));
        insert_bytes(&mut map, "value", header.value.as_deref());
        Value::Object(map)
    });
    map.insert("headers".to_string(), headers.collect());
    Value::Object(map)
}

fn insert_bytes(map: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => map.insert(name.to_string(), Value::Null),
        Some(Ok(text)) => map.insert(name.to_string(), json!(text)),
        Some(Err(_)) => map.insert(format!("{name}_hex"), json!(to_hex(bytes.unwrap_or_default()))),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Header;
    use corelane_base::id::Offset;
    use corelane_base::time::WallMs;

    fn sample() -> Record {
        Record {
            offset: Offset(42),
            timestamp: WallMs(1_700_000_000_123),
            key: Some(b"k".to_vec()),
            value: None,
            headers: vec![
                Header { key: b"a".to_vec(), value: Some(b"1".to_vec()) },
                Header { key: b"b".to_vec(), value: None },
            ],
        }
    }

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let mut out = Vec::new();
        parse_template(template).expect("a good template").render("orders", 3, &sample(), "NULL", &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{template}");
    }

    #[test]
    fn placeholders() {
        check("%t/%p@%o", "orders/3@42");
        check("%T %D", "1700000000123 2023-11-14T22:13:20.123Z");
        check("%k(%K)\\t%s(%S)\\n", "k(1)\tNULL(-1)\n");
        check("[%h] 100%%", "[a=1,b=NULL] 100%");
        check("plain", "plain");
        for bad in ["%", "%q", "a%", "\\q"] {
            assert!(parse_template(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn json() {
        let mut record = sample();
        record.key = Some(vec![0xff, 0x00]);
        let expected = json!({
            "topic": "orders", "partition": 3, "offset": 42, "timestamp": 1_700_000_000_123_i64,
            "key_hex": "ff00", "value": null,
            "headers": [{"key": "a", "value": "1"}, {"key": "b", "value": null}],
        });
        assert_eq!(record_json("orders", 3, &record), expected);
    }
}
