//! Record batches pass through without a copy: decoding points into the frame, encoding leaves a place for them.

use crate::frame::{self, Split};
use crate::header::ResponseHeader;
use crate::message::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use crate::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::primitive::{EncodeError, Reader, Records, Writer};

fn fetch_response<'a>(records: &[Option<Records<'a>>]) -> FetchResponse<'a> {
    let partitions = records
        .iter()
        .map(|records| PartitionData { records: *records, ..PartitionData::default() })
        .collect();
    let topic = FetchableTopicResponse { topic: "t", partitions, ..FetchableTopicResponse::default() };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

fn encoded(response: &FetchResponse<'_>, version: i16) -> (Vec<u8>, Vec<usize>) {
    let mut w = Writer::frame(0);
    ResponseHeader { correlation_id: 5 }.encode(&mut w, FetchResponse::API_KEY, version);
    response.encode(&mut w, version).expect("a small response");
    let (bytes, splices) = w.into_parts().expect("a small frame");
    (bytes.to_vec(), splices)
}

#[test]
fn external_slices_at_their_splice_points_give_the_whole_frame() {
    let slices: [&[u8]; 3] = [b"first batch", b"", b"another"];
    for version in FetchResponse::VERSION_MIN..=FetchResponse::VERSION_MAX {
        let borrowed: Vec<_> =
            slices.iter().map(|each| Some(Records::Borrowed(each))).chain([None]).collect();
        let external: Vec<_> = slices
            .iter()
            .map(|each| Some(Records::External { len: each.len() as u32 }))
            .chain([None])
            .collect();
        let (whole, none) = encoded(&fetch_response(&borrowed), version);
        assert!(none.is_empty());
        let (header, splices) = encoded(&fetch_response(&external), version);
        assert_eq!(splices.len(), slices.len());
        assert!(splices.is_sorted());
        let mut joined = Vec::new();
        let mut from = 0;
        for (at, slice) in splices.iter().zip(slices) {
            joined.extend_from_slice(&header[from..*at]);
            joined.extend_from_slice(slice);
            from = *at;
        }
        joined.extend_from_slice(&header[from..]);
        assert_eq!(joined, whole, "v{version}");
        let split = frame::split(&joined, 1 << 20).expect("a frame");
        assert_eq!(split, Split::Frame { body: &whole[4..], consumed: whole.len() });
    }
}

#[test]
fn decoded_records_lie_in_the_frame() {
    let records = vec![0xab; 10_000];
    for version in ProduceRequest::VERSION_MIN..=ProduceRequest::VERSION_MAX {
        let partition = PartitionProduceData { index: 3, records: Some(Records::Borrowed(&records)) };
        let topic = TopicProduceData { partition_data: vec![partition], ..TopicProduceData::default() };
        let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..ProduceRequest::default() };
        let mut w = Writer::new();
        request.encode(&mut w, version).expect("a small request");
        let (bytes, _) = w.into_parts().expect("a small frame");
        let mut r = Reader::new(&bytes);
        let decoded = ProduceRequest::decode(&mut r, version).expect("own encoding");
        assert_eq!(r.finish(), Ok(()));
        let Some(Records::Borrowed(found)) = decoded.topic_data[0].partition_data[0].records else {
            panic!("records are borrowed");
        };
        assert_eq!(found, records);
        assert!(bytes.as_ptr_range().contains(&found.as_ptr()), "v{version}");
    }
}

#[test]
fn a_frame_counts_the_slices_and_has_a_limit() {
    let records = Some(Records::External { len: 1 << 30 });
    let (bytes, _) = encoded(&fetch_response(&[records]), 12);
    let length = i32::from_be_bytes(bytes[..4].try_into().expect("four bytes"));
    assert_eq!(length as usize, bytes.len() - 4 + (1 << 30));
    let mut w = Writer::frame(0);
    fetch_response(&[records, records]).encode(&mut w, 12).expect("each fits");
    assert_eq!(w.into_parts().err(), Some(EncodeError::FrameTooLong));
    let too_long = fetch_response(&[Some(Records::External { len: u32::MAX })]);
    let refused = too_long.encode(&mut Writer::new(), 12);
    assert_eq!(refused, Err(EncodeError::TooLong { field: "PartitionData.records" }));
}
