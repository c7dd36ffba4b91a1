//! The committed messages are what the generator writes, and the definitions, the table of APIs and the registry of
//! codecs speak of the same things.

use std::fs;
use std::path::Path;

use corelane_wiregen::emit;
use corelane_wiregen::schema;

use crate::api::{APIS, ApiKey};
use crate::fuzz::{CODECS, SCHEMAS};
use crate::message::fetch::{FetchRequest, FetchResponse, ForgottenTopic};
use crate::primitive::{EncodeError, Reader, Writer};

const HINT: &str = "differs from what its definition gives: cargo run -p corelane-wiregen";

#[test]
fn committed_messages_are_what_the_generator_writes() {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut apis = Vec::new();
    for entry in fs::read_dir(wire.join("schema")).expect("definitions") {
        let path = entry.expect("a readable folder").path();
        let source = fs::read_to_string(&path).expect("text");
        let api = schema::parse(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = path.file_name().expect("a file").to_str().expect("ASCII").to_owned();
        assert_eq!(file, emit::module(&api) + ".kmsg");
        let committed =
            fs::read_to_string(wire.join("message").join(emit::module(&api) + ".rs")).expect(HINT);
        assert!(committed == emit::file(&api, &format!("schema/{file}")), "message of {file} {HINT}");
        apis.push(api);
    }
    apis.sort_by_key(|api| api.key);
    let index = fs::read_to_string(wire.join("message.rs")).expect(HINT);
    assert!(index == emit::index(&apis.iter().collect::<Vec<_>>()), "message.rs {HINT}");
    let files = fs::read_dir(wire.join("message")).expect("messages").count();
    assert_eq!(files, apis.len(), "a file in message/ has no definition");
    assert_eq!(SCHEMAS.len(), apis.len(), "a definition is missing in fuzz.rs");
}

#[test]
fn definitions_agree_with_the_table_of_apis() {
    for source in SCHEMAS {
        let api = schema::parse(source).expect("committed definitions are right");
        let info = ApiKey::from_code(api.key).expect("a known key").info();
        assert_eq!(info.name, api.name);
        assert_eq!(
            (info.version_min, info.version_max),
            (api.versions.first, api.versions.last),
            "{}",
            api.name
        );
        assert_eq!(info.flexible_from, api.flexible_from, "{}", api.name);
    }
}

#[test]
fn every_served_api_has_its_messages() {
    let served: Vec<i16> = APIS.iter().filter(|api| api.is_served()).map(|api| api.key.code()).collect();
    let mut defined: Vec<i16> = CODECS.iter().map(|codec| codec.api_key).collect();
    defined.sort_unstable();
    defined.dedup();
    let lacking: Vec<i16> = served.into_iter().filter(|key| !defined.contains(key)).collect();
    assert_eq!(lacking, [], "served without a codec");
    assert_eq!(CODECS.len(), 2 * defined.len());
}

#[test]
fn every_default_can_be_encoded_and_decoded_in_every_version() {
    for codec in CODECS {
        for version in codec.version_min..=codec.version_max {
            let bytes = (codec.encode_default)(version)
                .unwrap_or_else(|error| panic!("{} v{version}: {error}", codec.name));
            assert_eq!((codec.recode)(&bytes, version).as_ref(), Ok(&bytes), "{} v{version}", codec.name);
        }
    }
}

#[test]
fn requests_refuse_what_a_version_cannot_carry() {
    let check = |request: &FetchRequest<'_>, version, expected| {
        assert_eq!(request.encode(&mut Writer::new(), version), expected);
    };
    let forgotten = ForgottenTopic { topic: "a", ..ForgottenTopic::default() };
    let request = FetchRequest { forgotten_topics_data: vec![forgotten], ..FetchRequest::default() };
    let field = "FetchRequest.forgotten_topics_data";
    check(&request, 6, Err(EncodeError::FieldNotInVersion { field, version: 6 }));
    check(&request, 7, Ok(()));
    // The protocol calls the session ignorable: old brokers do without.
    let request = FetchRequest { session_id: 9, ..FetchRequest::default() };
    check(&request, 6, Ok(()));
}

#[test]
fn responses_drop_what_a_version_cannot_carry() {
    let response = FetchResponse { session_id: 9, error_code: 1, ..FetchResponse::default() };
    let session_id = |version| {
        let mut w = Writer::new();
        response.encode(&mut w, version).expect("a right response");
        let (bytes, _) = w.into_parts().expect("short");
        FetchResponse::decode(&mut Reader::new(&bytes), version).map(|each| each.session_id)
    };
    assert_eq!(session_id(6), Ok(0));
    assert_eq!(session_id(7), Ok(9));
}
