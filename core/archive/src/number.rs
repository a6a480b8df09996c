//! Numbers in tar headers: octal digits, or GNU's base-256 where octal has too few digits.

/// Reads a field: octal digits between blanks (space or NUL), or base-256 when the first bit is set.
///
/// None for anything else, also for digits followed by other bytes (readers differ there), and for what does not fit
/// into 63 bits. A blank field is 0.
pub(crate) fn parse(field: &[u8]) -> Option<i64> {
    if field.first().is_some_and(|b| b & 0x80 != 0) {
        return parse_base256(field);
    }
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = field[start..].iter().position(|b| !matches!(b, b'0'..=b'7'));
    let end = digits.map_or(field.len(), |length| start + length);
    if !field[end..].iter().all(blank) {
        return None;
    }
    field[start..end]
        .iter()
        .try_fold(0i64, |value, digit| value.checked_mul(8)?.checked_add(i64::from(digit - b'0')))
}

/// A big-endian two's complement number whose first bit is only a mark.
fn parse_base256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let inverse = if negative { 0xff } else { 0 };
    let mut value: u64 = 0;
    for (index, byte) in field.iter().enumerate() {
        let byte = if index == 0 { (byte ^ inverse) & 0x7f } else { byte ^ inverse };
        if value >> 56 != 0 {
            return None;
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).ok()?;
    Some(if negative { !value } else { value })
}

/// Writes zero-padded octal digits and a NUL; false, and zeros, when the value has too many digits.
pub(crate) fn write_octal(field: &mut [u8], value: i64) -> bool {
    let digits = field.len() - 1;
    let fits = value >= 0 && (digits * 3 >= 63 || value >> (digits * 3) == 0);
    let mut rest = if fits { value } else { 0 };
    for place in field[..digits].iter_mut().rev() {
        // The mask leaves three bits.
        *place = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    field[digits] = 0;
    fits
}

/// Reads decimal digits only, as PAX records have them; None for anything else or what does not fit.
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_octal_and_base_256() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   755 \0", Some(0o755)),
            (b"77777777777\0", Some(0o77777777777)),
            (b"777777777777", Some(0o777777777777)),
            (b"\0\0\0\0", Some(0)),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff", Some(-1)),
            (b"0000644\0x", None),
            (b"12 34", None),
            (b"0000008\0", None),
            (b"-1\0\0", None),
            (b"\x81\0\0\0\0\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(parse(field), value, "{field:?}");
        }
    }

    #[test]
    fn write_octal_tells_what_does_not_fit() {
        let mut field = [0xff; 8];
        assert!(write_octal(&mut field, 0o7777777));
        assert_eq!(&field, b"7777777\0");
        assert!(!write_octal(&mut field, 0o10000000));
        assert!(!write_octal(&mut field, -1));
        assert_eq!(&field, b"0000000\0");
    }
}
