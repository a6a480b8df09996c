//! Sizes in memory: `512m` is 512 × 1024 × 1024 bytes.

/// Bytes, or docker's sentence.
pub(crate) fn bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end =
        text.rfind(|symbol: char| symbol.is_ascii_digit() || symbol == '.').ok_or_else(invalid)?
            + 1;
    let number: f64 = text[..end].parse().map_err(|_| invalid())?;
    let suffix = text[end..].trim_start_matches(' ').to_lowercase();
    if number < 0.0 {
        return Err(invalid());
    }
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None => 0,
        Some('b') => {
            return if letters.next().is_none() {
                Ok(whole(number))
            } else {
                Err(format!("invalid suffix: '{suffix}'"))
            };
        }
        Some(letter) => {
            "kmgtp".find(letter).ok_or_else(|| format!("invalid suffix: '{suffix}'"))? + 1
        }
    };
    match letters.as_str() {
        "" | "b" | "ib" => Ok(whole(number * 1024_f64.powi(i32::try_from(power).unwrap_or(0)))),
        _ => Err(format!("invalid suffix: '{suffix}'")),
    }
}

/// Bytes, or -1 for no limit.
pub(crate) fn bytes_or_unlimited(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { bytes(text) }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a size above 8 EiB becomes the largest number"
)]
fn whole(number: f64) -> i64 {
    number as i64
}

/// Billionths of a CPU.
pub(crate) fn nano_cpus(text: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {text} as a rational number");
    let (number, fraction) = text.split_once('.').unwrap_or((text, ""));
    if (number.is_empty() && fraction.is_empty())
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let whole: i64 = if number.is_empty() { 0 } else { number.parse().map_err(|_| invalid())? };
    let parts: i64 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
    whole.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(parts)).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        assert_eq!(bytes("32m"), Ok(32 << 20));
        assert_eq!(bytes("1.5GB"), Ok(3 << 29));
        assert_eq!(bytes("10"), Ok(10));
        assert_eq!(bytes("4KiB"), Ok(4096));
        assert_eq!(bytes("7b"), Ok(7));
        assert_eq!(bytes("x"), Err("invalid size: 'x'".to_owned()));
        assert_eq!(bytes("1x"), Err("invalid suffix: 'x'".to_owned()));
        assert_eq!(bytes("-1"), Err("invalid size: '-1'".to_owned()));
    }

    #[test]
    fn cpus_are_exact_to_the_billionth() {
        assert_eq!(nano_cpus("0.5"), Ok(500_000_000));
        assert_eq!(nano_cpus("2"), Ok(2_000_000_000));
        assert_eq!(nano_cpus(".1"), Ok(100_000_000));
        assert!(nano_cpus("0.0000000001").is_err());
        assert!(nano_cpus("x").is_err());
    }
}
