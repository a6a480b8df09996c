//! OCI runtime types.
