//! The public contract: life.agent.v1.
