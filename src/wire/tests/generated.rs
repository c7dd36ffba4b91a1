//! The committed messages are what the generator writes, and the definitions, the table of APIs and the registry of
//! codecs speak of the same things.

use std::fs;
use std::path::Path;

use corelane_wiregen::emit;
use corelane_wiregen::schema;

use crate::api::{APIS, ApiKey};
use crate::fuzz::{CODECS, SCHEMAS};

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
    assert_eq!(served, defined);
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
