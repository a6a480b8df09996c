//! client-http
