//! InitProducerId, versions 0 to 5, for idempotent producers. Each shard hands out ids from blocks of its own. A
//! transactional id is refused: transactions are not served, and their coordinator is not advertised. Source: KIP-98,
//! KIP-360.

use corelane_base::time::Now;
use corelane_control::controller::Command;
use corelane_control::error::Refusal;
use corelane_control::producer_ids::ProducerIdBlock;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::pending::{PendingBody, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn init_producer_id(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = InitProducerIdRequest::decode(reader, meta.version)?;
        if request.transactional_id.is_some() {
            self.answer_producer_id(meta, Err(ErrorCode::TransactionalIdNotFound));
        } else if let Some(id) = self.producer_ids.next() {
            self.answer_producer_id(meta, Ok(id));
        } else {
            self.command(now, meta, PendingBody::Control, Command::AllocateProducerIds, fx);
        }
        Ok(())
    }

    /// A block of ids is in. Several requests may have asked at once; each takes the first id of the block it got,
    /// the rest of the newest block serves those to come.
    pub(crate) fn on_producer_ids(
        &mut self,
        _now: Now,
        meta: RequestMeta,
        block: Result<ProducerIdBlock, Refusal>,
        _fx: &mut Effects,
    ) {
        match block {
            Ok(block) => {
                self.producer_ids = block.first.0 + 1..block.first.0 + block.count;
                self.answer_producer_id(meta, Ok(block.first.0));
            }
            Err(_) => self.answer_producer_id(meta, Err(ErrorCode::UnknownServerError)),
        }
    }

    fn answer_producer_id(&mut self, meta: RequestMeta, id: Result<i64, ErrorCode>) {
        let response = match id {
            Ok(producer_id) => {
                InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
            }
            Err(error) => InitProducerIdResponse {
                error_code: error.code(),
                producer_id: -1,
                producer_epoch: -1,
                ..InitProducerIdResponse::default()
            },
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
