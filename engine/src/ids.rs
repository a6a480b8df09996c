//! Fresh ids, and ids that are always the same.

use sha2::{Digest, Sha256};
use spec::Failure;

/// 32 random bytes.
pub(crate) fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::internal(format!("get random bytes: {error}"))),
        }
    }
    Ok(bytes)
}

/// 64 random hexadecimal digits.
pub(crate) fn fresh() -> Result<String, Failure> {
    Ok(random()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// 64 hexadecimal digits that depend on the parts alone.
pub(crate) fn stable(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
