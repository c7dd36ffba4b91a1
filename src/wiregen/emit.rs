//! Writes the Rust for one API: a struct per message part, with `decode`, `encode`, and the smallest size of an element.
//!
//! The output is plain code of the kind one would write by hand: fields are read into locals in the order of the wire,
//! conditions on the version appear only where versions differ. It leans on `primitive::{Reader, Writer}` for every
//! check, so that there is one place to get lengths right. The files are excluded from rustfmt; the layout is made here.

use std::fmt::Write as _;

use crate::schema::{Api, Field, Struct, Type, Versions};

/// The Rust file for an API; `source` is the name of its definition file.
pub fn file(api: &Api, source: &str) -> String {
    let mut out = String::new();
    let names = format!("{}Request`] and [`{}Response", api.name, api.name);
    out += &format!("//! {} (key {}, versions {}): [`{names}`].\n//!\n", api.name, api.key, api.versions);
    out += &format!(
        "//! Generated from `{source}` by `cargo run -p corelane-wiregen`; change that file, not this one.\n\n"
    );
    let bodies: String = api.structs.iter().map(|each| structure(api, each)).collect();
    let mut imports = vec!["DecodeError", "EncodeError", "Reader"];
    if bodies.contains("Records<") {
        imports.push("Records");
    }
    imports.push("Writer");
    out += &format!("use crate::primitive::{{{}}};\n", imports.join(", "));
    out += &bodies;
    out
}

/// The Rust file that declares the modules of all APIs, given in the order of their keys.
pub fn index(apis: &[&Api]) -> String {
    let mut out = String::from(
        "//! The messages: one module per API, each with its request and its response.\n//!\n\
         //! Generated from `schema/` by `cargo run -p corelane-wiregen`; change those files, not these.\n\n",
    );
    for api in apis {
        out += &format!("#[rustfmt::skip]\npub mod {};\n", module(api));
    }
    out
}

/// The name of the module of an API.
pub fn module(api: &Api) -> String {
    let mut out = String::new();
    for (index, each) in api.name.chars().enumerate() {
        if each.is_uppercase() && index > 0 {
            out.push('_');
        }
        out.extend(each.to_lowercase());
    }
    out
}

/// Whether a struct holds text or bytes and so borrows from the frame.
fn borrows(api: &Api, each: &Struct) -> bool {
    each.fields.iter().any(|field| type_borrows(api, &field.ty))
}

fn type_borrows(api: &Api, ty: &Type) -> bool {
    match ty {
        Type::String | Type::Bytes | Type::Records => true,
        Type::Array(inner) => type_borrows(api, inner),
        Type::Struct(name) => borrows(api, api.get(name)),
        _ => false,
    }
}

fn rust_type(api: &Api, ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::I8 => "i8".into(),
        Type::I16 => "i16".into(),
        Type::I32 => "i32".into(),
        Type::I64 => "i64".into(),
        Type::U16 => "u16".into(),
        Type::U32 => "u32".into(),
        Type::F64 => "f64".into(),
        Type::String => "&'a str".into(),
        Type::Bytes => "&'a [u8]".into(),
        Type::Uuid => "[u8; 16]".into(),
        Type::Records => "Records<'a>".into(),
        Type::Array(inner) => format!("Vec<{}>", rust_type(api, inner)),
        Type::Struct(name) if type_borrows(api, ty) => format!("{name}<'a>"),
        Type::Struct(name) => name.clone(),
    }
}

/// The default value of a field, and whether it is what `#[derive(Default)]` would give.
fn default_value(field: &Field) -> (String, bool) {
    if let Some(default) = &field.default {
        let natural = matches!(default.as_str(), "0" | "false" | "null");
        let value = if default == "null" { "None".to_owned() } else { grouped(default) };
        return (value, natural);
    }
    let plain = match &field.ty {
        Type::Bool => "false".to_owned(),
        Type::String => "\"\"".to_owned(),
        Type::Bytes => "&[]".to_owned(),
        Type::Uuid => "[0; 16]".to_owned(),
        Type::Array(_) => "Vec::new()".to_owned(),
        Type::Struct(name) => format!("{name}::default()"),
        Type::F64 => "0.0".to_owned(),
        Type::Records => return ("None".to_owned(), true),
        _ => "0".to_owned(),
    };
    if field.nullable.is_some() { (format!("Some({plain})"), false) } else { (plain, true) }
}

/// A decimal number with its digits in groups of three when it is long.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    if digits.len() < 6 || !digits.bytes().all(|each| each.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut out = String::from(sign);
    for (index, each) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('_');
        }
        out.push(each);
    }
    out
}

/// An expression that is true when a field differs from its default.
fn differs(field: &Field) -> String {
    let place = format!("self.{}", field.name);
    let (default, _) = default_value(field);
    if field.nullable.is_some() {
        return match (&field.ty, default.as_str()) {
            (_, "None") => format!("{place}.is_some()"),
            (Type::Array(_), _) => format!("{place}.as_ref().is_none_or(|each| !each.is_empty())"),
            _ => format!("{place} != {default}"),
        };
    }
    match &field.ty {
        Type::Bool if default == "true" => format!("!{place}"),
        Type::Bool => place,
        Type::String | Type::Bytes | Type::Array(_) => format!("!{place}.is_empty()"),
        _ => format!("{place} != {default}"),
    }
}

/// The condition under which `inner` holds for a version known to lie in `outer`; none if it always does.
fn condition(inner: Versions, outer: Versions) -> Option<String> {
    match (inner.first > outer.first, inner.last < outer.last) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {}", inner.first)),
        (false, true) => Some(format!("version <= {}", inner.last)),
        (true, true) if inner.first == inner.last => Some(format!("version == {}", inner.first)),
        (true, true) => Some(format!("({}..={}).contains(&version)", inner.first, inner.last)),
    }
}

/// The opposite of [`condition`]; none if it never holds.
fn opposite(inner: Versions, outer: Versions) -> Option<String> {
    let condition = condition(inner, outer)?;
    Some(match (inner.first > outer.first, inner.last < outer.last) {
        (true, false) => format!("version < {}", inner.first),
        (false, true) => format!("version > {}", inner.last),
        _ => format!("!({condition})"),
    })
}

/// What the code of one struct is written from.
struct Scope<'a> {
    api: &'a Api,
    name: &'a str,
    /// The versions of the struct.
    versions: Versions,
}

impl Scope<'_> {
    /// The versions of a field inside this struct.
    fn field_versions(&self, field: &Field) -> Versions {
        field.versions.and(self.versions).expect("the parser has checked that some version has the field")
    }

    /// Whether a version is flexible, as an expression: `true`, `false` or the local `flexible`.
    fn flexible(&self, field: Option<&Field>) -> &'static str {
        if field.is_some_and(|field| field.tag.is_some()) {
            return "true";
        }
        match self.api.flexible_from {
            None => "false",
            Some(first) if first > self.versions.last => "false",
            Some(first) if first <= self.versions.first => "true",
            Some(_) => "flexible",
        }
    }

    /// The definition of the local `flexible`, if `code` uses it.
    fn flexible_local(&self, code: &str) -> String {
        match self.api.flexible_from {
            Some(first) if has_word(code, "flexible") => {
                format!("        let flexible = version >= {first};\n")
            }
            _ => String::new(),
        }
    }

    /// Whether a nullable field may be null, as an expression.
    fn nullable(&self, field: &Field) -> String {
        let null = field.nullable.and_then(|null| null.and(self.field_versions(field)));
        match null {
            None => "false".to_owned(),
            Some(null) => condition(null, self.field_versions(field)).unwrap_or_else(|| "true".to_owned()),
        }
    }

    /// The smallest number of bytes of an array element, as an expression.
    fn element_size(&self, inner: &Type, flexible: &str) -> String {
        match inner {
            Type::Struct(name) => {
                let target = self.api.get(name);
                match sizes(self.api, target).as_slice() {
                    [(_, size)] => size.to_string(),
                    _ => format!("{name}::size_min(version)"),
                }
            }
            Type::String if flexible == "flexible" => "if flexible { 1 } else { 2 }".to_owned(),
            Type::Bytes if flexible == "flexible" => "if flexible { 1 } else { 4 }".to_owned(),
            fixed => type_size(self.api, fixed, if flexible == "true" { i16::MAX } else { 0 }).to_string(),
        }
    }

    /// An expression that reads a field.
    fn read(&self, field: &Field) -> String {
        let flexible = self.flexible(Some(field));
        let nullable = self.nullable(field);
        let null = field.nullable.is_some();
        match &field.ty {
            Type::String if null => format!("r.string_or_null({flexible}, {nullable})?"),
            Type::Bytes if null => format!("r.bytes_or_null({flexible}, {nullable})?"),
            Type::Records => format!("r.records_or_null({flexible}, {nullable})?"),
            Type::Struct(name) if null => {
                format!("if r.present()? {{ Some({name}::decode(r, version)?) }} else {{ None }}")
            }
            Type::Array(inner) => {
                let size = self.element_size(inner, flexible);
                let element = format!("|r| {}", read_plain(inner, flexible));
                if null {
                    format!("r.array_or_null({flexible}, {nullable}, {size}, {element})?")
                } else {
                    format!("r.array({flexible}, {size}, {element})?")
                }
            }
            plain => read_plain(plain, flexible) + "?",
        }
    }

    /// A statement that writes a field; an expression of type `Result` when `as_result`.
    fn write(&self, field: &Field, as_result: bool) -> String {
        let flexible = self.flexible(Some(field));
        let nullable = self.nullable(field);
        let null = field.nullable.is_some();
        let place = format!("self.{}", field.name);
        let label = format!("\"{}.{}\"", self.name, field.name);
        let fallible = |code: String| if as_result { code } else { format!("{code}?;") };
        match &field.ty {
            Type::String | Type::Bytes if !null => {
                fallible(format!("w.{}({label}, {flexible}, {place})", type_word(&field.ty)))
            }
            Type::String | Type::Bytes | Type::Records => {
                let word = type_word(&field.ty);
                fallible(format!("w.{word}_or_null({label}, {flexible}, {nullable}, {place})"))
            }
            Type::Array(inner) => {
                let element = write_element(inner, &label, flexible);
                fallible(if null {
                    format!("w.array_or_null({label}, {flexible}, {nullable}, {place}.as_deref(), {element})")
                } else {
                    format!("w.array({label}, {flexible}, &{place}, {element})")
                })
            }
            Type::Struct(_) if null => {
                let code = format!(
                    "w.present({label}, {nullable}, {place}.is_some())?;\n        \
                     if let Some(each) = &{place} {{\n            each.encode(w, version)?;\n        }}"
                );
                if as_result { format!("{{ {code} Ok(()) }}") } else { code }
            }
            Type::Struct(_) => fallible(format!("{place}.encode(w, version)")),
            // Noted on the way, so that errors are counted in one place for all APIs.
            Type::I16 if field.name == "error_code" => {
                infallible(format!("w.error_code({place})"), as_result)
            }
            Type::Uuid => infallible(format!("w.uuid(&{place})"), as_result),
            plain => infallible(format!("w.{}({place})", type_word(plain)), as_result),
        }
    }
}

fn infallible(code: String, as_result: bool) -> String {
    if as_result { format!("{{ {code}; Ok(()) }}") } else { format!("{code};") }
}

/// The name of the methods of `Reader` and `Writer` for a type.
fn type_word(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::I8 => "i8",
        Type::I16 => "i16",
        Type::I32 => "i32",
        Type::I64 => "i64",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::F64 => "f64",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Uuid => "uuid",
        Type::Records => "records",
        Type::Array(_) | Type::Struct(_) => unreachable!("arrays and structs have no method of their own"),
    }
}

/// An expression of type `Result` that reads a value that cannot be null.
fn read_plain(ty: &Type, flexible: &str) -> String {
    match ty {
        Type::String => format!("r.string({flexible})"),
        Type::Bytes => format!("r.bytes({flexible})"),
        Type::Struct(name) => format!("{name}::decode(r, version)"),
        plain => format!("r.{}()", type_word(plain)),
    }
}

/// A closure that writes one element of an array.
fn write_element(ty: &Type, label: &str, flexible: &str) -> String {
    match ty {
        Type::String | Type::Bytes => format!("|w, each| w.{}({label}, {flexible}, each)", type_word(ty)),
        Type::Struct(_) => "|w, each| each.encode(w, version)".to_owned(),
        Type::Uuid => "|w, each| { w.uuid(each); Ok(()) }".to_owned(),
        plain => format!("|w, each| {{ w.{}(*each); Ok(()) }}", type_word(plain)),
    }
}

/// The smallest encoding of a value that may be empty but is there.
fn type_size(api: &Api, ty: &Type, version: i16) -> usize {
    let flexible = api.is_flexible(version);
    match ty {
        Type::Bool | Type::I8 => 1,
        Type::I16 | Type::U16 => 2,
        Type::I32 | Type::U32 => 4,
        Type::I64 | Type::F64 => 8,
        Type::Uuid => 16,
        Type::String => {
            if flexible {
                1
            } else {
                2
            }
        }
        Type::Bytes | Type::Records | Type::Array(_) => {
            if flexible {
                1
            } else {
                4
            }
        }
        Type::Struct(name) => struct_size(api, api.get(name), version),
    }
}

fn struct_size(api: &Api, each: &Struct, version: i16) -> usize {
    let fields = each.fields.iter().filter(|field| field.tag.is_none() && field.versions.contains(version));
    let size: usize = fields
        .map(|field| match field.ty {
            Type::Struct(_) if field.nullable.is_some() => 1,
            _ => type_size(api, &field.ty, version),
        })
        .sum();
    size + usize::from(api.is_flexible(version))
}

/// The smallest size of a struct by version: the last version of each run of equal sizes, and the size.
fn sizes(api: &Api, each: &Struct) -> Vec<(i16, usize)> {
    let mut runs: Vec<(i16, usize)> = Vec::new();
    for version in each.versions.first..=each.versions.last.min(api.versions.last) {
        let size = struct_size(api, each, version);
        match runs.last_mut() {
            Some(run) if run.1 == size => run.0 = version,
            _ => runs.push((version, size)),
        }
    }
    runs
}

fn structure(api: &Api, each: &Struct) -> String {
    let scope = Scope { api, name: &each.name, versions: each.versions };
    let generic = if borrows(api, each) { "<'a>" } else { "" };
    let natural = each.fields.iter().all(|field| default_value(field).1);
    let mut out = definition(&scope, each, generic, natural);
    if !natural {
        let elided = if generic.is_empty() { "" } else { "<'_>" };
        let _ = writeln!(out, "\nimpl Default for {}{elided} {{", each.name);
        out += "    fn default() -> Self {\n        Self {\n";
        for field in &each.fields {
            let _ = writeln!(out, "            {}: {},", field.name, default_value(field).0);
        }
        out += "        }\n    }\n}\n";
    }
    let _ = writeln!(out, "\nimpl{generic} {}{generic} {{", each.name);
    let root = each.used_by.is_none();
    if root {
        let _ = write!(
            out,
            "    /// The key of the API.\n    pub const API_KEY: i16 = {};\n\
             \x20   /// The lowest version that can be decoded and encoded.\n    pub const VERSION_MIN: i16 = {};\n\
             \x20   /// The highest version that can be decoded and encoded.\n    pub const VERSION_MAX: i16 = {};\n\n",
            api.key, api.versions.first, api.versions.last
        );
    } else if is_element(api, each) && sizes(api, each).len() > 1 {
        out += &size_min(api, each);
    }
    out += &decode(&scope, each, if generic.is_empty() { "<'_>" } else { generic });
    out.push('\n');
    out += &encode(&scope, each);
    out += "}\n";
    out
}

/// Whether a struct is an element of some array.
fn is_element(api: &Api, each: &Struct) -> bool {
    let element = Type::Array(Box::new(Type::Struct(each.name.clone())));
    api.structs.iter().any(|other| other.fields.iter().any(|field| field.ty == element))
}

fn definition(scope: &Scope<'_>, each: &Struct, generic: &str, natural: bool) -> String {
    let mut out = String::from("\n");
    match &each.used_by {
        None => {
            let _ = writeln!(out, "/// {}, versions {}.", spaced(&each.name), scope.api.versions);
        }
        Some(user) => {
            let _ = writeln!(out, "/// Part of [`{user}`].");
        }
    }
    let derives = if natural { "Debug, Clone, PartialEq, Default" } else { "Debug, Clone, PartialEq" };
    let _ = writeln!(out, "#[derive({derives})]\npub struct {}{generic} {{", each.name);
    for field in &each.fields {
        let versions = scope.field_versions(field);
        let note = match condition(versions, scope.versions) {
            None => String::new(),
            Some(_) if versions.last == scope.versions.last => format!(" Versions {}+.", versions.first),
            Some(_) => format!(" Versions {versions}."),
        };
        let _ = writeln!(out, "    /// {}.{note}", field.text);
        let ty = rust_type(scope.api, &field.ty);
        let ty = if field.nullable.is_some() { format!("Option<{ty}>") } else { ty };
        let _ = writeln!(out, "    pub {}: {ty},", field.name);
    }
    out + "}\n"
}

/// `ProduceRequest` as "Produce request".
fn spaced(name: &str) -> String {
    for side in ["Request", "Response"] {
        if let Some(api) = name.strip_suffix(side) {
            return format!("{api} {}", side.to_lowercase());
        }
    }
    name.to_owned()
}

fn size_min(api: &Api, each: &Struct) -> String {
    let mut out = String::from(
        "    /// The smallest number of bytes that this takes on the wire.\n    \
         const fn size_min(version: i16) -> usize {\n        match version {\n",
    );
    let runs = sizes(api, each);
    let mut first = String::new();
    for (index, (last, size)) in runs.iter().enumerate() {
        if index + 1 == runs.len() {
            let _ = writeln!(out, "            _ => {size},");
        } else {
            let _ = writeln!(out, "            {first}..={last} => {size},");
        }
        first = (last + 1).to_string();
    }
    out + "        }\n    }\n\n"
}

/// Whether `code` holds `word` as an identifier of its own.
fn has_word(code: &str, word: &str) -> bool {
    code.split(|each: char| !each.is_alphanumeric() && each != '_').any(|each| each == word)
}

/// The head of `decode` or `encode`: documentation, signature, version check.
fn head(each: &Struct, signature: &str, code: &str, what: &str, error: &str) -> String {
    let root = each.used_by.is_none();
    let version = if root || has_word(code, "version") { "version" } else { "_version" };
    let signature = signature.replace("VERSION", version);
    if !root {
        return format!("    fn {signature} {{\n");
    }
    format!(
        "    /// {what}\n    pub fn {signature} {{\n        \
         if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {{\n            \
         return Err({error}::UnsupportedVersion(version));\n        }}\n"
    )
}

fn decode(scope: &Scope<'_>, each: &Struct, lifetime: &str) -> String {
    let mut code = String::new();
    for field in each.fields.iter().filter(|field| field.tag.is_none()) {
        let read = scope.read(field);
        let _ = match condition(scope.field_versions(field), scope.versions) {
            None => writeln!(code, "        let {} = {read};", field.name),
            Some(condition) => {
                let (default, _) = default_value(field);
                writeln!(
                    code,
                    "        let {} = if {condition} {{ {read} }} else {{ {default} }};",
                    field.name
                )
            }
        };
    }
    code += &decode_tagged(scope, each);
    let names: Vec<&str> = each.fields.iter().map(|field| field.name.as_str()).collect();
    let _ = writeln!(code, "        Ok(Self {{ {} }})\n    }}", names.join(", "));
    let local = scope.flexible_local(&code);
    let code = local + &code;
    let signature = format!("decode(r: &mut Reader{lifetime}, VERSION: i16) -> Result<Self, DecodeError>");
    let what = "Reads the body of a message of this version; what follows it stays in the reader.";
    head(each, &signature, &code, what, "DecodeError") + &code
}

fn tagged_fields(each: &Struct) -> Vec<(u32, &Field)> {
    let mut tagged: Vec<_> = each.fields.iter().filter_map(|field| Some((field.tag?, field))).collect();
    tagged.sort_by_key(|(tag, _)| *tag);
    tagged
}

fn decode_tagged(scope: &Scope<'_>, each: &Struct) -> String {
    let tagged = tagged_fields(each);
    let mut code = String::new();
    for (_, field) in &tagged {
        let _ = writeln!(code, "        let mut {} = {};", field.name, default_value(field).0);
    }
    let mut call = String::new();
    if tagged.is_empty() {
        call += "r.skip_tagged_fields()?;\n";
    } else {
        call += "r.tagged_fields(|tag, r| {\n                match tag {\n";
        for (tag, field) in &tagged {
            let only = condition(scope.field_versions(field), flexible_versions(scope));
            let only = only.map_or(String::new(), |condition| format!(" if {condition}"));
            let _ =
                writeln!(call, "                    {tag}{only} => {} = {},", field.name, scope.read(field));
        }
        call += "                    _ => return Ok(false),\n                }\n                Ok(true)\n            })?;\n";
    }
    match scope.flexible(None) {
        "false" => code,
        "true" => code + "        " + &call,
        flexible => code + &format!("        if {flexible} {{\n            {call}        }}\n"),
    }
}

/// The flexible versions of a struct that has some.
fn flexible_versions(scope: &Scope<'_>) -> Versions {
    let first = scope.api.flexible_from.unwrap_or(0).max(scope.versions.first);
    Versions { first, last: scope.versions.last }
}

fn encode(scope: &Scope<'_>, each: &Struct) -> String {
    let mut code = String::new();
    for field in each.fields.iter().filter(|field| field.tag.is_none()) {
        let write = scope.write(field, false);
        let _ = match condition(scope.field_versions(field), scope.versions) {
            None => writeln!(code, "        {write}"),
            Some(condition) if field.ignorable => {
                writeln!(code, "        if {condition} {{\n            {write}\n        }}")
            }
            Some(condition) => writeln!(
                code,
                "        if {condition} {{\n            {write}\n        }} else if {} {{\n            {}\n        }}",
                differs(field),
                not_in_version(scope, field)
            ),
        };
    }
    code += &encode_tagged(scope, each);
    code += "        Ok(())\n    }\n";
    let local = scope.flexible_local(&code);
    let code = local + &code;
    let signature = "encode(&self, w: &mut Writer, VERSION: i16) -> Result<(), EncodeError>";
    let what = "Writes the body of a message of this version.";
    head(each, signature, &code, what, "EncodeError") + &code
}

fn not_in_version(scope: &Scope<'_>, field: &Field) -> String {
    format!(
        "return Err(EncodeError::FieldNotInVersion {{ field: \"{}.{}\", version }});",
        scope.name, field.name
    )
}

fn encode_tagged(scope: &Scope<'_>, each: &Struct) -> String {
    let tagged = tagged_fields(each);
    let mut code = String::new();
    for (_, field) in tagged.iter().filter(|(_, field)| !field.ignorable) {
        if let Some(absent) = opposite(scope.field_versions(field), scope.versions) {
            let _ = writeln!(
                code,
                "        if {absent} && {} {{\n            {}\n        }}",
                differs(field),
                not_in_version(scope, field)
            );
        }
    }
    let mut call = String::new();
    for (_, field) in &tagged {
        let only = condition(scope.field_versions(field), flexible_versions(scope));
        let only = only.map_or(String::new(), |condition| format!("{condition} && "));
        let _ = writeln!(call, "            let {} = {only}{};", field.name, differs(field));
    }
    let counts: Vec<String> = tagged.iter().map(|(_, field)| format!("u32::from({})", field.name)).collect();
    let count = if counts.is_empty() { "0".to_owned() } else { counts.join(" + ") };
    let _ = writeln!(call, "            w.uvarint({count});");
    for (tag, field) in &tagged {
        let label = format!("\"{}.{}\"", scope.name, field.name);
        let _ = writeln!(
            call,
            "            if {} {{\n                w.tagged({label}, {tag}, |w| {})?;\n            }}",
            field.name,
            scope.write(field, true)
        );
    }
    match scope.flexible(None) {
        "false" => code,
        "true" => code + &call.replace("\n            ", "\n        ").replacen("    ", "", 1),
        flexible => code + &format!("        if {flexible} {{\n{call}        }}\n"),
    }
}
