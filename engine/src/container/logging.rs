//! The log driver of a container: which, and with which options.

use api_types::Map;
use api_types::container::Config;
use api_types::host::LogConfig;
use spec::Failure;
use std::collections::BTreeMap;

const JSON_OPTIONS: [&str; 8] = [
    "compress",
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "max-buffer-size",
    "max-file",
    "max-size",
];
/// Options that every driver has.
const COMMON_OPTIONS: [&str; 4] = ["cache-disabled", "mode", "tag", "cache-max-size"];

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Nowhere.
    None,
    /// A file of JSON lines.
    JsonFile {
        /// Bytes after which the file is rotated.
        max_size: Option<u64>,
        /// Files that are kept.
        max_files: u32,
    },
}

/// Fills in the engine's defaults and fails for what does not exist.
pub fn resolve(
    own: &mut LogConfig,
    driver: &str,
    options: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    if own.driver.is_empty() {
        own.driver = driver.to_owned();
    }
    if own.config.is_null() {
        own.config = Map::empty();
    }
    if own.driver == driver {
        for (key, value) in options {
            if !own.config.contains_key(key) {
                own.config.insert(key.clone(), value.clone());
            }
        }
    }
    self::driver(own).map(|_| ())
}

/// Reads the driver and its options.
pub fn driver(own: &LogConfig) -> Result<Driver, Failure> {
    let known = match own.driver.as_str() {
        "none" => return Ok(Driver::None),
        "json-file" => JSON_OPTIONS,
        other => {
            return Err(Failure::invalid(format!(
                "error looking up logging plugin {other}: plugin {other:?} not found"
            )));
        }
    };
    if let Some(key) = own
        .config
        .keys()
        .find(|key| !known.contains(&key.as_str()) && !COMMON_OPTIONS.contains(&key.as_str()))
    {
        return Err(Failure::invalid(format!("unknown log opt '{key}' for json-file log driver")));
    }
    if let Some(mode) = own.config.get("mode")
        && !matches!(mode.as_str(), "" | "blocking" | "non-blocking")
    {
        return Err(Failure::invalid(format!("logger: logging mode not supported: {mode}")));
    }
    let max_size = match own.config.get("max-size").map(String::as_str) {
        None | Some("-1" | "") => None,
        Some(text) => Some(bytes(text).filter(|size| *size > 0).ok_or_else(|| {
            Failure::invalid(format!("failed to initialize logging driver: invalid size: '{text}'"))
        })?),
    };
    let max_files = match own.config.get("max-file") {
        None => 1,
        Some(text) => text
            .parse::<u32>()
            .ok()
            .filter(|count| *count >= 1)
            .ok_or_else(|| Failure::invalid(format!("invalid value for max-file: {text:?}")))?,
    };
    Ok(Driver::JsonFile { max_size, max_files })
}

/// Reads `10m`, `1g`, `512k`, `100`, `10MB`, `10 MiB`: powers of 1024, as Docker's own reader takes them.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let factor: u64 = match lower[digits..].trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    lower[..digits].parse::<u64>().ok()?.checked_mul(factor)
}

/// The additional attributes of each line: labels and variables that the options name, and the tag.
pub fn attributes(
    own: &LogConfig,
    config: &Config,
    tag: impl FnOnce(&str) -> String,
) -> Vec<(String, String)> {
    let option = |key: &str| own.config.get(key).map(String::as_str).unwrap_or_default();
    let names = |key: &str| {
        option(key)
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let expression = |key: &str| {
        let text = option(key);
        if text.is_empty() { None } else { regex_lite::Regex::new(text).ok() }
    };
    let mut found = BTreeMap::new();
    let (labels, label_expression) = (names("labels"), expression("labels-regex"));
    for (key, value) in &config.labels {
        if labels.contains(key)
            || label_expression.as_ref().is_some_and(|wanted| wanted.is_match(key))
        {
            found.insert(key.clone(), value.clone());
        }
    }
    let (variables, variable_expression) = (names("env"), expression("env-regex"));
    for (key, value) in config.env.iter().filter_map(|variable| variable.split_once('=')) {
        let wanted = variables.iter().any(|name| name == key);
        if wanted || variable_expression.as_ref().is_some_and(|wanted| wanted.is_match(key)) {
            found.insert(key.to_owned(), value.to_owned());
        }
    }
    if !option("tag").is_empty() {
        found.insert("tag".into(), tag(option("tag")));
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(driver: &str, options: &[(&str, &str)]) -> LogConfig {
        let config =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LogConfig { driver: driver.into(), config }
    }

    #[test]
    fn the_engines_options_fill_in_only_for_its_own_driver() {
        let options = BTreeMap::from([("max-size".to_owned(), "10m".to_owned())]);
        let mut own = log("", &[]);
        resolve(&mut own, "json-file", &options).unwrap();
        assert_eq!(
            driver(&own).unwrap(),
            Driver::JsonFile { max_size: Some(10 << 20), max_files: 1 }
        );
        let mut own = log("none", &[]);
        resolve(&mut own, "json-file", &options).unwrap();
        assert!(own.config.is_empty());
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        assert_eq!(
            driver(&log("x", &[])).unwrap_err().message,
            "error looking up logging plugin x: plugin \"x\" not found"
        );
        assert_eq!(
            driver(&log("json-file", &[("colour", "red")])).unwrap_err().message,
            "unknown log opt 'colour' for json-file log driver"
        );
        assert!(driver(&log("json-file", &[("max-size", "ten")])).is_err());
        assert!(driver(&log("json-file", &[("max-file", "none")])).is_err());
        assert_eq!(
            driver(&log("json-file", &[("mode", "odd")])).unwrap_err().message,
            "logger: logging mode not supported: odd"
        );
    }

    #[test]
    fn attributes_are_the_labels_and_variables_that_are_named() {
        let config: Config =
            serde_json::from_str(r#"{"Labels":{"a":"1","b":"2","c3":"3"},"Env":["X=9","Y=8"]}"#)
                .unwrap();
        let own = log(
            "json-file",
            &[("labels", "a,z"), ("labels-regex", "^c"), ("env", "Y"), ("tag", "{{.ID}}")],
        );
        let found = attributes(&own, &config, |_| "0123".into());
        let pairs: Vec<_> = found.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(pairs, ["Y=8", "a=1", "c3=3", "tag=0123"]);
    }
}
