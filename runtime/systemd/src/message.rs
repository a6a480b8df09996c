//! Messages: a header with named fields, and a body (D-Bus specification, "Message Protocol").

use crate::wire::{MAX_MESSAGE, Reader, Value, Writer};

/// The part of the header that is always there, before the fields.
pub(crate) const FIXED: usize = 16;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR: u8 = 4;
const REPLY_TO: u8 = 5;
const DESTINATION: u8 = 6;
#[cfg(test)]
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Call = 1,
    Answer = 2,
    Error = 3,
    Signal = 4,
}

/// A message. Fields that it does not have are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) serial: u32,
    pub(crate) path: String,
    pub(crate) interface: String,
    pub(crate) member: String,
    /// The name of the error.
    pub(crate) error: String,
    /// The serial of the call that is answered.
    pub(crate) reply_to: u32,
    pub(crate) destination: String,
    /// Who has sent it, which the bus fills in.
    #[cfg(test)]
    pub(crate) sender: String,
    pub(crate) body: Vec<Value>,
}

impl Message {
    pub(crate) fn new(kind: Kind, serial: u32) -> Self {
        Self {
            kind,
            serial,
            path: String::new(),
            interface: String::new(),
            member: String::new(),
            error: String::new(),
            reply_to: 0,
            destination: String::new(),
            #[cfg(test)]
            sender: String::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Writer::default();
        self.body.iter().for_each(|value| body.value(value));
        let body = body.into_bytes();
        let signature: String = self.body.iter().map(Value::signature).collect();
        let mut writer = Writer::default();
        writer.raw(&[b'l', self.kind as u8, 0, 1]);
        writer.value(&Value::U32(u32::try_from(body.len()).unwrap_or(u32::MAX)));
        writer.value(&Value::U32(self.serial));
        let mut fields = Vec::new();
        let mut field = |code: u8, value: Value| {
            fields.push(Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]));
        };
        if !self.path.is_empty() {
            field(PATH, Value::Path(self.path.clone()));
        }
        for (code, text) in [
            (INTERFACE, &self.interface),
            (MEMBER, &self.member),
            (ERROR, &self.error),
            (DESTINATION, &self.destination),
        ] {
            if !text.is_empty() {
                field(code, Value::text(text));
            }
        }
        if self.reply_to != 0 {
            field(REPLY_TO, Value::U32(self.reply_to));
        }
        writer.value(&Value::list("(yv)", fields));
        let mut bytes = writer.into_bytes();
        if !signature.is_empty() {
            add_signature(&mut bytes, &signature);
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(body);
        bytes
    }
}

/// The field of type `g`, which is no other value's: its struct is put behind the others, and the list's length grown.
fn add_signature(bytes: &mut Vec<u8>, signature: &str) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend([SIGNATURE, 1, b'g', 0, u8::try_from(signature.len()).unwrap_or(u8::MAX)]);
    bytes.extend(signature.as_bytes());
    bytes.push(0);
    let length = u32::try_from(bytes.len() - FIXED).unwrap_or(u32::MAX);
    bytes[FIXED - 4..FIXED].copy_from_slice(&length.to_le_bytes());
}

/// The length of the whole message of which the first [`FIXED`] bytes are these; `None` if it is none, or too long.
pub(crate) fn length(fixed: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(fixed, 0);
    // Nobody here speaks big-endian: both ends are on one machine.
    if reader.byte()? != b'l' {
        return None;
    }
    let mut reader = Reader::new(fixed, 4);
    let body = usize::try_from(reader.u32()?).ok()?;
    reader.u32()?;
    let fields = usize::try_from(reader.u32()?).ok()?;
    let total = FIXED.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (total <= MAX_MESSAGE).then_some(total)
}

/// Reads a whole message.
pub(crate) fn decode(bytes: &[u8]) -> Option<Message> {
    let kind = match bytes.get(1)? {
        1 => Kind::Call,
        2 => Kind::Answer,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => return None,
    };
    let mut reader = Reader::new(bytes, 8);
    let mut message = Message::new(kind, reader.u32()?);
    let end = FIXED + usize::try_from(reader.u32()?).ok()?;
    let mut signature = "";
    while reader.at() < end {
        reader.align(8)?;
        let code = reader.byte()?;
        let mut kind = reader.signature()?;
        if (code, kind) == (SIGNATURE, "g") {
            signature = reader.signature()?;
            continue;
        }
        match (code, reader.value(&mut kind)?) {
            (PATH, Value::Path(path)) => message.path = path,
            (INTERFACE, Value::Text(text)) => message.interface = text,
            (MEMBER, Value::Text(text)) => message.member = text,
            (ERROR, Value::Text(text)) => message.error = text,
            (DESTINATION, Value::Text(text)) => message.destination = text,
            (REPLY_TO, Value::U32(serial)) => message.reply_to = serial,
            #[cfg(test)]
            (SENDER, Value::Text(text)) => message.sender = text,
            _ => {}
        }
    }
    let mut reader = Reader::new(bytes, end.checked_next_multiple_of(8)?);
    while !signature.is_empty() {
        message.body.push(reader.value(&mut signature)?);
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = Message {
            path: "/org/freedesktop/systemd1".into(),
            interface: "org.freedesktop.systemd1.Manager".into(),
            member: "StartTransientUnit".into(),
            destination: "org.freedesktop.systemd1".into(),
            body: vec![Value::text("a.scope"), Value::text("replace"), Value::U64(7)],
            ..Message::new(Kind::Call, 9)
        };
        let bytes = message.encode();
        assert_eq!(length(&bytes[..FIXED]), Some(bytes.len()));
        assert_eq!(decode(&bytes), Some(message));
        let error = Message { error: "a.b.C".into(), reply_to: 9, ..Message::new(Kind::Error, 1) };
        assert_eq!(decode(&error.encode()), Some(error));
    }

    #[test]
    fn what_is_too_long_or_of_the_other_byte_order_is_refused() {
        let mut bytes = Message::new(Kind::Answer, 1).encode();
        bytes[4..8].copy_from_slice(&(MAX_MESSAGE as u32).to_le_bytes());
        assert_eq!(length(&bytes[..FIXED]), None);
        bytes[4..8].copy_from_slice(&0_u32.to_le_bytes());
        assert!(length(&bytes[..FIXED]).is_some());
        bytes[0] = b'B';
        assert_eq!(length(&bytes[..FIXED]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_a_message_or_none(bytes in any::<Vec<u8>>(), at in 0_usize..200, byte in any::<u8>()) {
            decode(&bytes);
            let mut message = Message {
                path: "/a".into(),
                member: "B".into(),
                body: vec![Value::text("x")],
                ..Message::new(Kind::Signal, 3)
            }.encode();
            if let Some(place) = message.get_mut(at) {
                *place = byte;
            }
            length(&message[..FIXED]);
            decode(&message);
        }
    }
}
