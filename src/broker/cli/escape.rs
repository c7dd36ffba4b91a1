//! Backslash escapes in arguments, and hexadecimal text for bytes that are no text.

/// Resolves `\n`, `\t`, `\r`, `\0`, `\\` and `\xHH`. Errors: a text for the person who typed it.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
                let digits = String::from_utf8_lossy(&digits).into_owned();
                from_hex(&digits).map_err(|_| format!("\\x{digits} in {text:?} is not a byte"))?[0]
            }
            _ => return Err(format!("{text:?} has an unknown escape; known are \\n \\t \\r \\0 \\\\ \\xHH")),
        });
    }
    Ok(bytes)
}

/// Two lower-case digits a byte.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The reverse of [`to_hex`], capitals allowed. Errors: a text for the person who typed it.
pub fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let refuse = || format!("{text:?} is not an even number of hexadecimal digits");
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refuse());
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(|_| refuse())?;
            u8::from_str_radix(pair, 16).map_err(|_| refuse())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        #[track_caller]
        fn check(text: &str, expected: &[u8]) {
            assert_eq!(unescape(text).as_deref(), Ok(expected), "{text}");
        }
        check("", b"");
        check("a:b", b"a:b");
        check("\\t\\n\\r\\0\\\\", b"\t\n\r\0\\");
        check("\\x00\\xfF!", b"\x00\xff!");
        check("ä", "ä".as_bytes());
        for bad in ["\\", "\\q", "\\x", "\\x1", "\\xgg", "\\xä"] {
            assert!(unescape(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn hexadecimal() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&all)), Ok(all));
        assert_eq!(from_hex("aB"), Ok(vec![0xab]));
        for bad in ["a", "zz", "+1", "é"] {
            assert!(from_hex(bad).is_err(), "{bad} was taken");
        }
    }
}
