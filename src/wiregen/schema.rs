//! The notation of message definitions, and its parser.
//!
//! One file per API. Facts of the protocol, one line per field, nesting by two spaces:
//! ```text
//! # a comment
//! api 0 Produce 3-13 flexible 9+
//!
//! request
//!   transactional_id  string?  default=null            -- what the field is for
//!   topic_data        [TopicProduceData]               -- ...
//!     name            string  0-12  ignorable          -- ...
//!
//! response
//!   ...
//! ```
//! A field is: name, type, then in any order its versions (all of the parent's if absent), `null=V` (the versions that
//! allow null; a `?` behind the type means all), `tag=N` (a tagged field), `default=X`, `ignorable` (dropped in silence
//! by versions that lack it; every field of a response is), and the text behind `--`. Versions are `3`, `3-7` or `3+`.
//! Types are `bool i8 i16 i32 i64 u16 u32 f64 string bytes uuid records`, `[T]` for an array of `T`, and the name of a
//! struct: defined by the lines nested under the field, or earlier in the same file.
//!
//! The parser rejects what the emitter could not do justice to, so that a slip in a definition is a message with a line
//! number and not a codec that is quietly wrong.

use std::collections::BTreeMap;
use std::fmt;

/// Names that a field may not have: locals of the generated code, and words of Rust.
const RESERVED: &[&str] = &[
    "r", "w", "version", "flexible", "tag", "each", "self", "match", "type", "move", "ref", "use", "where",
    "in", "loop",
];

/// A range of versions, inclusive at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub first: i16,
    /// The highest; `i16::MAX` when open.
    pub last: i16,
}

impl Versions {
    /// Every version there can be.
    pub const ALL: Versions = Versions { first: 0, last: i16::MAX };

    /// Whether `version` lies inside.
    pub fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    /// Whether all of `other` lies inside.
    pub fn covers(self, other: Versions) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// What both have in common, if anything.
    pub fn and(self, other: Versions) -> Option<Versions> {
        let both = Versions { first: self.first.max(other.first), last: self.last.min(other.last) };
        (both.first <= both.last).then_some(both)
    }

    /// The smallest range that holds both.
    pub fn or(self, other: Versions) -> Versions {
        Versions { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    fn parse(text: &str) -> Option<Versions> {
        if let Some(first) = text.strip_suffix('+') {
            return Some(Versions { first: first.parse().ok()?, last: i16::MAX });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Versions { first: first.parse().ok()?, last: last.parse().ok()? };
        (range.first <= range.last).then_some(range)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Versions { first, last: i16::MAX } => write!(f, "{first}+"),
            Versions { first, last } if first == last => write!(f, "{first}"),
            Versions { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

/// The type of a field, without its nullability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// One byte.
    Bool,
    /// Signed, one byte.
    I8,
    /// Signed, two bytes.
    I16,
    /// Signed, four bytes.
    I32,
    /// Signed, eight bytes.
    I64,
    /// Unsigned, two bytes.
    U16,
    /// Unsigned, four bytes.
    U32,
    /// IEEE 754 binary64.
    F64,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// Sixteen bytes.
    Uuid,
    /// Record batches.
    Records,
    /// A sequence of one type.
    Array(Box<Type>),
    /// A struct of the same file.
    Struct(String),
}

impl Type {
    fn parse(text: &str) -> Option<Type> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = Type::parse(inner.strip_suffix(']')?)?;
            let nested = matches!(inner, Type::Array(_) | Type::Records);
            return (!nested).then(|| Type::Array(Box::new(inner)));
        }
        Some(match text {
            "bool" => Type::Bool,
            "i8" => Type::I8,
            "i16" => Type::I16,
            "i32" => Type::I32,
            "i64" => Type::I64,
            "u16" => Type::U16,
            "u32" => Type::U32,
            "f64" => Type::F64,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "uuid" => Type::Uuid,
            "records" => Type::Records,
            name if is_name(name, char::is_uppercase) => Type::Struct(name.to_owned()),
            _ => return None,
        })
    }

    /// The struct that the type is made of, if any.
    pub fn struct_name(&self) -> Option<&str> {
        match self {
            Type::Struct(name) => Some(name),
            Type::Array(inner) => inner.struct_name(),
            _ => None,
        }
    }

    /// Whether a field of this type may be null at all.
    fn can_be_null(&self) -> bool {
        matches!(self, Type::String | Type::Bytes | Type::Records | Type::Array(_) | Type::Struct(_))
    }
}

/// One field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// In snake case.
    pub name: String,
    /// Without nullability.
    pub ty: Type,
    /// The versions that have it.
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Option<Versions>,
    /// The number of a tagged field.
    pub tag: Option<u32>,
    /// As written; absent means the natural default of the type.
    pub default: Option<String>,
    /// Whether versions without the field drop its value in silence.
    pub ignorable: bool,
    /// What it is for.
    pub text: String,
    /// The line of the definition, from 1.
    pub line: usize,
}

/// A struct: the whole message or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struct {
    /// In camel case.
    pub name: String,
    /// In the order of the wire; tagged fields anywhere.
    pub fields: Vec<Field>,
    /// The versions in which it is used: from the first of any use to the last of any.
    pub versions: Versions,
    /// `Struct::field` that first uses it; none for a whole message.
    pub used_by: Option<String>,
}

/// A file of the notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// The API key.
    pub key: i16,
    /// The name, in camel case.
    pub name: String,
    /// The versions of both messages.
    pub versions: Versions,
    /// The first flexible version.
    pub flexible_from: Option<i16>,
    /// All structs, a user before what it uses: the request, its parts, the response, its parts.
    pub structs: Vec<Struct>,
}

impl Api {
    /// The struct of this name. Panics: if there is none, which the parser excludes for the names it has seen.
    pub fn get(&self, name: &str) -> &Struct {
        self.structs.iter().find(|each| each.name == name).expect("the parser has checked all names")
    }

    /// Whether `version` has compact lengths and tagged fields.
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible_from.is_some_and(|first| version >= first)
    }
}

/// What is wrong with a definition, and in which line (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// Line number.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for SchemaError {}

fn fail<T>(line: usize, text: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError { line, text: text.into() })
}

/// A line that is neither empty nor a comment.
struct Line<'a> {
    number: usize,
    /// Levels of two spaces.
    depth: usize,
    words: Vec<&'a str>,
    /// Behind `--`.
    text: &'a str,
}

/// Reads one definition file.
pub fn parse(source: &str) -> Result<Api, SchemaError> {
    let mut lines = Vec::new();
    for (index, raw) in source.lines().enumerate() {
        let (code, text) = raw.split_once(" -- ").unwrap_or((raw, ""));
        if code.trim().is_empty() || code.starts_with('#') {
            continue;
        }
        let indent = code.len() - code.trim_start().len();
        if indent % 2 != 0 {
            return fail(index + 1, "indentation is not a multiple of two");
        }
        let words = code.split_whitespace().collect();
        lines.push(Line { number: index + 1, depth: indent / 2, words, text: text.trim() });
    }
    let Some((head, body)) = lines.split_first() else {
        return fail(1, "empty definition");
    };
    let mut parser = Parser { api: parse_head(head)?, lines: body, at: 0 };
    for side in ["request", "response"] {
        parser.message(side)?;
    }
    match parser.lines.get(parser.at) {
        Some(line) => fail(line.number, "expected the end of the file"),
        None => {
            forgive_responses(&mut parser.api);
            spread_versions(&mut parser.api)?;
            Ok(parser.api)
        }
    }
}

/// Makes all fields of the response ignorable. A server fills in all it knows and answers in the version it was asked
/// in: what that version cannot say is dropped there by design, not by mistake.
fn forgive_responses(api: &mut Api) {
    let response = format!("{}Response", api.name);
    for each in api.structs.iter_mut().skip_while(|each| each.name != response) {
        for field in &mut each.fields {
            field.ignorable = true;
        }
    }
}

/// Widens the versions of each struct to all its uses, and checks that every field has a version in its struct.
fn spread_versions(api: &mut Api) -> Result<(), SchemaError> {
    let mut changed = true;
    while changed {
        changed = false;
        for user in 0..api.structs.len() {
            let outer = api.structs[user].versions;
            for field in 0..api.structs[user].fields.len() {
                let field = &api.structs[user].fields[field];
                let Some(used) = field.versions.and(outer) else { continue };
                let Some(name) = field.ty.struct_name().map(str::to_owned) else { continue };
                let target = api.structs.iter_mut().find(|each| each.name == name);
                let target = target.expect("the parser has checked all names");
                changed |= !target.versions.covers(used);
                target.versions = target.versions.or(used);
            }
        }
    }
    for each in &api.structs {
        if let Some(field) = each.fields.iter().find(|field| field.versions.and(each.versions).is_none()) {
            return fail(field.line, "no version has this field");
        }
    }
    Ok(())
}

fn parse_head(line: &Line<'_>) -> Result<Api, SchemaError> {
    let &["api", key, name, versions, "flexible", flexible] = line.words.as_slice() else {
        return fail(line.number, "expected `api KEY NAME VERSIONS flexible VERSIONS|none`");
    };
    let (Ok(key), Some(versions)) = (key.parse(), Versions::parse(versions)) else {
        return fail(line.number, "key or versions are not numbers");
    };
    if versions.last == i16::MAX {
        return fail(line.number, "an API has a last version");
    }
    let flexible_from = match flexible {
        "none" => None,
        _ => match Versions::parse(flexible) {
            Some(Versions { first, last: i16::MAX }) => Some(first),
            _ => return fail(line.number, "flexible versions are `N+` or `none`"),
        },
    };
    Ok(Api { key, name: name.to_owned(), versions, flexible_from, structs: Vec::new() })
}

struct Parser<'a> {
    api: Api,
    lines: &'a [Line<'a>],
    at: usize,
}

impl Parser<'_> {
    /// `request` or `response` and what is nested under it.
    fn message(&mut self, side: &str) -> Result<(), SchemaError> {
        let Some(line) = self.lines.get(self.at) else {
            return fail(0, format!("no `{side}`"));
        };
        if line.depth != 0 || line.words != [side] {
            return fail(line.number, format!("expected `{side}`"));
        }
        self.at += 1;
        let suffix = if side == "request" { "Request" } else { "Response" };
        let name = format!("{}{suffix}", self.api.name);
        self.structure(name, 1, self.api.versions, None)
    }

    /// The fields at `depth`, as a struct of this name.
    fn structure(
        &mut self,
        name: String,
        depth: usize,
        versions: Versions,
        used_by: Option<String>,
    ) -> Result<(), SchemaError> {
        let place = self.api.structs.len();
        self.api.structs.push(Struct { name: name.clone(), fields: Vec::new(), versions, used_by });
        let mut seen = BTreeMap::new();
        while let Some(line) = self.lines.get(self.at).filter(|line| line.depth >= depth) {
            if line.depth > depth {
                return fail(line.number, "indented deeper than any field above it");
            }
            self.at += 1;
            let field = self.field(line)?;
            if let Some(before) = seen.insert(field.name.clone(), line.number) {
                return fail(line.number, format!("same name as in line {before}"));
            }
            self.reference(line, &name, depth, versions, &field)?;
            self.api.structs[place].fields.push(field);
        }
        Ok(())
    }

    /// Defines or finds the struct that a field is made of.
    fn reference(
        &mut self,
        line: &Line<'_>,
        parent: &str,
        depth: usize,
        versions: Versions,
        field: &Field,
    ) -> Result<(), SchemaError> {
        let nested = self.lines.get(self.at).is_some_and(|next| next.depth > depth);
        let Some(name) = field.ty.struct_name() else {
            return if nested { fail(line.number, "only a struct has fields") } else { Ok(()) };
        };
        let Some(used) = field.versions.and(versions) else {
            return fail(line.number, "no version has this field");
        };
        let known = self.api.structs.iter().find(|each| each.name == name);
        match (known, nested) {
            (Some(_), true) => fail(line.number, format!("{name} is defined twice")),
            (Some(_), false) => Ok(()),
            (None, false) => fail(line.number, format!("{name} is not defined")),
            (None, true) => {
                let user = format!("{parent}::{}", field.name);
                self.structure(name.to_owned(), depth + 1, used, Some(user))
            }
        }
    }

    fn field(&self, line: &Line<'_>) -> Result<Field, SchemaError> {
        let &[name, ty, ref rest @ ..] = line.words.as_slice() else {
            return fail(line.number, "expected a name and a type");
        };
        let (ty, null) = ty.strip_suffix('?').map_or((ty, false), |ty| (ty, true));
        let Some(ty) = Type::parse(ty) else {
            return fail(line.number, format!("unknown type {ty}"));
        };
        let mut field = Field {
            name: name.to_owned(),
            ty,
            versions: Versions::ALL,
            nullable: null.then_some(Versions::ALL),
            tag: None,
            default: None,
            ignorable: false,
            text: line.text.to_owned(),
            line: line.number,
        };
        for word in rest {
            apply_word(&mut field, word).or_else(|text| fail(line.number, text))?;
        }
        self.check_field(line.number, &field)?;
        Ok(field)
    }

    fn check_field(&self, line: usize, field: &Field) -> Result<(), SchemaError> {
        if !is_name(&field.name, char::is_lowercase) {
            return fail(line, format!("{} is not a field name", field.name));
        }
        if RESERVED.contains(&field.name.as_str()) {
            return fail(line, format!("{} cannot be a name in the generated code", field.name));
        }
        if field.text.is_empty() {
            return fail(line, "no text behind `--`");
        }
        if field.versions.and(self.api.versions).is_none() {
            return fail(line, "no version has this field");
        }
        if field.nullable.is_some() && !field.ty.can_be_null() {
            return fail(line, "this type cannot be null");
        }
        if field.ty == Type::Records && (field.nullable.is_none() || field.tag.is_some()) {
            return fail(line, "records are nullable and not tagged");
        }
        if field.tag.is_some()
            && field.versions.and(self.api.versions).is_some_and(|both| !self.api.is_flexible(both.first))
        {
            return fail(line, "tagged in a version that has no tagged fields");
        }
        if matches!(field.ty, Type::Struct(_))
            && field.nullable.is_some_and(|null| !null.covers(field.versions))
        {
            return fail(line, "a struct is nullable in all versions or in none");
        }
        check_default(field).or_else(|text| fail(line, text))
    }
}

/// One word behind a field's type.
fn apply_word(field: &mut Field, word: &str) -> Result<(), String> {
    let unclear = || format!("cannot read `{word}`");
    match word.split_once('=') {
        Some(("null", versions)) => field.nullable = Some(Versions::parse(versions).ok_or_else(unclear)?),
        Some(("tag", tag)) => field.tag = Some(tag.parse().map_err(|_| unclear())?),
        Some(("default", value)) => field.default = Some(value.to_owned()),
        None if word == "ignorable" => field.ignorable = true,
        None => field.versions = Versions::parse(word).ok_or_else(unclear)?,
        Some(_) => return Err(unclear()),
    }
    Ok(())
}

fn check_default(field: &Field) -> Result<(), String> {
    let Some(default) = &field.default else {
        let absent = matches!(field.ty, Type::Struct(_)) && field.nullable.is_some();
        return if absent { Err("a nullable struct needs default=null".to_owned()) } else { Ok(()) };
    };
    let fits = match &field.ty {
        Type::Bool => default == "true" || default == "false",
        Type::I8 => default.parse::<i8>().is_ok(),
        Type::I16 => default.parse::<i16>().is_ok(),
        Type::I32 => default.parse::<i32>().is_ok(),
        Type::I64 => default.parse::<i64>().is_ok(),
        Type::U16 => default.parse::<u16>().is_ok(),
        Type::U32 => default.parse::<u32>().is_ok(),
        Type::F64 | Type::Uuid => false,
        _ => default == "null" && field.nullable.is_some(),
    };
    if fits { Ok(()) } else { Err(format!("{default} is not a default of this type")) }
}

fn is_name(text: &str, first: impl Fn(char) -> bool) -> bool {
    text.starts_with(first) && text.chars().all(|each| each.is_ascii_alphanumeric() || each == '_')
}
