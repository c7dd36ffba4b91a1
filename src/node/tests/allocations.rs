//! Allocations per request: their number must not depend on the number of records.
//!
//! A test binary of its own, because it replaces the allocator by one that counts.

#[path = "../benches/frames.rs"]
mod frames;
#[path = "../benches/instant.rs"]
mod instant;

use std::alloc::System;

use instant::Instant;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: usize = 200;

/// Allocations and reallocations of so many equal requests.
fn count(world: &mut Instant, frame: &[u8]) -> usize {
    let region = Region::new(ALLOCATOR);
    for _ in 0..REQUESTS {
        assert!(world.request(frame) > 0, "each request is answered");
    }
    let change = region.change();
    change.allocations + change.reallocations
}

/// One test, since a second one running beside it would be counted too.
#[test]
fn allocations_do_not_depend_on_the_number_of_records() {
    let mut world = Instant::start();
    world.request(&frames::create_topic(1));
    // The same number of bytes, so that the tail's chunks are taken equally often.
    let few = frames::produce(1, 10_000);
    let many = frames::produce(100, 91);
    assert!(few.len().abs_diff(many.len()) < 200, "{} and {} bytes", few.len(), many.len());
    for frame in [&few, &many] {
        count(&mut world, frame);
    }
    let (of_few, of_many) = (count(&mut world, &few), count(&mut world, &many));
    println!("produce: {:.2} with 1 record, {:.2} with 100", per(of_few), per(of_many));
    assert!(of_few.abs_diff(of_many) <= REQUESTS / 10, "{of_few} and {of_many} in {REQUESTS} requests");
    assert!(per(of_many) < 40.0, "a produce allocates {:.2} times", per(of_many));

    // At the end of the log, where the tail memory still holds it: 4 requests of few, then of many records.
    let end = |world: &mut Instant, frame: &[u8], records: i64| {
        for _ in 0..4 {
            world.request(frame);
        }
        let offset = log_end(world) - 4 * records;
        count(world, &frames::fetch(offset, 1 << 20, 0))
    };
    let of_few = end(&mut world, &few, 1);
    let of_many = end(&mut world, &many, 100);
    println!("fetch: {:.2} with 4 records, {:.2} with 400", per(of_few), per(of_many));
    assert!(of_few.abs_diff(of_many) <= REQUESTS / 10, "{of_few} and {of_many} in {REQUESTS} requests");
    assert!(per(of_many) < 40.0, "a fetch allocates {:.2} times", per(of_many));
}

fn per(allocations: usize) -> f64 {
    allocations as f64 / REQUESTS as f64
}

/// The high watermark of partition 0, from the answer to a fetch that asks for nothing else.
fn log_end(world: &mut Instant) -> i64 {
    use corelane_wire::api::ApiKey;
    use corelane_wire::header::ResponseHeader;
    use corelane_wire::message::fetch::FetchResponse;
    use corelane_wire::primitive::Reader;
    let answer = world.answer(&frames::fetch(0, 1, 0));
    let mut reader = Reader::new(&answer[4..]);
    ResponseHeader::decode(&mut reader, ApiKey::Fetch.code(), 11).expect("a header");
    let response = FetchResponse::decode(&mut reader, 11).expect("a fetch response");
    response.responses[0].partitions[0].high_watermark
}
