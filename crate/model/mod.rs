//! model

pub mod registry;
