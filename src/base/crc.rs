//! CRC-32C (Castagnoli), the checksum inside Kafka's record batches; hardware accelerated.
//!
//! Not for our own files: those use `crc32fast` (CRC-32 IEEE), and the two must never be mixed up.

/// The CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod tests {
    #[test]
    fn check_value_of_the_castagnoli_polynomial() {
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
    }
}
