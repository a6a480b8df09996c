//! Verbs on the engine as a whole, on networks and on volumes.
