//! The body of every error.

use serde::{Deserialize, Serialize};

/// What is answered with a status of 400 and above.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    /// One sentence for a person.
    pub message: String,
}

/// The id of an object that was made; also the reply of `POST /commit` and `POST /containers/{id}/exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdReply {
    /// The id.
    #[serde(rename = "Id")]
    pub id: String,
}
