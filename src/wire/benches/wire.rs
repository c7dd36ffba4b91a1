//! The codec's share of a request: cutting frames, reading a header and a Produce request, writing the answer, writing a
//! Fetch response around external records.
//!
//! `cargo bench -p corelane-wire`. Throughput counts the bytes of the frame, so the produce figures show that the size of
//! the records does not matter: nothing looks at them.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use corelane_wire::frame::{self, Split};
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use corelane_wire::message::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use corelane_wire::primitive::{Reader, Records, Writer};

const FRAME_MAX: u32 = 100 << 20;

/// A framed Produce request with this many partitions and bytes of records in each.
fn produce_frame(version: i16, partitions: i32, record_bytes: usize) -> Vec<u8> {
    let records = vec![0x5a; record_bytes];
    let partition_data = (0..partitions)
        .map(|index| PartitionProduceData { index, records: Some(Records::Borrowed(&records)) })
        .collect();
    let topic = if version >= 13 {
        TopicProduceData { topic_id: [7; 16], partition_data, ..TopicProduceData::default() }
    } else {
        TopicProduceData { name: "orders.payments", partition_data, ..TopicProduceData::default() }
    };
    let request =
        ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() };
    let mut w = Writer::frame(record_bytes + 128);
    let client_id = Some("producer-1");
    let header = RequestHeader { api_key: 0, api_version: version, correlation_id: 42, client_id };
    header.encode(&mut w).expect("a short client id");
    request.encode(&mut w, version).expect("a right request");
    w.into_parts().expect("below 2 GiB").0.to_vec()
}

fn split(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/split");
    let stream = produce_frame(9, 1, 200).repeat(64);
    group.throughput(Throughput::Elements(64));
    group.bench_function("64_frames", |b| {
        b.iter(|| {
            let mut rest = black_box(stream.as_slice());
            let mut count = 0;
            while let Ok(Split::Frame { body, consumed }) = frame::split(rest, FRAME_MAX) {
                count += body.len();
                rest = &rest[consumed..];
            }
            count
        });
    });
    group.finish();
}

fn decode_produce(c: &mut Criterion) {
    let mut group = c.benchmark_group("produce/decode");
    for (version, partitions, record_bytes) in
        [(7, 1, 1 << 10), (9, 1, 1 << 10), (13, 1, 1 << 10), (13, 1, 1 << 20), (13, 100, 1 << 10)]
    {
        let frame = produce_frame(version, partitions, record_bytes);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        let id = BenchmarkId::new(format!("v{version}"), format!("{partitions}x{record_bytes}"));
        group.bench_with_input(id, &frame, |b, frame| {
            b.iter(|| {
                let mut r = Reader::new(&black_box(frame)[4..]);
                let header = RequestHeader::decode(&mut r).expect("a right header");
                ProduceRequest::decode(&mut r, header.api_version).expect("a right request")
            });
        });
    }
    group.finish();
}

fn encode_produce_response(c: &mut Criterion) {
    let mut group = c.benchmark_group("produce/encode_response");
    let partition = PartitionProduceResponse { base_offset: 1 << 40, ..PartitionProduceResponse::default() };
    let topic = TopicProduceResponse {
        topic_id: [7; 16],
        partition_responses: vec![partition],
        ..TopicProduceResponse::default()
    };
    let response = ProduceResponse { responses: vec![topic], ..ProduceResponse::default() };
    group.throughput(Throughput::Elements(1));
    group.bench_function("v13", |b| {
        b.iter(|| {
            let mut w = Writer::frame(128);
            ResponseHeader { correlation_id: 42 }.encode(&mut w, 0, 13);
            black_box(&response).encode(&mut w, 13).expect("a right response");
            w.into_parts()
        });
    });
    group.finish();
}

fn encode_fetch_response(c: &mut Criterion) {
    let mut group = c.benchmark_group("fetch/encode_response");
    for partitions in [1, 100] {
        let records = Some(Records::External { len: 1 << 20 });
        let partition = PartitionData {
            high_watermark: 1 << 40,
            aborted_transactions: None,
            records,
            ..PartitionData::default()
        };
        let topic = FetchableTopicResponse {
            topic_id: [7; 16],
            partitions: vec![partition; partitions],
            ..FetchableTopicResponse::default()
        };
        let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
        group.throughput(Throughput::Elements(partitions as u64));
        group.bench_with_input(BenchmarkId::new("v18", partitions), &response, |b, response| {
            b.iter(|| {
                let mut w = Writer::frame(64 * partitions + 64);
                ResponseHeader { correlation_id: 42 }.encode(&mut w, 1, 18);
                black_box(response).encode(&mut w, 18).expect("a right response");
                w.into_parts()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, split, decode_produce, encode_produce_response, encode_fetch_response);
criterion_main!(benches);
