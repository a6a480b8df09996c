//! Archives for tests, byte by byte, so that they can be wrong.

use crate::read::{BLOCK, Block, checksums};
use crate::write::push_record;

/// Builds an archive.
#[derive(Debug, Default, Clone)]
pub(crate) struct Raw(pub(crate) Vec<u8>);

/// A ustar header with mode 0644.
pub(crate) fn header(name: &[u8], kind: u8, link: &[u8], size: u64) -> Block {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0000000");
    block[116..123].copy_from_slice(b"0000000");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(b"00000000007");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    sealed(block)
}

/// The block with its checksum set.
pub(crate) fn sealed(mut block: Block) -> Block {
    let sum = checksums(&block).0;
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

impl Raw {
    pub(crate) fn block(mut self, block: Block) -> Self {
        self.0.extend_from_slice(&block);
        self
    }

    pub(crate) fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(crate) fn entry(self, name: &[u8], kind: u8, link: &[u8], data: &[u8]) -> Self {
        self.block(header(name, kind, link, data.len() as u64)).data(data)
    }

    pub(crate) fn file(self, name: &[u8], data: &[u8]) -> Self {
        self.entry(name, b'0', b"", data)
    }

    /// An extended header.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'x', records)
    }

    pub(crate) fn extended(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            push_record(&mut body, key.as_bytes(), value);
        }
        self.entry(b"PaxHeaders.0/x", kind, b"", &body)
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.block([0; BLOCK]).block([0; BLOCK]).0
    }
}
