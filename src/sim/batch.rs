//! Record batches as a client builds and reads them: an encoder and a decoder of the simulator's own.
//!
//! Deliberately not the log's builder and record iterator, although they do the same: an oracle that shares code with
//! what it judges shares its mistakes. Uncompressed batches only.

use corelane_base::crc::crc32c;

/// Size of a batch's header in bytes.
pub const HEADER_BYTES: usize = 61;

const CRC_COVERS_FROM: usize = 21;
const LOG_APPEND_TIME_BIT: i16 = 8;
const DELETE_HORIZON_BIT: i16 = 64;

/// What a client says about a batch; -1 for what it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Sequence number of the first record.
    pub base_sequence: i32,
}

impl Producer {
    /// A producer that is not idempotent.
    pub const NONE: Producer = Producer { id: -1, epoch: -1, base_sequence: -1 };
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Key, if any.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Vec<u8>,
}

/// A record with a key, as compacted logs hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRecord {
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value; none for a tombstone.
    pub value: Option<Vec<u8>>,
}

/// A batch read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Of the leader that stored it.
    pub leader_epoch: i32,
    /// Whether the records' time is the leader's.
    pub is_append_time: bool,
    /// The largest timestamp.
    pub max_timestamp_ms: i64,
    /// Who wrote it.
    pub producer: Producer,
    /// What is in it.
    pub records: Vec<Record>,
    /// Bytes taken.
    pub size_bytes: usize,
}

/// Encodes a batch as a producer sends it.
#[must_use]
pub fn encode(producer: Producer, records: &[Record]) -> Vec<u8> {
    let fields = |record: &'_ Record| (record.timestamp_ms, record.key.clone(), Some(record.value.clone()));
    encode_fields(producer, &records.iter().map(fields).collect::<Vec<_>>())
}

/// Encodes a batch of records with keys as a producer sends it.
#[must_use]
pub fn encode_keyed(producer: Producer, records: &[KeyedRecord]) -> Vec<u8> {
    let fields =
        |record: &'_ KeyedRecord| (record.timestamp_ms, Some(record.key.clone()), record.value.clone());
    encode_fields(producer, &records.iter().map(fields).collect::<Vec<_>>())
}

/// Time, key and value.
type Fields = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn encode_fields(producer: Producer, records: &[Fields]) -> Vec<u8> {
    assert!(!records.is_empty(), "a batch has records");
    let base_timestamp = records[0].0;
    let max_timestamp = records.iter().map(|(time, _, _)| *time).max().unwrap_or(-1);
    let mut body = Vec::new();
    for (index, (time, key, value)) in records.iter().enumerate() {
        let mut one = vec![0];
        put_varint(&mut one, time - base_timestamp);
        put_varint(&mut one, index as i64);
        for field in [key, value] {
            match field {
                Some(bytes) => put_bytes(&mut one, bytes),
                None => put_varint(&mut one, -1),
            }
        }
        put_varint(&mut one, 0);
        put_bytes(&mut body, &one);
    }
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    out.extend(0_i64.to_be_bytes());
    out.extend(((HEADER_BYTES - 12 + body.len()) as i32).to_be_bytes());
    out.extend((-1_i32).to_be_bytes());
    out.push(2);
    out.extend([0; 4]);
    out.extend(0_i16.to_be_bytes());
    out.extend((records.len() as i32 - 1).to_be_bytes());
    out.extend(base_timestamp.to_be_bytes());
    out.extend(max_timestamp.to_be_bytes());
    out.extend(producer.id.to_be_bytes());
    out.extend(producer.epoch.to_be_bytes());
    out.extend(producer.base_sequence.to_be_bytes());
    out.extend((records.len() as i32).to_be_bytes());
    out.extend(body);
    put_crc(&mut out);
    out
}

/// What a leader must have made of a produced batch.
#[must_use]
pub fn as_stored(
    produced: &[u8],
    base_offset: i64,
    leader_epoch: i32,
    append_time_ms: Option<i64>,
) -> Vec<u8> {
    let mut out = produced.to_vec();
    out[..8].copy_from_slice(&base_offset.to_be_bytes());
    out[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    if let Some(time) = append_time_ms {
        out[22] |= LOG_APPEND_TIME_BIT as u8;
        out[35..43].copy_from_slice(&time.to_be_bytes());
        put_crc(&mut out);
    }
    out
}

/// Reads the batch at the start of `bytes`; `Ok(None)` if it is cut short there. Errors: what is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Option<Batch>, String> {
    let Some((mut batch, mut rest)) = decode_header(bytes, LOG_APPEND_TIME_BIT)? else { return Ok(None) };
    let (base_timestamp, count) =
        (i64::from_be_bytes(array(bytes, 27)), i32::from_be_bytes(array(bytes, 57)));
    for index in 0..count {
        let mut record = take_record(&mut rest, base_timestamp, index).ok_or(format!("record {index}"))?;
        if batch.is_append_time {
            record.timestamp_ms = batch.max_timestamp_ms;
        }
        batch.records.push(record);
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes behind the records", rest.len()));
    }
    Ok(Some(batch))
}

/// What a compacted log holds: a batch without its records, and what is left of those, each with its offset.
pub type Compacted = (Batch, Vec<(i64, KeyedRecord)>);

/// The same for what compaction may have left of a batch.
pub fn decode_keyed(bytes: &[u8]) -> Result<Option<Compacted>, String> {
    let allowed = LOG_APPEND_TIME_BIT | DELETE_HORIZON_BIT;
    let Some((batch, mut rest)) = decode_header(bytes, allowed)? else { return Ok(None) };
    let (base_timestamp, count) =
        (i64::from_be_bytes(array(bytes, 27)), i32::from_be_bytes(array(bytes, 57)));
    let (mut records, mut expected) = (Vec::new(), batch.base_offset);
    for index in 0..count {
        let (delta, record) = take_keyed(&mut rest, base_timestamp).ok_or(format!("record {index}"))?;
        let offset = batch.base_offset + delta;
        if !(expected..=batch.last_offset).contains(&offset) {
            return Err(format!("record {index} has offset {offset}"));
        }
        expected = offset + 1;
        let timestamp_ms = if batch.is_append_time { batch.max_timestamp_ms } else { record.timestamp_ms };
        records.push((offset, KeyedRecord { timestamp_ms, ..record }));
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes behind the records", rest.len()));
    }
    Ok(Some((batch, records)))
}

fn take_keyed(rest: &mut &[u8], base_timestamp: i64) -> Option<(i64, KeyedRecord)> {
    let mut one = take_bytes(rest)??;
    let (attributes, tail) = one.split_first()?;
    one = tail;
    let timestamp_ms = base_timestamp + take_varint(&mut one)?;
    let offset_delta = take_varint(&mut one)?;
    let key = take_bytes(&mut one)??.to_vec();
    let value = take_bytes(&mut one)?.map(<[u8]>::to_vec);
    let headers = take_varint(&mut one)?;
    let sound = *attributes == 0 && headers == 0 && one.is_empty();
    sound.then_some((offset_delta, KeyedRecord { timestamp_ms, key, value }))
}

/// The batch without its records, and their bytes.
fn decode_header(bytes: &[u8], allowed: i16) -> Result<Option<(Batch, &[u8])>, String> {
    if bytes.len() < HEADER_BYTES {
        return Ok(None);
    }
    let length = i32::from_be_bytes(array(bytes, 8));
    if length < (HEADER_BYTES - 12) as i32 {
        return Err(format!("batch length {length}"));
    }
    if bytes[16] != 2 {
        return Err(format!("magic {}", bytes[16]));
    }
    let size_bytes = 12 + length as usize;
    let Some(batch) = bytes.get(..size_bytes) else { return Ok(None) };
    let stored = u32::from_be_bytes(array(batch, 17));
    let computed = crc32c(&batch[CRC_COVERS_FROM..]);
    if stored != computed {
        return Err(format!("crc {stored:#x}, computed {computed:#x}"));
    }
    let attributes = i16::from_be_bytes(array(batch, 21));
    if attributes & !allowed != 0 {
        return Err(format!("attributes {attributes:#x} that nobody sent"));
    }
    let base_offset = i64::from_be_bytes(array(batch, 0));
    let max_timestamp_ms = i64::from_be_bytes(array(batch, 35));
    let is_append_time = attributes & LOG_APPEND_TIME_BIT != 0;
    let found = Batch {
        base_offset,
        last_offset: base_offset + i64::from(i32::from_be_bytes(array(batch, 23))),
        leader_epoch: i32::from_be_bytes(array(batch, 12)),
        is_append_time,
        max_timestamp_ms,
        producer: Producer {
            id: i64::from_be_bytes(array(batch, 43)),
            epoch: i16::from_be_bytes(array(batch, 51)),
            base_sequence: i32::from_be_bytes(array(batch, 53)),
        },
        records: Vec::new(),
        size_bytes,
    };
    Ok(Some((found, &batch[HEADER_BYTES..])))
}

fn take_record(rest: &mut &[u8], base_timestamp: i64, index: i32) -> Option<Record> {
    let mut one = take_bytes(rest)??;
    let (attributes, tail) = one.split_first()?;
    one = tail;
    let timestamp_ms = base_timestamp + take_varint(&mut one)?;
    let offset_delta = take_varint(&mut one)?;
    let key = take_bytes(&mut one)?.map(<[u8]>::to_vec);
    let value = take_bytes(&mut one)??.to_vec();
    let headers = take_varint(&mut one)?;
    let sound = *attributes == 0 && offset_delta == i64::from(index) && headers == 0 && one.is_empty();
    sound.then_some(Record { timestamp_ms, key, value })
}

fn put_crc(batch: &mut [u8]) {
    let crc = crc32c(&batch[CRC_COVERS_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as i64);
    out.extend(bytes);
}

fn take_varint(rest: &mut &[u8]) -> Option<i64> {
    let mut zigzag = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    None
}

/// Outer `None`: malformed; inner `None`: null.
fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let len = take_varint(rest)?;
    if len == -1 {
        return Some(None);
    }
    let (bytes, tail) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = tail;
    Some(Some(bytes))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_come_back_as_they_went() {
        let records: Vec<Record> = (0..300)
            .map(|n| Record {
                timestamp_ms: 1_700_000_000_000 - n * 17,
                key: (n % 3 != 0).then(|| vec![7; n as usize % 5]),
                value: vec![n as u8; n as usize],
            })
            .collect();
        let producer = Producer { id: 9, epoch: 2, base_sequence: 40 };
        let bytes = encode(producer, &records);
        let batch = decode(&bytes).unwrap().unwrap();
        assert_eq!(
            (batch.records, batch.producer, batch.size_bytes),
            (records.clone(), producer, bytes.len())
        );
        assert_eq!(batch.max_timestamp_ms, 1_700_000_000_000);
        let stored = decode(&as_stored(&bytes, 100, 3, Some(5))).unwrap().unwrap();
        assert_eq!((stored.base_offset, stored.last_offset, stored.leader_epoch), (100, 399, 3));
        assert!(stored.records.iter().all(|record| record.timestamp_ms == 5));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), Ok(None));
        let mut flipped = bytes;
        flipped[100] ^= 1;
        assert!(decode(&flipped).is_err());
    }
}
