//! `os[/arch[/variant]]`.

use crate::failure::Failure;
use serde_json::{Map, Value};

/// The platform as the API takes it in JSON.
pub(crate) fn json(text: &str) -> Result<String, Failure> {
    let parts: Vec<&str> = text.split('/').collect();
    let fits = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    if let Some(wrong) = parts.iter().find(|part| !fits(part)) {
        return Err(Failure::Plain(format!(
            "Invalid platform {text}: \"{wrong}\" is an invalid component of \"{text}\": platform specifier component \
             must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
        )));
    }
    if parts.len() > 3 {
        return Err(Failure::Plain(format!(
            "Invalid platform {text}: \"{text}\": cannot parse platform specifier: invalid argument"
        )));
    }
    let mut platform = Map::new();
    for (name, part) in ["os", "architecture", "variant"].into_iter().zip(&parts) {
        platform.insert(name.into(), Value::from(part.to_lowercase()));
    }
    Ok(Value::Object(platform).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_one_to_three_parts() {
        assert_eq!(json("linux/amd64").unwrap(), r#"{"architecture":"amd64","os":"linux"}"#);
        assert_eq!(
            json("linux/arm/v7").unwrap(),
            r#"{"architecture":"arm","os":"linux","variant":"v7"}"#
        );
        assert!(json("bad////").is_err());
        assert!(json("a/b/c/d").is_err());
        assert!(json("").is_err());
    }
}
