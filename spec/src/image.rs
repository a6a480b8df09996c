//! OCI image types.
