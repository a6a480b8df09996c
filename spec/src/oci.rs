//! OCI runtime types.

use serde::{Deserialize, Serialize};

/// Placeholder until the whole specification is here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spec {}
/// Placeholder until the whole specification is here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {}
/// Placeholder until the whole specification is here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {}
