//! The notation: what it means, and that slips in a definition are found. What the emitter writes is judged by the wire
//! crate, where it is compiled and run.

use crate::emit;
use crate::schema::{self, Type, Versions};

const HEAD: &str = "api 7 Sample 1-5 flexible 3+";

/// A definition whose request has these lines.
fn definition(lines: &str) -> String {
    format!("{HEAD}\nrequest\n{lines}\nresponse\n  error_code i16 -- a code\n")
}

#[test]
fn a_definition_is_read_as_written() {
    let source = "\
# comment
api 7 Sample 1-5 flexible 3+

request
  name   string?   2-4 ignorable    -- a name
  parts  [Part]    null=4+          -- parts
    id   i64       default=-1       -- an id
    leaf Leaf      3+ tag=0         -- a leaf
      x  bool      default=true     -- a flag

response
  again  [Part]                     -- parts again
";
    let api = schema::parse(source).expect("a right definition");
    assert_eq!((api.key, api.name.as_str(), api.flexible_from), (7, "Sample", Some(3)));
    assert_eq!(api.versions, Versions { first: 1, last: 5 });
    let names: Vec<&str> = api.structs.iter().map(|each| each.name.as_str()).collect();
    assert_eq!(names, ["SampleRequest", "Part", "Leaf", "SampleResponse"]);
    let name = &api.structs[0].fields[0];
    assert_eq!(
        (name.ty.clone(), name.versions, name.ignorable),
        (Type::String, Versions { first: 2, last: 4 }, true)
    );
    assert_eq!(name.nullable, Some(Versions::ALL));
    let parts = &api.structs[0].fields[1];
    assert_eq!(parts.ty, Type::Array(Box::new(Type::Struct("Part".to_owned()))));
    assert_eq!(parts.nullable, Some(Versions { first: 4, last: i16::MAX }));
    let leaf = &api.structs[1].fields[1];
    assert_eq!((leaf.tag, leaf.default.as_deref()), (Some(0), None));
    assert_eq!(api.get("Leaf").versions, Versions { first: 3, last: 5 });
    assert_eq!(api.get("Leaf").used_by.as_deref(), Some("Part::leaf"));
    assert_eq!(api.structs[2].fields[0].default.as_deref(), Some("true"));
}

#[test]
fn slips_are_found_with_their_line() {
    let check = |lines: &str, line: usize, part: &str| {
        let error = schema::parse(&definition(lines)).expect_err(lines);
        assert_eq!(error.line, line, "{lines}: {error}");
        assert!(error.text.contains(part), "{lines}: {error}");
    };
    check("  a i32", 3, "no text");
    check("  a int -- text", 3, "unknown type");
    check("  a [[i32]] -- text", 3, "unknown type");
    check("  a i32? -- text", 3, "cannot be null");
    check("  a i32 6+ -- text", 3, "no version");
    check("  a i32 tag=0 -- text", 3, "no tagged fields");
    check("  a i32 3+ tag=x -- text", 3, "cannot read");
    check("  a i32 4-3 -- text", 3, "cannot read");
    check("  a i8 default=128 -- text", 3, "not a default");
    check("  a string default=null -- text", 3, "not a default");
    check("  a bool default=0 -- text", 3, "not a default");
    check("  a records -- text", 3, "records");
    check("  a Part -- text", 3, "not defined");
    check("  A i32 -- text", 3, "not a field name");
    check("  version i32 -- text", 3, "cannot be a name");
    check("  match i32 -- text", 3, "cannot be a name");
    check("  a i32 -- text\n  a i32 -- text", 4, "same name");
    check("   a i32 -- text", 3, "multiple of two");
    check("  a i32 -- text\n    b i32 -- text", 3, "only a struct");
    check("      a i32 -- text", 3, "deeper");
    check("  a Part? -- text\n    b i32 -- text", 3, "default=null");
    check("  a Part null=3+ default=null -- text\n    b i32 -- text", 3, "all versions or in none");
    check("  a Part 3+ -- text\n    b i32 2 -- text", 4, "no version");
    check("  a Part -- text\n    b i32 -- text\n  c Part -- text\n    b i32 -- text", 5, "defined twice");
    check("surprise", 3, "expected `response`");
}

#[test]
fn a_shared_struct_has_the_versions_of_all_its_uses() {
    let lines = "  a Part 4 -- text\n    b Leaf -- text\n      c i32 3+ -- text\n  d Part 2+ -- text";
    let api = schema::parse(&definition(lines)).expect("a right definition");
    assert_eq!(api.get("Part").versions, Versions { first: 2, last: 5 });
    assert_eq!(api.get("Leaf").versions, Versions { first: 2, last: 5 });
}

#[test]
fn every_field_of_a_response_may_be_dropped() {
    let api = schema::parse(&definition("  a i32 2+ -- text")).expect("a right definition");
    assert!(!api.get("SampleRequest").fields[0].ignorable);
    assert!(api.get("SampleResponse").fields[0].ignorable);
}

#[test]
fn heads_are_checked() {
    let check = |head: &str| {
        let source = definition("  a i32 -- text").replace(HEAD, head);
        assert_eq!(schema::parse(&source).map_err(|error| error.line).err(), Some(1), "{head}");
    };
    check("api 7 Sample 1-5");
    check("api seven Sample 1-5 flexible 3+");
    check("api 7 Sample 1+ flexible 3+");
    check("api 7 Sample 1-5 flexible 3");
    assert!(schema::parse("").is_err());
    assert!(schema::parse(HEAD).is_err());
}

#[test]
fn modules_are_named_in_snake_case() {
    let api = schema::parse(&definition("  a i32 -- text").replace("Sample", "DescribeLogDirs"));
    assert_eq!(emit::module(&api.expect("a right definition")), "describe_log_dirs");
}

#[test]
fn conditions_stand_only_where_versions_differ() {
    let lines = "  always i32 1-5 -- text\n  late i32 4+ -- text\n  early i32 1-2 ignorable -- text\n  mid i32 2-3 -- text";
    let api = schema::parse(&definition(lines)).expect("a right definition");
    let file = emit::file(&api, "schema/sample.kmsg");
    let expect = |line: &str| assert!(file.contains(line), "{line} is not in\n{file}");
    expect("let always = r.i32()?;");
    expect("let late = if version >= 4 { r.i32()? } else { 0 };");
    expect("let early = if version <= 2 { r.i32()? } else { 0 };");
    expect("let mid = if (2..=3).contains(&version) { r.i32()? } else { 0 };");
    expect("} else if self.late != 0 {");
    assert!(!file.contains("self.early != 0"), "an ignorable field is dropped in silence");
}
