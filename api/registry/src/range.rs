//! `Range` of downloads (RFC 9110, section 14) and `Content-Range` of chunks (distribution specification). Pure.

/// The part of a blob that a `Range` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: what was asked is not understood, which is no error, or is several parts.
    Whole,
    /// The bytes from `first` to `last`, both included, both below the size.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// Nothing that a blob of this size has.
    Nothing,
}

/// What a `Range` header asks of `size` bytes.
pub fn parse_range(text: &str, size: u64) -> Wanted {
    let Some((unit, set)) = text.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Wanted::Whole };
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some()) => {
            Wanted::Nothing
        }
        (Some(first), Some(last)) => Wanted::Part { first, last: last.min(size - 1) },
        (Some(first), None) if last.is_empty() => Wanted::Part { first, last: size - 1 },
        (None, Some(0)) if first.is_empty() => Wanted::Nothing,
        (None, Some(_)) if first.is_empty() && size == 0 => Wanted::Nothing,
        (None, Some(count)) if first.is_empty() => {
            Wanted::Part { first: size - count.min(size), last: size - 1 }
        }
        _ => Wanted::Whole,
    }
}

/// The first and the last byte of a chunk: `0-99`. The form of RFC 9110, `bytes 0-99/*`, is understood too.
pub fn parse_content_range(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches(['=', ' ']));
    let text = text.split('/').next()?;
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Digits and nothing else, in 64 bits.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_understood_as_the_rfc_says() {
        let part = |first, last| Wanted::Part { first, last };
        let table = [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("bytes=5-99999999999999999999", Wanted::Whole),
            ("bytes=5-99", part(5, 9)),
            ("Bytes = 1-2", part(1, 2)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ];
        for (text, wanted) in table {
            assert_eq!(parse_range(text, 10), wanted, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(parse_range("bytes=-1", 0), Wanted::Nothing);
    }

    #[test]
    fn chunks_say_their_place_in_one_form() {
        assert_eq!(parse_content_range("0-99"), Some((0, 99)));
        assert_eq!(parse_content_range("bytes 5-5/*"), Some((5, 5)));
        for bad in ["", "-", "1-", "-1", "2-1", "a-b", "1-2-3", "+1-2", "0-99999999999999999999"] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_range_leaves_the_blob(text in "\\PC{0,40}|bytes=[0-9]{0,21}-[0-9]{0,21}", size in 0..100_u64) {
            if let Wanted::Part { first, last } = parse_range(&text, size) {
                prop_assert!(first <= last && last < size);
            }
            if let Some((first, last)) = parse_content_range(&text) {
                prop_assert!(first <= last);
            }
        }
    }
}
