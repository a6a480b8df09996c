//! Values as bytes (D-Bus specification, "Marshaling (Wire Format)"), as many of the types as are needed here.
//!
//! Everything is aligned to its own size, counted from the beginning of the message, and little-endian.

use std::borrow::Cow;

/// The longest message that is sent or taken; the specification allows 128 MiB.
pub const MAX_MESSAGE: usize = 1 << 20;
/// How deep values are nested at most.
const MAX_DEPTH: usize = 8;

/// A value of a method's arguments or of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `u`
    U32(u32),
    /// `i`
    I32(i32),
    /// `t`
    U64(u64),
    /// `x`
    I64(i64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `a` of what the signature says, which an empty list cannot tell by itself.
    List(Cow<'static, str>, Vec<Value>),
    /// `(...)`
    Struct(Vec<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of values of the type `of`.
    pub fn list(of: &'static str, items: Vec<Self>) -> Self {
        Self::List(of.into(), items)
    }

    /// The signature of this value.
    pub fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".into(),
            Self::Bool(_) => "b".into(),
            Self::U32(_) => "u".into(),
            Self::I32(_) => "i".into(),
            Self::U64(_) => "t".into(),
            Self::I64(_) => "x".into(),
            Self::Text(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::List(of, _) => format!("a{of}"),
            Self::Struct(fields) => {
                format!("({})", fields.iter().map(Self::signature).collect::<String>())
            }
            Self::Variant(_) => "v".into(),
        }
    }
}

/// Appends values.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// The alignment of a type by the first letter of its signature.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b't' | b'x' | b'd' | b'(' | b'{') => 8,
        _ => 4,
    }
}

impl Writer {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Zeros up to a multiple of `to`.
    pub fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn number<const N: usize>(&mut self, bytes: [u8; N]) {
        self.align(N);
        self.bytes.extend_from_slice(&bytes);
    }

    fn text(&mut self, text: &str) {
        self.number(length(text.len()).to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    /// A signature, whose length has one byte.
    pub fn signature(&mut self, signature: &str) {
        self.bytes.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(signature.as_bytes());
        self.bytes.push(0);
    }

    /// A value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(byte) => self.bytes.push(*byte),
            Value::Bool(truth) => self.number(u32::from(*truth).to_le_bytes()),
            Value::U32(number) => self.number(number.to_le_bytes()),
            Value::I32(number) => self.number(number.to_le_bytes()),
            Value::U64(number) => self.number(number.to_le_bytes()),
            Value::I64(number) => self.number(number.to_le_bytes()),
            Value::Text(text) | Value::Path(text) => self.text(text),
            Value::List(of, items) => {
                self.number([0; 4]);
                let at = self.bytes.len();
                // The padding before the first item is not a part of the length, and is there without items, too.
                self.align(alignment(of));
                let start = self.bytes.len();
                items.iter().for_each(|item| self.value(item));
                let size = length(self.bytes.len() - start).to_le_bytes();
                self.bytes[at - 4..at].copy_from_slice(&size);
            }
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }
}

/// Messages are bounded far below 4 GiB before they are sent.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Takes values out of a message. `None` means that it does not hold what was asked for.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins at the `at`th byte of a message.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where the next byte is.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes on at a multiple of `to`.
    pub fn align(&mut self, to: usize) -> Option<()> {
        let at = self.at.next_multiple_of(to);
        (at <= self.bytes.len()).then(|| self.at = at)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// `y`
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// `u`
    pub fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// `s` or `o`
    pub fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    /// `g`
    pub fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    /// A value of the type with which `signature` begins, which is taken off it. Of maps, which nobody needs here, only
    /// the end is found: they come back as empty lists.
    pub fn value(&mut self, signature: &mut &str) -> Option<Value> {
        self.value_at(signature, MAX_DEPTH)
    }

    fn value_at(&mut self, signature: &mut &str, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        let (first, rest) = signature.split_at_checked(1)?;
        *signature = rest;
        Some(match first {
            "y" => Value::Byte(self.byte()?),
            "b" => Value::Bool(self.u32()? == 1),
            "u" => Value::U32(self.u32()?),
            "i" => Value::I32(self.u32()?.cast_signed()),
            "t" | "x" => {
                self.align(8)?;
                let number = u64::from_le_bytes(self.take(8)?.try_into().ok()?);
                if first == "t" { Value::U64(number) } else { Value::I64(number.cast_signed()) }
            }
            "s" => Value::text(self.text()?),
            "o" => Value::Path(self.text()?.to_owned()),
            "v" => {
                let mut inner = self.signature()?;
                let value = self.value_at(&mut inner, depth)?;
                inner.is_empty().then(|| Value::Variant(Box::new(value)))?
            }
            "(" => {
                self.align(8)?;
                let mut fields = Vec::new();
                while !signature.starts_with(')') {
                    fields.push(self.value_at(signature, depth)?);
                }
                *signature = &signature[1..];
                // The specification knows none without fields; a list of such would never end.
                (!fields.is_empty()).then_some(Value::Struct(fields))?
            }
            "a" => self.list(signature, depth)?,
            _ => return None,
        })
    }
}

impl Reader<'_> {
    fn list(&mut self, signature: &mut &str, depth: usize) -> Option<Value> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.align(alignment(signature))?;
        let (of, rest) = signature.split_at_checked(complete(signature)?)?;
        *signature = rest;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let mut items = Vec::new();
        if of.starts_with('{') {
            self.at = end;
        }
        while self.at < end {
            let (mut of, before) = (of, self.at);
            items.push(self.value_at(&mut of, depth)?);
            if self.at == before {
                return None;
            }
        }
        (self.at == end).then(|| Value::List(of.to_owned().into(), items))
    }
}

/// The length of the complete type with which a signature begins.
fn complete(signature: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, letter) in signature.bytes().enumerate() {
        match letter {
            b'(' | b'{' => open += 1,
            b')' | b'}' => open = open.checked_sub(1)?,
            b'a' => continue,
            _ => {}
        }
        if open == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(value: &Value) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.value(value);
        writer.into_bytes()
    }

    #[test]
    fn values_have_the_bytes_of_the_specification() {
        assert_eq!(bytes(&Value::Bool(true)), [1, 0, 0, 0]);
        assert_eq!(bytes(&Value::text("foo")), [3, 0, 0, 0, b'f', b'o', b'o', 0]);
        assert_eq!(bytes(&Value::Variant(Box::new(Value::U32(5)))), [1, b'u', 0, 0, 5, 0, 0, 0]);
        // The example of the specification: an array of one 64-bit number has four bytes of padding that do not count.
        let list = Value::list("x", vec![Value::I64(5)]);
        assert_eq!(bytes(&list), [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(&Value::list("(ss)", vec![])), [0; 8]);
        let pair = Value::Struct(vec![Value::Byte(1), Value::U32(2)]);
        assert_eq!(
            (pair.signature().as_str(), bytes(&pair)),
            ("(yu)", vec![1, 0, 0, 0, 2, 0, 0, 0])
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(Value::Byte),
            any::<bool>().prop_map(Value::Bool),
            any::<u32>().prop_map(Value::U32),
            any::<i32>().prop_map(Value::I32),
            any::<u64>().prop_map(Value::U64),
            any::<i64>().prop_map(Value::I64),
            "[ -~]{0,20}".prop_map(Value::Text),
            "/[a-z]{0,9}".prop_map(Value::Path),
        ];
        leaf.prop_recursive(4, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::Struct),
                inner.prop_map(|value| Value::Variant(Box::new(value))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_written_is_read(value in any_value(), before in 0_usize..9) {
            let mut writer = Writer::default();
            writer.raw(&vec![0; before]);
            writer.value(&value);
            let bytes = writer.into_bytes();
            let signature = value.signature();
            let (mut reader, mut rest) = (Reader::new(&bytes, before), signature.as_str());
            prop_assert_eq!(reader.value(&mut rest), Some(value));
            prop_assert_eq!((reader.at(), rest), (bytes.len(), ""));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>(), signature in "[aybiutxsov(){}]{0,12}") {
            let (mut reader, mut rest) = (Reader::new(&bytes, 0), signature.as_str());
            while !rest.is_empty() && reader.value(&mut rest).is_some() {}
            prop_assert!(reader.at() <= bytes.len());
        }
    }

    #[test]
    fn lists_are_read_and_maps_are_passed_over() {
        let pair = Value::Struct(vec![Value::text("a"), Value::text("b")]);
        let list = Value::list("(ss)", vec![pair.clone(), pair]);
        let mut writer = Writer::default();
        writer.value(&list);
        writer.value(&Value::U32(9));
        let bytes = writer.into_bytes();
        let (mut reader, mut signature) = (Reader::new(&bytes, 0), "a(ss)u");
        assert_eq!(reader.value(&mut signature), Some(list));
        assert_eq!(reader.value(&mut signature), Some(Value::U32(9)));
        let (mut reader, mut signature) = (Reader::new(&bytes, 0), "a{ss}u");
        assert_eq!(reader.value(&mut signature), Some(Value::List("{ss}".into(), vec![])));
        assert_eq!(reader.value(&mut signature), Some(Value::U32(9)));
        for endless in ["a()", "aa()", "a(())"] {
            assert_eq!(Reader::new(&[8; 64], 0).value(&mut &*endless), None, "{endless}");
        }
        let deep = "v".repeat(50);
        assert_eq!(Reader::new(&[1; 200], 0).value(&mut deep.as_str()), None);
    }
}
