//! What a peer may not do to us: cut messages, and lengths that are negative, null, huge or endless, at every length
//! field of every message in every version. None may panic, decode, or make us reserve memory.

use std::fs;

use corelane_base::rng::Rng;
use corelane_wiregen::schema::Type;

use crate::fuzz::sample::{self, Length, LengthForm, Sample, Tags};
use crate::fuzz::{CODECS, Codec};
use crate::message::metadata::MetadataRequest;
use crate::primitive::{DecodeError, Reader, Writer};

/// Samples of every message in every version.
fn samples(seed: u64, rounds: usize) -> impl Iterator<Item = (&'static Codec, i16, Sample)> {
    CODECS.iter().flat_map(move |codec| {
        let api = sample::api(codec.api_key);
        let mut rng = Rng::new(seed ^ codec.api_key as u64);
        (codec.version_min..=codec.version_max).flat_map(move |version| {
            let make = |_| {
                let sample = sample::message(&api, codec.name, version, &mut rng, Tags::Unknown);
                (codec, version, sample)
            };
            (0..rounds).map(make).collect::<Vec<_>>()
        })
    })
}

/// Decodes a whole message. Also checks the memory taken.
fn decode(codec: &Codec, version: i16, bytes: &[u8]) -> Result<(), DecodeError> {
    let (result, memory) = (codec.decode)(bytes, version);
    assert!(memory <= 64 * bytes.len(), "{} v{version} took {memory} bytes for {}", codec.name, bytes.len());
    result.and_then(|()| (codec.recode)(bytes, version).map(|_| ()))
}

#[test]
fn every_truncation_is_an_error() {
    let mut cuts = 0;
    for (codec, version, sample) in samples(3, 6) {
        for cut in 0..sample.bytes.len() {
            let result = decode(codec, version, &sample.bytes[..cut]);
            assert!(result.is_err(), "{} v{version} cut at {cut}", codec.name);
            cuts += 1;
        }
    }
    assert!(cuts > 50_000, "only {cuts}");
}

#[test]
fn bytes_behind_a_message_are_an_error() {
    for (codec, version, mut sample) in samples(4, 2) {
        sample.bytes.push(0);
        let result = (codec.recode)(&sample.bytes, version);
        assert_eq!(result, Err(DecodeError::TrailingBytes(1)), "{} v{version}", codec.name);
    }
}

#[test]
fn unknown_versions_are_an_error() {
    for codec in CODECS {
        for version in [i16::MIN, -1, codec.version_min - 1, codec.version_max + 1, i16::MAX] {
            let result = (codec.decode)(&[0; 64], version).0;
            assert_eq!(result, Err(DecodeError::UnsupportedVersion(version)), "{}", codec.name);
            assert!((codec.encode_default)(version).is_err(), "{}", codec.name);
        }
    }
}

/// `sample` with other bytes in the place of one length.
fn with_length(sample: &Sample, length: &Length, new: &[u8]) -> Vec<u8> {
    let (before, behind) = sample.bytes.split_at(length.at);
    [before, new, &behind[length.width..]].concat()
}

/// Lengths that cannot be true, in the form of this field.
fn impossible(length: &Length, remaining: usize) -> Vec<Vec<u8>> {
    let above = remaining as i64 + 1;
    match length.form {
        LengthForm::Short => {
            [-2, i16::MIN, i16::MAX, above as i16].map(|each| each.to_be_bytes().to_vec()).to_vec()
        }
        LengthForm::Wide => {
            [-2, i32::MIN, i32::MAX, above as i32].map(|each| each.to_be_bytes().to_vec()).to_vec()
        }
        LengthForm::Compact | LengthForm::Plain => vec![
            // The largest number that fits, one above 32 bits, one without an end, and one more than there is.
            vec![0xff, 0xff, 0xff, 0xff, 0x0f],
            vec![0xff, 0xff, 0xff, 0xff, 0x1f],
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
            {
                let mut w = Writer::new();
                w.uvarint(above as u32 + 1);
                w.into_parts().expect("short").0.to_vec()
            },
        ],
    }
}

/// The most address space that this process ever had, in KiB.
fn address_space_peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).expect("VmPeak");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn impossible_lengths_are_errors_and_reserve_nothing() {
    let before = address_space_peak_kib();
    let mut tried = 0;
    for (codec, version, sample) in samples(5, 4) {
        for length in &sample.lengths {
            let remaining = sample.bytes.len() - length.at - length.width;
            for new in impossible(length, remaining) {
                let bytes = with_length(&sample, length, &new);
                let result = decode(codec, version, &bytes);
                assert!(result.is_err(), "{} v{version}: {} = {new:x?}", codec.name, length.field);
                tried += 1;
            }
        }
    }
    assert!(tried > 20_000, "only {tried}");
    // The largest honest reservation of these messages is kilobytes; believing the length of an array of structs would
    // take eighty gigabytes. Between them lies what the threads of other tests reserve for their heaps.
    let grown = address_space_peak_kib() - before;
    assert!(grown < 32 << 20, "address space grew by {grown} KiB");
}

#[test]
fn null_is_refused_where_it_is_not_allowed() {
    let mut tried = 0;
    for (codec, version, sample) in samples(6, 8) {
        for length in sample.lengths.iter().filter(|length| !length.nullable) {
            let null: &[u8] = match length.form {
                LengthForm::Short => &[0xff; 2],
                LengthForm::Wide => &[0xff; 4],
                LengthForm::Compact => &[0],
                LengthForm::Plain => continue,
            };
            let bytes = with_length(&sample, length, null);
            let result = (codec.decode)(&bytes, version).0;
            assert_eq!(
                result,
                Err(DecodeError::UnexpectedNull),
                "{} v{version}: {}",
                codec.name,
                length.field
            );
            tried += 1;
        }
    }
    assert!(tried > 3_000, "only {tried}");
}

#[test]
fn every_length_field_of_the_definitions_was_tried() {
    let mut tried: Vec<(i16, i16, String)> = samples(5, 4)
        .flat_map(|(codec, version, sample)| {
            sample.lengths.into_iter().map(move |length| (codec.api_key, version, length.field))
        })
        .collect();
    tried.sort();
    tried.dedup();
    for codec in CODECS {
        let api = sample::api(codec.api_key);
        for each in api.structs.iter().filter(|each| each.name == codec.name) {
            for field in each.fields.iter().filter(|field| field.tag.is_none() && has_length(&field.ty)) {
                for version in codec.version_min..=codec.version_max {
                    let name = format!("{}.{}", each.name, field.name);
                    let expected = field.versions.contains(version);
                    let found = tried.binary_search(&(codec.api_key, version, name.clone())).is_ok();
                    assert_eq!(found, expected, "{name} v{version}");
                }
            }
        }
    }
}

fn has_length(ty: &Type) -> bool {
    matches!(ty, Type::String | Type::Bytes | Type::Records | Type::Array(_))
}

#[test]
fn the_memory_of_a_message_is_bounded() {
    // Nine bytes in a frame for each topic of Metadata v9; with a small allowance the length alone is refused.
    let count = 1000u32;
    let mut w = Writer::new();
    w.uvarint(count + 1);
    for _ in 0..count {
        w.uvarint(1);
        w.uvarint(0);
    }
    for flag in [true, false, false] {
        w.bool(flag);
    }
    w.uvarint(0);
    let (bytes, _) = w.into_parts().expect("short");
    let decode = |memory_max| {
        let mut r = Reader::with_memory_max(&bytes, memory_max);
        MetadataRequest::decode(&mut r, 9).map(|each| each.topics.map(|each| each.len()))
    };
    assert_eq!(decode(1 << 20), Ok(Some(1000)));
    assert_eq!(decode(1 << 10), Err(DecodeError::MemoryExceeded));
}
