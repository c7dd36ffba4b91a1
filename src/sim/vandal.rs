//! A client that means harm: garbage, half requests, impossible lengths, unknown APIs, connections dropped at once.
//!
//! It expects nothing. Everybody else must not notice.

use corelane_base::time::Mono;
use corelane_wire::api::ApiKey;
use corelane_wire::header::RequestHeader;
use corelane_wire::message::api_versions::ApiVersionsRequest;
use corelane_wire::primitive::Writer;

use crate::client::{Actor, Cx, any_version, soon};
use crate::net::LinkId;

/// The actor.
#[derive(Debug, Default)]
pub struct Vandal {
    link: Option<LinkId>,
    wake_at: Mono,
    winding_up: bool,
}

impl Vandal {
    fn harm(cx: &mut Cx<'_>) -> Vec<u8> {
        let noise =
            |cx: &mut Cx<'_>, len: u64| -> Vec<u8> { (0..len).map(|_| cx.rng.next_u64() as u8).collect() };
        let len = cx.rng.below(300);
        match cx.rng.below(6) {
            0 => noise(cx, len),
            1 => i32::MAX.to_be_bytes().to_vec(),
            2 => (-1_i32).to_be_bytes().to_vec(),
            3 => {
                // A frame of an API drawn at random, with noise for a body.
                let mut frame = (len as i32 + 10).to_be_bytes().to_vec();
                frame.extend((cx.rng.below(95) as i16).to_be_bytes());
                frame.extend((cx.rng.below(20) as i16).to_be_bytes());
                frame.extend([0, 0, 0, 7, 0xff, 0xff]);
                frame.extend(noise(cx, len));
                frame
            }
            4 => {
                let mut frame = sound(cx);
                let at = 8 + cx.rng.below(frame.len() as u64 - 8) as usize;
                frame[at] ^= 1 << cx.rng.below(8);
                frame
            }
            _ => {
                let mut frame = sound(cx);
                let keep = cx.rng.below(frame.len() as u64) as usize;
                frame.truncate(keep);
                frame
            }
        }
    }
}

fn sound(cx: &mut Cx<'_>) -> Vec<u8> {
    let version = any_version(cx.rng, ApiKey::ApiVersions);
    let mut w = Writer::frame(64);
    let header = RequestHeader {
        api_key: ApiKey::ApiVersions.code(),
        api_version: version,
        correlation_id: 1,
        client_id: Some("vandal"),
    };
    header.encode(&mut w).expect("short");
    let request = ApiVersionsRequest { client_software_name: "vandal", client_software_version: "0" };
    request.encode(&mut w, version).expect("short");
    w.into_parts().expect("short").0.to_vec()
}

impl Actor for Vandal {
    fn link(&self) -> Option<LinkId> {
        self.link
    }

    fn wake_at(&self) -> Mono {
        self.wake_at
    }

    fn wake(&mut self, cx: &mut Cx<'_>) {
        self.wake_at = soon(cx.rng, cx.now, 300);
        match self.link {
            None if self.winding_up => self.wake_at = Mono(u64::MAX),
            None => {
                self.link = cx.broker.connect(cx.now, cx.mood);
            }
            Some(link) if self.winding_up || cx.rng.one_in(4) => {
                cx.broker.net.hang_up(cx.now.mono, link, cx.rng.one_in(2));
                self.link = None;
            }
            Some(link) => {
                let bytes = Vandal::harm(cx);
                cx.broker.net.send(cx.now.mono, link, &bytes);
            }
        }
    }

    fn on_bytes(&mut self, _cx: &mut Cx<'_>, _bytes: &[u8]) {}

    fn on_gone(&mut self, _cx: &mut Cx<'_>) {
        self.link = None;
    }

    fn is_settled(&self) -> bool {
        true
    }

    fn wind_up(&mut self) {
        self.winding_up = true;
    }
}
