//! Platforms in queries: `os[/architecture[/variant]]`, or JSON at newer endpoints.

use api_types::lenient;
use spec::{Failure, Platform};

/// Reads `linux/arm64/v8`; with one part, that is the architecture or the system and the rest is this host's.
pub(crate) fn parse(text: &str) -> Result<Platform, Failure> {
    let is_word = |part: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let begins_well = part.starts_with(|c: char| c.is_ascii_alphanumeric());
        begins_well && part.len() <= 64 && part.bytes().all(plain)
    };
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() > 3 || !parts.iter().all(|part| is_word(part)) {
        let text: String = text.chars().take(100).collect();
        return Err(Failure::invalid(format!("{text:?} is an invalid platform")));
    }
    let lower = |part: &str| part.to_ascii_lowercase();
    let host = Platform::host();
    Ok(match parts[..] {
        ["linux" | "Linux"] => host,
        [architecture] => Platform { architecture: go_name(&lower(architecture)), ..host },
        _ => Platform {
            os: lower(parts[0]),
            architecture: go_name(&lower(parts[1])),
            variant: parts.get(2).map(|variant| lower(variant)),
        },
    })
}

/// The name that Go uses for an architecture that is called otherwise elsewhere.
fn go_name(architecture: &str) -> String {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        other => other,
    }
    .to_owned()
}

/// Reads the JSON object of an OCI platform.
pub(crate) fn parse_json(text: &str) -> Result<Platform, Failure> {
    let platform: api_types::image::Platform = serde_json::from_str(text)
        .map_err(|cause| cause.to_string())
        .and_then(|value| lenient::from_value(&value).map_err(|cause| cause.to_string()))
        .map_err(|cause| Failure::invalid(format!("failed to parse platform: {cause}")))?;
    if platform.os.is_empty() || platform.architecture.is_empty() {
        return Err(Failure::invalid("both OS and Architecture must be provided"));
    }
    let variant = Some(platform.variant).filter(|variant| !variant.is_empty());
    Ok(Platform { os: platform.os, architecture: platform.architecture, variant })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_with_the_names_that_people_use() {
        assert_eq!(parse("linux/arm64/v8").unwrap().to_string(), "linux/arm64/v8");
        assert_eq!(parse("Linux/x86_64").unwrap().to_string(), "linux/amd64");
        assert_eq!(parse("arm64").unwrap().to_string(), "linux/arm64");
        assert_eq!(parse("linux").unwrap(), Platform::host());
        for text in ["", "a/b/c/d", "linux/", "a b", "../.."] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_platforms_need_system_and_architecture() {
        let text = r#"{"os":"linux","architecture":"arm","variant":"v7"}"#;
        assert_eq!(parse_json(text).unwrap().to_string(), "linux/arm/v7");
        let refused = |text| parse_json(text).unwrap_err().message;
        assert_eq!(refused(r#"{"os":"linux"}"#), "both OS and Architecture must be provided");
        assert!(refused("linux/arm").starts_with("failed to parse platform: "));
    }
}
