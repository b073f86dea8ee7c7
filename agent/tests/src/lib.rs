//! Real binaries, end to end.
