//! Texts of the specification as the kernel reads them.

use crate::PlanError;
use std::ffi::CString;

/// `text` as a C string, or the error about `field` that contains a zero byte.
pub(crate) fn c_string(field: &str, text: &str) -> Result<CString, PlanError> {
    CString::new(text).map_err(|_| PlanError::value(field, text, "text without zero bytes"))
}

/// The path `text`, absolute and without empty, `.` and `..` components; `..` at the root stays at the root.
pub(crate) fn absolute(field: &str, text: &str) -> Result<String, PlanError> {
    if !text.starts_with('/') {
        return Err(PlanError::value(field, text, "an absolute path"));
    }
    if text.len() >= 4096 {
        return Err(PlanError::value(field, text, "a path shorter than 4096 bytes"));
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Whether `path`, cleaned, is `above` or below it.
pub(crate) fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The bits of a list such as `0-3,7`, at most `limit` of them.
pub(crate) fn bit_list(field: &str, text: &str, limit: usize) -> Result<Vec<u64>, PlanError> {
    let wrong =
        || PlanError::value(field, text, format!("a list such as 0-3,7 of numbers below {limit}"));
    let mut words = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) =
            (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
        if first > last || last >= limit {
            return Err(wrong());
        }
        for bit in first..=last {
            if words.len() <= bit / 64 {
                words.resize(bit / 64 + 1, 0);
            }
            words[bit / 64] |= 1u64 << (bit % 64);
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_stay_below_the_root() {
        for (text, wanted) in [("/", "/"), ("/a//b/./c/..", "/a/b"), ("/../../etc", "/etc")] {
            assert_eq!(absolute("f", text).unwrap(), wanted);
        }
        assert!(absolute("f", "relative").is_err());
        assert!(is_within("/proc/sys", "/proc") && is_within("/proc", "/proc"));
        assert!(!is_within("/process", "/proc"));
    }

    #[test]
    fn lists_of_numbers_become_bits() {
        assert_eq!(bit_list("f", "0-3,7", 1024).unwrap(), [0b1000_1111]);
        assert_eq!(bit_list("f", "64", 1024).unwrap(), [0, 1]);
        for bad in ["", "a", "3-1", "1024", "1-", "-1"] {
            assert!(bit_list("f", bad, 1024).is_err(), "{bad}");
        }
    }
}
