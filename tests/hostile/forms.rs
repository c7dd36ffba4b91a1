//! Requests whose form is wrong: APIs and versions that are not served, lengths that cannot be true, bodies that end
//! early, and bodies with bytes behind them, which are served. Made from the message definitions, so every API and
//! every length field has its turn.

use corelane_base::rng::Rng;
use corelane_wire::api::{APIS, ApiKey};
use corelane_wire::error_code::ErrorCode;
use corelane_wire::fuzz::sample::{self, Length, LengthForm, Sample, Tags};
use corelane_wire::fuzz::{CODECS, Codec};
use corelane_wire::message::produce::ProduceRequest;
use corelane_wire::primitive::Writer;

use super::{Case, Expected};
use crate::wire_client::request;

/// A request frame with a body of ready bytes.
fn frame(api_key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    request(api_key, version, |w, _| {
        body.iter().for_each(|&byte| w.i8(byte as i8));
        Ok(())
    })
}

/// Every API of the protocol that is not served yet, and keys that the protocol does not have.
pub fn unserved_apis() -> Vec<Case> {
    let mut cases = Vec::new();
    for info in APIS.iter().filter(|info| !info.is_served()) {
        for version in [info.version_min, info.version_max] {
            let name = format!("unserved API {} v{version}", info.name);
            // Kafka serves most of them.
            let case =
                Case::new(name, (info.key, version), frame(info.key, version, &[0; 64]), Expected::Close);
            cases.push(case.not_on_kafka());
        }
    }
    for key in [i16::MIN, -1, 4, 5, 6, 7, 93, 127, 128, 999, i16::MAX] {
        let header = [&key.to_be_bytes()[..], &[0, 0, 0, 0, 0, 7, 0xff, 0xff]].concat();
        cases.push(Case::garbage(format!("unknown api key {key}"), super::framed(&header)));
    }
    cases
}

/// Versions around those that are served. ApiVersions alone answers, so that clients can find out what is.
pub fn unknown_versions() -> Vec<Case> {
    let mut cases = Vec::new();
    for info in APIS.iter().filter(|info| info.is_served()) {
        for version in [i16::MIN, -1, info.version_min - 1, info.version_max + 1, i16::MAX] {
            if version < -1 && version != i16::MIN {
                continue;
            }
            let mut header = Vec::new();
            header.extend_from_slice(&info.key.code().to_be_bytes());
            header.extend_from_slice(&version.to_be_bytes());
            header.extend_from_slice(&0x0102_0304_i32.to_be_bytes());
            header.extend_from_slice(&[0; 32]);
            let expected = match info.key {
                ApiKey::ApiVersions => Expected::Code(ErrorCode::UnsupportedVersion),
                _ => Expected::Close,
            };
            let name = format!("{} v{version}", info.name);
            cases.push(Case::new(name, (info.key, 0), super::framed(&header), expected));
        }
    }
    cases
}

/// A sample of each served request in its lowest and highest version.
fn samples(seed: u64) -> Vec<(&'static Codec, ApiKey, i16, Sample)> {
    let requests = CODECS.iter().filter(|codec| codec.name.ends_with("Request"));
    let served = requests.filter_map(|codec| {
        let key = ApiKey::from_code(codec.api_key)?;
        key.info().is_served().then_some((codec, key))
    });
    let mut rng = Rng::new(seed);
    served
        .flat_map(|(codec, key)| {
            [codec.version_min, codec.version_max].map(|version| {
                let api = sample::api(codec.api_key);
                // The fullest of some samples, so that arrays have elements whose lengths can be wrong too.
                let drawn =
                    (0..20).map(|_| sample::message(&api, codec.name, version, &mut rng, Tags::Known));
                let fullest = drawn.max_by_key(|sample| sample.lengths.len()).expect("twenty samples");
                (codec, key, version, fullest)
            })
        })
        .collect()
}

/// Lengths that cannot be true, in the form of this field.
fn impossible(length: &Length, remaining: usize) -> Vec<(&'static str, Vec<u8>)> {
    let above = i32::try_from(remaining).expect("a short sample") + 1;
    let mut w = Writer::new();
    w.uvarint(above as u32 + 1);
    let above_varint = w.into_parts().expect("short").0.to_vec();
    match length.form {
        LengthForm::Short => vec![
            ("negative", (-2_i16).to_be_bytes().to_vec()),
            ("smallest", i16::MIN.to_be_bytes().to_vec()),
            ("largest", i16::MAX.to_be_bytes().to_vec()),
            ("too large by one", (above as i16).to_be_bytes().to_vec()),
        ],
        LengthForm::Wide => vec![
            ("negative", (-2_i32).to_be_bytes().to_vec()),
            ("smallest", i32::MIN.to_be_bytes().to_vec()),
            ("largest", i32::MAX.to_be_bytes().to_vec()),
            ("too large by one", above.to_be_bytes().to_vec()),
        ],
        LengthForm::Compact | LengthForm::Plain => vec![
            ("largest", vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
            ("largest signed", vec![0xff, 0xff, 0xff, 0xff, 0x07]),
            ("endless", vec![0xff; 11]),
            ("too large by one", above_varint),
        ],
    }
}

/// Every length field of every served request, lying.
pub fn impossible_lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for (codec, key, version, sample) in samples(11) {
        for length in &sample.lengths {
            let (before, behind) = sample.bytes.split_at(length.at);
            let remaining = behind.len() - length.width;
            for (what, new) in impossible(length, remaining) {
                let body = [before, &new, &behind[length.width..]].concat();
                let name = format!("{} v{version}: {} at {} is {what}", codec.name, length.field, length.at);
                assert!((codec.decode)(&body, version).0.is_err(), "{name}: no lie");
                let case = Case::new(name, (key, version), frame(key, version, &body), Expected::Close);
                // Kafka takes what is negative for null or nothing (the largest varint is -1 to it), and does not
                // look at the size of a tagged field that it knows.
                let lenient =
                    ["negative", "smallest", "largest"].contains(&what) || length.field.ends_with(".size");
                cases.push(if lenient { case.not_on_kafka() } else { case });
            }
        }
    }
    cases
}

/// Every served request, cut at every place.
pub fn truncations() -> Vec<Case> {
    let mut cases = Vec::new();
    for (codec, key, version, sample) in samples(12) {
        for cut in 0..sample.bytes.len() {
            let name = format!("{} v{version} cut at {cut} of {}", codec.name, sample.bytes.len());
            let bytes = frame(key, version, &sample.bytes[..cut]);
            cases.push(Case::new(name, (key, version), bytes, Expected::Close));
        }
    }
    cases
}

/// Every served request in every version, empty and with bytes behind it: they mean nothing, as in Kafka.
pub fn bytes_behind() -> Vec<Case> {
    let requests = CODECS.iter().filter(|codec| codec.name.ends_with("Request"));
    let mut cases = Vec::new();
    for codec in requests {
        let Some(key) = ApiKey::from_code(codec.api_key).filter(|key| key.info().is_served()) else {
            continue;
        };
        for version in key.info().version_min..=key.info().version_max {
            // Without an acks the default asks for no answer.
            let produce = ProduceRequest { acks: -1, ..ProduceRequest::default() };
            let mut frame = match key {
                ApiKey::Produce => request(key, version, |w, version| produce.encode(w, version)),
                _ => frame(key, version, &(codec.encode_default)(version).expect("a served version")),
            };
            frame.extend_from_slice(&[0, 0xff, 0]);
            let length = i32::try_from(frame.len() - 4).expect("a short frame");
            frame[..4].copy_from_slice(&length.to_be_bytes());
            let name = format!("{} v{version} with bytes behind", codec.name);
            cases.push(Case::new(name, (key, version), frame, Expected::Answer));
        }
    }
    cases
}
