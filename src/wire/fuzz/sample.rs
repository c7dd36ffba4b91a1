//! Random messages, made straight from the message definitions: a second reading of the notation, independent of the
//! code that the generator writes from it.
//!
//! A sample is in the canonical form that an encoder gives: tagged fields are present only when they differ from their
//! default, in rising order, with shortest varints. So decoding and encoding it must give the same bytes. It also knows
//! where each of its lengths lies, for tests that lie about them.

use corelane_base::rng::Rng;
use corelane_wiregen::schema::{self, Api, Field, Struct, Type};

use crate::fuzz::SCHEMAS;

/// Which tagged fields a sample has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// Some of those that the definition knows.
    Known,
    /// Also some that it does not know, in every flexible struct.
    Unknown,
}

/// How a length is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthForm {
    /// Two bytes.
    Short,
    /// Four bytes.
    Wide,
    /// A varint, one more than the length.
    Compact,
    /// A varint, the number itself: how many tagged fields, or how long one is.
    Plain,
}

/// Where a length lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Length {
    /// `Struct.field`.
    pub field: String,
    /// Offset of its first byte.
    pub at: usize,
    /// How many bytes it takes.
    pub width: usize,
    /// How it is written.
    pub form: LengthForm,
    /// Whether it may say null.
    pub nullable: bool,
}

/// A message as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// The body, without header.
    pub bytes: Vec<u8>,
    /// Its lengths, by rising offset.
    pub lengths: Vec<Length>,
}

/// The definition of an API. Panics: if there is none for this key.
pub fn api(key: i16) -> Api {
    let apis = SCHEMAS.iter().map(|source| schema::parse(source).expect("committed definitions are right"));
    apis.into_iter().find(|api| api.key == key).expect("the key has a definition")
}

/// A message of `api`, by the name of its struct.
pub fn message(api: &Api, name: &str, version: i16, rng: &mut Rng, tags: Tags) -> Sample {
    let flexible = api.is_flexible(version);
    let mut maker = Maker { api, version, flexible, tags, rng, sample: Sample::default() };
    maker.structure(api.get(name), false);
    maker.sample
}

/// Random bytes, at least `min` and at most `max` of them.
pub fn noise(rng: &mut Rng, min: usize, max: usize) -> Vec<u8> {
    let count = min + rng.below((max - min) as u64 + 1) as usize;
    (0..count).map(|_| rng.next_u64() as u8).collect()
}

/// Random text of at most `max` characters, not all of them ASCII.
pub fn text(rng: &mut Rng, max: u64) -> String {
    let alphabet = ['a', 'Z', '0', '.', '_', '-', ' ', '"', '\\', '\n', '\0', 'é', '漢', '🦀'];
    (0..rng.below(max + 1)).map(|_| alphabet[rng.below(alphabet.len() as u64) as usize]).collect()
}

struct Maker<'a> {
    api: &'a Api,
    version: i16,
    flexible: bool,
    tags: Tags,
    rng: &'a mut Rng,
    sample: Sample,
}

impl Maker<'_> {
    /// The fields of a struct. `distinct`: at least one of them differs from its default.
    fn structure(&mut self, each: &Struct, mut distinct: bool) {
        let present = |field: &&Field| field.versions.contains(self.version);
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) =
            each.fields.iter().filter(present).partition(|field| field.tag.is_some());
        for field in plain {
            self.field(&each.name, field, distinct);
            distinct = false;
        }
        if self.flexible {
            self.tagged(each, tagged);
        }
    }

    fn tagged(&mut self, each: &Struct, mut fields: Vec<&Field>) {
        fields.sort_by_key(|field| field.tag);
        fields.retain(|_| self.rng.one_in(2));
        let unknown = if self.tags == Tags::Unknown { self.rng.below(3) as u32 } else { 0 };
        let count = fields.len() as u32 + unknown;
        self.length(format!("{}.tags", each.name), LengthForm::Plain, false, u64::from(count));
        for field in fields {
            self.uvarint(u64::from(field.tag.expect("only tagged fields")));
            let mut inner = Maker { sample: Sample::default(), rng: &mut *self.rng, ..*self };
            inner.field(&each.name, field, true);
            let inner = inner.sample;
            let label = format!("{}.{}.size", each.name, field.name);
            self.length(label, LengthForm::Plain, false, inner.bytes.len() as u64);
            let shift = self.sample.bytes.len();
            self.sample.bytes.extend_from_slice(&inner.bytes);
            let moved = inner.lengths.into_iter().map(|length| Length { at: length.at + shift, ..length });
            self.sample.lengths.extend(moved);
        }
        for index in 0..unknown {
            self.uvarint(u64::from(1000 + index));
            let value = noise(self.rng, 0, 5);
            self.length(format!("{}.unknown.size", each.name), LengthForm::Plain, false, value.len() as u64);
            self.sample.bytes.extend_from_slice(&value);
        }
    }

    fn field(&mut self, owner: &str, field: &Field, distinct: bool) {
        let label = format!("{owner}.{}", field.name);
        let nullable = field.nullable.is_some_and(|null| null.contains(self.version));
        // The default of a nullable field is either null or empty: a value that is neither always differs.
        let null = nullable && !distinct && self.rng.one_in(4);
        match &field.ty {
            Type::Struct(name) => {
                let target = self.api.get(name);
                if nullable {
                    self.sample.bytes.push(if null { 0xff } else { 1 });
                }
                if !null {
                    self.structure(target, distinct && !nullable);
                }
            }
            ty @ (Type::String | Type::Bytes | Type::Records | Type::Array(_)) if null => {
                let form = self.form(ty);
                let at = self.sample.bytes.len();
                match form {
                    LengthForm::Short => self.sample.bytes.extend_from_slice(&(-1i16).to_be_bytes()),
                    LengthForm::Wide => self.sample.bytes.extend_from_slice(&(-1i32).to_be_bytes()),
                    LengthForm::Compact | LengthForm::Plain => self.sample.bytes.push(0),
                }
                let width = self.sample.bytes.len() - at;
                self.sample.lengths.push(Length { field: label, at, width, form, nullable });
            }
            ty => self.value(label, ty, nullable, distinct),
        }
    }

    fn value(&mut self, label: String, ty: &Type, nullable: bool, distinct: bool) {
        match ty {
            Type::Bool => {
                // Tagged booleans are false by default; no definition says otherwise.
                let value = distinct || self.rng.one_in(2);
                self.sample.bytes.push(u8::from(value));
            }
            Type::I8 => self.number(1, distinct),
            Type::I16 | Type::U16 => self.number(2, distinct),
            Type::I32 | Type::U32 => self.number(4, distinct),
            Type::I64 | Type::F64 => self.number(8, distinct),
            Type::Uuid => {
                let mut value = self.rng.bytes16();
                value[0] |= 1;
                self.sample.bytes.extend_from_slice(&value);
            }
            Type::String => {
                let mut value = text(self.rng, 12);
                if distinct {
                    value.push('x');
                }
                self.length(label, self.form(ty), nullable, value.len() as u64);
                self.sample.bytes.extend_from_slice(value.as_bytes());
            }
            Type::Bytes | Type::Records => {
                let value = noise(self.rng, usize::from(distinct), 20);
                self.length(label, self.form(ty), nullable, value.len() as u64);
                self.sample.bytes.extend_from_slice(&value);
            }
            Type::Array(inner) => {
                let count = self.rng.below(3) + u64::from(distinct);
                self.length(label.clone(), self.form(ty), nullable, count);
                for _ in 0..count {
                    self.value(label.clone(), inner, false, false);
                }
            }
            Type::Struct(name) => self.structure(self.api.get(name), false),
        }
    }

    /// A number of this many bytes. No definition has 7 as a default.
    fn number(&mut self, width: usize, distinct: bool) {
        let value = match self.rng.below(6) {
            _ if distinct => 7,
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX >> (65 - 8 * width as u32).min(63),
            3 => 1 << (8 * width - 1),
            _ => self.rng.next_u64(),
        };
        self.sample.bytes.extend_from_slice(&value.to_be_bytes()[8 - width..]);
    }

    fn form(&self, ty: &Type) -> LengthForm {
        match ty {
            _ if self.flexible => LengthForm::Compact,
            Type::String => LengthForm::Short,
            _ => LengthForm::Wide,
        }
    }

    fn length(&mut self, field: String, form: LengthForm, nullable: bool, length: u64) {
        let at = self.sample.bytes.len();
        match form {
            LengthForm::Short => self.sample.bytes.extend_from_slice(&(length as i16).to_be_bytes()),
            LengthForm::Wide => self.sample.bytes.extend_from_slice(&(length as i32).to_be_bytes()),
            LengthForm::Compact => self.uvarint(length + 1),
            LengthForm::Plain => self.uvarint(length),
        }
        let width = self.sample.bytes.len() - at;
        self.sample.lengths.push(Length { field, at, width, form, nullable });
    }

    fn uvarint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.sample.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.sample.bytes.push(value as u8);
    }
}
