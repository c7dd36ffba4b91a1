//! Primitives: bytes as the protocol guide draws them, and what is not a primitive.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    write(&mut w);
    w.into_parts().expect("short").0.to_vec()
}

#[test]
fn numbers_are_big_endian() {
    let bytes = written(|w| {
        w.bool(true);
        w.i8(-2);
        w.i16(0x0102);
        w.u16(0xfffe);
        w.i32(-2);
        w.u32(0x0102_0304);
        w.i64(0x0102_0304_0506_0708);
        w.f64(1.0);
        w.uuid(&[9; 16]);
    });
    let mut expected = vec![1, 0xfe, 1, 2, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfe, 1, 2, 3, 4];
    expected.extend([1, 2, 3, 4, 5, 6, 7, 8, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    expected.extend([9; 16]);
    assert_eq!(bytes, expected);
    let mut r = Reader::new(&bytes);
    assert_eq!(r.bool(), Ok(true));
    assert_eq!(r.i8(), Ok(-2));
    assert_eq!(r.i16(), Ok(0x0102));
    assert_eq!(r.u16(), Ok(0xfffe));
    assert_eq!(r.i32(), Ok(-2));
    assert_eq!(r.u32(), Ok(0x0102_0304));
    assert_eq!(r.i64(), Ok(0x0102_0304_0506_0708));
    assert_eq!(r.f64(), Ok(1.0));
    assert_eq!(r.uuid(), Ok([9; 16]));
    assert_eq!(r.finish(), Ok(()));
    assert_eq!(r.bool(), Err(DecodeError::Truncated));
}

#[test]
fn varints() {
    let check = |value: u32, bytes: &[u8]| {
        assert_eq!(written(|w| w.uvarint(value)), bytes);
        assert_eq!(Reader::new(bytes).uvarint(), Ok(value));
    };
    check(0, &[0]);
    check(127, &[0x7f]);
    check(128, &[0x80, 0x01]);
    check(300, &[0xac, 0x02]);
    check(u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
    for value in [0, -1, 1, -64, 64, i32::MAX, i32::MIN] {
        let bytes = written(|w| w.varint(value));
        assert_eq!(Reader::new(&bytes).varint(), Ok(value));
    }
    assert_eq!(written(|w| w.varint(-1)), [0x01]);
    assert_eq!(written(|w| w.varint(1)), [0x02]);
    for value in [0, -1, 1, i64::from(i32::MIN) - 1, i64::MAX, i64::MIN] {
        let bytes = written(|w| w.varlong(value));
        assert_eq!(Reader::new(&bytes).varlong(), Ok(value));
        assert_eq!(Reader::new(&bytes[..bytes.len() - 1]).varlong(), Err(DecodeError::Truncated));
    }
}

#[test]
fn varints_that_are_too_long() {
    let check = |bytes: &[u8]| assert_eq!(Reader::new(bytes).uvarint(), Err(DecodeError::InvalidVarint));
    check(&[0xff, 0xff, 0xff, 0xff, 0x10]);
    check(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]);
    assert_eq!(Reader::new(&[0x80, 0x80]).uvarint(), Err(DecodeError::Truncated));
    let endless = [0xff; 11];
    assert_eq!(Reader::new(&endless).varlong(), Err(DecodeError::InvalidVarint));
    let mut above = [0xff; 10];
    above[9] = 0x02;
    assert_eq!(Reader::new(&above).varlong(), Err(DecodeError::InvalidVarint));
}

#[test]
fn strings() {
    let check = |bytes: &[u8], flexible: bool, expected: Result<Option<&str>, DecodeError>| {
        assert_eq!(Reader::new(bytes).string_or_null(flexible, true), expected, "{bytes:x?}");
        if let Ok(value) = expected {
            let again = written(|w| w.string_or_null("test", flexible, true, value).expect("short"));
            assert_eq!(again, bytes);
        }
    };
    check(&[0, 2, b'h', b'i'], false, Ok(Some("hi")));
    check(&[0, 0], false, Ok(Some("")));
    check(&[0xff, 0xff], false, Ok(None));
    check(&[0xff, 0xfe], false, Err(DecodeError::NegativeLength));
    check(&[0, 3, b'h', b'i'], false, Err(DecodeError::Truncated));
    check(&[3, b'h', b'i'], true, Ok(Some("hi")));
    check(&[1], true, Ok(Some("")));
    check(&[0], true, Ok(None));
    check(&[2, 0xff], true, Err(DecodeError::InvalidUtf8));
    assert_eq!(Reader::new(&[0]).string(true), Err(DecodeError::UnexpectedNull));
    assert_eq!(Reader::new(&[0xff, 0xff]).string_or_null(false, false), Err(DecodeError::UnexpectedNull));
}

#[test]
fn strings_that_do_not_fit() {
    let long = "x".repeat(32_768);
    for flexible in [false, true] {
        let mut w = Writer::new();
        assert_eq!(w.string("a.b", flexible, &long), Err(EncodeError::TooLong { field: "a.b" }));
        assert_eq!(w.string("a.b", flexible, &long[1..]), Ok(()));
        let refused = w.string_or_null("a.b", flexible, false, None);
        assert_eq!(refused, Err(EncodeError::NullNotAllowed { field: "a.b" }));
    }
}

#[test]
fn arrays_are_held_against_what_remains() {
    let check = |bytes: &[u8], size_min, expected: Result<Option<Vec<i8>>, DecodeError>| {
        assert_eq!(
            Reader::new(bytes).array_or_null(false, true, size_min, Reader::i8),
            expected,
            "{bytes:x?}"
        );
    };
    check(&[0, 0, 0, 2, 5, 6], 1, Ok(Some(vec![5, 6])));
    check(&[0, 0, 0, 2, 5, 6], 2, Err(DecodeError::ArrayTooLong));
    check(&[0, 0, 0, 3, 5, 6], 1, Err(DecodeError::ArrayTooLong));
    check(&[0x7f, 0xff, 0xff, 0xff, 5, 6], 1, Err(DecodeError::ArrayTooLong));
    check(&[0xff, 0xff, 0xff, 0xff], 1, Ok(None));
    check(&[0xff, 0xff, 0xff, 0xfe], 1, Err(DecodeError::NegativeLength));
    // Zero is taken for one: elements without bytes would make the length unbounded.
    check(&[0, 0, 0, 9], 0, Err(DecodeError::ArrayTooLong));
}

#[test]
fn arrays_are_held_against_the_allowance() {
    let bytes = [5, 1, 1, 1, 1, 5, 1, 1, 1, 1];
    let mut r = Reader::with_memory_max(&bytes, 7);
    assert_eq!(r.array(true, 1, Reader::i8).map(|each| each.len()), Ok(4));
    assert_eq!(r.memory_left(), 3);
    assert_eq!(r.array(true, 1, Reader::i8), Err(DecodeError::MemoryExceeded));
}

#[test]
fn tagged_fields_fill_their_size() {
    let read = |bytes: &[u8]| {
        let mut r = Reader::new(bytes);
        let mut found = None;
        r.tagged_fields(|tag, r| {
            if tag == 1 {
                found = Some(r.i16()?);
            }
            Ok(tag == 1)
        })?;
        r.finish()?;
        Ok(found)
    };
    assert_eq!(read(&[0]), Ok(None));
    assert_eq!(read(&[1, 1, 2, 0, 9]), Ok(Some(9)));
    assert_eq!(read(&[2, 1, 2, 0, 9, 7, 1, 0xff]), Ok(Some(9)));
    assert_eq!(read(&[1, 1, 3, 0, 9, 0]), Err(DecodeError::TaggedFieldSize));
    assert_eq!(read(&[1, 1, 1, 0, 9]), Err(DecodeError::Truncated));
    assert_eq!(read(&[1, 7, 9, 0]), Err(DecodeError::Truncated));
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(DecodeError::Truncated));
}

#[test]
fn a_tagged_field_of_any_size_gets_its_size_in_front() {
    for size in [0, 1, 126, 127, 128, 20_000] {
        let value = vec![7; size];
        let bytes = written(|w| {
            w.uvarint(1);
            let write = |w: &mut Writer| {
                value.iter().for_each(|byte| w.i8(*byte as i8));
                Ok(())
            };
            w.tagged("test", 3, write).expect("short");
            w.i8(1);
        });
        let mut r = Reader::new(&bytes);
        let mut found = Vec::new();
        let read = |tag, r: &mut Reader<'_>| {
            assert_eq!(tag, 3);
            found = r.take(r.remaining())?.to_vec();
            Ok(true)
        };
        assert_eq!(r.tagged_fields(read), Ok(()));
        assert_eq!(found, value);
        assert_eq!((r.i8(), r.remaining()), (Ok(1), 0));
    }
}

#[test]
fn error_codes_are_noted_as_they_are_written() {
    let mut writer = Writer::new();
    for code in [0, 3, 3, 0, 6, 3, 7, 8, 9, 9] {
        writer.error_code(code);
    }
    let noted: Vec<(i16, u32)> = writer.errors().iter().collect();
    assert_eq!(noted, [(3, 3), (6, 1), (7, 1), (8, 3)], "the last one takes what goes beyond");
    let (bytes, _) = writer.into_parts().expect("short");
    assert_eq!(bytes[..6], [0, 0, 0, 3, 0, 3]);
    assert_eq!(Writer::new().errors().iter().count(), 0);
}
