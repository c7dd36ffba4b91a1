//! Tests of the codec as a whole; those of one module lie beside it.

mod captured;
mod generated;
mod golden;
mod hostile;
mod oracle;
mod primitive;
mod records;
