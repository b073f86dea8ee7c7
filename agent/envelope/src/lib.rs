//! Envelopes, signatures, sharing statements and sealed streams: pure.
