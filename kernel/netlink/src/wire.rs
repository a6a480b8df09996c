//! Netlink messages and attributes as bytes (linux/netlink.h): header, fixed part, then attributes, all padded to
//! four bytes, in the byte order of the machine.

use crate::NetlinkError;

/// The message asks the kernel to do something.
pub const REQUEST: u16 = 0x1;
/// The message wants an acknowledgement.
pub const ACK: u16 = 0x4;
/// The message is one of several of a dump.
pub const MULTI: u16 = 0x2;
/// The dump is not consistent: objects changed while it was made.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// List all objects (NLM_F_ROOT | NLM_F_MATCH).
pub const DUMP: u16 = 0x300;
/// Replace what is there.
pub const REPLACE: u16 = 0x100;
/// Refuse when the object is there.
pub const EXCLUSIVE: u16 = 0x200;
/// Make the object when it is not there.
pub const CREATE: u16 = 0x400;
/// Put the object at the end of a list.
pub const APPEND: u16 = 0x800;
/// The acknowledgement carries attributes that explain it.
pub const ACK_ATTRIBUTES: u16 = 0x200;

/// Message type: acknowledgement or error.
pub const ERROR: u16 = 2;
/// Message type: the end of a dump.
pub const DONE: u16 = 3;

const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

/// The length of `length` bytes with their padding.
pub const fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// Builds messages one behind another in one buffer.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    start: usize,
}

impl Encoder {
    /// Begins a message; the message before it must have been ended.
    pub fn begin(&mut self, kind: u16, flags: u16, sequence: u32) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
    }

    /// Ends the message that was begun: its length becomes known.
    pub fn end(&mut self) {
        let length = u32::try_from(self.bytes.len() - self.start).unwrap_or(u32::MAX);
        self.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds flags to the message that was begun or ended last.
    pub fn add_flags(&mut self, flags: u16) {
        let at = self.start + 6;
        let old = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]);
        self.bytes[at..at + 2].copy_from_slice(&(old | flags).to_ne_bytes());
    }

    /// Puts bytes of a fixed part, padded.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    /// Puts an attribute. Its value is cut at 65,531 bytes, which no attribute that we send comes near.
    pub fn put(&mut self, kind: u16, value: &[u8]) {
        let value = &value[..value.len().min(usize::from(u16::MAX) - 4)];
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// Puts one byte.
    pub fn put_u8(&mut self, kind: u16, value: u8) {
        self.put(kind, &[value]);
    }

    /// Puts a 16-bit number in the machine's byte order.
    pub fn put_u16(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// Puts a 32-bit number in the machine's byte order.
    pub fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// Puts a 32-bit number in network byte order, as nfnetlink wants all of its numbers.
    pub fn put_be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// Puts a text with its terminator.
    pub fn put_text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.put(kind, &bytes);
    }

    /// Puts an attribute that holds what `fill` puts.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
    }

    /// The messages so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

/// One message that was received.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The type.
    pub kind: u16,
    /// The flags.
    pub flags: u16,
    /// The sequence number of the request that it answers.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// Walks the messages of one datagram.
#[derive(Debug, Clone)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// The messages in `datagram`.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, NetlinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let all = std::mem::take(&mut self.0);
        let (Some(length), Some(kind), Some(flags), Some(sequence)) =
            (u32_at(all, 0), u16_at(all, 4), u16_at(all, 6), u32_at(all, 8))
        else {
            return Some(Err(NetlinkError::Malformed("a message shorter than its header")));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length < HEADER || length > all.len() {
            return Some(Err(NetlinkError::Malformed("a message of impossible length")));
        }
        self.0 = all.get(align(length)..).unwrap_or_default();
        Some(Ok(Message { kind, flags, sequence, body: &all[HEADER..length] }))
    }
}

/// Walks attributes: number and value of each, flags stripped from the number.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The attributes behind a fixed part of `length` bytes.
    pub fn after(body: &'a [u8], length: usize) -> Result<Self, NetlinkError> {
        body.get(align(length)..)
            .map(Self)
            .ok_or(NetlinkError::Malformed("a message shorter than its fixed part"))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), NetlinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let all = std::mem::take(&mut self.0);
        let (Some(length), Some(kind)) = (u16_at(all, 0), u16_at(all, 2)) else {
            return Some(Err(NetlinkError::Malformed("an attribute shorter than its header")));
        };
        let length = usize::from(length);
        if length < 4 || length > all.len() {
            return Some(Err(NetlinkError::Malformed("an attribute of impossible length")));
        }
        self.0 = all.get(align(length)..).unwrap_or_default();
        Some(Ok((kind & TYPE_MASK, &all[4..length])))
    }
}

/// The 16-bit number at `offset`, in the machine's byte order.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let end = offset.checked_add(2)?;
    Some(u16::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// The 32-bit number at `offset`, in the machine's byte order.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// The 64-bit number at `offset`, in the machine's byte order.
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let end = offset.checked_add(8)?;
    Some(u64::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// The value of an attribute that is one 32-bit number in the machine's byte order.
pub fn number(value: &[u8]) -> Result<u32, NetlinkError> {
    u32_at(value, 0).ok_or(NetlinkError::Malformed("a number shorter than four bytes"))
}

/// The value of an attribute that is one 32-bit number in network byte order.
pub fn number_be(value: &[u8]) -> Result<u32, NetlinkError> {
    number(value).map(u32::from_be)
}

/// The value of an attribute that is a text, up to its terminator; what is not UTF-8 is replaced.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let mut encoder = Encoder::default();
        encoder.begin(16, REQUEST, 7);
        encoder.fixed(&[1; 5]);
        encoder.put_u8(1, 9);
        encoder.nest(2, |inner| inner.put_text(3, "eth0"));
        encoder.end();
        encoder.begin(17, 0, 8);
        encoder.end();
        encoder.add_flags(ACK);
        let messages: Vec<_> = Messages::new(encoder.bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].kind, messages[0].sequence), (16, 7));
        assert_eq!((messages[1].kind, messages[1].flags), (17, ACK));
        let attributes: Vec<_> =
            Attributes::after(messages[0].body, 5).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(attributes[0], (1, &[9][..]));
        let inner: Vec<_> = Attributes::new(attributes[1].1).collect::<Result<_, _>>().unwrap();
        assert_eq!((inner[0].0, text(inner[0].1)), (3, "eth0".to_owned()));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let short = [15u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
        assert!(Messages::new(&short).next().unwrap().is_err());
        let long = [17u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
        assert!(Messages::new(&long).next().unwrap().is_err());
        assert!(Messages::new(&[1, 2, 3]).next().unwrap().is_err());
        assert!(Attributes::new(&[3, 0, 1, 0]).next().unwrap().is_err());
        assert!(Attributes::new(&[9, 0, 1, 0, 5, 5, 5, 5]).next().unwrap().is_err());
        assert!(Attributes::after(&[0; 3], 4).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let messages = Messages::new(&bytes).count();
            prop_assert!(messages <= bytes.len() / HEADER + 1);
            let attributes = Attributes::new(&bytes).count();
            prop_assert!(attributes <= bytes.len() / 4 + 1);
        }
    }
}
