//! What older API versions send and show differently. The engine knows only the newest form.
//!
//! Each change names the version that brought the newest form; a request of an older version gets or means the old one.
//! The versions are those of Docker's API history (api/docs/CHANGELOG.md).

pub(crate) mod container;
pub(crate) mod create;
pub(crate) mod image;
pub(crate) mod system;

use serde::Serialize;
use serde_json::{Map, Value};
use spec::Failure;

/// The keys of a value that is an object.
fn object<T: Serialize>(value: &T) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(value) {
        Ok(Value::Object(entries)) => Ok(entries),
        Ok(_) => Err(Failure::internal("encode reply: not an object")),
        Err(cause) => Err(Failure::internal(format!("encode reply: {cause}"))),
    }
}

/// The keys of the object under `key`, which is made when it is missing.
fn inside<'a>(
    entries: &'a mut Map<String, Value>,
    key: &str,
) -> Option<&'a mut Map<String, Value>> {
    entries.entry(key).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
}

/// Adds the keys of `more` that are missing.
fn add(entries: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        for (key, value) in more {
            entries.entry(key).or_insert(value);
        }
    }
}
