//! Working credentials: one module a kind.
