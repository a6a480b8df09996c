//! Verbs on images.
