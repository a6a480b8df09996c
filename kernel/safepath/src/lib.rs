//! safepath
