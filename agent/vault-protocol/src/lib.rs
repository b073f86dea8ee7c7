//! The messages between broker and vault, and the table of what is allowed when.
